import math

import numpy as np
import pytest

from sightlines.core.errors import ResultError
from sightlines.core.files import write_tensors
from sightlines.dumps.localisation_reading import LocalisationDump
from sightlines.measures import localisation
from sightlines.results.tables import required
from sightlines.stats import localisation_scores as scores
from tests.measures.running import run_measure
from tests.reference.cka_song import cka_song, hsic_song
from tests.rounding import assert_rounded, rounded

GRID = (3, 4)
TOKENS = 12
SIZES = [13, 13, 13, 13, 13, 13, 13, 13, 6]


# Sums over pairs of images, of every minibatch; all similarities are 1 at most.
SUMS = {"terms": len(SIZES) * max(SIZES) ** 2, "size": 1}


def rng(seed):
    return np.random.Generator(np.random.Philox(seed))


def features(seed, sizes=SIZES, width=5):
    """Minibatches [n, tokens, width] of independent numbers."""
    return [rng([seed, b]).standard_normal((n, TOKENS, width)) for b, n in enumerate(sizes)]


def weighted(x, y):
    x, y = x - x.mean(0), y - y.mean(0)
    return len(x) * (len(x) - 3) * hsic_song(x @ x.T, y @ y.T)


def write_dump(path, layers, patches, network=("vit", "f100", "s0"), cls=None, grid=GRID):
    """A dump of layers, each a list over minibatches of [n, tokens, width], in loops."""
    names = [f"block{i:02d}.out" for i in range(len(layers))]
    rows = [
        {"index": 3 * i, "name": name, "kind": "residual", "block": i, "depth": i / 7}
        | {"positions": list(grid)}
        for i, name in enumerate(names)
    ]
    meta = {"network": list(network), "reference_sha256": "r", "grid": list(grid)}
    meta |= {"batch_sizes": [len(x) for x in patches], "layers": rows}
    meta["prefix_tokens"] = 0 if cls is None else 1
    tensors = {}
    for b, pixels in enumerate(patches):
        cells = range(pixels.shape[1])
        own = [[weighted(x[b][:, t], x[b][:, t]) for t in cells] for x in layers]
        cross = [
            [[weighted(x[b][:, t], pixels[:, u]) for u in cells] for t in cells] for x in layers
        ]
        both = [[weighted(pixels[:, t], pixels[:, u]) for u in cells] for t in cells]
        tensors |= {f"cross.{b:03d}": cross, f"own_tokens.{b:03d}": own, f"patches.{b:03d}": both}
        if cls is not None:
            tensors[f"cross_cls.{b:03d}"] = [
                [weighted(x[b], pixels[:, u]) for u in cells] for x in cls
            ]
            tensors[f"own_cls.{b:03d}"] = [weighted(x[b], x[b]) for x in cls]
    write_tensors(path, {name: np.array(values) for name, values in tensors.items()}, meta)
    return LocalisationDump(path)


def run_main(tmp_path, paths, networks):
    return run_measure("localisation", {"localisation": paths}, tmp_path, networks)


def chosen(table, score="cka", where="interior", left_out=-1):
    rows = table[(table["score"] == score) & (table["where"] == where)]
    return rows[rows["left_out"] == left_out].reset_index(drop=True)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Two layers: tokens that mix their patch, their neighbours and noise; class tokens."""
    folder = tmp_path_factory.mktemp("mixed")
    patches = features(1)
    for x in patches:
        x += 0.5 * rng(99).standard_normal((1, 1, 5)) * x.mean(1, keepdims=True) * 6
    noise = features(2)
    layers = [
        [
            0.5 * x + np.roll(x, 1, axis=1) * 0.3 + 0.4 * e
            for x, e in zip(patches, noise, strict=True)
        ],
        [x.mean(1, keepdims=True) + 0.3 * e for x, e in zip(patches, noise, strict=True)],
    ]
    cls = [[x[:, :, :2].mean(1) for x in layer] for layer in layers]
    dump = write_dump(folder / "d", layers, patches, cls=cls)
    return dump, layers, patches, cls


def test_maps_agree_with_the_twin_also_with_a_ragged_last_minibatch(mixed):
    dump, layers, patches, cls = mixed
    table = localisation.map_table(dump, localisation.add_minibatches(dump))
    assert len(table) == 2 * (TOKENS + 1) * TOKENS
    for row in table.iloc[::11].itertuples():
        layer = int(row.name[5:7])
        pixels = [x[:, row.patch] for x in patches]
        if row.token < 0:
            assert row.cka == rounded(cka_song(cls[layer], pixels), **SUMS)
            assert math.isnan(row.baseline)
            continue
        token = [x[:, row.token] for x in layers[layer]]
        assert row.cka == rounded(cka_song(token, pixels), **SUMS)
        own = [x[:, row.token] for x in patches]
        assert row.baseline == rounded(cka_song(own, pixels), **SUMS)


def test_scores_agree_with_their_definitions_in_loops(mixed, tmp_path):
    dump, layers, patches, _ = mixed
    tables = run_main(tmp_path, [dump.path], ["vit/f100/s0"])
    inside = [5, 6]
    for layer, x in enumerate(layers):
        m = np.array(
            [
                [cka_song([y[:, t] for y in x], [y[:, u] for y in patches]) for u in range(TOKENS)]
                for t in range(TOKENS)
            ]
        )
        z = [(m[t, t] - m[t].mean()) / m[t].std() for t in range(TOKENS)]
        # Scores and correlations divide what similarities round by the spread of a map.
        divided = SUMS | {"size": 1 / m.std(axis=1).min()}
        rank = [1 + sum(m[t, u] > m[t, t] for u in range(TOKENS)) for t in range(TOKENS)]
        tokens = tables["localisation_tokens"].query(f"layer == {3 * layer}")
        assert_rounded(tokens["z"], z, **divided)
        assert tokens["rank"].tolist() == rank and set(tokens["patches"]) == {TOKENS}
        assert tokens.loc[tokens["is_interior"], "token"].tolist() == inside
        for where, chosen_tokens in (("interior", inside), ("all", list(range(TOKENS)))):
            row = chosen(tables["localisation"], where=where).iloc[layer]
            assert row["z"] == rounded(np.mean([z[t] for t in chosen_tokens]), **divided)
            others = [np.delete(m[t], t) for t in chosen_tokens]
            ahead = np.mean(
                [m[t, t] - o.mean() for t, o in zip(chosen_tokens, others, strict=True)]
            )
            spread = np.sqrt(np.mean([o.var(ddof=1) for o in others]))
            # The spread is smaller without the own patch, and rounds as what is above it.
            effect = rounded(ahead / spread, **divided | {"size": 2 / spread**2})
            assert row["effect"] == effect
            share = np.mean([rank[t] == 1 for t in chosen_tokens])
            assert row["rank_1_share"] == rounded(share, terms=TOKENS, size=1)
            r = [
                np.corrcoef(m[a], m[b])[0, 1]
                for a in chosen_tokens
                for b in chosen_tokens
                if a != b
            ]
            assert row["token_correlation"] == rounded(np.mean(r), **divided)
            corners = [0, 3, 8, 11]
            others = [[u for u in range(TOKENS) if u not in inside and u != t] for t in corners]
            border = np.mean([m[t, o].mean() for t, o in zip(corners, others, strict=True)])
            assert row["border_cka"] == rounded(border, **SUMS)
            assert row["interior_cka"] == rounded(m[np.ix_(corners, inside)].mean(), **SUMS)


def test_margins_say_by_how_much_the_own_patch_is_first(mixed, tmp_path):
    dump, layers, patches, _ = mixed
    table = run_main(tmp_path, [dump.path], ["vit/f100/s0"])["localisation_margins"]
    for left_out in (-1, 3):
        kept = [b for b in range(len(SIZES)) if b != left_out]
        own = table[(table["score"] == "cka") & (table["left_out"] == left_out)]
        assert own["token"].tolist() == [5, 6]
        for token, margin in zip(own["token"], own["margin"], strict=True):
            x = [layers[-1][b][:, token] for b in kept]
            row = [cka_song(x, [patches[b][:, u] for b in kept]) for u in range(TOKENS)]
            assert margin == rounded(row.pop(token) - max(row), **SUMS)
    assert set(table["score"]) == {"cka", "less_baseline", "deconfounded"}
    maps = np.random.default_rng(0).random((20, 9, 9)).round(1)
    maps[0, 0, 0] = maps[1, 2, 3] = np.nan
    found, rank = scores.margins(maps), scores.ranks(maps)
    assert ((found >= 0) == (rank == 1)).all()
    assert (np.isnan(found) == np.isnan(rank)).all()


def test_rows_of_the_jackknife_leave_out_one_minibatch_after_another(mixed):
    dump, layers, patches, _ = mixed
    sums = localisation.add_minibatches(dump)
    table = localisation.score_table(dump, sums)
    assert sorted(set(table["left_out"])) == list(range(-1, len(SIZES)))
    for left_out in (0, 4, 8):
        kept = [b for b in range(len(SIZES)) if b != left_out]
        token = [layers[0][b][:, 5] for b in kept]
        expected = cka_song(token, [patches[b][:, 7] for b in kept])
        assert localisation.cka_maps(sums, left_out + 1)[0, 5, 7] == rounded(expected, **SUMS)
    z = chosen(table, left_out=3)["z"]
    maps = localisation.cka_maps(sums, 4)
    assert_rounded(z, scores.z_scores(maps)[:, [5, 6]].mean(1), terms=2)


def test_independent_patches_seen_by_their_own_token_are_the_identity(tmp_path):
    patches = features(3, [90] * 3)
    dump = write_dump(tmp_path / "d", [patches], patches)
    sums = localisation.add_minibatches(dump)
    maps = localisation.cka_maps(sums)
    own = {"terms": 3 * 90**2, "size": 1}
    assert_rounded(maps[0], localisation.baseline(sums), **own)
    # Over 3 · 90²/2 pairs of images a correlation of independent patches spreads by so much:
    spread = math.sqrt(2 / 3) / 90
    assert np.abs(maps[0] - np.eye(TOKENS)).max() < 6 * spread
    row = chosen(localisation.score_table(dump, sums)).iloc[0]
    assert abs(row["z"] - math.sqrt(TOKENS - 1)) < TOKENS * spread
    assert row["effect"] > 0.8 / (2 * spread), "which z has no room to say"
    assert row["rank_1_share"] == 1
    assert abs(row["token_correlation"] + 1 / (TOKENS - 1)) < 2 * spread
    less = chosen(localisation.score_table(dump, sums), "less_baseline").iloc[0]
    assert less["border_cka"] == rounded(0, **own)


def test_scores_do_not_change_when_features_are_turned_scaled_and_moved(mixed, tmp_path):
    dump, layers, patches, _ = mixed
    turn, _ = np.linalg.qr(rng(4).standard_normal((5, 5)))
    turned = [[7 * x @ turn + 3 for x in layer] for layer in layers]
    other = write_dump(tmp_path / "d", turned, patches)
    a, b = (localisation.score_table(d, localisation.add_minibatches(d)) for d in (dump, other))
    numbers = ["z", "effect", "rank_1_share", "token_correlation", "border_cka", "interior_cka"]
    maps = localisation.cka_maps(localisation.add_minibatches(dump))
    size = 1 / maps.std(axis=2).min()  # scores divide by the spread of a map
    for number in numbers:
        assert_rounded(a[number], b[number], number, **SUMS | {"size": size})


def test_tokens_that_know_nothing_of_the_image_have_no_place(tmp_path):
    dump = write_dump(tmp_path / "d", [features(5), features(6)], features(7))
    table = localisation.score_table(dump, localisation.add_minibatches(dump))
    for score in ("cka", "deconfounded"):
        rows = chosen(table, score, "all")
        assert rows["z"].abs().max() < 0.8 and rows["rank_1_share"].max() < 0.4


def test_tokens_that_all_say_the_same_have_maps_that_correlate(tmp_path):
    patches = features(8)
    same = [np.repeat(x[:, 5:6], TOKENS, axis=1) for x in patches]
    dump = write_dump(tmp_path / "d", [same], patches)
    table = localisation.score_table(dump, localisation.add_minibatches(dump))
    assert chosen(table).iloc[0]["token_correlation"] == rounded(1, terms=TOKENS)
    assert chosen(table, where="all").iloc[0]["rank_1_share"] < 0.4


def test_deconfounded_regresses_the_whole_image_out_of_every_gram(mixed):
    dump, layers, patches, _ = mixed
    sums = localisation.add_minibatches(dump)
    found = dict(localisation.scored_maps(sums, 0))["deconfounded"]

    def vectors(minibatches):
        """U-centred Grams of all minibatches, one after the other, by the textbook."""
        parts = []
        for x in minibatches:
            x = (x - x.mean(0)).reshape(len(x), -1)
            n, k = len(x), x @ x.T
            np.fill_diagonal(k, 0)
            rows, total = k.sum(1), k.sum()
            k = k - rows[:, None] / (n - 2) - rows / (n - 2) + total / ((n - 1) * (n - 2))
            np.fill_diagonal(k, 0)
            parts.append(k.ravel())
        return np.concatenate(parts)

    image = vectors(patches)

    def residual(vector):
        return vector - image * (vector @ image) / (image @ image)

    for token, patch in ((0, 0), (5, 6), (7, 7)):
        a = residual(vectors([x[:, token] for x in layers[0]]))
        b = residual(vectors([x[:, patch] for x in patches]))
        expected = a @ b / math.sqrt((a @ a) * (b @ b))
        assert found[0, token, patch] == rounded(expected, **SUMS)


def test_a_patch_that_does_not_vary_is_left_out(tmp_path):
    patches = features(9)
    for x in patches:
        x[:, 4] = 0
    dump = write_dump(tmp_path / "d", [features(10), patches], patches)
    tables = run_main(tmp_path, [dump.path], ["vit/f100/s0"])
    tokens = tables["localisation_tokens"]
    undefined = tokens[tokens["z"].isna()]
    assert undefined["token"].tolist() == [4, 4] and undefined["rank"].isna().all()
    table = chosen(tables["localisation"], where="all")
    assert table.notna().all(axis=None)
    maps = tables["localisation_maps"]
    assert maps.loc[maps["patch"] == 4, "cka"].isna().all()
    assert maps.loc[(maps["patch"] != 4) & (maps["token"] != 4), "cka"].notna().all()


@pytest.mark.parametrize("grid", [(1, 1), (1, 2), (2, 2), (3, 3)])
def test_small_grids_have_scores_or_none(tmp_path, grid):
    cells = grid[0] * grid[1]
    patches = [x[:, :cells] for x in features(11)]
    dump = write_dump(tmp_path / "d", [patches], patches, grid=grid)
    row = chosen(localisation.score_table(dump, localisation.add_minibatches(dump))).iloc[0]
    assert math.isnan(row["z"]) == (cells == 1)
    assert row["rank_1_share"] == 1
    assert math.isnan(row["interior_cka"]) == (grid != (3, 3))


def rows(sides, norm):
    found = [{"kind": "residual", "positions": [side, side]} for side in sides]
    return found + [{"kind": "norm", "positions": [sides[-1]] * 2}] * norm


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (rows([8] * 6, 1), [4, 5, 6]),
        (rows([8], 1), [0, 1]),
        (rows([8, 8], 0), [0, 1]),
        (rows([32, 32, 16, 16, 8, 8], 0), [3, 4, 5]),
        (rows([56] * 3 + [28] * 4 + [14] * 6 + [7] * 3, 0), [8, 13, 15]),
        (rows([16, 8], 0), [1]),
    ],
)
def test_drawn_layers(layers, expected):
    assert localisation.drawn_layers(layers) == expected


def test_tables_have_their_columns_and_two_runs_are_the_same_bytes(mixed, tmp_path, caplog):
    dump = mixed[0]
    tables = run_main(tmp_path, [dump.path], ["vit/f100/s0"])
    first = [(tmp_path / name).read_bytes() for name in localisation.TABLES]
    run_main(tmp_path, [dump.path], ["vit/f100/s0"])
    assert [(tmp_path / name).read_bytes() for name in localisation.TABLES] == first
    for name, table in tables.items():
        assert list(table.columns) == list(required(f"{name}.parquet"))
        assert set(table["model"]) == {"vit"}
    assert "minibatches" not in caplog.text


def test_few_minibatches_are_warned_about(tmp_path, caplog):
    patches = features(12, [5, 5])
    dump = write_dump(tmp_path / "d", [patches], patches)
    run_main(tmp_path, [dump.path], ["vit/f100/s0"])
    assert "only 2 minibatches" in caplog.text


def test_no_networks_make_empty_tables_and_wrong_ones_are_refused(mixed, tmp_path):
    tables = run_main(tmp_path, [], [])
    assert all(table.empty for table in tables.values())
    with pytest.raises(ResultError, match="expected dumps of resnet/f100/s0"):
        run_main(tmp_path, [mixed[0].path], ["resnet/f100/s0"])
