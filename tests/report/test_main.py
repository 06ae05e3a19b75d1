"""The report from run folders to files: the numbers, the headings, the formats, the page, and rebuilding."""

import csv
import html.parser
import json
import shutil
import subprocess
import sys
from pathlib import Path

import made_runs as fabricate
import numpy as np
import pytest
from made_runs import read_record

from hybridsep.report import __main__ as command
from hybridsep.report import settings
from hybridsep.runs import asked, records


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Results with the study `fig` (six rows, four trials) and its report, made once."""
    results = tmp_path_factory.mktemp("results")
    fabricate.study(results, "fig", fabricate.FIGURE4, trials=4, images=500)
    assert command.main([f"results={results}", "study=fig", "report.redraws=20"]) == 0
    return results


@pytest.fixture
def copy(made, tmp_path):
    """A copy of the results that a test may change."""
    shutil.copytree(made, tmp_path / "results")
    return tmp_path / "results"


def table(results: Path, name: str, study: str = "fig") -> dict[str, dict[str, str]]:
    """Return a table's CSV by row."""
    with open(results / "tables" / study / f"{name}.csv", encoding="utf-8") as file:
        return {line["row"]: line for line in csv.DictReader(file)}


def section(results: Path, name: str, study: str = "fig") -> str:
    """Return the text of one table in report.md: from its anchor to the next."""
    text = (results / "tables" / study / "report.md").read_text(encoding="utf-8")
    return text.split(f'<a id="{name}"></a>')[1].split("<a id=")[0]


def recorded(results: Path, row: str, key: str = "test_error") -> np.ndarray:
    folders = [folder for folder in records.find(results) if folder.parts[-2] == row]
    return np.array([read_record(folder)["result"][key] for folder in folders])


def test_main_table_holds_what_the_records_say(made):
    lines = table(made, "figure4")
    for row in fabricate.FIGURE4:
        errors, baseline = recorded(made, row), recorded(made, "separable")
        assert float(lines[row]["mean_absolute"]) == pytest.approx(np.abs(errors - baseline).mean(), rel=1e-5)
        assert float(lines[row]["error_mean"]) == pytest.approx(errors.mean(), rel=1e-5)
        assert lines[row]["n"] == "4" and lines[row]["expected"] == "10"
    signed = (recorded(made, "resnext") - recorded(made, "separable")).mean()
    assert float(lines["resnext"]["mean"]) == pytest.approx(signed, rel=1e-5)
    assert [lines[row]["paper"] for row in fabricate.FIGURE4] == ["0", "0.83", "0.62", "0.71", "0.08", "0.12"]


def test_titles_are_the_papers_and_the_heading_is_loud(made):
    text = (made / "tables" / "fig" / "report.md").read_text()
    for spec in settings.paper().tables["figure4"].rows.values():
        assert f"| {spec.title} |" in text
    assert "NOT the paper's experiment, these numbers say nothing about the paper" in text
    for fact in (
        "synthetic",
        "2,000 training and 500 test",
        "300 of 500 test images",
        "tiny",
        "4 epochs",
        "Fabricated CPU",
    ):
        assert fact in text
    assert "Noise floor" in text and "| 4/10 |" in text


def test_terminal_fits_100_columns(copy, capsys):
    assert command.main([f"results={copy}", "study=fig", "report.redraws=1", "report.draw=false"]) == 0
    printed = capsys.readouterr().out
    assert "Hybrid" in printed and "Verdicts" in printed
    tables = [line for line in printed.splitlines() if not line.startswith("Written")]
    assert max(map(len, tables)) <= 100
    # Both readings of the paper's mean of absolute differences, side by side.
    errors, baseline = recorded(copy, "hybrid"), recorded(copy, "separable")
    apart = errors - baseline
    shown = next(line for line in tables if line.strip().startswith("Hybrid "))
    assert f"{np.abs(apart).mean():.2f} ({abs(apart.mean()):.2f})" in shown


@pytest.mark.parametrize(
    ("override", "key"), [("report.subset=all", "test_error_all"), ("report.subset=paper", "test_error")]
)
def test_images_are_chosen_when_reporting(copy, override, key):
    assert command.main([f"results={copy}", "study=fig", override, "report.redraws=1", "report.draw=false"]) == 0
    expected = recorded(copy, "hybrid", key).mean()
    assert float(table(copy, "figure4")["hybrid"]["error_mean"]) == pytest.approx(expected, rel=1e-5)


def test_pairing_margin_and_trials_are_chosen_when_reporting(copy):
    words = ["report.pairing=unpaired", "report.margin=5", "report.trials=4", "report.redraws=1", "report.draw=false"]
    assert command.main([f"results={copy}", "study=fig", *words]) == 0
    line = table(copy, "figure4")["hybrid"]
    errors, baseline = recorded(copy, "hybrid"), recorded(copy, "separable")
    unlike = [abs(errors[i] - baseline[j]) for i in range(4) for j in range(4) if i != j]
    assert float(line["mean_absolute"]) == pytest.approx(np.mean(unlike), rel=1e-5)
    assert line["equivalent"] == "true" and line["expected"] == "4"


def test_redraws_and_choices_stand_in_the_sensitivity_tables(made):
    with open(made / "tables" / "fig" / "figure4-sensitivity.csv", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 5 * 3 * 2
    own = next(
        line for line in lines if (line["row"], line["subset"], line["pairing"]) == ("hybrid", "paper", "paired")
    )
    assert own["mean_absolute"] == table(made, "figure4")["hybrid"]["mean_absolute"]
    ranks = table(made, "figure4-ranking")
    assert sorted(line["rank"] for line in ranks.values()) == list("12345")
    assert "20 redraws of 300 images" in section(made, "figure4-ranking")


def test_a_report_is_one_page_one_markdown_one_latex_and_a_csv_a_table(made):
    tables = {path.stem for path in (made / "tables" / "fig").glob("*.csv")}
    assert tables > {"figure4", "verdicts", "figure4-trials"}
    others = {path.name for path in (made / "tables" / "fig").iterdir() if path.suffix != ".csv"}
    assert others == {"index.html", "report.md", "report.tex", "made-with.json"}
    latex = (made / "tables" / "fig" / "report.tex").read_text()
    for name in tables:
        assert len(section(made, name).splitlines()) > 5
        label = latex.index(f"\\label{{tab:{name}}}")
        start = latex.rindex("\\begin{table}", 0, label)
        text = latex[start : latex.index("\\end{table}", label) + len("\\end{table}")]
        assert text.count("\\begin{") == text.count("\\end{") and "\\toprule" in text
        assert text.count("{") - text.count("\\{") == text.count("}") - text.count("\\}")
        # Every line of the body has as many cells as there are columns.
        body = [line for line in text.splitlines() if line.endswith(r" \\")]
        assert len({line.replace(r"\&", "").count("&") for line in body}) == 1
    figures = {path.stem for path in (made / "figures" / "fig").glob("*.csv")}
    assert "figure4-differences" in figures
    for name in figures:
        assert (made / "figures" / "fig" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


class Reader(html.parser.HTMLParser):
    """Collects what a browser would trip over or fetch."""

    VOID = {"meta", "br", "path", "use", "rect", "circle", "line", "image", "stop"}

    def __init__(self):
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.seen: dict[str, int] = {}

    def handle_starttag(self, tag, attributes):
        self.seen[tag] = self.seen.get(tag, 0) + 1
        for key, value in attributes:
            if key == "id":
                self.ids.append(value)
            if key in ("src", "href", "xlink:href"):
                self.targets.append(value)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_page_is_whole_and_needs_nothing_else(made):
    text = (made / "tables" / "fig" / "index.html").read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(text)
    assert not reader.open
    assert len(reader.ids) == len(set(reader.ids))
    # Links lead to what the report wrote, and to the folders of the runs.
    links = [target for target in reader.targets if not target.startswith(("#", "data:image/png"))]
    assert links and all((made / "tables" / "fig" / link).resolve().exists() for link in links)
    assert any((made / "tables" / "fig" / link).resolve() == made / "runs" / "fig" / "hybrid" for link in links)
    assert {target[1:] for target in reader.targets if target.startswith("#")} <= set(reader.ids)
    assert "http" not in text and "<script" not in text and 'name="viewport"' in text
    figures = {path.stem for path in (made / "figures" / "fig").glob("*.svg")}
    assert len(figures) > 5 and reader.seen["svg"] >= len(figures)
    assert reader.seen["table"] == len(list((made / "tables" / "fig").glob("*.csv")))


def test_what_decides_stands_at_its_table_and_the_rest_is_folded_once(made):
    text = (made / "tables" / "fig" / "index.html").read_text(encoding="utf-8")
    figure4, details = text.split('<h2 id="part-0">')[1].split('<h2 id="details">')
    distance = table(made, "figure4-distance")["hybrid"]
    bullet = next(line for line in figure4.splitlines() if line.startswith("<li>Hybrid"))
    value = f"{float(distance['distance']):.3f} ± {float(distance['error']):.3f}"
    assert f"As a function it is {value} from the baseline: {distance['shows']}." in bullet
    assert "<summary>Figure 4: distance of functions from the baseline</summary>" in figure4
    assert 'aria-label="figure4-functions"' in figure4 and 'aria-label="figure4-functions"' not in details
    # One entry of each section, and the glossary, are all that a reader sees of the details.
    depth, top = 0, []
    for line in details.splitlines():
        top += [line] if "<details>" in line and depth == 0 else []
        depth += line.count("<details>") - line.count("</details>")
    assert len(top) == 2 and "more tables, pictures, run folders" in top[0]


def test_every_outcome_has_its_badge_and_every_rule_is_explained_once(made):
    verdicts = (made / "tables/fig/index.html").read_text(encoding="utf-8").split('<h2 id="verdicts">')[1]
    verdicts = verdicts.split('<h2 id="details">')[0]
    with open(made / "tables/fig/verdicts.csv", encoding="utf-8") as file:
        lines = [line for line in csv.DictReader(file) if line["here"] != "not run"]
    assert any(line["exploratory"] == "true" for line in lines)
    for line in lines:
        assert f'<b class="{line["here"]}">{line["here"]}</b>' in verdicts
    exploratory = sum(line["exploratory"] == "true" for line in lines)
    assert verdicts.count("</b> (exploratory)") == exploratory and verdicts.count("<b class=") == 2 * len(lines)
    assert all(verdicts.count(html.escape(rule, quote=True)) == 1 for rule in {line["rule"] for line in lines})


@pytest.mark.skipif(not shutil.which("chromium"), reason="needs Chromium")
def test_page_renders(made, tmp_path):
    page, picture = made / "tables" / "fig" / "index.html", tmp_path / "page.png"
    flags = "--headless --no-sandbox --disable-gpu --disable-background-networking --window-size=400,3000".split()
    words = ["chromium", *flags, f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={picture}", page.as_uri()]
    subprocess.run(words, check=True, capture_output=True, timeout=120)
    from PIL import Image

    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("L"))
    # Text and pictures all the way down, not a blank or an error page.
    assert all((band < 128).any() for band in np.array_split(pixels, 6))


def test_check_accepts_what_it_made_and_names_what_differs(made, copy, capsys):
    assert command.main([f"results={made}", "--check"]) == 0
    tables, figures = copy / "tables" / "fig", copy / "figures" / "fig"
    main = tables / "report.md"
    main.write_text(main.read_text().replace("| 0.62 |", "| 0.63 |", 1))
    numbers = figures / "figure4-cost.csv"
    numbers.write_text(numbers.read_text().replace("901000", "901001"))
    (figures / "figure4-trials.png").unlink()
    (tables / "figure9.csv").write_text("a\n")
    capsys.readouterr()
    assert command.main([f"results={copy}", "--check"]) == 1
    printed = capsys.readouterr().out
    for path in (main, numbers, figures / "figure4-trials.png", tables / "figure9.csv"):
        assert str(path) in printed
    assert len(printed.splitlines()) == 4


def test_check_rebuilds_with_the_choices_of_the_report(copy, capsys):
    assert (
        command.main([f"results={copy}", "study=fig", "report.margin=2", "report.redraws=1", "report.draw=false"]) == 0
    )
    assert command.main([f"results={copy}", "study=fig", "--check"]) == 0
    shutil.rmtree(copy / "runs" / "fig" / "hybrid")
    assert command.main([f"results={copy}", "study=fig", "--check"]) == 1
    shutil.rmtree(copy / "runs")
    assert command.main([f"results={copy}", "--check"]) == 1
    assert "are not there" in capsys.readouterr().out


def test_a_second_report_gives_the_same_bytes(made, copy):
    before = {path.name: path.read_bytes() for path in (made / "figures" / "fig").iterdir()}
    before |= {path.name: path.read_bytes() for path in (made / "tables" / "fig").iterdir()}
    assert command.main([f"results={copy}", "study=fig", "report.redraws=20"]) == 0
    after = {path.name: path.read_bytes() for path in (copy / "figures" / "fig").iterdir()}
    after |= {path.name: path.read_bytes() for path in (copy / "tables" / "fig").iterdir()}
    assert before == after


def test_torch_is_never_imported_and_help_is_light(copy):
    code = "import sys; from hybridsep.report.__main__ import main; main({words}); print(*sys.modules)"

    def modules(*words: str) -> set[str]:
        done = subprocess.run([sys.executable, "-c", code.format(words=list(words))], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return set(done.stdout.splitlines()[-1].split())

    assert "torch" not in modules(f"results={copy}", "study=fig", "report.redraws=1")
    assert "torch" not in modules("status", f"results={copy}", "study=fig")
    curves = modules("curves", f"results={copy}", "study=fig")
    assert "torch" not in curves and "tensorboard" in curves
    assert not {"torch", "matplotlib", "scipy", "pandas", "statsmodels"} & modules("--help")


def test_status_counts_names_and_estimates(tmp_path, capsys):
    fabricate.study(tmp_path, "quick", {"separable": 6.0, "resnext": 7.0}, trials=2, images=100)
    fabricate.run(tmp_path, "quick", "separable", 2, status="running", images=100)
    fabricate.run(tmp_path, "quick", "hybrid", 0, status="diverged", images=100)
    fabricate.run(tmp_path, "quick", "hybrid", 1, status="failed", images=100)
    (fabricate.run(tmp_path, "quick", "hybrid", 2, images=100) / "predictions.npz").unlink()
    three = range(3)
    asked.extend(tmp_path / "runs" / "quick", dict.fromkeys(("separable", "hybrid", "resnext", "inception"), three))
    assert command.main([f"results={tmp_path}", "status", "study=quick"]) == 0
    shown = capsys.readouterr()
    cells = ([cell.strip() for cell in line.split("  ") if cell.strip()] for line in shown.out.splitlines())
    lines = {line[0]: line[1:] for line in cells if line}
    # Done, running, failed, diverged, unusable, missing: three trials of four rows were asked for.
    assert lines["separable"][:6] == ["2/3", "trial 2", "-", "-", "-", "-"]
    assert lines["hybrid"][:6] == ["0/3", "-", "trial 1", "trial 0", "trial 2", "-"]
    assert lines["resnext"][:6] == ["2/3", "-", "-", "-", "-", "trial 2"]
    assert lines["inception"][:6] == ["0/3", "-", "-", "-", "-", "trials 0..2"]
    # A row names its trials, the last line counts them.
    assert lines["all"][:2] == ["4/12", "1 trial"]
    assert "hybrid/trial-02" in shown.err and "What one more trial would buy" in shown.out
    assert not (tmp_path / "tables").exists()


def test_the_hours_left_are_those_of_one_process(tmp_path, capsys):
    def hours() -> float:
        assert command.main([f"results={tmp_path}", "status", "study=quick"]) == 0
        lines = [line.split() for line in capsys.readouterr().out.splitlines()]
        return next(float(words[-2]) for words in lines if words[:1] == ["separable"] and words[-1] == "h")

    asked.extend(tmp_path / "runs" / "quick", {"separable": range(3)})
    # Four epochs took 7200 s each; side by side, two trials are done in that time.
    folder = fabricate.run(tmp_path, "quick", "separable", 0, images=100)
    record = json.loads((folder / "record.json").read_text())
    record["timings"]["seconds"] = 4 * 7200.0
    (folder / "record.json").write_text(json.dumps(record))
    alone = hours()
    record["timings"]["trials_at_once"] = 2
    (folder / "record.json").write_text(json.dumps(record))
    assert alone == 2 * hours() > 0
    record["timings"]["seconds"] = 4 * 60.0
    (folder / "record.json").write_text(json.dumps(record))
    assert command.main([f"results={tmp_path}", "status", "study=quick"]) == 0
    assert "4 min" in capsys.readouterr().out


def test_made_with_tells_the_choices(made):
    choices = json.loads((made / "tables" / "fig" / "made-with.json").read_text())
    assert choices["margin"] == 0.25 and choices["redraws"] == 20
