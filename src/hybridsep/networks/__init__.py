"""Networks that are built of the module under test."""

from hybridsep.networks.cost import Cost, cost_of
from hybridsep.networks.factory import ModuleFactory
from hybridsep.networks.stack import Stack

__all__ = ["Cost", "ModuleFactory", "Stack", "cost_of"]
