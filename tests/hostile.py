"""What tests with hostile input share: how many cases, and values of any kind."""

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

TIMES = int(os.environ.get("HYBRIDSEP_SOAK", "1"))


def cases(number: int) -> settings:
    """Return settings for that many cases, the same ones each time."""
    unchecked = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
    return settings(
        max_examples=number * TIMES, derandomize=True, deadline=None, database=None, suppress_health_check=unchecked
    )


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just("running")),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=5,
)
