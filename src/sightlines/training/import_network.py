"""Command: takes a network that somebody else trained into the experiment.

f100 has the public weights, or those of a file; f000 is its untrained twin. Both leave the files
that training leaves, the history without a row. The card says which of the network's outputs stand
for the classes of the images (`answers`), where names decide that (`class_order`).
"""

from pathlib import PurePosixPath
from typing import Any

from sightlines.core import devices, files
from sightlines.core.errors import WeightsError
from sightlines.core.files import sha256
from sightlines.datasets.reading import ImageSet, open_dataset
from sightlines.datasets.store import read_manifest
from sightlines.jobs.command import Job, run
from sightlines.models import building
from sightlines.models.weight_fitting import Fitted
from sightlines.plan import registry, schedule
from sightlines.plan.networks import UNTRAINED, Network
from sightlines.training.class_file import read_class_file, require_length
from sightlines.training.class_order import TIMM_ENDINGS, ClassOrder, find_order
from sightlines.training.history import write_history


def main(job: Job) -> None:
    """Read or fetch the weights, check them, and write the network's three files."""
    network, settings = Network(*job.config["network"]), job.config["model"]
    compute = devices.prepare(job.config["compute"])
    job.notes |= compute.describe()
    image_set = open_dataset(job.input("dataset"), job.source, compute)
    family = registry.load("models", settings["family"])
    weights = registry.load_beside("models", settings["family"], "weights")
    names = weights.outputs_of(settings)
    sees = family.view(building.architecture(settings), image_set.size_px)
    seed = schedule.init_seed(job.config["seed"], network, is_shared=False)
    model = building.build(settings, sees["size_px"], len(names), seed).eval()
    origin, fitted = "untrained", Fitted({}, [])
    if network.fraction == UNTRAINED:
        weights.leave_untrained(model, settings)
    else:
        stated = job.config["source"]
        from_where, digest, fitted = weights.bring(model, settings, job.source, stated, job.log)
        model.load_state_dict(fitted.state)
        origin = f"{from_where} sha256:{digest}"
        job.log.info(f"weights from {from_where}, SHA-256 {digest}")
        for note in fitted.notes():
            job.log.info(note)
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    files.write_tensors(job.output("weights"), state, {"network": network.slug})
    order = _class_order(job, settings, image_set, names)
    write_history(job.output("history"))
    card = {
        "network": network.slug,
        "family": settings["family"],
        "architecture": building.architecture(settings),
        "fraction": network.fraction,
        "seed": network.seed,
        "root_seed": job.config["seed"],
        "dataset_sha256": sha256(job.input("dataset")),
        "splits_sha256": sha256(job.input("splits")),
    }
    card |= weights.on_card(settings, image_set.size_px) | sees
    card |= {"origin": origin, "parameters": sum(p.numel() for p in model.parameters())}
    card |= {"classes": order.name_outputs(names, image_set.classes), "answers": order.outputs}
    card |= {"class_order": order.taken, "class_order_note": order.note}
    card |= {"weights_note": "; ".join(fitted.notes())}
    files.write_json(job.output("card"), card | fitted.on_card())


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


if __name__ == "__main__":
    run(main)
