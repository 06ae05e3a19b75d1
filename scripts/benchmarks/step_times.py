"""`make bench-steps`: milliseconds of a training step of each row, in each way that a study on a GPU can take.

Trials side by side, one alone, the modules' fast ways, and what deterministic kernels cost; on a GPU as captured
graphs. It stops when its seconds are over and keeps what it has. The last line says how many epochs of a study fit.
"""

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch

from hybridsep import config as configuration
from hybridsep.bench import output, rows, variants
from hybridsep.bench.timing import time_block
from hybridsep.bench.workloads import RowWorkloads
from hybridsep.errors import ConfigError
from hybridsep.report.table import Column, Table, build, percentage, thousandths, whole
from scripts.benchmarks import arguments, gpu, roofline

_BLOCKS = 5
_SECONDS_OF_A_BLOCK = 0.2
_EVALUATION = 1.07  # an epoch's time by that of its steps: 10,000 images forward beside 50,000 forward and backward
_SECONDS_OF_A_ROW = 14  # start of a command, reading data, first steps, captures
_IN_HAND = 0.92  # of the time that is left; the rest is for machines that slow down


@dataclass(frozen=True)
class Way:
    """How the steps of a row are made: `at_once` trials, with the modules' fast ways, with deterministic kernels."""

    at_once: int
    fast: bool = False
    deterministic: bool = True

    @property
    def name(self) -> str:
        """What the table calls it."""
        extra = [", fast"] if self.fast else []
        return f"{self.at_once} at once" + "".join(extra + ([] if self.deterministic else [", not deterministic"]))


@dataclass(frozen=True)
class StepTime:
    """Milliseconds of a step of one trial: the time of a step of all trials at once, divided by their number."""

    row: str
    way: Way
    milliseconds: list[float]  # of each block

    @property
    def median(self) -> float:
        """The median of the blocks."""
        return statistics.median(self.milliseconds)


@dataclass(frozen=True)
class StepTimes:
    """Step times so far. `floors`: the least milliseconds of a step, by what the GPU was measured to reach."""

    size: str
    batch: int
    reached: gpu.Reached | None
    floors: dict[str, float] = field(default_factory=dict)
    times: list[StepTime] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print the table and write it, again after every way. Raises ConfigError, RecordError."""
    parser = arguments.parser("Milliseconds of a training step of each row, and how many epochs of a study fit.")
    parser.add_argument("--seconds", type=float, default=90.0, help="of all measurements together")
    parser.add_argument("--study-seconds", type=float, default=0.0, help="that the study has")
    parser.add_argument("--studied", type=int, help="so many of the models, the first ones, are the study's; all")
    parser.add_argument("--train-images", type=arguments.positive, default=50_000, help="of an epoch of the study")
    parser.add_argument("overrides", nargs="*", help="of the run program: experiment=figure6 trial=0 ...")
    options = parser.parse_args(words)
    begun = time.monotonic()
    session = arguments.session(options, "scripts.benchmarks.step_times", words)
    device = session.device
    on_gpu = device.type == "cuda"
    trials = trials_of(options.overrides)
    most = min(trials, 10 if on_gpu else 2)
    small = ["data=synthetic", f"size={options.size}", f"schedule.batch_size={options.batch}"]
    kept = [word for word in options.overrides if not word.startswith(("trial=", "data", "size=", "model="))]
    configs = [rows.compose([*kept, f"model={model}", *small]) for model in options.models]
    data = rows.dataset(train=max(2048, 2 * options.batch))
    workloads = {config.row: RowWorkloads(config, data, device) for config in configs}
    reached = gpu.reached(device) if on_gpu else None
    results = StepTimes(options.size, options.batch, reached)
    if reached:
        for config in configs:
            least = roofline.requirements(config, classes=len(data.classes), height=data.train_images.shape[1])
            results.floors[config.row] = 1e3 * reached.floor(*least.training(options.batch))
    for row, way in ways(workloads, most):
        if time.monotonic() - begun > options.seconds and len(results.times) >= len(workloads):
            break
        try:
            step_time = measure(row, workloads[row], way, device, bfloat16=session.bfloat16)
        except Exception as error:  # one way's trouble must not take the others' numbers
            results.failed[f"{row}, {way.name}"] = f"{type(error).__name__}: {error}"[:300]
            output.say(f"{row}, {way.name}: {error}")
            if isinstance(error, ConfigError):
                break  # a capture that failed: torch before 2.12 then believes that it goes on, and all others fail too
            continue
        results.times.append(step_time)
        output.say(f"{row}, {way.name}: {step_time.median:.3f} ms a step and trial")
        session.write(f"steps-{options.size}", results, [_table(results)], missing=["the ways that follow"])
    session.write(f"steps-{options.size}", results, [_table(results)])
    studied = list(workloads)[: options.studied]
    first = {each.row: each.median for each in reversed(results.times) if each.way == Way(most)}
    if missing := [row for row in studied if row not in first]:
        print(f"not measured, so nothing is said of epochs: {', '.join(missing)}")
        return
    steps = options.train_images // options.batch
    epoch = epoch_seconds([first[row] for row in studied], trials=trials, steps=steps)
    print(f"an epoch of {trials} trials of {len(studied)} rows takes {epoch:.1f} s")
    print(f"epochs {epochs_that_fit(options.study_seconds, epoch, rows=len(studied))}")


def trials_of(overrides: Sequence[str]) -> int:
    """Return the number of trials that the overrides ask for, ten if they say nothing. Raises ConfigError."""
    typed = [word.partition("=")[2] for word in overrides if word.startswith("trial=")]
    return len(configuration.parse_trials(typed[-1])) if typed else 10


def ways(workloads: dict[str, RowWorkloads], most: int) -> Iterator[tuple[str, Way]]:
    """Return what is measured, what a study has to know first: every row as it trains today, then one change each."""
    yield from ((row, Way(most)) for row in workloads)
    for row, workload in workloads.items():
        if workload.has_fast:
            yield row, Way(most, fast=True)
    yield from ((row, Way(most, deterministic=False)) for row in workloads)
    for at_once in (1, 4):
        if at_once < most:
            yield from ((row, Way(at_once)) for row in workloads)


def measure(row: str, workloads: RowWorkloads, way: Way, device: torch.device, *, bfloat16: bool) -> StepTime:
    """Return the time of a step, in five blocks after the eager steps and the capture."""
    on_gpu = device.type == "cuda"
    ours = variants.ours(bfloat16=bfloat16, fast=way.fast)
    variant = replace(ours, graph=on_gpu, at_once=way.at_once, deterministic=way.deterministic)
    work = workloads.make(variant)
    time_block(work, work.first_steps, device)
    steps = max(1, round(_SECONDS_OF_A_BLOCK / time_block(work, 2, device) * 2))
    blocks = [time_block(work, steps, device) for _ in range(_BLOCKS)]
    del work
    if on_gpu:
        torch.cuda.empty_cache()
    return StepTime(row, way, [1e3 * seconds / steps / way.at_once for seconds in blocks])


def epoch_seconds(milliseconds: Sequence[float], *, trials: int, steps: int) -> float:
    """Return the seconds of an epoch of all trials of rows whose step takes so long, evaluation included."""
    return sum(milliseconds) / 1e3 * steps * trials * _EVALUATION


def epochs_that_fit(seconds: float, epoch: float, *, rows: int) -> int:
    """Return how many epochs of `epoch` seconds fit into a study of so many seconds, at least one."""
    return max(1, int((seconds - _SECONDS_OF_A_ROW * rows) * _IN_HAND / epoch))


def _table(results: StepTimes) -> Table:
    def blocks(each: StepTime) -> str:
        return f"{thousandths(min(each.milliseconds))} to {thousandths(max(each.milliseconds))}"

    columns: list[Column[StepTime]] = [
        Column("Row", lambda each: each.row, wide=True),
        Column("Way", lambda each: each.way.name, wide=True),
        Column("ms a step", lambda each: each.median, thousandths),
        Column("Blocks", blocks),
        Column("Images/s", lambda each: 1e3 * results.batch / each.median, whole),
    ]
    notes = ["ms a step: of one trial, median of five blocks. Deterministic kernels unless another way is named."]
    if results.reached:
        copy, product = results.reached.bytes_per_second / 1e12, results.reached.flops_per_second / 1e12
        floor: list[Column[StepTime]] = [
            Column("Floor, ms", lambda each: results.floors[each.row], thousandths),
            Column("Of it", lambda each: results.floors[each.row] / each.median, percentage),
        ]
        columns += floor
        notes.append(
            "Floor: the larger of the bytes that a step needs (scripts/benchmarks/roofline.py) at the rate of a 1 GiB"
            f" copy, {copy:.2f} TB/s, and its operations at that of an 8192-wide product, {product:.0f} TFLOP/s, both"
            " measured here."
        )
    notes += [f"Failed: {name}: {reason}" for name, reason in results.failed.items()]
    return build("steps", "Step times", columns, results.times, notes=notes)


if __name__ == "__main__":
    arguments.finish(main)
