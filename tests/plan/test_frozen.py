"""What masks of photographs and the way in which weights were learned change of a plan."""

import copy
from dataclasses import replace

import pytest

from sightlines.core.errors import ConfigError
from sightlines.plan import architectures
from sightlines.plan.checks import unmet_needs
from sightlines.plan.config import complete
from sightlines.plan.config_types import AttentionMaps
from sightlines.plan.experiment import Experiment
from sightlines.plan.networks import Network
from tests.plan.test_experiment import RAW

PHOTOGRAPHS = {"kind": "imagefolder", "folder": "mine", "size_px": 32}


def experiment(dataset=None, **models):
    raw = copy.deepcopy(RAW) | {"transfer": {}}
    raw["dataset"] = dataset or raw["dataset"]
    for name, more in models.items():
        raw["models"][name] |= more
    return Experiment("mine", complete(raw, "mine.yaml"))


def test_masks_are_read_by_dumps_that_ask_where_objects_are_alone():
    bare, masked = (experiment(PHOTOGRAPHS | more) for more in ({}, {"masks": "outlines"}))
    for kind in ("cls_attention", "occlusions", "occlusion_depth"):
        assert masked.beside(kind) == {"masks": "results/mine/data/masks.parquet"}
    assert masked.beside("gram") == bare.beside("cls_attention") == {}
    assert masked.job_config_data("x") == bare.job_config_data("x")
    assert masked.data_files() == bare.data_files()
    for network in masked.networks:
        assert masked.job_config_train(network) == bare.job_config_train(network)
    assert masked.job_config_masks("y") == {"masks": "outlines", "source": "y"}


def test_without_masks_nothing_is_held_against_them():
    bare, masked = (experiment(PHOTOGRAPHS | more) for more in ({}, {"masks": "outlines"}))
    for name in ("figvit_rollout", "figdino_segmentation"):
        assert unmet_needs("figures", name, bare.config) == [
            "images with masks: dataset shapes, or dataset.masks"
        ]
        assert name in masked.figures and name not in bare.figures
    assert "segmentation" in masked.measures and "segmentation" not in bare.measures
    assert "figdino_pictures" in bare.figures
    assert "segmentation" in experiment().measures, "shapes has masks of its own"


def test_photographs_need_not_be_shown():
    config = replace(experiment(PHOTOGRAPHS).config, attention_maps=AttentionMaps(pictures=0))
    assert unmet_needs("figures", "figdino_pictures", config) == ["attention_maps.pictures above 0"]


def test_masks_lie_below_data_root():
    with pytest.raises(ConfigError, match=r"dataset\.masks is '/mine'"):
        experiment(PHOTOGRAPHS | {"masks": "/mine"})


def test_how_weights_were_learned_is_known_to_claims_and_changes_no_network():
    network = Network("resnet", "f100", "s0")
    bare, told = experiment(), experiment(resnet={"pretraining": "dino"})
    assert told.job_config_train(network) == bare.job_config_train(network)
    assert told.job_config_draw()["architectures"]["resnet"]["pretraining"] == "dino"
    assert "pretraining" not in bare.job_config_draw()["architectures"]["resnet"]


@pytest.mark.parametrize(
    ("model", "how"),
    [
        ({"family": "timm", "name": "vit_small_patch16_224.dino", "weights": "hub"}, "dino"),
        ({"family": "timm", "name": "vit_small_patch16_224.dino", "weights": "random"}, ""),
        ({"family": "timm", "name": "vit_small_patch14_dinov2.lvd142m", "weights": "hub"}, ""),
        ({"family": "vit"}, ""),
    ],
)
def test_weights_by_dino_are_told_by_their_tag(model, how):
    assert architectures.pretraining(model) == ({"pretraining": how} if how else {})
    assert architectures.pretraining(model, "supervised") == {"pretraining": "supervised"}
