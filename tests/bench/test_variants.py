"""The switches, in the order in which they are added."""

from hybridsep.bench.variants import ablation

HERE = {"gpu": False, "bfloat16": True, "glibc": True, "fast": False, "compiled": False}
MISSING_ON_A_GPU = {"+ freed memory kept"}


def test_a_switch_stands_where_it_applies_and_what_is_tried_aside_is_not_built_on():
    narrow = ablation(at_once=2, **{**HERE, "compiled": True})
    assert [variant.name for variant in narrow[5:]] == [
        "+ freed memory kept",
        "+ CUDA graph",
        "torch.compile, aside",
        "+ 2 trials at once",
    ]
    assert [variant.name for variant in narrow if variant.compiled] == ["torch.compile, aside"]
    quick = ablation(at_once=2, **{**HERE, "fast": True})
    assert next(variant.name for variant in quick if variant.fast) == "+ the module's fast way"
    assert not quick[3].fast and all(variant.fast for variant in quick[4:])
    # Our runs do not on a GPU, so what they do comes first there.
    gpu_ways = ablation(at_once=10, gpu=True, bfloat16=True, glibc=True, fast=True, compiled=False)
    assert [way.name for way in gpu_ways if way.fast] == ["+ the module's fast way"] == [gpu_ways[-1].name]
    assert gpu_ways[-1].graph
    assert {way.name for way in gpu_ways if way.missing} == MISSING_ON_A_GPU
