"""The ablation: variants of a training loop from the reference loop to ours, one switch at a time."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from hybridsep.config.schema import NumberFormat
from hybridsep.train.assembly import Ways


@dataclass(frozen=True)
class Variant:
    """One way to train: which switches are on. `missing` says what this machine lacks for it, or nothing."""

    name: str
    data_on_device: bool = False
    channels_last: bool = False
    bfloat16: bool = False
    fast: bool = False  # modules take their faster way: `hybridsep.modules.fast.use_fast`
    assembled: bool = False  # as training is: fused optimiser, learning rates and counters on the device
    kept: bool = False  # memory that a step frees stays in the process, which is the caller's affair
    graph: bool = False
    deterministic: bool = True  # kernels on a GPU, as training asks for them
    compiled: bool = False  # the whole network by `torch.compile`
    at_once: int = 1
    standalone: bool = False  # tried beside the others; the variants after it do without
    missing: str = ""

    @property
    def ways(self) -> Ways:
        """Its ways to carry a training out."""
        precision: NumberFormat = "bfloat16" if self.bfloat16 else "float32"
        return Ways(precision, self.fast, self.compiled, self.channels_last)


def ours(*, bfloat16: bool, fast: bool) -> Variant:
    """Return the variant that a trial trains with, uncaptured and without what belongs to the process.

    `fast`: with the modules' fast ways, as trials on a CPU are.
    """
    return Variant("ours", data_on_device=True, channels_last=True, assembled=True, bfloat16=bfloat16, fast=fast)


@dataclass(frozen=True)
class _Switch:
    name: str
    turn: Callable[[Variant], Variant]
    missing: str = ""


def ablation(*, at_once: int, gpu: bool, bfloat16: bool, glibc: bool, fast: bool, compiled: bool) -> list[Variant]:
    """Return the variants, each with one switch more than the one before; what this machine lacks stays off.

    `fast`: the network has modules with a fast way to their function. Our runs take it on a CPU, and on a GPU not
    before this shows it quicker. `compiled`: try torch.compile too.
    """
    fast_way = [_Switch("+ the module's fast way", lambda last: replace(last, fast=True))] if fast else []
    compile_ = _Switch("torch.compile, aside", lambda last: replace(last, compiled=True, standalone=True))
    no_bfloat16 = "" if bfloat16 else "needs bfloat16 arithmetic"
    no_glibc = "needs a CPU and glibc" if gpu or not glibc else ""
    switches = (
        _Switch("+ data on device", lambda last: replace(last, data_on_device=True)),
        _Switch("+ channels-last", lambda last: replace(last, channels_last=True)),
        _Switch("+ bfloat16", lambda last: replace(last, bfloat16=True), no_bfloat16),
        *([] if gpu else fast_way),
        _Switch("+ fused SGD, device state", lambda last: replace(last, assembled=True)),
        _Switch("+ freed memory kept", lambda last: replace(last, kept=True), no_glibc),
        _Switch("+ CUDA graph", lambda last: replace(last, graph=True), "" if gpu else "needs a GPU"),
        *([compile_] if compiled else []),
        _Switch(f"+ {at_once} trials at once", lambda last: replace(last, at_once=at_once)),
        *(fast_way if gpu else []),
    )
    last = Variant("usual loop")
    variants = [last]
    for switch in switches:
        if switch.missing:
            variants.append(replace(last, name=switch.name, missing=switch.missing))
        else:
            variants.append(replace(switch.turn(last), name=switch.name))
            last = last if variants[-1].standalone else variants[-1]
    return variants
