"""The files of conf/report and conf/bench.yaml: every mistake in them is one line that names the file and the key."""

import json
import shutil
from pathlib import Path
from typing import Any, get_args

import pytest
from refusals import check_refused, refused

from hybridsep.bench import settings as bench_settings
from hybridsep.config import config_dir
from hybridsep.config.identity import flatten
from hybridsep.config.overrides import read_yaml
from hybridsep.errors import ConfigError
from hybridsep.report import __main__ as report
from hybridsep.report import settings, verdicts


def changed(tree: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """Set a key of nested dictionaries, or remove it with `...`."""
    *groups, name = key.split(".")
    node: Any = tree
    for group in groups:
        node = node[int(group)] if isinstance(node, list) else node[group]
    if value is ...:
        del node[name]
    else:
        node[name] = value
    return tree


MISTAKES = [
    ("tables.figure4.trials", -1, "tables.figure4.trials=-1 is not allowed: a whole number from 1 to 10000"),
    ("tables.figure5.paper_trials", 0, "tables.figure5.paper_trials=0 is not allowed"),
    ("tables.figure4.quantity", "error", "quantity=error is not allowed: choose mean_abs_difference, test_error"),
    ("tables.figure4.baseline", ..., "tables.figure4.baseline is missing: text"),
    ("tables.figure4.baseline", "hybird", "tables.figure4: baseline hybird is none of its rows"),
    ("tables.figure4.experimnt", "figure4", "experimnt is not a key: did you mean tables.figure4.experiment?"),
    ("tables.residual.experiment", "residul", "tables.residual: experiment residul: there are activation, "),
    (
        "tables.residual.vary",
        ["model.network.dpth"],
        "model.network.dpth is not a key: did you mean model.network.depth?",
    ),
    ("tables.residual.vary", "match", "tables.residual.vary=match is not allowed: a list, each text"),
    (
        "tables.residual.rows.separable_depth3.overrides",
        ["model.network.dpth=3"],
        "rows.separable_depth3.overrides: model.network.dpth is not a key: did you mean model.network.depth?",
    ),
    (
        "tables.residual.rows.separable_depth3.model",
        "sep",
        "rows separable_depth3: no files of conf/model",
    ),
    ("tables.widened.pairs", [["resnext", "separable_56k", "hybrid"]], "is not allowed: a list of 2, each text"),
    ("tables.widened.pairs", [["resnext", "separable_57k"]], "tables.widened: pairs: separable_57k stand in no table"),
    ("tables.widened.declared", "today", "tables.widened.declared=today is not allowed: a time as records have it"),
    ("tables.equal_parameters.counterpart", "figure3", "counterpart figure3 is no table"),
    ("tables.equal_parameters.rows.hybrid_matched.counterpart", "hybird", "counterparts of hybrid_matched are no rows"),
    (
        "tables.figure5.rows.fractal",
        {"title": "F", "label": "F"},
        "tables.figure5: rows fractal: no files of conf/model",
    ),
    ("tables.figure4.rows.hybrid.paper", "small", "tables.figure4.rows.hybrid.paper=small is not allowed: a finite"),
    (
        "tables.figure4.rows.hybrid.lable",
        "H",
        "hybrid.lable is not a key: did you mean tables.figure4.rows.hybrid.label?",
    ),
    (
        "claims.hybrid.margin",
        -3,
        "claims.hybrid.margin=-3 is not allowed: a finite number above 0 and below 100, or null",
    ),
    ("claims.hybrid.rule", "smaller", "claims.hybrid.rule=smaller is not allowed: choose equivalent, different"),
    ("claims.hybrid.rule", ..., "claims.hybrid.rule is missing: choose equivalent, different"),
    ("claims.hybrid.table", "figure7", "claims.hybrid: table figure7: there are figure4, "),
    ("claims.hybrid.rows", [], "claims.hybrid.rows=[] is not allowed: a list of 1 or more, each text"),
    ("claims.hybrid.rows", ["nobody"], "claims.hybrid: rows nobody: not all stand in its table"),
    ("claims.hybrid.against", ["inception"], "claims.hybrid: rule same_function takes no against"),
    ("claims.ordering.against", [], "claims.ordering: rule closer takes rows in against"),
    ("claims.ordering.against", ["nobody"], "claims.ordering: against nobody: not all stand in a table"),
    ("claims.residual.against", ["separable_depth3"], "rule same_error takes as many rows as against"),
    ("claims.greater_gain.rows", ["darknet"], "rule greater_gain takes two rows and two against"),
    ("claims.speed.margin", 1.0, "claims.speed: margin 1.0: in points of test error, and rule faster has none"),
    ("claims.speed.rows", ["separabel"], "claims.speed: rows separabel: not all stand in its table"),
    ("claims.speed.table", "figure4", "faster is the rule of speed, and its only one"),
    ("open_points.0.keys", ["evaluation.subst"], "evaluation.subst is not a key: did you mean evaluation.subset?"),
    ("open_points.0.choice", ..., "open_points.choice is missing: text"),
    ("distance_declared", "2026-11-26", "distance_declared=2026-11-26 is not allowed: a time as records have it"),
    ("data.train", 0, "data.train=0 is not allowed: a whole number of at least 1"),
    ("data.source", "hybridsep.data.cifar.load", "data.source=hybridsep.data.cifar.load is no source of conf/data"),
    ("chance.errors", [0.0], "chance.errors=0.0 is not allowed: a finite number above 0 and below 100"),
    ("chanse", {}, "chanse is not a key: did you mean chance?"),
]


@pytest.mark.parametrize(("key", "value", "says"), MISTAKES)
def test_a_mistake_in_paper_yaml_is_named(tmp_path, key, value, says):
    tree = changed(read_yaml(config_dir() / "report/paper.yaml"), key, value)
    path = tmp_path / "paper.yaml"
    path.write_text(json.dumps(tree))
    with refused(key=f"{path}: ", kind=ConfigError) as error:
        settings.read_paper(path)
    assert says in str(error.value)


@pytest.mark.parametrize("text", ["tables: [", "- a list", "", "\xff"])
def test_a_file_that_holds_no_keys_is_named(tmp_path, text):
    path = tmp_path / "paper.yaml"
    path.write_bytes(text.encode("latin-1"))
    with refused(str(path), kind=ConfigError):
        settings.read_paper(path)


@pytest.mark.parametrize(
    ("load", "name"), [(settings.load, "report/options.yaml"), (bench_settings.load, "bench.yaml")]
)
def test_every_key_must_stand_in_the_file(tmp_path, monkeypatch, load, name):
    module = settings if load is settings.load else bench_settings
    whole = read_yaml(config_dir() / name)
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    monkeypatch.setattr(module, "config_dir", lambda: tmp_path)
    for key in [*flatten(whole), *(group for group, value in whole.items() if isinstance(value, dict))]:
        path.write_text(json.dumps(changed(read_yaml(config_dir() / name), key, ...)))
        with refused(key=f"{path}: {key} is missing", kind=ConfigError):
            load([])


def test_a_mistake_ends_the_program_with_one_line(tmp_path, monkeypatch, capsys):
    shutil.copytree(config_dir(), tmp_path / "conf")
    monkeypatch.setattr(settings, "config_dir", lambda: tmp_path / "conf")
    path = tmp_path / "conf/report/options.yaml"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith("  alpha")))
    status = report.main([f"results={tmp_path}"])
    said = status, capsys.readouterr().err
    check_refused(said, key=f"{path}: report.alpha is missing", program="hybridsep.report")


def test_every_rule_that_a_claim_can_name_is_there():
    assert set(get_args(settings.BaselineRule)) | set(get_args(settings.RowRule)) == set(verdicts.RULES)
    of_paper = Path(config_dir() / "report/paper.yaml")
    assert settings.paper() is settings.read_paper(of_paper)
