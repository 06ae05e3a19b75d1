"""Networks with a slot for the module under test."""

from hybridsep.networks.slot import Slot
from hybridsep.networks.stack import Stack

__all__ = ["Slot", "Stack"]
