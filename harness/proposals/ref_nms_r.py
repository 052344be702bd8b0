"""Ref-NMS trained by ranking."""
from __future__ import annotations

from harness.proposals.ref_nms import RefNMSB, RefNMSB100
from harness.registry import PROPOSAL_RULES


@PROPOSAL_RULES.register_module(name='ref-nms-r')
class RefNMSR(RefNMSB):
    """Ref-NMS trained by ranking (Eq. 4); otherwise as ``ref-nms-b``."""

    weights = 'ref-nms-r'


@PROPOSAL_RULES.register_module(name='ref-nms-r-100')
class RefNMSR100(RefNMSB100):
    """Ref-NMS trained by ranking: the 100 boxes of the best fused score."""

    weights = 'ref-nms-r'
