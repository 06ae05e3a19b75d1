"""The report: run folders, or everybody's trials, in; statistics, tables, figures and verdicts out.

Never imports torch, and trains nothing. The arithmetic is in `hybridsep.statistics`; figures draw what was
computed before; nothing that is printed was typed by hand.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from hybridsep.report.trials_report import TrialsComparison


def compare(
    frame: "pd.DataFrame",
    *,
    baseline: str | None = None,
    margin: float | None = None,
    unit: str = "%",
    higher_is_better: bool = False,
    **options: object,
) -> "TrialsComparison":
    """Compare the rows of a table of trials, `row`, `trial` and `error`, with a baseline (None: its first row).

    `margin` in the table's unit, and `options` as in conf/report/options.yaml's part `report` (`alpha=0.01`,
    `pairing="unpaired"`). A column `predictions` may name .npy or .npz files seen from the current folder. Raises
    DataError for a table that cannot be used, ConfigError for an option.
    """
    from hybridsep.report import settings, trials_report

    chosen = {"margin": margin} if margin is not None else {}
    loaded = settings.load([f"report.{key}={value}" for key, value in {**options, **chosen}.items()]).report
    return trials_report.compare_frame(frame, loaded, baseline=baseline, unit=unit, higher_is_better=higher_is_better)
