"""The first losses of every row on a device: what a change of code, versions or machine must not change unseen.

`python tests/test_golden_losses.py [cpu|cuda]` writes `tests/golden/devices/<device>.json` anew, in some minutes on a
CPU; a commit that does so says why. On the same device with the same version of torch the losses are equal bit for
bit. Elsewhere sums are ordered otherwise; then they lie within `_TOLERANCE` of those of any file.
"""

import contextlib
import functools
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import hydra
import numpy as np
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from test_golden import machine

from hybridsep import config as configuration
from hybridsep.train import build, precision
from hybridsep.train.assembly import assemble
from hybridsep.train.graph import TrialStream
from hybridsep.train.step import DeviceData

DEVICES = Path(__file__).parent / "golden" / "devices"
STEPS = 20
_BATCH = {"tiny": 16, "paper": 8}  # a step of the paper's 128 images takes a core seconds
_RATE = 0.005  # at the paper's a rounding grows to a percent within these steps
_NARROW = {
    "fractalnet": ("model.network.widths=[8,8,8]", "model.network.dropout=[0,0.1,0.2]"),
    "darknet": ("model.network.width_ratio=0.125",),
}
_STACK = ("separable", "inception", "resnext", "reformulated_inception", "separable_equivalent", "hybrid")
ROWS = (*_STACK, "fractalnet", "fractalnet_separable", "darknet", "darknet_separable")
PRECISIONS = ("float32", "bfloat16")
# Relative, of each of these losses. Seen between the two ways of Inception, whose roundings differ: 0.002 and 0.009.
_TOLERANCE = {"float32": 0.02, "bfloat16": 0.1}


@functools.cache
def _composed(row: str, size: str, number_format: str) -> configuration.Config:
    small = _NARROW.get(row.removesuffix("_separable"), ()) if size == "tiny" else ()
    words = (
        *(f"model={row}", f"size={size}", f"precision={number_format}", "data=synthetic"),
        *(f"data.source.train={STEPS * _BATCH[size]}", f"schedule.batch_size={_BATCH[size]}", "data.source.test=20"),
        *small,
    )
    configuration.register()
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(configuration.config_dir()), **configuration.hydra_defaults()):
        return configuration.resolve(hydra.compose("config", list(words)))


def losses(row: str, size: str, number_format: str, device: torch.device) -> list[float]:
    """Return the losses of the first steps of trial 0, captured and replayed on a GPU as a trial's are."""
    config = _composed(row, size, number_format)
    dataset = build.dataset(config)
    data = DeviceData.load(dataset, device, padding=config.augmentation.padding, mean=None, std=None)
    network = build.network_factory(config, classes=len(dataset.classes))
    parts = assemble(config, data=data, device=device, trial=0, build=network)
    with contextlib.closing(TrialStream(device, cuda_graph=True)) as stream, stream:
        advance = stream.training(parts.step, generator=parts.generator)
        parts.step.begin_epoch(parts.augmentation.draw(trial=0, epoch=1), np.full(STEPS, _RATE, np.float32))
        for _ in range(STEPS):
            advance()
        stream.wait()
        return parts.step.losses.tolist()


def about(device: torch.device) -> dict[str, str]:
    """Return what the bits depend on."""
    if device.type == "cuda":
        return {"device": torch.cuda.get_device_name(device), "torch": torch.__version__}
    return {"device": machine().partition(", ")[2], "torch": torch.__version__.partition("+")[0]}


def file_of(device: torch.device) -> Path:
    """Return the file of the device."""
    name = re.sub(r"[^a-z0-9]+", "-", about(device)["device"].lower()).strip("-")
    return DEVICES / f"{device.type}-{name}.json".replace("cuda-", "")


def compare(size: str, device: torch.device) -> None:
    """Compare every row with the device's own losses, bit for bit, else with those of every file within tolerance."""
    precision.prepare(device, 1)
    known = {path: json.loads(path.read_text()) for path in sorted(DEVICES.glob("*.json"))}
    own = known.get(file_of(device), {})
    for number_format in PRECISIONS:
        for row in ROWS:
            measured = losses(row, size, number_format, device)
            if own.get("about") == about(device):
                assert measured == own["losses"][size][number_format][row], f"{row}, {number_format}"
                continue
            for path, content in known.items():
                np.testing.assert_allclose(
                    measured,
                    content["losses"][size][number_format][row],
                    rtol=_TOLERANCE[number_format],
                    err_msg=f"{row}, {number_format}, {path.name}",
                )


def test_the_first_losses_at_size_tiny():
    assert list(DEVICES.glob("*.json"))
    compare("tiny", torch.device("cpu"))


@pytest.mark.slow
def test_the_first_losses_at_size_paper():
    compare("paper", torch.device("cpu"))


@pytest.mark.gpu
@pytest.mark.parametrize("size", ["tiny", "paper"])
def test_the_first_losses_on_a_gpu(size):
    compare(size, torch.device("cuda"))


def test_a_change_beyond_roundings_is_found(monkeypatch):
    """A momentum of 0.8 in place of 0.9, on a machine without losses of its own."""
    monkeypatch.setattr(sys.modules[__name__], "about", lambda device: {"device": "another"})
    monkeypatch.setattr(sys.modules[__name__], "PRECISIONS", ("float32",))
    monkeypatch.setattr(sys.modules[__name__], "ROWS", ("separable",))
    compare("tiny", torch.device("cpu"))
    config = _composed("separable", "tiny", "float32")
    changed = replace(config, schedule=replace(config.schedule, momentum=0.8))
    monkeypatch.setattr(sys.modules[__name__], "_composed", lambda *_: changed)
    with pytest.raises(AssertionError, match="separable, float32, cpu-"):
        compare("tiny", torch.device("cpu"))


if __name__ == "__main__":
    chosen = precision.resolve_device(*(sys.argv[1:] or ["cpu"]))
    precision.prepare(chosen, 1)
    content = {
        "about": about(chosen),
        "losses": {
            size: {
                number_format: {row: losses(row, size, number_format, chosen) for row in ROWS}
                for number_format in PRECISIONS
            }
            for size in ("tiny", "paper")
        },
    }
    DEVICES.mkdir(exist_ok=True)
    file_of(chosen).write_text(json.dumps(content, indent=1) + "\n")
    print(file_of(chosen))
