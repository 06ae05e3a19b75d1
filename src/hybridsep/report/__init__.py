"""The report: run folders in; statistics, tables, figures and verdicts out.

Never imports torch, and trains nothing. Statistics are pure functions on arrays (`difference`, `noise`, `agreement`)
that return plain dictionaries; figures draw what `figure_data` computed; nothing that is printed was typed by hand.
"""
