"""Errors that are the user's to mend. Entry points print them as one line and exit with status 2."""

TRACEBACK = "error.txt"  # in the run folder of a trial that failed: what Python said


class UserError(ValueError):
    """Something the user gave is wrong; the message is one line that names the key or file and what is allowed."""


class ConfigError(UserError):
    """A configuration value is unknown, of the wrong type or out of range."""


class DataError(UserError):
    """A dataset is missing, incomplete or not what it says it is."""


class RecordError(UserError):
    """A run folder or checkpoint cannot be used; nothing in it has been changed."""
