import numpy as np
import pytest

from sightlines.core.errors import ResultError
from sightlines.core.files import write_tensors
from sightlines.dumps.receptive_field_reading import ReceptiveFieldDump
from sightlines.measures import receptive_fields
from sightlines.measures.receptive_fields import (
    half_mass_radius,
    measure_map,
    pool_map,
    square_share,
)
from sightlines.results.tables import required
from sightlines.stats.jackknife import standard_error
from tests.measures.running import run_measure
from tests.reference.receptive_field_loops import sizes
from tests.rounding import assert_rounded, rounded

SIZE = 12
CENTRE = {"y_px": 6.5, "x_px": 6.5, "patch_top_px": 6.0, "patch_left_px": 6.0, "patch_px": 3.0}


def random_maps(seed, *shape):
    return np.random.Generator(np.random.Philox(seed)).exponential(1, shape)


def layer(name, block, variant="post", branch="mlp"):
    row = {"name": name, "block": block, "depth": block / 2, "variant": variant, "branch": branch}
    return row | CENTRE


def write_dump(path, means, group_sizes, network=("vit", "f100", "s0"), reference="r"):
    """Means [layers, groups, height, width]."""
    meta = {
        "network": list(network),
        "reference_sha256": reference,
        "batch_sizes": [40],
        "size_px": means.shape[-1],
        "group_sizes": group_sizes,
        "layers": [layer(f"block{i:02d}.out", i) for i in range(len(means))],
    }
    tensors = {f"gradient.{i:03d}": m.astype(np.float32) for i, m in enumerate(means)}
    write_tensors(path, tensors, meta)
    return path


def run_main(tmp_path, paths, networks):
    inputs = {"receptive_field": paths}
    return tuple(run_measure("receptive_fields", inputs, tmp_path, networks).values())


def test_one_pixel_alone():
    gradient = np.zeros((SIZE, SIZE))
    gradient[6, 6] = 3.0
    found = measure_map(gradient, CENTRE)
    assert found["side_px"] == 1 and found["side_share"] == rounded(1 / 12, terms=1)
    assert found["own_patch_share"] == found["window_share"] == 1
    assert found["radius_px"] == 0


def test_the_same_everywhere():
    found = measure_map(np.full((SIZE, SIZE), 0.2), CENTRE)
    assert found["side_px"] == SIZE and found["side_share"] == 1
    assert found["own_patch_share"] == rounded(9 / 144, terms=144)
    assert found["window_share"] == rounded(9 / 144, terms=144)


def test_the_size_of_a_gaussian_is_that_of_the_disc_above_the_threshold():
    """Area of the disc where exp(-r² / 2σ²) > .0455: 2πσ² ln(1 / .0455)."""
    y, x = np.indices((400, 400)) + 0.5
    gradient = np.exp(-(np.square(y - 200.5) + np.square(x - 200.5)) / 2 / 25.0**2)
    middle = {
        "y_px": 200.5,
        "x_px": 200.5,
        "patch_top_px": 0.0,
        "patch_left_px": 0.0,
        "patch_px": 1.0,
    }
    found = measure_map(gradient, CENTRE | middle)
    area = 2 * np.pi * 25**2 * np.log(1 / 0.0455)
    rim = 2 * np.sqrt(np.pi * area)  # its pixels count whole or not at all, as if by chance
    assert abs(found["side_px"] ** 2 - area) < 2 * np.sqrt(rim) < area / 100
    assert abs(found["radius_px"] - 25 * np.sqrt(2 * np.log(2))) < 0.5, "half a pixel"


def test_a_pixel_at_the_threshold_does_not_count():
    gradient = np.full((4, 4), 0.0455)
    gradient[0, 0] = 1.0
    assert measure_map(gradient, CENTRE)["side_px"] == 1
    gradient[1] = 0.0456
    assert measure_map(gradient, CENTRE)["side_px"] == rounded(np.sqrt(5), terms=1)


@pytest.mark.parametrize("seed", range(3))
def test_sizes_agree_with_loops(seed):
    gradient = random_maps(seed, SIZE, SIZE) ** 4
    found = measure_map(gradient, CENTRE)
    own = sizes(gradient, 6.5, 6.5, 6.0, 6.0, 3.0)
    names = ("side_px", "own_patch_share", "radius_px")
    assert [found[name] for name in names] == rounded(own, terms=SIZE**2, size=np.abs(own))
    window = sizes(gradient, 6.5, 6.5, 5.0, 5.0, 3.0)[1]
    assert found["window_share"] == rounded(window, terms=SIZE**2)
    cut = sizes(gradient, 1, 1, 2.5, 9.75, 4.5)[1]
    assert square_share(gradient, 2.5, 9.75, 4.5) == rounded(cut, terms=SIZE**2)


def test_a_factor_changes_nothing():
    gradient = random_maps(5, SIZE, SIZE)
    assert measure_map(gradient, CENTRE) == measure_map(4.0 * gradient, CENTRE)


def test_a_larger_field_is_measured_larger():
    """Negative control: what differs is told apart, in every column that says how large."""
    y, x = np.indices((SIZE, SIZE)) + 0.5
    distance = np.hypot(y - 6.5, x - 6.5)
    small, large = (measure_map(np.exp(-distance / reach), CENTRE) for reach in (1, 4))
    assert large["side_px"] > small["side_px"] and large["radius_px"] > small["radius_px"]
    assert large["window_share"] < small["window_share"]


def test_a_field_that_is_zero_has_no_size():
    found = measure_map(np.zeros((4, 4)), CENTRE)
    names = ("side_px", "side_share", "own_patch_share", "window_share", "radius_px")
    assert all(np.isnan(found[name]) for name in names)
    assert np.isnan(half_mass_radius(np.zeros((2, 2)), 1.0, 1.0))


def test_pooling_keeps_means_of_whole_and_of_cut_squares():
    gradient = random_maps(6, 7, 7)
    pooled = pool_map(gradient, most=3)
    assert pooled.shape == (3, 3)
    assert pooled[0, 1] == rounded(gradient[:3, 3:6].mean(), terms=9)
    assert pooled[2, 2] == rounded(gradient[6, 6], terms=1)
    assert np.array_equal(pool_map(gradient), gradient)
    assert pool_map(np.ones((224, 224))).shape == (112, 112)


def test_the_table_has_all_images_and_all_without_each_group(tmp_path):
    means = random_maps(7, 2, 3, SIZE, SIZE) ** 3
    path = write_dump(tmp_path / "a", means, [2, 1, 4])
    table, maps = run_main(tmp_path, [path], ["vit/f100/s0"])
    assert set(required("receptive_fields.parquet")) <= set(table.columns)
    assert table["left_out"].tolist() == [-1, 0, 1, 2] * 2
    means = means.astype(np.float32).astype(np.float64)
    for left_out, weights in ((-1, [2, 1, 4]), (0, [0, 1, 4]), (2, [2, 1, 0])):
        row = table[(table["block"] == 1) & (table["left_out"] == left_out)].iloc[0]
        expected = measure_map(np.average(means[1], axis=0, weights=weights), CENTRE)
        for name, value in expected.items():
            assert row[name] == rounded(value, terms=SIZE**2), name
    own = maps[maps["name"] == "block01.out"]
    assert list(maps.columns) == list(required("receptive_field_maps.parquet"))
    shown = own.pivot(index="row", columns="column", values="gradient").to_numpy()
    whole = np.average(means[1], axis=0, weights=[2, 1, 4])
    assert_rounded(shown, whole / whole.max(), terms=1, dtype=np.float32)


def test_the_spread_over_groups_is_that_of_independent_images(tmp_path):
    """Jackknife against the standard deviation of the statistic over fresh sets of images."""
    y, x = np.indices((SIZE, SIZE)) + 0.5
    near = np.hypot(y - 6.5, x - 6.5) < 3
    values, errors = [], []
    for seed in range(60):
        random = np.random.Generator(np.random.Philox(100 + seed))
        means = np.ones((1, 8, SIZE, SIZE)) + random.uniform(0, 9, (1, 8, 1, 1)) * near
        path = write_dump(tmp_path / "a", means, [4] * 8)
        shares = [
            row["window_share"] for row in receptive_fields.size_rows(ReceptiveFieldDump(path))
        ]
        values.append(shares[0])
        errors.append(standard_error(np.array(shares)[:, None])[0])
    # The spread of 60 repeats is itself known to 1 / √(2 · 60) of itself; here 3 of these.
    assert abs(np.mean(errors) / np.std(values, ddof=1) - 1) < 3 / np.sqrt(2 * 60)


def test_one_group_has_no_replicates_and_two_have(tmp_path):
    for groups, rows in ((1, [-1]), (2, [-1, 0, 1])):
        path = write_dump(tmp_path / "a", random_maps(8, 1, groups, 4, 4), [1] * groups)
        table, _ = run_main(tmp_path, [path], ["vit/f100/s0"])
        assert table["left_out"].tolist() == rows


def test_a_zero_map_is_missing_in_both_tables(tmp_path):
    path = write_dump(tmp_path / "a", np.zeros((1, 2, 4, 4)), [1, 1])
    table, maps = run_main(tmp_path, [path], ["vit/f100/s0"])
    assert table["side_px"].isna().all() and maps["gradient"].isna().all()


def test_no_dumps_leave_tables_with_headers(tmp_path):
    table, maps = run_main(tmp_path, [], [])
    assert list(table.columns) == list(required("receptive_fields.parquet"))
    assert list(maps.columns) == list(required("receptive_field_maps.parquet"))


def test_two_runs_write_the_same_bytes(tmp_path):
    path = write_dump(tmp_path / "a", random_maps(9, 2, 2, 4, 4), [1, 1])
    found = []
    for _ in range(2):
        run_main(tmp_path, [path], ["vit/f100/s0"])
        found.append([p.read_bytes() for p in sorted(tmp_path.glob("*.parquet"))])
    assert found[0] == found[1]


def test_dumps_of_other_images_and_other_networks_are_refused(tmp_path):
    means = random_maps(10, 1, 2, 4, 4)
    a = write_dump(tmp_path / "a", means, [1, 1])
    b = write_dump(tmp_path / "b", means, [1, 1], ("vit", "f000", "s0"), reference="other")
    with pytest.raises(ResultError, match="different reference images"):
        run_main(tmp_path, [a, b], ["vit/f100/s0", "vit/f000/s0"])
    with pytest.raises(ResultError, match="expected dumps of vit/f000/s0"):
        run_main(tmp_path, [a], ["vit/f000/s0"])


def test_a_dump_without_its_own_facts_or_with_a_wrong_shape_is_refused(tmp_path):
    write_tensors(
        tmp_path / "x",
        {"a": np.zeros(3)},
        {"network": ["a", "b", "c"], "reference_sha256": "r", "batch_sizes": [1]},
    )
    with pytest.raises(ResultError, match="its description lacks 'layers'"):
        ReceptiveFieldDump(tmp_path / "x")
    path = write_dump(tmp_path / "a", random_maps(11, 1, 2, 4, 4), [1, 1, 1])
    with pytest.raises(ResultError, match=r"gradient\.000 should be \(3, 4, 4\)"):
        run_main(tmp_path, [path], ["vit/f100/s0"])
    path = write_dump(tmp_path / "a", np.full((1, 2, 4, 4), np.nan), [1, 1])
    with pytest.raises(ResultError, match="not finite"):
        run_main(tmp_path, [path], ["vit/f100/s0"])
