"""Proposal rules: from an image's candidates and expressions to each expression's proposals, one rule a file."""
from harness.proposals import given, greedy, ground_truth, ref_nms  # noqa: F401
