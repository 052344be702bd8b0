"""Ref-NMS inside mmdet: a detector and a metric that mmdet's configs, datasets and tools use by name.

``custom_imports = dict(imports=['harness.mmdet_plugin'])`` in a config registers ``GroundingDetector``, ``RefNMS`` and
``REGMetric``, and the parts of this project's own detectors. ``docs/mmdet.md`` has configs that run.
"""
from harness.detection import c4_head, crop, inclusive_boxes, painted_masks, resizing
from harness.mmdet_plugin.grounding_detector import GroundingDetector
from harness.mmdet_plugin.reg_metric import REGMetric
from harness.proposals.ref_nms_network import RefNMS

__all__ = ['GroundingDetector', 'REGMetric', 'RefNMS', 'c4_head', 'crop', 'inclusive_boxes', 'painted_masks',
           'resizing']
