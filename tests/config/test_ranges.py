"""Ranges that stand in a key's type: what is refused, and in which words."""

import dataclasses
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Gt, Interval, Len, MinLen, MultipleOf, doc
from refusals import refused

from hybridsep.bench import settings as bench
from hybridsep.config.ranges import Count, Fraction, Matches
from hybridsep.config.validation import validate
from hybridsep.errors import ConfigError
from hybridsep.report import settings as report


@dataclass
class Inner:
    count: Count = 1
    share: Fraction = 0.5
    rate: Annotated[float, Gt(0)] = 1.0
    some: Annotated[int, Interval(ge=2, le=8), doc("because of this")] | None = None
    side: Annotated[int, MultipleOf(4), Interval(ge=4, le=64)] = 4
    sizes: Annotated[list[Count], MinLen(1)] = field(default_factory=lambda: [1])
    three: Annotated[list[float], Len(3, 3)] | None = None
    word: Literal["this", "that"] = "this"
    label: Annotated[str, Matches("[a-z]{1,3}", "three letters")] = "abc"
    free: dict[str, Any] = field(default_factory=dict)


@dataclass
class Outer:
    inner: Inner = field(default_factory=Inner)
    anything: int = -5


def check_ranges(config: Outer) -> None:
    validate(Outer, dataclasses.asdict(config))


REFUSED = [
    ("count", 0, "inner.count=0 is not allowed: a whole number from 1 to 1000000"),
    ("count", 1_000_001, "inner.count=1000001 is not allowed: a whole number from 1 to 1000000"),
    ("share", 1.0, "inner.share=1.0 is not allowed: a finite number from 0 to below 1"),
    ("share", float("nan"), "inner.share=nan is not allowed: a finite number from 0 to below 1"),
    ("rate", 0.0, "inner.rate=0.0 is not allowed: a finite number above 0"),
    ("rate", float("inf"), "inner.rate=inf is not allowed: a finite number above 0"),
    ("some", 1, "inner.some=1 is not allowed: a whole number from 2 to 8, or null, because of this"),
    ("side", 6, "inner.side=6 is not allowed: a multiple of 4 from 4 to 64"),
    ("side", 0, "inner.side=0 is not allowed: a multiple of 4 from 4 to 64"),
    ("sizes", [], "inner.sizes=[] is not allowed: a list of 1 or more, each a whole number from 1 to 1000000"),
    ("sizes", [3, 0], "inner.sizes=0 is not allowed: a whole number from 1 to 1000000"),
    ("three", [1.0, 2.0], "inner.three=[1.0,2.0] is not allowed: a list of 3, each a finite number, or null"),
    ("three", [1.0, 2.0, float("nan")], "inner.three=nan is not allowed: a finite number"),
    ("word", "these", "inner.word=these is not allowed: choose this, that"),
    ("label", "abcd", "inner.label=abcd is not allowed: three letters"),
]


@pytest.mark.parametrize(("key", "value", "message"), REFUSED)
def test_refused(key, value, message):
    config = Outer()
    check_ranges(config)
    setattr(config.inner, key, value)
    with pytest.raises(ConfigError) as error:
        check_ranges(config)
    assert str(error.value) == message


def test_the_ends_and_null_are_allowed():
    inner = Inner(count=1_000_000, share=0.0, some=8, side=64, sizes=[1], three=[0.0, -1.0, 2.0], word="that")
    check_ranges(Outer(inner, anything=-(10**9)))
    check_ranges(Outer(Inner(some=None, three=None)))


@pytest.mark.parametrize(
    "word",
    [
        *("watch=0", "report.subset=some", "report.pairing=no", "report.images=0", "report.margin=100"),
        *("report.alpha=0.5", "report.power=0.04", "report.power=1", "report.trials=0", "report.seed=-1"),
        *("report.resamples=98", "report.groups=99", "report.redraws=1000001", "report.margin=nan"),
        *("plan.difference=0", "plan.powers=[]", "plan.powers=[0.8,1]", "plan.powers=[0.04]"),
    ],
)
def test_of_the_report(word):
    with refused(key=word.split("=")[0] + "="):
        report.load([word])


@pytest.mark.parametrize(
    "word",
    [
        *("threads=0", "threads=1025", "batch=1", "models=[]", "label=.x", "device=tpu"),
        *("throughput.rounds=0", "throughput.seconds=inf", "throughput.at_once=1", "throughput.workers=-1"),
    ],
)
def test_of_the_bench(word):
    with refused(key=word.split("=")[0] + "="):
        bench.load([word])


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"inner": 3}, "inner=3 is not allowed: a group of keys"),
        ({"inner": {"free": 3}}, "inner.free=3 is not allowed: a group of keys"),
        ({"inner": {"cuont": 3}}, "inner.cuont is not a key: did you mean inner.count?"),
        ({"count": 3}, "count is not a key: did you mean inner.count?"),
        (
            {"anything": "x", "inner": {"count": 0}},
            "inner.count=0 is not allowed: a whole number from 1 to 1000000; any",
        ),
    ],
)
def test_trees(tree, message):
    with pytest.raises(ConfigError) as error:
        validate(Outer, tree)
    assert str(error.value).startswith(message)
