"""The run folder: records, locks, where a number is from, and the random streams of a trial."""
