"""Does it scale? Planning 1,000 networks, streaming 50,000 photographs, predicting costs.

    python benchmarks/scale.py plan [--networks 1000]
    python benchmarks/scale.py stream [--images 50000]
    python benchmarks/scale.py costs

`plan`: CPU seconds and peak memory of a dry run of an experiment of that many networks in
`cifar10`'s form, beside bare Snakemake's with a Snakefile of as many jobs and files. Goal: at most
1.5 of its time, below 2 GiB.

`stream`: generated JPEGs in WebDataset archives are prepared and go through a Gram dump; peak
memory of both at that many images and at an eighth of them. Goal for the dump: at most 1.05.

`costs`: CPU seconds of Gram dumps of three ViTs, fitted by what is counted before anything
runs (images × layers × features; multiply-adds of the network), predict those of a fourth, larger
one, and bytes of the file likewise. Goal: within 15 %. `docs/scale.md` carries the fit further.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
REPEATS = 3

# -- planning ----------------------------------------------------------------------------

BARE = """
import json
PLAN = json.load(open("plan.json"))
INPUTS = {
    name: {json.dumps(job["wildcards"], sort_keys=True): job["input"] for job in rule["jobs"]}
    for name, rule in PLAN.items()
}
wildcard_constraints:
    model="[a-z_0-9]+",
    fraction=r"f[0-9]+",
    seed=r"s[0-9]+",
rule first:
    input: INPUTS["all"]["{}"]
for name, made in PLAN.items():
    if name == "all":
        continue
    if len(made["jobs"]) == 1:
        (job,) = made["jobs"]
        rule:
            name: name
            input: job["input"]
            output: job["output"]
            shell: "touch {output}"
    else:
        rule:
            name: name
            input: lambda w, n=name: INPUTS[n][json.dumps(dict(w), sort_keys=True)]
            output: made["output"]
            shell: "touch {output}"
"""
OPTIONS = ["-n", "--quiet", "rules", "--cores", "2"]


def write_config(path: Path, networks: int) -> int:
    """`cifar10` with so many seeds that there are about as many networks; how many there are."""
    from sightlines.plan.config import FOLDER, load
    from sightlines.plan.config import networks as planned

    text = (FOLDER / "cifar10.yaml").read_text()
    for seeds in range(3, networks):
        path.write_text(
            text.replace("[s0, s1, s2]", f"[{', '.join(f's{i}' for i in range(seeds))}]")
        )
        if (found := len(planned(load(path)))) >= networks:
            return found
    raise SystemExit("cifar10.yaml has no runs over [s0, s1, s2]")


def note_plan(place: Path, words: list[str]) -> None:
    """Snakemake's command in this process; the jobs of its DAG go into a file."""
    import snakemake.cli
    from snakemake.dag import DAG

    found = []
    real = DAG.__init__

    def init(self, *args, **kwargs):
        found.append(self)
        real(self, *args, **kwargs)

    DAG.__init__ = init
    with open(os.devnull, "w") as sink:
        sys.stdout = sink
        try:
            snakemake.cli.main(words)
        except SystemExit as end:
            if end.code:
                raise
        sys.stdout = sys.__stdout__
    plan: dict[str, Any] = {}
    for job in found[-1].jobs:
        rule = plan.setdefault(job.rule.name, {"output": [*map(str, job.rule.output)], "jobs": []})
        wildcards = dict(job.wildcards_dict)
        files = {"input": [*map(str, job.input)], "output": [*map(str, job.output)]}
        rule["jobs"].append({"wildcards": wildcards, **files})
    place.write_text(json.dumps(plan))


def costs_of(command: list[str], folder: Path) -> tuple[float, float]:
    """Processor seconds and peak memory in MiB of a command and its children."""
    code = (
        "import json, resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], capture_output=True, text=True)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(json.dumps([done.returncode, used.ru_utime + used.ru_stime, used.ru_maxrss,"
        " done.stderr[-2000:]]))"
    )
    program = [sys.executable, "-c", code, *command]
    done = subprocess.run(program, cwd=folder, capture_output=True, text=True, check=True)
    code, seconds, peak, said = json.loads(done.stdout)
    if code:
        sys.exit(f"{command}:\n{said}")
    return seconds, peak / 1024


def plan(networks: int) -> None:
    """Dry runs of ours and of bare Snakemake, in turns."""
    snakemake = str(Path(sys.executable).with_name("snakemake"))
    with tempfile.TemporaryDirectory() as name:
        folder, bare = Path(name) / "ours", Path(name) / "bare"
        folder.mkdir()
        bare.mkdir()
        count = write_config(folder / "thousand.yaml", networks)
        here = [
            "--snakefile",
            str(ROOT / "Snakefile"),
            "--configfile",
            str(folder / "thousand.yaml"),
        ]
        ours = [snakemake, *here, "--workflow-profile", "none", *OPTIONS]
        noting = [sys.executable, __file__, "note", str(bare / "plan.json"), *ours[1:]]
        costs_of(noting, folder)  # also compiles and remembers what only a first start does
        (bare / "Snakefile").write_text(BARE)
        jobs = [j for r in json.loads((bare / "plan.json").read_text()).values() for j in r["jobs"]]
        files = {file for job in jobs for file in job["output"]}
        found = [
            (costs_of(ours, folder), costs_of([snakemake, *OPTIONS], bare)) for _ in range(REPEATS)
        ]
    (own, own_mib), (others, others_mib) = (min(each) for each in zip(*found, strict=True))
    print(
        f"{count:,} networks, {len(jobs):,} jobs, {len(files):,} files: planned in {own:.1f} "
        f"processor s and {own_mib:,.0f} MiB; bare Snakemake {others:.1f} s and "
        f"{others_mib:,.0f} MiB: ratio {own / others:.2f} (at most 1.5; below 2,048 MiB)"
    )


# -- streaming ---------------------------------------------------------------------------

SIDE, PER_SHARD, MINIBATCH, TRAIN = 32, 5000, 100, 40


def make_shards(folder: Path, images: int) -> None:
    """Archives of JPEGs that all differ, with labels."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for part, count in (("train", TRAIN), ("val", images)):
        for first in range(0, count, PER_SHARD):
            path = folder / f"{part}-{first // PER_SHARD:04}.tar"
            with tarfile.open(path, "w") as archive:
                for number in range(first, min(first + PER_SHARD, count)):
                    coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
                    buffer = io.BytesIO()
                    coarse.resize((48, 40)).save(buffer, "JPEG", quality=90)
                    label = str(number % 10).encode()
                    for ending, content in (("cls", label), ("jpg", buffer.getvalue())):
                        info = tarfile.TarInfo(f"{number:08}.{ending}")
                        info.size = len(content)
                        archive.addfile(info, io.BytesIO(content))


def streamed(step: str, folder: Path) -> None:
    """Prepare the archives, or dump, in this process."""
    import logging

    from tests.dumps.making_experiments import record

    from sightlines.datasets import webdataset
    from sightlines.plan import config

    if step == "prepare":
        node = config.member_schema({"x-members": "datasets", "x-select": "kind"}, "webdataset")
        settings = {k: v["default"] for k, v in node["properties"].items() if "default" in v}
        settings |= {"folder": "shards", "size_px": SIDE}
        webdataset.prepare(settings, folder, folder / "data", logging.getLogger("benchmark"))
    else:
        os.chdir(folder)
        dataset, reference = folder / "data" / "dataset.json", folder / "reference.safetensors"
        record("gram", folder, dataset, reference, folder / "gram.safetensors")


def stream(images: int) -> None:
    """Peak memory at two numbers of images."""
    from tests.dumps.making_experiments import VIT, make_network, make_reference

    peaks: dict[str, list[float]] = {"prepare": [], "dump": []}
    for count in (images // 8 // MINIBATCH * MINIBATCH, images // MINIBATCH * MINIBATCH):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make_shards(folder / "shards", count)
            for step, found in peaks.items():
                seconds, mib = costs_of([sys.executable, __file__, step, str(folder)], folder)
                found.append(mib)
                print(
                    f"{step}, {count:,} photographs: {seconds:.1f} processor s "
                    f"({1e3 * seconds / count:.2f} ms each), {mib:,.0f} MiB",
                    flush=True,
                )
                if step == "prepare":
                    dataset = folder / "data" / "dataset.json"
                    sizes = [MINIBATCH] * (count // MINIBATCH)
                    make_reference(dataset, folder / "reference.safetensors", sizes)
                    make_network(folder, VIT, dataset)
            size = (folder / "gram.safetensors").stat().st_size
            print(f"its dump: {size / 1e6:,.0f} MB, {size / count:,.0f} bytes an image")
    for step, (few, many) in peaks.items():
        goal = " (at most 1.05)" if step == "dump" else ""
        print(f"{step}: peak memory at 8 × the photographs / at 1 ×: {many / few:.3f}{goal}")


# -- costs -------------------------------------------------------------------------------

FITTED = [(128, 48, 4), (128, 96, 4), (256, 48, 8)]
"""Images, width and blocks of each network of which the fit knows."""
PREDICTED = (512, 96, 8)
BATCH = 64


def counted(width: int, depth: int) -> dict[str, float]:
    """What one image costs, counted without running anything: by name."""
    import gram_dump
    import measuring
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from sightlines.models.building import layers_of

    model = measuring.build(architecture(width, depth), seed=1)
    layers, image = layers_of("vit", model), torch.zeros(1, 3, SIDE, SIDE)
    with FlopCounterMode(display=False) as flops, torch.inference_mode():
        model(image)
    features = gram_dump.count_features(model, layers, image).sum()
    return {"layers": len(layers), "features": float(features), "work": flops.get_total_flops() / 2}


def architecture(width: int, depth: int) -> dict[str, Any]:
    """A ViT of `cifar10_small`'s kind."""
    import measuring

    return measuring.VIT | {"width": width, "depth": depth}


def dumped(images: int, width: int, depth: int) -> tuple[float, int]:
    """Processor seconds and bytes of a Gram dump."""
    import measuring
    from tests.dumps.making_experiments import make_dataset, make_network, make_reference, record

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dataset = make_dataset(folder / "data", size_px=SIDE, train=10, test=images)
        reference = folder / "reference.safetensors"
        make_reference(dataset, reference, [BATCH] * (images // BATCH))
        make_network(folder, architecture(width, depth), dataset)

        def dump():
            record("gram", folder, dataset, reference, folder / "gram.safetensors")

        seconds = measuring.measure({"dump": dump}, REPEATS)["dump"]
        return seconds, (folder / "gram.safetensors").stat().st_size


def costs() -> None:
    """Fit three sizes, predict the fourth."""
    import numpy as np
    import torch
    from scipy.optimize import nnls

    torch.set_num_threads(1)
    terms, measured = [], []
    for images, width, depth in [*FITTED, PREDICTED]:
        one = counted(width, depth)
        terms.append([images * one["features"], images * one["work"], images * one["layers"]])
        measured.append(dumped(images, width, depth))
        seconds, size = measured[-1]
        print(
            f"{images} images, width {width}, {depth} blocks: {one['layers']} layers, "
            f"{terms[-1][0] / 1e6:.0f} M activations, {terms[-1][1] / 1e9:.1f} G multiply-adds: "
            f"{seconds:.2f} processor s, {size / 1e6:.1f} MB",
            flush=True,
        )
    known = np.array(terms)
    seconds, sizes = np.array(measured).T
    by_work, _ = nnls(known[:-1, :2] / seconds[:-1, None], np.ones(len(FITTED)))
    a_byte = float(np.mean(sizes[:-1] / known[:-1, 2]))
    told = {"seconds": (known[-1, :2] @ by_work, seconds[-1])}
    told["bytes"] = (known[-1, 2] * a_byte, sizes[-1])
    print(
        f"processor s = {by_work[0] * 1e9:.2f} / 10⁹ activations + {by_work[1] * 1e12:.1f} / 10¹² "
        f"multiply-adds; bytes = {a_byte:.0f} × images × layers (minibatches of {BATCH})"
    )
    for what, (predicted, found) in told.items():
        print(
            f"{what} of the fourth: predicted {predicted:.4g}, measured {found:.4g}: "
            f"{100 * (predicted / found - 1):+.1f} % (within 15 %)"
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("part", nargs="?", choices=["plan", "stream", "costs"])
    parser.add_argument("--networks", type=int, default=1000)
    parser.add_argument("--images", type=int, default=50_000)
    said = parser.parse_args()
    if said.part in (None, "plan"):
        plan(said.networks)
    if said.part in (None, "stream"):
        stream(said.images)
    if said.part in (None, "costs"):
        costs()


if __name__ == "__main__":
    if sys.argv[1:2] == ["note"]:
        note_plan(Path(sys.argv[2]), sys.argv[3:])
    elif sys.argv[1:2] in (["prepare"], ["dump"]):
        streamed(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
