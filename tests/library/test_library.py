"""What a notebook imports: the pipeline's own functions, on images and networks of its own."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

import sightlines as sl
from sightlines.core.errors import ConfigError, DataError, ResultError, WeightsError
from sightlines.measures import cka as cka_measure
from sightlines.plan.renamed_keys import DeprecatedKeyWarning

pytestmark = pytest.mark.whole


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (48, 32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def vit():
    return sl.load("vit_tiny_patch16_224", weights="random", size_px=32)


@pytest.fixture(scope="module")
def cnn():
    layers = [torch.nn.Conv2d(3, 6, 3, 2, 1), torch.nn.ReLU(), torch.nn.Conv2d(6, 9, 3, 2, 1)]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return sl.load(torch.nn.Sequential(*layers), layers=["0", "2"], name="small", size_px=32)


class Tokens(torch.nn.Module):
    def forward(self, maps):
        return maps.flatten(2).transpose(1, 2)


def folder_of(root, count=10, classes=("cat", "dog")):
    rng = np.random.default_rng(1)
    for place in range(count):
        path = root / classes[place % len(classes)] / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(path)
    return root


def test_importing_costs_no_torch_and_every_name_is_there():
    code = (
        "import sys, sightlines as sl; assert 'torch' not in sys.modules, 'torch'; "
        "assert 'numpy' not in sys.modules, 'numpy'; "
        "assert not [n for n in sl.__all__ if getattr(sl, n) is None]; "
        "assert set(sl.__all__) <= set(dir(sl)); print(sl.__version__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip()[0].isdigit()


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'ckaa'"):
        sl.ckaa  # noqa: B018


def test_similarity_is_that_of_the_measure(pixels, vit, cnn):
    images = sl.images(pixels, minibatch=12)
    grams = [sl.grams(network, images) for network in (vit, cnn)]
    found = sl.cka(*grams)
    table = cka_measure.measure(gram=[g.dump for g in grams], seed=0)["cka.parquet"]
    _, expected, _ = table
    assert found.values.shape == (len(vit.layers), 2)
    np.testing.assert_array_equal(found.to_pandas()["cka"], expected["cka"])
    np.testing.assert_array_equal(found.to_pandas()["cka_se"], expected["cka_se"])
    own = sl.cka(grams[1])
    np.testing.assert_allclose(own.values.diagonal(), 1, atol=1e-6)
    assert own.values[0, 1] == pytest.approx(own.values[1, 0]) and own.values[0, 1] < 1


def test_similarity_agrees_with_the_textbook(pixels, cnn):
    images = sl.images(pixels, minibatch=48)
    found = sl.cka(sl.grams(cnn, images)).values[0, 1]
    mean, std = (np.array(cnn.card[key], np.float32)[:, None, None] for key in ("mean", "std"))
    batch = (pixels.transpose(0, 3, 1, 2).astype(np.float32) / 255 - mean) / std
    with torch.inference_mode():
        first = cnn.module[0](torch.from_numpy(batch))
        second = cnn.module[2](cnn.module[1](first))
    n = len(pixels)
    grams = []
    for value in (first, second):
        features = value.flatten(1).double().numpy()
        gram = features @ features.T
        np.fill_diagonal(gram, 0)
        grams.append(gram)

    def hsic(k, m):
        """Song et al. 2012, equation 5."""
        whole = (k * m).sum() + k.sum() * m.sum() / ((n - 1) * (n - 2))
        return (whole - 2 / (n - 2) * (k @ m).sum()) / (n * (n - 3))

    k, m = grams
    assert found == pytest.approx(hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m)), abs=1e-4)


def test_grams_are_kept_and_compared_with_those_of_the_same_images_alone(pixels, cnn, tmp_path):
    images = sl.images(pixels, minibatch=12)
    grams = sl.grams(cnn, images)
    grams.save(tmp_path / "own.safetensors")
    again = sl.Grams.open(tmp_path / "own.safetensors")
    np.testing.assert_array_equal(sl.cka(again).values, sl.cka(grams).values)
    other = sl.grams(cnn, sl.images(pixels, minibatch=12, seed=1))
    with pytest.raises(ResultError, match="different images or minibatches"):
        sl.cka(grams, other)


def test_photographs_are_shown_as_the_network_expects(tmp_path, vit):
    root = folder_of(tmp_path / "photographs")
    images = sl.images(root)
    assert len(images) == 10 and images.classes == ["cat", "dog"] and len(images.paths) == 10
    assert sl.grams(vit, images).dump.batch_sizes == [10]
    few = sl.images(root, limit=6)
    assert len(few) == 6 and few.paths == sl.images(root, limit=6).paths
    assert few.paths != sl.images(root, limit=6, seed=1).paths
    assert not (tmp_path / ".cache").exists() or "decoded" not in str(list((tmp_path).rglob("*")))


def test_photographs_that_cannot_be_read_are_listed(tmp_path):
    root = folder_of(tmp_path / "photographs")
    (root / "cat" / "0.png").write_bytes(b"no image")
    (root / "dog" / "1.png").write_bytes(b"")
    with pytest.raises(DataError) as error:
        sl.images(root)
    assert "cat/0.png" in str(error.value) and "dog/1.png" in str(error.value)


@pytest.mark.parametrize(
    ("source", "labels", "message"),
    [
        (np.zeros((8, 4, 4, 3)), None, "float64"),
        (np.zeros((8, 4, 5, 3), np.uint8), None, "8, 4, 5, 3"),
        (np.zeros((3, 4, 4, 3), np.uint8), None, "at least 4"),
        (np.zeros((8, 4, 4, 3), np.uint8), [0, 1], "for 8 images"),
        (np.zeros((8, 4, 4, 3), np.uint8), np.full(8, 0.5), "float64"),
        (np.zeros((0, 4, 4, 3), np.uint8), [], "0, 4, 4, 3"),
    ],
)
def test_arrays_that_are_no_images_are_refused(source, labels, message):
    with pytest.raises(ConfigError, match=message):
        sl.images(source, labels=labels)


def test_heads_fields_skips_and_probes_are_those_of_the_measures(pixels, vit):
    labels = np.arange(len(pixels)) % 3
    images = sl.images(pixels, minibatch=12, labels=labels)
    distances = sl.attention_distance(vit, images)
    assert len(distances) == 12 * 3 and (distances["distance_px"] >= 0).all()
    assert set(sl.skip_ratios(vit, images)["block"]) == set(range(12))
    fields = sl.receptive_fields(vit, images)
    assert (fields["depth"].between(0, 1)).all()
    probes = sl.probe(vit, images, draws=1)
    assert (probes["chance"] == 1 / 3).all() and probes["accuracy"].between(0, 1).all()
    with pytest.raises(ConfigError, match="fewer than two classes"):
        sl.probe(vit, sl.images(pixels))


def test_attention_that_is_not_a_plain_vits_is_refused_and_not_half_measured(pixels):
    import torchvision

    images = sl.images(pixels[:4])
    swin = torchvision.models.SwinTransformer([4, 4], 12, [1, 1], [3, 3], [2, 2], num_classes=2)
    with pytest.raises(ResultError, match=r"otherwise than between all its tokens.*features\.1"):
        sl.attention_distance(sl.load(swin, size_px=32), images)
    with pytest.raises(ResultError, match="no softmax attention"):
        sl.attention_distance(sl.load("resnet18", weights="random", size_px=32), images)


def test_settings_that_no_measure_has_are_refused(pixels, cnn):
    images = sl.images(pixels, labels=np.arange(len(pixels)) % 2)
    with pytest.raises(ConfigError, match="unknown image; known are channels, depths"):
        sl.receptive_fields(cnn, images, image=4)
    with pytest.raises(ConfigError, match="unknown drawn"):
        sl.probe(cnn, images, drawn=1)


def test_a_probe_finds_classes_that_are_plain_to_see(cnn):
    labels = np.arange(200) % 2
    noise = np.random.default_rng(2).integers(0, 60, (200, 32, 32, 3))
    bright = (noise + 150 * labels[:, None, None, None]).astype(np.uint8)
    probes = sl.probe(cnn, sl.images(bright, labels=labels), draws=1)
    assert probes.loc[probes["shots"] != 10, "accuracy"].min() > 0.95


def test_what_cannot_be_loaded_says_why(tmp_path):
    with pytest.raises(WeightsError, match="'random'"):
        sl.load("resnet18")
    with pytest.raises(ConfigError, match="nonsuch"):
        sl.load("nonsuch_net", weights="random")
    with pytest.raises(ConfigError, match="crop; known are"):
        sl.load("resnet18", weights="random", crop=0.5)
    with pytest.raises(ConfigError, match="weights of its own; leave out seed, weights"):
        sl.load(torch.nn.Conv2d(3, 4, 3), weights="own.pth", seed=1)
    with pytest.raises(ConfigError, match="says it; leave out layers, size_px"):
        sl.load(tmp_path, layers=["blocks.0"], size_px=64)
    with pytest.raises(ResultError, match="no results"):
        sl.open_results(tmp_path)


def test_the_share_of_a_crop_goes_by_timms_name(pixels):
    found = sl.load("test_vit", weights="random", size_px=64, crop_pct=0.5)
    assert found.card["crop_share"] == 0.5, "cards of results keep the former name"
    with pytest.warns(DeprecatedKeyWarning, match="crop_share is now crop_pct"):
        former = sl.load("test_vit", weights="random", size_px=64, crop_share=0.5)
    assert former.card == found.card
    with pytest.raises(ConfigError, match="leave out crop_share"):
        sl.load("test_vit", weights="random", crop_share=0.5, crop_pct=0.5)
    for share in (0, 1.5, math.nan, "0.9", True):
        with pytest.raises(ConfigError, match=r"crop_pct is .*; give a share above 0"):
            sl.load("test_vit", weights="random", crop_pct=share)


WRONG = """
import numpy as np, torch, sightlines as sl
layers = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, 2), torch.nn.Conv2d(4, 4, 3, 2))
net = sl.load(layers, layers=["0", "1"], size_px=16)
images = sl.images(np.zeros((8, 16, 16, 3), np.uint8))
grams = sl.grams(net, images)
for call in (
    lambda: sl.grams("vit", images),
    lambda: sl.grams(net, "photographs"),
    lambda: sl.cka(net),
    lambda: sl.cka(grams, net),
    lambda: sl.probe(images, net),
    lambda: sl.skip_ratios(net, None),
    lambda: sl.attention_distance(grams, images),
    lambda: sl.receptive_fields(net, [images]),
    lambda: sl.plot.cka_map(grams),
    lambda: sl.load(images),
    lambda: sl.load("test_vit", layers="blocks.0"),
):
    try:
        call()
    except sl.SightlinesError as error:
        print(error)
"""
REFUSED = """
grams: network is of type str; give a Network, from `sl.load`
grams: images is of type str; give Images, from `sl.images`
cka: a is of type Network; give Grams, from `sl.grams(network, images)`
cka: b is of type Network; give Grams, from `sl.grams(network, images)`
probe: network is of type Images; give a Network, from `sl.load`
skip_ratios: images is of type NoneType; give Images, from `sl.images`
attention_distance: network is of type Grams; give a Network, from `sl.load`
receptive_fields: images is of type list; give Images, from `sl.images`
cka_map: similarity is of type Grams; give a Similarity, from `sl.cka`
load: source is of type Images; give a model's name in timm, the folder of a \
network in a run's results, or a torch.nn.Module
load: layers is a text; give a list, such as ['blocks.0']
"""


def test_arguments_of_another_type_are_refused_with_what_to_give():
    # In a process of its own: in this one, annotations are checked at every call.
    ran = subprocess.run([sys.executable, "-c", WRONG], capture_output=True, text=True)
    assert ran.stdout.splitlines() == REFUSED.strip().splitlines(), ran.stderr


def test_apples_gpu_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"MPS is not supported.*Use cpu"):
        sl.load("test_vit", weights="random", device="mps")


def test_a_device_that_there_is_not_is_refused_by_name():
    with pytest.raises(ConfigError, match="load: device is 'nonsense', which is no device: give"):
        sl.load("test_vit", weights="random", device="nonsense")


def test_receptive_fields_are_of_as_many_images_as_the_caller_says(pixels, cnn):
    images = sl.images(pixels, minibatch=12)
    few, more = (sl.receptive_fields(cnn, images, limit=n, channels=4) for n in (2, 8))
    assert list(few.columns) == list(more.columns) and not few.equals(more)
    for odd in ({"limit": 0}, {"limit": -1}, {"channels": 0}, {"depths": 2.5}):
        with pytest.raises(ConfigError, match="give a whole number of 1 or more"):
            sl.receptive_fields(cnn, images, **odd)


def test_a_file_is_read_as_the_caller_says(tmp_path):
    own = sl.load("test_vit", weights="random", size_px=64, seed=1).module
    state = {f"backbone.{key}": value for key, value in own.state_dict().items()}
    wrapped = {"student": {k: v + 1 for k, v in state.items()}, "teacher": state}
    torch.save(wrapped, tmp_path / "both.pth")
    asked = {"size_px": 64, "weight_set": "teacher.backbone", "drop": ["head"]}
    found = sl.load("test_vit", weights=tmp_path / "both.pth", **asked)
    assert torch.equal(found.module.pos_embed, own.pos_embed)
    assert found.card["classes"] == [] and not (tmp_path / ".cache").exists()


def test_plots_are_drawn_on_axes_of_ones_own(pixels, vit, cnn):
    images = sl.images(pixels, minibatch=12)
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert sl.plot.cka_map(sl.cka(sl.grams(vit, images), sl.grams(cnn, images)), ax=left) is left
    assert "small" in left.get_xlabel() and left.images[0].get_array().shape == (75, 2)
    sl.plot.attention_distances(sl.attention_distance(vit, images), ax=right)
    assert len(right.lines[0].get_xdata()) == 36


def test_a_notebook_leaves_torch_as_it_was(pixels, vit):
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    torch.backends.mha.set_fastpath_enabled(True)
    sl.load("resnet18", weights="random", size_px=32)
    sl.grams(vit, sl.images(pixels, minibatch=12))
    layer = torch.nn.TransformerEncoderLayer(12, 2, batch_first=True, norm_first=True)
    own = torch.nn.Sequential(torch.nn.Conv2d(3, 12, 8, 8), Tokens(), layer)
    torch.manual_seed(5)
    images = sl.images(pixels[:8])
    sl.attention_distance(sl.load(own, size_px=32), images)
    assert torch.backends.mha.get_fastpath_enabled()
    assert torch.equal(torch.rand(2), expected) and torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()
