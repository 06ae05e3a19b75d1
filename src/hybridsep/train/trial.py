"""One trial: from its initial weights, or its checkpoint, to its last epoch."""

import math
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from hybridsep.config import Config
from hybridsep.runs.record import Epoch
from hybridsep.train.assembly import assemble, dropout_seed, stream_seed
from hybridsep.train.checkpoint import TrialState
from hybridsep.train.graph import TrialStream
from hybridsep.train.optimiser import learning_rates
from hybridsep.train.step import DeviceData, training_images


class Diverged(Exception):
    """The training loss became infinite or not a number; the message says where."""


class Trial:
    """The state of one trial in memory. It touches no file; `train/row.py` commits what it says.

    `config` has its precision decided. `history` holds the finished epochs.
    `stream` is entered by the calling thread, for as long as the trial lives.
    """

    def __init__(
        self,
        config: Config,
        trial: int,
        *,
        data: DeviceData,
        build: Callable[[], nn.Module],
        device: torch.device,
        stream: TrialStream,
    ):
        self._schedule = schedule = config.schedule
        self._data, self._trial, self._seed, self._stream = data, trial, stream_seed(config), stream
        with stream.eager():
            parts = assemble(config, data=data, device=device, trial=trial, build=build)
        self.network, self._optimiser, self._dropout = parts.network, parts.optimiser, parts.generator
        self._augmentation, self._step, self._evaluation = parts.augmentation, parts.step, parts.evaluation
        self._advance = stream.training(self._step, generator=self._dropout)
        self._evaluate = stream.evaluation(self._evaluation)
        self._rates = learning_rates(schedule, steps_per_epoch=self.steps).reshape(schedule.epochs, self.steps)
        self.history: list[Epoch] = []
        self.steps_done = 0
        self._seconds = self._training_seconds = 0.0
        self._logits: torch.Tensor | None = None  # of the network as it is now

    @property
    def steps(self) -> int:
        """Steps in an epoch."""
        return self._step.steps

    @property
    def finished(self) -> bool:
        """Whether the last epoch is done."""
        return len(self.history) >= self._schedule.epochs

    @property
    def image_size(self) -> int:
        """Side in pixels of the images that the network sees."""
        return self._augmentation.size

    @property
    def channels(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation by which images are normalised, of each channel, for values in [0, 1]."""
        return tuple(self._data.mean.tolist()), tuple(self._data.std.tolist())

    def training_images(self, count: int) -> np.ndarray:
        """Return the first `count` augmented images of epoch 1, uint8 (count, side, side, 3); no draw is used up."""
        draws = self._augmentation.draw(trial=self._trial, epoch=1)
        with self._stream.eager():
            return training_images(self._data, self._augmentation, draws, count).cpu().numpy()

    def sample_work(self) -> list[Callable[[], None]]:
        """Return a step and an evaluation, to measure the memory of each; afterwards the trial is of no other use."""

        def step() -> None:
            self._dropout.manual_seed(0)
            self._step.begin_epoch(self._augmentation.draw(trial=self._trial, epoch=1), self._rates[0])
            self._step()

        return [step, self._evaluate]

    def train_epoch(self, *, after_step: Callable[[int], bool]) -> bool:
        """Train and evaluate the next epoch, from the middle of it after an interruption; add it to `history`.

        `after_step(steps done)` is called after every step; when it returns True the epoch is left where it is and
        False is returned. Raises Diverged at the epoch's end when a step's loss was not finite.
        """
        epoch = len(self.history) + 1
        begun = time.perf_counter()
        if self.steps_done == 0:
            self._dropout.manual_seed(dropout_seed(self._seed, trial=self._trial, epoch=epoch))
        draws = self._augmentation.draw(trial=self._trial, epoch=epoch)
        with self._stream.eager():
            self._step.begin_epoch(draws, self._rates[epoch - 1], first_step=self.steps_done)
        while self.steps_done < self.steps:
            self._advance()
            self.steps_done += 1
            if after_step(self.steps_done) and self.steps_done < self.steps:
                self._stream.wait()
                self._seconds += time.perf_counter() - begun
                self._training_seconds = self._seconds
                return False
        self._stream.wait()
        with self._stream.eager():
            losses, wrong = self._step.losses.cpu().numpy(), int(self._step.wrong.sum())
        training_seconds = self._training_seconds + time.perf_counter() - begun
        broken = np.flatnonzero(~np.isfinite(losses))
        if len(broken):
            where = f"step {broken[0] + 1} of {self.steps} in epoch {epoch}"
            raise Diverged(f"the training loss is {losses[broken[0]]} at {where}; the last good epoch is {epoch - 1}")
        test_loss, test_error = self._test()
        if not math.isfinite(test_loss):
            raise Diverged(f"the test loss is {test_loss} after epoch {epoch}; the last good epoch is {epoch - 1}")
        images = self.steps * self._step.batch_size
        self.history.append(
            Epoch(
                epoch=epoch,
                train_loss=float(losses.astype(np.float64).mean()),
                train_error=100.0 * wrong / images,
                test_loss=test_loss,
                test_error=test_error,
                learning_rate=float(self._rates[epoch - 1, -1]),
                images_per_second=images / training_seconds,
                seconds=self._seconds + time.perf_counter() - begun,
            )
        )
        self.steps_done, self._seconds, self._training_seconds = 0, 0.0, 0.0
        return True

    def _test(self) -> tuple[float, float]:
        """Evaluate the network as it is now; return the mean loss and the error in percent over all test images."""
        self._evaluate()
        self._stream.wait()
        logits, labels = self._evaluation.logits, self._data.test_labels
        assert logits is not None
        with self._stream.eager():
            loss = float(functional.cross_entropy(logits, labels))
            error = 100.0 * float((logits.argmax(1) != labels).double().mean())
        self._logits = logits
        return loss, error

    def logits(self) -> np.ndarray:
        """Return the logits (test images, classes) of the network as it is now."""
        if self._logits is None:
            self._test()
        assert self._logits is not None
        with self._stream.eager():
            return self._logits.cpu().numpy()

    def state(self) -> TrialState:
        """Return the state as it is now, without `inputs`."""
        with self._stream.eager():
            momentum = {
                name: self._optimiser.velocity[parameter].cpu()
                for name, parameter in self.network.named_parameters()
                if parameter in self._optimiser.velocity
            }
            return TrialState(
                network={name: tensor.cpu() for name, tensor in self.network.state_dict().items()},
                momentum=momentum,
                history=list(self.history),
                steps_done=self.steps_done,
                seconds=self._seconds,
                losses=self._step.losses.cpu(),
                wrong=self._step.wrong.cpu(),
                dropout=self._dropout.get_state(),
            )

    def load_state(self, state: TrialState) -> None:
        """Take over what `state()` returned."""
        with self._stream.eager():
            self.network.load_state_dict(state.network)
            for name, parameter in self.network.named_parameters():
                if name in state.momentum:
                    self._optimiser.velocity[parameter] = torch.empty_like(parameter).copy_(state.momentum[name])
            self.history = list(state.history)
            self.steps_done = state.steps_done
            self._seconds = self._training_seconds = state.seconds
            self._step.losses.copy_(state.losses)
            self._step.wrong.copy_(state.wrong)
            self._dropout.set_state(state.dropout)
            self._logits = None
