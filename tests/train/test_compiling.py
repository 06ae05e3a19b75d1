"""`compile=true`: what it needs, what it changes and what it leaves alone."""

import numpy as np
import pytest
import torch
from conftest import TINY
from fault_injection import Trainer
from made_runs import read_record
from refusals import check_refused, refused
from torch import nn

from hybridsep.runs import records
from hybridsep.train import compiling


def test_without_a_compiler_it_is_one_line_and_nothing_is_written(run, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    check_refused(run(*TINY, "compile=true", "device=cpu"), "no-such-compiler", key="compile=true")
    assert not (tmp_path / "results").exists()


def test_what_is_compiled_is_kept_in_the_data_folder_or_where_the_user_says(tmp_path, monkeypatch):
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    monkeypatch.setenv("CXX", "true")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "theirs"))
    compiling.check_compiler(torch.device("cpu"), str(tmp_path / "data"))
    assert cache_dir() == str(tmp_path / "theirs")
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    compiling.check_compiler(torch.device("cpu"), str(tmp_path / "data"))
    assert cache_dir() == str(tmp_path / "data/cache/torch-compile")


def test_trials_that_would_compile_at_once_are_refused_where_that_is_not_sound():
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    compiling.check_concurrency(gpu, trials_at_once=10, cuda_graph=True)
    compiling.check_concurrency(cpu, trials_at_once=None, cuda_graph=True)
    for device, graph in ((cpu, True), (gpu, False)):
        with refused("trials_at_once=2", key="compile=true"):
            compiling.check_concurrency(device, trials_at_once=2, cuda_graph=graph)


def test_training_and_evaluation_are_compiled_and_the_record_and_the_identity_say_what_they_should(
    tmp_path, monkeypatch
):
    calls = []

    def stand_in(self, **options):
        def compiled(*arguments, **keywords):
            calls.append(self.training)
            return self._call_impl(*arguments, **keywords)

        self._compiled_call_impl = compiled

    plain = Trainer()
    plain(tmp_path / "plain")
    monkeypatch.setattr(nn.Module, "compile", stand_in)
    trainer = Trainer("compile=true")
    trainer(tmp_path / "compiled")
    assert set(calls) == {True, False}, "training and evaluation"
    one, other = (read_record(plain.folder(tmp_path / name)) for name in ("plain", "compiled"))
    assert one["identity"] == other["identity"] and not one["machine"]["compiled"]
    assert other["machine"]["compiled"] is True and other["config"]["compile"] is True
    weights = [
        torch.load(plain.folder(tmp_path / name) / "checkpoint.pt", weights_only=True)["network"]
        for name in ("plain", "compiled")
    ]
    assert list(weights[0]) == list(weights[1])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch warns of itself
def test_the_real_compiler_trains_to_nearly_the_same_network(tmp_path):
    overrides = ("precision=float32", "schedule.epochs=1", "schedule.warmup_epochs=0")
    found = []
    for name, words in (("plain", ()), ("compiled", ("compile=true",))):
        trainer = Trainer(*overrides, *words)
        trainer(tmp_path / name)
        assert trainer.outcome.finished == 1, trainer.listener.lines
        found.append(records.read_predictions(trainer.folder(tmp_path / name))[0].astype(np.float32))
    assert np.abs(found[0] - found[1]).max() < 0.02 * np.abs(found[0]).max()
