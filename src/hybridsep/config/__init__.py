"""The typed configuration of a run, its checks and its identity. No torch here: `--help` stays quick."""

from hybridsep.config.schema import Config, check, config_dir, register, stem
from hybridsep.config.trials import MAX_TRIAL, parse_trials

__all__ = ["MAX_TRIAL", "Config", "check", "config_dir", "parse_trials", "register", "stem"]
