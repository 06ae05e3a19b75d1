"""The tables of a row's single trials: each by itself, which are missing, and how far two of the baseline are apart."""

from dataclasses import dataclass
from functools import partial

from hybridsep.config.trials import ranges
from hybridsep.report import table
from hybridsep.report.comparison import Comparison, TrialResult
from hybridsep.report.runset import RunSet, by_state
from hybridsep.report.settings import AnalysisOptions
from hybridsep.report.table import (
    Column,
    Table,
    bounds_column,
    build,
    csv_only,
    dash,
    number,
    number_or_dash,
    p_value,
    percent,
    signed,
    span,
    text,
)
from hybridsep.runs.record import State
from hybridsep.statistics.noise import NoiseFloor

UNFINISHED = (State.RUNNING, State.INTERRUPTED, State.DIVERGED, State.FAILED, State.MISSING)


def noise(runset: RunSet, comparison: Comparison, options: AnalysisOptions) -> Table:
    """The noise floor in both ways of choosing images, and what theory expects of it."""
    names = {"same": "Both judged on the same images (as rows are)", "own": "Each judged on its own images"}
    decimals, written = runset.decimals, partial(number, decimals=runset.decimals)
    theory = comparison.predicted
    predicted = {"same": theory.same, "own": theory.own} if theory else {}
    columns: list[Column[tuple[str, NoiseFloor]]] = [
        csv_only("way", lambda line: line[0]),
        Column("Pairs of baseline trials", lambda line: names[line[0]], wide=True),
        Column("Mean |d|", lambda line: line[1].mean, written, csv="mean"),
        bounds_column(f"Range, {percent(options.alpha)}", lambda line: line[1], partial(span, decimals=decimals)),
        Column("s over trials", lambda line: line[1].spread, written, csv="spread"),
        Column(
            "2 s / sqrt(pi)",
            lambda line: line[1].theory if line[0] == "own" else None,
            partial(number_or_dash, decimals=decimals),
            csv="theory",
        ),
        Column("Predicted |d|", lambda line: predicted.get(line[0]), written, csv="predicted"),
        Column("Trials", lambda line: line[1].n, csv="n"),
        Column("Pairs", lambda line: line[1].pairs, csv="pairs"),
    ]
    reason = comparison.floor.reason
    return build(
        f"{runset.table}-noise",
        f"{runset.short_title}: what the seed alone does",
        columns,
        list(comparison.floors.items()),
        notes=[
            f"No noise floor: {reason}."
            if reason
            else "Predicted: the mean |d| of two trials that err independently on every image, each as often as the"
            " trials of the baseline do (Jordan, arXiv 2304.01910)."
        ],
    )


def trial_columns(runset: RunSet) -> list[Column[TrialResult]]:
    """Return which trial a line is of, and its error."""
    columns: list[Column[TrialResult]] = [
        csv_only("row", lambda trial: trial.row),
        Column("Row", lambda trial: trial.label, wide=True),
        Column("Trial", lambda trial: trial.trial, csv="trial"),
        Column("Error %", lambda trial: trial.error, partial(number, decimals=runset.decimals), csv="error"),
    ]
    return columns


def difference_column(runset: RunSet) -> Column[TrialResult]:
    """Return the difference of a trial from the baseline's."""
    return Column[TrialResult](
        "Difference", lambda trial: trial.difference, partial(signed, decimals=runset.decimals), csv="difference"
    )


def trials(runset: RunSet, comparison: Comparison) -> Table:
    """Every finished trial by itself."""
    columns: list[Column[TrialResult]] = [
        *trial_columns(runset),
        Column("On all images", lambda trial: trial.error_all, number, csv="error_all"),
        difference_column(runset),
        Column("Only it wrong", lambda trial: trial.mcnemar and trial.mcnemar.only_row, csv="only_row"),
        Column("Only baseline wrong", lambda trial: trial.mcnemar and trial.mcnemar.only_baseline, csv="only_baseline"),
        Column("McNemar p", lambda trial: trial.mcnemar.p if trial.mcnemar else None, p_value, csv="mcnemar_p"),
        csv_only("disagreement", lambda trial: trial.disagreement),
        Column(
            "Best epoch (diagnostic)",
            lambda trial: f"{text(trial.result.best_epoch)}: {number(trial.result.best_test_error_all)}",
            csv={
                "best_epoch": lambda trial: trial.result.best_epoch,
                "best_error_all": lambda trial: trial.result.best_test_error_all,
            },
        ),
    ]
    return build(
        f"{runset.table}-trials",
        f"{runset.short_title}: every trial",
        columns,
        comparison.trials,
        notes=["The last epoch counts. The best epoch was chosen on test images; nothing here is computed from it."],
    )


@dataclass(frozen=True)
class _Trials:
    """Trials of a row by their state."""

    row: str
    expected: int
    by_state: dict[State, list[int]]


def _state(state: State) -> Column[_Trials]:
    return Column[_Trials](state.capitalize(), lambda row: ranges(row.by_state[state]) or None, dash, csv=state)


def states(runset: RunSet) -> Table:
    """Which trials each row has, and which are unfinished or missing, by name."""
    lines = []
    for row in runset.rows:
        runs = [*runset.runs[row].values(), *(run for run in runset.others if run.row == row)]
        lines.append(_Trials(row, len(runset.trials[row]), by_state(runset.trials[row], runs)))
    columns: list[Column[_Trials]] = [
        csv_only("row", lambda row: row.row),
        Column("Row", lambda row: runset.label(row.row), wide=True),
        Column(
            "Finished",
            lambda row: table.share(len(row.by_state[State.FINISHED]), row.expected),
            csv={"n": lambda row: len(row.by_state[State.FINISHED]), "expected": lambda row: row.expected},
        ),
        *map(_state, UNFINISHED),
    ]
    return build(f"{runset.table}-runs", f"{runset.short_title}: trials by name", columns, lines)
