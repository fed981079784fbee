"""Settings of datasets that came later change nothing while they have their defaults."""

from sightlines.datasets import shapes
from sightlines.plan.config import complete
from sightlines.plan.dataset_settings import as_made
from sightlines.plan.experiment import Experiment

RAW = {
    "dataset": {"kind": "shapes"},
    "models": {"vit": {"family": "vit", "patch_px": 4, "width": 12, "depth": 1, "heads": 1}},
    "runs": [{"models": ["vit"], "fractions": ["f100"], "seeds": ["s0"]}],
}


def opened(**dataset):
    raw = RAW | {"dataset": RAW["dataset"] | dataset}
    return Experiment("x", complete(raw, "here"))


def test_they_are_no_part_of_what_images_are():
    plain = opened()
    assert set(shapes.LATER) <= plain.dataset().keys()
    assert not set(shapes.LATER) & plain.job_config_data("")["dataset"].keys()
    assert as_made(plain.dataset()) == as_made(
        {"kind": "shapes"} | plain.job_config_data("")["dataset"]
    )
    assert plain.data_files() == opened(lighter=True, ground_match=0, n_mixed=0).data_files()


def test_other_values_are_and_bring_their_files():
    plain, other = opened(), opened(n_mixed=5, lighter=False)
    assert other.job_config_data("")["dataset"] == plain.job_config_data("")["dataset"] | {
        "n_mixed": 5,
        "lighter": False,
    }
    assert other.data_folder != plain.data_folder
    added = {path.rpartition("/")[2] for path in other.data_files()} - {*shapes.FILES}
    assert added == {
        f"mixed_{which}_{what}"
        for which in ("same", "rand")
        for what in ("images.npy", "masks.npy", "truth.parquet")
    }
    assert other.data_files()[0].endswith("/dataset.json")
