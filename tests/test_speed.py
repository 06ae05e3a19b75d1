"""`task=speed`: what is measured and kept, memory against counting by hand, and the table made from it."""

import json
import subprocess
import sys

import pytest
import torch
from torch import nn

from hybridsep.bench.contention import CpuContention
from hybridsep.bench.memory import counting, step_bytes
from hybridsep.bench.speed import Inference
from hybridsep.bench.timing import Stopped, Workload, spread, time_block, time_in_rounds
from hybridsep.report import claims, settings, speed

QUICK = (
    "experiment=speed_quick",
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
    ("override", "words"),
    [
        ("task=bench", "task=bench is not allowed: choose train, speed"),
        ("speed.train_batch=1", "speed.train_batch=1"),
        ("speed.inference_batches=[]", "speed.inference_batches=[]"),
        ("speed.height=30", "a multiple of 4"),
        ("max_minutes=0.000001", "nothing written; the same command measures it anew"),
    ],
)
def test_what_is_wrong_or_too_long_writes_nothing(run, tmp_path, override, words):
    status, said = run(*QUICK, "hydra.mode=RUN", "model=separable", override)
    assert status == (75 if "minutes" in override else 2)
    assert words in said and not (tmp_path / "results").exists()


def test_blocks_are_of_one_workload_each_in_rounds():
    calls = []

    class Noted(Workload):
        def __init__(self, batch: int):
            self.work = batch

        def run(self, steps):
            calls.append(self.work)

    workloads = {"single": Noted(1), "many": Noted(8)}
    found = time_in_rounds(workloads, CPU, seconds=1e-9, rounds=3)
    # Every round begins with another one.
    assert calls[-6:] == [1, 8, 8, 1, 1, 8]
    assert {key: len(timed.rates) for key, timed in found.items()} == {"single": 3, "many": 3}
    assert spread([1.0, 2.0, 3.0, 4.0, 10.0]) == {"median": 3.0, "iqr": 2.0, "n": 5}
    before = len(calls)
    with pytest.raises(Stopped):
        time_in_rounds(workloads, CPU, seconds=1e-9, rounds=3, stop=lambda: len(calls) == before + 4)
    assert len(calls) == before + 4


def test_memory_is_counted_as_by_hand():
    kilobyte = torch.zeros(256)

    def peak(call):
        with counting(CPU) as counter:
            call()
            return counter.peak

    def three_then_two():
        one = kilobyte + 1
        two = one * 2
        del one
        three = two.view(16, 16) + 1  # a view takes nothing
        two.add_(1)  # nor does work in place
        return three

    assert peak(lambda: (three_then_two(), kilobyte + 1)) == 2 * 1024
    layer = nn.Linear(256, 256, bias=False)
    x = torch.zeros(2, 256, requires_grad=True)
    # The sum and its gradient, the gradients of the weights and of x; the layer's result is gone by then.
    assert peak(lambda: layer(x).sum().backward()) == 4 * (1 + 1 + 256 * 256 + 2 * 256)


def test_what_a_workload_keeps_counts_and_what_only_its_making_took_does_not():
    class Adding(Workload):
        work = 1.0

        def __init__(self):
            self.kept = torch.zeros(1024).add(torch.zeros(1024)).clone()

        def run(self, steps):
            results = [self.kept + 1 for _ in range(steps)]
            del results

    # 4 KiB kept, and two results of a block's two steps at once; twelve while it is made are no matter.
    assert step_bytes(Adding, CPU) == 3 * 4096


def test_inference_leaves_the_network_alone():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    inference = Inference(network, torch.zeros(4, 3, 8, 8), "float32")
    time_block(inference, 2, CPU)
    assert inference.work == 4 and not network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def record_of(row: str, training: float, **changes) -> dict:
    def entry(what: str, batch: int, median: float) -> dict:
        rate = {"median": median, "iqr": 2.0, "n": 10}
        return {"what": what, "batch": batch, "images_per_second": rate, "steps_per_block": 1, "peak_bytes": 2_000_000}

    return {
        "format": 1,
        "study": "s",
        "row": row,
        "title": row.title(),
        "cost": {"params": 1000, "macs": 2000},
        "precision": "float32",
        "execution": "eager",
        "measurements": [entry("training", 128, training), entry("inference", 1, 50.0), entry("inference", 256, 9e3)],
        "busy_elsewhere": 0.0,
        "config": {"speed": {"height": 32, "classes": 10}, "size": {"name": "small"}, "match": "none"},
        "machine": {"processor": "P", "threads": 2},
        "versions": {"torch": "2.13.0"},
        "measured": "2026-01-02T00:00:00+00:00",
        **changes,
    }


def measured_of(folder, *records):
    place = folder / "speed/s"
    place.mkdir(parents=True)
    for record in records:
        (place / f"{record['row']}.json").write_text(json.dumps(record))
    return speed.load(folder, "s", settings.paper())


def table_of(folder, *records):
    measured, problems = measured_of(folder, *records)
    return speed.table(measured, settings.load([]).report), [problem.message for problem in problems]


def test_each_row_is_held_against_the_separable_form_of_its_network(tmp_path):
    rows = {"darknet": 50.0, "separable": 1000.0, "own": 500.0, "darknet_separable": 200.0, "inception": 800.0}
    table, problems = table_of(tmp_path, *(record_of(row, median) for row, median in rows.items()))
    assert not problems and table.warning is None
    cells = {line["row"]: cell for line, cell in zip(table.lines, table.cells("files"), strict=True)}
    assert list(cells) == ["separable", "inception", "darknet_separable", "darknet", "own"]
    assert {row: cell[4] for row, cell in cells.items()} == {
        "separable": "x 1.00",
        "inception": "x 0.80",
        "darknet_separable": "x 1.00",
        "darknet": "x 0.25",
        "own": "x 0.50",
    }
    assert cells["own"][:4] == ["Own", "1 k", "2 k", "500 ± 1"] and cells["own"][5:] == [
        "50.0 ± 1.0",
        "9,000 ± 1",
        "2 MB",
    ]


def test_what_cannot_stand_in_one_table_is_named(tmp_path):
    table, problems = table_of(
        tmp_path,
        record_of("separable", 100.0, busy_elsewhere=1.5),
        record_of("resnext", 100.0),
        record_of("hybrid", 100.0, precision="bfloat16"),
        record_of("inception", float("nan")),
        record_of("darknet", 100.0, study="another"),
        record_of("fractalnet", 100.0, measurements=[]),
    )
    assert [line["row"] for line in table.lines] == ["separable", "resnext"]
    assert "up to 1.5 cores busy while 1 of 2 rows were measured (separable)" in table.warning
    reasons = {text.split(".json: ")[0].rsplit("/", 1)[1]: text.split(".json: ")[1] for text in problems}
    assert reasons.keys() == {"hybrid", "inception", "darknet", "fractalnet"}
    assert "precision bfloat16, not float32" in reasons["hybrid"]
    assert "training 128 median is nan" in reasons["inception"] and "another/darknet" in reasons["darknet"]
    assert not any("\n" in text for text in problems)


def test_nothing_measured_is_no_table(tmp_path):
    measured, problems = speed.load(tmp_path, "s", settings.paper())
    assert (measured.records, problems) == ([], [])


ROWS_OF_THE_CLAIM = ("separable", "dense", "inception", "resnext", "reformulated_inception")


def timed(row: str, training: list[float], inference: list[float], size: str = "paper") -> dict:
    """A record with the blocks that were timed: of training, and of inference of one image."""
    record = record_of(row, 1.0)
    record["config"]["size"]["name"] = size
    record["measurements"] = record["measurements"][:2]
    for entry, blocks in zip(record["measurements"], (training, inference), strict=True):
        entry["images_per_second"] = {**spread(blocks), "blocks": blocks}
    return record


def claim_of(folder, *records) -> dict:
    measured, _ = measured_of(folder, *records)
    entries = claims.judge({}, measured, settings.paper(), settings.load([]).report)
    return next(entry for entry in entries if entry["claim"] == "speed")


def test_faster_is_judged_in_training_and_inference_against_the_plain_convolution_too(tmp_path):
    def rows(*, dense: list[float], size: str = "paper") -> list[dict]:
        others = [timed(row, [50.0, 51.0, 49.0], [5.0, 5.1, 4.9], size) for row in ROWS_OF_THE_CLAIM[2:]]
        separable = timed("separable", [100.0, 102.0, 98.0], [10.0, 10.2, 9.8], size)
        return [separable, timed("dense", [80.0, 81.0, 79.0], dense, size), *others]

    found = claim_of(tmp_path / "faster", *rows(dense=[8.0, 8.1, 7.9]))
    assert found["verdict"] == found["here"] == "reproduced" and found["n"] == 3
    # Welch's interval of the logarithms, by hand: 1.25 times, give or take 4.03 %.
    assert "Dense (training) x 1.25 [1.20, 1.30]; Dense (inference of one image) x 1.25" in found["measured"]
    found = claim_of(tmp_path / "slower", *rows(dense=[12.0, 12.1, 11.9]))
    assert found["shows"].endswith("; slower: Dense (inference of one image)")
    assert found["verdict"] == "contradicted" and "Dense (inference of one image) x 0.83" in found["measured"]
    found = claim_of(tmp_path / "unclear", *rows(dense=[8.0, 10.0, 14.0]))
    assert found["here"] == "inconclusive" and "undecided: Dense (inference of one image)" in found["shows"]
    found = claim_of(tmp_path / "small", *rows(dense=[8.0, 8.1, 7.9], size="small"))
    assert (found["here"], found["verdict"]) == ("reproduced", "inconclusive")
    assert found["because"] == "size.name is small (paper: paper)"


def test_faster_is_not_judged_without_the_blocks_that_were_timed(tmp_path):
    found = claim_of(tmp_path / "old", *(record_of(row, 50.0) for row in ROWS_OF_THE_CLAIM))
    assert found["here"] == "not run" and "not timed, block by block" in found["measured"]
    without = [timed(row, [50.0, 51.0, 49.0], [5.0, 5.1, 4.9]) for row in ROWS_OF_THE_CLAIM if row != "dense"]
    assert claim_of(tmp_path / "without", *without)["here"] == "not run"


def test_work_of_this_process_is_not_work_elsewhere():
    elsewhere = CpuContention()
    sum(range(1_000_000))
    assert elsewhere.cores() is None or elsewhere.cores() >= 0
