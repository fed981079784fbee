"""Which changes of images a config asks for, and what each of their dumps depends on."""

import copy

import pytest
import yaml

from sightlines.core.errors import ConfigError
from sightlines.plan import conditions, registry
from sightlines.plan.experiment import Experiment
from sightlines.plan.networks import Network

VIT = {"family": "vit", "patch_px": 4, "width": 12, "depth": 2, "heads": 3}
RAW = {
    "dataset": {"kind": "shapes", "n_train": 300, "n_test": 300},
    "splits": {"validation": 20, "reference_batch_size": 16},
    "models": {
        "vit": VIT,
        "coarse": VIT | {"patch_px": 8},
        "bare": VIT | {"skipless_block": 0},
        "resnet": {"family": "resnet", "units": [1, 1, 1], "channels": [32, 32, 32]}
        | {"stem": "small", "stem_channels": 8, "groups": 4},
    },
    "runs": [
        {
            "models": ["vit", "coarse", "bare", "resnet"],
            "fractions": ["f000", "f100"],
            "seeds": ["s0"],
        },
        {"models": ["vit"], "fractions": ["f010"], "seeds": ["s0"]},
        {"models": ["vit"], "fractions": ["f100"], "seeds": ["s1"]},
    ],
    "train": {"steps": 4},
    "require_equal_grids": False,
}
KINDS = [k for k in registry.members("dumps") if "CONDITIONS" in registry.declarations("dumps", k)]


@pytest.fixture
def experiment(tmp_path):
    def made(raw=RAW, **changes):
        path = tmp_path / "made_up.yaml"
        path.write_text(yaml.safe_dump(copy.deepcopy(raw) | {"conditions": changes}))
        return Experiment.open(path)

    return made


def test_networks_with_all_their_skips_are_shown_changed_images(experiment):
    own = experiment()
    shown = {n.slug for n in own.dumped("occlusions")}
    assert shown == {
        *("vit/f000/s0", "vit/f100/s0", "vit/f100/s1", "coarse/f000/s0", "coarse/f100/s0"),
        *("resnet/f000/s0_on", "resnet/f100/s0"),
    }
    few = experiment(models=["coarse", "bare"])
    assert {n.model for n in few.dumped("occlusions")} == {"coarse"}
    assert not [n for n in own.dumped("occlusion_depth") if n.seed in ("s1", "s2")]
    assert {"occlusion", "lesion", "condition_depth"} <= {*own.measures}


@pytest.mark.parametrize("kind", KINDS)
def test_of_no_models_there_is_nothing(experiment, kind):
    none = experiment(models=[])
    assert not none.dumped(kind)
    assert not {"occlusion", "lesion", "condition_depth"} & {*none.measures}
    ours = {"patchdrop", "shuffle", "correlation", "lesion", "depth"}
    assert not {f"fignaseer_{name}" for name in ours} & {*none.figures}
    assert {f"fignaseer_{name}" for name in ours} <= {*experiment().figures}


def test_the_grid_is_the_finest_of_the_vits_unless_it_is_said(experiment):
    network = Network("vit", "f100", "s0")
    assert experiment().job_config_dump("occlusions", network)["conditions"]["cells"] == 8
    said = experiment(occlusion={"cells": 5})
    assert said.job_config_dump("occlusions", network)["conditions"]["cells"] == 5
    raw = copy.deepcopy(RAW)
    raw["models"] = {"resnet": RAW["models"]["resnet"]}
    raw["runs"] = [{"models": ["resnet"], "fractions": ["f100"], "seeds": ["s0"]}]
    assert conditions.own_cells(experiment(raw).config, 32) == 8


def test_patches_of_models_that_are_not_shown_cut_none_of_those_that_are(experiment):
    raw = copy.deepcopy(RAW)
    raw["models"]["finer"] = {**RAW["models"]["vit"], "patch_px": 2}
    raw["runs"] = [{"models": [*raw["models"]], "fractions": ["f100"], "seeds": ["s0"]}]
    assert conditions.own_cells(experiment(raw).config, 32) == 16
    for shown, cells in ((["finer", "vit"], 16), (["vit", "resnet"], 8), (["resnet"], 8)):
        assert conditions.own_cells(experiment(raw, models=shown).config, 32) == cells


def test_a_changed_key_changes_the_dumps_that_use_it_alone(experiment):
    network = Network("vit", "f100", "s0")
    before = {kind: experiment().job_config_dump(kind, network) for kind in KINDS}

    def changed(**block):
        own = experiment(**block)
        return {kind for kind in KINDS if own.job_config_dump(kind, network) != before[kind]}

    ours = {"occlusions", "lesions", "occlusion_depth"}
    assert changed(occlusion={"depth": ["shuffle:2"]}) & ours == {"occlusion_depth"}
    assert changed(lesion={"shares": [0.5]}) & ours == {"lesions"}
    assert changed(images=77) & ours == {"occlusions", "lesions"}
    assert changed(occlusion={"shares": [0.5]}) & ours == {"occlusions", "occlusion_depth"}
    assert not changed(models=["vit"])
    assert not changed(occlusion={"mean_shares": [0.25, 0.5, 0.75]}), "as the default has it"
    one, other = experiment(lesion={"shares": [1]}), experiment(lesion={"shares": [1.0]})
    assert one.job_config_dump("lesions", network) == other.job_config_dump("lesions", network)


def test_other_dumps_do_not_know_of_conditions(experiment):
    network = Network("vit", "f100", "s0")
    for kind in set(registry.members("dumps")) - set(KINDS):
        assert "conditions" not in experiment().job_config_dump(kind, network)


def test_what_cannot_work_is_said_at_once(experiment):
    with pytest.raises(ConfigError) as error:
        experiment(models=["vit", "vitt"], occlusion={"cells": 40, "other_cells": [4, 33]})
    said = str(error.value)
    assert "conditions.models: 'vitt' is not among models (bare, coarse, resnet, vit)" in said
    assert (
        "conditions.occlusion.cells: 40 cells a side do not fit images of 32 px: use 2 to" in said
    )
    assert "conditions.occlusion.other_cells: 33 cells" in said
    with pytest.raises(ConfigError, match=r"conditions\.occlusion: unknown key 'share'.*'shares'"):
        experiment(occlusion={"share": [0.5]})
    with pytest.raises(
        ConfigError, match=r"conditions\.occlusion\.depth\.0: 'blur' does not match"
    ):
        experiment(occlusion={"depth": ["blur"]})


def test_depths_of_occlusion_are_of_conditions_that_are_made(experiment):
    asked = {
        "depth": ["drop_blak:0.5", "drop_black:0.3", "shuffle:5", "shuffle:8", "drop_ground:1"]
    }
    with pytest.raises(ConfigError) as error:
        experiment(occlusion=asked | {"shares": [0.5], "shuffle_cells": [2]})
    said = str(error.value)
    assert "depth: there is no 'drop_blak:0.5', 'drop_black:0.3', 'shuffle:5' among" in said
    assert "drop_black:0.5" in said and "shuffle:2, shuffle:8, drop_object:1" in said
    with pytest.raises(ConfigError, match=r"no 'drop_object:1' among"):
        experiment(occlusion={"depth": ["drop_object:1"], "parts": False})
    with pytest.raises(ConfigError, match=r"no 'drop_salient:0.5' among"):
        experiment(occlusion={"depth": ["drop_salient:0.5"]})
    photographs = {"dataset": {"kind": "imagefolder", "folder": "own", "size_px": 32}}
    with pytest.raises(ConfigError, match=r"no 'drop_object:1' among"):
        experiment(RAW | photographs, occlusion={"depth": ["drop_object:1"]})
    photographs["dataset"]["masks"] = "outlines"
    experiment(RAW | photographs, occlusion={"depth": ["drop_object:1"]})
    experiment(occlusion={"depth": ["shuffle:4"], "shuffle_cells": [2], "cells": 4})
    experiment(occlusion={"depth": ["drop_grid5:0.2"], "other_cells": [5], "other_shares": [0.2]})


def test_of_the_usual_depths_those_are_left_out_that_other_keys_leave_out(experiment):
    experiment(occlusion={"shares": [0.25], "shuffle_cells": [2]})
    with pytest.raises(ConfigError, match=r"no 'drop_mean:0.5' among"):
        experiment(occlusion={"mean_shares": []})
    few = {"shares": [0.25], "mean_shares": [0.25], "shuffle_cells": [4], "cells": 4}
    with pytest.raises(ConfigError, match=r"no 'drop_black:0.5', 'drop_mean:0.5', 'shuffle:2'"):
        experiment(occlusion=few)


NEW = ("corruption_depth", "frequency_depth", "conflict_depth", "perturbations")


def test_what_is_off_makes_no_dump_and_no_other_one_stale(experiment):
    off, network = experiment(), Network("vit", "f100", "s0")
    assert not any(off.dumped(kind) for kind in NEW)
    assert not {"figpaul_depth", "figpaul_perturbation", "fignaseer_conflict_depth"} & {
        *off.figures
    }
    on = experiment(
        corruption={"depth": ["fog:3"]},
        frequency={"depth": [2]},
        conflict={"depth": ["other_shape"]},
        perturbation={"images": 40},
    )
    assert {"figpaul_depth", "figpaul_perturbation", "fignaseer_conflict_depth"} <= {*on.figures}
    assert {"conflict_depth", "perturbation", "condition_depth"} <= {*on.measures}
    assert {n.slug for n in on.dumped("conflict_depth")} == {
        n.slug for n in on.dumped("occlusion_depth")
    }
    assert on.inputs("measures", "condition_depth")["frequency_depth"]
    assert not off.inputs("measures", "condition_depth")["frequency_depth"]
    for kind in {*registry.members("dumps")} - {*NEW}:
        assert on.job_config_dump(kind, network) == off.job_config_dump(kind, network), kind


def test_one_corruption_of_one_severity_is_one_task(experiment):
    def of(folder, domain="out"):
        dataset = {"kind": "imagefolder", "folder": folder, "test_share": 0.99, "size_px": 32}
        return {"dataset": dataset, "domain": domain}

    of_cifar = {"kind": "cifar10_c", "corruption": "fog", "severity": 3}
    raw = RAW | {"transfer": {"first": of("C/fog/3"), "other": of("C/fog/4")}}
    experiment(raw)
    inside = {"second": of("D/fog/3", domain="in")}
    experiment(RAW | {"transfer": raw["transfer"] | inside})
    others = {"D/fog/3": of("D/fog/3"), "CIFAR-10-C": {"dataset": of_cifar, "domain": "out"}}
    for place, second in others.items():
        said = rf"first \(C/fog/3\) and second \({place}\) are both fog at severity 3"
        with pytest.raises(ConfigError, match=said):
            experiment(RAW | {"transfer": raw["transfer"] | {"second": second}})


def test_tasks_that_differ_in_texture_match_alone_are_doses(experiment):
    raw = copy.deepcopy(RAW)
    own = raw["dataset"]
    raw["transfer"] = {
        f"match_{t}": {
            "dataset": own | {"texture_match": t / 10, "seed": 1, "n_conflict": 0},
            "domain": "in",
            "finetune": ["vit", "resnet"],
        }
        for t in (1, 4, 7, 10)
    }
    raw["transfer"]["others"] = {
        "dataset": own | {"texture_match": 0.5, "surface": "textures"},
        "domain": "in",
        "finetune": ["vit"],
    }
    corrupted = {"severities": [5]}
    found = experiment(raw, corruption=corrupted)
    doses = {"match_1": 0.1, "match_4": 0.4, "match_7": 0.7, "match_10": 1.0}
    assert conditions.doses(found.config) == doses
    assert "fignaseer_texture_match" in found.figures and "texture_match" in found.measures
    reads = found.inputs("measures", "texture_match")
    assert len(reads["tuned_conflicts"]) == len(reads["tuned_corruptions"]) == 8
    place = "transfer/match_1/tuned_conflicts/vit/f100/s0.safetensors"
    assert reads["tuned_conflicts"][0].endswith(place)
    assert conditions.doses(experiment(raw).config) == {}, "without corruptions"
    dosed = found.job_config_claims()["doses"]
    assert (
        dosed["match_4"]["images"] == {"n_train": 300, "seed": 1} and dosed.keys() == doses.keys()
    )
    assert dosed["match_4"]["train"]["vit"]["steps"] == 4
    assert "doses" not in experiment(raw).job_config_claims()
    assert found.job_config_draw("fignaseer_texture_match")["doses"] == dosed
    other = found.job_config_draw("fignaseer_shape_bias")
    assert other == found.job_config_draw() and "doses" not in other
    del raw["transfer"]["match_1"]
    few = experiment(raw, corruption=corrupted)
    assert "fignaseer_texture_match" not in few.figures, "three are too few"


def test_depths_depend_on_what_they_show_alone(experiment):
    network = Network("vit", "f100", "s0")
    before = {kind: experiment().job_config_dump(kind, network) for kind in NEW}

    def changed(**block):
        own = experiment(**block)
        return {kind for kind in NEW if own.job_config_dump(kind, network) != before[kind]}

    assert changed(corruption={"severities": [5], "names": ["fog"]}) == set()
    assert changed(corruption={"depth": ["fog:3"]}) == {"corruption_depth"}
    assert changed(frequency={"frequencies": "all", "images": 99, "cells": 4}) == set()
    assert changed(frequency={"norm": 1.0}) == {"frequency_depth"}
    assert changed(images=77) == {"conflict_depth"}
    assert changed(perturbation={"steps": 3}) == {"perturbations"}
