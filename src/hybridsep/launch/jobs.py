"""The jobs of a command, each some trials of one row, and how they ended: that stands in the trials' records."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from filelock import Timeout
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from hybridsep.config import Config, groups, parse_trials, resolve
from hybridsep.config.identity import science
from hybridsep.config.trials import ranges
from hybridsep.errors import TRACEBACK, ConfigError, RecordError, UserError
from hybridsep.runs import records
from hybridsep.runs.record import State


class JobError(UserError):
    """What is to be mended in a job of another process: its lines, joined by newlines."""


@dataclass
class Job:
    """Some trials of one row, or the measurement of its speed, which has no trials.

    `name`: what distinguishes the job from the others of its command. `ends`: how each trial stood by its record when
    `look` was called last. `errors`: lines that say what is to be mended. `measured`: a speed was. `log`: what says
    more of a job that was lost.
    """

    config: Config
    trials: list[int]
    overrides: list[str] = field(default_factory=list)
    name: str = "the job"
    ends: dict[int, State] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    measured: bool = False
    log: str = ""

    @cached_property
    def study(self) -> Path:
        return records.study_folder(Path(self.config.results), self.config.study)

    @property
    def log_name(self) -> str:
        """The name of the file that has what the job said, in the folder of its sweep."""
        return f"{self.config.row}-trial-{ranges(self.trials)}.log" if self.trials else f"{self.config.row}-speed.log"

    def label(self, trial: int) -> str:
        return f"{self.config.row} {self._folder(trial).name}"

    def look(self) -> None:
        """Read from the records how each trial stands."""
        self.ends = {trial: end_of(self._folder(trial)) for trial in self.trials}

    def that_are(self, *ends: State) -> list[int]:
        """Return the trials that stand so."""
        return [trial for trial, end in self.ends.items() if end in ends]

    @property
    def left(self) -> bool:
        """Whether something has no end, though nothing was wrong with it."""
        unended = self.that_are(State.INTERRUPTED, State.KILLED) if self.trials else not self.measured
        return bool(unended) and not self.errors

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return not (self.left or self.errors or self.that_are(State.FAILED, State.DIVERGED))

    def why(self, trial: int) -> str:
        """Return, in a line, why a trial ended and the file or folder that says more."""
        folder = self._folder(trial)
        message = records.load(folder).message
        return f"{message}; see {folder / TRACEBACK if (folder / TRACEBACK).exists() else folder}"

    def test_error(self) -> float:
        """Return the mean test error of the trials in percent, not-a-number unless all are finished."""
        self.look()
        if not self.trials or self.that_are(State.FINISHED) != self.trials:
            return math.nan
        results = [records.load(self._folder(trial)).result for trial in self.trials]
        return statistics.fmean(result.test_error for result in results if result is not None)

    def _folder(self, trial: int) -> Path:
        return records.run_folder(Path(self.config.results), self.config.study, self.config.row, trial)


def end_of(folder: Path) -> State:
    """Return how the trial in `folder` stands."""
    try:
        status = records.load(folder).status
    except RecordError:
        status = State.INTERRUPTED
    if status in (State.RUNNING, State.INTERRUPTED) and _locked(folder):
        return State.BUSY
    return State.KILLED if status == State.RUNNING else status


def _locked(folder: Path) -> bool:
    lock = records.lock_file(folder)
    if not lock.exists():
        return False
    try:
        with records.lock(folder).acquire(blocking=False):
            return False
    except Timeout:
        return True
    except OSError:
        return False


def check_choices(choices: Mapping[str, Any]) -> None:
    """Raise ConfigError for a list of choices of one group, as a file can have it: Hydra would merge them.

    `choices`: what Hydra records of this composition, by group.
    """
    for group in groups():
        if group not in choices:  # Hydra records no choice where there are several
            raise ConfigError(
                f"a list of files for {group} would be merged into one: -m {group}=A,B does one after the other"
            )


def as_typed(overrides: Any) -> list[str]:
    """Return the overrides of Hydra's list with their `${...}` as typed: iterating over it would resolve them."""
    return cast(list[str], OmegaConf.to_container(overrides))


def compose(loader: ConfigLoader, sweep: DictConfig, lists: Sequence[list[str]]) -> list[Job]:
    """Return the jobs of a sweep, one for each list of overrides; those that differ in their trials share a `Config`.

    Raises what Hydra or a check raises for the first job that is wrong.
    """
    composed: dict[tuple[str, ...], tuple[Config, Any]] = {}
    jobs = []
    for overrides, name in zip(lists, _names(lists), strict=True):
        same = tuple(text for text in overrides if not text.startswith("trial="))
        if same not in composed:
            tree = loader.load_sweep_config(sweep, list(same))
            check_choices(tree.hydra.runtime.choices)
            if tree.hydra.sweeper.get("params") != sweep.hydra.sweeper.get("params"):
                swept = ", ".join(tree.hydra.sweeper.params)
                raise ConfigError(f"{name} sweeps over {swept} itself: type a command for each")
            composed[same] = resolve(tree, as_typed(tree.hydra.overrides.task)), tree.trial
        config, trials = composed[same]
        typed = [text for text in overrides if text.startswith("trial=")]
        if typed:
            trials = OverridesParser.create().parse_override(typed[-1]).value()
        jobs.append(Job(config, [] if config.task == "speed" else parse_trials(trials), overrides, name))
    _check_rows(jobs)
    return jobs


def _check_rows(jobs: Sequence[Job]) -> None:
    """Raise ConfigError where two jobs would write different runs, or two measurements, into one place."""
    places: dict[tuple[Path, str, int | None], Job] = {}
    compared: set[tuple[int, int]] = set()
    for job in jobs:
        trials: list[int | None] = [*job.trials] or [None]  # a measurement of speed has none
        for trial in trials:
            other = places.setdefault((job.study, job.config.row, trial), job)
            pair = id(other.config), id(job.config)
            if other is job or pair in compared:
                continue
            compared.add(pair)
            if trial is None or science(other.config) != science(job.config):
                raise ConfigError(
                    f"{other.name} and {job.name} would both be row {job.config.row} of study {job.config.study}:"
                    f" {_naming([each.overrides for each in jobs])}"
                )


def _naming(lists: Sequence[list[str]]) -> str:
    """Return how to give the jobs of a sweep, each a list of overrides, rows of their own."""
    keys = [lists[0][place].partition("=")[0].lstrip("+") for place in _varying(lists)]
    keys = [key for key in keys if key not in ("model", "trial")]
    if not keys or any(key in groups() for key in keys):
        return "type a command for each, with row=NAME or study=NAME"
    return f"name them, for example 'row={'-'.join(f'${{{key}}}' for key in ['model.name', *keys])}'"


def _varying(lists: Sequence[list[str]]) -> list[int]:
    """Return the places at which lists of overrides differ."""
    return [place for place in range(len(lists[0])) if len({overrides[place] for overrides in lists}) > 1]


def _names(lists: Sequence[list[str]]) -> list[str]:
    """Return a name for each job: what distinguishes it from the others, such as `model=resnext trial=0..4`."""
    if not lists:
        return []
    places = _varying(lists)
    return [" ".join(overrides[place].lstrip("+") for place in places) or "the job" for overrides in lists]
