"""Sets of runs that one table compares: which belong together, and their errors on the chosen test images."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from typing import Any

import numpy as np

from hybridsep.config.schema import SubsetMode
from hybridsep.data.subset import HELD_OUT, evaluation_subset
from hybridsep.errors import UserError
from hybridsep.report import mixture
from hybridsep.report.folders import Problem, Run
from hybridsep.report.settings import AnalysisOptions, Paper, RowSpec, TableSpec
from hybridsep.report.study_machines import StudyMachines, processor
from hybridsep.runs import asked, records
from hybridsep.runs.record import State

OWN_ROWS = "rows"
OWN_TITLE = "Rows that are not of the paper: difference in test error from the baseline"


@dataclass(frozen=True)
class Subset:
    """Which test images count: `mode` paper, fixed or all, and how many."""

    mode: SubsetMode
    images: int


@dataclass(eq=False)
class RunSet:
    """Rows of one study that share one table.

    `runs[row][trial]` are the finished runs, `others` those that are not finished. `rows` is in the order of the table,
    the baseline first if it has runs or is asked for by the table. `machines` is that of the whole study, of the same
    images; with `adjusted`, what it finds is taken from the errors.
    """

    study: str
    table: str
    spec: TableSpec
    baseline: str
    rows: list[str]
    runs: dict[str, dict[int, Run]]
    others: list[Run]
    trials: dict[str, list[int]]
    subset: Subset
    adjusted: bool = False
    machines: StudyMachines = field(default_factory=lambda: StudyMachines([]))
    decimals: int = 2  # of errors and their differences in tables

    @cached_property
    def first(self) -> Run:
        """Any one finished run: what it shares with all the others can be read from it."""
        return self.finished[0]

    @property
    def images(self) -> int:
        """Number of test images of the dataset."""
        return len(self.first.labels)

    @property
    def by_image(self) -> bool:
        """Whether errors are counted on the test images."""
        return True

    @property
    def outputs(self) -> int:
        """Numbers that a run predicts for each image."""
        return len(self.first.record.dataset.classes)

    def probabilities(self, run: Run) -> np.ndarray:
        """Return what a run predicts, (images, classes) float64: the softmax of its logits."""
        from scipy.special import softmax

        logits, _ = records.read_predictions(run.folder)
        return softmax(logits.astype(np.float64), axis=1)

    @property
    def own_images(self) -> bool:
        """Whether each trial holds out images of its own, so that nothing can be said of two trials image by image."""
        return self.first.record.settings.evaluation.subset == HELD_OUT

    @property
    def short_title(self) -> str:
        """The title's first part: Figure 4."""
        return self.spec.title.split(":")[0]

    @property
    def of_paper(self) -> bool:
        """Whether the paper has numbers for rows of this table."""
        return any(entry.paper is not None for entry in self.spec.rows.values())

    @property
    def finished(self) -> list[Run]:
        """All finished runs, row by row."""
        return [run for trials in self.runs.values() for run in trials.values()]

    @property
    def variants(self) -> list[str]:
        """The rows other than the baseline."""
        return [row for row in self.rows if row != self.baseline]

    def values(self, key: str) -> list[str]:
        """Every value that the finished runs have for a dotted key of their configuration."""
        path = key.split(".")
        values = (reduce(_inside, path, run.record.config) for run in self.finished)
        return list(dict.fromkeys(map(str, values)))

    def row(self, name: str) -> RowSpec:
        """Title, label and paper's number of a row; a row that the paper does not have is named by its own title."""
        entry = self.spec.rows.get(name)
        if entry is not None:
            return entry
        runs = self.runs.get(name) or {}
        title = next((run.record.settings.model.title for run in runs.values()), None)
        mark = " (own)" if self.is_extra(name) else ""
        return RowSpec(title=(f"{title} ({name})" if title and title != name else name) + mark, label=name + mark)

    def label(self, row: str) -> str:
        """What a row is called in a line of a table."""
        return self.row(row).label or row

    def is_extra(self, row: str) -> bool:
        """Return whether a row stands beside those of a table of the paper."""
        return bool(self.spec.experiment) and row not in self.spec.rows

    def chosen(self, trial: int, subset: Subset | None = None) -> np.ndarray:
        """Indices of the test images that count in `trial`. Raises ConfigError for more images than there are."""
        subset = subset or self.subset
        seed = self.first.record.settings.seed
        return evaluation_subset(
            mode=subset.mode, images=subset.images, available=self.images, study_seed=seed, trial=trial
        )

    def errors(self, row: str, subset: Subset | None = None) -> dict[int, float]:
        """Test error in percent of each finished trial of `row`, on that trial's images."""
        return {
            trial: 100 * float(run.wrong[self.chosen(trial, subset)].mean()) - self.machine_adds(run)
            for trial, run in self.runs[row].items()
        }

    def machine_adds(self, run: Run) -> float:
        """Points that are taken from the run's error, so that all are as of one processor; 0 unless `adjusted`."""
        effect = self.machines.effects.get(processor(run)) if self.adjusted else None
        return effect.mean if effect else 0.0

    def across_processors(self, row: str) -> list[int]:
        """Trials of `row` whose partner in the baseline was trained on another processor."""
        baseline = self.runs.get(self.baseline, {})
        return [trial for trial in self.paired(row) if processor(self.runs[row][trial]) != processor(baseline[trial])]

    def cross_errors(self, row: str, subset: Subset | None = None) -> np.ndarray:
        """(n, n): test error in percent of the row's i-th finished trial on the images of its j-th.

        Of trials with images of their own each is judged on its own.
        """
        trials = list(self.runs[row])
        if self.own_images:
            errors = self.errors(row, subset)
            return np.repeat(np.array([errors[trial] for trial in trials])[:, np.newaxis], len(trials), axis=1)
        chosen = np.zeros((self.images, len(trials)), dtype=np.float32)
        for column, trial in enumerate(trials):
            chosen[self.chosen(trial, subset), column] = 1
        wrong = np.array([self.runs[row][trial].wrong for trial in trials], dtype=np.float32)
        # Counts stay below 2**24, so float32 sums are exact.
        added = np.array([self.machine_adds(self.runs[row][trial]) for trial in trials])
        return 100 * (wrong @ chosen).astype(np.float64) / chosen.sum(axis=0) - added[:, np.newaxis]

    def wrong(self, row: str) -> tuple[np.ndarray, int]:
        """Return (trials, images) bool, which images each trial of `row` gets wrong, and how many of them count.

        Of a subset that is drawn anew for each trial the images are all, of one subset those in it. No trial where
        they have images of their own.
        """
        if self.own_images:
            return np.empty((0, self.images), dtype=bool), self.images
        wrong = np.array([run.wrong for run in self.runs[row].values()], dtype=bool).reshape(-1, self.images)
        counting = self.chosen(self.first.trial)
        return (wrong if self.subset.mode == "paper" else wrong[:, counting]), len(counting)

    def seconds(self, row: str) -> float | None:
        """Median seconds that one process takes for a finished trial of `row`; None where the records do not tell.

        Of trials that ran side by side each counts its share of the time.
        """
        timings = [run.record.timings for run in self.runs[row].values()]
        seconds = [timing.seconds / timing.at_once for timing in timings if timing.seconds]
        return float(np.median(seconds)) if seconds else None

    def paired(self, row: str) -> list[int]:
        """Trials that both `row` and the baseline have finished."""
        return [trial for trial in self.runs[row] if trial in self.runs.get(self.baseline, {})]


def _inside(node: Any, key: str) -> Any:
    return node.get(key) if isinstance(node, dict) else None


def split(
    study: str, runs: Sequence[Run], paper: Paper, options: AnalysisOptions
) -> tuple[list[RunSet], list[Problem]]:
    """Return one set of runs per table that the study's rows belong to, and what was left out of them, by name.

    Rows on other images than most of the study's are apart: their tables are numbered.
    """
    by_images: dict[str, list[Run]] = {}
    for run in runs:
        by_images.setdefault(run.record.dataset.sha256, []).append(run)
    runsets: list[RunSet] = []
    problems: list[Problem] = []
    for number, some in enumerate(sorted(by_images.values(), key=len, reverse=True), 1):
        built: list[RunSet] = []
        for name, spec, rows in _tables(study, some, paper, options):
            try:
                table = name if number == 1 else f"{name}-{number}"
                one, left_out = _build(study, table, spec, rows, options)
                built.append(one)
                problems += left_out
            except UserError as error:
                problems.append(Problem(study, None, f"{study}: no {name} table: {error}"))
        machines = StudyMachines(list({(run.row, run.trial): run for one in built for run in one.finished}.values()))
        runsets += [replace(one, machines=machines) for one in built]
    return runsets, problems


def _tables(
    study: str, runs: Sequence[Run], paper: Paper, options: AnalysisOptions
) -> list[tuple[str, TableSpec, dict[str, list[Run]]]]:
    """Return name, table and rows of each table of runs on the same images."""
    by_row: dict[str, list[Run]] = {}
    for run in runs:
        by_row.setdefault(run.row, []).append(run)
    tables: list[tuple[str, TableSpec, list[str]]] = []
    placed: set[str] = set()
    # A study that is called like a table is that table; any other is recognised by its rows.
    candidates = {study: paper.tables[study]} if study in paper.tables else paper.tables
    # Images that are not the paper's are not held against its numbers: its rows and their order, no more.
    other = next((run.record for run in runs if not paper.data.known(run.record)), None)
    for name, spec in candidates.items():
        if other is not None:
            spec = _on_other_images(spec, other.dataset.title)
        present = [row for row in spec.rows if row in by_row]
        new = [row for row in present if row != spec.baseline and row not in placed]
        if new or (present and len(by_row) == 1 and not tables):
            tables.append((name, spec, list(spec.rows)))
            placed.update(present)
    others = [row for row in by_row if row not in placed]
    if others and tables:
        # A row of one's own stands below the paper's, in the first table.
        tables[0][2].extend(others)
    elif others:
        baseline = options.baseline if options.baseline in by_row else ""
        rows = ([baseline] if baseline else []) + [row for row in others if row != baseline]
        title = OWN_TITLE if other is None else f"Rows on {other.dataset.title}: difference in test error"
        tables.append((OWN_ROWS, TableSpec(title=title, baseline=baseline), rows))
    return [(name, spec, {row: by_row.get(row, []) for row in rows}) for name, spec, rows in tables]


def _on_other_images(spec: TableSpec, title: str) -> TableSpec:
    """Return a table of the paper for other images: the same rows and order, without the paper's numbers."""
    first, _, rest = spec.title.partition(":")
    rows = {row: replace(entry, paper=None) for row, entry in spec.rows.items()}
    return replace(spec, title=f"{first} on {title}:{rest}" if rest else f"{first} on {title}", rows=rows)


def _build(
    study: str, name: str, spec: TableSpec, by_row: dict[str, list[Run]], options: AnalysisOptions
) -> tuple[RunSet, list[Problem]]:
    runs = [run for group in by_row.values() for run in group]
    finished = [run for run in runs if run.status == State.FINISHED]
    if not finished:
        raise UserError(f"none of its {len(runs)} run{'s'[: len(runs) != 1]} is finished")
    recorded = options.subset == "recorded" or (options.images is None and options.subset != "all")
    finished, left_out = mixture.fitting(finished, spec, table=name, baseline=spec.baseline, evaluation=recorded)
    by_trial: dict[str, dict[int, Run]] = {row: {} for row in by_row}
    for run in sorted(finished, key=lambda run: run.trial):
        by_trial[run.row][run.trial] = run
    # A row of the table stays, though empty; one's own that is left out does not.
    gone = [row for row, group in by_row.items() if row not in spec.rows and group and not by_trial[row]]
    by_trial = {row: trials for row, trials in by_trial.items() if row not in gone or any(_unfinished(by_row[row]))}
    # The paper's baseline unless the user names another row of the table.
    baseline = options.baseline if options.baseline in by_trial and by_trial[options.baseline] else spec.baseline
    rows = sorted(by_trial, key=lambda row: row != baseline)
    of_study = asked.read(finished[0].folder.parents[1])
    expected = {
        row: expected_trials(row, of_study, options, of_table=spec.trials, begun=bool(by_row[row])) for row in rows
    }
    runset = RunSet(
        study=study,
        table=name,
        spec=spec,
        baseline=baseline,
        rows=rows,
        runs=by_trial,
        others=_unfinished(runs),
        trials={row: sorted({*expected[row], *(run.trial for run in by_row[row])}) for row in rows},
        subset=_subset(finished, options),
        adjusted=options.adjust_machines,
    )
    runset.chosen(finished[0].trial)
    return runset, left_out


def _unfinished(runs: Sequence[Run]) -> list[Run]:
    return [run for run in runs if run.status != State.FINISHED]


def _subset(finished: list[Run], options: AnalysisOptions) -> Subset:
    recorded = finished[0].record.settings.evaluation
    mode = recorded.subset if options.subset == "recorded" else options.subset
    return Subset(mode, options.images or recorded.images)


def expected_trials(row: str, rows: asked.Rows, options: AnalysisOptions, *, of_table: int, begun: bool) -> list[int]:
    """Return the trials a row should have: report.trials, else those asked for, else as many as a table says.

    `begun`: the row has runs, and counts as those where other rows were asked for and it was not.
    """
    if options.trials is not None:
        return list(range(options.trials))
    return rows[row] if row in rows else [] if rows and begun else list(range(of_table))


def by_state(trials: Iterable[int], runs: Iterable[Run], unusable: Collection[int] = ()) -> dict[State, list[int]]:
    """Return a row's `trials` by how they stand, a list for every state; `unusable` are those of folders left out."""
    stands = {run.trial: run.status for run in runs}
    states: dict[State, list[int]] = {state: [] for state in State}
    for trial in trials:
        without_run = State.UNUSABLE if trial in unusable else State.MISSING
        states[stands.get(trial, without_run)].append(trial)
    return states
