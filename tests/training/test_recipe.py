import numpy as np
import pytest
import torch

from sightlines.models import building
from sightlines.training.recipe import (
    AveragedWeights,
    is_decayed,
    make_optimizer,
    set_learning_rate,
)
from tests.rounding import assert_rounded
from tests.training.jobs import RECIPE, RESNET, SIZE_PX, VIT


def make(net=VIT):
    return building.build(net, SIZE_PX, 5, seed=1)


@pytest.mark.parametrize("net", [VIT, RESNET])
def test_only_matrices_and_kernels_decay(net):
    model = make(net)
    decayed = {name for name, p in model.named_parameters() if is_decayed(name, p)}
    expected = {
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d))
    }
    assert decayed == expected
    groups = make_optimizer(model, RECIPE).param_groups
    assert [group["weight_decay"] for group in groups] == [RECIPE["weight_decay"], 0.0]
    counted = [len(group["params"]) for group in groups]
    assert counted == [len(expected), len(list(model.parameters())) - len(expected)]


def test_optimizers_are_those_of_the_recipe():
    adamw = make_optimizer(make(), RECIPE | {"momentum": 0.8, "second_moment": 0.95})
    assert isinstance(adamw, torch.optim.AdamW)
    assert adamw.param_groups[0]["betas"] == (0.8, 0.95)
    sgd = make_optimizer(make(), RECIPE | {"optimizer": "sgd"})
    assert isinstance(sgd, torch.optim.SGD)
    assert sgd.param_groups[1]["momentum"] == 0.9 and sgd.param_groups[1]["nesterov"]
    set_learning_rate(sgd, 0.123)
    assert {group["lr"] for group in sgd.param_groups} == {0.123}


def test_sgd_without_momentum():
    assert not make_optimizer(make(), RECIPE | {"optimizer": "sgd", "momentum": 0}).defaults[
        "nesterov"
    ]


def test_average_of_the_weights():
    model = make()
    averaged = AveragedWeights(model, RECIPE | {"ema_decay": 0.5})
    start = {name: p.clone() for name, p in averaged.model.named_parameters()}
    with torch.no_grad():
        for p in model.parameters():
            p += 1
    averaged.update(step=1000)
    for name, p in averaged.model.named_parameters():
        assert not p.requires_grad
        assert_rounded(p, start[name] + 0.5, name, terms=2, dtype=np.float32)
    assert all(p.requires_grad for p in model.parameters())


def test_without_averaging_the_network_itself_is_the_result():
    model = make()
    averaged = AveragedWeights(model, RECIPE | {"ema_decay": 0.0})
    averaged.update(step=3)
    assert averaged.model is model and not averaged.is_on
