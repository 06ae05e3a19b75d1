"""The commands of the report: which words and keys each takes."""

import dataclasses

import made_runs as fabricate
import pytest
from refusals import check_refused

from hybridsep.report import programs
from hybridsep.report.__main__ import COMMANDS, main
from hybridsep.report.settings import AnalysisOptions, PlanOptions, ReportSettings


def refusal(capsys, *words: str) -> str:
    status, said = main(list(words)), capsys.readouterr()
    assert not said.out
    return check_refused((status, said.err), program="hybridsep.report")


def test_a_row_may_be_called_like_a_command(tmp_path, capsys):
    fabricate.study(tmp_path, "s", {"calibrate": 8.0, "status": 9.0, "null": 8.5}, trials=2, images=100)
    words = [f"results={tmp_path}", "study=s", "report.draw=false"]
    assert main(["compare", "calibrate", "status", *words]) == 0
    assert "calibrate less status, 2 trials" in capsys.readouterr().out
    assert "null was not asked of study s" in refusal(capsys, *words[:2], "forget", "null")
    assert "compare and --check are two commands" in refusal(capsys, "compare", "status", "--check", *words)
    assert "status and null are two commands" in refusal(capsys, *words, "status", "null")


def test_why_a_row_is_left_out_is_said_of_that_row_alone(tmp_path, capsys):
    """Not of a row whose name is a word of the message."""
    fabricate.study(tmp_path, "s", {"separable": 8.0, "table": 9.0, "resnext": 8.5}, trials=2, images=100)
    fabricate.study(tmp_path, "s", {"other": 8.0}, trials=2, images=100, epochs=7)
    words = ("study=s", f"results={tmp_path}")
    assert "other left out of table" in refusal(capsys, "compare", "other", "resnext", *words)
    assert "no study has" not in refusal(capsys, "compare", "table", "other", *words)


READ_SOMETIMES = {"watch", "data", "report.trials"}  # with --watch, and where a picture is drawn


@pytest.mark.parametrize(
    "words",
    [
        ["status"],
        ["curves"],
        ["plan"],
        ["compare", "separable", "hybrid", "report.draw=false"],
        ["forget", "hybrid=1"],
        ["null"],
    ],
    ids=lambda words: words[0],
)
def test_a_command_takes_the_keys_that_it_reads(words, tmp_path, monkeypatch, capsys):
    fabricate.study(tmp_path, "s", {"separable": 8.0, "hybrid": 8.2}, trials=3, images=100)
    (tmp_path / "runs/s/asked.json").write_text('{"rows": {"separable": "0..2", "hybrid": "0..2"}}')
    read: set[str] = set()

    def watch(schema: type, prefix: str) -> None:
        names = {entry.name for entry in dataclasses.fields(schema)} - {"report", "plan"}

        def get(self, name: str):
            if name in names:
                read.add(prefix + name)
            return object.__getattribute__(self, name)

        monkeypatch.setattr(schema, "__getattribute__", get)

    run = programs.run
    # Only now: the command line itself looks at every key.
    monkeypatch.setattr(programs, "run", lambda arguments: (read.clear(), run(arguments))[1])
    for schema, prefix in ((ReportSettings, ""), (AnalysisOptions, "report."), (PlanOptions, "plan.")):
        watch(schema, prefix)
    assert main([*words, f"results={tmp_path}", "study=s"]) in (0, 1), capsys.readouterr().err
    [command] = [command for command in COMMANDS if command.name == words[0]]
    groups = {key for key in command.keys if any(one.startswith(f"{key}.") for one in read)}
    assert {one for one in read if one.partition(".")[0] not in groups} | groups | (
        READ_SOMETIMES & set(command.keys)
    ) == set(command.keys)
    capsys.readouterr()
    assert main([words[0], "--help"]) == 0
    listed = capsys.readouterr().out
    assert ("  report.margin=" in listed) == ("report.margin" in command.keys) and "report.redraws" not in listed
    assert f"report.redraws is not a key of {words[0]}" in refusal(capsys, *words, "report.redraws=7")
