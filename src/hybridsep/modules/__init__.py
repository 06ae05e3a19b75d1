"""The six modules of the paper's Figure 4, one file each: (N, in_chs, H, W) -> (N, out_chs, H, W) at stride 1."""

from hybridsep.modules.hybrid import Hybrid
from hybridsep.modules.inception import Inception
from hybridsep.modules.reformulated_inception import ReformulatedInception
from hybridsep.modules.resnext import ResNeXt
from hybridsep.modules.separable import Separable
from hybridsep.modules.separable_equivalent import SeparableEquivalent

__all__ = ["Hybrid", "Inception", "ReformulatedInception", "ResNeXt", "Separable", "SeparableEquivalent"]
