import numpy as np
import pytest

from sightlines.core.errors import ResultError
from sightlines.core.files import read_table, write_tensors
from sightlines.dumps.reading import GramDump
from sightlines.measures import diagnostics
from sightlines.results.tables import required
from sightlines.run import measure
from tests.measures.making_dumps import layer_rows, pack_features, write_gram
from tests.measures.running import measure_job
from tests.reference.cka_song import hsic_song
from tests.rounding import rounded

SIZES = [23, 23, 11]
STORED = {"terms": 23, "dtype": np.float32}
"""Sums over the images of a row of Grams stored in float32."""


def features(seed, n, p):
    return np.random.Generator(np.random.Philox(seed)).standard_normal((n, p))


def gram_of(x):
    x = x - x.mean(0)
    return x @ x.T


def write(path, minibatches, network=("vit", "f100", "s0")):
    """A dump with the sizes of activations, as the recorder makes it."""
    tensors = {}
    for index, layers in enumerate(minibatches):
        tensors[f"gram.{index:03d}"] = np.stack([pack_features(x) for x in layers])
        largest = [np.abs(x).max() for x in layers]
        median = [np.median(np.abs(x[x != 0])) if x.any() else 0 for x in layers]
        tensors[f"largest.{index:03d}"] = np.array(largest, np.float32)
        tensors[f"median.{index:03d}"] = np.array(median, np.float32)
    meta = {
        "network": list(network),
        "layers": layer_rows(len(minibatches[0])),
        "batch_sizes": [len(layers[0]) for layers in minibatches],
        "reference_sha256": "r",
    }
    write_tensors(path, tensors, meta)
    return path


def diagnose(tmp_path, minibatches):
    return diagnostics.diagnose(GramDump(write(tmp_path / "d.safetensors", minibatches)))


@pytest.fixture
def minibatches():
    return [[features(10 * b, n, 5), features(10 * b + 1, n, 40)] for b, n in enumerate(SIZES)]


def test_every_number_agrees_with_its_definition_on_features(tmp_path, minibatches):
    table = diagnose(tmp_path, minibatches)
    for layer in range(2):
        shares, dimensions, rows = [], [], []
        for x in (m[layer] for m in minibatches):
            variances = np.linalg.svd(x - x.mean(0), compute_uv=False) ** 2
            shares.append(variances[0] / variances.sum())
            dimensions.append(variances.sum() ** 2 / (variances**2).sum())
            rows += u_centred_rows(gram_of(x))
        found = table.iloc[layer]
        assert found.top_share == rounded(np.mean(shares), **STORED)
        assert found.effective_dimensions == rounded(np.mean(dimensions), **STORED)
        assert found.influence == rounded(len(rows) * max(rows) / sum(rows), **STORED)
        assert found.influential_image == np.argmax(rows)
        sizes = [np.abs(m[layer]) for m in minibatches]
        expected = max(s.max() for s in sizes) / np.mean([np.median(s) for s in sizes])
        assert found.largest_over_median == rounded(expected, terms=1, dtype=np.float32)


def u_centred_rows(gram):
    """Squared row norms of the U-centred Gram, entry by entry."""
    n = len(gram)
    off = gram - np.diag(np.diag(gram))
    rows = []
    for i in range(n):
        entries = [
            off[i, j] - (off[i].sum() + off[j].sum()) / (n - 2) + off.sum() / ((n - 1) * (n - 2))
            for j in range(n)
            if j != i
        ]
        rows.append(float(np.square(entries).sum()))
    return rows


def test_row_norms_tell_what_self_hsic_is_without_each_image():
    n = 17
    gram = gram_of(features(3, n, 6))
    rows = diagnostics.row_norms(gram[None])[0]
    assert rows.sum() == rounded(n * (n - 3) * hsic_song(gram, gram), terms=n * n)
    for image in range(n):
        kept = np.delete(np.delete(gram, image, 0), image, 1)
        expected = (n - 1) * (n - 4) * hsic_song(kept, kept)
        found = rows.sum() - 2 * rows[image] * (n - 2) / (n - 3)
        assert found == rounded(expected, terms=n * n, size=rows.sum())


def test_images_on_a_circle_count_alike(tmp_path):
    angles = 2 * np.pi * np.arange(23) / 23
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    (row,) = diagnose(tmp_path, [[circle], [circle]]).itertuples()
    assert row.influence == rounded(1, **STORED)
    assert row.top_share == rounded(0.5, **STORED)
    assert row.effective_dimensions == rounded(2, **STORED)


def test_two_images_far_from_all_others_hold_the_whole_similarity(tmp_path):
    """X is 1 for two images and 0 for all others; its U-centred Gram by hand."""
    n = 101
    x = np.zeros((n, 1))
    x[[40, 70]] = 1.0
    pair, one = (n - 3) / (n - 1), (n - 3) / ((n - 1) * (n - 2))
    rest = 2 / ((n - 1) * (n - 2))
    row = pair**2 + (n - 2) * one**2
    total = 2 * row + (n - 2) * (2 * one**2 + (n - 3) * rest**2)
    (found,) = diagnose(tmp_path, [[x]]).itertuples()
    assert found.influence == rounded(n * row / total, **STORED)
    assert 0.9 * n / 2 < found.influence <= n / 2
    assert found.influential_image in (40, 70)
    assert found.top_share == rounded(1, **STORED)
    assert found.effective_dimensions == rounded(1, **STORED)


def test_an_image_is_found_in_its_minibatch_and_outweighs_all(tmp_path, minibatches):
    minibatches[1][1][7] *= 6
    minibatches[1][1][9] = minibatches[1][1][7] + 0.1
    table = diagnose(tmp_path, minibatches)
    assert table["influential_image"][1] in (SIZES[0] + 7, SIZES[0] + 9)
    assert table["influence"][1] > 10 > table["influence"][0]


def test_rotation_scale_and_shift_matter_only_to_sizes_of_activations(tmp_path, minibatches):
    rotation = np.linalg.qr(features(5, 40, 40))[0]
    changed = [[x, 30 * (y @ rotation) + 2] for x, y in minibatches]
    before, after = (diagnose(tmp_path, m).iloc[1] for m in (minibatches, changed))
    for name in ("top_share", "effective_dimensions", "influence"):
        assert after[name] == rounded(before[name], **STORED)
    assert after.influential_image == before.influential_image


def test_a_dominant_direction_and_a_massive_activation_are_seen(tmp_path, minibatches):
    for layers in minibatches:
        layers[1][:, 3] *= 50
        layers[0][:, 2] = 1000.0
    table = diagnose(tmp_path, minibatches)
    assert table["top_share"][1] > 0.97 and table["effective_dimensions"][1] < 1.1
    assert table["largest_over_median"][0] > 500
    assert table["top_share"][0] < 0.6


def test_a_constant_layer_has_no_diagnostics(tmp_path, minibatches):
    for layers in minibatches:
        layers[0][:] = 0.0
    table = diagnose(tmp_path, minibatches)
    names = ["top_share", "effective_dimensions", "largest_over_median", "influence"]
    assert table.loc[0, names].isna().all() and table.loc[1, names].notna().all()
    assert table["influential_image"].tolist()[0] == diagnostics.NO_IMAGE


def test_the_table_has_every_layer_of_every_network(tmp_path, minibatches):
    slugs = ["vit/f100/s0", "resnet/f000/s1"]
    paths = [
        write(tmp_path / f"{i}.safetensors", minibatches, tuple(slug.split("/")))
        for i, slug in enumerate(slugs)
    ]
    job = measure_job("diagnostics", {"gram": paths}, tmp_path, slugs)
    measure.main(job)
    first = (tmp_path / "diagnostics.csv").read_bytes()
    measure.main(job)
    assert (tmp_path / "diagnostics.csv").read_bytes() == first
    table = read_table(tmp_path / "diagnostics.csv")
    assert tuple(table.columns) == required("diagnostics.csv")
    assert table["model"].tolist() == ["vit"] * 2 + ["resnet"] * 2
    assert table["name"].tolist() == [row["name"] for row in layer_rows(2)] * 2


def test_an_older_dump_without_sizes_is_named(tmp_path, minibatches):
    dump = write_gram(tmp_path / "old.safetensors", minibatches)
    with pytest.raises(ResultError, match=r"old\.safetensors: tensor largest\.000 .* Delete it"):
        diagnostics.diagnose(dump)
