"""Neighbours, embeddings, segmentation and pictures as tables, from dumps that are written here."""

import numpy as np
import pytest

from sightlines.core.files import write_tensors
from sightlines.measures import embeddings, knn, segmentation
from sightlines.results.tables import required
from sightlines.stats import half_samples
from tests.measures.running import run_measure
from tests.measures.test_probes import SIZES, labels_of, random_tokens, write_features
from tests.rounding import assert_rounded, rounded
from tests.stats.test_knn import predict

GRID, HEADS, BLOCKS, IMAGES = (3, 4), 2, 2, 90
PATCHES = GRID[0] * GRID[1]
SLUG = "vit/f100/s0"
CSV = 1e-8
"""Tables as text have nine digits."""


def random(seed, *shape):
    return np.random.Generator(np.random.Philox(seed)).random(shape)


# -- neighbours -------------------------------------------------------------------------------


def test_neighbours_by_depth_and_their_replicates(tmp_path):
    labels = labels_of()
    tokens = [random_tokens(labels, 1, seed) for seed in (2, 3)]
    path = write_features(tmp_path / "f.safetensors", labels, tokens)
    found = run_measure("knn", {"features": [path]}, tmp_path, [SLUG])
    table, again = found["knn"], found["knn_replicates"]
    assert list(table) == list(required("knn.parquet"))
    assert sorted(table["neighbours"].unique()) == [10, 20], "60 images are fewer than 100"
    train, test = labels[: SIZES[0]], labels[-SIZES[2] :]
    for layer, own in enumerate(tokens):
        for pool, features in (("cls", own[:, 0]), ("mean", own[:, 1:].mean(axis=1))):
            answers = predict(features[: SIZES[0]], train, features[-SIZES[2] :], 3, [10, 20])
            rows = table[(table["layer"] == layer) & (table["pool"] == pool)]
            assert rows["accuracy"].tolist() == [(a == test).mean() for a in answers]
            groups = knn.groups_of(SIZES[2], 0, "")
            own_rows = again[(again["layer"] == layer) & (again["pool"] == pool)]
            values = own_rows.set_index("left_out")["accuracy"]
            right = answers[1] == test
            assert values[-1] == rounded(right.mean(), terms=SIZES[2])
            for group in range(20):
                assert values[group] == rounded(right[groups != group].mean(), terms=SIZES[2])


def test_neighbours_among_halves_of_the_images_are_those_of_the_last_layer(tmp_path):
    labels = labels_of()
    tokens = [random_tokens(labels, 1, seed) for seed in (2, 3)]
    path = write_features(tmp_path / "f.safetensors", labels, tokens)
    table = run_measure("knn", {"features": [path]}, tmp_path, [SLUG])["knn_halves"]
    assert list(table) == list(required("knn_halves.parquet"))
    assert set(table["layer"]) == {1} and set(table["pool"]) == {"cls", "mean"}
    train, test = labels[: SIZES[0]], labels[-SIZES[2] :]
    groups = knn.halves_of(train, 0, "")
    assert len(table) == 2 * len(half_samples.HALVES)
    for row in table.itertuples():
        features = tokens[1][:, 0] if row.pool == "cls" else tokens[1][:, 1:].mean(axis=1)
        own = half_samples.HALVES[2 * row.pair + row.half][groups]
        known = features[: SIZES[0]][own], train[own]
        (answers,) = predict(*known, features[-SIZES[2] :], 3, [20])
        assert row.accuracy == (answers == test).mean()


def test_with_few_images_all_of_them_are_neighbours(tmp_path):
    labels = labels_of((9, 6, 12))
    tokens = [random_tokens(labels, 0)]
    path = write_features(tmp_path / "f", labels, tokens, prefix=0, sizes=(9, 6, 12))
    table = run_measure("knn", {"features": [path]}, tmp_path, [SLUG])["knn"]
    assert table[["pool", "neighbours"]].values.tolist() == [["mean", 9]]


# -- embeddings -------------------------------------------------------------------------------


def write_weights(path, **tensors):
    meta = {"network": SLUG.split("/"), "reference_sha256": "r", "batch_sizes": [1]}
    write_tensors(path, tensors, meta | {"grid": list(GRID), "std": [0.5, 0.25, 0.2]})
    return path


def test_embeddings_and_filters(tmp_path):
    positions = random(1, PATCHES, 5).astype(np.float32)
    filters = random(2, 7, 3, 4, 4).astype(np.float32)
    path = write_weights(tmp_path / "w", positions=positions, filters=filters)
    found = run_measure("embeddings", {"weights": [path]}, tmp_path, [SLUG])
    row = found["embedding_statistics"].iloc[0]
    similarity = embeddings.cosines(positions.astype(float))
    places = embeddings.pairs_of(GRID)
    told = embeddings.encodes_distance(similarity, places)
    assert row["distance_correlation"] == pytest.approx(told, rel=CSV)
    assert 0 < row["random_correlation_sd"] < 0.5 and 0 < row["random_excess_sd"] < 0.5
    own = embeddings.analyse_filters(filters / np.array([0.5, 0.25, 0.2])[:, None, None])
    assert row["filter_frequency"] == pytest.approx(own.frequency, rel=CSV)
    shown = found["position_similarity"]
    assert len(shown) == PATCHES**2
    one = shown.query("row == 2 and column == 1 and other_row == 0 and other_column == 3")
    assert one["cosine"].item() == rounded(similarity[9, 3], terms=8, dtype=np.float32)
    component = found["embedding_filters"].query("component == 2 and row == 1 and column == 3")
    values = component[["red", "green", "blue"]].to_numpy()[0]
    assert_rounded(values, own.components[2, :, 1, 3], terms=60, size=1, dtype=np.float32)


def test_a_network_without_learned_positions_has_filters_alone(tmp_path):
    path = write_weights(tmp_path / "w", filters=random(2, 7, 3, 4, 4).astype(np.float32))
    found = run_measure("embeddings", {"weights": [path]}, tmp_path, [SLUG])
    row = found["embedding_statistics"].iloc[0]
    assert np.isnan(row["distance_correlation"]) and row["filter_frequency"] > 0
    assert found["position_similarity"].empty


def test_of_a_large_grid_some_patches_are_shown():
    table = embeddings.similarity_table(np.eye(600), (20, 30))
    assert table["row"].nunique() == table["column"].nunique() == 8
    assert len(table) == 64 * 600 and {0, 19} <= {*table["row"]} and 29 in {*table["column"]}
    alike = table[table["cosine"] == 1]
    assert (alike["row"] == alike["other_row"]).all() and len(alike) == 64


# -- segmentation -----------------------------------------------------------------------------


def write_maps(path, attention, objects, of, valid=None, **more):
    """A dump of maps; images in two minibatches."""
    sizes = [IMAGES - 30, 30]
    rolled = more.get("rollout", random(7, IMAGES, BLOCKS, PATCHES))
    whole = {"attention": attention, "rollout": rolled, "weighted": rolled[:, ::-1]}
    whole |= {"own": np.full((IMAGES, BLOCKS), 0.4)}
    whole |= {"brightness": more.get("brightness", random(8, IMAGES, PATCHES))}
    tensors, begin = {}, 0
    for index, size in enumerate(sizes):
        for name, values in whole.items():
            tensors[f"{name}.{index:03d}"] = values[begin : begin + size].astype(np.float32)
        begin += size
    valid = np.full((IMAGES, PATCHES), 16) if valid is None else valid
    tensors |= {"objects": objects.astype(np.int32), "valid": valid.astype(np.int32)}
    tensors |= {"mask_image": of.astype(np.int64), "pictures": np.zeros((2, 6, 6, 3), np.uint8)}
    meta = {"network": SLUG.split("/"), "reference_sha256": "r", "batch_sizes": sizes}
    meta |= {"kept": sizes, "grid": list(GRID), "blocks": BLOCKS, "heads": HEADS}
    meta |= {"prefix_tokens": 1, "has_class_token": True, "has_masks": True, "is_weighted": True}
    write_tensors(path, tensors, meta | {"pictures": 2, "picture_px": 6})
    return path


def scenes(seed=1):
    """Objects of every image but the third; the second image has two."""
    of = np.array([i for i in range(IMAGES) if i != 2] + [1])
    objects = np.floor(17 * random(seed, len(of), PATCHES)) * (
        random(seed + 1, len(of), PATCHES) < 0.4
    )
    objects[:, 0] = np.maximum(objects[:, 0], 1)
    return objects, of


def slow_jaccard(shares, objects, mass):
    """One map and one mask: patches from the weakest on are left out while they hold too little."""
    kept, below = set(), 0.0
    for patch in np.argsort(shares):
        below += shares[patch]
        kept |= {int(patch)} if below > 1 - mass else set()
    both = sum(objects[p] for p in kept)
    return both / (16 * len(kept) + objects.sum() - both)


def test_overlaps_of_heads_and_priors(tmp_path):
    attention = random(3, IMAGES, BLOCKS, HEADS, PATCHES)
    objects, of = scenes()
    path = write_maps(tmp_path / "a", attention, objects, of)
    found = run_measure("segmentation", {"cls_attention": [path]}, tmp_path, [SLUG])
    attention = attention.astype(np.float32).astype(float)
    shares = attention / attention.sum(axis=-1, keepdims=True)
    images = [i for i in range(IMAGES) if i != 2]

    def overlap(maps, mass):
        """Of each image with an object, the mean over its masks [images, maps]."""
        return np.array(
            [
                [
                    np.mean([slow_jaccard(m, objects[k], mass) for k in np.flatnonzero(of == i)])
                    for m in maps[i]
                ]
                for i in images
            ]
        )

    heads = found["segmentation"]
    for block in range(BLOCKS):
        own = heads[(heads["block"] == block) & (heads["mass"] == 0.9)]
        expected = overlap(shares[:, block], 0.9).mean(axis=0)
        assert_rounded(own["jaccard"].to_numpy(), expected, terms=IMAGES)
        assert (own["images"] == IMAGES - 1).all()
    table = found["segmentation_replicates"]
    scored = np.array(images) % 2 == 1

    def value(method, mass=0.6):
        rows = table[(table["method"] == method) & (table["mass"] == mass)]
        return rows.set_index("left_out")["jaccard"]

    last = overlap(shares[:, -1], 0.6)
    chosen = last[~scored].mean(axis=0).argmax()
    assert value("fixed")[-1] == rounded(last[scored, chosen].mean(), terms=IMAGES)
    whole = overlap(np.full((IMAGES, 1, PATCHES), 1 / PATCHES), 1.0)[scored].mean()
    assert value("whole")[-1] == rounded(whole, terms=IMAGES)
    best = np.array(
        [
            np.mean(
                [
                    max(slow_jaccard(m, objects[k], 0.6) for m in shares[i, -1])
                    for k in np.flatnonzero(of == i)
                ]
            )
            for i in images
        ]
    )[scored]
    assert value("oracle")[-1] == rounded(best.mean(), terms=IMAGES)
    groups = np.arange(scored.sum()) % segmentation.GROUPS
    for group in range(segmentation.GROUPS):
        expected = best[groups != group].mean()
        assert value("oracle")[group] == rounded(expected, terms=IMAGES)
    assert (value("ceiling") >= value("oracle")).all()
    assert value("random_oracle")[-1] > value("random_fixed")[-1]


def test_a_head_that_is_the_object_is_chosen_and_reaches_the_ceiling(tmp_path):
    objects = np.zeros((IMAGES, PATCHES))
    places = np.random.Generator(np.random.Philox(5)).integers(0, PATCHES, IMAGES)
    objects[np.arange(IMAGES), places] = 16
    attention = random(3, IMAGES, BLOCKS, HEADS, PATCHES)
    attention[:, -1, 1] = 1e-6 + objects
    rolled = np.repeat(1e-6 + objects[:, None], BLOCKS, axis=1)
    path = write_maps(tmp_path / "a", attention, objects, np.arange(IMAGES), rollout=rolled)
    found = run_measure("segmentation", {"cls_attention": [path]}, tmp_path, [SLUG])
    table = found["segmentation_replicates"].query("mass == 0.6 and left_out == -1")
    own = table.set_index("method")
    assert own["jaccard"]["fixed"] == own["jaccard"]["ceiling"] == 1
    assert own["head"]["fixed"] == 1
    areas = found["object_auc"].query("left_out == -1").set_index(["map", "block"])["auc"]
    assert areas["rollout", 1] == 1 and areas["weighted", 0] == 1
    assert 0.3 < areas["brightness", -1] < 0.7


def test_pictures_and_the_tokens_own_share(tmp_path):
    objects, of = scenes()
    attention = random(3, IMAGES, BLOCKS, HEADS, PATCHES)
    path = write_maps(tmp_path / "a", attention, objects, of)
    found = run_measure("attention_pictures", {"cls_attention": [path]}, tmp_path, [SLUG])
    maps = found["attention_pictures"]
    assert {*maps["map"]} == {"head 0", "head 1", "attention", "rollout", "weighted", "object"}
    own = maps.query("image == 1 and map == 'head 1'").sort_values(["row", "column"])["share"]
    last = attention.astype(np.float32)[1, -1, 1]
    assert_rounded(own.to_numpy(), last / last.sum(), terms=PATCHES, dtype=np.float32)
    seen = maps.query("image == 1 and map == 'object'").sort_values(["row", "column"])["share"]
    assert_rounded(seen.to_numpy(), objects[of == 1].sum(axis=0) / 16, terms=1, dtype=np.float32)
    rows = found["rollout_own"]
    assert rows["uniform"].to_numpy() == pytest.approx([0.5 + 0.5 / 13, 0.25 + 0.75 / 13], rel=CSV)
    assert rows["own"].to_numpy() == pytest.approx(0.4, rel=1e-6)
