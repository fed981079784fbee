"""Muon against its definition, against torch's own, and through a checkpoint."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from sightlines.models import building
from sightlines.training import muon
from sightlines.training.recipe import make_optimizer, set_learning_rate
from tests.training.jobs import RECIPE, RESNET, SIZE_PX, VIT

MUON = RECIPE | {"optimizer": "muon", "learning_rate": 0.01, "weight_decay": 0.1}


def make(net=VIT):
    return building.build(net, SIZE_PX, 5, seed=1)


def take_steps(model, optimizer, steps, seed=0):
    for step in range(steps):
        torch.manual_seed(seed + step)  # of the paths that the network drops as well
        images = torch.randn(8, 3, SIZE_PX, SIZE_PX)
        cross_entropy(model(images), torch.arange(8) % 5).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


@pytest.mark.parametrize("shape", [(12, 12), (12, 40), (40, 12), (1, 9), (9, 1)])
def test_directions_stay_and_their_sizes_become_alike(shape):
    generator = torch.Generator().manual_seed(1)
    matrices = torch.randn(3, *shape, generator=generator, dtype=torch.float64)
    matrices[1] *= 1e6
    u, _, vt = torch.linalg.svd(matrices, full_matrices=False)
    seen = u.mT @ muon.orthogonal(matrices) @ vt.mT
    sizes = seen.diagonal(dim1=1, dim2=2)
    assert torch.allclose(seen, torch.diag_embed(sizes), atol=1e-9)
    assert 0.65 < sizes.median() < 1.2 and sizes.max() < 1.25
    assert (sizes > 0).all()


def test_a_matrix_of_zeros_stays_one():
    assert muon.orthogonal(torch.zeros(2, 4, 6)).eq(0).all()


def test_a_step_is_that_of_torch_but_for_its_bfloat16():
    """torch 2.13's `Muon`, with the step's size of Liu et al. 2025."""
    generator = torch.Generator().manual_seed(2)
    ours = [nn.Parameter(torch.randn(*s, generator=generator)) for s in ((8, 24), (24, 8), (8, 24))]
    theirs = copy.deepcopy(ours)
    rest = [{"params": [nn.Parameter(torch.zeros(3))], "weight_decay": 0.0, "decayed": False}]
    named = [(f"layer{i}.weight", p) for i, p in enumerate(ours)]
    mine = muon.Muon(named, rest, 0.02, 0.1, (0.9, 0.99))
    options = {"momentum": muon.MOMENTUM, "nesterov": True, "adjust_lr_fn": "match_rms_adamw"}
    peer = torch.optim.Muon(theirs, lr=0.02, weight_decay=0.1, **options)
    for _ in range(3):
        for own, other in zip(ours, theirs, strict=True):
            own.grad = torch.randn(own.shape, generator=generator)
            other.grad = own.grad.clone()
        before = [p.detach().clone() for p in ours]
        mine.step()
        peer.step()
        for own, other, start in zip(ours, theirs, before, strict=True):
            step = (own - start).norm()
            assert (own - other).norm() < 0.03 * step < 0.03 * own.norm()
            other.data.copy_(own.data)


def test_queries_keys_and_values_are_a_matrix_each():
    generator = torch.Generator().manual_seed(3)
    joined = nn.Parameter(torch.randn(24, 8, generator=generator))
    apart = [nn.Parameter(part.clone()) for part in joined.detach().chunk(3)]
    joined.grad = torch.randn(24, 8, generator=generator)
    for part, gradient in zip(apart, joined.grad.chunk(3), strict=True):
        part.grad = gradient.clone()
    rest = [{"params": [nn.Parameter(torch.zeros(3))], "weight_decay": 0.0, "decayed": False}]
    for named in ([("attn.qkv.weight", joined)], [(f"{i}.weight", p) for i, p in enumerate(apart)]):
        muon.Muon(named, copy.deepcopy(rest), 0.01, 0.0, (0.9, 0.99)).step()
    assert torch.allclose(joined, torch.cat(apart), atol=1e-6)


@pytest.mark.parametrize("net", [VIT, RESNET])
def test_it_takes_all_but_the_first_and_the_last_matrix(net):
    model = make(net)
    groups = make_optimizer(model, MUON).param_groups
    names = {id(p): n for n, p in model.named_parameters()}
    inner, outer, rest = ([names[id(p)] for p in group["params"]] for group in groups)
    assert [group["decayed"] for group in groups] == [True, True, False]
    assert [group["weight_decay"] for group in groups] == [0.1, 0.1, 0.0]
    matrices = {
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, (nn.Linear, nn.Conv2d))
    }
    assert {*inner, *outer} == matrices and len(outer) == 2
    assert len(inner) + len(outer) + len(rest) == len(names)
    first = next(name for name in names.values() if name in matrices)
    last = next(n for n, module in model.named_modules() if module is model.get_classifier())
    assert outer == [first, f"{last}.weight"]


def test_a_network_without_matrices_inside_is_adamws():
    model = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 2))
    assert isinstance(make_optimizer(model, MUON), torch.optim.AdamW)


@pytest.mark.parametrize("net", [VIT, RESNET])
def test_the_loss_falls_and_all_parameters_change(net):
    model = make(net)
    torch.manual_seed(0)
    images, labels = torch.randn(8, 3, SIZE_PX, SIZE_PX), torch.arange(8) % 5
    start = copy.deepcopy(model)
    optimizer = make_optimizer(model, MUON)
    losses = []
    for _ in range(30):
        loss = cross_entropy(model(images), labels)
        losses.append(float(loss.detach()))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    assert losses[-1] < 0.5 * losses[0]
    for (name, now), before in zip(model.named_parameters(), start.parameters(), strict=True):
        assert not torch.equal(now, before), name


@pytest.mark.parametrize("net", [VIT, RESNET])
def test_it_goes_on_from_its_state_bit_by_bit(net):
    model = make(net)
    optimizer = make_optimizer(model, MUON)
    take_steps(model, optimizer, 2)
    other = make(net)
    other.load_state_dict(model.state_dict())
    again = make_optimizer(other, MUON)
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for each in (optimizer, again):
        set_learning_rate(each, 0.003)
    take_steps(model, optimizer, 2, seed=7)
    take_steps(other, again, 2, seed=7)
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_what_has_no_gradient_stays():
    model = make()
    optimizer = make_optimizer(model, MUON)
    frozen = model.blocks[0].attn.qkv.weight
    frozen.requires_grad_(False)
    before = frozen.clone()
    take_steps(model, optimizer, 2)
    assert torch.equal(frozen, before)
