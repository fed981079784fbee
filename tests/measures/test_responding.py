"""What answers to changed images come to, against sums that are done by hand."""

import numpy as np
import pytest

from sightlines.core.errors import ResultError
from sightlines.core.files import write_tensors
from sightlines.dumps.responses_reading import ResponsesDump
from sightlines.measures import corruption, responding
from sightlines.measures.lesion import _placed
from sightlines.stats.jackknife import ALL
from tests.measures.running import run_measure

IMAGES, OUTPUTS = 90, 4
CONDITIONS = [["drop_black", 0.5], ["shuffle", 2.0]]
SLUG = "vit/f100/s0"


def write(path, right=(0.9, 0.6, 0.3), places=("last", "normed"), slug=SLUG, **changes):
    """A dump in which so many of the images are got right."""
    draw = np.random.default_rng(3)
    labels = np.arange(IMAGES) % OUTPUTS
    hit = np.stack([np.arange(IMAGES) < share * IMAGES for share in right], axis=1)
    draw.shuffle(hit, axis=0)
    answers = [3, 2, 1, 0]
    taken = np.where(hit, np.array(answers)[labels][:, None], (labels[:, None] + 5) % OUTPUTS)
    taken = np.where(~hit & (taken == np.array(answers)[labels][:, None]), (taken + 1) % 4, taken)
    tensors = {"prediction": taken.astype(np.int32)}
    tensors["among"] = np.where(hit, labels[:, None], (labels[:, None] + 1) % 4).astype(np.int32)
    for name in ("log_p", "margin", "confidence", "changed", "rms"):
        tensors[name] = draw.random(hit.shape, np.float32)
    for place in places:
        tensors[f"correlation.{place}"] = draw.random(hit.shape, np.float32)
        tensors[f"floor.{place}"] = draw.random(IMAGES, np.float32) / 2
    tensors["labels"] = labels
    meta = {"network": slug.split("/"), "conditions": CONDITIONS, "images": IMAGES}
    meta |= {
        "outputs": OUTPUTS,
        "answers": answers,
        "places": list(places),
        "grid": [8, 8],
        "positions": True,
    }
    write_tensors(path, tensors, meta | {"splits_sha256": {"test": "a"}} | changes)
    return tensors


@pytest.fixture
def made(tmp_path):
    tensors = write(tmp_path / "dump.safetensors")
    return tensors, ResponsesDump(tmp_path / "dump.safetensors")


def test_every_statistic_is_a_mean_over_images_and_over_all_but_a_group(made):
    tensors, dump = made
    groups = responding.groups_of(IMAGES, 7)
    assert sorted(np.bincount(groups)) == [4] * 10 + [5] * 10
    table = responding.response_table(dump, groups)
    assert len(table) == 21 * 3 and list(table["condition"][:3]) == [
        "clean",
        "drop_black",
        "shuffle",
    ]
    for left_out in (ALL, 0, 13):
        kept = groups != left_out
        own = table[table["left_out"] == left_out].reset_index(drop=True)
        accuracy = dump.is_right()[kept].mean(0)
        assert np.allclose(own["accuracy"], accuracy)
        assert np.allclose(own["accuracy_among"], accuracy)
        above = (accuracy - 0.25) / 0.75
        assert np.allclose(own["above_chance"], above)
        assert np.allclose(own["retention"], above / above[0])
        same = tensors["prediction"] == tensors["prediction"][:, :1]
        assert np.allclose(own["agreement"], same[kept].mean(0))
        for name, tensor in (
            ("log_p", "log_p"),
            ("changed_share", "changed"),
            ("change_rms", "rms"),
        ):
            assert np.allclose(own[name], tensors[tensor][kept].mean(0))
        floor = tensors["floor.normed"][kept].mean()
        r = tensors["correlation.normed"][kept].mean(0)
        assert np.allclose(own["correlation_normed"], r)
        assert np.allclose(own["excess_normed"], (r - floor) / (1 - floor))
        assert np.allclose(own["floor"], tensors["floor.last"][kept].mean())
        assert (own["images"] == kept.sum()).all()


@pytest.mark.parametrize(("clean", "is_defined"), [(0.76, True), (0.74, False)])
def test_below_3_times_chance_nothing_is_kept_of_it(tmp_path, clean, is_defined):
    write(tmp_path / "dump.safetensors", (clean, 0.5, 0.5))
    dump = ResponsesDump(tmp_path / "dump.safetensors")
    found = responding.statistics(dump, responding.groups_of(IMAGES, 0))["retention"]
    assert np.isfinite(found).all() == is_defined == np.isfinite(found).any()


def test_correlations_that_are_undefined_are_left_out(tmp_path):
    tensors = write(tmp_path / "dump.safetensors", places=("last",))
    tensors["correlation.last"][:50] = np.nan
    meta = ResponsesDump(tmp_path / "dump.safetensors").meta
    write_tensors(tmp_path / "dump.safetensors", tensors, meta)
    dump = ResponsesDump(tmp_path / "dump.safetensors")
    found = responding.statistics(dump, responding.groups_of(IMAGES, 0))
    assert np.allclose(found["correlation"][0], tensors["correlation.last"][50:].mean(0))
    assert np.isnan(found["correlation_normed"]).all()


def test_of_unknown_answers_there_is_no_accuracy(tmp_path):
    write(tmp_path / "dump.safetensors", answers=[])
    found = responding.statistics(
        ResponsesDump(tmp_path / "dump.safetensors"), responding.groups_of(IMAGES, 0)
    )
    assert np.isnan(found["accuracy"]).all() and np.isfinite(found["excess"]).all()


def test_the_measure_of_occlusions_writes_its_table(tmp_path):
    slugs = [SLUG, "resnet/f100/s0"]
    paths = [tmp_path / f"{n}.safetensors" for n in range(2)]
    for path, slug in zip(paths, slugs, strict=True):
        write(path, slug=slug, grid=[8, 8] if slug == SLUG else [8, 7], cells=4)
    table = run_measure("occlusion", {"occlusions": paths}, tmp_path, slugs)["occlusion"]
    assert len(table) == 2 * 21 * 3
    assert table.groupby("model")["grid"].first().to_dict() == {"resnet": 0, "vit": 8}
    assert set(table["cells"]) == {4}
    write(paths[0])
    with pytest.raises(ResultError, match="lacks 'cells'"):
        run_measure("occlusion", {"occlusions": paths}, tmp_path, slugs)


def test_of_few_of_imagenets_classes_there_is_no_ce(tmp_path):
    """AlexNet's errors are means over all 1,000: ten easy ones are no part of them."""
    fog = [["fog", severity] for severity in (1, 2, 3, 4, 5)]
    write(tmp_path / "dump.safetensors", (0.9, *[0.5] * 5), outputs=1000, conditions=fog)
    found = corruption.measure([ResponsesDump(tmp_path / "dump.safetensors")], 0)
    table = found["corruption_error.csv"][0]
    assert np.isfinite(table["error"]).all() and table["ce"].isna().all()


def test_a_lesion_says_where_and_what(made):
    table = responding.response_table(made[1], responding.groups_of(IMAGES, 0))
    table["condition"] = table["condition"].replace(
        {"drop_black": "zero_block03", "shuffle": "shuffle_stage12"}
    )
    (placed,) = _placed(iter([table]))
    found = placed.drop_duplicates("condition")[["change", "site", "place"]].to_numpy().tolist()
    assert found == [["", "", -1], ["zero", "block", 3], ["shuffle", "stage", 12]]
