"""A finished trial's network loaded by itself, and what docs/python.md shows of it."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY
from fault_injection import Trainer
from made_runs import read_record
from PIL import Image
from refusals import refused

import hybridsep
from hybridsep.errors import DataError, RecordError
from hybridsep.runs import records
from hybridsep.train import checkpoint

DOCS = Path(__file__).parents[2] / "docs" / "python.md"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A trainer, the folder of its trial on images that are cropped, and the trial loaded."""
    trainer, results = Trainer("augmentation.crop=12"), tmp_path_factory.mktemp("results")
    trainer(results)
    folder = trainer.folder(results)
    return trainer, folder, hybridsep.load(folder)


def test_its_logits_are_those_that_the_trial_kept(trained):
    trainer, folder, network = trained
    kept, _ = records.read_predictions(folder)
    ours = network.logits(trainer.row.dataset.test_images)
    # predictions.npz holds float16; the modules' plain ways round otherwise than their fast ones.
    np.testing.assert_allclose(ours, kept.astype(np.float32), rtol=0.02, atol=0.02)
    record = read_record(folder)
    assert network.record.config == record["config"] and (network.side, network.crop) == (16, 12)
    assert list(network.classes) == record["dataset"]["classes"]
    assert (list(network.mean), list(network.std)) == (record["dataset"]["mean"], record["dataset"]["std"])
    assert not network.network.training


def test_the_file_of_a_checkpoint_stays_as_earlier_versions_wrote_it(trained, tmp_path):
    _, folder, _ = trained
    saved = torch.load(folder / "checkpoint.pt", weights_only=True)
    state = ["network", "momentum", "history", "steps_done", "seconds", "losses", "wrong", "dropout"]
    assert list(saved) == [*state, "inputs", "identity"]
    assert [list(epoch) for epoch in saved["history"]] == [list(records.HISTORY_COLUMNS)] * len(saved["history"])
    assert {name: type(value) for name, value in saved["inputs"].items()} == {
        "classes": list,
        "side": int,
        "mean": list,
        "std": list,
    }
    # The first versions kept no inputs: their trials go on, and their networks say what is missing.
    copy = tmp_path / "/".join(folder.parts[-3:])
    shutil.copytree(folder, copy)
    torch.save({key: value for key, value in saved.items() if key != "inputs"}, copy / "checkpoint.pt")
    earlier, complaints = checkpoint.load(copy, identity=saved["identity"])
    assert not complaints and earlier.inputs is None and earlier.history[-1].epoch == len(saved["history"])
    with pytest.raises(RecordError, match="checkpoint.pt is of an earlier version"):
        hybridsep.load(copy)


def test_an_image_file_is_predicted_as_the_image_is(trained, tmp_path):
    trainer, _, network = trained
    pixels = trainer.row.dataset.test_images[3]
    Image.fromarray(pixels).save(tmp_path / "one.png")
    probabilities = network.predict(tmp_path / "one.png")
    wanted = torch.from_numpy(network.logits(pixels[None])[0]).softmax(0)
    assert list(probabilities.values()) == sorted(probabilities.values(), reverse=True)
    assert set(probabilities) == set(network.classes) and sum(probabilities.values()) == pytest.approx(1)
    assert next(iter(probabilities)) == network.classes[int(wanted.argmax())]
    assert max(probabilities.values()) == pytest.approx(float(wanted.max()), rel=1e-4)
    Image.fromarray(pixels).resize((64, 48)).save(tmp_path / "other.png")
    assert len(network.predict(str(tmp_path / "other.png"))) == len(network.classes)


def test_what_cannot_be_predicted_is_said_in_a_line(trained, tmp_path):
    network = trained[2]
    with refused("nowhere.png", kind=DataError):
        network.predict(tmp_path / "nowhere.png")
    (tmp_path / "text.png").write_text("no image")
    with refused("text.png", kind=DataError):
        network.predict(tmp_path / "text.png")
    with refused("uint8 (N, 16, 16, 3)", "float32 (2, 16, 16, 3)", kind=DataError):
        network.logits(np.zeros((2, 16, 16, 3), np.float32))


def test_what_is_not_there_or_not_finished_is_said_in_a_line(tmp_path):
    trainer = Trainer()
    trainer.listener.step = lambda done: setattr(trainer.stop, "reason", "SIGTERM")
    trainer(tmp_path)
    folder = trainer.folder(tmp_path)
    with refused(str(folder), "interrupted", kind=RecordError):
        hybridsep.load(folder)
    trainer.listener.step = lambda done: None
    trainer(tmp_path)
    for name in ("checkpoint.pt", "checkpoint-previous.pt"):
        (folder / name).unlink()
    with refused(str(folder), "checkpoint.pt", kind=RecordError):
        hybridsep.load(folder)
    with refused(str(tmp_path), "record.json", kind=RecordError):
        hybridsep.load(tmp_path)


def test_the_examples_of_the_documentation_run(run, tmp_path, monkeypatch, capfd):
    """Those on modules and trained networks."""
    text = DOCS.read_text()
    parts = {part.partition("\n")[0]: part for part in text.split("\n## ")}
    examples = "\n".join(
        re.findall(r"```python\n(.*?)```", parts["Modules and networks"] + parts["A trained network"], flags=re.S)
    )
    results = tmp_path / "results"
    assert run(*TINY, "study=my_study", "schedule.epochs=1", "schedule.warmup_epochs=0", f"results={results}")[0] == 0
    Image.fromarray(np.full((40, 30, 3), 128, np.uint8)).save(tmp_path / "some_image.png")
    monkeypatch.chdir(tmp_path)
    capfd.readouterr()
    exec(compile(examples, str(DOCS), "exec"), {})
    assert capfd.readouterr().out.startswith("Cost(params=")
