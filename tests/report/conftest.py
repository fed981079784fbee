import pytest
from PIL import Image

from tests.figures import tables as synthetic
from tests.report.synthetic_records import HOSTILE, record

DRAWN = ("accuracy_by_fraction", "fig01_cka_within", "fig06_receptive_fields", "figG1_finetuning")
"""Figures that are really drawn; the others are empty pictures, to save time."""
REPLICATES = ("probe_replicates.parquet", "probe_halves.parquet")
"""Tables that are not made up here: the explorer has its own tests."""
SIZE = 1400, 800
"""Of an empty picture, in pixels."""


@pytest.fixture(scope="session")
def page_parts(tmp_path_factory):
    """config, tables, dataset, figures and records of a synthetic experiment, as `render` reads."""
    from sightlines.figures import style
    from sightlines.plan import registry
    from sightlines.report.page import SHOWN, read_figures

    config = synthetic.config()
    names = list(registry.members("figures"))
    shown = [name for name in SHOWN if name not in REPLICATES]
    tables = synthetic.all_tables(config, degenerate=("vit_small", 7), names=shown)
    hostile = [("vit_small", "f100", "s0", 7, "block00.out", "constant <output>")]
    tables["cka_degenerate.csv"] = synthetic.cka_degenerate(hostile)
    tables["claims.csv"].loc[0, ["statement", "because", "deciding"]] = HOSTILE
    tables["claim_cases.csv"].loc[0, "case"] = HOSTILE
    folder = tmp_path_factory.mktemp("figures")
    small = synthetic.config(vits=("vit_small",), fractions=("f003", "f100"), seeds=("s0",))
    for name in names:
        path = folder / f"{name}.png"
        if name not in DRAWN:
            Image.new("RGB", SIZE, "white").save(path)
            continue
        module = registry.load("figures", name)
        drawn = module.draw(synthetic.all_tables(small, names=module.READS), small)
        style.save(drawn, {"png": path})
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
    figures = read_figures(names, [folder / f"{name}.png" for name in names])
    return config, tables, dataset, figures, [record(f"train/{s}") for s in config["networks"]]
