"""Objectives without labels in a config: their keys, what networks depend on, what is refused."""

import pytest
import yaml

from sightlines.core.errors import ConfigError
from sightlines.plan import objectives
from sightlines.plan.checks import label_needs
from sightlines.plan.config import complete
from sightlines.plan.config_types import Train
from sightlines.plan.experiment import Experiment
from sightlines.plan.networks import Network
from sightlines.training.dino.sizes import default_px
from sightlines.training.dino.trial import tried
from sightlines.training.objectives import dino

RAW = """
dataset: {kind: shapes}
splits:
  {validation: 100, reference_batches: 4, reference_batch_size: 32,
   probe_train: 60, probe_held_out: 30, probe_test: 30}
models:
  vit: {family: vit, patch_px: 4, width: 24, depth: 3, heads: 3}
  own: {family: vit, patch_px: 4, width: 24, depth: 3, heads: 3,
        train: {objective: dino, dino: {local_crops: 4}}}
  resnet:
    {family: resnet, units: [1, 1], channels: [32, 64], stem: medium, stem_channels: 8, groups: 4}
runs:
  - {models: [vit, own, resnet], fractions: [f000, f100], seeds: [s0]}
train: {steps: 12, warmup_steps: 2, batch_size: 16, mixup_alpha: 0.2, dino: {out_dim: 512}}
transfer:
  near:
    dataset: {kind: shapes, n_train: 400, n_test: 300, n_conflict: 0, seed: 1}
    domain: in
    finetune: [vit, own]
    train: {steps: 5}
"""
"""A ViT with labels and its like without, and fine-tuning of both."""


def raw(model="own", family=None, dino=None, **train):
    found = yaml.safe_load(RAW)
    own = {"objective": "dino"} | train | ({"dino": dino} if dino is not None else {})
    found["models"][model] = (family or found["models"][model]) | {"train": own}
    return found


def plan(config=None):
    return Experiment("x", complete(config or yaml.safe_load(RAW), "x"))


def trained(experiment, model):
    return experiment.job_config_train(Network(model, "f100", "s0"))["model"]["train"]


def test_dino_is_found_with_the_keys_that_its_file_declares():
    assert objectives.members() == ("dino",)
    assert objectives.module("dino") == "training.objectives.dino"
    assert objectives.schemas()["dino"]["properties"].keys() == dino.SETTINGS.keys()
    for key, node in dino.SETTINGS.items():
        assert node["description"].endswith(".") and "default" in node, key
    whole = objectives.settings("dino", {"jitter": 1, "out_dim": 64.0})
    assert whole.keys() == dino.SETTINGS.keys()
    assert type(whole["jitter"]) is float and type(whole["out_dim"]) is int


def test_keys_of_all_models_and_of_one_are_joined():
    own = trained(plan(), "own")
    assert own["objective"] == "dino"
    assert (own["dino"]["out_dim"], own["dino"]["local_crops"]) == (512, 4)
    assert own["dino"]["hidden_dim"] == dino.SETTINGS["hidden_dim"]["default"]
    assert own.keys() == {*dino.USES, "objective", "dino"}


def test_a_supervised_recipe_is_recorded_as_it_was_before_there_were_objectives():
    supervised = trained(plan(), "vit")
    bare = yaml.safe_load(RAW)
    del bare["train"]["dino"], bare["models"]["own"]["train"]
    assert supervised == trained(plan(bare), "vit")
    assert not {"objective", "dino", "options"} & supervised.keys()
    assert Train(steps=3).recorded() == Train(steps=3, objective="supervised").recorded()


def test_what_an_objective_does_not_follow_trains_nothing_again():
    config = yaml.safe_load(RAW)
    config["train"] |= {"mixup_alpha": 0.9, "ema_decay": 0.9, "crop": "none"}
    before, after = plan(), plan(config)
    assert trained(before, "own") == trained(after, "own")
    assert trained(before, "vit") != trained(after, "vit")
    config["train"]["learning_rate"] = 0.5
    assert trained(before, "own") != trained(plan(config), "own")
    config = yaml.safe_load(RAW)
    config["train"]["dino"]["out_dim"] = 513
    assert trained(before, "own") != trained(plan(config), "own")
    assert trained(before, "vit") == trained(plan(config), "vit")


def test_a_command_and_a_digest_of_its_own():
    experiment = plan()
    vit, own = (Network(m, "f100", "s0") for m in ("vit", "own"))
    assert experiment.objectives == {"own": "dino"}
    assert experiment.trainer(vit) == "training.train"
    assert experiment.trainer(own) == "training.objectives.dino"
    codes = {experiment.code(experiment.trainer(n), n) for n in (vit, own)}
    assert len(codes) == 2


def test_fine_tuning_has_labels_again():
    experiment = plan()
    tuned = experiment.job_config_train(Network("own", "f100", "s0"), "near")["model"]["train"]
    assert "objective" not in tuned and tuned["steps"] == 5 and tuned["mixup_alpha"] == 0.2
    bad = yaml.safe_load(RAW)
    bad["transfer"]["near"]["train"]["objective"] = "dino"
    with pytest.raises(ConfigError, match=r"transfer\.near\.train: unknown key 'objective'"):
        complete(bad, "x")


def test_claims_know_how_weights_were_learned():
    known = plan().job_config_draw()["architectures"]
    assert known["own"]["pretraining"] == "dino" and "pretraining" not in known["vit"]
    assert {k: v for k, v in known["own"].items() if k != "pretraining"} == known["vit"]


def test_labels_are_needed_by_supervised_networks_alone():
    config = yaml.safe_load(RAW)
    needs = label_needs(complete(config, "x"))
    assert "resnet, vit are trained" in needs[0] and "own" not in needs[0]
    config["runs"] = [{"models": ["own"], "fractions": ["f100"], "seeds": ["s0"]}]
    config["splits"] |= {"probe_train": 0, "probe_held_out": 0, "probe_test": 0}
    assert label_needs(complete(config, "x")) == []


MIXER = {"family": "mixer", "patch_px": 4, "width": 24, "depth": 3}
FNET = {"family": "fnet", "patch_px": 4, "width": 24, "depth": 3}


@pytest.mark.parametrize(
    ("family", "own", "said"),
    [
        (None, {"local_px": 40}, r"local_px 40 is larger than the images, which have 32 px.* 12"),
        (None, {"local_px": 13}, r"local_px 13 is no whole number of patches of 4 px.* 12"),
        (None, {"local_px": 4}, r"local_px 4 is a single patch of 4 px: nearest is 8"),
        (MIXER, {"local_px": 16}, r"local_px 16: family mixer works on images of 32 px alone"),
        (FNET, {"local_px": 16}, r"local_px 16: family fnet works on images of 32 px alone"),
        (None, {"local_min_area": 0.6}, r"local_min_area 0.6 is above local_max_area 0.4"),
        (None, {"teacher_temperature": 0.03}, r"temperature_start 0.04 is above .* 0.03"),
        (None, {"teacher_temperature": 0.1}, r"0.1 is not below student_temperature 0.1"),
        (
            {"family": "torchvision", "name": "resnet18"},
            {},
            r"objective dino is for families .*: of torchvision take timm",
        ),
    ],
)
def test_what_cannot_work_is_refused_at_planning(family, own, said):
    with pytest.raises(ConfigError, match=rf"models\.own: .*{said}"):
        plan(raw(family=family, dino=own) | {"require_equal_grids": False, "transfer": {}})


@pytest.mark.parametrize(
    ("local_px", "said"),
    [
        (13, "no whole number of patches of 4 px: nearest is 12, or 0 for 12$"),
        (4, "is a single patch of 4 px: nearest is 8, or 0 for 12$"),
        (40, "use 12, or 0$"),
    ],
)
def test_sides_are_whole_numbers_where_timm_gives_the_patches(local_px, said):
    """What timm's patches are said to have is a quotient, 4.0 px."""
    own = objectives.settings("dino", {"local_px": local_px})
    with pytest.raises(ConfigError, match=said):
        objectives.check("dino", own, {"family": "timm"}, {"family": "vit", "patch_px": 4.0}, 32)


def timm(name, **arguments):
    return {"family": "timm", "name": name, "weights": "random", "arguments": arguments}


RELATIVE = timm("vit_relpos_small_patch16_224", depth=1, embed_dim=24, num_heads=3)
"""A ViT whose positions are those of pairs of patches, of one grid alone."""


def test_a_vit_whose_positions_cannot_be_resampled_is_refused_at_planning():
    own = objectives.settings("dino", {})
    with pytest.raises(ConfigError) as caught:
        objectives.check("dino", own, RELATIVE, {"family": "vit", "patch_px": 16.0}, 112)
    told = str(caught.value)
    assert told.startswith(
        "dino.local_px 48, three sevenths of the images, cannot be shown to "
        "vit_relpos_small_patch16_224 (AssertionError: "
    )
    assert told.endswith(
        "): set local_px to 112 (small parts of an image are scaled up to it), or local_crops to 0"
    )


@pytest.mark.parametrize(
    ("model", "patch_px", "sides"),
    [
        (RELATIVE, 16, {112: 112, 64: 112}),
        (timm("deit_tiny_patch16_224", depth=1), 16, {112: 112, 48: 48, 40: 32}),
        (timm("mobilenetv2_035"), 1, {48: 48, 33: 33}),
        (timm("mobilenetv3_small_050"), 1, {48: 48}),  # 1,024 features out of maps of 288
        (timm("no_such_network"), 1, {48: 0}),
    ],
)
@pytest.mark.whole
def test_what_a_network_of_timm_can_be_shown_is_found_by_showing_it(model, patch_px, sides):
    for local_px, works_at in sides.items():
        found = tried(model, 112, local_px, patch_px)
        assert found["works_at"] == works_at and bool(found["problem"]) == (works_at != local_px)


@pytest.mark.parametrize("family", [None, MIXER, FNET])
def test_what_can_work_is_planned(family):
    config = raw(family=family, dino={}) | {"require_equal_grids": False, "transfer": {}}
    assert trained(plan(config), "own")["dino"]["local_px"] == 0
    whole = raw(family=family, dino={"local_px": 32}) | {"transfer": {}}
    assert trained(plan(whole | {"require_equal_grids": False}), "own")["dino"]["local_px"] == 32


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"out_dim": 1}, r"models\.own\.train\.dino\.out_dim: 1 is less than the minimum of 2"),
        ({"outdim": 9}, r"models\.own\.train\.dino: unknown key 'outdim'.*out_dim"),
        ({"local_crops": -1}, r"local_crops: -1 is less than the minimum of 0"),
        ({"student_temperature": 0}, r"student_temperature: 0 is less than or equal"),
    ],
)
def test_odd_values_are_refused_with_their_place(own, said):
    with pytest.raises(ConfigError, match=said):
        plan(raw(dino=own))


def test_an_unknown_objective_names_the_nearest():
    with pytest.raises(ConfigError, match=r"objective: 'dyno' is not one of .*'dino'"):
        plan(raw(objective="dyno"))


def test_sizes_of_small_crops():
    vit = {"family": "vit", "patch_px": 16}
    assert default_px(vit, 224) == 96
    assert default_px(vit | {"patch_px": 4}, 32) == 12
    assert default_px(vit | {"patch_px": 8}, 32) == 16
    assert default_px(vit | {"patch_px": 32}, 224) == 96
    assert default_px({"family": "resnet"}, 32) == 14
    of_timm = [{"family": family, "patch_px": 4.0} for family in ("vit", "resnet", "mixer")]
    sides = [default_px(known, 32) for known in of_timm]
    assert sides == [12, 14, 32] and {type(side) for side in sides} == {int}
    assert default_px({"family": "resnet", "patch_px": 32.0}, 224) == 96
    assert default_px({"family": "mixer", "patch_px": 4}, 32) == 32
