"""What this machine has, found without starting torch."""

import contextlib
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

NO_MPS = (
    "Apple's MPS is not supported: it lacks float64 and deterministic versions of operations that "
    "results need, so equal runs would not give equal bytes. Use cpu, or an NVIDIA GPU (cuda)"
)


def describe_hardware() -> dict[str, Any]:
    """Processor name, cores that this process may use, and system: no host name."""
    model = platform.machine()
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as lines:
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        model = names[0] if names else model
    is_linux = hasattr(os, "sched_getaffinity")
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)) if is_linux else os.cpu_count(),
        "system": platform.system(),
    }


def count_gpus() -> int:
    """Number of NVIDIA cards that this process may use; a scheduler's own choice is respected."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([card for card in visible.split(",") if card.strip() not in ("", "-1")])
    with contextlib.suppress(OSError):
        return sum(1 for _ in Path("/proc/driver/nvidia/gpus").iterdir())
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        listing = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True
        )
        return listing.stdout.count("GPU ")
    return 0


def memory_bytes() -> tuple[int, int]:
    """Used and all memory of this machine in bytes; zeros where that cannot be told."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            found = dict(line.split(":", 1) for line in file)
        whole, free = (int(found[key].split()[0]) * 1024 for key in ("MemTotal", "MemAvailable"))
    except (OSError, ValueError, KeyError):
        return 0, 0
    return whole - free, whole
