"""The documents say what is so: quoted tables are the generated ones, examples work, links and names lead somewhere."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import yaml

from hybridsep.report import document, output, settings

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
CONFIGURATION = (ROOT / "docs/configuration.md").read_text()


def test_what_is_quoted_is_what_was_generated():
    done = subprocess.run([sys.executable, "scripts/quotes.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_quote_follows_its_source(tmp_path):
    for name in ("README.md", "scripts/quotes.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "t.csv").write_text("row,mean\na,0.123\nb,-4\n")
    (tmp_path / "t.md").write_text('<a id="x"></a>\n| a |\n<a id="y"></a>\n| b |\n\n| c |\n')
    quote = "<!-- value: t.csv row=b mean +.1f -->{}<!-- /value -->\n<!-- table: t.md#y -->\n{}<!-- /table -->\n"
    (tmp_path / "README.md").write_text(quote.format("+9.9", "old\n"))
    command = [sys.executable, "scripts/quotes.py"]
    assert subprocess.run([*command, "--check"], cwd=tmp_path, capture_output=True).returncode == 1
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 0
    assert (tmp_path / "README.md").read_text() == quote.format("-4.0", "| b |\n")
    (tmp_path / "README.md").write_text("<!-- value: t.csv row=c mean +.1f --><!-- /value -->")
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 2


def test_rough_numbers_are_not_quoted(tmp_path):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/quotes.py").write_bytes((ROOT / "scripts/quotes.py").read_bytes())
    (tmp_path / "results/bench").mkdir(parents=True)
    (tmp_path / "results/bench/t.md").write_text("| Name of | Ratio |\n| :-- | --: |\n| all rows | x 4 |\n| one |  |\n")
    value = "<!-- value: results/bench/t.md Name_of=all_rows Ratio s -->{}<!-- /value -->"
    command = [sys.executable, "scripts/quotes.py"]
    (tmp_path / "results/bench/t.json").write_text('{"rough": ["other programs kept 1.0 cores busy"]}')
    for quote in ("<!-- table: results/bench/t.md -->\n<!-- /table -->\n", value.format("x 3")):
        (tmp_path / "README.md").write_text(quote)
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 2 and "not quoted: other programs kept 1.0 cores busy" in done.stderr
    (tmp_path / "results/bench/t.json").write_text('{"rough": []}')
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 0
    assert (tmp_path / "README.md").read_text() == value.format("x 4")
    quote = "<!-- table: results/bench/t.md columns={} -->\n{}<!-- /table -->\n"
    (tmp_path / "README.md").write_text(quote.format("Ratio,Name_of", ""))
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 0
    selected = "| Ratio | Name of |\n| --: | :-- |\n| x 4 | all rows |\n|  | one |\n"
    assert (tmp_path / "README.md").read_text() == quote.format("Ratio,Name_of", selected)
    (tmp_path / "README.md").write_text(quote.format("Ration", ""))
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and "no column Ration; there are Name_of, Ratio" in done.stderr


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
    table = CONFIGURATION.split("## Experiments")[1].split("\n## ")[0]
    lines = re.findall(r"^\| `\w+` \|.*$", table, re.MULTILINE)
    files = {path.stem for path in (ROOT / "conf/experiment").glob("*.yaml")}
    assert {name for line in lines for name in re.findall(r"`(\w+)`", line)} == files


def test_links_lead_to_files():
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "results/README.md"]
    links = [(file, link) for file in documents for link in re.findall(r"\]\(([^)#]+)", file.read_text())]
    assert links
    assert not [(file.name, link) for file, link in links if ":" not in link and not (file.parent / link).exists()]
    # A promise names the test that shows it.
    tests = {path.relative_to(ROOT).as_posix() for path in (*ROOT.glob("scripts/*.py"), *ROOT.glob("tests/**/*.py"))}
    shown = {name for file in documents for name in re.findall(r"\b(?:\w+/)*test_\w+\.py\b", file.read_text())}
    assert shown and not [name for name in shown if not any(f"/{path}".endswith(f"/{name}") for path in tests)]


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 150


def test_codecheck_names_what_check_rebuilds():
    files = [entry["file"] for entry in yaml.safe_load((ROOT / "codecheck.yml").read_text())["manifest"]]
    [study] = {name.split("/")[2] for name in files}
    # Which files there are does not hang on how often something is drawn.
    options = settings.load(["report.resamples=99", "report.groups=100", "report.redraws=1"]).report
    rebuilt = output.files_of(document.make(ROOT / "results", study, settings.paper(), options), draw=False).content
    assert len(files) == len(set(files)) > 20 and {name.removeprefix("results/") for name in files} <= rebuilt.keys()
    assert all((ROOT / name).is_file() for name in files)
    tables = {table for table in settings.paper().tables if f"tables/{study}/{table}.csv" in rebuilt}
    assert {f"results/tables/{study}/{table}.csv" for table in tables} <= set(files)


def test_every_function_of_the_table_of_formulas_is_there():
    cells = [
        line.split("|")[3] for line in (ROOT / "docs/statistics.md").read_text().splitlines() if line.count("|") == 4
    ]
    names = [name for cell in cells for name in re.findall(r"`(\w+)\.(\w+)`", cell)]
    assert names
    for module, function in names:
        assert callable(getattr(importlib.import_module(f"hybridsep.statistics.{module}"), function)), function
    unnamed = {path.stem for path in (ROOT / "src/hybridsep/statistics").glob("[a-z]*.py")} - {
        module for module, _ in names
    }
    assert not unnamed, unnamed
