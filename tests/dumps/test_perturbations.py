"""Minimal perturbations and attacks: closed forms of linear networks, Parseval, kept budgets."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from sightlines.core.files import write_tensor_file
from sightlines.dumps import perturbations
from sightlines.dumps.attacks import deepfool, project, projected_descent, steepest
from sightlines.dumps.perturbations import draws, energies, published_budgets
from sightlines.dumps.perturbations_reading import PerturbationsDump
from sightlines.measures import perturbation
from tests.dumps import making_experiments as making
from tests.dumps.test_predictions import with_head

SEED, IMAGES = 5, 40


def linear(classes=4, side=6, seed=0):
    """A linear network of small weights, and images whose levels are far from 0 and 1."""
    random = torch.Generator().manual_seed(seed)
    weights = torch.randn(classes, 3 * side * side, generator=random, dtype=torch.float64)
    images = 0.5 + 0.02 * torch.randn(9, 3, side, side, generator=random, dtype=torch.float64)
    return weights, (lambda x: (x - 0.5).flatten(1) @ weights.T), images


def test_of_a_linear_network_the_smallest_change_is_found():
    weights, outputs, images = linear()
    moved, is_moved = deepfool(outputs, images)
    assert is_moved.all() and (outputs(moved).argmax(1) != outputs(images).argmax(1)).all()
    answers = outputs(images)
    for image, own in enumerate(answers.argmax(1).tolist()):
        others = [k for k in range(len(weights)) if k != own]
        normal = weights[own] - weights[others]
        gaps = answers[image, own] - answers[image, others]
        smallest = (gaps / normal.norm(dim=1)).min()
        found = (moved[image] - images[image]).norm()
        assert torch.isclose(found, 1.02 * smallest, rtol=1e-9)


def test_of_a_linear_network_the_worst_change_of_a_size_is_a_corner():
    weights, outputs, images = linear(classes=2)
    right = outputs(images).argmax(1)
    gaps = (outputs(images)[:, 0] - outputs(images)[:, 1]).abs()
    reach = (weights[0] - weights[1]).abs().sum()
    budget = float((gaps / reach).sort().values[4] * 1.001)
    start = torch.zeros_like(images)
    seen, fooled = projected_descent(outputs, images, right, budget, 10, start)
    assert fooled.tolist() == (gaps < budget * reach).tolist() and fooled.sum() == 5
    before, after = (outputs(own)[:, 1] - outputs(own)[:, 0] for own in (images, seen))
    signs = torch.where(right == 0, 1.0, -1.0).double()
    assert torch.allclose((after - before) * signs, budget * reach), "every level by the budget"


def cross_entropy(answers, right):
    return functional.cross_entropy(answers, right, reduction="sum")


def log_odds(answers, right):
    """Against the right output; the cross-entropy rises with it, and rounds to 0 before it does."""
    own = answers.gather(1, right[:, None])
    return (answers.scatter(1, right[:, None], -torch.inf).logsumexp(1) - own[:, 0]).sum()


def plain_descent(loss, outputs, clean, right, budget, steps):
    """Madry et al.'s steps by a loss itself."""
    seen = clean
    for _ in range(steps):
        pixels = seen.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(outputs(pixels), right), pixels)
        seen = project(seen + 2.5 * budget / steps * gradient.sign(), clean, budget)
    return seen


@pytest.mark.parametrize("gap", [3, 200, 5000])
def test_a_network_that_is_very_sure_is_attacked_all_the_same(gap):
    weights, _, images = linear(seed=3)
    right = torch.arange(len(images)) % len(weights)
    leads = gap * functional.one_hot(right, len(weights))

    def outputs(x):
        return (x - 0.5).flatten(1) @ weights.to(x.dtype).T / 100 + leads.to(x.dtype)

    clean, exact = images.float(), images.float().double()
    assert torch.equal(outputs(clean).argmax(1), right)
    seen, fooled = projected_descent(outputs, clean, right, 0.03, 4, torch.zeros_like(clean))
    twin = plain_descent(log_odds, outputs, exact, right, 0.03, 4)
    by_loss = plain_descent(cross_entropy, outputs, clean, right, 0.03, 4)
    if gap < 17:
        assert torch.allclose(twin, by_loss.double(), atol=1e-6)
    else:
        assert torch.equal(by_loss, clean), "in float32 the loss itself has no gradient"
    assert torch.allclose(seen.double(), twin, atol=1e-6) and not fooled.any()
    assert torch.allclose((seen - clean).abs(), torch.tensor(0.03), atol=1e-6)
    before, after = (outputs(x.double()) for x in (clean, seen))
    own, others = leads.bool(), ~leads.bool()
    assert (after[own] < before[own]).all(), "the right output falls"
    mean = [x.masked_fill(own, 0).sum(1) for x in (before, after)]
    assert others.sum() == 3 * own.sum() and (mean[1] - mean[0]).mean() > 0


def test_the_direction_is_the_gradient_of_the_cross_entropy():
    answers = torch.randn(6, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    right = torch.tensor([0, 4, 2, 1, 3, 0])
    loss = functional.cross_entropy(answers.requires_grad_(), right, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, answers)
    scaled = gradient / gradient.abs().amax(dim=1, keepdim=True)
    assert torch.allclose(steepest(answers, right), scaled, atol=1e-12)
    assert torch.allclose(steepest(1e4 * answers.float(), right).sum(1), torch.zeros(6), atol=1e-6)


def test_budgets_and_levels_are_kept():
    random = torch.Generator().manual_seed(1)
    clean = torch.rand(5, 3, 4, 4, generator=random)
    far = clean + torch.randn(clean.shape, generator=random)
    near = project(far, clean, 0.1)
    assert (near - clean).abs().max() <= 0.1 + 1e-7 and near.min() >= 0 and near.max() <= 1
    assert torch.equal(project(near, clean, 0.1), near), "once is enough"
    inside = project(clean + 0.01, clean.clamp(0.2, 0.8), 1.0)
    assert torch.allclose(inside, (clean + 0.01).clamp(0, 1)), "nothing else is moved"
    _, outputs, images = linear()
    right = outputs(images).argmax(1)
    start = 0.03 * torch.sign(torch.randn(images.shape, generator=random)).double()
    for steps in (1, 3, 10):
        seen, _ = projected_descent(outputs, images, right, 0.03, steps, start)
        assert (seen - images).abs().max() <= 0.03 + 1e-12


def test_energy_by_frequency_sums_to_the_norm():
    change = np.random.default_rng(0).normal(size=(4, 3, 12, 12))
    change[3] = 0
    shares, low = energies(change, 12)
    assert np.allclose(shares[:3].sum(axis=(1, 2)), 1) and not shares[3].any() and low[3] == 0
    side = np.arange(12)
    basis = np.sqrt(2 / 12) * np.cos(np.pi * (side[:, None] + 0.5) * side / 12)
    basis[:, 0] = np.sqrt(1 / 12)
    plain = np.square(np.einsum("nchw,hu,wv->ncuv", change[:3], basis, basis)).sum(axis=1)
    assert np.allclose(plain.sum(axis=(1, 2)), np.square(change[:3]).sum(axis=(1, 2, 3)))
    assert np.allclose(shares[:3], plain / plain.sum(axis=(1, 2), keepdims=True), atol=1e-6)
    assert np.allclose(low[:3], shares[:3, :2, :2].sum(axis=(1, 2)), atol=1e-6), "below 1.5"
    flat, all_low = energies(np.ones((1, 3, 64, 64)), 32)
    assert flat[0, 0, 0] == 1 and all_low[0] == 1
    coarse, _ = energies(change, 5)
    assert coarse.shape == (4, 5, 5) and np.allclose(coarse[:3].sum(axis=(1, 2)), 1)


def test_draws_are_an_images_own():
    shape = torch.Size((2, 3, 4, 4))
    both = draws(SEED, 0.1, np.array([7, 3]), shape)
    alone = draws(SEED, 0.1, np.array([3]), torch.Size((1, 3, 4, 4)))
    assert all(np.array_equal(b[1], a[0]) for a, b in zip(alone, both, strict=True))
    assert np.abs(both[0]).max() <= 0.1 and np.allclose(np.abs(both[1]), 0.1)
    assert published_budgets(32) == published_budgets(64) == (2 / 255, 4 / 255)
    assert published_budgets(224) == published_budgets(96) == (0.001, 0.004)


@pytest.fixture(scope="module", params=[making.VIT, making.RESNET], ids=["vit", "resnet"])
def shown(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    dataset = making.make_dataset(folder / "data")
    making.make_splits(dataset, folder / "splits.safetensors")
    making.make_network(folder / "net", request.param, dataset, change=with_head)
    return making.open_shown(folder / "net", dataset, folder / "splits.safetensors")


def dumped(path, content):
    write_tensor_file(path, content)
    return PerturbationsDump(path)


@pytest.mark.parametrize("shown", [making.VIT], indirect=True)
def test_tables_are_those_of_the_images_answered_rightly(tmp_path, shown):
    settings = {"images": IMAGES, "budgets": [0.02, 0.2], "steps": 3}
    dump = dumped(tmp_path / "dump", perturbations.record(shown, SEED, settings))
    right, moved = dump.right, dump.moved
    assert dump.images == IMAGES and moved.all() and 0 < right.sum() < IMAGES
    assert (dump.norm > 0).all() and np.allclose(dump.energy.sum(axis=(1, 2)), 1, atol=1e-5)
    fooled = dump.fooled("fooled")
    assert fooled[~right].all() or (fooled[~right].mean() > 0.5), "wrong from the start"
    assert (fooled.mean(0) >= dump.fooled("by_signs").mean(0)).all()
    assert fooled[right, 1].mean() >= fooled[right, 0].mean()
    tables = perturbation.measure([dump], SEED)
    attack = pd.concat(tables["attack.csv"])
    whole = attack[attack["left_out"] == -1].set_index("budget")
    assert whole.loc[0.2, "success"] == pytest.approx(fooled[right, 1].mean())
    assert (whole["images"] == right.sum()).all() and len(attack) == 2 * 21
    own = pd.concat(tables["perturbation.csv"]).set_index("left_out")
    assert own.loc[-1, "low_share"] == pytest.approx(dump.low.mean()), "untrained: all images"
    bands = pd.concat(tables["perturbation_bands.parquet"])
    assert bands["energy"].sum() == pytest.approx(1, abs=1e-5) and len(bands) == 8 * 8
    trained = PerturbationsDump(tmp_path / "dump")
    trained.network = trained.network._replace(fraction="f100")
    own = pd.concat(perturbation.measure([trained], SEED)["perturbation.csv"]).iloc[0]
    assert own["low_share"] == pytest.approx(dump.low[right].mean())
    assert own["images"] == right.sum()
    energy = dump.energy[right].mean(0)
    assert own["entropy"] == pytest.approx(-(energy * np.log(energy)).sum() / np.log(64), rel=1e-4)


@pytest.mark.whole
def test_an_image_is_attacked_alike_whatever_is_beside_it(tmp_path, shown):
    settings = {"images": IMAGES, "budgets": [0.05], "steps": 3}
    every = dumped(tmp_path / "every", perturbations.record(shown, SEED, settings))
    few = dumped(tmp_path / "few", perturbations.record(shown, SEED, settings | {"images": 21}))
    assert np.allclose(every.norm[:21], few.norm, rtol=1e-3, atol=1e-4)
    assert np.array_equal(every.right[:21], few.right)
    assert (every.fooled("fooled")[:21] == few.fooled("fooled")).mean() > 0.95
    again = dumped(tmp_path / "again", perturbations.record(shown, SEED, settings))
    assert (tmp_path / "again").read_bytes() == (tmp_path / "every").read_bytes()
    assert again.steps == 3


def test_white_noise_has_the_entropy_of_white_noise():
    flat = np.full((1, 8, 8), 1 / 64)
    assert perturbation.entropy(flat) == pytest.approx([1.0])
    one = np.zeros((1, 8, 8))
    one[0, 2, 3] = 1
    assert perturbation.entropy(one) == pytest.approx([0.0])
    assert np.isnan(perturbation.entropy(flat * np.nan)).all()
