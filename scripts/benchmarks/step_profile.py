"""`make bench-profile`: where the time of our training step goes, per kind of operation; what to speed up next.

The step runs operation by operation under torch.profiler. On a GPU only the time of its kernels counts, which a
captured graph replays; on a CPU the own time of the operations.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from hybridsep.bench import output, rows, variants
from hybridsep.bench.timing import Workload, time_block
from hybridsep.bench.workloads import RowWorkloads
from hybridsep.report.table import Column, Table, build, percentage, tenth
from scripts.benchmarks import arguments

_CONVOLUTIONS = ("depthwise", "grouped", "1x1", "3x3")


def _both(kind: str) -> tuple[str, str]:
    """Return the two directions of a kind of convolution."""
    return f"{kind}, forward", f"{kind}, backward"


# By words in the operation's name; the first that fits counts. Casts and copies are what autocast adds.
_OTHERS = {
    "norm": ("batch_norm",),
    "activation": ("threshold", "clamp_min", "relu"),
    "pooling": ("pool", "fill_", "zero_"),
    "copies": ("copy_", "cat", "_to_copy"),
    "optimiser": ("sgd",),
}
KINDS = (*(direction for kind in _CONVOLUTIONS for direction in _both(kind)), *_OTHERS, "rest")

_FILLING = 3  # profiled steps that do not count


@dataclass(frozen=True)
class Row:
    """Milliseconds of a step of one model, and the `shares` of `KINDS` in it."""

    row: str
    title: str
    milliseconds: float
    shares: dict[str, float]


@dataclass(frozen=True)
class Profile:
    """All that was measured."""

    size: str
    batch: int
    steps: int
    rows: list[Row]


def main(words: Sequence[str] | None = None) -> None:
    """Profile every model, print the table and write it. Raises ConfigError, RecordError."""
    parser = arguments.parser("Where the time of a training step goes, per kind of operation.")
    parser.add_argument("--steps", type=arguments.positive, default=10, help="profiled ones")
    parser.add_argument(
        "--untimed", type=arguments.positive, default=5, help="steps before; they fill memory and caches"
    )
    options = parser.parse_args(words)
    session = arguments.session(options, "scripts.benchmarks.step_profile", words)
    configs = rows.of_models(options.models, size=options.size, batch=options.batch)
    dataset = rows.dataset(train=max(10, 4 * options.batch))
    variant = variants.ours(bfloat16=session.bfloat16, fast=session.device.type == "cpu")
    profile = Profile(options.size, options.batch, options.steps, [])
    for config in configs:
        loop = RowWorkloads(config, dataset, session.device).trial(variant)
        spent = milliseconds(loop, session.device, steps=options.steps, untimed=options.untimed)
        total = sum(spent.values())
        shares = {kind: part / total for kind, part in spent.items()}
        profile.rows.append(Row(config.row, config.model.title, total, shares))
        output.say(f"{config.row}: {total:.1f} ms a step")
    session.write(f"profile-{options.size}", profile, [_table(profile)])


def milliseconds(loop: Workload, device: torch.device, *, steps: int, untimed: int) -> dict[str, float]:
    """Return the milliseconds of each of `KINDS` in a step, over `steps` steps.

    `untimed` ones, which fill memory and caches, come before, and a few that make room for the profiler's own notes.
    """
    # Else the profiler's library reports its own starts, and on a CPU that there is no GPU.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    from torch._C._autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    on_gpu = device.type == "cuda"
    time_block(loop, untimed, device)
    loop.ready()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    measure = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    spent = dict.fromkeys(KINDS, 0.0)
    # One step at a time: the profiler's notes of many steps lie between the activations on the heap, which then grows
    # all the time, and what writes to fresh memory (BatchNorm, activations) seems to take several times as long.
    for step in range(_FILLING + steps):
        # Without acc_events torch 2.11 warns of cycles, of which there is one.
        with profile(activities=activities, record_shapes=True, acc_events=True) as profiler:
            loop.run(1)
        events = profiler.key_averages(group_by_input_shape=True)
        if step >= _FILLING:
            # A kernel has a row of its own beside that of the operation which launched it, and both hold its time.
            operations = [event for event in events if event.device_type == DeviceType.CPU]
            for event in operations:
                spent[kind_of(event.key, event.input_shapes)] += getattr(event, measure)
    return {kind: microseconds / steps / 1e3 for kind, microseconds in spent.items()}


def kind_of(name: str, shapes: Sequence[Any]) -> str:
    """Return which of `KINDS` an operation is, by its name and the shapes of its arguments."""
    if "conv" in name and len(shapes) > 2:
        backward = "backward" in name
        image, weight = (shapes[1], shapes[2]) if backward else (shapes[0], shapes[1])
        if len(image) == len(weight) == 4:
            return _both(_convolution(image[1], weight))[backward]
    return next((kind for kind, words in _OTHERS.items() if any(word in name for word in words)), "rest")


def _convolution(in_chs: int, weight: Sequence[int]) -> str:
    if weight[1] < in_chs:
        return "depthwise" if weight[1] == 1 else "grouped"
    return "1x1" if weight[2] == 1 else "3x3"


def _table(profile: Profile) -> Table:
    def share(*kinds: str) -> Callable[[Row], float]:
        return lambda row: sum(row.shares[kind] for kind in kinds)

    headings = {"activation": "Act", "pooling": "Pool", "optimiser": "SGD"}
    columns: list[Column[Row]] = [
        Column("Row", lambda row: row.row, wide=True),
        Column("ms", lambda row: row.milliseconds, tenth),
        *(Column(kind.capitalize(), share(*_both(kind)), percentage) for kind in _CONVOLUTIONS),
        Column("Backward", share(*(_both(kind)[1] for kind in _CONVOLUTIONS)), percentage),
        *(Column(headings.get(kind, kind.capitalize()), share(kind), percentage) for kind in (*_OTHERS, "rest")),
    ]
    notes = [
        f"Shares of the operations' own time in {profile.steps} steps of one trial, by torch.profiler. It adds to the"
        " time of each, so this is good for shares and not for speed (`bench throughput`). Depthwise to 3x3: forward"
        " and backward of convolutions; Inception's average pooling is carried out as a depthwise one on a CPU."
        " Backward: of all convolutions together. Pool: with the clearing of its gradient. Copies: casts to bfloat16,"
        " changes of layout, concatenation.",
    ]
    return build("profile", "Where the time of a step goes", columns, profile.rows, notes=notes)


if __name__ == "__main__":
    arguments.finish(main)
