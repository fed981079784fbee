"""One command on a machine with one GPU: tests, rates, memory, two trained networks.

    make gpu-check                                            # in the project's own environment
    make gpu-check PYTHON=python3 SETUP=no PACKAGES=wheels    # a Python that has torch, offline

PACKAGES is a folder of wheels, or of unpacked packages, that this Python lacks; nothing is
installed. What is measured is what others can compare: the training step and the Gram dump against
the rate of matrix products that is measured on this very card. Images are the embedded ones.
OUT gets at most eight files: `report.md` for people, `summary.json`, `tests.txt`, tables. Without a
GPU all of it runs at a reduced size, to see that it would.
"""

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FULL: dict[str, Any] = {
    "vit": {"patch_px": 4, "width": 192, "depth": 12, "heads": 6},
    "resnet": {"units": [3, 4, 6], "channels": [128, 256, 512], "stem_channels": 32, "groups": 16},
    "product": 8192,
    "batch": 256,
    "n_train": 16_000,
    "n_test": 4_000,
    "reference": (4, 256),
}
REDUCED: dict[str, Any] = {
    "vit": {"patch_px": 4, "width": 24, "depth": 2, "heads": 3},
    "resnet": {"units": [1, 1], "channels": [32, 64], "stem_channels": 16, "groups": 4},
    "product": 512,
    "batch": 32,
    "n_train": 600,
    "n_test": 300,
    "reference": (2, 50),
}
"""On a processor alone."""
SETTINGS = {"seed": 0}
"""Of the config, what recorders use."""
LEAST_STEPS, MOST_STEPS = 20, 40_000
AFTER_S = 0.12
"""Share of the time that is kept for dumps and tables."""
EVERY = 5
"""Looks at the validation images during a training."""


def main() -> int:
    began = time.monotonic()
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("gpu-check"))
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--packages", type=Path)
    said = parser.parse_args()
    out, ends = said.out.resolve(), began + 60 * said.minutes
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        add_packages(said.packages, Path(name) / "packages")
        (Path(name) / "work").mkdir()
        os.chdir(Path(name) / "work")
        found = Check(out, ends)
        for stage in (found.test, found.rates, found.train):
            stage_began = time.monotonic()
            try:
                stage()
            except Exception:  # what else can be measured is worth having
                found.failed[stage.__name__] = traceback.format_exc()
            found.seconds[stage.__name__] = round(time.monotonic() - stage_began, 1)
        found.write(time.monotonic() - began)
    for stage_name, why in found.failed.items():
        print(f"{stage_name} failed:\n{why}", file=sys.stderr)
    print(f"{out / 'report.md'}: {'failed: ' + ', '.join(found.failed) if found.failed else 'ok'}")
    return bool(found.failed)


def add_packages(folder: Path | None, place: Path) -> None:
    """Make packages of a folder importable, here and in programs started from here."""
    places = [str(ROOT / "src"), str(ROOT), str(ROOT / "benchmarks")]
    if folder is not None:
        folder = folder.resolve(strict=True)
        wheels = sorted(folder.glob("*.whl"))
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(place)
        places.append(str(place if wheels else folder))
    sys.path[:0] = places
    known = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([*places, *([known] if known else [])])


class Check:
    """What is measured, and where it goes."""

    def __init__(self, out: Path, ends: float) -> None:
        import torch

        self.out, self.ends = out, ends
        self.has_gpu = torch.cuda.is_available()
        self.device = torch.device("cuda" if self.has_gpu else "cpu")
        self.size: dict[str, Any] = FULL if self.has_gpu else REDUCED
        self.recipe = recipe(self.size["batch"])
        self.failed: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self.steps_s: dict[str, float] = {}
        self.found: dict[str, Any] = {"machine": machine()}

    # -- the tests that need a GPU ---------------------------------------------------------

    def test(self) -> None:
        """Before anything here takes the card."""
        words = ["-m", "pytest", "-m", "gpu", "tests/test_gpu.py", "-q", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [sys.executable, *words, "-W", "default"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=max(self.left() / 3, 240),
        )
        (self.out / "tests.txt").write_text(done.stdout + done.stderr[-2000:])
        self.found["tests"] = (done.stdout.strip().splitlines() or ["no output"])[-1]
        if done.returncode:
            raise SystemError(f"pytest ended with {done.returncode}: see tests.txt")

    # -- rates ---------------------------------------------------------------------------

    def rates(self) -> None:
        """Matrix products, training steps and Gram dumps, with their peaks of memory."""
        import torch

        from sightlines.core import devices

        compute = devices.prepare(self.compute(), "auto")
        self.found |= compute.describe()
        rates = {
            name: self.product_rate(dtype)
            for name, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32))
        }
        self.found["products"] = {f"{name}_tflops": rate / 1e12 for name, rate in rates.items()}
        self.found["steps"], self.found["grams"] = {}, {}
        for name, config in self.models().items():
            step_s, whole_of_bare, memory = self.step(config, compute)
            self.steps_s[name] = step_s
            work = 3 * self.forward_flops(config) * self.size["batch"]
            own = rates["bf16" if compute.dtype == torch.bfloat16 else "fp32"]
            self.found["steps"][name] = {
                "ms": 1e3 * step_s,
                "images_s": self.size["batch"] / step_s,
                "tflops": work / step_s / 1e12,
                "of_bf16_products": work / step_s / rates["bf16"],
                "of_products_in_its_format": work / step_s / own,
                "of_the_bare_step": whole_of_bare,
                "peak_mib": memory,
            }
            self.found["grams"][name] = self.gram(config, rates)

    def product_rate(self, dtype: Any) -> float:
        """FLOP/s of a square matrix product on random data."""
        import torch

        n = self.size["product"]
        a, b = (torch.randn(n, n, device=self.device, dtype=dtype) for _ in range(2))
        return 2 * n**3 / self.timed(lambda: torch.mm(a, b), 10)

    def step(self, config: dict[str, Any], compute: Any) -> tuple[float, float, float]:
        """Seconds of the whole training step, its throughput over the bare one's, peak MiB."""
        import measuring
        import torch
        from torch.nn.functional import cross_entropy

        from sightlines.models import building
        from sightlines.training.recipe import make_optimizer

        whole = measuring.Stepper(config, self.recipe, compute)
        with self.peak() as memory:
            step_s = self.timed(whole, 10)
        bare = building.build(config, measuring.SIZE_PX, measuring.CLASSES, 1)
        bare = bare.to(self.device).train()
        optimizer = make_optimizer(bare, self.recipe)
        shape = (self.size["batch"], 3, measuring.SIZE_PX, measuring.SIZE_PX)
        inputs = torch.randn(shape, device=self.device)
        targets = torch.arange(shape[0], device=self.device) % measuring.CLASSES

        def bare_step() -> None:
            with compute.autocast():
                logits = bare(inputs)
            cross_entropy(logits.float(), targets).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        return step_s, self.timed(bare_step, 10) / step_s, memory[0]

    def gram(self, config: dict[str, Any], rates: dict[str, float]) -> dict[str, float]:
        """A minibatch's Grams of all layers, against the products that they need at the least."""
        import gram_dump
        import measuring
        import torch

        from sightlines.dumps.gram import minibatch_grams
        from sightlines.models.building import layers_of
        from sightlines.plan.networks import Network

        model = measuring.build(config, seed=1).to(self.device)
        layers = layers_of(config["family"], model)
        images = measuring.images(self.size["batch"]).to(self.device)
        network = Network("model", "f000", "s0")
        shown: Any = SimpleNamespace(model=model, layers=layers, network=network)
        with self.peak() as memory:
            seconds = self.timed(lambda: minibatch_grams(shown, images), 5)
        with torch.inference_mode():
            forward_s = self.timed(lambda: model(images), 5)
        features = gram_dump.count_features(model, layers, images[:2]).sum()
        work = len(images) * self.forward_flops(config) + float(len(images) ** 2 * features)
        return {
            "ms": 1e3 * seconds,
            "forward_ms": 1e3 * forward_s,
            "layers": len(layers),
            "tflops": work / seconds / 1e12,
            "of_bf16_products": work / seconds / rates["bf16"],
            "of_fp32_products": work / seconds / rates["fp32"],
            "peak_mib": memory[0],
        }

    def forward_flops(self, config: dict[str, Any]) -> float:
        """Of one image."""
        import measuring
        import torch
        from torch.utils.flop_counter import FlopCounterMode

        model = measuring.build(config, seed=1)
        with FlopCounterMode(display=False) as flops, torch.inference_mode():
            model(measuring.images(1))
        return float(flops.get_total_flops())

    def timed(self, function: Callable[[], Any], repeats: int) -> float:
        """Median wall seconds after a call that is not measured; without a GPU of one call."""
        import torch

        def once() -> float:
            began = time.perf_counter()
            function()
            if self.has_gpu:
                torch.cuda.synchronize()
            return time.perf_counter() - began

        return statistics.median([once() for _ in range(1 + (repeats if self.has_gpu else 1))][1:])

    @contextlib.contextmanager
    def peak(self) -> Iterator[list[float]]:
        """Peak MiB on the card; without one, of this process above what it had."""
        import measuring
        import torch

        found: list[float] = []
        if self.has_gpu:
            torch.cuda.reset_peak_memory_stats()
            yield found
            found.append(torch.cuda.max_memory_allocated() / 2**20)
        else:
            with measuring.PeakMemory() as memory:
                yield found
            found.append(memory.extra / 2**20)

    # -- two networks --------------------------------------------------------------------

    def train(self) -> None:
        """A ViT and a ResNet by the project's own commands, for the time that is left."""
        import logging

        import pandas as pd

        from sightlines.datasets import shapes, split
        from sightlines.jobs.command import Job
        from sightlines.plan.networks import Network
        from sightlines.training import train

        source, log = Path("sources"), logging.getLogger("sightlines")
        data, began = Path("data"), time.monotonic()
        keys: dict[str, Any] = dict(shapes.SETTINGS)
        defaults = {k: v["default"] for k, v in keys.items() if "default" in v}
        counts = {"n_train": self.size["n_train"], "n_test": self.size["n_test"], "n_conflict": 0}
        shapes.prepare(defaults | counts, source, data, log)
        batches, images = self.size["reference"]
        splits = {"validation": self.size["n_train"] // 16}
        reference = {"reference_batches": batches, "reference_batch_size": images}
        for part, own in (("training", splits), ("reference", reference)):
            path = Path(f"{part}.safetensors")
            config = {"part": part, "seed": 0, "splits": own}
            inputs = {"dataset": [data / "dataset.json"]}
            split.main(Job(part, config, inputs, {"splits": [path]}, source, log))
        self.found["images_made_s"] = round(time.monotonic() - began, 1)
        self.found["networks"], scores, heads = {}, [], []
        models = self.models()
        until = self.ends - AFTER_S * self.left()
        for left, (name, model) in zip(range(len(models), 0, -1), models.items(), strict=True):
            share_s = (until - time.monotonic()) / left
            steps = int(0.85 * share_s / self.steps_s.get(name, 1.0))
            steps = min(max(steps, LEAST_STEPS), MOST_STEPS)
            network = Network(name, "f100", "s0")
            changes = {"steps": steps, "warmup_steps": steps // 20 + 1}
            changes |= {"evaluate_every_steps": max(steps // EVERY, 1)}
            config = {
                "seed": 0,
                "network": list(network),
                "model": model | {"train": self.recipe | changes},
                "compute": self.compute() | {"checkpoint_every_s": 1e9},
            }
            files = ("weights.safetensors", "history.csv", "card.json")
            outputs = {Path(file).stem: [Path(name) / file] for file in files}
            Path(name).mkdir()
            inputs = {"dataset": [data / "dataset.json"], "splits": [Path("training.safetensors")]}
            began = time.monotonic()
            train.main(Job(name, config, inputs, outputs, source, log))
            seconds = time.monotonic() - began
            shutil.copy(Path(name) / "history.csv", self.out / f"history_{name}.csv")
            score, distances = self.look(network, source)
            scores.append(score)
            heads += distances
            self.found["networks"][name] = {
                "steps": steps,
                "seconds": seconds,
                "images_s": steps * self.size["batch"] / seconds,
                "accuracy": score["accuracy_test"],
            }
        pd.DataFrame(scores).to_csv(self.out / "accuracy.csv", index=False)
        table = pd.concat(heads)
        table.to_csv(self.out / "attention_distance.csv", index=False)
        by_block = table.groupby("block")["relative"].agg(["min", "mean", "max"])
        self.found["attention"] = by_block.reset_index().to_dict("records")

    def look(self, network: Any, source: Path) -> tuple[dict[str, Any], list[Any]]:
        """Accuracy of a trained network, and how far its attention reaches where it has any."""
        from sightlines.core.devices import prepare
        from sightlines.core.files import TensorFile, read_json, write_tensor_file
        from sightlines.dumps import passes
        from sightlines.dumps.network import Shown, ShownImages
        from sightlines.dumps.predictions_reading import PredictionsDump
        from sightlines.dumps.reading import AttentionDump
        from sightlines.measures import accuracy, attention_distance
        from sightlines.plan import registry

        compute, folder = prepare(self.compute()), Path(network.model)
        weights, card = folder / "weights.safetensors", folder / "card.json"

        def dumped(kind: str, splits: str) -> Path:
            dataset, batch = Path("data") / "dataset.json", self.size["batch"]
            images = ShownImages.open(dataset, Path(splits), source, compute, batch)
            shown = Shown.of(images, network, weights, card, compute)
            uses = registry.declarations("dumps", kind).get("USES", ())
            content = registry.load("dumps", kind).record(
                shown, **{key: SETTINGS[key] for key in uses}
            )
            if not isinstance(content, TensorFile):
                content = passes.alone(shown, content)
            write_tensor_file(folder / f"{kind}.safetensors", content)
            return folder / f"{kind}.safetensors"

        predicted = PredictionsDump(dumped("predictions", "training.safetensors"))
        score = accuracy.row(predicted, read_json(card))
        if network.model != "vit":
            return score, []
        seen = AttentionDump(dumped("attention", "reference.safetensors"))
        return score, [attention_distance.head_table(seen)]

    # -- what all share ------------------------------------------------------------------

    def models(self) -> dict[str, dict[str, Any]]:
        """Settings of both, complete."""
        import measuring

        return {
            "vit": measuring.VIT | self.size["vit"],
            "resnet": measuring.RESNET | self.size["resnet"],
        }

    def compute(self) -> dict[str, Any]:
        """The `compute` of a job."""
        return {
            "device": "auto",
            "threads": 1,
            "workers": 0,
            "batch_size": self.size["batch"],
        }

    def left(self) -> float:
        """Seconds until the end."""
        return self.ends - time.monotonic()

    def write(self, seconds: float) -> None:
        """The report for people and the summary for programs."""
        self.found |= {"seconds": self.seconds, "all_seconds": round(seconds, 1)}
        self.found |= {
            "failed": {stage: why.splitlines()[-1] for stage, why in self.failed.items()}
        }
        (self.out / "summary.json").write_text(json.dumps(self.found, indent=2, default=str))
        (self.out / "report.md").write_text(report(self.found))


def recipe(batch: int) -> dict[str, Any]:
    """`cifar10`'s recipe, without averaged weights and mixup for so short a training."""
    from sightlines.core import yaml_files
    from sightlines.plan.config_types import Train

    own = yaml_files.read(ROOT / "workflow" / "config" / "cifar10.yaml")["train"]
    own |= {"batch_size": batch, "ema_decay": 0, "mixup_alpha": 0, "mix_probability": 0.5}
    return Train(steps=own["steps"]).changed(own | {"precision": "auto"}).recorded()


def machine() -> dict[str, Any]:
    """The card, the processor and the versions."""
    import torch

    has_gpu = torch.cuda.is_available()
    packages = ("torch", "torchvision", "timm", "numpy", "pandas")
    return {
        "gpu": torch.cuda.get_device_name() if has_gpu else "none: reduced size, on the processor",
        "gpu_memory_mib": torch.cuda.mem_get_info()[1] // 2**20 if has_gpu else 0,
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in packages},
    }


def report(found: dict[str, Any]) -> str:
    """All of it as text with tables."""
    lines = [f"# GPU check: {found['machine']['gpu']}", ""]
    told = [f"{key} {value}" for key, value in found["machine"].items()]
    lines += ["; ".join(told) + ".", ""]
    lines += [f"Number format: {found.get('precision', '-')}. Tests: {found.get('tests', '-')}", ""]
    lines += [f"All in {found['all_seconds']} s: {found['seconds']}", ""]
    for stage, why in found["failed"].items():
        lines += [f"**{stage} failed**: {why}", ""]
    if "products" in found:
        lines += [f"Matrix products, TFLOP/s: {shown(found['products'])}", ""]
    for title, key in (
        ("Training step", "steps"),
        ("Gram dump of one minibatch", "grams"),
        ("Trained", "networks"),
    ):
        if found.get(key):
            lines += [f"## {title}", "", *table(found[key]), ""]
    if "attention" in found:
        rows = {f"block {row['block']}": row for row in found["attention"]}
        lines += ["## Attention distance over that of uniform attention, by head", ""]
        lines += [*table(rows), ""]
    return "\n".join(lines)


def table(rows: dict[str, dict[str, Any]]) -> list[str]:
    """A table of Markdown, a row each."""
    names = list(next(iter(rows.values())))
    lines = [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for row, values in rows.items():
        lines.append(f"| {row} | {' | '.join(number(values[name]) for name in names)} |")
    return lines


def shown(values: dict[str, Any]) -> str:
    """Names and numbers in one line."""
    return ", ".join(f"{name} {number(value)}" for name, value in values.items())


def number(value: Any) -> str:
    """Four digits of what is no whole number."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
