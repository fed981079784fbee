"""Config files: what the schema refuses, and what only the whole config shows."""

import copy
from pathlib import Path

import yaml

from sightlines.core.errors import ConfigError
from sightlines.plan.config import FOLDER
from sightlines.plan.experiment import Experiment
from tests.bad_input.catalogue import case

MANUAL = "\nworkflow/config/README.md explains every key."
SMOKE = yaml.safe_load((FOLDER / "smoke.yaml").read_text())


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


def schema(message):
    return case("schema", ConfigError, "{here}/mine.yaml:\n  " + message + MANUAL)


def impossible(message):
    return case("config", ConfigError, "the config cannot work:\n  " + message)


@schema("train: unknown key 'learning_rat', nearest is 'learning_rate'")
def unknown_key(here):
    return smoke(here, "train.learning_rat", 0.1)


@schema("train.steps: 'many' is not of type 'integer' (unit: steps)")
def wrong_type(here):
    return smoke(here, "train.steps", "many")


@schema(
    "train.schedule: 'cosin' is not one of ['cosine', 'linear', 'constant'], nearest is 'cosine'"
)
def wrong_choice(here):
    return smoke(here, "train.schedule", "cosin")


@schema("splits.reference_batch_size: 7 is less than the minimum of 8 (unit: images)")
def minibatch_too_small(here):
    return smoke(here, "splits.reference_batch_size", 7)


@case(
    "schema",
    ConfigError,
    "{here}/mine.yaml, line 29: train.learning_rate: 1e-3 is text to some readers of YAML and "
    "0.001 to others: write 0.001 or '1e-3' for the text",
)
def number_that_is_text_to_yaml(here):
    return opened(here, (FOLDER / "smoke.yaml").read_text() + "  learning_rate: 1e-3\n")


@schema(
    "train.learning_rate: '1e-3' is not of type 'number' (unit: per step): it is text, write 0.001"
)
def number_in_quotes(here):
    return opened(here, (FOLDER / "smoke.yaml").read_text() + "  learning_rate: '1e-3'\n")


@schema("train.learning_rate: nan is not a finite number")
def learning_rate_nan(here):
    return smoke(here, "train.learning_rate", float("nan"))


@schema("models: key 18 is not text: put it in quotes")
def key_that_is_a_number(here):
    return smoke(here, "models", {18: {"family": "resnet"}})


@schema("the file: missing key 'dataset', 'models', 'runs'")
def empty_of_everything(here):
    return opened(here, "seed: 3\n")


@case(
    "schema",
    ConfigError,
    "{here}/mine.yaml is not YAML: 'utf-8' codec can't decode byte 0x89 in position 0: "
    "invalid start byte",
)
def picture_instead_of_a_config(here):
    return opened(here, b"\x89PNG\r\n\x1a\n")


@impossible("runs: model 'vit_smal' is not among models (resnet, vit_small)")
def run_of_a_model_that_is_not_there(here):
    return smoke(here, "runs.1.models", ["vit_smal"])


@impossible(
    "models.vit_small: patch_px 5 does not divide the images of 32 px: "
    "nearest that does is 4 px (or change the image size)"
)
def patch_that_does_not_divide(here):
    return smoke(here, "models.vit_small.patch_px", 5)


@impossible("models.vit_small: heads 5 does not divide width 24: nearest is heads 4, or width 25")
def heads_that_do_not_divide(here):
    return smoke(here, "models.vit_small.heads", 5)


@impossible(
    "models.resnet: groups 3 does not divide 8 channels (the stem's, or a stage's divided by 4): "
    "nearest that divides [8, 16] is 2"
)
def groups_that_do_not_divide(here):
    return smoke(here, "models.resnet.groups", 3)


@impossible(
    "token grids and last maps differ (resnet 4 × 4, vit_small 8 × 8), so their positions cannot "
    "be compared: change patch_px, units or stem, or set compare_grids: false"
)
def grids_that_differ(here):
    return smoke(here, "models.vit_small.patch_px", 4)


@impossible(
    "dataset: dataset.folder is '../photos': it must be a path below data_root (or "
    "SIGHTLINES_DATA), neither absolute nor with '..'. Put the file or folder there, or set "
    "data_root to the folder above it."
)
def image_folder_outside_of_data_root(here):
    return smoke(here, "dataset", {"kind": "imagefolder", "folder": "../photos", "size_px": 32})


@schema("transfer.textures.dataset: unknown key 'n_tran', nearest is 'n_train'")
def unknown_key_of_a_task_s_images(here):
    return with_task(here, {"dataset": {"kind": "textures", "n_tran": 100}})


@schema("transfer.textures.train.steps: 0 is less than the minimum of 1 (unit: steps)")
def task_that_trains_for_no_step(here):
    return with_task(here, {"train": {"steps": 0}})


@impossible(
    "transfer.textures.finetune: 'vti' is not among the models trained on f100 with all skips"
)
def task_that_tunes_a_model_that_is_not_there(here):
    return with_task(here, {"finetune": ["resnet", "vti"]})


@impossible("transfer.textures: its images have 48 px, the experiment's own 32")
def task_of_images_of_another_size(here):
    return with_task(here, {"dataset": {"kind": "textures", "size_px": 48}})


@impossible("transfer.textures.dataset is used twice: give each task its own images")
def task_of_the_experiment_s_own_images(here):
    return with_task(here, {"dataset": {"kind": "shapes"}})


@impossible("transfer.textures.train: resnet has warmup_steps 2, which must be below steps 2")
def task_that_never_leaves_the_warm_up(here):
    return with_task(here, {"train": {"steps": 2}})


@impossible("models.vit_small: skipless_block 2: with depth 2 the blocks are 0 to 1")
def skipless_block_that_is_not_there(here):
    return smoke(here, "models.vit_small.skipless_block", 2)


@impossible("figures: figG1_finetuning needs a task under transfer with models to finetune "
            "among the runs")  # fmt: skip
def figure_without_its_task(here):
    return opened(here, yaml.safe_dump(SMOKE | {"figures": ["figG1_finetuning"]}))


@impossible("figures: fig04_attention_distance_less_data needs a model with attention trained on "
            "f100 and on less among the runs")  # fmt: skip
def figure_without_its_networks(here):
    config = copy.deepcopy(SMOKE) | {"figures": ["fig04_attention_distance_less_data"]}
    config["runs"] = [{"models": ["vit_small"], "fractions": ["f100"], "seeds": ["s0"]}]
    return opened(here, yaml.safe_dump(config))
