"""Proposal rules: they choose, per expression, proposals among the candidates of an image. One rule per file.

:data:`harness.registry.PROPOSAL_RULES` finds the rule in a file of this folder by its name.
"""
