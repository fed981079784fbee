import numpy as np
import pytest
import torch

from sightlines.models import building
from sightlines.models.attention import attention_modules, capture_attention, prefix_tokens
from tests.models.nets import CLASSES, IMAGES, NETS, SIZE_PX
from tests.rounding import assert_rounded

# The longest sums have 48 terms; 7 follow each other in each of 3 blocks, after the embedding.
TERMS = 48 * (1 + 7 * 3)


def make(name):
    model = building.build(NETS[name], SIZE_PX, CLASSES, seed=5).eval()
    generator = torch.Generator().manual_seed(19)
    with torch.no_grad():
        for block in model.blocks:
            block.attn.qkv.weight.mul_(3)
    return model, torch.randn(IMAGES, 3, SIZE_PX, SIZE_PX, generator=generator)


@torch.no_grad()
def unfused(model, images):
    """The probabilities as timm's own unfused path hands them to its dropout."""
    seen = []
    for block in model.blocks:
        block.attn.fused_attn = False
        block.attn.attn_drop.register_forward_pre_hook(lambda m, a: seen.append(a[0].clone()))
    model(images)
    return seen


@pytest.mark.parametrize("name", ["vit", "vit_gap"])
@pytest.mark.parametrize("query_chunk", [1, 4, 7, 1000])
def test_equals_timms_unfused_attention(name, query_chunk):
    model, images = make(name)
    chunks = {}

    def keep(block, probabilities, start):
        assert probabilities.shape[2] <= query_chunk
        assert start == sum(chunk.shape[2] for chunk in chunks.get(block, []))
        chunks.setdefault(block, []).append(probabilities)

    with torch.no_grad():
        before = model(images)
        with capture_attention(model, keep, query_chunk):
            after = model(images)
    assert torch.equal(before, after)
    assert all(block.attn.fused_attn for block in model.blocks)
    assert not any(m._forward_pre_hooks for m in model.modules())
    expected = unfused(model, images)
    assert list(chunks) == list(range(len(expected)))
    for block, parts in chunks.items():
        found = torch.cat(parts, dim=2)
        assert found.dtype == torch.float32
        assert found.max() > 0.5, "attention this flat would not tell a wrong one"
        assert_rounded(found, expected[block], terms=TERMS, size=1, dtype=np.float32)
        sums = found.sum(-1)
        assert_rounded(sums, torch.ones_like(sums), terms=found.shape[-1], dtype=np.float32)


def test_modules_are_those_that_the_family_names():
    model, _ = make("vit")
    modules = dict(model.named_modules())
    assert attention_modules(model) == [
        modules[f"blocks.{i}.attn"] for i in range(len(model.blocks))
    ]


@pytest.mark.parametrize(("name", "expected"), [("vit", 1), ("vit_gap", 0)])
def test_prefix_tokens(name, expected):
    assert prefix_tokens(make(name)[0]) == expected


def test_network_without_attention():
    model = building.build(NETS["resnet"], SIZE_PX, CLASSES, seed=5)
    with pytest.raises(LookupError, match="ResNetV2 has no attention"):
        with capture_attention(model, lambda *a: None, 8):
            pass
