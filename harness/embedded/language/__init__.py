"""How the embedded world is spoken of.

``logic``: what a sentence claims, and of which objects that is clearly true; ``wording``: the words for a claim in the
style of each dataset; ``expressions``: choosing whom to speak of, and what to claim so that it is true of one alone.
"""
