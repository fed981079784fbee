"""What the studies read of a user's: masks, cue conflicts, CIFAR-10-C, and names of conditions."""

import copy
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from sightlines.core.errors import ConfigError, DataError
from sightlines.datasets import cifar10_c, cue_conflicts, masks, photograph_masks
from sightlines.datasets.store import read_dataset, read_manifest
from tests.bad_input.catalogue import case, job
from tests.bad_input.config_cases import SMOKE, opened
from tests.datasets.test_cifar10_c import LOG, make
from tests.datasets.test_photograph_masks import SIZE, photograph, prepared

PHOTOGRAPHS = {"kind": "imagefolder", "folder": "mine", "size_px": 16, "test_share": 0.4}
PHOTOGRAPHS |= {"masks": "outlines"}
WIDE, HIGH = SIZE


def flat(levels, size=SIZE):
    return Image.fromarray(np.full((*size[::-1], *np.shape(levels)), levels, np.uint8))


@case(
    "images",
    DataError,
    ("{here}/sources/outlines", "4 of 4 test photographs"),
    ("mask of its name", "and size", "leave out dataset.masks"),
    lines=[
        (("cat/cat", ".png", "3 × 3 px", f"{WIDE} × {HIGH}"), ()),
        (("cat/cat", ".png", "levels 9"), "255 object)"),
        (("dog/dog", ".png", "no mask of its name"), ()),
        (("dog/dog", ".png", "colours without a palette"), "save it with a palette"),
    ],
)
def masks_of_another_size_missing_and_of_unknown_values(here):
    source = here / "sources"
    for c, name in enumerate(("cat", "dog")):
        folder = source / "mine" / name
        folder.mkdir(parents=True)
        for i in range(5):
            (folder / f"{name}{i}.png").write_bytes(photograph(10 * c + i))
    (here / "data").mkdir()
    dataset = prepared(source, here / "data", PHOTOGRAPHS)
    tests = sorted(read_manifest(dataset, read_dataset(dataset), "test")["path"])
    wrong = (flat(0, (3, 3)), flat(9), None, flat((1, 2, 3)))
    for path, image in zip(tests, wrong, strict=True):
        target = source / "outlines" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if image is not None:
            image.save(target)
    now = photograph_masks.fingerprint(source / "outlines")
    inputs, outputs = {"dataset": [dataset]}, {"masks": [here / "masks.parquet"]}
    return job(masks.main, {"masks": "outlines", "source": now}, inputs, outputs, source)


@case(
    "images",
    DataError,
    ("{here}/sources/stimuli", "5 problems"),
    ("Fix or remove", "run snakemake again"),
    lines=[
        ("away", ("leads out of", "in its place")),
        ("cat.png", "such as cat3-clock2.png"),
        (("cat1-dgo2.png", "dgo", "shape of none"), "misspelt"),
        (("cat1-dgo2.txt", "ending"), ()),
        (("dog1_cat2.png",), "<shape><n>-<texture><n>.png"),
    ],
)
def conflict_folder_with_other_names(here):
    root = here / "sources" / "stimuli"
    root.mkdir(parents=True)
    for name in ("cat1-dog1.png", "dog1-cat1.png", "cat.png", "cat1-dgo2.png", "dog1_cat2.png"):
        Image.new("RGB", (4, 4)).save(root / name)
    (root / "cat1-dgo2.txt").write_text("no image")
    (root / "away").symlink_to(here / "elsewhere")
    (here / "elsewhere").mkdir()
    return lambda: cue_conflicts.fingerprint("stimuli", here / "sources")


@case(
    "files",
    DataError,
    "{here}/sources/CIFAR-10-C",
    "unpack it anew",
    lines=[
        (("fog.npy", "(40000, 32, 32, 3)"), "(50000, 32, 32, 3)"),
        (("labels.npy", "(49999,)"), "(50000,)"),
    ],
)
def cifar_10_c_of_another_length(here):
    (here / "sources").mkdir()
    folder = here / "sources" / "CIFAR-10-C"
    make(folder, count=40_000, labels=np.zeros(49_999, np.int64))
    settings = {"folder": folder.name, "corruption": "fog", "severity": 3}
    return lambda: cifar10_c.prepare(settings, here / "sources", _made(here / "out"), LOG)


@case(
    "files",
    DataError,
    ("{here}/sources/CIFAR-10-C", "frost.npy", "labels.npy"),
    ("dataset.folder", "dataset.corruption", "unpack CIFAR-10-C.tar"),
)
def cifar_10_c_without_its_files(here):
    _made(here / "sources" / "CIFAR-10-C")
    settings = {"folder": "CIFAR-10-C", "corruption": "frost", "severity": 1}
    return lambda: cifar10_c.fingerprint(settings, here / "sources")


@case(
    "config",
    ConfigError,
    "invalid configuration",
    (),
    lines=[
        (("conditions.corruption.depth", "'rain'"), ("fog", "gaussian_noise")),
        (("conditions.corruption.depth", "'fog:9'"), "fog:3"),
        (("conditions.frequency.depth", "40 cycles"), "use 1 to 16"),
        (("conditions.occlusion.depth", "'drop_blak:0.5'"), ("drop_black:0.5", "other keys of")),
        (("conditions.conflict.depth",), ("dataset.n_conflict", "conflicts.folder")),
    ],
)
def conditions_that_there_are_not(here):
    config = copy.deepcopy(SMOKE)
    config["dataset"]["n_conflict"] = 0
    config["conditions"] |= {
        "corruption": {"depth": ["rain:3", "fog:9"]},
        "frequency": {"depth": [2, 40]},
        "conflict": {"depth": ["other_shape"]},
        "occlusion": {"depth": ["drop_blak:0.5"]},
    }
    return opened(here, yaml.safe_dump(config))


@case(
    "schema",
    ConfigError,
    "{here}/mine.yaml",
    "workflow/config/README.md",
    lines=[
        (("conditions.conflict.depth", "'texture'"), ("'other_texture'", "'other_shape'")),
        (("conditions.corruption.names", "'rain'"), "'snow'"),
        (("conditions: unknown key", "'corruptoin'"), "'corruption'"),
    ],
)
def families_of_conditions_that_there_are_not(here):
    config = copy.deepcopy(SMOKE)
    config["conditions"] |= {
        "corruptoin": {"severities": [1]},
        "conflict": {"depth": ["texture"]},
        "corruption": {"names": ["rain"]},
    }
    return opened(here, yaml.safe_dump(config))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
