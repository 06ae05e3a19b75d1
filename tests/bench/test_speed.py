"""`task=speed`: what is measured and kept."""

import json
import subprocess
import sys

import pytest
import torch
from refusals import check_refused
from torch import nn

from hybridsep.bench.speed import Inference
from hybridsep.bench.timing import time_block

QUICK = (
    "experiment=speed",
    "scale=quick",
    "speed.seconds_per_measurement=0.02",
    "speed.repeats=3",
    "speed.train_batch=16",
    "speed.inference_batches=[1,32]",
    "threads=1",
)
CPU = torch.device("cpu")


def test_a_quick_measurement_from_the_command_to_its_table(run, tmp_path):
    status, said = run(*QUICK, "model=separable_equivalent,separable", "hydra.sweeper.params=null")
    assert status == 0, said
    place = tmp_path / "results"
    records = {path.stem: json.loads(path.read_bytes()) for path in (place / "speed/speed-quick").iterdir()}
    assert records.keys() == {"separable", "separable_equivalent"}
    for row, record in records.items():
        assert (record["row"], record["study"], record["config"]["speed"]["height"]) == (row, "speed-quick", 32)
        assert record["versions"]["torch"] and record["machine"]["threads"] == 1 and "commit" in record["git"]
        kinds = [(entry["what"], entry["batch"]) for entry in record["measurements"]]
        assert kinds == [("training", 16), ("inference", 1), ("inference", 32)]
        for entry in record["measurements"]:
            rate = entry["images_per_second"]
            assert rate["n"] == len(rate["blocks"]) == 3 and 1 < rate["median"] < 1e6 and rate["iqr"] >= 0
        training, single, large = (entry["peak_bytes"] for entry in record["measurements"])
        # Weights, gradients and momentum are three times the parameters; a larger batch takes more.
        assert 3 * 4 * record["cost"]["params"] < training and 4 * record["cost"]["params"] < single < large < training
    assert records["separable"]["cost"]["params"] == records["separable_equivalent"]["cost"]["params"]
    # Measured again, the file is replaced; what cannot be used is named and the rest still comes.
    before = (place / "speed/speed-quick/separable.json").read_bytes()
    assert run(*QUICK, "hydra.mode=RUN", "model=separable")[0] == 0
    assert (place / "speed/speed-quick/separable.json").read_bytes() != before
    (place / "speed/speed-quick/resnext.json").write_text("{")
    command = [sys.executable, "-m", "hybridsep.report", "study=speed-quick", f"results={place}"]
    report = subprocess.run(command, capture_output=True, text=True)
    assert report.returncode == 0, report.stderr
    assert "Section 5: speed" in report.stdout and "x 1.00" in report.stdout
    assert report.stderr.count("\n") == 1 and "resnext.json: not a measurement" in report.stderr
    made = place / "tables/speed-quick"
    assert {"report.md", "speed.csv", "report.tex", "index.html"} <= {path.name for path in made.iterdir()}
    first, second = (made / "speed.csv").read_text().splitlines()[1:]
    assert first.startswith("separable,Separable (baseline),") and second.startswith("separable_equivalent,")
    check = subprocess.run([*command, "--check"], capture_output=True, text=True)
    assert check.returncode == 0, check.stdout


@pytest.mark.parametrize(
    "override", ["speed.train_batch=1", "speed.inference_batches=[]", "speed.height=30", "max_minutes=0.000001"]
)
def test_what_is_wrong_or_too_long_writes_nothing(run, tmp_path, override):
    status, said = run(*QUICK, "hydra.mode=RUN", "model=separable", override)
    if override.startswith("max_minutes"):
        assert status == 75 and "nothing written; the same command measures it anew" in said
    else:
        check_refused((status, said), key=override)
    assert not (tmp_path / "results").exists()


def test_inference_leaves_the_network_alone():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    inference = Inference(network, torch.zeros(4, 3, 8, 8), "float32")
    time_block(inference, 2, CPU)
    assert inference.work == 4 and not network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
