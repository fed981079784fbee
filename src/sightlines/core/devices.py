"""Where a job computes: processor or GPU, threads, number format, determinism."""

import contextlib
import fcntl
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sightlines.core.errors import ConfigError
from sightlines.core.hardware import NO_MPS, count_gpus
from sightlines.core.precision import choose, format_name

SLOTS = Path(".cache/sightlines/gpu-slots")


@dataclass(frozen=True)
class Compute:
    """A device with its number format, made ready for repeatable work.

    Attributes:
        device: Where tensors live.
        dtype: Number format of the forward and backward pass; weights stay float32.
        threads: Processor threads of one operation.
        workers: Processes that decode photographs.
        why: The rule that led to this format, in the same words on all machines.
        evidence: What of this machine decided between formats; empty where nothing did.
    """

    device: torch.device
    dtype: torch.dtype
    threads: int
    workers: int
    why: str = ""
    evidence: str = ""

    def autocast(self) -> Any:
        """Context in which a network computes in `dtype`."""
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    def describe(self) -> dict[str, Any]:
        """Facts for a job's record."""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"
        return {"device": name, "precision": format_name(self.dtype)}


def prepare(settings: dict[str, Any], precision: str = "fp32") -> Compute:
    """Choose and set up the device for this process.

    Determinism: deterministic kernels, no TF32, a fixed number of threads (thread counts
    change the order of float sums, so they are config values).

    Args:
        settings: The config's `compute`: device (auto, cpu, cuda), threads, workers.
        precision: auto, fp32, bf16 or fp16; auto is bf16 where it is native, else fp32.

    Raises:
        ConfigError: the config names a device or a format that is not there.
    """
    torch.set_num_threads(settings["threads"])
    # The same as use_deterministic_algorithms(True), which imports torch's compiler for 4 s.
    torch.set_deterministic_debug_mode("error")
    # Filling fresh memory costs a pass over every result; no operation here reads it.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    wanted = settings["device"]
    if wanted != "cpu":
        _claim_gpu()
    found = torch.cuda.is_available()
    if wanted == "cuda" and not found:
        raise ConfigError(no_gpu("compute.device", "cuda"))
    device = torch.device("cuda" if found and wanted != "cpu" else "cpu")
    dtype, why, evidence = choose(precision, device, os.environ)
    return Compute(device, dtype, settings["threads"], settings["workers"], why, evidence)


def no_gpu(key: str, wanted: str) -> str:
    """What is wrong where a GPU is asked for that torch does not find, and the cure.

    Args:
        key: That asks for it.
        wanted: Its value.
    """
    return (
        f"{key} is {wanted}, but torch finds no GPU here: set it to auto or cpu, or fix the driver "
        "(nvidia-smi shows it)"
    )


def named(wanted: object, key: str) -> torch.device:
    """A device of this machine, by the name that an argument gives.

    Args:
        wanted: ``cpu``, ``cuda``, one GPU of several such as ``cuda:1``, or ``auto``, a GPU where
            there is one; or torch's device of such a name.
        key: The argument, for errors.

    Raises:
        ConfigError: there is no such device, or nothing computes on it here.
    """
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    known = "give auto, cpu, cuda or one GPU of several, such as cuda:0"
    try:
        if isinstance(wanted, bool) or not isinstance(wanted, str | torch.device):
            raise TypeError
        found = torch.device(wanted)
    except (RuntimeError, TypeError):
        raise ConfigError(f"{key} is {wanted!r}, which is no device: {known}") from None
    if found.type == "mps":
        raise ConfigError(f"{key}: {NO_MPS}")
    if found.type not in ("cpu", "cuda"):
        raise ConfigError(f"{key} is {str(found)!r}, where nothing here computes: {known}")
    if found.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(no_gpu(key, str(found)))
    if found.type == "cuda" and found.index is not None:
        count = torch.cuda.device_count()
        if found.index >= count:
            raise ConfigError(f"{key} is {found}, but there are {count} GPUs here, from cuda:0 on")
    return found


_claimed: list[int] = []


def _claim_gpu(poll_s: float = 0.2) -> None:
    """Take one of this machine's GPUs for the life of the process.

    Snakemake counts cards but assigns none: each job locks one slot file, and the kernel
    frees it however the process ends. A scheduler's own CUDA_VISIBLE_DEVICES is respected.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES") is not None or _claimed:
        return
    cards = count_gpus()
    if not cards:
        return
    SLOTS.mkdir(parents=True, exist_ok=True)
    while True:
        for card in range(cards):
            handle = os.open(SLOTS / str(card), os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                continue
            os.environ["CUDA_VISIBLE_DEVICES"] = str(card)
            _claimed.append(handle)
            return
        time.sleep(poll_s)
