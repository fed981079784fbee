"""Networks of transformers and OpenCLIP from their folders: seen, read, refused."""

import json
import logging

import pytest
import torch
import yaml

from sightlines.core.errors import ConfigError, MissingSourceError, WeightsError
from sightlines.models import (
    building,
    foreign,
    found_layers,
    open_clip,
    open_clip_weights,
    transformers,
    transformers_weights,
)
from sightlines.models.attention import has_class_token, prefix_tokens
from sightlines.models.layers import capture
from sightlines.models.placed_attention import capture_sites, check_sites
from sightlines.plan.experiment import Experiment
from tests.models import transformers_folders as folders
from tests.models.transformers_folders import SIZE_PX, settings

pytestmark = pytest.mark.whole

LOG = logging.getLogger("sightlines.tests")
KNOWN = {  # does, attention of a plain ViT, attentions between places, blocks, prefix
    "vit": ("vit", True, 3, 3, 1),
    "dino": ("vit", True, 3, 3, 1),
    "deit": ("vit", True, 3, 3, 2),
    "beit": ("vit", True, 3, 3, 1),
    "dinov2": ("vit", True, 3, 3, 1),
    "registers": ("vit", True, 3, 3, 5),
    "dinov3": ("vit", True, 3, 3, 5),
    "clip": ("vit", True, 3, 3, 1),
    "siglip": ("vit", True, 3, 3, 0),
    "swin": ("hierarchical", False, 4, 4, 0),
    "convnext": ("resnet", False, 0, 5, 0),
}
IMAGES = 2


@pytest.fixture(scope="module")
def pixels():
    return torch.randn(IMAGES, 3, SIZE_PX, SIZE_PX, generator=torch.Generator().manual_seed(2))


def opened(root, name, **more):
    """Settings with what the folder says, and the network with its weights."""
    own = settings(name, **more)
    transformers.meet([own], 32, root)
    own |= transformers.content_of(own)
    size_px = transformers.view(own, 32)["size_px"]
    model = building.build(own, size_px, len(transformers.outputs_of(own)), seed=1).eval()
    stated = transformers.weights_identity(own, str(root))
    _, _, fitted = transformers_weights.bring(model, own, root, stated, LOG)
    model.load_state_dict(fitted.state)
    return own, model, fitted


def features(model, name, pixels):
    """What the library itself gives for an image."""
    if name in ("clip", "siglip"):
        given = model.get_image_features(pixels)
        return given if isinstance(given, torch.Tensor) else given.pooler_output
    given = model(pixels)
    if name == "dino":
        return given.last_hidden_state[:, 0]
    return given.logits if "logits" in given else given.pooler_output


@pytest.mark.parametrize("name", KNOWN)
def test_a_folder_is_read_and_seen_as_its_library_computes_it(name, tmp_path, pixels):
    reference = folders.make(tmp_path / name, name)
    _, model, _ = opened(tmp_path, name)
    does, is_plain, sites, blocks, prefix = KNOWN[name]
    known = foreign.seen_of(model)
    assert (known.role, known.is_plain) == (does, is_plain)
    layers = transformers.layers(model)
    assert sum(layer.kind == "residual" for layer in layers) == blocks
    assert (prefix_tokens(model), has_class_token(model)) == (prefix, prefix > 0)
    found, _ = found_layers.attention_of(model, SIZE_PX)
    assert len(found) == sites
    pools = {"beit": "gap", "siglip": "other", "swin": "", "convnext": ""}
    assert foreign.pool_of(model) == pools.get(name, "cls")
    shapes = []
    with torch.no_grad():
        with capture(model, layers, lambda _, value: shapes.append(value.shape)):
            given = model(pixels)
        torch.testing.assert_close(given, features(reference, name, pixels))
    assert len(shapes) == len(layers)
    check_sites(model, found, pixels)


@pytest.mark.parametrize("name", ["vit", "dinov2", "dinov3", "beit", "swin"])
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_attention_is_what_the_library_says_of_it(name, implementation, tmp_path, pixels):
    reference = folders.make(tmp_path / name, name)
    reference.set_attn_implementation("eager")
    _, model, _ = opened(tmp_path, name, attn_implementation=implementation)
    found, _ = found_layers.attention_of(model, SIZE_PX)
    assert {site.site.function for site in found} == {
        "fused" if implementation == "sdpa" else "product"
    }
    rows = {}

    def keep(index, image, part, values):
        rows.setdefault(index, {}).setdefault(image, []).append(values.clone())

    with torch.inference_mode(), capture_sites(model, found, IMAGES, keep):
        model(pixels)
        told = reference(pixels, output_attentions=True).attentions
    blocks = [1, 3] if name == "swin" else range(len(found))  # it tells a stage's last block's
    assert len(told) == len(blocks)
    for index, whole in zip(blocks, told, strict=True):
        own = torch.stack([torch.cat(rows[index][image]) for image in range(IMAGES)])
        torch.testing.assert_close(own.flatten(), whole.flatten(), rtol=1e-4, atol=1e-6)


def test_the_network_that_is_built_is_the_same_each_time(tmp_path):
    folders.make(tmp_path / "vit", "vit")
    own, _, _ = opened(tmp_path, "vit")
    one, two = (building.build(own, SIZE_PX, 5, seed=3).state_dict() for _ in range(2))
    other = building.build(own, SIZE_PX, 5, seed=4).state_dict()
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert not all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", ["vit", "deit", "clip", "convnext"])
def test_a_network_can_be_trained_further_on_other_classes(name, tmp_path, pixels):
    folders.make(tmp_path / name, name)
    own, model, _ = opened(tmp_path, name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model = building.with_new_head(model, 9)
    with torch.no_grad():
        assert torch.equal(model(pixels), torch.zeros(IMAGES, 9))
    again = building.build(own, SIZE_PX, 9, seed=1)
    again.load_state_dict(model.state_dict())
    kept = [key for key, value in again.state_dict().items() if key in before]
    changed = [key for key in kept if before[key].shape != again.state_dict()[key].shape]
    assert len(changed) == {"vit": 2, "deit": 4, "clip": 0, "convnext": 2}[name]


def test_another_size_is_seen_as_transformers_interpolates_positions(tmp_path, pixels):
    reference = folders.make(tmp_path / "vit", "vit")
    _, model, _ = opened(tmp_path, "vit", size_px=96)
    larger = torch.nn.functional.interpolate(pixels, 96)
    with torch.no_grad():
        wanted = reference(larger, interpolate_pos_encoding=True).logits
        torch.testing.assert_close(model(larger), wanted)
    assert foreign.seen_of(model).grid == (6, 6)


def test_what_planning_asks_is_answered_without_importing_the_library(tmp_path, monkeypatch):
    folders.make(tmp_path / "vit", "vit")
    monkeypatch.chdir(tmp_path)
    own = settings("vit")
    transformers.meet([own], 32, tmp_path)
    assert transformers.check(own, 32) == (4, 4)
    assert transformers.described(own, 32)["family"] == "vit"
    sees = transformers.view(own, 32)
    assert sees["size_px"] == SIZE_PX and sees["mean"] == [0.5, 0.4, 0.3]
    assert (sees["interpolation"], sees["crop_mode"]) == ("bilinear", "squash")
    assert transformers.outputs_of(own) == "ant bee cat dog elk".split()
    assert any("transformers==" in each for each in transformers.imports(own, 32)["by"])
    assert transformers.starts_idle(own, 32) is False
    assert not transformers.starts_idle(own | {"weights": "random"}, SIZE_PX)


def test_an_experiment_of_them_is_planned(tmp_path, monkeypatch):
    """Their files are part of what a network is; the folder's place is none."""
    folders.make(tmp_path / "data" / "nets" / "vit", "vit")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SIGHTLINES_DATA", raising=False)
    own = {"family": "transformers", "name": "nets/vit"}
    config = {
        "data_root": str(tmp_path / "data"),
        "dataset": {"kind": "imagefolder", "folder": "photos", "size_px": SIZE_PX},
        "models": {"net": own, "fresh": own | {"weights": "random"}},
        "runs": [
            {"models": ["net"], "fractions": ["f100", "f000"], "seeds": ["s0"]},
            {"models": ["fresh"], "fractions": ["f100"], "seeds": ["s0"]},
        ],
    }
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(config))
    found = Experiment.open(path)
    net, fresh = (next(n for n in found.networks if n.model == m) for m in ("net", "fresh"))
    assert found.imported == ["net"]
    whole = found.job_config_import(net, "0123")
    assert whole["model"]["config"]["model_type"] == "vit"
    assert whole["told"]["sees"]["std"] == [0.2, 0.3, 0.4]
    assert found.job_config_train(fresh)["model"]["config"] == whole["model"]["config"]
    assert str(tmp_path) not in json.dumps([whole, found.job_config_train(fresh)])
    assert {net, fresh} <= {*found.dumped("attention")}
    assert found.code("training.import_network", net) != found.code("training.train", fresh)
    (tmp_path / "data" / "nets" / "vit" / "config.json").unlink()
    with pytest.raises(ConfigError, match=r"no config\.json of nets/vit"):
        Experiment.open(path)


def test_weights_in_half_precision_and_what_is_beside_them_are_told(tmp_path):
    folders.make(tmp_path / "clip", "clip", torch.float16)
    _, _, fitted = opened(tmp_path, "clip")
    assert fitted.numbers == ["F16"]
    assert any(name.startswith("text_model.") for name in fitted.left_out)


@pytest.mark.parametrize("implementation", ["flash_attention_2", "flex_attention"])
def test_attention_that_shows_no_probabilities_is_refused_by_name(implementation, tmp_path):
    folders.make(tmp_path / "vit", "vit")
    with pytest.raises(ConfigError, match=f"{implementation}, which shows .* sdpa or eager"):
        transformers.check(settings("vit", attn_implementation=implementation), 32)


def test_a_folder_that_changed_or_does_not_fit_is_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    folders.make(tmp_path / "vit", "vit")
    own, model, _ = opened(tmp_path, "vit")
    with pytest.raises(WeightsError, match="changed since"):
        transformers_weights.bring(model, own, tmp_path, "0" * 64, LOG)
    path = tmp_path / "vit" / "model.safetensors"
    state = load_file(path)
    lost = next(name for name in state if name.endswith("0.output.dense.weight") or "0.mlp" in name)
    save_file({n: t for n, t in state.items() if n != lost}, path, {"format": "pt"})
    with pytest.raises(WeightsError, match="missing: "):
        transformers_weights.read(model, own, tmp_path / "vit")
    path.rename(path.with_name("pytorch_model.bin"))
    with pytest.raises(MissingSourceError, match=r"only pytorch_model\.bin, a pickle"):
        transformers.weights_identity(own, str(tmp_path))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"model_type": "mystery", "auto_map": {}}, r"code of its own \(auto_map\)"),
        ({"quantization_config": {"bits": 4}}, "quantised"),
        ({"model_type": "bert", "architectures": ["BertModel"]}, "no network of images"),
    ],
)
def test_what_is_no_network_of_images_is_refused(tmp_path, changed, said):
    folders.make(tmp_path / "vit", "vit")
    own, _, _ = opened(tmp_path, "vit")
    with pytest.raises(ConfigError, match=said):
        building.build(own | {"config": own["config"] | changed}, SIZE_PX, 5, seed=1)


# -- OpenCLIP ------------------------------------------------------------------------------

TOWERS = {
    "vit": ({}, "vit", 3),
    "resnet": ({"layers": [1, 1, 1, 1], "width": 8}, "resnet", 1),
    "timm": ({"timm_model_name": "test_vit", "timm_pool": "token", "layers": 1}, "vit", 6),
}


def towers(name, **more):
    keys = {"weights": "own", "revision": "main", "acts_as": "auto"}
    return {"family": "open_clip", "name": name, **keys, **more}


@pytest.mark.parametrize("name", TOWERS)
def test_the_image_tower_of_a_clip_is_read_and_seen(name, tmp_path, pixels):
    vision, does, sites = TOWERS[name]
    reference = folders.make_clip(tmp_path / name, **vision)
    own = towers(name)
    open_clip.meet([own], 32, tmp_path)
    own |= open_clip.content_of(own)
    sees = open_clip.view(own, 32)
    assert (sees["size_px"], sees["crop_mode"], sees["std"]) == (SIZE_PX, "squash", [0.2, 0.3, 0.4])
    model = building.build(own, SIZE_PX, 0, seed=1).eval()
    stated = open_clip.weights_identity(own, str(tmp_path))
    _, _, fitted = open_clip_weights.bring(model, own, tmp_path, stated, LOG)
    assert fitted.prefix == "visual." and "token_embedding.weight" in fitted.left_out
    model.load_state_dict(fitted.state)
    with torch.no_grad():
        torch.testing.assert_close(model(pixels), reference.encode_image(pixels))
    assert foreign.seen_of(model).role == does
    found, _ = found_layers.attention_of(model, SIZE_PX)
    assert len(found) == sites
    check_sites(model, found, pixels)
    model = building.with_new_head(model, 4)
    again = building.build(own, SIZE_PX, 4, seed=1)
    again.load_state_dict(model.state_dict())


def test_a_model_by_openclips_name_needs_a_file_of_weights(tmp_path):
    own = towers("ViT-B-32")
    open_clip.meet([own], 32, tmp_path)
    with pytest.raises(ConfigError, match="brings no weights"):
        open_clip.require_weights(own, 32)
    assert open_clip.view(own, 32)["mean"] == open_clip.MEAN
    other = towers("ViT-B-16-SigLIP")
    open_clip.meet([other], 32, tmp_path)
    with pytest.raises(ConfigError, match="set mean, std, crop_mode"):
        open_clip.view(other, 32)


def test_openclips_means_are_as_here():
    constants = pytest.importorskip("open_clip.constants")
    assert (*open_clip.MEAN,) == constants.OPENAI_DATASET_MEAN
    assert (*open_clip.STD,) == constants.OPENAI_DATASET_STD


def test_what_planning_asks_about_a_tower(tmp_path, monkeypatch):
    folders.make_clip(tmp_path / "clip")
    monkeypatch.chdir(tmp_path)
    own = towers("clip")
    open_clip.meet([own], 32, tmp_path)
    assert open_clip.check(own, 32) == (4, 4)
    told = open_clip.described(own, 32)
    assert (told["family"], told["attention"]) == ("vit", True)
    content = json.loads((tmp_path / "clip" / open_clip.CONFIG).read_text())
    assert open_clip.content_of(own)["config"] == content
