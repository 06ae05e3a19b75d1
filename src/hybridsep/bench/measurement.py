"""What `bench throughput` measures of a row, from the timing to the tables and the file."""

from dataclasses import dataclass, field
from typing import Any

from hybridsep.bench.roofline import Requirements
from hybridsep.bench.timing import ratios, spread
from hybridsep.bench.variants import Variant


@dataclass(frozen=True)
class Measurement:
    """Of one variant: `rates`, images/s in every round, and what belongs to it. Of a missing one only its name.

    `reference` are the rates of the reference loop and `before` those of the variant before, none for the first.
    `data_shares`: the part of the time that goes into making batches, where it can be told. `busy_share`: that in which
    a kernel ran on the GPU.
    """

    variant: Variant
    rates: list[float] = field(default_factory=list)
    reference: list[float] = field(default_factory=list)
    before: list[float] = field(default_factory=list)
    memory_bytes: int = 0
    data_shares: list[float] = field(default_factory=list)
    busy_share: float | None = None

    @property
    def name(self) -> str:
        """The variant's name."""
        return self.variant.name

    @property
    def measured(self) -> bool:
        """Whether the machine had what the variant needs."""
        return not self.variant.missing

    @property
    def ratio(self) -> dict[str, Any]:
        """Median and spread of the ratios to the reference loop, round by round."""
        return spread(ratios(self.rates, self.reference))

    @property
    def gain(self) -> dict[str, Any] | None:
        """Median and spread of the ratios to the variant before."""
        return spread(ratios(self.rates, self.before)) if self.before else None

    @property
    def data_share(self) -> dict[str, Any] | None:
        """Median and spread of the data shares."""
        return spread(self.data_shares) if self.data_shares else None

    @property
    def speed(self) -> dict[str, Any]:
        """Median and spread of images/s."""
        return spread(self.rates)

    def record(self) -> dict[str, Any]:
        """Return what the file says of it."""
        said = {
            "name": self.name,
            "missing": self.variant.missing,
            "graph": self.variant.graph and self.measured,
            "aside": self.variant.standalone,
            "ratio": None,
        }
        if not self.measured:
            return said
        return said | {
            "images_per_second": self.speed,
            "ratio": self.ratio,
            "gain": self.gain,
            "memory_bytes": self.memory_bytes,
            "data_share": self.data_share,
            "busy_share": self.busy_share,
            "rounds": self.rates,
        }


@dataclass(frozen=True)
class RowMeasurement:
    """Of one row: every variant in the order of the ablation, the reference loop first; and the data path alone.

    `gathering`: images/s of our gather in every round, by whether it is captured.
    """

    row: str
    title: str
    requirements: Requirements
    variants: list[Measurement]
    gathering: dict[bool, list[float]]

    @property
    def reference(self) -> Measurement:
        """The reference loop."""
        return self.variants[0]

    @property
    def best(self) -> Measurement:
        """The fastest of our variants, without those that were tried aside."""
        ours = [found for found in self.variants[1:] if found.measured and not found.variant.standalone]
        return max(ours, key=lambda found: found.speed["median"])

    def record(self, *, batch: int) -> dict[str, Any]:
        """Return what the file says of it."""
        return {
            "row": self.row,
            "title": self.title,
            "params": self.requirements.params,
            "macs": self.requirements.macs,
            "step_bytes": self.requirements.training_bytes(batch),
            "step_flops": self.requirements.training_flops(batch),
            "ways": [found.record() for found in self.variants],
            "gather_images_per_second": {
                "graph" if graph else "eager": spread(rates) for graph, rates in self.gathering.items()
            },
        }
