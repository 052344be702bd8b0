"""Ref-NMS trained by ranking."""
from __future__ import annotations

from harness.program import program
from harness.proposals.ref_nms import RefNMSB
from harness.registry import PROPOSAL_RULES


@PROPOSAL_RULES.register_module(name='ref-nms-r')
class RefNMSR(RefNMSB):
    """Ref-NMS trained by ranking (Eq. 4); otherwise as ``ref-nms-b``. Weights are not shipped."""

    weights = 'ref-nms-r'
    not_shipped = f'train them with "{program()} train ref-nms-r"'
