import numpy as np
import pytest

from sightlines.core.errors import ResultError
from sightlines.core.files import TensorReader, read_table, write_tensors
from sightlines.dumps.reading import GramDump
from sightlines.measures import similarity_indices as measure
from sightlines.results.tables import required
from sightlines.run.measure import PIXELS
from tests.measures.making_dumps import STORED, random_minibatches, write_gram
from tests.measures.running import run_measure
from tests.reference.cka_song import cka_song, hsic_song
from tests.rounding import assert_rounded, rounded
from tests.stats import test_indices as twins

SIZES = [31, 31, 31, 31, 31, 17]
SLUGS = [
    *("vit/f000/s0", "vit/f010/s0", "vit/f100/s0", "vit/f100/s1"),
    *("resnet/f000/s0", "resnet/f100/s0"),
    *("vit_skipless/f100/s0", "vit_skipless/f000/s0"),
]
WIDTHS = [5, 13, 7, 11]
"""Layers 1 and 3 are block outputs."""


@pytest.fixture(scope="module")
def data():
    found = {slug: random_minibatches(i, SIZES, WIDTHS) for i, slug in enumerate(SLUGS)}
    for layers, other in zip(found["resnet/f100/s0"], found["vit/f100/s0"], strict=True):
        layers[3][:, :5] += 2 * other[1][:, :5]
    found["pixels/f000/s0"] = [[x[1][:, :4]] for x in found["vit/f010/s0"]]
    return found


@pytest.fixture(scope="module")
def paths(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dumps")
    for slug, minibatches in data.items():
        path = folder / f"{slug.replace('/', '-')}.safetensors"
        write_gram(path, minibatches, tuple(slug.split("/")))
    return [folder / f"{slug.replace('/', '-')}.safetensors" for slug in data]


def run_main(paths, folder, slugs=SLUGS, seed=0):
    known = {"vit": {"skipless_block": -1}, "vit_skipless": {"skipless_block": 2}}
    inputs = {"gram": paths[:-1], "pixels": paths[-1:]}
    config = {"architectures": known, "seed": seed}
    return run_measure("similarity_indices", inputs, folder, slugs, **config)["similarity_indices"]


@pytest.fixture(scope="module")
def table(paths, tmp_path_factory):
    return run_main(paths, tmp_path_factory.mktemp("tables"))


def slugs(rows, side):
    return rows[[f"{key}_{side}" for key in ("model", "fraction", "seed")]].agg("/".join, axis=1)


def test_columns_and_pairs_are_those_promised(table):
    assert tuple(table.columns) == required("similarity_indices.parquet")
    assert set(table["index"]) == set(twins.PAIRED)
    one = table[table["index"] == "rbf"]
    counts = one.groupby([slugs(one, "a"), slugs(one, "b")], sort=False).size().to_dict()
    full, bare = "vit/f100/s0", "vit/f000/s0"
    resnet, bare_resnet = "resnet/f100/s0", "resnet/f000/s0"
    squares = [(bare, bare), (full, full), (bare_resnet, bare_resnet), (resnet, resnet)]
    assert counts == {
        **dict.fromkeys([*squares, (full, resnet)], 4),
        **{(full, bare): 2, (full, "vit/f010/s0"): 2, (full, "vit/f100/s1"): 2},
        (resnet, bare_resnet): 2,
        **{(s, s): 4 for s in ("vit_skipless/f100/s0", "vit_skipless/f000/s0")},
    }
    assert set(table["layer_a"]) == set(table["layer_b"]) == {1, 3}
    matching = table[(slugs(table, "a") == full) & (slugs(table, "b") == bare)]
    assert (matching["layer_a"] == matching["layer_b"]).all()
    assert table.notna().all(axis=None)


def test_blocks_are_compared_with_the_next_ones_attention(tmp_path):
    """Each block's output with the branch above it; networks without attention have no rows."""
    kinds = ["embed", *["attn", "residual"] * 3]
    minibatches = random_minibatches(40, SIZES, [4, 5, 6, 7, 8, 9, 5])
    rows = [
        {"index": i, "name": f"l{i}", "kind": kind, "block": max(0, (i - 1) // 2)}
        | {"depth": i / 6, "features": 3}
        for i, kind in enumerate(kinds)
    ]
    paths = [tmp_path / name for name in ("vit", "bare", "skipless", "resnet", "pixels")]
    networks = [("vit", "f100", "s0"), ("vit", "f000", "s0"), ("vit_skipless", "f100", "s0")]
    for path, network in zip(paths, networks, strict=False):
        write_gram(path, minibatches, network, layers=rows)
    write_gram(paths[3], [m[:4] for m in minibatches], ("resnet", "f100", "s0"))
    write_gram(paths[4], [[m[0]] for m in minibatches], ("pixels", "f000", "s0"))
    run_main(paths, tmp_path, [*("/".join(n) for n in networks), "resnet/f100/s0"])
    table = read_table(tmp_path / "branch_indices.parquet")
    assert tuple(table.columns) == required("branch_indices.parquet")
    assert set(slugs(table, "a")) == {"vit/f100/s0", "vit/f000/s0"}
    own = table[slugs(table, "a") == "vit/f100/s0"]
    for index in twins.PAIRED:
        cells = own[own["index"] == index]
        assert list(zip(cells.layer_a, cells.layer_b, strict=True)) == [(2, 3), (4, 5)]
    for row in own[own["index"] == "linear"].itertuples():
        pair = [m[row.layer_a] for m in minibatches], [m[row.layer_b] for m in minibatches]
        assert row.value == rounded(cka_song(*pair), **STORED)


def features_of(data, row):
    a = data["/".join([row.model_a, row.fraction_a, row.seed_a])]
    b = data["/".join([row.model_b, row.fraction_b, row.seed_b])]
    return [m[row.layer_a] for m in a], [m[row.layer_b] for m in b]


def test_linear_agrees_with_the_twin_over_ragged_minibatches(data, table):
    for row in table[table["index"] == "linear"].itertuples():
        assert row.value == rounded(cka_song(*features_of(data, row)), **STORED)


def test_the_others_agree_with_their_twins(data, table):
    cross = table[(slugs(table, "a") == "vit/f100/s0") & (slugs(table, "b") == "resnet/f100/s0")]
    cross = cross[(cross["layer_a"] == 1) & (cross["layer_b"] == 3)]
    assert len(cross) == 6
    pixels = [m[0] for m in data["pixels/f000/s0"]]
    counts = [10] * 5 + [5]
    assert measure.PROCRUSTES_MINIBATCHES == 4
    for row in cross.itertuples():
        x, y = features_of(data, row)
        expected = {
            "linear": cka_song(x, y),
            "deconfounded": deconfounded(x, y, pixels),
            "without_top": cka_song(*map(without_first, (x, y))),
            "rbf": rbf(x, y),
            "procrustes": np.mean(
                [twins.procrustes(*z, twins.stored(*z)) for z in zip(x[:4], y[:4], strict=True)]
            ),
            "neighbours": np.mean(
                [
                    twins.neighbours(a, b, count, twins.stored(a, b))
                    for a, b, count in zip(x, y, counts, strict=True)
                ]
            ),
        }[row.index]
        assert row.value == rounded(expected, **STORED)


def rbf(x, y):
    """Unbiased HSICs of explicit kernels, summed over minibatches with weights n(n-3)."""
    sums = np.zeros(3)
    for pair in zip(x, y, strict=True):
        k, l = (gaussian(z) for z in pair)  # noqa: E741
        n = len(k)
        sums += n * (n - 3) * np.array([hsic_song(k, l), hsic_song(k, k), hsic_song(l, l)])
    return sums[0] / np.sqrt(sums[1] * sums[2])


def gaussian(x):
    d = np.linalg.norm(x[:, None] - x[None], axis=2)
    sigma = 0.4 * np.median(d[np.triu_indices(len(x), 1)])
    return np.exp(-(d**2) / (2 * sigma**2))


def without_first(minibatches):
    reduced = []
    for x in minibatches:
        u, s, vt = np.linalg.svd(x - x.mean(0), full_matrices=False)
        reduced.append(u[:, 1:] * s[1:] @ vt[1:])
    return reduced


def deconfounded(x, y, pixels):
    """One regression over the U-centred entries of all minibatches."""
    k0, k, l = (  # noqa: E741
        np.concatenate([twins.u_centred(twins.centred(z) @ twins.centred(z).T).ravel() for z in f])
        for f in (pixels, x, y)
    )
    a, b = (z - (z @ k0) / (k0 @ k0) * k0 for z in (k, l))
    return a @ b / np.sqrt((a @ a) * (b @ b))


def test_a_layer_with_itself_is_one_and_pairs_are_symmetric(table):
    same = table[(slugs(table, "a") == slugs(table, "b")) & (table["layer_a"] == table["layer_b"])]
    assert_rounded(same["value"], 1, **STORED)
    own = table[(slugs(table, "a") == "vit/f100/s0") & (slugs(table, "b") == "vit/f100/s0")]
    for _, rows in own.groupby("index"):
        square = rows.pivot(index="layer_a", columns="layer_b", values="value").to_numpy()
        assert_rounded(square, square.T, terms=max(SIZES) ** 2)
        assert square[0, 1] < 0.999


def test_shuffled_images_share_nothing(table):
    means = table.groupby("index")["shuffled"].mean()
    for index in twins.UNBIASED:
        assert abs(means[index]) < np.sqrt(2 / len(SIZES)) / 31, "the spread of a single pair"
    assert means["procrustes"] > 0.3
    # Five of six minibatches have 10 of 30 others as neighbours, the last 5 of 16.
    chance = (5 * 10 / 30 + 5 / 16) / 6
    error = np.sqrt(chance * (1 - chance) / (10 * sum(SIZES)))  # of a single pair's draws
    assert abs(means["neighbours"] - chance) < 3 * error


def test_a_layer_of_the_pixels_has_nothing_left_once_they_are_regressed_out(tmp_path):
    random = random_minibatches(9, [31] * 3, [5, 13])
    paths = [tmp_path / "net.safetensors", tmp_path / "pixels.safetensors"]
    write_gram(paths[0], random, ("vit", "f100", "s0"))
    write_gram(paths[1], [[3 * m[1]] for m in random], ("pixels", "f000", "s0"))
    found = run_main(paths, tmp_path, ["vit/f100/s0"]).set_index("index")["value"]
    assert np.isnan(found["deconfounded"]) and found["linear"] == rounded(1, terms=31 * 31)


def test_constant_layers_have_no_similarity_and_spoil_no_other(tmp_path):
    random = random_minibatches(10, [31] * 3, [5, 13, 7, 11])
    for minibatch in random:
        minibatch[1][:] = 2.0
    paths = [tmp_path / "net.safetensors", tmp_path / "pixels.safetensors"]
    write_gram(paths[0], random, ("vit", "f100", "s0"))
    write_gram(paths[1], [[m[0]] for m in random], ("pixels", "f000", "s0"))
    found = run_main(paths, tmp_path, ["vit/f100/s0"])
    touched = (found["layer_a"] == 1) | (found["layer_b"] == 1)
    assert found.loc[touched, ["value", "shuffled"]].isna().all(axis=None)
    assert found.loc[~touched, ["value", "shuffled"]].notna().all(axis=None)


def test_without_full_and_untrained_networks_the_table_is_empty(paths, tmp_path):
    found = run_main([paths[1], paths[-1]], tmp_path, [SLUGS[1]])
    assert found.empty and tuple(found.columns) == required("similarity_indices.parquet")


def test_two_runs_are_the_same_bytes_and_the_seed_shuffles(paths, table, tmp_path):
    run_main(paths, tmp_path)
    first = (tmp_path / "similarity_indices.parquet").read_bytes()
    run_main(paths, tmp_path)
    assert (tmp_path / "similarity_indices.parquet").read_bytes() == first
    other = run_main(paths, tmp_path, seed=1)
    assert other["value"].equals(table["value"])
    assert not other["shuffled"].equals(table["shuffled"])


def test_pixels_of_other_images_are_refused(paths, data, tmp_path):
    wrong = tmp_path / "pixels.safetensors"
    write_gram(wrong, data["pixels/f000/s0"], ("pixels", "f000", "s0"), reference="other")
    with pytest.raises(ResultError, match="different reference images"):
        run_main([*paths[:-1], wrong], tmp_path)
    assert GramDump(paths[-1]).network.slug == PIXELS


# -- replicates -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def replicated(paths, tmp_path_factory):
    """The table and its replicates, and the same of dumps without their last minibatch."""
    folder = tmp_path_factory.mktemp("replicates")
    shorter = []
    for path in paths:
        whole = GramDump(path)
        shorter.append(folder / path.name)
        meta = {**whole.meta, "batch_sizes": whole.batch_sizes[:-1]}
        last = f"{len(SIZES) - 1:03d}"
        reader = TensorReader(path)
        kept = {n: np.array(reader[n]) for n in reader.names() if not n.endswith(last)}
        write_tensors(shorter[-1], kept, meta)
    found = []
    for which, name in ((paths, "all"), (shorter, "fewer")):
        table = run_main(which, folder / name)
        found.append((table, TensorReader(folder / name / "index_replicates.safetensors")))
    return found


def of_pair(table, index, a, b):
    own = table[(slugs(table, "a") == a) & (slugs(table, "b") == b) & (table["index"] == index)]
    value = own["value"].to_numpy()
    floor = own["shuffled"].to_numpy() if index in measure.BIASED else 0
    return ((value - floor) / (1 - floor)).reshape(2, 2)


PAIR = ("vit/f100/s0", "resnet/f100/s0")
RESTS_ON = dict.fromkeys(("linear", "deconfounded", "without_top", "rbf", "neighbours"), len(SIZES))
RESTS_ON |= {"procrustes": measure.PROCRUSTES_MINIBATCHES}


@pytest.mark.parametrize("index", RESTS_ON)
def test_replicates_are_of_all_images_and_without_each_group(replicated, index):
    (table, reader), (without_last, shorter) = replicated
    found = np.array(reader["|".join((index, *PAIR))])
    assert found.shape == (1 + RESTS_ON[index], 2, 2)
    assert found[0] == rounded(of_pair(table, index, *PAIR), **STORED)
    assert (found[1:] != found[0]).any(axis=(1, 2)).all()
    if index != "procrustes":  # which rests on the first minibatches alone
        assert found[-1] == rounded(of_pair(without_last, index, *PAIR), **STORED)
    assert np.array(shorter["|".join((index, *PAIR))])[0] == rounded(
        of_pair(without_last, index, *PAIR), **STORED
    )


def test_replicates_are_of_pairs_whose_blocks_are_compared_each_with_each(replicated):
    (table, reader), _ = replicated
    pairs = {tuple(name.split("|")[1:]) for name in reader.names()}
    sizes = table[table["index"] == "linear"].groupby([slugs(table, "a"), slugs(table, "b")]).size()
    assert pairs == {pair for pair, cells in sizes.items() if cells == 4}
