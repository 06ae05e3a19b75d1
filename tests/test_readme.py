"""The README says what is so: its table is the generated one, its example works, its commands exist."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
SPEED = (ROOT / "docs/speed.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
CONFIGURATION = (ROOT / "docs/configuration.md").read_text()


def test_the_tables_are_the_generated_ones():
    blocks = re.findall(r"<!-- table: (\S+) -->\n(.*?)<!-- /table -->", README + SPEED, re.DOTALL)
    assert [source for source, _ in blocks] == [
        "results/tables/cifar10-jpeg-small-30ep/report.md#figure4",
        "results/tables/cifar10-jpeg-small-30ep/report.md#equal_parameters-beside",
        "results/bench/throughput-small-cpu.md",
        "results/bench/profile-small-cpu.md",
        "results/bench/floor-paper.md",
    ]
    for source, shown in blocks:
        path, _, name = source.partition("#")
        generated = (ROOT / path).read_text()
        if name:
            # report.md has many tables: the quoted one stands between its anchor and the next.
            generated = generated.split(f'<a id="{name}"></a>')[1].split("<a id=")[0]
        assert f"\n{shown.strip()}\n" in generated, source


def test_the_example_module_trains(tmp_path):
    code, yaml = (re.search(rf"```{kind}\n(.*?)```", CONTRIBUTING, re.DOTALL)[1] for kind in ("python", "yaml"))
    (tmp_path / "shuffled.py").write_text(code)
    (tmp_path / "model").mkdir()
    (tmp_path / "model/shuffled.yaml").write_text(yaml)
    small = ["data=synthetic", "data.source.train=64", "data.source.test=50", "size=tiny", "schedule=short"]
    short = ["schedule.epochs=1", "schedule.warmup_epochs=0", "schedule.batch_size=32", "threads=1"]
    command = [sys.executable, "-m", "hybridsep.run", "--config-dir", ".", "model=shuffled", *small, *short]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results/runs/synthetic-tiny-1ep/shuffled/trial-00/predictions.npz").exists()


def test_every_experiment_is_in_the_table_of_experiments():
    lines = re.findall(r"^\| (`\w+`.*) \|.*\| (.*) ?\|$", CONFIGURATION, re.MULTILINE)
    files = {path.stem for path in (ROOT / "conf/experiment").glob("*.yaml")}
    assert {name for line in lines for cell in line for name in re.findall(r"`(\w+)`", cell)} == files


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 150
