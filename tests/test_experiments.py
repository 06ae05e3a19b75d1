"""The quick form of every experiment trains its rows, and the report has the paper's table for them."""

from pathlib import Path

import hydra
import pytest
import yaml
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from hybridsep import config
from hybridsep.config import config_dir
from hybridsep.config.identity import identity
from hybridsep.report import settings
from hybridsep.report.__main__ import main as report
from hybridsep.runs import records

SHORT = (
    "data.source.train=64",
    "data.source.test=50",
    "schedule.epochs=1",
    "schedule.warmup_epochs=0",
    "schedule.batch_size=32",
    "threads=1",
    "trial=0",
)


@pytest.mark.parametrize(
    ("experiment", "study", "tables"),
    [
        ("figure5", "figure5-quick", {"figure5"}),
        ("figure6", "figure6-quick", {"figure6", "figure6_reference"}),
        ("activation", "activation-quick", {"activation"}),
        ("residual", "residual-quick", {"residual"}),
        ("hybrid_readings", "hybrid-readings-quick", {"hybrid_readings"}),
    ],
)
def test_quick_form(run, tmp_path, monkeypatch, experiment, study, tables):
    status, said = run(f"experiment={experiment}", "scale=quick", *SHORT)
    assert status == 0, said
    place = tmp_path / "results"
    trained = {folder.parts[-2] for folder in records.find(place)}
    described = yaml.safe_load((config_dir() / "report/paper.yaml").read_text())["tables"]
    assert trained == {row for table in tables for row in described[table]["rows"]}
    assert {path.name for path in (place / "runs").iterdir()} == {study}
    monkeypatch.setattr("sys.argv", ["report", f"study={study}", f"results={place}", "report.draw=false"])
    assert report() == 0
    made = {path.stem for path in (place / "tables" / study).glob("*.csv")}
    assert tables <= made


@pytest.mark.parametrize(("figure", "row"), [("figure5", "fractalnet"), ("figure6", "darknet")])
def test_small_form_has_other_widths_and_nothing_else_of_the_network(figure, row):
    config.register()
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(config.config_dir()), **config.hydra_defaults()):
        composed = [
            hydra.compose("config", [f"experiment={figure}", f"model={row}", *scale]) for scale in ([], ["scale=small"])
        ]
        paper, small = (OmegaConf.to_container(one, resolve=True) for one in composed)
    if row == "fractalnet":
        narrow = small["model"]["network"].pop("widths")
        assert [8 * width for width in narrow] == paper["model"]["network"].pop("widths")
    else:
        assert 8 * small["model"]["network"].pop("width_ratio") == paper["model"]["network"].pop("width_ratio")
    shorter = ("epochs", "warmup_epochs")
    assert {key: value for key, value in small["schedule"].items() if key not in shorter} == {
        key: value for key, value in paper["schedule"].items() if key not in shorter
    }
    for key in ("model", "augmentation", "evaluation", "data"):
        assert small[key] == paper[key], key
    assert small["study"] == "figures-small-cifar10-30ep"  # one study, for the claim that compares their gains


def test_the_committed_runs_of_depth_and_residual_are_those_of_the_sweep():
    """Rows are named by two swept values, and the report composes each from its line in paper.yaml."""
    table = settings.paper().tables["residual"]
    study = Path(__file__).resolve().parents[1] / "results/runs/residual-quick"
    assert sorted(table.rows) == sorted(path.name for path in study.iterdir() if path.is_dir())
    config.register()
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(config.config_dir()), **config.hydra_defaults()):
        for row in table.rows:
            record = records.load(study / row / "trial-01")
            words = ["experiment=residual", "scale=quick", f"precision={record.settings.precision}"]
            tree = hydra.compose("config", [*words, *table.overrides(row)])
            composed = OmegaConf.to_container(tree, resolve=True)
            assert (composed["row"], identity(composed, 1)) == (row, record.identity)
