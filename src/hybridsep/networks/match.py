"""`match=params`: the inner width at which a row has as many parameters as the baseline."""

from collections.abc import Callable

from hybridsep.errors import ConfigError

# Ratios are searched in thousandths, so that the one found can be written down and read back exactly.
_STEP = 1000
_LARGEST = 16 * _STEP
# How far to look around the place where bisection ends, first near, then far. Counts grow with the ratio but for small
# steps back, where a rounded width changes a ResNeXt module's cardinality.
_REACHES = (4, 60)


def match_inner_ratio(cost_of_ratio: Callable[[float], int], target: int, tolerance: float = 0.02) -> float:
    """Return an inner ratio whose parameter count is at most `tolerance` (a share of `target`) away from `target`.

    `cost_of_ratio(ratio)` gives the parameters of the whole network. Ratio 1, the paper's widths, is kept where it is
    near enough already; otherwise the nearest is taken from 0.001 to 16 in thousandths. Raises ConfigError with the
    nearest counts when none is near enough: inner widths are rounded so that groups stay valid, which is coarse in
    narrow networks.
    """
    if abs(cost_of_ratio(1.0) - target) <= tolerance * target:
        return 1.0
    low, high = 1, _LARGEST
    while low < high:
        middle = (low + high) // 2
        if cost_of_ratio(middle / _STEP) < target:
            low = middle + 1
        else:
            high = middle
    counts: dict[float, int] = {}
    for reach in _REACHES:
        around = range(max(1, low - reach), min(_LARGEST, low + reach) + 1)
        counts = {step / _STEP: cost_of_ratio(step / _STEP) for step in around}
        ratio = min(counts, key=lambda ratio: abs(counts[ratio] - target))
        if abs(counts[ratio] - target) <= tolerance * target:
            return ratio
    below = max((count for count in counts.values() if count <= target), default=None)
    above = min((count for count in counts.values() if count > target), default=None)
    nearest = " and ".join(str(count) for count in (below, above) if count is not None)
    raise ConfigError(
        f"match: no inner_ratio gives {target} parameters within {tolerance:.1%}; the nearest counts are {nearest}; "
        "allowed: none, or another size"
    )
