"""Files that earlier stages wrote, damaged or put in one another's place."""

import json
import pickle

import numpy as np
import pandas as pd

from sightlines.core.errors import ConfigError, ResultError, TrainingError, WeightsError
from sightlines.core.files import read_json, write_json, write_tensors
from sightlines.datasets import split
from sightlines.dumps.reading import GramDump
from sightlines.figures import fig01_cka_within
from sightlines.plan import registry
from sightlines.results.tables import COLUMNS
from sightlines.run import dump, measure
from tests.bad_input.catalogue import case, job
from tests.dumps import making_experiments as experiments
from tests.measures.making_dumps import random_minibatches, write_attention, write_gram
from tests.measures.predicting import make_predictions
from tests.training import jobs

REBUILD = "Delete it and run snakemake again to rebuild it."
RETRAIN = "Delete its folder and run snakemake again to train it anew."


# -- splits ------------------------------------------------------------------------------


def divided(here, part, output="out", **settings):
    """`sightlines.datasets.split` for one part of the images."""
    dataset = experiments.make_dataset(here / "data", train=61, test=43)
    inputs = {"dataset": dataset, "splits": here / "splits.safetensors"}
    config = {"part": part, "seed": 3, "splits": settings}
    return job(split.main, config, inputs, {"splits": here / output})


def probed(here, **settings):
    """`sightlines.datasets.split` for probes, after the part that they are drawn from."""
    divided(here, "training", output="splits.safetensors", validation=7)()
    wanted = {"probe_train": 5, "probe_held_out": 3, "probe_test": 3} | settings
    return divided(here, "probes", **wanted)


def too_many(key, wanted, there, more=""):
    return (
        f"splits.{key} asks for {wanted} images, but there are {there} to choose from{more}: "
        f"lower splits.{key} to at most {there} images in all"
    )


STAYS = " when 1 of each class stays for training"


@case("files", ConfigError, too_many("validation", 60, 58, STAYS))
def more_validation_images_than_there_are(here):
    return divided(here, "training", validation=60)


@case("files", ConfigError, too_many("reference_batches (or reference_batch_size)", 44, 43))
def more_reference_images_than_test_images(here):
    return divided(here, "reference", reference_batches=4, reference_batch_size=11)


@case("files", ConfigError, too_many("probe_held_out", 8, 7))
def more_probe_images_than_validation_images(here):
    return probed(here, probe_held_out=8)


OTHER = "divides another dataset than {here}/data/dataset.json: delete it and run snakemake again"


@case("files", ResultError, f"{{here}}/splits.safetensors {OTHER}")
def probes_drawn_from_splits_of_another_dataset(here):
    command = probed(here)
    experiments.make_dataset(here / "data", train=61, test=43, seed=5)
    return command


# -- weights and cards -------------------------------------------------------------------


def dumped(here, change=None, damage=None, sizes=(7, 5), kind="gram"):
    """A dump, of Grams if not another, of an untrained ViT."""
    dataset = experiments.make_dataset(here / "data", train=13, test=17)
    splits = {
        "reference": experiments.make_reference(dataset, here / "reference.safetensors", sizes),
        "probes": experiments.make_probes(dataset, here / "probes.safetensors", (5, 3, 2)),
    }
    experiments.make_network(here, experiments.VIT, dataset, change=change)
    if damage:
        damage(here)
    inputs = {
        "dataset": dataset,
        "splits": splits[registry.declarations("dumps", kind)["SPLITS"]],
        "weights": here / "weights.safetensors",
        "card": here / "card.json",
    }
    config = {"network": ["vit", "f000", "s0"], "compute": experiments.COMPUTE}
    return job(dump.main, config, inputs, {"dump": here / "dump.safetensors"}, member=kind)


def rewritten(name, edit):
    def damage(here):
        (here / name).write_bytes(edit((here / name).read_bytes()))

    return damage


def misfit(*lines):
    listed = "".join(f"\n  {line}" for line in lines)
    return f"{{here}}/weights.safetensors does not fit the network on its card:{listed}\n{RETRAIN}"


@case("files", WeightsError, "cannot read {here}/weights.safetensors: it is empty. " + REBUILD)
def weights_of_no_bytes(here):
    return dumped(here, damage=rewritten("weights.safetensors", lambda old: b""))


@case(
    "files",
    WeightsError,
    "cannot read {here}/weights.safetensors: its header is longer than the file. " + REBUILD,
)
def weights_cut_off_in_the_header(here):
    return dumped(here, damage=rewritten("weights.safetensors", lambda old: old[:99]))


@case(
    "files",
    WeightsError,
    "cannot read {here}/weights.safetensors: it was not written by sightlines. " + REBUILD,
)
def weights_of_another_program(here):
    def renamed(old):
        return old.replace(b'"sightlines"', b'"elsewhere_"')

    return dumped(here, damage=rewritten("weights.safetensors", renamed))


@case("files", WeightsError, misfit("head.weight: 2 not finite"))
def weights_with_nan(here):
    def change(state):
        state["head.weight"][0, :2] = np.nan, np.inf

    return dumped(here, change)


@case(
    "files",
    WeightsError,
    misfit(
        "cls_token: missing",
        "extra: unknown",
        "norm.bias: shape (5,) instead of (12,)",
    ),
)
def weights_missing_foreign_and_misshapen(here):
    def change(state):
        del state["cls_token"]
        state["extra"] = np.zeros(3, np.float32)
        state["norm.bias"] = np.zeros(5, np.float32)

    return dumped(here, change)


def edited_card(**values):
    def damage(here):
        card = read_json(here / "card.json")
        card["architecture"] |= values.pop("architecture", {})
        write_json(here / "card.json", card | values)

    return damage


@case(
    "files",
    WeightsError,
    misfit("cls_token: unknown", "pos_embed: shape (1, 5, 12) instead of (1, 4, 12)"),
)
def card_of_another_architecture(here):
    return dumped(here, damage=edited_card(architecture={"pool": "gap"}))


@case(
    "files",
    ResultError,
    "{here}/card.json names the family 'vitt', which is not known: it is no card of a network. "
    + RETRAIN,
)
def card_of_an_unknown_family(here):
    return dumped(here, damage=edited_card(family="vitt"))


@case(
    "files",
    ResultError,
    "cannot read {here}/card.json: Expecting value: line 1 column 1 (char 0). " + REBUILD,
)
def card_of_no_bytes(here):
    return dumped(here, damage=rewritten("card.json", lambda old: b""))


def other_images(here):
    experiments.make_dataset(here / "data", train=13, test=17, seed=5)


@case("files", ResultError, f"{{here}}/reference.safetensors {OTHER}")
def reference_images_of_another_dataset(here):
    return dumped(here, damage=other_images)


@case("files", ResultError, f"{{here}}/probes.safetensors {OTHER}")
def probe_images_of_another_dataset(here):
    return dumped(here, damage=other_images, kind="features")


@case(
    "files",
    ResultError,
    "{here}/data/test_images.npy is not the file that {here}/data/dataset.json names (its "
    "SHA-256 is 8ce0b5c0a38f…). Delete both and run snakemake again to rebuild them.",
)
def images_replaced_by_a_pickle(here):
    array = np.array([{"a": 1}], object)
    return dumped(here, damage=rewritten("data/test_images.npy", lambda old: pickle.dumps(array)))


# -- training ------------------------------------------------------------------------------


def trained(here, **recipe):
    dataset = jobs.write_dataset(here / "data")
    splits = jobs.write_splits(here / "splits.safetensors", dataset)
    from sightlines.training.train import main

    outputs = {name: here / "out" / file for name, file in jobs.RESULTS.items()}
    inputs = {"dataset": dataset, "splits": splits}
    return job(main, json.loads(json.dumps(jobs.job_config(**recipe))), inputs, outputs)


@case(
    "files",
    ConfigError,
    "train.crop_padding_px 8 reflects more than there is in images of 8 px: use at most 7",
)
def padding_larger_than_the_image(here):
    return trained(here, crop_padding_px=8)


DIVERGED = {"optimizer": "sgd", "learning_rate": 1e30, "warmup_steps": 0, "clip_norm": 0.0}


@case(
    "files",
    TrainingError,
    "the loss is nan at step 1 of 23 (learning rate 9.95e+29; minibatch of training images "
    "{batch}, …). The last good state, after 0 steps, is kept in "
    ".cache/sightlines/training/{state}. Lower train.learning_rate, or raise train.warmup_steps, "
    "or set train.clip_norm or train.precision: fp32; then run the same command again.",
)
def training_that_diverges(here):
    return trained(here, **DIVERGED)


@case("files", ResultError, f"{{here}}/splits.safetensors {OTHER}")
def training_on_splits_of_another_dataset(here):
    command = trained(here)
    experiments.make_dataset(here / "data")
    return command


# -- dumps and tables --------------------------------------------------------------------


def compared(here, damage=None, networks=("vit/f100/s0", "vit/f100/s1"), **second):
    """The measure `cka` on two Gram dumps."""
    for place, slug in enumerate(("vit/f100/s0", "vit/f100/s1")):
        minibatches = random_minibatches(place, [11, 13], [3, 5])
        own = second if place else {}
        write_gram(here / f"{place}.safetensors", minibatches, slug.split("/"), **own)
    if damage:
        damage(here)
    names = ("layers.csv", "cka.parquet", "cka_shuffled.parquet", "cka_degenerate.csv")
    outputs = {name.split(".")[0]: here / "tables" / name for name in names}
    inputs = {"gram": [here / "0.safetensors", here / "1.safetensors"]}
    config = {"networks": list(networks), "dumped": {"gram": list(networks)}, "seed": 1}
    return job(measure.main, config, inputs, outputs, member="cka")


@case(
    "files",
    ResultError,
    "{here}/0.safetensors and {here}/1.safetensors are of different reference images or "
    "minibatches and cannot be compared. Delete the older one and run snakemake again.",
)
def dumps_of_different_reference_images(here):
    return compared(here, reference="another")


@case(
    "files",
    ResultError,
    "cannot read {here}/1.safetensors: it has 1668 bytes instead of 1768. " + REBUILD,
)
def dump_cut_off(here):
    return compared(here, rewritten("1.safetensors", lambda old: old[:-100]))


@case(
    "files",
    ResultError,
    "{here}/1.safetensors: tensor gram.001 holds numbers that are not finite. " + REBUILD,
)
def dump_with_nan(here):
    nan = np.float32(np.nan).tobytes()
    return compared(here, rewritten("1.safetensors", lambda old: old[:-4] + nan))


@case(
    "files",
    ResultError,
    "{here}/1.safetensors: tensor gram.000 should be (2, 66), found (2, 55). " + REBUILD,
)
def dump_of_another_shape(here):
    def damage(here):
        meta = GramDump(here / "1.safetensors").meta
        grams = {"gram.000": np.zeros((2, 55)), "gram.001": np.zeros((2, 91))}
        grams = {name: gram.astype(np.float32) for name, gram in grams.items()}
        write_tensors(here / "1.safetensors", grams, meta)

    return compared(here, damage)


@case(
    "files",
    ResultError,
    "{here}/heads.safetensors: its description lacks 'layers'. " + REBUILD,
)
def attention_dump_where_a_gram_dump_should_be(here):
    statistics = {name: [np.ones((5, 2, 3))] for name in ("distance_px", "entropy_nats")}
    write_attention(here / "heads.safetensors", statistics)
    inputs = {"gram": here / "heads.safetensors"}
    outputs = {"cka": here / "cka.parquet"}
    return job(measure.main, {"networks": ["vit/f100/s0"]}, inputs, outputs, member="cka")


@case(
    "files",
    ResultError,
    "{here}/heads.safetensors: tensor distance_renormalised_px.000 should be (5, 2, 3), "
    "found nothing. " + REBUILD,
)
def attention_dump_without_a_statistic(here):
    write_attention(here / "heads.safetensors", {"distance_px": [np.ones((5, 2, 3))]})
    outputs = {"attention_distance": here / "attention_distance.csv"}
    inputs = {"attention": here / "heads.safetensors"}
    config = {"networks": ["vit/f100/s0"]}
    return job(measure.main, config, inputs, outputs, member="attention_distance")


def drawn(here, cka_bytes, layers_bytes):
    (here / "cka.parquet").write_bytes(cka_bytes)
    (here / "layers.csv").write_bytes(layers_bytes)
    inputs = {name: here / name for name in ("cka.parquet", "layers.csv")}
    config = {"networks": ["vit/f100/s0"], "labels": {}, "families": {"vit": "vit"}}
    outputs = {"svg": here / "f.svg", "png": here / "f.png"}
    return job(fig01_cka_within.main, config, inputs, outputs)


@case(
    "files",
    ResultError,
    "cannot read {here}/cka.parquet: it is not a whole Parquet table. " + REBUILD,
)
def table_that_is_no_parquet(here):
    return drawn(here, b"no parquet, but long enough", b"model\n")


LAYERS = b"model,layer,name,kind,block,depth,features\nvit,0,embed.patch,embed,-1,0,11\n"


@case(
    "files",
    ResultError,
    "{here}/cka.parquet lacks the columns layer_b, cka. " + REBUILD,
)
def table_without_columns(here):
    kept = [name for name in COLUMNS["cka.parquet"] if name not in ("layer_b", "cka")]
    return drawn(here, pd.DataFrame(columns=kept).to_parquet(), LAYERS)


@case(
    "files", ResultError, "cannot read {here}/layers.csv: it is not a whole CSV table. " + REBUILD
)
def table_that_is_a_picture(here):
    pd.DataFrame(columns=COLUMNS["cka.parquet"]).to_parquet(here / "cka.parquet")
    (here / "layers.csv").write_bytes(b"\x89PNG\r\n\x1a\n")
    inputs = {name: here / name for name in ("cka.parquet", "layers.csv")}
    config = {"networks": ["vit/f100/s0"]}
    outputs = {"data_fractions": here / "out.csv"}
    return job(measure.main, config, inputs, outputs, member="data_fractions")


@case(
    "files",
    ResultError,
    "{here}/history.csv lacks the columns split, accuracy, learning_rate. " + REBUILD,
)
def history_without_columns(here):
    (here / "history.csv").write_text("step,loss\n1,2\n")
    inputs, outputs = {"history.csv": here / "history.csv"}, {"curves": here / "curves.csv"}
    return job(measure.main, {"networks": ["vit/f100/s0"]}, inputs, outputs, member="curves")


@case(
    "files",
    ResultError,
    "cannot read {here}/card.json: it holds NaN, which is not a finite number. " + REBUILD,
)
def card_with_nan(here):
    (here / "card.json").write_text('{"parameters": NaN}')
    make_predictions(here / "predictions.safetensors")
    inputs = {"predictions": here / "predictions.safetensors", "card.json": here / "card.json"}
    outputs = {"accuracy": here / "accuracy.csv"}
    return job(measure.main, {"networks": ["vit/f100/s0"]}, inputs, outputs, member="accuracy")
