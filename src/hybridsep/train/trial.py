"""One trial: from its initial weights, or its checkpoint, to its last epoch."""

import json
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from hybridsep.config.identity import science
from hybridsep.modules.grouped import merge_groups
from hybridsep.networks.stochastic import give_generator
from hybridsep.runs import seeds
from hybridsep.train.graph import Lane
from hybridsep.train.optimiser import initialise, learning_rates, sgd
from hybridsep.train.sampler import AugmentationSampler
from hybridsep.train.step import DeviceData, Evaluation, TrainingStep


class Diverged(Exception):
    """The training loss became infinite or not a number; the message says where."""


class Trial:
    """The state of one trial in memory. It touches no file; `train/study.py` commits what it says.

    `config` is a plain, resolved configuration whose precision is decided. `history` has one row per finished epoch.
    `lane` is entered by the calling thread, for as long as the trial lives.
    """

    def __init__(
        self,
        config: dict[str, Any],
        trial: int,
        *,
        data: DeviceData,
        build: Callable[[], nn.Module],
        device: torch.device,
        lane: Lane,
    ):
        schedule = config["schedule"]
        self._schedule, self._precision = schedule, config["precision"]
        self._data, self._trial, self._seed, self._lane = data, trial, _stream_seed(config), lane
        self._plans = AugmentationSampler(
            config["augmentation"],
            count=len(data.train_images),
            height=data.test_images.shape[1],
            batch_size=schedule["batch_size"],
            study_seed=self._seed,
        )
        with lane.eager():
            self._make(config, build, device)
        self.history: list[dict[str, Any]] = []
        self.steps_done = 0
        self._seconds = self._training_seconds = 0.0
        self._logits: torch.Tensor | None = None  # of the network as it is now

    def _make(self, config: dict[str, Any], build: Callable[[], nn.Module], device: torch.device) -> None:
        schedule = self._schedule
        self.network = build()
        initialise(self.network, study_seed=self._seed, trial=self._trial)
        self.network.to(device=device, memory_format=torch.channels_last)
        if device.type == "cpu":
            merge_groups(self.network)
        self._dropout = torch.Generator(device)
        give_generator(self.network, self._dropout)
        self._optimiser = sgd(
            self.network,
            momentum=schedule["momentum"],
            nesterov=schedule["nesterov"],
            weight_decay=schedule["weight_decay"],
        )
        self._step = TrainingStep(
            self.network,
            self._optimiser,
            self._data,
            self._plans.plan(trial=self._trial, epoch=1),
            **self._plans.constants,
            label_smoothing=schedule["label_smoothing"],
            precision=self._precision,
        )
        self._advance = self._lane.stepper(self._step, generator=self._dropout)
        self._evaluation = Evaluation(self.network, self._data, size=self._plans.size, precision=self._precision)
        self._evaluate = self._lane.stepper(self._evaluation)
        keys = ("learning_rate", "warmup_epochs", "decay", "decay_steps", "decay_factor", "decay_power")
        rates = learning_rates(
            epochs=schedule["epochs"], steps_per_epoch=self.steps, **{key: schedule[key] for key in keys}
        )
        self._rates = rates.reshape(schedule["epochs"], self.steps)

    @property
    def steps(self) -> int:
        """Steps in an epoch."""
        return self._step.steps

    @property
    def finished(self) -> bool:
        """Whether the last epoch is done."""
        return len(self.history) >= self._schedule["epochs"]

    def rehearsals(self) -> list[Callable[[], None]]:
        """Return a step and an evaluation, to find out what each takes; afterwards the trial is of no other use."""

        def step() -> None:
            self._dropout.manual_seed(0)
            self._step.begin_epoch(self._plans.plan(trial=self._trial, epoch=1), self._rates[0])
            self._step()

        return [step, self._evaluate]

    def train_epoch(self, *, after_step: Callable[[int], bool]) -> bool:
        """Train and evaluate the next epoch, from the middle of it after an interruption; add its row to `history`.

        `after_step(steps done)` is called after every step; when it returns True the epoch is left where it is and
        False is returned. Raises Diverged at the epoch's end when a step's loss was not finite.
        """
        epoch = len(self.history) + 1
        begun = time.perf_counter()
        if self.steps_done == 0:
            self._dropout.manual_seed(seeds.seed(self._seed, "dropout", self._trial, epoch))
        plan = self._plans.plan(trial=self._trial, epoch=epoch)
        self._step.begin_epoch(plan, self._rates[epoch - 1], first_step=self.steps_done)
        while self.steps_done < self.steps:
            self._advance()
            self.steps_done += 1
            if after_step(self.steps_done) and self.steps_done < self.steps:
                self._lane.wait()
                self._seconds += time.perf_counter() - begun
                self._training_seconds = self._seconds
                return False
        losses = self._step.losses.cpu().numpy()
        wrong = int(self._step.wrong.sum())
        training_seconds = self._training_seconds + time.perf_counter() - begun
        broken = np.flatnonzero(~np.isfinite(losses))
        if len(broken):
            where = f"step {broken[0] + 1} of {self.steps} in epoch {epoch}"
            raise Diverged(f"the training loss is {losses[broken[0]]} at {where}; the last good epoch is {epoch - 1}")
        self._evaluate()
        self._logits = self._evaluation.logits
        labels = self._data.test_labels
        test_loss = float(functional.cross_entropy(self._logits, labels))
        if not math.isfinite(test_loss):
            raise Diverged(f"the test loss is {test_loss} after epoch {epoch}; the last good epoch is {epoch - 1}")
        images = self.steps * self._step.batch_size
        self.history.append(
            {
                "epoch": epoch,
                "train_loss": float(losses.astype(np.float64).mean()),
                "train_error": 100.0 * wrong / images,
                "test_loss": test_loss,
                "test_error": 100.0 * float((self._logits.argmax(1) != labels).double().mean()),
                "learning_rate": float(self._rates[epoch - 1, -1]),
                "images_per_second": images / training_seconds,
                "seconds": self._seconds + time.perf_counter() - begun,
            }
        )
        self.steps_done, self._seconds, self._training_seconds = 0, 0.0, 0.0
        return True

    def logits(self) -> np.ndarray:
        """Return the logits (test images, classes) of the network as it is now."""
        if self._logits is None:
            self._evaluate()
            self._logits = self._evaluation.logits
        return self._logits.cpu().numpy()

    def state(self) -> dict[str, Any]:
        """Return all that a resumed run needs, on the CPU; in the middle of an epoch too."""
        momentum = {
            name: self._optimiser.state[parameter]["momentum_buffer"].cpu()
            for name, parameter in self.network.named_parameters()
            if "momentum_buffer" in self._optimiser.state[parameter]
        }
        return {
            "network": {name: tensor.cpu() for name, tensor in self.network.state_dict().items()},
            "momentum": momentum,
            "history": self.history,
            "steps_done": self.steps_done,
            "seconds": self._seconds,
            "losses": self._step.losses.cpu(),
            "wrong": self._step.wrong.cpu(),
            "dropout": self._dropout.get_state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what `state()` returned."""
        self.network.load_state_dict(state["network"])
        for name, parameter in self.network.named_parameters():
            if name in state["momentum"]:
                buffer = torch.empty_like(parameter).copy_(state["momentum"][name])
                self._optimiser.state[parameter]["momentum_buffer"] = buffer
        self.history = [dict(row) for row in state["history"]]
        self.steps_done = state["steps_done"]
        self._seconds = self._training_seconds = state["seconds"]
        self._step.losses.copy_(state["losses"])
        self._step.wrong.copy_(state["wrong"])
        self._dropout.set_state(state["dropout"])
        self._logits = None


def _stream_seed(config: dict[str, Any]) -> int:
    """Return the seed of all streams: the study's, so that trials are paired, or one that the model takes part in."""
    if config["paired"]:
        return config["seed"]
    return seeds.seed(config["seed"], "unpaired", json.dumps(science(config)["model"], sort_keys=True))
