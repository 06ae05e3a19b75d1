"""Everybody's trials: a table with `row`, `trial` and `error`, whoever trained them, as runs for the report."""

import math
import re
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from hybridsep.errors import DataError
from hybridsep.report.folders import Run
from hybridsep.report.runset import OWN_ROWS, RunSet, Subset
from hybridsep.report.settings import TableSpec
from hybridsep.runs.record import (
    Augmentation,
    Cost,
    Data,
    DatasetIdentity,
    Evaluation,
    Git,
    Machine,
    Model,
    Record,
    Result,
    Schedule,
    Settings,
    State,
    Timings,
)

NEEDED = ("row", "trial", "error")
PREDICTIONS = "predictions"
# Shares and percentages of one quantity differ by a factor of 100; rows of one study hardly by 20.
_MIXED = 20.0


@dataclass(eq=False)
class TrialsRunSet(RunSet):
    """Trials of which only the errors are known, and maybe what they predict.

    `errors_of[row][trial]` is the error in the table's unit, `predictions[row][trial]` (images, outputs) what it
    predicts, `further[row][trial]` the values of the table's other columns.
    """

    errors_of: dict[str, dict[int, float]] = field(default_factory=dict)
    predictions: dict[str, dict[int, np.ndarray]] = field(default_factory=dict)
    further: dict[str, dict[int, dict[Hashable, object]]] = field(default_factory=dict)

    @property
    def columns(self) -> list[Hashable]:
        """The table's other columns."""
        return next((list(one) for trials in self.further.values() for one in trials.values()), [])

    @property
    def images(self) -> int:
        """How many things were predicted; 0 where it is not known."""
        return next((len(one) for trials in self.predictions.values() for one in trials.values()), 0)

    @property
    def by_image(self) -> bool:
        """Never: errors stand in the table."""
        return False

    @property
    def outputs(self) -> int:
        """Numbers that are predicted for each of them."""
        return next((one.shape[1] for trials in self.predictions.values() for one in trials.values()), 0)

    @property
    def own_images(self) -> bool:
        """Never: what is predicted is the same for all trials."""
        return False

    def probabilities(self, run: Run) -> np.ndarray:
        """What a run predicts, (images, outputs)."""
        return self.predictions[run.row][run.trial]

    def errors(self, row: str, subset: Subset | None = None) -> dict[int, float]:
        """The errors as they stand in the table."""
        return self.errors_of[row]

    def cross_errors(self, row: str, subset: Subset | None = None) -> np.ndarray:
        """(n, n): the error of the i-th trial, whatever the j-th one was judged on."""
        values = np.array(list(self.errors_of[row].values()))
        return np.repeat(values[:, np.newaxis], len(values), axis=1)

    def wrong(self, row: str) -> tuple[np.ndarray, int]:
        """Nothing: which images are wrong is not known."""
        return np.empty((0, 0), dtype=bool), 0


def read(path: Path) -> pd.DataFrame:
    """Return the table of a CSV file, as text. Raises DataError naming the file."""
    try:
        return pd.read_csv(path, dtype=str, skipinitialspace=True, encoding="utf-8-sig")
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise DataError(f"{path}: cannot be read as CSV: {str(error).splitlines()[0]}") from None


def runset_of(
    frame: pd.DataFrame,
    *,
    name: str,
    baseline: str | None,
    margin: float,
    unit: str = "%",
    higher_is_better: bool = False,
    folder: Path = Path("."),
    source: str = "",
) -> TrialsRunSet:
    """Return the trials of a table: columns `row`, `trial`, `error`, and what else there is.

    `predictions` may name an .npy or .npz file (images, outputs) of each trial, seen from `folder`. `baseline` None:
    the first row. `margin`, in the unit, and the spread say how many decimals are written. `source` is what messages
    call the table, `name` unless given. Raises DataError, in one line, for a column that lacks, a trial twice, text in
    a number, shares in place of percent, or fewer than two rows.
    """
    source = source or name
    _check_columns(frame, source)
    frame = frame.reset_index(drop=True)
    rows = frame["row"].astype("string").str.strip()
    if rows.isna().any() or (rows == "").any():
        raise DataError(f"{source}: line {_line(rows.isna() | (rows == ''))} has no row")
    errors, trials = _numbers(frame["error"], "error", source), _numbers(frame["trial"], "trial", source)
    if (trials != trials.round()).any() or (trials < 0).any():
        raise DataError(
            f"{source}: line {_line((trials != trials.round()) | (trials < 0))}: trial is a whole number from 0"
        )
    twice = pd.DataFrame({"row": rows, "trial": trials}).duplicated()
    if twice.any():
        at = twice.idxmax()
        raise DataError(f"{source}: trial {trials[at]:g} of row {rows[at]} stands there twice (line {_line(twice)})")
    names = list(dict.fromkeys(map(str, rows)))
    if len(names) < 2:
        raise DataError(f"{source}: one row, {', '.join(names)}; a comparison needs two, one of them the baseline")
    if baseline is not None and baseline not in names:
        raise DataError(f"{source}: no row {baseline} to be the baseline; there are {', '.join(names)}")
    _check_units(frame, rows, errors, source, unit)
    baseline = baseline or names[0]
    ordered = sorted(names, key=lambda row: row != baseline)
    others = [column for column in frame.columns if column not in (*NEEDED, PREDICTIONS)]
    errors_of: dict[str, dict[int, float]] = {row: {} for row in ordered}
    further: dict[str, dict[int, dict[Hashable, object]]] = {row: {} for row in ordered}
    predictions: dict[str, dict[int, np.ndarray]] = {row: {} for row in ordered}
    for at in trials.sort_values(kind="stable").index:
        row, trial = str(rows[at]), int(trials[at])
        errors_of[row][trial] = float(errors[at])
        further[row][trial] = {column: frame.at[at, column] for column in others}
        if PREDICTIONS in frame.columns:
            predictions[row][trial] = _predictions(frame.at[at, PREDICTIONS], folder, source, _line(frame.index == at))
    shapes = {one.shape for trials_of in predictions.values() for one in trials_of.values()}
    if len(shapes) > 1:
        raise DataError(f"{source}: predictions of unlike shapes {sorted(shapes)}")
    return TrialsRunSet(
        study=name,
        table=OWN_ROWS,
        spec=TableSpec(
            title=f"{name}: difference from {baseline}", baseline=baseline, unit=unit, higher_is_better=higher_is_better
        ),
        baseline=baseline,
        rows=ordered,
        runs={
            row: {trial: _run(name, row, trial, predictions[row].get(trial)) for trial in errors_of[row]}
            for row in ordered
        },
        others=[],
        trials={row: list(errors_of[row]) for row in ordered},
        subset=Subset("all", 0),
        decimals=_decimals(errors.groupby(rows).std().median(), margin),
        errors_of=errors_of,
        predictions=predictions,
        further=further,
    )


def _check_columns(frame: pd.DataFrame, source: str) -> None:
    lacking = [column for column in NEEDED if column not in frame.columns]
    if lacking:
        there = ", ".join(map(str, frame.columns)) or "none"
        columns = "columns" if len(lacking) > 1 else "column"
        raise DataError(
            f"{source}: no {columns} {', '.join(lacking)}; a line a trial has row,trial,error (there are {there})"
        )
    if not len(frame):
        raise DataError(f"{source}: no trials")


def _numbers(column: pd.Series, what: str, source: str) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    wrong = ~np.isfinite(numbers)
    if wrong.any():
        at = wrong.idxmax()
        raise DataError(f"{source}: line {_line(wrong)}: {what} '{column[at]}' is no number")
    return numbers


def _line(wrong: "pd.Series | np.ndarray") -> int:
    """The first such line of the file, whose first line is the heading."""
    return int(np.argmax(np.asarray(wrong))) + 2


def _decimals(spread: float, margin: float) -> int:
    """Return with how many decimals the smaller of the two has two significant digits, at most six."""
    smaller = spread if 0 < spread < margin else margin
    return min(max(1 - math.floor(math.log10(smaller)), 0), 6)


def _check_units(frame: pd.DataFrame, rows: pd.Series, errors: pd.Series, source: str, unit: str) -> None:
    """Refuse a column `unit` with two values, and errors in percent of which some, or all, are shares."""
    if unit == "%" and errors.max() <= 1:
        raise DataError(
            f"{source}: no error is above 1 (line 2 has {errors.iloc[0]:g}), so they look like shares: multiply them by"
            " 100, or unit=share margin=MARGIN; where they are percentages, unit=percent margin=MARGIN"
        )
    if "unit" in frame.columns and frame["unit"].nunique(dropna=False) > 1:
        raise DataError(f"{source}: mixed units: {', '.join(map(str, frame['unit'].unique()))}")
    shares, others = errors[errors <= 1], errors[errors > 1]
    if len(shares) and len(others) and others.median() > _MIXED * max(shares.max(), 1e-9) and (errors > 0).all():
        raise DataError(
            f"{source}: mixed units: line {_line(errors <= 1)} has {shares.iloc[0]:g}, line {_line(errors > 1)}"
            f" {others.iloc[0]:g}; shares and percentages do not go together"
        )


def _predictions(value: object, folder: Path, source: str, line: int) -> np.ndarray:
    """Read one trial's predictions: an .npy, or the `predictions`, `probabilities` or only array of an .npz."""
    path = folder / str(value)
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            array = loaded
        else:
            key = next((key for key in (PREDICTIONS, "probabilities") if key in loaded.files), None)
            array = loaded[key or _only(loaded.files)]
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{source}: line {line}: predictions {value}: {str(error).splitlines()[0]}") from None
    array = np.asarray(array, dtype=np.float64) if array.dtype.kind in "fiu" else np.empty(0)
    array = array[:, np.newaxis] if array.ndim == 1 else array
    if array.ndim != 2 or not array.size or not np.isfinite(array).all():
        raise DataError(f"{source}: line {line}: predictions {value}: not numbers of shape (images, outputs)")
    return array


def _only(names: list[str]) -> str:
    if len(names) != 1:
        raise ValueError(f"has the arrays {', '.join(names)}; one of them must be called predictions")
    return names[0]


def slug(path: Path) -> str:
    """Return a name for the folder of a file's report."""
    return re.sub(r"[^\w.-]+", "-", path.stem).strip("-.") or "trials"


def _run(study: str, row: str, trial: int, predicted: np.ndarray | None) -> Run:
    """A run that is known by its error alone: of the record nothing but the names is ever shown."""
    settings = Settings(0, Schedule(1), Evaluation("all", 1), Model({}, {}), Data({}), Augmentation())
    record = Record(
        identity=f"{row}/{trial}",
        status=State.FINISHED,
        message="",
        study=study,
        row=row,
        trial=trial,
        config={},
        settings=settings,
        dataset=DatasetIdentity("", study, study, 1, 1, ()),
        model=Cost(),
        result=Result(1, 0.0, 0.0),
        timings=Timings(),
        versions={},
        machine=Machine(),
        git=Git(),
        started="",
        updated="",
    )
    run = Run(Path(row) / str(trial), study, row, trial, State.FINISHED, record)
    several = predicted is not None and predicted.shape[1] > 1
    return replace(run, predicted=predicted.argmax(axis=1)) if predicted is not None and several else run
