"""Section 3 of the paper as algebra that runs: weight mappings between modules that are the same function.

`python -m hybridsep.equivalence` checks them. `mappings` are the functions to use, on one module's weights or on a
trained network's whole state.
"""

from hybridsep.equivalence.mappings import (
    convert_separable,
    depthwise_to_grouped,
    grouped_to_dense,
    hybrid_to_towers,
    resnext_to_concatenated,
    resnext_to_towers,
    separable_to_dense,
    separable_to_hybrid,
    separable_to_towers,
    simplified_inception_to_reformulated,
)

__all__ = [
    "convert_separable",
    "depthwise_to_grouped",
    "grouped_to_dense",
    "hybrid_to_towers",
    "resnext_to_concatenated",
    "resnext_to_towers",
    "separable_to_dense",
    "separable_to_hybrid",
    "separable_to_towers",
    "simplified_inception_to_reformulated",
]
