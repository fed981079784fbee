"""Config files: what the schema refuses, and what only the whole config shows."""

import copy
from pathlib import Path

import yaml

from sightlines.core.errors import ConfigError
from sightlines.plan.config import FOLDER
from sightlines.plan.experiment import Experiment
from tests.bad_input.catalogue import case

MANUAL = "workflow/config/README.md"
SMOKE = yaml.safe_load((FOLDER / "smoke.yaml").read_text())

BELOW_SMOKE = len((FOLDER / "smoke.yaml").read_text().splitlines()) + 1
"""The line that is written below the smoke experiment."""


def opened(here: Path, text) -> object:
    (here / "mine.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
    return lambda: Experiment.open(here / "mine.yaml")


def smoke(here: Path, path: str, value) -> object:
    """The smoke experiment with one value changed."""
    config = copy.deepcopy(SMOKE)
    *above, last = path.split(".")
    node = config
    for key in above:
        node = node[int(key) if isinstance(node, list) else key]
    node[last] = value
    return opened(here, yaml.safe_dump(config))


def with_task(here: Path, change: dict) -> object:
    """The smoke experiment with one other task, some of whose keys are changed."""
    task = {"dataset": {"kind": "textures"}, "domain": "out", "finetune": ["resnet"]}
    return smoke(here, "transfer", {"textures": task | change})


def schema(names, cure):
    """One line on one key, and where the keys are explained."""
    return case("schema", ConfigError, "{here}/mine.yaml", MANUAL, lines=[(names, cure)])


def impossible(names, cure):
    """One line on what no schema can see."""
    return case("config", ConfigError, "invalid configuration", (), lines=[(names, cure)])


@schema(("train:", "unknown key", "'learning_rat'"), "'learning_rate'")
def unknown_key(here):
    return smoke(here, "train.learning_rat", 0.1)


@schema(("train.steps", "'many'"), ("'integer'", "unit: steps"))
def wrong_type(here):
    return smoke(here, "train.steps", "many")


@schema(("train.schedule", "'cosin'"), ("['cosine', 'linear', 'constant']", "nearest is 'cosine'"))
def wrong_choice(here):
    return smoke(here, "train.schedule", "cosin")


@schema(("splits.reference_batch_size", "7"), ("minimum of 8", "unit: images"))
def minibatch_too_small(here):
    return smoke(here, "splits.reference_batch_size", 7)


@case(
    "schema",
    ConfigError,
    (f"{{here}}/mine.yaml, line {BELOW_SMOKE}", "train.learning_rate", "1e-3", "0.001"),
    "write 0.001 or '1e-3'",
)
def number_that_is_text_to_yaml(here):
    return opened(here, (FOLDER / "smoke.yaml").read_text() + "  learning_rate: 1e-3\n")


@schema(("train.learning_rate", "'1e-3'", "text"), ("'number'", "unit: per step", "write 0.001"))
def number_in_quotes(here):
    return opened(here, (FOLDER / "smoke.yaml").read_text() + "  learning_rate: '1e-3'\n")


@schema(("train.learning_rate", "nan"), "finite number")
def learning_rate_nan(here):
    return smoke(here, "train.learning_rate", float("nan"))


@schema(("models", "18"), "quotes")
def key_that_is_a_number(here):
    return smoke(here, "models", {18: {"family": "resnet"}})


@schema(("the file", "missing key"), ("'dataset'", "'models'", "'runs'"))
def empty_of_everything(here):
    return opened(here, "seed: 3\n")


@case(
    "schema",
    ConfigError,
    ("{here}/mine.yaml", "0x89", "position 0"),
    "YAML",
)
def picture_instead_of_a_config(here):
    return opened(here, b"\x89PNG\r\n\x1a\n")


@impossible(("runs", "'vit_smal'"), "models (resnet, vit_small)")
def run_of_a_model_that_is_not_there(here):
    return smoke(here, "runs.1.models", ["vit_smal"])


@impossible(("models.vit_small", "patch_px 5", "32 px"), ("4 px", "change the image size"))
def patch_that_does_not_divide(here):
    return smoke(here, "models.vit_small.patch_px", 5)


@impossible(("models.vit_small", "heads 5", "width 24"), ("heads 4", "width 25"))
def heads_that_do_not_divide(here):
    return smoke(here, "models.vit_small.heads", 5)


@impossible(("models.resnet", "groups 3", "8 channels", "stem"), ("divides [8, 16]", "is 2"))
def groups_that_do_not_divide(here):
    return smoke(here, "models.resnet.groups", 3)


@impossible(
    ("resnet 4 × 4", "vit_small 8 × 8"), ("patch_px, units or stem", "require_equal_grids: false")
)
def grids_that_differ(here):
    return smoke(here, "models.vit_small.patch_px", 4)


@impossible(
    ("dataset.folder", "'../photos'", "below data_root"), ("set data_root", "SIGHTLINES_DATA")
)
def image_folder_outside_of_data_root(here):
    return smoke(here, "dataset", {"kind": "imagefolder", "folder": "../photos", "size_px": 32})


@schema(("transfer.textures.dataset", "unknown key", "'n_tran'"), "'n_train'")
def unknown_key_of_a_task_s_images(here):
    return with_task(here, {"dataset": {"kind": "textures", "n_tran": 100}})


@schema(("transfer.textures.train.steps", "0"), ("minimum of 1", "unit: steps"))
def task_that_trains_for_no_step(here):
    return with_task(here, {"train": {"steps": 0}})


@impossible(("transfer.textures.finetune", "'vti'"), ("models trained on f100", "with all skips"))
def task_that_tunes_a_model_that_is_not_there(here):
    return with_task(here, {"finetune": ["resnet", "vti"]})


@impossible(("transfer.textures", "48 px"), "the experiment's own 32")
def task_of_images_of_another_size(here):
    return with_task(here, {"dataset": {"kind": "textures", "size_px": 48}})


@impossible(("transfer.textures.dataset", "used twice"), "its own images")
def task_of_the_experiment_s_own_images(here):
    return with_task(here, {"dataset": {"kind": "shapes"}})


@impossible(("transfer.textures.train", "resnet", "warmup_steps 2"), "below steps 2")
def task_that_never_leaves_the_warm_up(here):
    return with_task(here, {"train": {"steps": 2}})


@impossible(("models.vit_small", "skipless_block 2", "depth 2"), "0 to 1")
def skipless_block_that_is_not_there(here):
    return smoke(here, "models.vit_small.skipless_block", 2)


@impossible(("figures", "figG1_finetuning"), ("task under transfer", "models to finetune", "runs"))
def figure_without_its_task(here):
    return opened(here, yaml.safe_dump(SMOKE | {"figures": ["figG1_finetuning"]}))


@impossible(
    ("figures", "fig04_attention_distance_less_data"),
    ("model with attention", "f100 and on less", "runs"),
)
def figure_without_its_networks(here):
    config = copy.deepcopy(SMOKE) | {"figures": ["fig04_attention_distance_less_data"]}
    config["runs"] = [{"models": ["vit_small"], "fractions": ["f100"], "seeds": ["s0"]}]
    return opened(here, yaml.safe_dump(config))
