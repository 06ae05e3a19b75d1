"""A training step and an evaluation on a GPU, without one: every model under every augmentation.

Fake tensors know their device and shape and have no values: mixing devices, or reading a value back, raises.
What needs a real GPU has a stand-in here: a generator, moving a network there,
autograd's engine and the fused update of SGD.
"""

import contextlib
import functools
from dataclasses import replace

import hydra
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hybridsep import config as configuration
from hybridsep.modules import fast
from hybridsep.networks import ModuleFactory
from hybridsep.train import build
from hybridsep.train.assembly import Training, assemble
from hybridsep.train.step import DeviceData
from hybridsep.train.trial import Trial

CUDA = torch.device("cuda", 0)
STACK = ("separable", "inception", "resnext", "reformulated_inception", "separable_equivalent", "hybrid")
MODELS = (*STACK, "fractalnet", "fractalnet_separable", "darknet", "darknet_separable")
AUGMENTATIONS = sorted(path.stem for path in (configuration.config_dir() / "augmentation").glob("*.yaml"))


@functools.cache
def composed(group: str) -> configuration.Config:
    """A configuration with one choice other than the defaults'."""
    configuration.register()
    GlobalHydra.instance().clear()
    words = ["data=synthetic", "size=tiny", "size.dropout=0.2", "schedule.batch_size=8", "precision=bfloat16", group]
    with hydra.initialize_config_dir(str(configuration.config_dir()), **configuration.hydra_defaults()):
        return configuration.resolve(hydra.compose("config", words))


class HostGenerator(torch.Generator):
    def __new__(cls, device=None):
        return super().__new__(cls)


def move(network: nn.Module, *, device: torch.device, memory_format: torch.memory_format) -> None:
    """`Module.to` with new parameters: fake ones that were written to cannot change their device in place."""
    for module in network.modules():
        for name, old in module.named_parameters(recurse=False):
            layout = memory_format if old.ndim == 4 else torch.preserve_format
            setattr(module, name, nn.Parameter(old.detach().to(device, memory_format=layout)))
        for name, old in module.named_buffers(recurse=False):
            setattr(module, name, old.to(device))


def backward(loss: Tensor) -> None:
    """Autograd's engine in Python: each node once all gradients of its output are there, in the calling thread."""
    waiting, seen, stack = {}, {loss.grad_fn}, [loss.grad_fn]
    while stack:
        for node, _ in stack.pop().next_functions:
            if node is not None:
                waiting[node] = waiting.get(node, 0) + 1
                if node not in seen:
                    seen.add(node)
                    stack.append(node)
    arrived = {loss.grad_fn: {0: torch.ones_like(loss)}}
    ready = [loss.grad_fn]
    while ready:
        node = ready.pop()
        outputs = node._input_metadata
        found = arrived.pop(node, {})
        for number, gradient in found.items():
            # The engine adds up what was broadcast and casts to the output's type, but moves nothing.
            assert gradient.device == outputs[number].device, node
            found[number] = gradient.sum_to_size(outputs[number].shape).to(outputs[number].dtype)
        if hasattr(node, "variable"):
            (gradient,) = found.values()
            assert node.variable.grad is None
            node.variable.grad = gradient.detach()
            continue
        call = node.apply if isinstance(node, torch.autograd.function.BackwardCFunction) else node
        with torch.no_grad():
            results = call(*(found.get(number) for number in range(len(outputs))))
        results = results if isinstance(results, tuple) else (results,)
        for (after, number), gradient in zip(node.next_functions, results, strict=True):
            if after is None:
                continue
            if gradient is not None:
                so_far = arrived.setdefault(after, {})
                so_far[number] = so_far[number] + gradient if number in so_far else gradient
            waiting[after] -= 1
            if not waiting[after]:
                ready.append(after)


def fused_sgd(parameters: list, gradients: list, velocities: list, *, lr: Tensor, **options) -> None:
    """The fused update asks for tensors on one device, and moves nothing."""
    assert len(parameters) == len(gradients) == len(velocities) > 0
    for parameter, gradient, velocity in zip(parameters, gradients, velocities, strict=True):
        assert parameter.device == gradient.device == velocity.device == lr.device == CUDA
        assert parameter.shape == gradient.shape == velocity.shape
        assert parameter.dtype == gradient.dtype == velocity.dtype == lr.dtype == torch.float32
        parameter.add_(velocity.mul_(options["momentum"]).add_(gradient))


@pytest.fixture
def fake(monkeypatch):
    """Everything in the test is fake, on "cuda" with bfloat16."""
    monkeypatch.setattr(torch, "Generator", HostGenerator)
    monkeypatch.setattr(nn.Module, "to", move)
    monkeypatch.setattr(Tensor, "backward", backward)
    monkeypatch.setattr(torch, "_fused_sgd_", fused_sgd)
    # Without these, autocast looks for a GPU and switches itself off.
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_, **__: True)
    with FakeTensorMode():
        yield


def parts_of(model: str, augmentation: str, slot: ModuleFactory | None = None) -> tuple:
    """The configuration of a model, data on the GPU, and what builds the network."""
    chosen = composed(f"augmentation={augmentation}").augmentation
    if "fractalnet" in model:
        chosen = replace(chosen, crop=None)  # five poolings need 32 pixels
    config = replace(composed(f"model={model}"), augmentation=chosen)

    def images(count: int, side: int) -> tuple[Tensor, Tensor]:
        pixels = torch.empty(count, side, side, 3, dtype=torch.uint8, device=CUDA)
        return pixels, torch.empty(count, dtype=torch.int64, device=CUDA)

    padded = 32 + 2 * config.augmentation.padding
    data = DeviceData(*images(16, padded), *images(10, 32), *torch.empty(2, 3, device=CUDA))
    return config, data, build.network_factory(config, classes=10, slot=slot)


def training(model: str, augmentation: str, slot: ModuleFactory | None = None) -> Training:
    config, data, network = parts_of(model, augmentation, slot)
    return assemble(config, data=data, device=CUDA, trial=0, build=network)


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
@pytest.mark.parametrize("model", MODELS)
def test_a_step_and_an_evaluation_stay_on_the_gpu(model, augmentation, fake):
    parts = training(model, augmentation)
    kinds = set()
    head = [module for module in parts.network.modules() if isinstance(module, nn.Linear | nn.Conv2d)][-1]
    head.register_forward_hook(lambda module, inputs, output: kinds.add(output.dtype))
    parts.network.train()
    parts.step()
    assert kinds == {torch.bfloat16}
    assert all(parameter.grad is not None for parameter in parts.network.parameters())
    assert parts.step.losses.device == parts.step.wrong.device == CUDA
    parts.evaluation()
    assert parts.evaluation.logits.device == CUDA and parts.evaluation.logits.shape == (10, 10)


class OnTheHost(nn.Conv2d):
    """A constant that nobody moved to the device."""

    def __init__(self, in_chs: int, out_chs: int):
        super().__init__(in_chs, out_chs, 1)

    def forward(self, x):
        return super().forward(x) * torch.ones(self.out_channels, 1, 1)


class Reading(OnTheHost):
    """A value that the host waits for."""

    def forward(self, x):
        return nn.Conv2d.forward(self, x) * x.abs().max().item()


class ReadBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad / grad.norm().item()


class ReadingBackward(OnTheHost):
    """The same in the backward pass."""

    def forward(self, x):
        return ReadBackward.apply(nn.Conv2d.forward(self, x))


@pytest.mark.parametrize(
    ("broken", "said"),
    [(OnTheHost, "cuda:0(,| and) cpu"), (Reading, "_local_scalar_dense"), (ReadingBackward, "_local_scalar_dense")],
)
def test_what_a_gpu_could_not_do_is_found(broken, said, fake):
    parts = training("separable", "crop_flip", ModuleFactory(broken, {}))
    parts.network.train()
    with pytest.raises(Exception, match=said):
        parts.step()


@pytest.mark.parametrize("model", ["separable", "inception"])
@pytest.mark.parametrize("chosen", ["auto", False, True])
def test_fast_is_off_on_a_gpu_until_it_is_asked_for_and_then_compiles_every_norm_and_relu(
    model, chosen, fake, monkeypatch
):
    """Counted in channels, since Inception's towers end in one BatchNorm that is joined of several."""
    joined, alone = [], []

    def stand_in(y, *arguments):
        joined.append(y.shape[1])
        return functional.relu(functional.batch_norm(y, *arguments))

    monkeypatch.setattr(fast, "compiled", lambda: stand_in)
    config, data, network = parts_of(model, "crop_flip")
    parts = assemble(replace(config, fast=chosen), data=data, device=CUDA, trial=0, build=network)
    norms = [module for module in parts.network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.register_forward_hook(lambda norm, inputs, output: alone.append(norm.num_features))
    parts.network.train()
    parts.step()
    channels = sum(norm.num_features for norm in norms)
    assert (sum(joined), sum(alone)) == ((channels, 0) if chosen is True else (0, channels))


class Watch(TorchDispatchMode):
    """Notes every operation on the GPU that is done outside `stream.eager()` and outside a step."""

    def __init__(self):
        super().__init__()
        self.inside, self.outside = 0, set()

    @contextlib.contextmanager
    def eager(self):
        self.inside += 1
        yield
        self.inside -= 1

    def training(self, step, *, generator=None):
        def call() -> None:
            with self.eager():
                step()

        return call

    evaluation = training

    def wait(self) -> None:
        """All is done at once here."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        leaves = tree_leaves((args, kwargs, result))
        if not self.inside and any(isinstance(leaf, Tensor) and leaf.device.type == "cuda" for leaf in leaves):
            if func is not torch.ops.aten.detach.default:
                self.outside.add(str(func))
        return result


def test_device_work_between_the_steps_waits_for_captures(fake):
    """To begin an epoch, to be stopped in it, to be saved and to go on: all under the lock that a capture holds."""
    config, data, build = parts_of("separable", "crop_flip")
    with Watch() as watch:
        trial = Trial(config, 0, data=data, build=build, device=CUDA, stream=watch)
        assert not trial.train_epoch(after_step=lambda done: True)
        trial.load_state(trial.state())
        assert not watch.outside
