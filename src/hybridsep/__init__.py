"""hybridsep: are two network modules really the same thing?"""

__version__ = "0.1.0"
