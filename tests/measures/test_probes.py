import numpy as np
import pytest

from sightlines.core.errors import ResultError
from sightlines.core.files import read_table, write_tensors
from sightlines.dumps.features_reading import LabelledDump
from sightlines.measures import probes, probing, token_probes
from sightlines.results.tables import required
from sightlines.stats import half_samples
from sightlines.stats.ridge import PENALTIES
from tests.measures.running import run_measure
from tests.rounding import assert_rounded, rounded
from tests.stats.test_ridge import slow_scores

CLASSES, PATCHES, WIDTH = 3, 4, 5
SIZES = (60, 24, 90)
SETTINGS = {"shots": 4, "draws": 2}


def labels_of(sizes=SIZES, seed=1):
    rng = np.random.Generator(np.random.Philox(seed))
    return np.concatenate([rng.permutation(np.arange(n) % CLASSES) for n in sizes])


def random_tokens(labels, prefix, seed=2, width=WIDTH):
    """Tokens that know more of the class from one to the next [images, tokens, width]."""
    rng = np.random.Generator(np.random.Philox(seed))
    centres = rng.standard_normal((CLASSES, width))
    noise = rng.standard_normal((len(labels), prefix + PATCHES, width))
    strength = np.linspace(0.2, 2, prefix + PATCHES)[:, None]
    return (centres[labels][:, None] * strength + noise).astype(np.float32)


def describe(network, layers, meta):
    known = {"network": list(network), "layers": layers, "patches": PATCHES, "classes": CLASSES}
    known |= {"depths": [0.0, 0.75, 1.0][: len(layers)]}
    return known | {"splits_sha256": {"probe_test": "x"}} | (meta or {})


def write_features(
    path, labels, tokens, prefix=1, network=("vit", "f100", "s0"), sizes=SIZES, meta=None
):
    """A dump of pooled features; `tokens` is a list over layers."""
    layers = [f"block{i:02d}.out" for i in range(len(tokens))]
    tensors = {}
    for name, x in zip(layers, tokens, strict=True):
        if prefix:
            tensors[f"cls.{name}"] = x[:, 0]
        tensors[f"mean.{name}"] = x[:, prefix:].mean(1)
        tensors[f"first.{name}"] = x[:, prefix]
    tensors |= {"labels": labels, "subset": np.repeat(np.arange(3), sizes)}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(path, tensors, describe(network, layers, meta))
    return path


def write_token_features(path, labels, tokens, prefix=1, network=("vit", "f100", "s0"), meta=None):
    layers = [f"block{i:02d}.out" for i in range(len(tokens))]
    tensors = {f"tokens.{name}": x for name, x in zip(layers, tokens, strict=True)}
    tensors |= {"labels": labels, "subset": np.repeat(np.arange(3), SIZES)}
    own = {"grid": [2, 2], "class_token": prefix > 0}
    write_tensors(path, tensors, describe(network, layers, own | (meta or {})))
    return path


def run_main(module, tmp_path, inputs, config=None, name="probes"):
    own = inputs.get("features", []) + inputs.get("token_features", [])
    networks = [LabelledDump(path).network.slug for path in own]
    config = {"probes": SETTINGS} | (config or {})
    return run_measure(module.__name__.split(".")[-1], inputs, tmp_path, networks, **config)[name]


def slow_probe(train, train_labels, held_out, held_out_labels, test, test_labels):
    """Every penalty in turn, from few to much; the last of the best."""
    best, chosen = -1.0, 0.0
    for penalty in PENALTIES:
        answers = slow_scores(train, train_labels, held_out, penalty, CLASSES).argmax(1)
        share = (answers == held_out_labels).mean()
        if share >= best:
            best, chosen = share, penalty
    answers = slow_scores(train, train_labels, test, chosen, CLASSES).argmax(1)
    return chosen, best, (answers == test_labels).mean()


def test_the_table_is_that_of_slow_probes(tmp_path):
    labels = labels_of()
    tokens = [random_tokens(labels, 1, seed) for seed in (2, 3)]
    table = run_main(
        probes, tmp_path, {"features": [write_features(tmp_path / "a", labels, tokens)]}
    )
    assert list(table.columns) == list(required("probes.parquet"))
    assert len(table) == 2 * 4 * 3
    a, b = SIZES[0], SIZES[0] + SIZES[1]
    for row in table[table.shots == 0].itertuples():
        x = tokens[row.layer].astype(float)
        pooled = {"cls": x[:, 0], "mean": x[:, 1:].mean(1), "all": x.mean(1), "first": x[:, 1]}
        own = pooled[row.pool]
        parts = (own[:a], labels[:a], own[a:b], labels[a:b], own[b:], labels[b:])
        expected = slow_probe(*parts)
        assert (row.penalty, row.held_out_accuracy, row.accuracy) == expected
        assert (row.train_images, row.test_images, row.chance) == (60, 90, 1 / 3)
    assert dict(zip(table.name, table.depth, strict=True)) == {
        "block00.out": 0.0,
        "block01.out": 0.75,
    }
    assert set(table.dataset) == {""}
    few = table[table.shots == 4]
    assert set(few.draw) == {0, 1} and set(few.train_images) == {12}


def replicates_of(tmp_path, name):
    return read_table(tmp_path / f"{name}.parquet").sort_values("left_out")


def test_replicates_leave_out_one_group_of_test_images_after_another(tmp_path, monkeypatch):
    """Hits of every image are seen by leaving out groups of one."""
    labels = labels_of()
    tokens = [random_tokens(labels, 1)]
    path = write_features(tmp_path / "a", labels, tokens)
    monkeypatch.setattr(probing, "GROUPS", SIZES[2])
    run_main(probes, tmp_path, {"features": [path]})
    single = (
        replicates_of(tmp_path, "probe_replicates").query("pool == 'first'").accuracy.to_numpy()
    )
    hits = SIZES[2] * single[0] - (SIZES[2] - 1) * single[1:]
    assert set(hits.round(6)) == {0.0, 1.0}
    own = probing.groups_of(SIZES[2], 0, "")
    assert sorted(own) == list(range(SIZES[2]))
    monkeypatch.undo()
    table = run_main(probes, tmp_path, {"features": [path]})
    found = replicates_of(tmp_path, "probe_replicates")
    assert list(found.columns) == list(required("probe_replicates.parquet"))
    accuracy = found.query("pool == 'first'").accuracy.to_numpy()
    assert accuracy[0] == table.query("pool == 'first' and shots == 0").accuracy.item()
    groups = probing.groups_of(SIZES[2], 0, "")
    expected = [hits[own][groups != g].mean() for g in range(20)]
    assert_rounded(accuracy[1:], expected, terms=SIZES[2])


def halves_by_brute_force(features, labels, pair, half):
    """Accuracy on all test images of a probe on one half of the training images."""
    a, b = SIZES[0], SIZES[0] + SIZES[1]
    own = np.flatnonzero(half_samples.HALVES[2 * pair + half][probing.halves_of(labels[:a], 0, "")])
    x = features.astype(float)
    return slow_probe(x[own], labels[own], x[a:b], labels[a:b], x[b:], labels[b:])[2]


def test_halves_are_fitted_by_themselves_and_tested_on_all_test_images(tmp_path):
    labels = labels_of()
    tokens = [random_tokens(labels, 1, seed) for seed in (2, 3)]
    run_main(probes, tmp_path, {"features": [write_features(tmp_path / "a", labels, tokens)]})
    found = read_table(tmp_path / "probe_halves.parquet")
    assert list(found.columns) == list(required("probe_halves.parquet"))
    assert len(found) == 2 * 4 * len(half_samples.HALVES)
    for row in found[found.pool == "first"].itertuples():
        expected = halves_by_brute_force(tokens[row.layer][:, 1], labels, row.pair, row.half)
        assert row.accuracy == expected
    assert found.accuracy.nunique() > 10


def test_halves_of_tokens_are_of_patches_after_the_last_block(tmp_path):
    labels = labels_of()
    tokens = [random_tokens(labels, 1, seed) for seed in (2, 3)]
    path = write_token_features(tmp_path / "a", labels, tokens, 1)
    run_main(token_probes, tmp_path, {"token_features": [path]}, name="token_probes")
    found = read_table(tmp_path / "token_probe_halves.parquet")
    assert list(found.columns) == list(required("token_probe_halves.parquet"))
    assert set(found.name) == {"block01.out"} and len(found) == len(half_samples.HALVES)
    for row in found.itertuples():
        patches = [tokens[1][:, place] for place in range(1, 1 + PATCHES)]
        expected = [halves_by_brute_force(own, labels, row.pair, row.half) for own in patches]
        assert row.accuracy == rounded(np.mean(expected), terms=PATCHES)


def test_halves_are_shared_by_networks_and_missing_of_too_few_images(tmp_path):
    labels = labels_of()
    assert (probing.halves_of(labels, 0, "a") == probing.halves_of(labels, 0, "a")).all()
    assert (probing.halves_of(labels, 0, "a") != probing.halves_of(labels, 0, "b")).any()
    sizes = (6, 24, 90)
    few = labels_of(sizes)
    path = write_features(tmp_path / "a", few, [random_tokens(few, 1)], sizes=sizes)
    table = run_main(probes, tmp_path, {"features": [path]})
    assert table.accuracy.notna().all()
    assert read_table(tmp_path / "probe_halves.parquet").accuracy.isna().all()


def test_replicates_of_tokens_are_means_over_patches(tmp_path):
    labels = labels_of()
    path = write_token_features(tmp_path / "a", labels, [random_tokens(labels, 1)], 1)
    table = run_main(token_probes, tmp_path, {"token_features": [path]}, name="token_probes")
    found = replicates_of(tmp_path, "token_probe_replicates")
    assert list(found.columns) == list(required("token_probe_replicates.parquet"))
    assert found.left_out.tolist() == list(range(-1, 20))
    patches = table[(table.shots == 0) & (table.token >= 0)]
    assert found.accuracy.iloc[0] == rounded(patches.accuracy.mean(), terms=len(patches))
    kept = np.bincount(probing.groups_of(SIZES[2], 0, ""), minlength=20)
    again = np.average(found.accuracy.iloc[1:], weights=SIZES[2] - kept)
    assert again == rounded(found.accuracy.iloc[0], terms=SIZES[2])


@pytest.mark.parametrize("of_tokens", [False, True])
def test_replicates_of_few_shots_are_of_every_draw(tmp_path, of_tokens):
    labels = labels_of()
    tokens = [random_tokens(labels, 1), random_tokens(labels, 1, seed=5)]
    if of_tokens:
        path = write_token_features(tmp_path / "a", labels, tokens, 1)
        table = run_main(token_probes, tmp_path, {"token_features": [path]}, name="token_probes")
        found, place = replicates_of(tmp_path, "few_shot_token_replicates"), ["name"]
        assert list(found.columns) == list(required("few_shot_token_replicates.parquet"))
        table = table[table["token"] >= 0]
    else:
        path = write_features(tmp_path / "a", labels, tokens)
        table = run_main(probes, tmp_path, {"features": [path]})
        found, place = replicates_of(tmp_path, "few_shot_replicates"), ["name", "pool"]
        assert list(found.columns) == list(required("few_shot_replicates.parquet"))
    expected = table[table.shots == 4].groupby([*place, "shots", "draw"])["accuracy"].mean()
    whole = found[found.left_out == -1].set_index([*place, "shots", "draw"])["accuracy"]
    assert len(whole) == len(expected) and whole.index.is_unique
    assert whole.loc[expected.index].tolist() == rounded(expected, terms=PATCHES)
    kept = SIZES[2] - np.bincount(probing.groups_of(SIZES[2], 0, ""), minlength=20)
    for _, own in found[found.left_out >= 0].groupby([*place, "shots", "draw"]):
        again = np.average(own.sort_values("left_out").accuracy, weights=kept)
        key = tuple(own[[*place, "shots", "draw"]].iloc[0])
        assert again == rounded(whole.loc[key], terms=SIZES[2])


def test_without_a_class_token_there_is_no_cls_and_one_mean(tmp_path):
    labels = labels_of()
    path = write_features(tmp_path / "a", labels, [random_tokens(labels, 0)], prefix=0)
    table = run_main(probes, tmp_path, {"features": [path]})
    assert set(table.pool) == {"mean", "first"} and set(table.depth) == {0.0}


def test_the_penalty_does_not_depend_on_test_images(tmp_path):
    labels = labels_of()
    tokens = [random_tokens(labels, 1, seed) for seed in (2, 3, 4)]
    before = run_main(
        probes, tmp_path, {"features": [write_features(tmp_path / "a", labels, tokens)]}
    )
    other = labels.copy()
    other[sum(SIZES[:2]) :] = np.roll(labels[sum(SIZES[:2]) :], 1)
    for x in tokens:
        x[sum(SIZES[:2]) :] *= 3
    after = run_main(
        probes, tmp_path, {"features": [write_features(tmp_path / "a", other, tokens)]}
    )
    assert after.penalty.tolist() == before.penalty.tolist()
    assert after.held_out_accuracy.tolist() == before.held_out_accuracy.tolist()
    assert after.accuracy.tolist() != before.accuracy.tolist()
    assert before.penalty.nunique() > 3


def test_labels_that_know_nothing_are_read_at_chance(tmp_path):
    sizes = (60, 24, 3000)
    labels = labels_of(sizes)
    tokens = [random_tokens(np.zeros(len(labels), int), 1, seed) for seed in (2, 3)]
    path = write_features(tmp_path / "a", labels, tokens, sizes=sizes)
    table = run_main(probes, tmp_path, {"features": [path]})
    assert (table.accuracy - 1 / 3).abs().max() < 4 * np.sqrt(2 / 9 / 3000)


def test_draws_are_balanced_shared_and_take_what_there_is():
    labels = np.array([0] * 30 + [1] * 10 + [2] * 2 + [4] * 7)
    found = probing.supports(labels, {"shots": 5, "draws": 3}, 0, "task")
    assert [s[:2] for s in found] == [(0, 0), (5, 0), (5, 1), (5, 2)]
    assert found[0].images.tolist() == list(range(49))
    for support in found[1:]:
        assert np.bincount(labels[support.images]).tolist() == [5, 5, 2, 0, 5]
        assert len(set(support.images)) == len(support.images)
    again = probing.supports(labels, {"shots": 5, "draws": 3}, 0, "task")
    assert all((a.images == b.images).all() for a, b in zip(found, again, strict=True))
    elsewhere = probing.supports(labels, {"shots": 5, "draws": 3}, 0, "other")
    drawn = {tuple(s.images) for s in (*found[1:], *elsewhere[1:])}
    assert len(drawn) == 6


def test_other_tasks_are_named_after_their_folder(tmp_path):
    labels = labels_of()
    tokens = [random_tokens(labels, 1)]
    own = write_features(tmp_path / "a", labels, tokens)
    folder = tmp_path / "results" / "e" / "transfer" / "flowers" / "features" / "vit" / "f100"
    other = write_features(
        folder / "s0.safetensors", labels, tokens, meta={"splits_sha256": {"probe_test": "y"}}
    )
    inputs = {"features": [own], "transfer_features": [other]}
    table = run_main(probes, tmp_path, inputs, {"dumped": {"features": ["vit/f100/s0"]}})
    assert set(table.dataset) == {"", "flowers"}
    whole = table[table.shots == 0].groupby("dataset").accuracy.apply(list)
    assert whole[""] == whole["flowers"]


def test_tables_have_their_columns_without_any_dump(tmp_path):
    for module, name in ((probes, "probes"), (token_probes, "token_probes")):
        table = run_main(module, tmp_path, {}, name=name)
        for written in module.TABLES:
            table = read_table(tmp_path / written)
            assert list(table.columns) == list(required(written)) and table.empty


@pytest.mark.parametrize("prefix", [0, 1])
def test_every_token_has_its_own_probe_and_place(tmp_path, prefix):
    labels = labels_of()
    tokens = [random_tokens(labels, prefix, seed) for seed in (2, 3)]
    path = write_token_features(tmp_path / "a", labels, tokens, prefix)
    table = run_main(token_probes, tmp_path, {"token_features": [path]}, name="token_probes")
    assert list(table.columns) == list(required("token_probes.parquet"))
    images = {(row.shots, row.train_images, row.test_images) for row in table.itertuples()}
    assert images == {(0, 60, 90), (4, 12, 90)}
    whole = table[(table.shots == 0) & (table.name == "block01.out")]
    places = [(-1, -1, -1)] * prefix + [(0, 0, 0), (1, 0, 1), (2, 1, 0), (3, 1, 1)]
    assert list(zip(whole.token, whole.row, whole.column, strict=True)) == places
    assert set(table.depth) == {0.0, 0.75} and len(table) == 2 * (4 + prefix) * 3
    dump = LabelledDump(path)
    for index, found in enumerate(whole.accuracy):
        data = dump.divide(tokens[1][:, index].astype(float))
        assert found == slow_probe(*vars(data).values())[2]


def test_dumps_of_other_networks_or_images_are_refused(tmp_path):
    labels = labels_of()
    tokens = [random_tokens(labels, 1)]
    one = write_features(tmp_path / "a", labels, tokens)
    with pytest.raises(
        ResultError, match=r"expected dumps of vit/f010/s0, but .*/a is of vit/f100"
    ):
        run_main(probes, tmp_path, {"features": [one]}, {"dumped": {"features": ["vit/f010/s0"]}})
    two = write_features(tmp_path / "b", labels, tokens, meta={"splits_sha256": {}})
    with pytest.raises(ResultError, match=r"/a and .*/b are of different labelled images"):
        run_main(probes, tmp_path, {"features": [one, two]})


@pytest.mark.parametrize("module", [probes, token_probes])
def test_two_tables_are_the_same_bytes(tmp_path, module):
    labels = labels_of()
    tokens = [random_tokens(labels, 1, width=70)]
    write, kind = {
        probes: (write_features, "features"),
        token_probes: (write_token_features, "token_features"),
    }[module]
    name = module.__name__.rsplit(".", 1)[1]
    path = write(tmp_path / "a", labels, tokens)
    found = []
    for _ in range(2):
        run_main(module, tmp_path, {kind: [path]}, name=name)
        found.append([(tmp_path / written).read_bytes() for written in module.TABLES])
    assert found[0] == found[1]
