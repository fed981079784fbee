import numpy as np
import pytest
import torch

from sightlines.core import files
from sightlines.core.errors import ResultError
from sightlines.datasets.reading import normalise
from sightlines.dumps import heads
from sightlines.dumps.gram_product import packed_gram
from sightlines.dumps.heads_reading import HeadsDump
from tests.dumps.grams import gram_of
from tests.dumps.making_experiments import (
    RESNET,
    VIT,
    make_dataset,
    make_network,
    make_reference,
    record,
)
from tests.rounding import assert_rounded

SIZES = [13, 6]


@pytest.fixture
def experiment(tmp_path):
    dataset = make_dataset(tmp_path / "data")
    make_reference(dataset, tmp_path / "reference.safetensors", SIZES)
    return dataset


def dump(tmp_path, experiment, config=VIT, change=None):
    folder = tmp_path / config["family"]
    model = make_network(folder, config, experiment, change=change)
    output, reference = folder / "heads.safetensors", tmp_path / "reference.safetensors"
    record("heads", folder, experiment, reference, output)
    return model.eval(), output


def pixels(tmp_path, experiment, minibatch):
    indices = files.TensorReader(tmp_path / "reference.safetensors")["reference"]
    begin = sum(SIZES[:minibatch])
    chosen = np.load(experiment.parent / "test_images.npy")[indices[begin:][: SIZES[minibatch]]]
    chosen = torch.from_numpy(np.ascontiguousarray(chosen.transpose(0, 3, 1, 2)))
    return normalise(chosen, [0.5] * 3, [0.25] * 3)


def weighted_values(model, images):
    """Every head's A·V of the first block [n, tokens, heads, features], written out in float64."""
    kept = []
    block = model.blocks[0]
    handle = block.norm1.register_forward_hook(lambda m, a, out: kept.append(out.double().numpy()))
    with torch.inference_mode():
        model(images)
    handle.remove()
    weight = block.attn.qkv.weight.detach().double().numpy()
    bias = block.attn.qkv.bias.detach().double().numpy()
    n, tokens, width = kept[0].shape
    count = block.attn.num_heads
    size = width // count
    out = np.zeros((n, tokens, count, size))
    for image in range(n):
        mixed = kept[0][image] @ weight.T + bias
        for head in range(count):
            queries, keys, values = (
                mixed[:, part * width + head * size :][:, :size] for part in range(3)
            )
            for token in range(tokens):
                scores = np.exp(keys @ queries[token] / np.sqrt(size))
                out[image, token, head] = scores @ values / scores.sum()
    return out


def sums_over(outputs):
    """How a Gram of some heads' outputs rounds: features, after a sum of inputs, one of tokens."""
    return {"terms": outputs[0].size * 3, "dtype": np.float32}


def test_the_dump_holds_each_heads_weighted_values_before_they_are_mixed(tmp_path, experiment):
    model, path = dump(tmp_path, experiment)
    found = HeadsDump(path)
    assert (found.heads, found.batch_sizes, found.network.slug) == (3, SIZES, "vit/f000/s0")
    for minibatch in range(len(SIZES)):
        outputs = weighted_values(model, pixels(tmp_path, experiment, minibatch))
        expected = [gram_of(outputs[:, :, head]) for head in range(3)]
        assert_rounded(found.packed(minibatch), expected, **sums_over(outputs))


def test_the_gram_of_heads_side_by_side_is_the_sum_of_their_grams(tmp_path, experiment):
    model, path = dump(tmp_path, experiment)
    outputs = weighted_values(model, pixels(tmp_path, experiment, 0))
    packed = HeadsDump(path).packed(0).astype(np.float64)
    for subset in ([0, 2], [1, 2], [0, 1, 2]):
        together = gram_of(outputs[:, :, subset])
        assert_rounded(packed[subset].sum(0), together, **sums_over(outputs))


def test_all_heads_together_are_the_input_of_the_output_projection(tmp_path, experiment):
    model, path = dump(tmp_path, experiment)
    kept = []
    model.blocks[0].attn.proj.register_forward_pre_hook(lambda m, a: kept.append(a[0].clone()))
    with torch.inference_mode():
        model(pixels(tmp_path, experiment, 1))
    whole = packed_gram(kept[0])
    assert_rounded(HeadsDump(path).packed(1).sum(0), whole, **sums_over(kept[0].numpy()))


def test_two_dumps_are_the_same_bytes_and_leave_no_hook(tmp_path, experiment):
    _, path = dump(tmp_path, experiment)
    first = path.read_bytes()
    dump(tmp_path, experiment)
    assert path.read_bytes() == first
    model = make_network(tmp_path / "vit", VIT, experiment)
    with heads.capture_heads(model.blocks[0].attn, lambda outputs: None):
        assert model.blocks[0].attn.proj._forward_pre_hooks
    assert not model.blocks[0].attn.proj._forward_pre_hooks


def test_a_resnet_is_refused(tmp_path, experiment):
    with pytest.raises(ResultError, match="has no attention"):
        dump(tmp_path, experiment, RESNET)


def test_outputs_that_are_not_finite_are_refused(tmp_path, experiment):
    def overflow(state):
        state["blocks.0.attn.qkv.weight"][24:] *= 1e25

    with pytest.raises(ResultError, match="heads of the first block of vit/f000/s0"):
        dump(tmp_path, experiment, change=overflow)
    assert not (tmp_path / "vit" / "heads.safetensors").exists()
