"""The typed configuration of a run, its checks and its identity. No torch here: `--help` stays quick."""

from hybridsep.config.compose import config_dir, groups, hydra_defaults, plain, register, resolve, stem
from hybridsep.config.schema import Config
from hybridsep.config.trials import MAX_TRIAL, parse_trials

__all__ = [
    "MAX_TRIAL",
    "Config",
    "config_dir",
    "groups",
    "hydra_defaults",
    "parse_trials",
    "plain",
    "register",
    "resolve",
    "stem",
]
