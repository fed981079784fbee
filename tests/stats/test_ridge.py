import numpy as np
import pytest

from sightlines.stats import ridge
from sightlines.stats.ridge import CONSTANT, PENALTIES, SMALLEST_STD, best_penalty, fit
from tests.rounding import assert_rounded

CLASSES = 4


def problem(images, features, seed=1, noise=1.0):
    """Features with some information on the class."""
    rng = np.random.Generator(np.random.Philox(seed))
    labels = rng.integers(0, CLASSES, images)
    centres = np.random.Generator(np.random.Philox(99)).standard_normal((CLASSES, features))
    return centres[labels] + noise * rng.standard_normal((images, features)), labels


def slow_scores(train, labels, test, penalty, classes=CLASSES):
    """Least squares on the system augmented by √penalty rows, feature of 100 included."""
    mean, std = train.mean(axis=0), train.std(axis=0) + SMALLEST_STD
    x = np.column_stack([(train - mean) / std, np.full(len(train), CONSTANT)])
    y = np.array([[1.0 if c == label else -1.0 for c in range(classes)] for label in labels])
    augmented = np.vstack([x, np.sqrt(penalty) * np.eye(x.shape[1])])
    targets = np.vstack([y, np.zeros((x.shape[1], classes))])
    weights = np.linalg.lstsq(augmented, targets, rcond=None)[0]
    return np.column_stack([(test - mean) / std, np.full(len(test), CONSTANT)]) @ weights


def condition(train, penalty):
    """By how much the solution of the normal equations is off for a rounding of its parts."""
    mean, std = train.mean(axis=0), train.std(axis=0) + SMALLEST_STD
    spectrum = np.linalg.eigvalsh((train - mean).T @ (train - mean) / std / std[:, None])
    return (spectrum.max() + penalty) / (max(spectrum.min(), 0) + penalty)


@pytest.mark.parametrize("images", [15, 16, 17, 80])
@pytest.mark.parametrize("penalty", [2.0**-10, 1.0, 2.0**10, 2.0**20])
def test_scores_are_those_of_least_squares_on_the_augmented_system(images, penalty):
    train, labels = problem(images, 16)
    test, _ = problem(11, 16, seed=2)
    expected = slow_scores(train, labels, test, penalty)
    found = fit(train, labels, CLASSES).scores(test, penalty)
    # The twin's system is as ill-conditioned as its largest column, of CONSTANT, and its smallest.
    size = np.abs(expected).max() * (
        condition(train, penalty) + CONSTANT * np.sqrt(1 + images / penalty)
    )
    assert_rounded(found, expected, terms=images, size=size)


@pytest.mark.parametrize("images", [9, 60])
@pytest.mark.parametrize("chunk", [1, 2**24])
def test_accuracies_of_all_penalties_are_those_of_the_scores(images, chunk, monkeypatch):
    monkeypatch.setattr(ridge, "CHUNK_BYTES", chunk)
    train, labels = problem(images, 12, noise=3)
    held_out, answers = problem(200, 12, seed=3, noise=3)
    probe = fit(train, labels, CLASSES)
    expected = [(probe.scores(held_out, p).argmax(1) == answers).mean() for p in PENALTIES]
    assert probe.accuracies(held_out, answers).tolist() == expected
    assert len(set(expected)) > 3


def test_both_decompositions_agree(monkeypatch):
    """With twice the images, each twice, XᵀX is decomposed and penalties count half."""
    train, labels = problem(12, 20)
    test, _ = problem(9, 20, seed=2)
    few = fit(train, labels, CLASSES).scores(test, 4.0)
    twice = fit(np.vstack([train] * 2), np.tile(labels, 2), CLASSES).scores(test, 8.0)
    size = np.abs(few).max() * condition(train, 4.0)
    assert_rounded(few, twice, terms=24, size=size)


def test_one_hot_features_are_read_without_error():
    labels = np.arange(40) % CLASSES
    features = np.eye(CLASSES)[labels]
    assert (fit(features, labels, CLASSES).accuracies(features, labels)[:20] == 1).all()


def test_labels_that_know_nothing_are_read_at_chance():
    train, labels = problem(300, 10)
    test, answers = problem(2000, 10, seed=5)
    probe = fit(train, labels, CLASSES)
    assert probe.accuracies(test, answers).max() > 0.9
    rng = np.random.Generator(np.random.Philox(8))
    independent = probe.accuracies(test, rng.integers(0, CLASSES, 2000))
    assert np.abs(independent - 1 / CLASSES).max() < 4 * np.sqrt(0.25 * 0.75 / 2000)
    shuffled = [
        fit(train, rng.permutation(labels), CLASSES).accuracies(test, answers)[10]
        for _ in range(40)
    ]
    error = np.std(shuffled, ddof=1) / np.sqrt(40)
    assert abs(np.mean(shuffled) - 1 / CLASSES) < 4 * error < 0.2


def test_scale_and_shift_of_single_features_do_not_matter():
    train, labels = problem(60, 8)
    test, _ = problem(30, 8, seed=2)
    scale, shift = 10.0 ** np.arange(-1, 7), 1e3 * np.arange(8)
    plain = fit(train, labels, CLASSES).scores(test, 2.0)
    moved = fit(train * scale + shift, labels, CLASSES).scores(test * scale + shift, 2.0)
    # SMALLEST_STD is added to every standard deviation, so it is a share of the smallest.
    share = SMALLEST_STD / (train * scale).std(axis=0).min()
    assert np.abs(moved - plain).max() < 2 * share * np.abs(plain).max() < 1e-3


def test_the_order_of_images_and_of_features_does_not_matter():
    train, labels = problem(60, 8)
    test, _ = problem(30, 8, seed=2)
    images = np.random.Generator(np.random.Philox(4)).permutation(60)
    moved = fit(train[images][:, ::-1], labels[images], CLASSES).scores(test[:, ::-1], 2.0)
    expected = fit(train, labels, CLASSES).scores(test, 2.0)
    size = np.abs(expected).max() * condition(train, 2.0)
    assert_rounded(moved, expected, terms=60, size=size)


@pytest.mark.parametrize("value", [0.0, 1000.1, -1e-9])
@pytest.mark.parametrize("images", [9, 60])
def test_a_feature_that_does_not_vary_in_training_has_no_weight(value, images):
    train, labels = problem(images, 12)
    test, _ = problem(30, 12, seed=2)
    plain = fit(train, labels, CLASSES)
    dead = np.full((images, 1), value)
    found = fit(np.hstack([dead, train]), labels, CLASSES)
    alive = np.hstack([np.linspace(-1e6, 1e6, 30)[:, None], test])
    for penalty in PENALTIES[[0, -1]]:
        expected = plain.scores(test, penalty)
        size = np.abs(expected).max() * condition(train, penalty)
        assert_rounded(found.scores(alive, penalty), expected, terms=images, size=size)


def test_features_that_are_all_constant_are_read_at_chance():
    labels = np.arange(40) % CLASSES
    found = fit(np.full((40, 3), 0.1), labels, CLASSES).accuracies(np.ones((40, 3)), labels)
    assert (found == 1 / CLASSES).all()


def test_a_class_without_images_is_never_the_answer():
    train, labels = problem(60, 8)
    kept = labels != 2
    found = fit(train[kept], labels[kept], CLASSES)
    assert 2 not in found.scores(train, 1.0).argmax(1)


def test_the_intercept_alone_remains_under_a_large_penalty():
    train, labels = problem(60, 8)
    probe = fit(train, labels, CLASSES)
    shares = np.bincount(labels, minlength=CLASSES) / 60
    expected = 60e4 / (60e4 + 2.0**20) * (2 * shares - 1)
    assert_rounded(probe.scores(train.mean(0)[None], 2.0**20)[0], expected, terms=60)


def test_of_equal_accuracies_the_largest_penalty_is_taken():
    assert best_penalty(np.array([0.1, 0.5, 0.2, 0.5, 0.3])) == 3
    assert best_penalty(np.full(31, 0.1)) == 30
    assert PENALTIES[0] == 2.0**-10 and PENALTIES[-1] == 2.0**20


@pytest.mark.parametrize("features", [12, 70])
def test_fits_to_unions_of_groups_are_those_to_their_images(features):
    """With sums that are added up, and where a union has fewer images than features."""
    train, labels = problem(120, features, noise=3)
    train[:, 0] = 7.0
    train[:, 1] = np.where(np.arange(120) == 5, 1.0, 0.0) + 3e4
    test, _ = problem(50, features, seed=2)
    groups = np.arange(120) % 4
    unions = np.array([[True, True, False, False], [False, False, True, True], [True, False] * 2])
    found = list(ridge.fit_unions(train, labels, CLASSES, groups, unions))
    assert [probe.images for probe in found] == [60, 60, 60]
    for probe, union in zip(found, unions, strict=True):
        own = union[groups]
        expected = fit(train[own], labels[own], CLASSES)
        for penalty in (1.0, 2.0**10):
            scores = expected.scores(test, penalty)
            size = np.abs(scores).max() * condition(train[own][:, 2:], penalty) * 3e4
            assert_rounded(probe.scores(test, penalty), scores, terms=120, size=size)
