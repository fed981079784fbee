"""Command: takes a network that somebody else trained into the experiment, and scores it.

f100 has the public weights, or those of a file; f000 is its untrained twin. Both leave the files
that training leaves. Accuracy is over all of the network's outputs, where it is known which of them
stand for the classes of the images (`class_order`). Else no accuracy is claimed.
"""

from pathlib import PurePosixPath
from typing import Any

import numpy as np
from torch import nn

from sightlines.core import devices, files
from sightlines.core.errors import WeightsError
from sightlines.core.files import sha256
from sightlines.core.progress import Progress
from sightlines.datasets.reading import ImageSet, open_dataset
from sightlines.datasets.store import open_splits, read_manifest
from sightlines.datasets.views import View
from sightlines.jobs.command import Job, run
from sightlines.models import building, timm, weight_fitting
from sightlines.models.timm_facts import facts
from sightlines.models.timm_names import class_names
from sightlines.models.weight_fitting import Fitted
from sightlines.plan import schedule
from sightlines.plan.networks import UNTRAINED, Network
from sightlines.training.class_file import read_class_file, require_length
from sightlines.training.class_order import TIMM_ENDINGS, ClassOrder, find_order
from sightlines.training.evaluation import Scores, Sight, evaluate

HISTORY = "step,split,loss,accuracy,learning_rate\n"
TWIN_SCORED = 1000
"""Test images on which an untrained twin is scored, at most."""
ACCURACIES = ("accuracy_test", "loss_test", "accuracy_validation", "accuracy_train", "accuracy_all")


def main(job: Job) -> None:
    """Read or fetch the weights, check them, score the network, and write its four files."""
    network, settings = Network(*job.config["network"]), job.config["model"]
    compute = devices.prepare(job.config["compute"])
    job.notes |= compute.describe()
    image_set = open_dataset(job.input("dataset"), job.source, compute)
    names = class_names(facts(settings)["outputs"])
    sees = timm.view(building.architecture(settings), image_set.size_px)
    seed = schedule.init_seed(job.config["seed"], network, is_shared=False)
    model = building.build(settings, sees["size_px"], len(names), seed).eval()
    origin, fitted = _import(job, network, settings, model)
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    files.write_tensors(job.output("weights"), state, {"network": network.slug})
    model = building.placed(model, compute.device)
    order = _class_order(job, settings, image_set, names)
    sight = Sight(View.of(sees), sees["mean"], sees["std"], order.outputs)
    facts_of_it = {
        "chance": 1 / max(len(names), 1),
        "steps": 0,
        "parameters": sum(p.numel() for p in model.parameters()),
        "train_images": 0,
    }
    metrics = _score(job, network, model, image_set, sight) | facts_of_it
    metrics |= {"class_order": order.taken, "class_order_note": order.note}
    metrics |= {"weights_note": "; ".join(fitted.notes())}
    with files.atomic(job.output("history")) as handle:
        handle.write((HISTORY + _history_row(metrics)).encode())
    files.write_json(job.output("metrics"), metrics)
    card = _describe(job, network, settings) | sees
    card |= {"origin": origin, "parameters": facts_of_it["parameters"]}
    card |= {"classes": order.name_outputs(names, image_set.classes)}
    card |= {"class_order": order.taken, "class_order_note": order.note}
    files.write_json(job.output("card"), card | fitted.on_card())


def _describe(job: Job, network: Network, settings: dict[str, Any]) -> dict[str, Any]:
    """The card, but for what the network sees and answers."""
    known = facts(settings)
    return {
        "network": network.slug,
        "family": settings["family"],
        "architecture": building.architecture(settings),
        "grid": known["grid"],
        "centres": known["centres"],
        "fraction": network.fraction,
        "seed": network.seed,
        "root_seed": job.config["seed"],
        "timm": f"{known['name']}.{known['tag']}".rstrip("."),
        "dataset_sha256": sha256(job.input("dataset")),
        "splits_sha256": sha256(job.input("splits")),
    }


def _class_order(
    job: Job, settings: dict[str, Any], image_set: ImageSet, outputs: list[str]
) -> ClassOrder:
    """The outputs that stand for the images' classes; which order was taken is said.

    Raises:
        WeightsError: the config's `class_file` is no list of the outputs' names, or changed.
    """
    listed = None
    if file := settings.get("class_file", ""):
        path = job.source / file
        listed = read_class_file(path)
        if sha256(path) != job.config["class_file"]:
            raise WeightsError(f"{path} changed since snakemake started: run snakemake again")
        require_length(path, listed, len(outputs))
    is_folder = image_set.facts["storage"] == "photographs"
    seen = _seen_by_timm(image_set) if is_folder and image_set.classes else None
    wanted = settings.get("class_order", "auto")
    order = find_order(image_set.classes, outputs, wanted, listed, seen, is_folder)
    if order.outputs:
        job.log.info(f"outputs in the class order {order.taken}: {order.note}")
    else:
        job.log.warning(f"no accuracy, class order {order.taken}: {order.note}")
    return order


def _seen_by_timm(image_set: ImageSet) -> set[str]:
    """Classes with an image that timm's reader of folders sees where it trains."""
    seen = set()
    for split in ("train",) if image_set.facts.get("has_val") else ("train", "test"):
        table = read_manifest(image_set.path, image_set.facts, split)
        for path, label in zip(table["path"], table["label"], strict=True):
            if PurePosixPath(path).suffix.lower() in TIMM_ENDINGS:
                seen.add(image_set.classes[label])
    return seen


def _import(
    job: Job, network: Network, settings: dict[str, Any], model: nn.Module
) -> tuple[str, Fitted]:
    """Give the model its weights.

    Returns:
        Where they come from, in words, and what was done to bring them to its names and shapes.
    """
    if network.fraction == UNTRAINED:
        if timm.is_grey(settings):
            weight_fitting.see_luminance(model)
        return "untrained", Fitted({}, [])
    known = facts(settings)
    if settings["weights"] == "hub":
        from sightlines.models import hub

        filename = known["hub_file"] or "model.safetensors"
        fetched = hub.fetch(known["hub_id"], filename, settings["revision"], job.source, job.log)
        path, origin, digest = fetched.path, fetched.origin, fetched.sha256
        placed = job.config["source"] == digest
        if origin.startswith("file:") and not placed:
            raise WeightsError(f"{path} was put there since snakemake started: run it again")
    else:
        path = job.source / settings["weights"]
        origin = f"file:{settings['weights']}"
        digest = sha256(path) if path.is_file() else ""
        if digest and digest != job.config["source"]:
            raise WeightsError(f"{path} changed since snakemake started: run snakemake again")
    is_resized = known["size_px"] != known["own_px"] or "patch_px" in settings
    wanted = settings.get("weight_set", "")
    is_grey = timm.is_grey(settings)
    fitted = weight_fitting.fit(model, path, known["file"], is_resized, wanted, is_grey)
    model.load_state_dict(fitted.state)
    job.log.info(f"weights from {origin}, SHA-256 {digest}")
    for note in fitted.notes():
        job.log.info(note)
    return f"{origin} sha256:{digest}", fitted


def _score(
    job: Job, network: Network, model: nn.Module, image_set: ImageSet, sight: Sight
) -> dict[str, Any]:
    """Accuracies; None where they are not known.

    A network that was trained elsewhere has seen none of these images here, so all of them, test
    images or not, say what it can (`accuracy_all`). An untrained twin is scored on some
    test images.
    """
    splits = open_splits(job.input("splits"), job.input("dataset"))
    classes, labels = len(image_set.classes), image_set.labels("test")
    tests, validation = np.asarray(splits["test"]), np.asarray(splits["validation"])
    others = np.setdiff1d(np.arange(len(image_set.labels("train"))), validation)
    nothing = dict.fromkeys(ACCURACIES) | {"all_images": 0}
    if not sight.answers:
        counts = np.bincount(labels[tests], minlength=classes)
        return nothing | {"confusion": [[0] * classes + [int(n)] for n in counts]}
    is_twin = network.fraction == UNTRAINED
    if is_twin:
        few = np.linspace(0, len(tests) - 1, min(TWIN_SCORED, len(tests)))
        tests, validation, others = tests[few.astype(np.int64)], validation[:0], others[:0]
    progress = Progress(len(tests) + len(validation) + len(others), "images scored")
    done = 0

    def count(images: int) -> None:
        nonlocal done
        done += images
        progress.update(done)

    def score(split: str, indices: np.ndarray) -> Scores:
        size = job.config["compute"]["batch_size"]
        return evaluate(model, image_set, split, indices, image_set.compute, size, sight, count)

    test = score("test", tests)
    found = nothing | {"accuracy_test": test.accuracy, "loss_test": test.loss}
    found["confusion"] = test.confusion.tolist()
    if is_twin:
        return found
    held_out = score("train", validation)
    rest = score("train", others) if len(others) else held_out
    parts = ((test, tests), (held_out, validation), (rest, others))
    images = sum(len(indices) for _, indices in parts)
    right = sum(scores.accuracy * len(indices) for scores, indices in parts)
    found |= {"accuracy_validation": held_out.accuracy, "accuracy_train": rest.accuracy}
    return found | {"accuracy_all": right / images, "all_images": images}


def _history_row(metrics: dict[str, Any]) -> str:
    """The one point of a network that is not trained here: step 0, on the test images."""
    if metrics["loss_test"] is None:
        return ""
    return f"0,validation,{metrics['loss_test']:.9g},{metrics['accuracy_test']:.9g},0\n"


if __name__ == "__main__":
    run(main)
