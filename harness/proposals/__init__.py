"""Proposal rules: from an image's candidates and expressions to each expression's proposals, one rule a file.

:data:`harness.registry.PROPOSAL_RULES` finds the rule in a file of this folder by its name.
"""
