"""The six modules of the paper's Figure 4, one file each, beside their analytic costs.

Each maps (N, in_chs, H, W) to (N, out_chs, H, W) at stride 1 and has a static `cost` with the same keywords.
"""

from hybridsep.modules.cost import Cost
from hybridsep.modules.hybrid import Hybrid
from hybridsep.modules.inception import Inception
from hybridsep.modules.reformulated_inception import ReformulatedInception
from hybridsep.modules.resnext import ResNeXt
from hybridsep.modules.separable import Separable
from hybridsep.modules.separable_equivalent import SeparableEquivalent

__all__ = ["Cost", "Hybrid", "Inception", "ReformulatedInception", "ResNeXt", "Separable", "SeparableEquivalent"]
