"""What stands above every table: where the numbers are from, and what is not as in the paper."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from hybridsep.config.identity import flatten
from hybridsep.report.folders import Run
from hybridsep.report.sample import Sample
from hybridsep.report.settings import Choices, Paper


def lines(sample: Sample, choices: Choices) -> list[str]:
    """Return the heading of the sample's tables, one fact group per line."""
    record = sample.first.record
    config, dataset = record["config"], record["dataset"]
    size, schedule = config.get("size", {}), config["schedule"]
    widths = "-".join(map(str, size.get("widths", [])))
    shape = f" (widths {widths}, depth {size.get('depth')})" if widths else ""
    epochs = schedule["epochs"]
    return [
        f"Study {sample.study}, seed {config['seed']}. Data: {dataset['title']}, {dataset['train']:,} training and"
        f" {dataset['test']:,} test images, sha256 {dataset['sha256'][:12]}.",
        f"Size {size.get('name', 'unknown')}{shape}; schedule {schedule.get('name', 'unknown')}, {epochs:,}"
        f" {'epoch' if epochs == 1 else 'epochs'}; precision {config.get('precision')}; match"
        f" {config.get('match')}.",
        f"Errors in % on {images(sample)}; {_pairing(sample, choices)}. Machine: {machines(_finished(sample))}.",
    ]


def images(sample: Sample) -> str:
    """Say which test images count."""
    if sample.subset.mode == "all":
        return f"all {sample.images:,} test images"
    how = "drawn anew for each trial" if sample.subset.mode == "paper" else "the same for all trials"
    return f"{sample.subset.images:,} of {sample.images:,} test images, {how}"


def _pairing(sample: Sample, choices: Choices) -> str:
    if choices.pairing == "unpaired":
        return "trials treated as unpaired"
    paired = sample.first.record["config"].get("paired", True)
    return "trial t is held against trial t" + ("" if paired else " (though they were not run as pairs)")


def _finished(sample: Sample) -> Iterable[Run]:
    return (run for trials in sample.runs.values() for run in trials.values())


def machines(runs: Iterable[Run]) -> str:
    """Name the processors and devices of the runs, with the number of runs where there are several.

    Trials that ran side by side are told apart too: what one of them did in a second is not what the machine did.
    """
    counts = Counter(_machine(run.record["machine"]) + _beside(run.record["timings"]) for run in runs)
    if len(counts) == 1:
        return next(iter(counts))
    return "; ".join(f"{name} ({count} runs)" for name, count in sorted(counts.items()))


def _beside(timings: dict[str, Any]) -> str:
    at_once = timings.get("trials_at_once") or 1
    return f", {at_once} trials at once" if at_once > 1 else ""


def _machine(machine: dict[str, Any]) -> str:
    if machine.get("gpu"):
        return str(machine["gpu"])
    processor, threads = machine.get("processor", "unknown"), machine.get("threads")
    if not threads:
        return str(processor)
    return f"{processor}, {threads} thread" if threads == 1 else f"{processor}, {threads} threads"


def _differing(sample: Sample, paper: Paper) -> dict[str, tuple[Any, list[Any]]]:
    flat = flatten(sample.first.record["config"]) | {"data.name": sample.first.record["dataset"]["name"]}
    return {key: (flat.get(key), allowed) for key, allowed in paper.conditions.items() if flat.get(key) != allowed[0]}


def departures(sample: Sample, paper: Paper) -> list[str]:
    """Return what forbids a verdict on the paper: values that are neither the paper's own nor accepted in its place."""
    found = _differing(sample, paper).items()
    return [f"{key} is {value} (paper: {allowed[0]})" for key, (value, allowed) in found if value not in allowed]


def remarks(sample: Sample, paper: Paper) -> list[str]:
    """Return what differs from the paper and is accepted in its place (conf/paper.yaml, `conditions`)."""
    found = _differing(sample, paper).items()
    return [f"{key} is {value} in place of {allowed[0]}" for key, (value, allowed) in found if value in allowed]


def warning(sample: Sample, paper: Paper) -> str | None:
    """Return the line that must not be overlooked, or None when the runs are made as the paper's were."""
    found, accepted = departures(sample, paper), remarks(sample, paper)
    if not found:
        return f"Not quite the paper's experiment: {'; '.join(accepted)}." if accepted else None
    synthetic = sample.first.record["dataset"]["name"] in paper.synthetic
    verdict = (
        "these numbers say nothing about the paper" if synthetic else "read them as a trend, not as a reproduction"
    )
    return f"NOT the paper's experiment, {verdict}: {'; '.join(found + accepted)}."
