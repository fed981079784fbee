"""What the benchmarks share: times, peak memory, networks and trainings of cifar10_small's size."""

import contextlib
import os
import resource
import statistics
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sightlines.core.devices import Compute
from sightlines.models import building
from sightlines.plan.networks import Network
from sightlines.plan.schedule import Order
from sightlines.training.finite import FiniteWatch
from sightlines.training.training import Plan, Training

VIT: dict[str, Any] = {
    "family": "vit",
    **{"patch_px": 4, "width": 96, "depth": 8, "heads": 6, "mlp_ratio": 4, "pool": "cls"},
    **{"drop_path": 0, "dropout": 0, "qkv_bias": True},
}
RESNET: dict[str, Any] = {
    "family": "resnet",
    **{"units": [2, 2, 2], "channels": [64, 128, 256], "stem": "small", "stem_channels": 16},
    **{"groups": 8, "drop_path": 0},
}
SIZE_PX, CLASSES, IMAGES = 32, 10, 4096


def build(config, seed):
    """A network with random weights that do not leave a branch at zero."""
    model = building.build(config, SIZE_PX, CLASSES, seed).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("norm3.weight"):
            torch.nn.init.constant_(parameter, 0.5)
    return model


def images(count, seed=1):
    """Random pixels [count, 3, 32, 32]."""
    return torch.randn(count, 3, SIZE_PX, SIZE_PX, generator=torch.Generator().manual_seed(seed))


class Resident:
    """Random images with the interface of an opened dataset."""

    classes = tuple(map(str, range(CLASSES)))
    size_px = SIZE_PX
    mean, std = (0.5,) * 3, (0.25,) * 3

    def __init__(self, device):
        """Make them on `device`."""
        generator = torch.Generator().manual_seed(0)
        shape = (IMAGES, 3, SIZE_PX, SIZE_PX)
        self._images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        self._images = self._images.to(device)

    def labels(self, _split):
        """Class of each image."""
        return np.arange(IMAGES) % CLASSES

    def take(self, batch):
        """The images with these indices."""
        return self._images.index_select(0, torch.from_numpy(batch).to(self._images.device))


class Stepper:
    """A training on random images: each call takes the whole step that a training job takes."""

    def __init__(self, config: dict[str, Any], recipe: dict[str, Any], compute: Compute) -> None:
        """Build a network by its config, with the recipe's `train`."""
        network, image_set = Network("model", "f100", "s0"), Resident(compute.device)
        plan = Plan(network, 0, recipe, 10**6, np.arange(IMAGES), image_set, compute, 60.0)
        self._training = Training(plan, building.build(config, SIZE_PX, CLASSES, 1))
        self._order = Order(0, network, plan.images, recipe["batch_size"])
        self._watch = FiniteWatch(compute.device)

    def __call__(self) -> None:
        """Take one step."""
        training = self._training
        batch = self._order.batch(training.step)
        loss, right = training.loss(training.plan.image_set.take(batch), batch)
        norm = training.backward(loss)
        self._watch.add(training.step, loss, norm, _stop)
        training.meter.add(loss, right, len(batch))
        training.update()


def _stop(step, what, value):
    raise SystemExit(f"{what} is {value} at step {step}")


def cpu_s():
    """Processor seconds of this process: its own and the system's for it (page faults)."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def measure(functions, repeats, clock=cpu_s):
    """Median seconds of each function, repeats interleaved, after one unmeasured call.

    Processor seconds, unless another clock is given.
    """
    for function in functions.values():
        function()
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            began = clock()
            function()
            seconds[name].append(clock() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


class PeakMemory:
    """Samples resident memory every 2 ms; `extra` is the peak above the start, in bytes."""

    def __enter__(self):
        self._page = os.sysconf("SC_PAGE_SIZE")
        self._start = self._peak = self._now()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self.extra = self._peak - self._start

    def _now(self):
        return int(Path("/proc/self/statm").read_text().split()[1]) * self._page

    def _sample(self):
        while not self._stop.is_set():
            self._peak = max(self._peak, self._now())
            time.sleep(0.002)


@contextlib.contextmanager
def quiet():
    """Send a library's progress bars nowhere."""
    with open(os.devnull, "w") as sink, contextlib.redirect_stderr(sink):
        yield


def gemm_rate(rows, columns, inner, repeats=7):
    """Multiply-adds a CPU second of torch's float32 matrix product at this size."""
    a, b = torch.randn(rows, inner), torch.randn(inner, columns)
    times = max(int(4e9 / (rows * columns * inner)), 1)

    def product():
        for _ in range(times):
            torch.mm(a, b)

    seconds = measure({"product": product}, repeats)["product"]
    return rows * columns * inner * times / seconds
