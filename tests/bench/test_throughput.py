"""The command, its files, and the table made from them."""

import json

import pytest

from hybridsep.bench import throughput
from hybridsep.bench.__main__ import main
from hybridsep.bench.throughput_tables import Row, Way, compared
from hybridsep.bench.variants import Variant, ablation

HERE = {"gpu": False, "bfloat16": True, "glibc": True, "fast": False, "compiled": False}
MISSING_ON_A_GPU = {"+ freed memory kept"}


def test_throughput_and_its_files(tmp_path, capsys):
    words = "size=tiny models=separable batch=16 threads=1 throughput.images=64 throughput.rounds=2".split()
    words += ["throughput.seconds=0.001", "throughput.workers=0", f"results={tmp_path}"]
    assert main(["throughput", *words]) == 0, capsys.readouterr().err
    record = json.loads((tmp_path / "bench/throughput-tiny-cpu.json").read_text())
    assert record["machine"]["threads"] == 1 and record["versions"]["torch"] and record["busy_elsewhere"] >= 0
    ways = {way["variant"]["name"]: way for way in record["models"][0]["ways"]}
    assert list(ways) == [variant.name for variant in ablation(at_once=record["at_once"], **HERE)]
    for name, way in ways.items():
        if "CUDA" in name:
            assert way["variant"]["missing"] == "needs a GPU"
        elif not way["variant"]["missing"]:
            assert len(way["rates"]) == 2 and way["memory_bytes"] > 4 * record["models"][0]["params"]
    assert ways["usual loop"]["ratios"] == [1.0, 1.0]
    assert 0 < min(ways["usual loop"]["data_shares"]) <= max(ways["usual loop"]["data_shares"]) < 1
    text = (tmp_path / "bench/throughput-tiny-cpu.md").read_text()
    assert f"`python -m hybridsep.bench throughput {' '.join(words)}`" in text and text.count("needs a GPU") == 1


def test_a_row_is_kept_as_soon_as_it_is_measured(tmp_path, capsys, monkeypatch):
    def measure(workloads, *_):
        if workloads.config.row == "resnext":
            raise KeyboardInterrupt
        return measured(workloads, *_)

    measured = throughput._measure
    monkeypatch.setattr(throughput, "_measure", measure)
    words = "size=tiny models=[separable,resnext] batch=16 threads=1 throughput.images=64 throughput.rounds=2".split()
    words += ["throughput.seconds=0.001", "throughput.workers=0", f"results={tmp_path}"]
    folder = tmp_path / "bench"
    folder.mkdir()
    (folder / "throughput-tiny-cpu.json").write_text("an earlier one")
    assert main(words) == 130
    assert (folder / "throughput-tiny-cpu.json").read_text() == "an earlier one"
    record = json.loads((folder / "throughput-tiny-cpu-unfinished.json").read_text())
    assert [model["row"] for model in record["models"]] == ["separable"] and record["missing"] == ["resnext"]
    assert "Not finished: resnext not measured." in (folder / "throughput-tiny-cpu-unfinished.md").read_text()
    monkeypatch.setattr(throughput, "_measure", measured)
    assert main([*words, "models=separable"]) == 0, capsys.readouterr().err
    assert {path.name for path in folder.iterdir()} == {"throughput-tiny-cpu.json", "throughput-tiny-cpu.md"}


def test_all_rows_together_are_their_harmonic_mean():
    def row(name, usual, best):
        ways = [
            Way(Variant("usual loop"), usual),
            Way(Variant("ours"), best),
            Way(Variant("compiled", standalone=True), [1e9, 1e9]),
            Way(Variant("CUDA graph", missing="needs a GPU")),
        ]
        return Row(name, name, 1, 1000, ways)

    rows = [row("a", [100.0, 100.0], [400.0, 400.0]), row("b", [50.0, 50.0], [100.0, 100.0])]
    cells = compared(rows).cells("files")
    # A hundred images of each take 1 + 2 s, and 0.25 + 1 s: 2.4 times as fast, and not the mean of 4 and 2.
    assert cells[2] == ["all rows", "", "66.7 ± 0.0", "160 ± 0", "x 2.40 ± 0.00", ""]
    assert [line[4:] for line in cells[:2]] == [["x 4.00 ± 0.00", "ours"], ["x 2.00 ± 0.00", "ours"]]
    alone = compared(rows[:1])
    assert len(alone.lines) == 1 and not alone.notes and compared(rows).notes


@pytest.mark.gpu
def test_throughput_on_a_gpu(tmp_path, capsys):
    words = "size=tiny models=separable batch=64 throughput.images=512 throughput.rounds=2 throughput.at_once=2".split()
    assert main([*words, "throughput.seconds=0.02", f"results={tmp_path}"]) == 0
    (path,) = (tmp_path / "bench").glob("throughput-tiny-*.json")
    record = json.loads(path.read_text())
    ways = {way["variant"]["name"]: way for way in record["models"][0]["ways"]}
    assert {name for name, way in ways.items() if way["variant"]["missing"]} == MISSING_ON_A_GPU
    for name in ways.keys() - MISSING_ON_A_GPU:
        assert min(ways[name]["ratios"]) > 0 and ways[name]["memory_bytes"] > 0
