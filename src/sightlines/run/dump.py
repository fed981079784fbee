"""Command: runs one recorder: opens what it is shown, writes what it records.

    python -m sightlines.jobs.start sightlines.run.dump gram --config '{…}' --code C
        --input dataset D --input splits S --input weights W --input card K --output dump F --log L

Without weights, images alone are shown: to `dumps.pixels`.
"""

from sightlines.core.devices import prepare
from sightlines.core.files import safetensors_bytes, write_tensor_file
from sightlines.dumps import pixels
from sightlines.dumps.network import Shown, ShownImages
from sightlines.jobs.command import Job, run
from sightlines.plan import registry
from sightlines.plan.networks import Network


def main(job: Job) -> None:
    """Write what the recorder that the job names records of its images and its network.

    Raises:
        WeightsError: the weights do not fit their card.
        ResultError: an input is damaged or does not go with another, or what is recorded is not
            finite.
        DiskError: there is not enough room for the dump.
    """
    compute = prepare(job.config["compute"])
    job.notes.update(compute.describe())
    images = ShownImages.open(
        job.input("dataset"),
        job.input("splits"),
        job.source,
        compute,
        job.config["compute"]["batch_size"],
    )
    if "weights" in job.inputs:
        network = Network(*job.config["network"])
        shown = Shown.of(images, network, job.input("weights"), job.input("card"), compute)
        uses = registry.declarations("dumps", job.member).get("USES", ())
        settings = {key: job.config[key] for key in uses}
        content = registry.load("dumps", job.member).record(shown, **settings)
    else:
        content = pixels.record(images)
    path = job.output("dump")
    size = safetensors_bytes(content.shapes, content.meta)
    job.log.info(f"{len(content.shapes)} tensors, {size / 1e6:.1f} MB")
    write_tensor_file(path, content, f"the {job.member.replace('_', ' ')} dump {path}")


if __name__ == "__main__":
    run(main)
