"""Training in float32 against bfloat16, and whether `precision: auto` takes the faster one here.

    python benchmarks/precision.py
    ONEDNN_MAX_CPU_ISA=AVX512_CORE python benchmarks/precision.py      # as without AVX512-BF16

For ViTs of three widths (8 blocks, 64 tokens) and ResNets of two: images a CPU second of the
whole training step (augmentation, forward, backward, clipping, update, averaged weights) with
minibatches of 64; on a GPU images a second. Both formats alternate within one process; medians.
Goal: nowhere is the format that `auto` takes slower than the other by more than a tenth.
"""

import os
import time
from dataclasses import replace

import torch
from measuring import RESNET, VIT, Stepper, cpu_s, measure

from sightlines.core import devices
from sightlines.core.hardware import describe_hardware
from sightlines.core.precision import CAPS, format_name
from sightlines.plan.config import FOLDER, load

ROUNDS, GOAL = 7, 0.9
WIDTHS, CHANNELS = (36, 96, 192), (32, 64)
NETWORKS = {f"ViT, width {width}": VIT | {"width": width} for width in WIDTHS} | {
    f"ResNet, {n} channels": RESNET | {"channels": [n, 2 * n, 4 * n]} for n in CHANNELS
}


def gpu_s() -> float:
    """Wall time at the end of all that the GPU was given."""
    torch.cuda.synchronize()
    return time.perf_counter()


def speeds(model: dict, recipe: dict, compute: devices.Compute) -> dict[torch.dtype, float]:
    """Images a second of training in each number format."""
    formats = (torch.float32, torch.bfloat16)
    steps = {dtype: Stepper(model, recipe, replace(compute, dtype=dtype)) for dtype in formats}
    times = measure(steps, ROUNDS, gpu_s if compute.device.type == "cuda" else cpu_s)
    return {dtype: recipe["batch_size"] / seconds for dtype, seconds in times.items()}


def main() -> None:
    """Print the speeds in both formats, their ratio, and the verdict on auto."""
    recipe = load(FOLDER / "cifar10_small.yaml").models["vit_small"].train.recorded()
    compute = devices.prepare({"device": "auto", "threads": 1, "workers": 0}, "auto")
    limits = [f"{name}={os.environ[name]}" for name in CAPS if os.environ.get(name)]
    print(compute.describe()["device"], describe_hardware()["processor"], *limits, sep=", ")
    print(f"here {format_name(compute.dtype)} is taken ({compute.why}, {compute.evidence})")
    unit = "second" if compute.device.type == "cuda" else "CPU second"
    print(f"{'images a ' + unit:26s} float32 bfloat16  ratio")
    wrong = []
    for name, model in NETWORKS.items():
        found = speeds(model, recipe, compute)
        fp32, bf16 = found.values()
        print(f"{name:26s} {fp32:7.1f} {bf16:8.1f} {bf16 / fp32:6.2f}", flush=True)
        if found[compute.dtype] < GOAL * max(fp32, bf16):
            wrong.append(name)
    print(f"auto takes the slower format for {'; '.join(wrong)}" if wrong else "auto is right here")


if __name__ == "__main__":
    main()
