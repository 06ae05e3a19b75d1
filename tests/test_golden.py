"""What a change of structure must not change: composed configurations, identities, and the bits of a tiny training.

`python tests/test_golden.py` writes `tests/golden/` anew; a commit that does so says why.
"""

import functools
import hashlib
import json
import platform
import re
import subprocess
import sys
from pathlib import Path

import hydra
import numpy as np
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from hybridsep import config
from hybridsep.config.identity import identity, without_places

GOLDEN = Path(__file__).parent / "golden"
# How a training is carried out; no part of any identity.
_CARRIED_OUT = ("kernels", "compile", "fast", "fail_fast", "results", "data_dir", "hydra")
_COMMANDS = {
    "quick": ("separable", "inception", "resnext", "reformulated_inception", "separable_equivalent", "hybrid"),
    "figure5 scale=quick": ("fractalnet_separable", "fractalnet"),
    "figure6 scale=quick": ("darknet_separable", "darknet"),
}
_SCALES = ("quick", "small")
_ROWS = tuple(row for rows in _COMMANDS.values() for row in rows)
_TINY = (
    *("data.source.train=64", "data.source.test=40", "schedule.epochs=1", "schedule.warmup_epochs=0"),
    *("schedule.batch_size=16", "threads=1", "precision=float32", "study=golden", "trial=1"),
)


def _choices(group: str) -> list[str]:
    folder = config.config_dir() / group
    return sorted(str(path.relative_to(folder).with_suffix("")) for path in folder.glob("*.yaml"))


def compositions() -> list[list[str]]:
    """Return the overrides that are held fast: every model at every size, and every other choice once."""
    rows = [*_choices("model"), *(f"variant/{name}" for name in _choices("model/variant"))]
    found = [[f"model={row}", f"size={size}"] for row in rows for size in _choices("size")]
    others = ("data", "augmentation", "schedule", "experiment")
    found += [[f"{group}={name}"] for group in others for name in _choices(group)]
    found += [[f"experiment={name}", "scale=quick"] for name in ("activation", "hybrid_readings", "residual")]
    swept = [
        f"model.network.depth={depth} model.network.residual={residual}"
        for depth in (3, 6, 12)
        for residual in ("false", "true")
    ]
    found += [["experiment=residual", *row.split(), f"size={size}"] for row in swept for size in _choices("size")]
    figures = [("figure5", "fractalnet"), ("figure6", "darknet"), ("figure6", "variant/darknet_reference")]
    found += [[f"experiment={name}", f"scale={scale}", f"model={row}"] for name, row in figures for scale in _SCALES]
    return [[*overrides, "data.path=somewhere/images.tar"] for overrides in found]


def composed() -> dict[str, dict[str, str]]:
    """Return `{overrides: {"sha256" of what --cfg job shows, "identity" of trial 1}}`."""
    config.register()
    GlobalHydra.instance().clear()
    found = {}
    with hydra.initialize_config_dir(str(config.config_dir()), **config.hydra_defaults()):
        for overrides in compositions():
            shown = OmegaConf.to_container(hydra.compose("config", overrides), resolve=True)
            digest = identity(shown, 1)
            kept = {key: value for key, value in without_places(shown).items() if key not in _CARRIED_OUT}
            text = json.dumps(kept, sort_keys=True)
            found[" ".join(overrides)] = {"sha256": hashlib.sha256(text.encode()).hexdigest(), "identity": digest}
    return found


def trained(results: Path) -> dict[str, np.ndarray]:
    """Train every row for four steps with the command a user types; return its logits (40, classes) in float16."""
    for experiment, rows in _COMMANDS.items():
        words = [*f"experiment={experiment}".split(), f"model={','.join(rows)}", *_TINY, f"results={results}"]
        command = [sys.executable, "-m", "hybridsep.run", *words, f"data_dir={results}"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    found = {}
    for row in _ROWS:
        with np.load(results / "runs" / "golden" / row / "trial-01" / "predictions.npz") as content:
            found[row] = content["logits"]
    return found


@functools.cache
def machine() -> str:
    """Return what the last bits of a sum depend on: the library and the processor, whose caches it blocks for."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else [platform.processor()]
    named = ("vendor_id", "cpu family", "model\t", "cache size")
    processor = ", ".join(dict.fromkeys(re.sub(r"\s+", " ", line) for line in lines if line.startswith(named)))
    return f"torch {torch.__version__.partition('+')[0]}, {torch.backends.cpu.get_cpu_capability()}, {processor}"


def digests(logits: dict[str, np.ndarray]) -> dict[str, str]:
    return {row: hashlib.sha256(value.tobytes()).hexdigest()[:16] for row, value in logits.items()}


def test_configurations_and_identities():
    assert composed() == json.loads((GOLDEN / "configurations.json").read_text())


@pytest.fixture(scope="module")
def logits(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("golden"))


def close(logits: np.ndarray, golden: np.ndarray) -> bool:
    # Other machines sum in another order; four steps carry that no further than the third digit.
    return np.allclose(logits.astype(np.float32), golden.astype(np.float32), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("row", _ROWS)
def test_a_tiny_training(logits, row):
    assert close(logits[row], np.load(GOLDEN / "logits.npz")[row])


def test_the_same_bits_on_the_same_machine(logits):
    """On a machine where `bits.json` was not written anew after a row was changed, it leaves that row out."""
    known = json.loads((GOLDEN / "bits.json").read_text()).get(machine(), {})
    found = digests(logits)
    assert {row: found[row] for row in known} == known


if __name__ == "__main__":
    import tempfile

    GOLDEN.mkdir(exist_ok=True)
    (GOLDEN / "configurations.json").write_text(json.dumps(composed(), indent=1) + "\n")
    with tempfile.TemporaryDirectory() as folder:
        fresh = trained(Path(folder))
    # What still agrees stays as it is, so that a new module changes no other row.
    stored = dict(np.load(GOLDEN / "logits.npz")) if (GOLDEN / "logits.npz").exists() else {}
    stored = {
        row: stored[row] if row in stored and close(logits, stored[row]) else logits for row, logits in fresh.items()
    }
    np.savez_compressed(GOLDEN / "logits.npz", **stored)
    place = GOLDEN / "bits.json"
    bits = json.loads(place.read_text()) if place.exists() else {}
    place.write_text(json.dumps({**bits, machine(): digests(fresh)}, indent=1, sort_keys=True) + "\n")
