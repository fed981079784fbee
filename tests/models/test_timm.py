"""Public models by name: what timm says of them, what it cannot build, and how they see images."""

from dataclasses import replace

import pytest
import torch

from sightlines.core.errors import ConfigError, MissingSourceError
from sightlines.datasets.views import View
from sightlines.models import building, timm, timm_building, timm_facts, timm_names
from sightlines.plan import config as configs
from sightlines.plan.checks import _check_view
from sightlines.plan.experiment import Experiment
from tests.models.public import answers_of_this_process, captured

pytestmark = pytest.mark.whole  # networks of timm

VIT = {"name": "vit_tiny_patch16_224.augreg_in21k_ft_in1k"}
OWN_PROCESS = timm_facts._ask
"""Asks a process of its own; in the tests, this one answers (`timm_asked_here`)."""


@pytest.fixture(autouse=True)
def somewhere(tmp_path_factory, monkeypatch, timm_asked_here):
    """One folder for what is remembered of timm, for all tests of this file."""
    base = tmp_path_factory.getbasetemp() / "timm"
    base.mkdir(exist_ok=True)
    monkeypatch.chdir(base)


def settings(**own):
    """A model's complete settings, as a config gives them."""
    whole = {
        "dataset": {"kind": "shapes"},
        "models": {"m": {"family": "timm", **own}},
        "runs": [{"models": ["m"], "fractions": ["f100"], "seeds": ["s0"]}],
    }
    model = configs.complete(whole, "test").models["m"].recorded()
    return building.architecture(model)


@pytest.mark.whole
def test_facts_are_timms_own():
    known = timm_facts.facts(settings(**VIT))
    assert known["hub_id"] == "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k"
    assert known["mean"] == known["std"] == [0.5, 0.5, 0.5]
    assert (known["size_px"], known["crop_share"], known["interpolation"]) == (224, 0.9, "bicubic")
    assert (known["grid"], known["outputs"], known["layers"]) == ([14, 14], 1000, 75)
    assert (known["role"], known["pool"], known["attention"]) == ("vit", "cls", True)
    assert known["parameters"] == 5_717_416


@pytest.mark.whole
def test_an_own_process_answers_as_this_one():
    both = [settings(**VIT), settings(**VIT, arguments={"no_such": 1})]
    asked = [{key: one[key] for key in one if key in timm_facts.ASKED} for one in both]
    found = OWN_PROCESS(asked)
    assert found == answers_of_this_process(asked)
    assert [answer.keys() == {"error"} for answer in found] == [False, True]


def test_facts_are_asked_once(monkeypatch, timm_asked_here):
    asked = settings(**VIT)
    monkeypatch.setattr(timm_facts, "_known", {})
    timm_facts.facts(asked)
    monkeypatch.setattr(timm_facts, "_known", {})

    def never(*_args, **_kwargs):
        raise AssertionError("asked again")

    monkeypatch.setattr(timm_facts, "_ask", never)
    assert timm_facts.facts(asked)["grid"] == [14, 14]


@pytest.mark.whole
def test_size_and_patch_can_be_set():
    assert timm.check(settings(**VIT, size_px=96, patch_px=8), 224) == (12, 12)
    own = {"size_px": 96, "mean": [0, 0, 0], "crop_pct": 1, "crop_mode": "squash"}
    view = timm.view(settings(**VIT, **own), 224)
    assert view["size_px"] == 96
    assert view["mean"] == [0, 0, 0]
    assert view["std"] == [0.5, 0.5, 0.5]
    assert (view["crop_share"], view["interpolation"]) == (1.0, "bicubic")
    assert View.of(view).box(300, 200) == (0, 0, 300, 200)


def test_models_whose_photographs_timm_pads_see_the_whole_of_them(monkeypatch):
    """As deepseek_vit_412m and its like, which are too large to be built here."""
    published = timm_building.published

    def padded(name):
        return replace(published(name), crop_mode="border", crop_pct=1.0)

    monkeypatch.setattr(timm_building, "published", padded)
    found = timm_facts._answer({"name": "test_vit", "size_px": 64})
    assert View.of(found).box(300, 200) == (0, 0, 300, 200)


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"name": "vit_bas_patch16_224"}, "nearest are vit_base_patch16_224"),
        ({"name": "vit_base_patch16_224.no_such"}, "no weights 'no_such'.*augreg_in21k"),
        ({**VIT, "size_px": 100}, "do not divide images of 100 px: set size_px to 96"),
        ({**VIT, "arguments": {"no_such": 1}}, "timm cannot build"),
        ({**VIT, "arguments": {"pretrained": True}}, "cannot be set here"),
        ({**VIT, "arguments": {"checkpoint_path": "x.pth"}}, "cannot be set here"),
        ({"name": "resnetv2_50x1_bitm"}, "now: set name to that"),
        ({"name": "vgg11", "layers": ["features.0", "feature.3"]}, "features"),
    ],
)
def test_what_cannot_be_is_refused(own, said):
    with pytest.raises(ConfigError, match=f"(?s){said}"):
        timm.check(settings(**own), 224)


@pytest.mark.whole
def test_any_model_works_by_a_list_of_modules():
    own = settings(name="vgg11", layers=["features.2", "features.5"], weights="random", size_px=64)
    assert timm.check(own, 64)
    model = building.build({"family": "timm", **own}, 64, 10, seed=0)
    assert [layer.name for layer in building.layers_of("timm", model)] == own["layers"]


def test_one_seed_makes_one_network():
    own = {"family": "timm", **settings(name="mobilenetv2_035", arguments={"pad_type": "same"})}
    a, b, c = (building.build(own, 64, 10, seed=s).state_dict() for s in (1, 1, 2))
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not all(torch.equal(a[k], c[k]) for k in a)


def test_described_as_one_of_the_papers_families():
    plain = timm.described(settings(name="resnetv2_50x1_bit.goog_in21k"), 224)
    assert plain["family"] == "resnet"
    assert timm.described(settings(**VIT, role="other"), 224)["family"] == "other"


def test_class_names_are_timms_lists():
    assert timm_names.class_names(1000)[0] == "n01440764"
    assert len(timm_names.class_names(21843)) == 21843
    assert timm_names.class_names(3) == ["0", "1", "2"]


@pytest.mark.parametrize("path", ["/etc/passwd", "../w.safetensors", "a/../../w.pth"])
def test_weights_stay_below_the_folder_of_data(path):
    with pytest.raises(ConfigError, match="neither absolute nor"):
        timm.check(settings(**VIT, weights=path), 224)


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(MissingSourceError, match=r"w.safetensors"):
        timm_facts.weights_identity(settings(**VIT, weights="w.safetensors"), str(tmp_path))


def test_a_public_network_is_tuned_on_images_as_it_saw_them_or_not_at_all():
    def problems(**own):
        return _check_view("m", {"family": "timm", **settings(**VIT, **own)}, 224)

    (said,) = problems()
    assert "crop_pct 0.9" in said
    assert problems(crop_pct=1) == []


def test_what_a_model_that_is_trained_would_ignore_is_refused():
    with pytest.raises(ConfigError, match="mean, interpolation: a network that is trained"):
        timm.check(settings(**VIT, weights="random", mean=[0, 0, 0], interpolation="nearest"), 224)


def test_trained_on_small_images_with_small_patches():
    own = settings(**VIT, weights="random", patch_px=12)
    assert timm.check(own, 96) == (8, 8)
    assert timm.described(own, 96)["patch_px"] == 12


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({**VIT, "arguments": {"depth": 0}}, "no blocks|IndexError|cannot"),
        ({**VIT, "arguments": {"global_pool": ""}}, "gives no 1000 scores"),
        ({"name": "resnet18", "layers": ["layer4", "fc"]}, "neither a square map nor"),
        ({"name": "hiera_tiny_224", "layers": ["blocks.0"]}, "reorders|neither"),
        ({"name": "resnet18", "layers": ["layer4", "layer1"]}, "set it to .'layer1', 'layer4'"),
        ({"name": "vit_tiny_patch16_224", "layers": ["blocks.0.attn.attn_drop"]}, "no forward"),
        ({**VIT, "size_px": 64, "patch_px": 64}, "one patch"),
        ({"name": "mobilenetv2_035", "weights": "w.pth", "size_px": 16}, "one cell"),
        ({"name": "mixer_s32_224", "weights": "w.pth", "size_px": 230}, "set size_px to 224"),
        ({"name": "convnext_atto", "size_px": 230}, "set size_px to 232"),
        ({"name": "convnext_atto", "size_px": 240}, "cells of 32 px.*set size_px to 256"),
        ({"name": "vit_base_patch16_sapiens2"}, "1024 × 768 px.*set size_px"),
        ({"name": "resnet18", "patch_px": 16}, "patch_size"),
    ],
)
def test_what_could_not_be_measured_rightly_is_refused(own, said):
    with pytest.raises(ConfigError, match=said):
        timm.check(settings(**own), 224)


LISTED = {
    "channels_last": (
        "tiny_vit_5m_224",
        ["stages.1.blocks.0", "stages.3.blocks.0"],
        [28, 7],
        [7, 7],
    ),
    "without_prefix": ("convit_tiny", ["patch_embed", "blocks.0"], [14, 14], [14, 14]),
    "pyramid": ("pvt_v2_b0", ["stages.0.blocks.0", "stages.3.blocks.1"], [56, 7], [7, 7]),
}


@pytest.mark.whole
@pytest.mark.parametrize("case", LISTED)
def test_listed_modules_are_seen_as_the_maps_that_they_are(case):
    name, names, sides, grid = LISTED[case]
    own = settings(name=name, layers=names)
    assert timm_building.describe(own)["grid"] == grid
    with torch.device("meta"):
        model = timm_building.build(own, 224, 10).eval()
    shapes = captured(model, timm.layers(model), torch.zeros(2, 3, 224, 224, device="meta"))[0]
    assert [list(value.shape[2:]) for value in shapes.values()] == [[s, s] for s in sides]


def test_channels_last_is_known_to_a_model_with_numbers_too():
    own = settings(name="convnextv2_atto", layers=["stages.0.blocks.0.norm", "stages.3"])
    model = timm_building.build(own, 64, 10).eval()
    values = captured(model, timm.layers(model), torch.randn(2, 3, 64, 64))[0]
    assert [tuple(v.shape) for v in values.values()] == [(2, 40, 16, 16), (2, 320, 2, 2)]


def test_patches_before_blocks_with_a_class_token_are_an_embedding():
    own = settings(**VIT, layers=["patch_embed", "blocks.3"])
    with torch.device("meta"):
        model = timm_building.build(own, 224, 10).eval()
    assert [(x.kind, x.block) for x in timm.layers(model)] == [("embed", -1), ("residual", 0)]
    odd = settings(**VIT, layers=["blocks.0", "blocks.3.mlp.fc1", "patch_embed.proj"])
    with pytest.raises(ConfigError, match="another order"):
        timm_building.describe(odd)


@pytest.mark.whole
@pytest.mark.parametrize(
    ("own", "centres"),
    [
        ({"name": "resnet18"}, "start"),
        ({"name": "resnetv2_50"}, "start"),
        ({"name": "resnetaa50"}, "start"),
        ({"name": "resnet50d"}, "middle"),
        ({"name": "mobilenetv2_035", "size_px": 96, "arguments": {"pad_type": "same"}}, "end"),
        ({"name": "mobilenetv2_035", "size_px": 80, "arguments": {"pad_type": "same"}}, "middle"),
        ({"name": "inception_v3", "layers": ["Mixed_6a", "Mixed_7c"]}, "middle"),
        ({"name": "densenet121", "layers": ["features.denseblock4"], "size_px": 240}, "middle"),
    ],
)
def test_locations_are_centred_on_their_cells_where_strides_are_not_certain(own, centres):
    assert timm_building.describe(settings(**own))["centres"] == centres


@pytest.mark.whole
@pytest.mark.parametrize("role", ["auto", "vit"])
def test_a_listed_model_that_acts_as_a_vit_says_how_it_pools(role):
    own = settings(name="vit_small_patch16_rope_224", layers=["blocks.0"], role=role)
    assert timm.described(own, 224).get("pool") == ("cls" if role == "vit" else None)


def test_a_mixers_patches_and_depth_can_be_set():
    own = settings(name="mixer_b16_224", patch_px=32, arguments={"num_blocks": 3})
    assert timm_building.describe(own)["grid"] == [7, 7]
    with torch.device("meta"):
        model = timm_building.build(own, 224, 10)
    assert (len(model.blocks), model.stem.proj.kernel_size) == (3, (32, 32))
    plain = timm_building.describe(settings(name="mixer_b16_224"))
    assert plain["grid"] == [14, 14], "timm's own function is as it was"


def test_a_network_without_weights_on_the_hub_can_still_be_looked_at_untrained():
    own = settings(name="mixer_s16_224")
    assert timm.check(own, 224) == (14, 14)
    with pytest.raises(ConfigError, match="no weights on the hub"):
        timm.require_weights(own, 224)


def experiment(fractions, **own):
    """Of one public model and a small ViT."""
    public = {"family": "timm", "weights": "hub", **own}
    vit = {"family": "vit", "patch_px": 8, "width": 12, "depth": 2, "heads": 2}
    whole = {
        "dataset": {"kind": "shapes", "size_px": 32},
        "models": {"m": public, "v": vit},
        "runs": [
            {"models": ["m"], "fractions": fractions, "seeds": ["s0"]},
            {"models": ["v"], "fractions": ["f100"], "seeds": ["s0"]},
        ],
        "require_equal_grids": False,
    }
    return Experiment("x", configs.complete(whole, "test"))


def test_only_networks_with_public_weights_need_some():
    shown = experiment(["f000"], name="mixer_s32_224")
    assert "m" in {n.model for n in shown.dumped("receptive_field")}
    with pytest.raises(ConfigError, match="no weights on the hub"):
        experiment(["f100"], name="mixer_s32_224")


@pytest.mark.parametrize("key", ["mean", "std"])
def test_pixels_of_0_to_255_are_refused(key):
    with pytest.raises(ConfigError, match=f"{key}.*123"):
        settings(**VIT, **{key: [123.0, 116.0, 103.0]})


MADE = {
    "dataset": {"kind": "shapes"},
    "runs": [{"models": ["m"], "fractions": ["f100", "f000"], "seeds": ["s0"]}],
}


def cuts(**own):
    """What the trained or imported network and its untrained twin depend on."""
    model = {"family": "timm", "name": "test_vit", **own}
    if model.get("weights") != "random":
        model |= {"size_px": 32, "patch_px": 8}
    experiment = Experiment("e", configs.complete(MADE | {"models": {"m": model}}, "test"))
    if model.get("weights") == "random":
        return [experiment.job_config_train(network) for network in experiment.networks]
    return [experiment.job_config_import(network, "ab", "cd") for network in experiment.networks]


def test_keys_of_reading_join_what_imported_networks_depend_on_alone():
    keys = {"weight_set", "class_order", "class_file"}
    for cut in cuts(weights="random", patch_px=8):
        assert not keys & cut["model"].keys() and "class_file" not in cut
    for cut in cuts(weights="w.pth", weight_set="model", class_file="names.txt"):
        assert keys < cut["model"].keys() and cut["class_file"] == "cd"
    plain, other = (cuts(weights="w.pth", class_order=order) for order in ("auto", "timm"))
    assert all(a != b for a, b in zip(plain, other, strict=True))


def test_how_weights_are_dropped_and_resampled_joins_them_only_where_it_is_said():
    plain = cuts(weights="w.pth", num_classes=0)
    assert not any({"drop", "position_resampling"} & cut["model"].keys() for cut in plain)
    for own in ({"drop": ["head"]}, {"position_resampling": "dino"}):
        changed = cuts(weights="w.pth", num_classes=0, **own)
        assert all(a != b for a, b in zip(plain, changed, strict=True))
    assert timm.check(settings(**VIT) | {"weights": "w.pth", "outputs": 0, "drop": ["head"]}, 224)


def test_the_list_of_output_names_has_an_identity(tmp_path):
    own = {"name": "test_vit", "class_file": "names.txt"}
    assert timm_facts.class_file_identity({"name": "test_vit"}, str(tmp_path)) == ""
    with pytest.raises(MissingSourceError, match=r"names\.txt.*class_file"):
        timm_facts.class_file_identity(own, str(tmp_path))
    found = []
    for text in ("cat\ndog", "dog\ncat"):
        (tmp_path / "names.txt").write_text(text)
        found.append(timm_facts.class_file_identity(own, str(tmp_path)))
    assert len({*found}) == 2


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"class_order": "file"}, "set class_file"),
        ({"class_file": "a.txt", "class_order": "timm"}, "class_file is set.*timm"),
        ({"class_file": "../a.txt"}, "class_file is .*neither absolute"),
        ({"class_file": "/etc/passwd"}, "class_file is .*neither absolute"),
        ({"weights": "random", "class_order": "timm"}, "class_order: a network that is trained"),
        ({"weights": "random", "weight_set": "ema"}, "weight_set: a network that is trained"),
        (
            {"weights": "random", "drop": ["head"], "outputs": 0},
            "drop: a network that is trained",
        ),
        ({"weights": "random", "position_resampling": "dino"}, "position_resampling: a network"),
        (
            {"drop": ["head"]},
            r"drop has head, but the network has 1000 outputs: set num_classes: 0",
        ),
        ({"weights": "hf-hub:timm/test_vit.r160_in1k"}, "address: set weights to hub"),
        ({"weights": "https://hub/w.pth"}, "address: set weights to hub"),
    ],
)
def test_keys_of_reading_that_contradict_are_refused(own, said):
    with pytest.raises(ConfigError, match=said):
        timm.check(settings(**VIT) | {"weights": "w.pth"} | own, 224)


def test_a_network_for_grey_images_is_built_for_three_channels():
    own = settings(name="test_vit", weights="w.pth", size_px=32, arguments={"in_chans": 1})
    assert timm.check(own, 32) == (2, 2)
    model = building.build({"family": "timm", **own}, 32, 10, seed=0)
    assert model.patch_embed.proj.weight.shape[1] == 3
    with pytest.raises(ConfigError, match=r"in_chans is 1, but mean is .*: set mean"):
        timm.check(own | {"mean": [0.4, 0.5, 0.6]}, 32)
    with pytest.raises(ConfigError, match=r"in_chans is 1: .* leave it out"):
        timm.check(own | {"weights": "random"}, 32)
    with pytest.raises(ConfigError, match=r"in_chans is 4: .*Set it to 1"):
        timm_names.refuse_arguments({"in_chans": 4})


@pytest.mark.parametrize("before", ["timm/", "hf-hub:timm/", "hf_hub:timm/", "hf-hub:"])
def test_what_stands_before_a_name_on_the_hub_is_taken_off(before):
    found = timm_names.entry_point(f"{before}test_vit.r160_in1k")
    assert found == ("test_vit", "r160_in1k", "vision_transformer")
    known = timm_building.published(f"{before}test_vit.r160_in1k")
    assert known.hf_hub_id == "timm/test_vit.r160_in1k"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("facebook/dino-vits16", r"facebook/dino-vits16.*set name.*weights"),
        ("hf-hub:someone/my-vit", r"someone/my-vit.*set name.*weights"),
        ("timm/test_vit.r160_in1k@v1", r"set name to test_vit.r160_in1k and revision to v1"),
        ("timm/vit_bas_patch16_224", "nearest are vit_base_patch16_224"),
    ],
)
def test_other_names_of_the_hub_are_explained(name, said):
    with pytest.raises(ConfigError, match=said):
        timm_names.entry_point(settings(name=name)["name"])
