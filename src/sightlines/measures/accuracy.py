"""Accuracy of every network, beside chance: what its representations are worth."""

import pandas as pd

from sightlines.core.errors import ResultError
from sightlines.core.files import read_json, write_table
from sightlines.jobs.command import Job, run
from sightlines.plan.networks import Network

READS = ("metrics.json",)
WRITES = ("accuracy.csv",)
REMARKS = ("class_order", "class_order_note", "weights_note")
"""What is said of imported networks: which outputs stand for the classes, how weights were read."""
METRICS = (
    *("train_images", "steps", "parameters", "accuracy_train", "accuracy_validation"),
    *("accuracy_test", "loss_test", "chance", "confusion"),
)


def main(job: Job) -> None:
    """Gather the networks' final metrics into one table.

    Accuracies are missing where it is not known which outputs of a network stand for the images'
    classes; `accuracy_all` is that of an imported network on all images, since it was trained on
    none of them here. The columns of REMARKS are there where a network was imported.

    Raises:
        ResultError: a file lacks a metric.
    """
    rows = []
    for slug, path in zip(job.config["networks"], job.inputs["metrics.json"], strict=True):
        metrics = read_json(path)
        missing = [n for n in METRICS if not isinstance(metrics, dict) or n not in metrics]
        if missing:
            raise ResultError(
                f"{path} lacks {', '.join(missing)}. "
                "Delete its folder and run snakemake again to train the network anew."
            )
        row = Network.parse(slug)._asdict() | {n: metrics[n] for n in METRICS if n != "confusion"}
        tests = sum(map(sum, metrics["confusion"]))
        accuracy = metrics["accuracy_test"]
        score = None if accuracy is None else accuracy / metrics["chance"]
        everywhere = {name: metrics.get(name) for name in ("accuracy_all", "all_images")}
        said = {name: metrics[name] for name in REMARKS if name in metrics}
        rows.append(row | {"times_chance": score, "test_images": tests, **everywhere, **said})
    write_table(job.output("accuracy"), pd.DataFrame(rows))


if __name__ == "__main__":
    run(main)
