"""Hydra's callback: forwards to the command of this process."""

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from hybridsep.launch import command


class SweepCallback(Callback):
    """Tells the command that a sweep begins."""

    def on_multirun_start(self, config: DictConfig, **_: object) -> None:
        command.here().begin_sweep(config)
