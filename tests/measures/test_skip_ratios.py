import itertools
import logging

import numpy as np
import pytest

from sightlines.core.errors import ResultError
from sightlines.core.files import write_tensors
from sightlines.dumps.skips_reading import STATISTICS, SkipsDump
from sightlines.measures import skip_ratios
from sightlines.results.tables import required
from sightlines.stats.jackknife import standard_error
from tests.measures.running import run_measure
from tests.rounding import assert_rounded, rounded

SIZES = [5, 3, 4, 5]
VIT_BRANCHES = [(0, "attn", 5), (0, "mlp", 5), (2, "attn", 5), (2, "mlp", 5)]
UNITS = [(0, "unit", 6), (1, "unit", 2)]


def random_values(branches, sizes=SIZES, seed=1):
    """Ratios and cosines of each branch [all images, tokens]."""
    rng = np.random.Generator(np.random.Philox(seed))
    shape = [(sum(sizes), tokens) for _, _, tokens in branches]
    return [(rng.uniform(0.3, 9, s), rng.uniform(-1, 1, s)) for s in shape]


def write_skips(path, branches, values, sizes=SIZES, prefix=1, blocks=3, meta=None):
    """A dump made from every image's ratios and cosines; NaN: not defined."""
    tensors = {}
    bounds = np.cumsum([0, *sizes])
    for index, (begin, end) in enumerate(itertools.pairwise(bounds)):
        parts = {name: [] for name in STATISTICS}
        for ratio, cosine in values:
            r, c = ratio[begin:end], cosine[begin:end]
            parts["ratio_sum"].append(np.nansum(r, 0))
            parts["ratio_images"].append(np.isfinite(r).sum(0))
            medians = [np.median(x[np.isfinite(x)]) if np.isfinite(x).any() else 0 for x in r.T]
            parts["ratio_median"].append(medians)
            parts["cosine_sum"].append(np.nansum(c, 0))
            parts["cosine_images"].append(np.isfinite(c).sum(0))
        for name, own in parts.items():
            tensors[f"{name}.{index:03d}"] = np.concatenate(own).astype(np.float64)
    described = {
        "network": ["vit", "f100", "s0"],
        "reference_sha256": "r",
        "batch_sizes": sizes,
        "blocks": blocks,
        "prefix_tokens": prefix,
        "branches": [dict(zip(("block", "branch", "tokens"), b, strict=True)) for b in branches],
    }
    write_tensors(path, tensors, described | (meta or {}))
    return path


def run_main(tmp_path, paths, networks):
    return list(run_measure("skip_ratios", {"skips": paths}, tmp_path, networks).values())


def by_loops(values, sizes, images, token_numbers):
    """Ratio, median and cosine from the definitions, of some images and tokens."""
    ratio, cosine = values
    means, medians, cosines = [], [], []
    for token in token_numbers:
        own = [ratio[i, token] for i in images if not np.isnan(ratio[i, token])]
        if own:
            means.append(sum(own) / len(own))
        weighted, total, begin = 0.0, 0, 0
        for size in sizes:
            batch = [i for i in range(begin, begin + size) if i in images]
            shown = sorted(ratio[i, token] for i in batch if not np.isnan(ratio[i, token]))
            begin += size
            if shown:
                half = len(shown) // 2
                middle = shown[half] if len(shown) % 2 else (shown[half - 1] + shown[half]) / 2
                weighted, total = weighted + middle * len(shown), total + len(shown)
        if total:
            medians.append(weighted / total)
        defined = [cosine[i, token] for i in images if not np.isnan(cosine[i, token])]
        cosines.append(sum(defined) / len(defined))
    return [sum(x) / len(x) for x in (means, medians, cosines)]


def test_agrees_with_loops_for_all_images_and_with_each_minibatch_left_out(tmp_path):
    values = random_values(VIT_BRANCHES)
    values[1][0][2:9, 3] = np.nan
    values[2][0][:, 1] = np.nan
    values[3][1][4, 2] = np.nan
    path = write_skips(tmp_path / "a", VIT_BRANCHES, values)
    table, _ = run_main(tmp_path, [path], ["vit/f100/s0"])
    bounds = np.cumsum([0, *SIZES])
    for place, (block, branch, _) in enumerate(VIT_BRANCHES):
        for tokens, numbers in (("cls", [0]), ("spatial", [1, 2, 3, 4])):
            own = table[(table.block == block) & (table.branch == branch)]
            own = own[own.tokens == tokens].sort_values("left_out")
            assert own.left_out.tolist() == [-1, 0, 1, 2, 3]
            for row in own.itertuples():
                gone = range(0)
                if row.left_out >= 0:
                    gone = range(bounds[row.left_out], bounds[row.left_out + 1])
                images = [i for i in range(sum(SIZES)) if i not in gone]
                expected = by_loops(values[place], SIZES, images, numbers)
                found = [row.ratio, row.ratio_median, row.cosine]
                sums = {"terms": len(images) * len(numbers)}
                assert found == rounded(expected, **sums), (block, branch, tokens)
                share = np.isnan(values[place][0][np.ix_(images, numbers)]).mean()
                assert row.undefined_share == rounded(share, size=1, **sums)


def test_depth_counts_blocks_that_lack_a_skip_connection(tmp_path):
    path = write_skips(tmp_path / "a", VIT_BRANCHES, random_values(VIT_BRANCHES))
    table, _ = run_main(tmp_path, [path], ["vit/f100/s0"])
    assert dict(zip(table.block, table.depth, strict=True)) == {0: 0.0, 2: 1.0}
    alone = write_skips(tmp_path / "b", UNITS[:1], random_values(UNITS[:1]), blocks=1, prefix=0)
    table, _ = run_main(tmp_path, [alone], ["vit/f100/s0"])
    assert set(table.depth) == {0.0}


def test_the_class_token_stands_apart(tmp_path):
    values = random_values(VIT_BRANCHES)
    values[0][0][:, 0] = 70.0
    path = write_skips(tmp_path / "a", VIT_BRANCHES, values)
    table, tokens = run_main(tmp_path, [path], ["vit/f100/s0"])
    own = table[(table.block == 0) & (table.branch == "attn") & (table.left_out == -1)]
    found = dict(zip(own.tokens, own.ratio, strict=True))
    assert found["cls"] == rounded(70, terms=sum(SIZES)) and found["spatial"] < 9
    first = tokens[(tokens.block == 0) & (tokens.branch == "attn")]
    assert first.token.tolist() == [0, 1, 2, 3, 4]
    assert_rounded(first.ratio, values[0][0].mean(0), terms=sum(SIZES))
    assert_rounded(first.cosine, values[0][1].mean(0), terms=sum(SIZES), size=1)
    bare = write_skips(tmp_path / "b", VIT_BRANCHES, values, prefix=0)
    table, _ = run_main(tmp_path, [bare], ["vit/f100/s0"])
    assert set(table.tokens) == {"spatial"}


@pytest.mark.parametrize(("has_cls", "numbers"), [(True, [0, 2, 3, 4]), (False, [2, 3, 4])])
def test_registers_are_neither_class_token_nor_patches(tmp_path, has_cls, numbers):
    values = random_values(VIT_BRANCHES)
    meta = {"class_token": has_cls}
    path = write_skips(tmp_path / "a", VIT_BRANCHES, values, prefix=2, meta=meta)
    table, tokens = run_main(tmp_path, [path], ["vit/f100/s0"])
    assert set(table.tokens) == ({"cls", "spatial"} if has_cls else {"spatial"})
    own = table[(table.tokens == "spatial") & (table.left_out == -1)]
    assert own.ratio.iloc[0] == rounded(values[0][0][:, 2:].mean(), terms=3 * sum(SIZES))
    first = tokens[(tokens.block == 0) & (tokens.branch == "attn")]
    assert first.token.tolist() == list(range(len(numbers)))
    assert_rounded(first.ratio, values[0][0].mean(0)[numbers], terms=sum(SIZES))


def test_the_mean_is_of_ratios_and_not_the_ratio_of_means(tmp_path):
    """Two images of ‖z‖, ‖f‖ = (1, 1) and (9, 3): mean of ratios 2, ratio of means 2.5."""
    values = [(np.array([[1.0], [3.0]]), np.ones((2, 1)))]
    path = write_skips(tmp_path / "a", [(0, "unit", 1)], values, sizes=[2], prefix=0)
    table, _ = run_main(tmp_path, [path], ["vit/f100/s0"])
    assert table.ratio.iloc[0] == 2


def test_a_branch_that_is_always_0_has_no_ratio_and_no_warning(tmp_path, caplog):
    values = [(np.full((sum(SIZES), t), np.nan), np.ones((sum(SIZES), t))) for _, _, t in UNITS]
    path = write_skips(tmp_path / "a", UNITS, values, prefix=0)
    with caplog.at_level(logging.INFO):
        table, tokens = run_main(tmp_path, [path], ["vit/f100/s0"])
    assert table.ratio.isna().all() and table.ratio_median.isna().all()
    assert (table.cosine == 1).all() and (table.undefined_share == 1).all()
    assert tokens.empty and list(tokens.columns) == list(required("skip_tokens.parquet"))
    assert "vit/f100/s0: the branch is 0 for all images at 8 places" in caplog.text


def test_jackknife_error_is_that_of_a_mean(tmp_path):
    sizes = [6] * 10
    values = random_values(UNITS, sizes, seed=4)
    path = write_skips(tmp_path / "a", UNITS, values, sizes=sizes, prefix=0)
    table, _ = run_main(tmp_path, [path], ["vit/f100/s0"])
    own = table[table.block == 1].sort_values("left_out")
    batches = values[1][0].reshape(10, 6, 2).mean((1, 2))
    expected = batches.std(ddof=1) / np.sqrt(10)
    found = float(standard_error(own.ratio.to_numpy()[:, None])[0])
    assert found == rounded(expected, terms=10 * 12, size=batches.max())


def test_tables_have_their_columns_and_need_no_dump(tmp_path):
    for paths, networks in (
        ([], []),
        ([write_skips(tmp_path / "a", UNITS, random_values(UNITS), prefix=0)], ["vit/f100/s0"]),
    ):
        for name, table in zip(
            skip_ratios.TABLES, run_main(tmp_path, paths, networks), strict=True
        ):
            assert set(required(name)) <= set(table.columns)


def test_damaged_dumps_are_refused(tmp_path):
    values = random_values(UNITS)
    path = write_skips(tmp_path / "a", UNITS, values, prefix=0, meta={"branches": []})
    with pytest.raises(ResultError, match=r"/a: it has no branches"):
        SkipsDump(path)
    short = [{"block": 0, "branch": "unit", "tokens": 3}]
    path = write_skips(tmp_path / "b", UNITS, values, prefix=0, meta={"branches": short})
    with pytest.raises(ResultError, match=r"ratio_sum.000 should be \(3,\)"):
        run_main(tmp_path, [path], ["vit/f100/s0"])
    with pytest.raises(ResultError, match="expected dumps of other/f100/s0"):
        run_main(tmp_path, [path], ["other/f100/s0"])
