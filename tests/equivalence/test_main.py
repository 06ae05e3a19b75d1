"""The command: a table, JSON, exit statuses."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from refusals import check_refused

from hybridsep.equivalence import __main__ as program
from hybridsep.equivalence.identities import IDENTITIES


def test_program_prints_the_table(capsys):
    assert program.main(["seeds=1"]) == 0
    text = capsys.readouterr().out
    for identity in IDENTITIES:
        assert (identity.name if identity.holds else identity.name.replace(" = ", " ≠ ")) in text
    assert text.count("holds") == len(IDENTITIES) - 2
    assert text.count("does not hold, rightly") == 2
    assert "33,920 | 294,912" in text


def test_program_as_json(capsys, monkeypatch):
    monkeypatch.setattr("hybridsep.equivalence.identities.IDENTITIES", IDENTITIES[:2])
    assert program.main(["--json", "seeds=1"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["passed"], result["seeds"]) == (True, 1)
    assert [line["identity"] for line in result["identities"]] == [identity.name for identity in IDENTITIES[:2]]
    assert all(line["cases"] == 4 and line["passed"] for line in result["identities"])


def test_program_fails_with_an_identity(capsys, monkeypatch):
    wrong = replace(next(identity for identity in IDENTITIES if not identity.holds), holds=True)
    monkeypatch.setattr("hybridsep.equivalence.identities.IDENTITIES", (*IDENTITIES[:2], wrong))
    assert program.main(["seeds=1"]) == 1
    assert "FAILED: differs" in capsys.readouterr().out


@pytest.mark.parametrize("argument", ["seeds=1001", "seeds=", "seeds=-1", "seeds=1..3"])
def test_bad_arguments_are_one_line(argument, capsys):
    status = program.main([argument])
    captured = capsys.readouterr()
    check_refused((status, captured.err), "from 1 to 1000", key=argument, program="hybridsep.equivalence")
    assert captured.out == ""


def test_program_starts_as_a_module_and_ends_with_its_status():
    command = [sys.executable, "-W", "error", "-m", "hybridsep.equivalence", "seeds=none"]
    done = subprocess.run(command, capture_output=True, text=True)
    check_refused((done.returncode, done.stderr), key="seeds=none", program="hybridsep.equivalence")
    assert done.stdout == ""
