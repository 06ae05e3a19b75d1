"""The report: reads run folders and says what their numbers prove. Load, then statistics, then tables, figures and verdicts.

Never imports torch, and trains nothing. Statistics are pure functions on arrays (`difference`, `noise`, `agreement`) that return
plain dictionaries; figures draw what `figure_data` computed; nothing that is printed was typed by hand.
"""
