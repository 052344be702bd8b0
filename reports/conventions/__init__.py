"""The ledger of conventions: one file of answers counted by every rule in use, each a record with its source.

``rec_rules.py`` and ``res_rules.py`` hold the rules, ``ledger.py`` counts some rows by all of them, ``blocks.py`` makes
tables of that.
"""
