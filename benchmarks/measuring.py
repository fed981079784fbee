"""What the benchmarks share: processor time, peak memory, the networks of cifar10_small's size."""

import contextlib
import os
import resource
import statistics
import threading
import time
from pathlib import Path
from typing import Any

import torch

from sightlines.models import building

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
SIZE_PX, CLASSES = 32, 10


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


def cpu_s():
    """Processor seconds of this process: its own and the system's for it (page faults)."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def measure(functions, repeats):
    """Median processor seconds of each function, repeats interleaved, after one unmeasured call."""
    for function in functions.values():
        function()
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            began = cpu_s()
            function()
            seconds[name].append(cpu_s() - began)
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
    """Multiply-adds a processor second of torch's float32 matrix product at this size."""
    a, b = torch.randn(rows, inner), torch.randn(inner, columns)
    times = max(int(4e9 / (rows * columns * inner)), 1)

    def product():
        for _ in range(times):
            torch.mm(a, b)

    seconds = measure({"product": product}, repeats)["product"]
    return rows * columns * inner * times / seconds
