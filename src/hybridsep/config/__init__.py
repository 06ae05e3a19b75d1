"""The typed configuration of a run, its checks and its identity. No torch here: `--help` stays quick."""

from hybridsep.config.schema import MAX_TRIAL, Config, check, config_dir, parse_trials, register, stem

__all__ = ["MAX_TRIAL", "Config", "check", "config_dir", "parse_trials", "register", "stem"]
