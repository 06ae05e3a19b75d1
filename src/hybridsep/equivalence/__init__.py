"""Section 3 of the paper as algebra that runs: weight mappings between modules that are the same function.

`python -m hybridsep.equivalence` checks them; `mappings` has them.
"""
