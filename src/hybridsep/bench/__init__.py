"""`python -m hybridsep.bench`: what our training costs and saves, measured against a reference loop.

Each command writes `results/bench/<name>.json` (all that was measured) and `.md` (the table). None is needed to train.
"""
