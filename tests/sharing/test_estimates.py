"""How long jobs will take, about: what the estimate grows with, and what records say of it."""

import json

import pytest

from sightlines.sharing import estimates
from sightlines.sharing.estimates import seconds, shipped

VIT = {"family": "vit", "width": 48, "depth": 5}
RESNET = {"family": "resnet", "units": [2, 2, 2], "channels": [32, 64, 128]}
RECIPE = {"steps": 900, "batch_size": 32, "budget": "equal_steps"}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    estimates._others.cache_clear()
    yield tmp_path
    estimates._others.cache_clear()


def training(model=VIT, fraction="f100", **recipe):
    own = model | {"train": RECIPE | recipe}
    return {"model": own, "network": ["a", fraction, "s0"], "seed": 0}


def log(job):
    return f"results/mine/logs/{job}.log"


def asked(job, cut):
    return seconds(log(job), json.dumps(cut))


def recorded(folder, job, cut, wall_s):
    path = folder / f"results/mine/records/{job}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {"job": job, "config": cut, "wall_s": wall_s, "cpu_s": wall_s}
    path.write_text(json.dumps(record | {"inputs": {}, "outputs": {}}))


def test_a_training_takes_as_long_as_its_steps_and_its_network():
    start = shipped("train", {})
    own = shipped("train", training()) - start
    assert own > 10 * start, "its recipe lies within the model's settings"
    assert shipped("train", training(steps=2700)) - start == pytest.approx(3 * own)
    assert shipped("train", training(batch_size=64)) - start == pytest.approx(2 * own)
    wide = VIT | {"width": 96, "depth": 10}
    assert shipped("train", training(wide)) - start == pytest.approx(4 * own)
    tuned = shipped("transfer/*/finetune", training(RESNET))
    assert tuned == pytest.approx(shipped("train", training(RESNET)))


def test_an_untrained_network_is_made_at_once():
    assert shipped("train", training(fraction="f000")) == shipped("train", {})


def test_fewer_epochs_of_fewer_images_are_shorter():
    start = shipped("train", {})
    part = shipped("train", training(fraction="f010", budget="equal_epochs")) - start
    whole = shipped("train", training(budget="equal_epochs")) - start
    assert part == pytest.approx(whole / 10)
    assert shipped("train", training(fraction="f010")) - start == pytest.approx(whole)


def test_a_network_of_another_library_is_told_by_its_images():
    own = {"family": "timm", "name": "resnet18"}
    assert shipped("train", training(own)) > shipped("train", training(own, steps=90)) > 0


def test_dumps_of_changed_images_grow_with_images_and_changes():
    few = {"conditions": {"images": 100, "shares": [0.5]}}
    more = {"conditions": {"images": 400, "shares": [0.5]}}
    other = {"conditions": {"images": 100, "shares": [0.1, 0.3, 0.5]}}
    one, two, three = (shipped("dump/lesions", cut) for cut in (few, more, other))
    assert one < three < two


@pytest.mark.parametrize(
    "cut",
    [None, [], {}, {"model": 3}, {"model": {"train": None}, "network": []}]
    + [training(steps=odd) for odd in (-3, "9", None, True, 10**40)]
    + [training(VIT | {"width": "a"}), training(RESNET | {"units": [[], 1]})]
    + [{"conditions": {"images": -1}}, {"conditions": 7}],
)
def test_odd_settings_have_an_estimate_too(cut):
    for kind in ("train", "dump/lesions", "measure/cka", "", "no/such"):
        assert 0 < shipped(kind, cut) < 1e12
    assert 0 < asked("train/a/f100/s0", cut) < 1e12


def test_its_own_record_says_best_how_long_a_job_takes(folder):
    recorded(folder, "train/a/f100/s0", training(), 50.0)
    recorded(folder, "train/b/f100/s0", training(), 500.0)
    assert asked("train/a/f100/s0", training()) == pytest.approx(50)
    longer = asked("train/a/f100/s0", training(steps=2700))
    assert 100 < longer < 150, "the start is not repeated"


def test_records_of_others_say_how_fast_this_machine_is(folder):
    """Untrained networks among them: what they took says nothing of a training by itself."""
    shipped_s = shipped("train", training())
    for seed in ("s0", "s1", "s2"):
        slow = 3 * shipped("train", training(fraction="f000"))
        recorded(folder, f"train/a/f000/{seed}", training(fraction="f000"), slow)
    assert asked("train/a/f100/s0", training()) == pytest.approx(3 * shipped_s)


def test_jobs_of_a_task_are_of_their_own_kinds(folder):
    recorded(folder, "transfer/one/features/a/f100/s0", {}, 19.0)
    recorded(folder, "transfer/one/probes", {}, 0.01)
    assert asked("transfer/two/features/a/f100/s0", {}) == pytest.approx(19)
    assert asked("transfer/two/probes", {}) == pytest.approx(0.01)
