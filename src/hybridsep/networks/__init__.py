"""Networks with a slot for the module under test."""

from hybridsep.networks.factory import ModuleFactory
from hybridsep.networks.stack import Stack

__all__ = ["ModuleFactory", "Stack"]
