"""The loss of self-distillation against what it must be where that is known."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from sightlines.training.dino import schedules
from sightlines.training.dino.loss import answers_of, distillation_loss, information
from tests.rounding import rounded

K, N, VIEWS = 7, 5, 6
SETTINGS = {
    "teacher_momentum": 0.9,
    "weight_decay_end": 0.4,
    "teacher_temperature": 0.07,
    "teacher_temperature_start": 0.04,
    "teacher_warmup": 0.25,
    "freeze_last_layer": 1.5,
}


def outputs(views=VIEWS, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(views, N, K, generator=generator, dtype=torch.float64) * 2 - 1


def test_flat_answers_of_both_give_the_logarithm_of_their_number():
    flat = torch.full((VIEWS, N, K), 0.3, dtype=torch.float64)
    found = distillation_loss(flat, flat[:2], torch.zeros(K, dtype=torch.float64), 0.1, 0.04)
    assert float(found) == rounded(math.log(K), terms=K * VIEWS)
    centre = torch.linspace(-1, 1, K, dtype=torch.float64)
    hidden = centre.expand(2, N, K)  # a teacher that says what it always says says nothing
    found = distillation_loss(flat, hidden, centre, 0.1, 0.04)
    assert float(found) == rounded(math.log(K), terms=K * VIEWS)


def test_it_is_the_mean_over_pairs_of_different_views():
    """A slow twin, pair by pair: 2 · 6 − 2 of them, and none of a view with itself."""
    student, teacher = outputs(), outputs(2, seed=1)
    centre = torch.linspace(-0.5, 0.5, K, dtype=torch.float64)
    pairs, total = 0, 0.0
    for t in range(2):
        for s in range(VIEWS):
            if s == t:
                continue
            pairs += 1
            for i in range(N):
                shifted = [(teacher[t, i, k] - centre[k]) / 0.04 for k in range(K)]
                weights = [math.exp(v) for v in shifted]
                logits = [float(student[s, i, k]) / 0.1 for k in range(K)]
                norm = math.log(sum(math.exp(v) for v in logits))
                total -= sum(w * (v - norm) for w, v in zip(weights, logits, strict=True)) / sum(
                    weights
                )
    assert pairs == 2 * VIEWS - 2
    found = float(distillation_loss(student, teacher, centre, 0.1, 0.04))
    assert found == rounded(total / (pairs * N), terms=pairs * N * K)


def test_a_views_own_answer_does_not_count():
    student, teacher = outputs(2), outputs(2, seed=1)
    student.requires_grad_(True)
    weights = answers_of(teacher, torch.zeros(K, dtype=torch.float64), 0.04)
    crossed = -(weights.flip(0) * functional.log_softmax(student / 0.1, -1)).sum(-1).mean()
    found = distillation_loss(student, teacher, torch.zeros(K, dtype=torch.float64), 0.1, 0.04)
    assert found.item() == rounded(crossed.item(), terms=2 * N * K)


def test_gradients_reach_the_student_alone():
    student, teacher = outputs().requires_grad_(True), outputs(2, seed=1).requires_grad_(True)
    centre = torch.zeros(K, dtype=torch.float64, requires_grad=True)
    distillation_loss(student, teacher, centre, 0.1, 0.04).backward()
    assert teacher.grad is None and centre.grad is None
    # The softmax of each answer sums to 1, so gradients along the outputs sum to 0, none is 0.
    assert student.grad.sum(-1).abs().max() < 1e-12 < student.grad.abs().min()


def test_information_is_none_where_all_answers_are_alike():
    flat, sharp = torch.full((N, K), 1 / K), torch.eye(K)[:1].expand(N, K)
    assert float(information(flat)) == pytest.approx(0, abs=1e-6)
    assert float(information(sharp)) == 0
    assert float(information(torch.eye(K))) == pytest.approx(math.log(K))


def test_schedules():
    total = 40
    momenta = [schedules.teacher_momentum(step, total, SETTINGS) for step in range(total + 1)]
    assert momenta[0] == pytest.approx(0.9) and momenta[-1] == 1
    assert momenta[total // 2] == pytest.approx(0.95) and momenta == sorted(momenta)
    decays = [schedules.weight_decay(step, total, 0.04, SETTINGS) for step in range(total + 1)]
    assert (decays[0], decays[20], decays[-1]) == pytest.approx((0.04, 0.22, 0.4))
    heats = [schedules.teacher_temperature(step, total, SETTINGS) for step in range(total)]
    assert heats[0] == 0.04 and heats[5] == pytest.approx(0.055)
    assert heats[10:] == [0.07] * 30
    level = SETTINGS | {"teacher_warmup": 0.0}
    assert schedules.teacher_temperature(0, total, level) == 0.07
    assert schedules.frozen_steps(101, 25, SETTINGS) == math.ceil(1.5 * 101 / 25) == 7
    assert schedules.frozen_steps(101, 25, SETTINGS | {"freeze_last_layer": 0.0}) == 0


def test_a_centre_tends_to_the_mean_by_its_momentum():
    """As the training moves it: after s steps a share momentum^s of the start is left."""
    mean, centre = np.float64(3.0), 0.0
    for _ in range(12):
        centre = 0.9 * centre + (1 - 0.9) * mean
    assert centre == pytest.approx(mean * (1 - 0.9**12))
