"""What stands above every table: where the numbers are from."""

from collections import Counter
from collections.abc import Iterable

from hybridsep.config.trials import ranges
from hybridsep.report.folders import Run
from hybridsep.report.runset import RunSet
from hybridsep.report.settings import AnalysisOptions
from hybridsep.report.study_machines import processor
from hybridsep.report.table import number, signed
from hybridsep.runs.record import Machine, Timings


def lines(runset: RunSet, options: AnalysisOptions) -> list[str]:
    """Return the heading of the runset's tables, one fact group per line."""
    record = runset.first.record
    config, dataset = record.settings, record.dataset
    schedule, epochs = config.schedule, config.schedule.epochs
    return [
        f"Study {runset.study}, seed {config.seed}. Data: {dataset.title}, {dataset.train:,} training and"
        f" {dataset.test:,} test images, sha256 {dataset.sha256[:12]}.",
        f"Size {config.size.name}{_shape(runset)}; schedule {schedule.name}, {epochs:,}"
        f" {'epoch' if epochs == 1 else 'epochs'}; precision {config.precision}; match"
        f" {' or '.join(runset.values('match'))}.",
        f"Errors in % on {images(runset)}; {_pairing(runset, options)}. {_machines(runset)}",
        *mixed(runset.finished),
        *across_processors(runset),
    ]


def across_processors(runset: RunSet) -> list[str]:
    """Name the pairs whose two trials ran on unlike processors, and what a processor adds, where that can be told."""
    pairs = {row: runset.across_processors(row) for row in runset.variants}
    named = [f"{runset.label(row)} {ranges(trials)}" for row, trials in pairs.items() if trials]
    sentences = [f"Pairs across processors, by trial: {'; '.join(named)}."] if named else []
    here = set(map(processor, runset.finished))
    for name, effect in runset.machines.effects.items():
        if name not in here:
            continue
        done = f"here its errors are adjusted by {signed(-effect.mean)}"
        if not runset.adjusted:
            done = "errors are not adjusted (report.adjust_machines=true)"
        sentences.append(
            f"{name} less {runset.machines.processors[0]}: {signed(effect.mean)} ± {number(effect.error)} points on all"
            f" test images, by all rows of the study; {done}."
        )
    return sentences


def _shape(runset: RunSet) -> str:
    """Say how wide and deep the rows' networks are, as far as their configuration has a word for it."""
    network = runset.first.record.settings.model.network
    parts = ["widths " + "-".join(map(str, network["widths"]))] if network.get("widths") else []
    parts += [f"widths x {network['width_ratio']:g}"] if "width_ratio" in network else []
    for key in ("depth", "columns"):
        if key in network:
            parts.append(f"{key} {' or '.join(runset.values(f'model.network.{key}'))}")
    return f" ({', '.join(parts)})" if parts else ""


def _machines(runset: RunSet) -> str:
    named = machines(runset.finished)
    return "Several machines or thread counts." if ";" in named else f"Machine: {named}."


def mixed(runs: Iterable[Run]) -> list[str]:
    """Return one line for each thing that should be the same in every run of a study and is not."""
    runs = list(runs)
    values = {
        "Commits": _commits,
        "Machines": lambda run: str(run.record.machine.gpu or run.record.machine.processor),
        "Threads": lambda run: str(run.record.machine.threads or "unknown"),
        "Trials at once": lambda run: str(run.record.timings.at_once),
        "Versions of torch": lambda run: run.record.versions.get("torch", "unknown"),
    }
    sentences = []
    for name, value in values.items():
        counts = Counter(map(value, runs))
        if len(counts) > 1:
            shown = (f"{one} ({count} {'trial' if count == 1 else 'trials'})" for one, count in sorted(counts.items()))
            sentences.append(f"{name} differ: {', '.join(shown)}.")
    return sentences


def _commits(run: Run) -> str:
    """Name the commits that trained a run, in one part or several."""
    git = run.record.git
    return " and ".join(commit[:10] for commit in (*git.earlier, git.commit or "unknown"))


def caption(runset: RunSet) -> str:
    """Return the line under a figure: enough to know where a picture that stands alone is from."""
    config, dataset = runset.first.record.settings, runset.first.record.dataset
    epochs = "1 epoch" if config.schedule.epochs == 1 else f"{config.schedule.epochs:,} epochs"
    return f"Study {runset.study}: {dataset.title}, size {config.size.name}, {epochs}."


def images(runset: RunSet) -> str:
    """Say which test images count."""
    if runset.own_images:
        return f"{runset.images:,} images that each trial held out of training, its own"
    if runset.subset.mode == "all":
        return f"all {runset.images:,} test images"
    how = "drawn anew for each trial" if runset.subset.mode == "paper" else "the same for all trials"
    return f"{runset.subset.images:,} of {runset.images:,} test images, {how}"


def _pairing(runset: RunSet, options: AnalysisOptions) -> str:
    if options.pairing == "unpaired":
        return "trials treated as unpaired"
    paired = runset.first.record.settings.paired
    return "trial t is held against trial t" + ("" if paired else " (though they were not run as pairs)")


def machines(runs: Iterable[Run]) -> str:
    """Name the processors and devices of the runs, with the number of runs where there are several.

    Trials that ran side by side are told apart too: what one of them did in a second is not what the machine did.
    """
    counts = Counter(_machine(run.record.machine) + _beside(run.record.timings) for run in runs)
    if len(counts) == 1:
        return next(iter(counts))
    return "; ".join(f"{name} ({count} runs)" for name, count in sorted(counts.items()))


def _beside(timings: Timings) -> str:
    return f", {timings.at_once} trials at once" if timings.at_once > 1 else ""


def _machine(machine: Machine) -> str:
    if machine.gpu:
        return machine.gpu
    processor, threads = machine.processor or "unknown", machine.threads
    if not threads:
        return processor
    return f"{processor}, {threads} thread" if threads == 1 else f"{processor}, {threads} threads"
