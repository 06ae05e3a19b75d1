"""`forget ROW[=TRIALS]`: take what will not be trained any more out of what was asked of a study. Runs stay."""

from pathlib import Path

from hybridsep.config.trials import parse_trials, ranges
from hybridsep.errors import ConfigError
from hybridsep.report.folders import choose
from hybridsep.report.settings import ReportSettings
from hybridsep.runs import asked, records


def forget(settings: ReportSettings, target: str) -> str:
    """Forget `row` or `row=3..9` of the study in `settings` and return a line about it. Raises UserError."""
    row, equals, trials = target.partition("=")
    if settings.study in (None, "all"):
        raise ConfigError("forget takes one study: python -m hybridsep.report forget resnext=5..9 study=quick")
    results = Path(settings.results)
    [study] = choose(results, settings.study)
    gone = asked.forget(records.study_folder(results, study), row, parse_trials(trials) if equals else None)
    return f"{study}: {row} {ranges(gone)} no longer asked for; what was trained of it stays"
