"""Command: chooses the labelled images for linear probes, to which no network was fitted.

A network has seen its training images, the one on all of them each, the one on a tenth only some:
probes fitted to those would measure memory as well, and of each network another share of it. So
probes are fitted to test images that do not test them, as far as there are so many; the networks
need no images for that and stay as they are. Held-out images are validation images, as before.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int64

from sightlines.core.errors import ConfigError
from sightlines.core.files import sha256, write_tensors
from sightlines.datasets.split import (
    Labels,
    choose_probes,
    describe,
    order_labelled,
    strata_of,
)
from sightlines.datasets.store import open_splits, read_dataset, read_labels
from sightlines.jobs.command import Job, run


def choose(
    labels: Mapping[str, Labels],
    train: Int64[np.ndarray, " trained"],
    validation: Int64[np.ndarray, " held_out"],
    settings: Mapping[str, int],
    seed: int,
    pool: str,
) -> tuple[dict[str, np.ndarray], str]:
    """Labelled images that probes are fitted to, chosen by and tested on; see `choose_probes`.

    Args:
        labels: Classes of the dataset's `train` and `test` images.
        train: Images that networks are trained on.
        validation: Images that `probe_held_out` is drawn from.
        settings: The config's `splits`, or what of it this uses.
        seed: The experiment's root seed.
        pool: Where `probe_train` is drawn from: ``train``; ``test``, the images that do not test
            the probes; ``auto``, these if there are enough of them.

    Returns:
        The images, and the split of the dataset that `probe_train` and its order index.

    Raises:
        ConfigError: more images wanted than there are, with the key to lower.
    """
    wanted, tests = settings["probe_train"], len(labels["test"])
    room = max(tests - settings["probe_test"], 0)
    if pool == "test" and wanted > room:
        raise ConfigError(
            f"splits.probe_train asks for {wanted} test images that do not test probes, but of "
            f"{tests} there are {room}: lower probe_train or probe_test, or set splits.probe_pool "
            "to train, where probes are fitted to images that networks were trained on"
        )
    if pool == "train" or wanted > room:
        return choose_probes(labels, train, validation, settings, seed), "train"
    found = choose_probes(labels, train, validation, {**settings, "probe_train": 0}, seed)
    rest = found["order_test"][settings["probe_test"] :]
    order = order_labelled(labels["test"], rest, seed, "probe_train")
    return found | {"probe_train": order[:wanted], "order_train": order}, "test"


def main(job: Job) -> None:
    """Choose the images for the probes of an experiment, and write `splits`."""
    path = job.input("dataset")
    dataset = read_dataset(path)
    labels = {
        split: strata_of(dataset, read_labels(path, dataset, split)) for split in ("train", "test")
    }
    splits = open_splits(job.input("splits"), path)
    train, validation = np.array(splits["train"]), np.array(splits["validation"])
    settings, wanted = job.config["splits"], job.config["probe_pool"]
    tensors, pool = choose(labels, train, validation, settings, job.config["seed"], wanted)
    if pool != "test" and wanted == "auto":
        job.log.warning(
            "probes are fitted to images that networks were trained on: besides splits.probe_test "
            f"there are fewer than {settings['probe_train']} test images; lower probe_test or "
            "probe_train"
        )
    meta = describe(tensors, sha256(path), dataset["classes"])
    write_tensors(job.output("splits"), tensors, meta | {"probe_splits": {"probe_train": pool}})
    job.notes["images"] = {name: len(tensor) for name, tensor in tensors.items()}
    job.notes["probe_pool"] = pool


if __name__ == "__main__":
    run(main)
