import numpy as np
import pytest
import torch

from sightlines.core import files
from sightlines.core.devices import prepare
from sightlines.core.errors import ResultError
from sightlines.datasets.reading import normalise
from sightlines.dumps import gram, pixels
from sightlines.dumps.network import ShownImages
from sightlines.dumps.reading import GramDump, check_together
from sightlines.models.layers import capture
from sightlines.plan import registry
from tests.dumps.grams import assert_gram
from tests.dumps.making_experiments import (
    COMPUTE,
    RESNET,
    VIT,
    make_dataset,
    make_network,
    make_reference,
    open_shown,
    record,
)
from tests.rounding import rounded

REFERENCE = [13, 13, 5]


@pytest.fixture
def experiment(tmp_path):
    dataset = make_dataset(tmp_path / "data")
    return dataset, make_reference(dataset, tmp_path / "reference.safetensors", REFERENCE)


def record_pixels(experiment, output):
    shown = ShownImages.open(*experiment, output.parent, prepare(COMPUTE), COMPUTE["batch_size"])
    files.write_tensor_file(output, pixels.record(shown))


def test_it_is_no_dump_of_networks():
    assert "pixels" not in registry.members("dumps")


def test_each_minibatch_has_the_gram_of_its_centred_pixels(tmp_path, experiment):
    dataset, reference = experiment
    record_pixels(experiment, tmp_path / "pixels.safetensors")
    found = GramDump(tmp_path / "pixels.safetensors")
    assert found.network.slug == "pixels/f000/s0" and found.batch_sizes == REFERENCE
    assert [row["features"] for row in found.layers] == [3 * 8 * 8]
    images = np.load(dataset.parent / "test_images.npy")
    splits = files.TensorReader(reference)
    assert found.reference_sha256 == splits.meta["reference_sha256"]
    begin = 0
    for minibatch, n in enumerate(REFERENCE):
        x = images[splits["reference"][begin : begin + n]].reshape(n, -1).astype(np.float64)
        assert_gram(found.packed(minibatch)[0], (x / 255 - 0.5) / 0.25)
        begin += n


def test_it_goes_together_with_the_networks_grams_and_is_the_same_bytes_again(tmp_path, experiment):
    paths = [tmp_path / f"{turn}.safetensors" for turn in "ab"]
    for path in paths:
        record_pixels(experiment, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    make_network(tmp_path / "vit", VIT, experiment[0])
    record("gram", tmp_path / "vit", *experiment, tmp_path / "gram.safetensors")
    both = [GramDump(tmp_path / "gram.safetensors"), GramDump(paths[0])]
    check_together(both, ["vit/f000/s0", "pixels/f000/s0"])


def test_pixels_have_no_sizes_of_activations(tmp_path, experiment):
    record_pixels(experiment, tmp_path / "p")
    with pytest.raises(ResultError, match=r"largest\.000 should be \(1,\), found nothing. Delete"):
        GramDump(tmp_path / "p").largest(0)
    with pytest.raises(ResultError, match=r"median\.001 should be \(1,\), found nothing. Delete"):
        GramDump(tmp_path / "p").median(1)


@pytest.mark.parametrize("config", [VIT, RESNET], ids=["vit", "resnet"])
def test_gram_dumps_say_how_large_activations_are(tmp_path, experiment, config):
    make_network(tmp_path / "net", config, experiment[0])
    record("gram", tmp_path / "net", *experiment, tmp_path / "gram.safetensors")
    found = GramDump(tmp_path / "gram.safetensors")
    shown = open_shown(tmp_path / "net", *experiment)
    images = np.load(experiment[0].parent / "test_images.npy").transpose(0, 3, 1, 2)
    for minibatch, indices in enumerate(shown.reference_minibatches()):
        kept = {}
        batch = torch.from_numpy(np.ascontiguousarray(images[indices]))
        with (
            torch.inference_mode(),
            capture(shown.model, shown.layers, lambda i, x, kept=kept: kept.update({i: x.clone()})),
        ):
            shown.model(normalise(batch, [0.5] * 3, [0.25] * 3))
        for index in range(len(shown.layers)):
            sizes = kept[index].abs().numpy()
            # The network rounds: sums of up to 32 · 9 terms, 7 of them in each of two blocks.
            sums = {"terms": 32 * 9 * 7 * 2, "size": sizes.max() or 1, "dtype": np.float32}
            assert found.largest(minibatch)[index] == rounded(sizes.max(), **sums)
            nonzero = sizes[sizes > 0]
            # The rank of the median of n draws has a standard error of 1 / √(4n); here 3 of them.
            share = 1.5 / np.sqrt(nonzero.size * min(1, gram.SAMPLED / sizes.size) or 1)
            low, high = np.quantile(nonzero, [0.5 - share, 0.5 + share]) if nonzero.size else (0, 0)
            assert low <= found.median(minibatch)[index] <= high


def test_the_median_of_many_activations_meets_all_features_and_no_zeros():
    width = 3 * 64
    scales = torch.arange(1, width + 1, dtype=torch.float32)
    x = torch.randn(2048, width, generator=torch.Generator().manual_seed(1)).sign() * scales
    assert x.numel() > 4 * gram.SAMPLED
    largest, median = gram.activation_sizes(x)
    assert largest == width
    assert abs(median - (width + 1) / 2) <= 0.5, "every feature is met equally often, but for once"
    # ReLU draws half of them: the median of n draws has a standard error of width / √(4n).
    error = width / np.sqrt(4 * gram.SAMPLED / 2)
    assert abs(gram.activation_sizes(torch.relu(x))[1] - (width + 1) / 2) < 3 * error
    assert gram.activation_sizes(torch.zeros(5, 7)) == (0, 0)
    assert gram.activation_sizes(torch.full((5, 7), -3.0)) == (3, 3)


@pytest.mark.parametrize("features", [3, gram.CACHED])
@pytest.mark.parametrize("value", [-7.0, 7.0])
def test_the_largest_activation_has_either_sign_in_layers_of_every_size(features, value):
    x = torch.ones(3, features)
    x[1, 2] = value
    assert gram.activation_sizes(x) == (7, 1)
