import pytest

from tests.figures import tables as synthetic
from tests.report.synthetic_records import HOSTILE, record


@pytest.fixture(scope="session")
def page_parts(tmp_path_factory):
    """config, tables, dataset, figures and records of a synthetic experiment, as `render` reads."""
    from sightlines import registry
    from sightlines.figures import style
    from sightlines.report.page import read_figures

    config = synthetic.config()
    names = list(registry.members("figures"))
    tables = synthetic.all_tables(config, degenerate=("vit_small", 7))
    hostile = [("vit_small", "f100", "s0", 7, "block00.out", "constant <output>")]
    tables["cka_degenerate.csv"] = synthetic.cka_degenerate(hostile)
    folder = tmp_path_factory.mktemp("figures")
    small = synthetic.config(vits=("vit_small",), fractions=("f003", "f100"), seeds=("s0",))
    drawn_from = synthetic.all_tables(small)
    for name in names:
        style.save(
            registry.load("figures", name).draw(drawn_from, small),
            folder / f"{name}.svg",
            folder / f"{name}.png",
        )
    train = {"steps": 1009, "batch_size": 128, "learning_rate": 0.001, "flip": True}
    models = {
        model: {"family": family, "depth": 5, "train": train | {"clip_norm": place}}
        for place, (model, family) in enumerate(config["families"].items())
    }
    config |= {
        "figures": names,
        "config": {
            "seed": 11,
            "splits": {"validation": 97, "reference_batches": 11, "reference_batch_size": 13},
            "models": models,
            "dataset": {"kind": "imagefolder", "note": HOSTILE},
        },
    }
    config["labels"] = config["labels"] | {"vit_small": f"ViT {HOSTILE}"}
    dataset = {
        "kind": "imagefolder",
        "classes": [HOSTILE, *(f"class_{i}" for i in range(23))],
        "size_px": 31,
        "counts": {"train": 7919, "test": 1013},
    }
    figures = read_figures(names, [folder / f"{name}.svg" for name in names])
    return config, tables, dataset, figures, [record(f"train/{s}") for s in config["networks"]]
