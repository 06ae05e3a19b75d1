"""`python -m hybridsep.bench`: what our way of training costs and saves, measured against the usual one.

Each command writes `results/bench/<name>.json` (all that was measured) and `.md` (the table). None is needed to train.
"""
