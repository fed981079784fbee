"""Files that earlier stages wrote, damaged or put in one another's place."""

import json
import pickle

import numpy as np
import pandas as pd

from sightlines.core.errors import ConfigError, ResultError, TrainingError, WeightsError
from sightlines.core.files import read_json, write_json, write_tensors
from sightlines.datasets import split
from sightlines.dumps.reading import GramDump
from sightlines.plan import registry
from sightlines.results.tables import required
from sightlines.run import dump, figure, measure
from tests.bad_input.catalogue import case, job
from tests.dumps import making_experiments as experiments
from tests.measures.making_dumps import random_minibatches, write_attention, write_gram
from tests.measures.predicting import make_predictions
from tests.training import jobs

REBUILD = ("delete it", "run snakemake again")
RETRAIN = ("delete its folder", "run snakemake again to train")


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


def too_many(key, wanted, there, *more):
    names = (f"splits.{key}", f"{wanted} images", f"{there} to choose", *more)
    return case("files", ConfigError, names, (f"lower splits.{key}", f"at most {there} images"))


@too_many("validation", 60, 58, "stays for training")
def more_validation_images_than_there_are(here):
    return divided(here, "training", validation=60)


@too_many("reference_batches (or reference_batch_size)", 44, 43)
def more_reference_images_than_test_images(here):
    return divided(here, "reference", reference_batches=4, reference_batch_size=11)


@too_many("probe_held_out", 8, 7)
def more_probe_images_than_validation_images(here):
    return probed(here, probe_held_out=8)


def of_another_dataset(name):
    names = (f"{{here}}/{name}", "another dataset", "{here}/data/dataset.json")
    return case("files", ResultError, names, REBUILD)


@of_another_dataset("splits.safetensors")
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
    """Weights that do not fit: each of the offending tensors, and what it is instead of what."""
    names = ("{here}/weights.safetensors", "card")
    return case("files", WeightsError, names, RETRAIN, lines=[(line, ()) for line in lines])


@case("files", WeightsError, ("{here}/weights.safetensors", "empty"), REBUILD)
def weights_of_no_bytes(here):
    return dumped(here, damage=rewritten("weights.safetensors", lambda old: b""))


@case("files", WeightsError, ("{here}/weights.safetensors", "header is longer"), REBUILD)
def weights_cut_off_in_the_header(here):
    return dumped(here, damage=rewritten("weights.safetensors", lambda old: old[:99]))


@case("files", WeightsError, ("{here}/weights.safetensors", "by sightlines"), REBUILD)
def weights_of_another_program(here):
    def renamed(old):
        return old.replace(b'"sightlines"', b'"elsewhere_"')

    return dumped(here, damage=rewritten("weights.safetensors", renamed))


@misfit(("head.weight", "2 not finite"))
def weights_with_nan(here):
    def change(state):
        state["head.weight"][0, :2] = np.nan, np.inf

    return dumped(here, change)


@misfit(
    ("cls_token", "missing"),
    ("extra", "unknown"),
    ("norm.bias", "shape (5,)", "instead of (12,)"),
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


@misfit(("cls_token", "unknown"), ("pos_embed", "shape (1, 5, 12)", "instead of (1, 4, 12)"))
def card_of_another_architecture(here):
    return dumped(here, damage=edited_card(architecture={"pool": "gap"}))


@case("files", ResultError, ("{here}/card.json", "family 'vitt'"), RETRAIN)
def card_of_an_unknown_family(here):
    return dumped(here, damage=edited_card(family="vitt"))


@case("files", ResultError, ("{here}/card.json", "line 1 column 1"), REBUILD)
def card_of_no_bytes(here):
    return dumped(here, damage=rewritten("card.json", lambda old: b""))


def other_images(here):
    experiments.make_dataset(here / "data", train=13, test=17, seed=5)


@of_another_dataset("reference.safetensors")
def reference_images_of_another_dataset(here):
    return dumped(here, damage=other_images)


@of_another_dataset("probes.safetensors")
def probe_images_of_another_dataset(here):
    return dumped(here, damage=other_images, kind="features")


@case(
    "files",
    ResultError,
    ("{here}/data/test_images.npy", "{here}/data/dataset.json", "SHA-256 is 8ce0b5c0a38f"),
    ("delete both", "run snakemake again"),
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
    ("train.crop_padding_px 8", "images of 8 px"),
    "at most 7",
)
def padding_larger_than_the_image(here):
    return trained(here, crop_padding_px=8)


DIVERGED = {"optimizer": "sgd", "learning_rate": 1e30, "warmup_steps": 0, "clip_norm": 0.0}


@case(
    "files",
    TrainingError,
    (
        *("loss is nan", "step 1 of 23", "learning rate 9.95e+29", "training images {batch}"),
        *("after 0 steps", ".cache/sightlines/training/{state}"),
    ),
    (
        *("lower train.learning_rate", "raise train.warmup_steps", "train.clip_norm"),
        *("train.precision: fp32", "run the same command again"),
    ),
)
def training_that_diverges(here):
    return trained(here, **DIVERGED)


@of_another_dataset("splits.safetensors")
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
    ("{here}/0.safetensors", "{here}/1.safetensors", "different reference images"),
    ("delete the older", "run snakemake again"),
)
def dumps_of_different_reference_images(here):
    return compared(here, reference="another")


@case("files", ResultError, ("{here}/1.safetensors", "1668 bytes", "1768"), REBUILD)
def dump_cut_off(here):
    return compared(here, rewritten("1.safetensors", lambda old: old[:-100]))


@case("files", ResultError, ("{here}/1.safetensors", "gram.001", "not finite"), REBUILD)
def dump_with_nan(here):
    nan = np.float32(np.nan).tobytes()
    return compared(here, rewritten("1.safetensors", lambda old: old[:-4] + nan))


@case("files", ResultError, ("{here}/1.safetensors", "gram.000", "(2, 66)", "(2, 55)"), REBUILD)
def dump_of_another_shape(here):
    def damage(here):
        meta = GramDump(here / "1.safetensors").meta
        grams = {"gram.000": np.zeros((2, 55)), "gram.001": np.zeros((2, 91))}
        grams = {name: gram.astype(np.float32) for name, gram in grams.items()}
        write_tensors(here / "1.safetensors", grams, meta)

    return compared(here, damage)


@case("files", ResultError, ("{here}/heads.safetensors", "lacks 'layers'"), REBUILD)
def attention_dump_where_a_gram_dump_should_be(here):
    statistics = {name: [np.ones((5, 2, 3))] for name in ("distance_px", "entropy_nats")}
    write_attention(here / "heads.safetensors", statistics)
    inputs = {"gram": here / "heads.safetensors"}
    outputs = {"cka": here / "cka.parquet"}
    return job(measure.main, {"networks": ["vit/f100/s0"]}, inputs, outputs, member="cka")


@case(
    "files",
    ResultError,
    ("{here}/heads.safetensors", "distance_renormalised_px.000", "(5, 2, 3)", "nothing"),
    REBUILD,
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
    return job(figure.main, config, inputs, outputs, member="fig01_cka_within")


@case("files", ResultError, ("{here}/cka.parquet", "Parquet table"), REBUILD)
def table_that_is_no_parquet(here):
    return drawn(here, b"no parquet, but long enough", b"model\n")


LAYERS = b"model,layer,name,kind,block,depth,features\nvit,0,embed.patch,embed,-1,0,11\n"


@case("files", ResultError, ("{here}/cka.parquet", "lacks", "layer_b, cka"), REBUILD)
def table_without_columns(here):
    kept = [name for name in required("cka.parquet") if name not in ("layer_b", "cka")]
    return drawn(here, pd.DataFrame(columns=kept).to_parquet(), LAYERS)


@case("files", ResultError, ("{here}/layers.csv", "CSV table"), REBUILD)
def table_that_is_a_picture(here):
    pd.DataFrame(columns=required("cka.parquet")).to_parquet(here / "cka.parquet")
    (here / "layers.csv").write_bytes(b"\x89PNG\r\n\x1a\n")
    inputs = {name: here / name for name in ("cka.parquet", "layers.csv")}
    config = {"networks": ["vit/f100/s0"]}
    outputs = {"data_fractions": here / "out.csv"}
    return job(measure.main, config, inputs, outputs, member="data_fractions")


@case(
    "files",
    ResultError,
    ("{here}/history.csv", "lacks", "split, accuracy, learning_rate"),
    REBUILD,
)
def history_without_columns(here):
    (here / "history.csv").write_text("step,loss\n1,2\n")
    inputs, outputs = {"history.csv": here / "history.csv"}, {"curves": here / "curves.csv"}
    return job(measure.main, {"networks": ["vit/f100/s0"]}, inputs, outputs, member="curves")


@case("files", ResultError, ("{here}/card.json", "NaN"), REBUILD)
def card_with_nan(here):
    (here / "card.json").write_text('{"parameters": NaN}')
    make_predictions(here / "predictions.safetensors")
    inputs = {"predictions": here / "predictions.safetensors", "card.json": here / "card.json"}
    outputs = {"accuracy": here / "accuracy.csv"}
    return job(measure.main, {"networks": ["vit/f100/s0"]}, inputs, outputs, member="accuracy")
