"""CKA before and after fine-tuning, against the twin of loops and closed forms."""

import numpy as np
import pytest

from sightlines.claims.judge import INDICES
from sightlines.core.errors import ResultError
from sightlines.core.files import write_tensors
from sightlines.dumps.reading import GramDump
from sightlines.measures import finetuning
from sightlines.plan.networks import Network
from sightlines.results.tables import required
from sightlines.run.measure import PIXELS, _network, _task
from sightlines.stats.jackknife import group_of, standard_error
from tests.measures.making_dumps import STORED, layer_rows, random_minibatches, write_gram
from tests.measures.predicting import make_predictions
from tests.measures.running import run_measure
from tests.reference.cka_song import cka_song
from tests.rounding import assert_rounded, rounded

SIZES = [17] * 8 + [7]
WIDTHS = [3, 5, 4, 6, 2, 5]
NETWORK = ("vit", "f100", "s0")


def residual(minibatches):
    """Only layers 1, 3, 5 are block outputs (see `layer_rows`)."""
    return [m[1::2] for m in minibatches]


@pytest.fixture(scope="module")
def data():
    before = random_minibatches(1, SIZES, WIDTHS)
    rng = np.random.default_rng(5)
    after = [
        [x + 0.3 * i * rng.standard_normal(x.shape) for i, x in enumerate(layers)]
        for layers in before
    ]
    return before, after


@pytest.fixture(scope="module")
def dumps(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dumps")
    return [write_gram(folder / name, d, NETWORK) for name, d in zip("ab", data, strict=True)]


def values(table):
    """[replicates, blocks]."""
    return table.pivot(index="left_out", columns="block", values="cka").sort_index().to_numpy()


def test_every_block_and_replicate_agrees_with_the_twin(data, dumps):
    table = finetuning.compare(*dumps, "near", "in")
    before, after = (residual(d) for d in data)
    assert list(table.columns) == list(required("finetuning.parquet"))
    assert set(table.left_out) == set(range(-1, 9)) and len(table) == 3 * 10
    for row in table.itertuples():
        kept = [i for i in range(9) if i != row.left_out]
        x, y = ([d[i][row.block] for i in kept] for d in (before, after))
        assert row.cka == rounded(cka_song(x, y), **STORED)
    whole = table[table.left_out == -1]
    assert whole.block.tolist() == [0, 1, 2] and whole.depth.tolist() == [0, 0.5, 1]
    assert (table[["model", "fraction", "seed"]] == NETWORK).all(axis=None)
    assert set(table.task) == {"near"} and set(table.domain) == {"in"}
    assert (np.diff(whole.cka) < 0).all() and whole.cka.iloc[0] > 0.9


def test_a_network_that_did_not_change_is_one_everywhere(dumps):
    found = values(finetuning.compare(dumps[0], dumps[0], "near", "in"))
    assert_rounded(found, 1, terms=17 * 17)


def test_rotation_and_scale_are_no_change(data, tmp_path):
    rng = np.random.default_rng(2)
    turns = [3.0 * np.linalg.qr(rng.standard_normal((w, w)))[0] for w in WIDTHS]
    turned = [[x @ t + 4 for x, t in zip(m, turns, strict=True)] for m in data[0]]
    one, other = (write_gram(tmp_path / n, d) for n, d in (("a", data[0]), ("b", turned)))
    assert_rounded(values(finetuning.compare(one, other, "t", "in")), 1, **STORED)


def test_networks_without_anything_in_common_are_near_nothing(data, tmp_path):
    """Negative control; its spread is what the standard error says."""
    other = random_minibatches(99, SIZES, WIDTHS)
    one, unlike = (write_gram(tmp_path / n, d) for n, d in (("a", data[0]), ("b", other)))
    found = values(finetuning.compare(one, unlike, "t", "out"))
    error = standard_error(found)
    assert np.abs(found[0]).max() < 0.2 and (np.abs(found[0]) < 4 * error).all()


def test_many_minibatches_are_grouped_as_elsewhere(tmp_path):
    sizes = [5] * 43
    before, after = random_minibatches(3, sizes, [3, 2]), random_minibatches(4, sizes, [3, 2])
    one, other = (write_gram(tmp_path / n, d) for n, d in (("a", before), ("b", after)))
    found = values(finetuning.compare(one, other, "t", "in"))
    assert found.shape == (21, 1)
    kept = [i for i in range(43) if group_of(i, 43) != 7]
    expected = cka_song([before[i][1] for i in kept], [after[i][1] for i in kept])
    assert found[8, 0] == rounded(expected, **STORED)


@pytest.mark.parametrize("noise", [0.0, 6e-8])
def test_a_block_that_does_not_vary_is_undefined(data, tmp_path, noise):
    """Neither where its Gram is zero, nor where it is rounding alone."""
    one, other = (write_gram(tmp_path / name, data[0]) for name in "ab")
    grams = {f"gram.{i:03d}": np.array(other.packed(i)) for i in range(len(SIZES))}
    for gram in grams.values():
        draws = np.random.default_rng(6).standard_normal(gram.shape[1])
        gram[3] = 5 * (1 + noise * draws) * bool(noise)
    write_tensors(tmp_path / "b", grams, other.meta)
    other = GramDump(tmp_path / "b")
    found = values(finetuning.compare(one, other, "t", "in"))
    assert np.isnan(found[:, 1]).all() and np.isfinite(found[:, [0, 2]]).all()


def test_one_block_has_depth_zero(tmp_path):
    data = random_minibatches(8, [7, 7], [3, 4])
    dump = write_gram(tmp_path / "a", data)
    table = finetuning.compare(dump, dump, "t", "in")
    assert table.depth.unique().tolist() == [0.0]


@pytest.mark.parametrize("change", ["reference", "network", "layers"])
def test_what_does_not_go_together_is_refused(data, dumps, tmp_path, change):
    own = {"reference": "other"} if change == "reference" else {}
    network = ("vit", "f100", "s1") if change == "network" else NETWORK
    if change == "layers":
        own["layers"] = [layer | {"name": f"x{layer['name']}"} for layer in layer_rows(len(WIDTHS))]
    path = tmp_path / "near" / "tuned_gram" / "vit" / "f100" / "s0.safetensors"
    write_gram(path, data[1], network, **own)
    pixels = tmp_path / "pixels"
    write_gram(pixels, random_minibatches(21, SIZES, [7]), Network.parse(PIXELS))
    inputs = {"gram": [dumps[0].path], "tuned_gram": [path], "pixels": [pixels]}
    expected = {
        "reference": "different reference images",
        "network": "expected dumps of",
        "layers": "have different layers",
    }
    with pytest.raises(ResultError, match=expected[change]):
        run_measure("finetuning", inputs, tmp_path, ["vit/f100/s0"], tasks={"near": "in"})


# -- the command -----------------------------------------------------------------------


def run_main(folder, slugs, tuned):
    """`tuned` is a list of (task, slug, data); tuned ones get as many of ten images right as their
    task's name has letters."""
    gram, after, scores = [], [], []
    for slug, minibatches in slugs.items():
        gram.append(folder / "dumps" / "gram" / f"{slug}.safetensors")
        write_gram(gram[-1], minibatches, Network.parse(slug))
    for task, slug, minibatches in tuned:
        here = folder / "transfer" / task
        after.append(here / "tuned_gram" / f"{slug}.safetensors")
        write_gram(after[-1], minibatches, Network.parse(slug))
        scores.append(here / "tuned_shown_predictions" / f"{slug}.safetensors")
        labels = np.arange(10)
        taken = np.where(labels < len(task), labels, (labels + 1) % 10)
        make_predictions(
            scores[-1],
            Network.parse(slug),
            classes=10,
            images={"test": 10},
            logits=np.eye(10, dtype=np.float32)[taken],
            labels=labels,
        )
    pixels = folder / "dumps" / "pixels.safetensors"
    write_gram(pixels, random_minibatches(21, SIZES, [7]), Network.parse(PIXELS))
    inputs = {"gram": gram, "tuned_gram": after, "tuned_predictions": scores, "pixels": [pixels]}
    tasks = {"near": "in", "far": "out"}
    found = run_measure("finetuning", inputs, folder / "tables", list(slugs), tasks=tasks)
    return list(found.values())


def test_the_command_pairs_every_tuned_network_with_its_own_start(data, tmp_path):
    before, after = data
    other = random_minibatches(12, SIZES, WIDTHS)
    slugs = {"resnet/f100/s0": other, "vit/f000/s0": after, "vit/f100/s0": before}
    tuned = [
        ("near", "vit/f100/s0", after),
        ("near", "resnet/f100/s0", other),
        ("far", "vit/f100/s0", before),
    ]
    table, indices, scores = run_main(tmp_path, slugs, tuned)
    whole = table[table.left_out == -1]
    means = whole.groupby(["task", "model"], sort=False)["cka"].mean()
    assert means.index.tolist() == [("near", "vit"), ("near", "resnet"), ("far", "vit")]
    assert means["far", "vit"] == rounded(1, terms=17 * 17)
    assert means["near", "resnet"] == rounded(1, terms=17 * 17)
    assert means["near", "vit"] < 0.9
    assert dict(zip(whole.task, whole.domain, strict=True)) == {"near": "in", "far": "out"}
    assert list(scores.columns) == list(required("tuned_accuracy.csv"))
    assert scores[["model", "task", "accuracy"]].to_numpy().tolist() == [
        ["vit", "near", 0.4],
        ["resnet", "near", 0.4],
        ["vit", "far", 0.3],
    ]

    near = indices[(indices.task == "near") & (indices.model == "vit")]
    linear = near[near["index"] == "linear"].sort_values("block").value
    assert near.block.tolist() == [0, 1, 2] * 6
    assert_rounded(linear, whole[whole.task == "near"].cka.iloc[:3], terms=17 * 17)
    # Procrustes takes the roots of eigenvalues near 0, which keep half of float64's digits.
    assert_rounded(indices[indices.task == "far"].value, 1, **STORED)
    assert near.shuffled.abs().max() < 0.9 and set(indices["index"]) == set(INDICES)


def test_without_tuned_networks_all_tables_are_empty_but_whole(data, tmp_path):
    table, indices, scores = run_main(tmp_path, {"vit/f100/s0": data[0]}, [])
    assert list(indices.columns) == list(required("finetuning_indices.parquet")) and indices.empty
    assert list(table.columns) == list(required("finetuning.parquet")) and table.empty
    assert list(scores.columns) == list(required("tuned_accuracy.csv")) and scores.empty


def test_predictions_of_another_network_are_refused(data, tmp_path):
    path = tmp_path / "transfer" / "near" / "tuned_shown_predictions" / "vit/f100/s0.safetensors"
    make_predictions(path, ("vit", "f100", "s1"))
    gram, pixels = tmp_path / "gram", tmp_path / "pixels"
    write_gram(gram, data[0])
    write_gram(pixels, random_minibatches(21, SIZES, [7]), Network.parse(PIXELS))
    inputs = {"gram": [gram], "tuned_predictions": [path], "pixels": [pixels]}
    with pytest.raises(ResultError, match=r"expected dumps of vit/f100/s0, but .*of vit/f100/s1"):
        run_measure("finetuning", inputs, tmp_path, ["vit/f100/s0"], tasks={"near": "in"})


def test_task_and_network_are_read_off_the_path(tmp_path):
    path = tmp_path / "transfer" / "far" / "gram" / "vit" / "f100" / "s0"
    assert (_task(path), _network(path).slug) == ("far", "vit/f100/s0")
