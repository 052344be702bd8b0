"""The sentences of the embedded world.

``logic``: what a sentence claims, and for which objects that is clearly true; ``wording``: the words for a claim in the
style of each dataset; ``expressions``: choosing referents, and claims that are true of one object alone.
"""
