"""Which number format a training takes where `train.precision` is auto, and why.

A processor without bfloat16 of its own computes in it all the same: oneDNN converts to float32 and
back, which takes longer than float32 alone. `_is_mkldnn_bf16_supported` says yes to that, too. So
auto asks for the instructions, and for what oneDNN may use of them. It measures nothing: the same
machine always takes the same format.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

import torch

from sightlines.core.errors import ConfigError

FORMATS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
INSTRUCTIONS = "avx512_bf16"
"""The processor's flag. AMX comes with it, and oneDNN does not use AMX without it."""
CAPS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
"""Environment variables that limit oneDNN's instructions; the first that is set counts."""
BELOW = ("sse41", "avx", "avx2", "avx2_vnni", "avx2_vnni_2", "avx512_core", "avx512_core_vnni")
"""Limits that leave out AVX512-BF16. oneDNN reads them in any case; other words limit nothing."""


class Choice(NamedTuple):
    """A number format for the forward and backward pass.

    Attributes:
        dtype: The format.
        why: The rule that led to it, in the same words on all machines.
        evidence: What of this machine decided between formats; empty where nothing did.
    """

    dtype: torch.dtype
    why: str
    evidence: str = ""


def format_name(dtype: torch.dtype) -> str:
    """A format as torch calls it, such as bfloat16."""
    return str(dtype).removeprefix("torch.")


def choose(asked: str, device: torch.device, environment: Mapping[str, str]) -> Choice:
    """The number format of a training.

    Args:
        asked: The config's `train.precision`: auto, fp32, bf16 or fp16.
        device: Where it computes.
        environment: Environment variables.

    Raises:
        ConfigError: the device cannot compute in the format that was asked for.
    """
    on_gpu, set_by = device.type == "cuda", f"train.precision is {asked}"
    if asked == "fp16" and not on_gpu:
        raise ConfigError(f"{set_by}, which needs a GPU: use auto, fp32 or bf16")
    if asked in ("fp32", "fp16"):
        return Choice(FORMATS[asked], set_by)
    can_compute = torch.cuda.is_bf16_supported() if on_gpu else _can_compute()
    found = _of_gpu(device) if on_gpu else of_processor(_flags(), can_compute, environment)
    is_native, evidence = found
    if asked == "auto":
        rule = f"auto: bfloat16 is {'' if is_native else 'not '}native"
        return Choice(torch.bfloat16 if is_native else torch.float32, rule, evidence)
    if not can_compute:
        raise ConfigError(f"{set_by}, which this {device.type} lacks: use auto")
    return Choice(torch.bfloat16, set_by, "" if is_native else f"emulated: {evidence}")


def of_processor(
    flags: Collection[str], can_compute: bool, environment: Mapping[str, str]
) -> tuple[bool, str]:
    """Whether torch computes in bfloat16 by the processor's own instructions, and what says so.

    Of x86 only processors with AVX512-BF16 count, with or without AMX. ARM's `bf16` does not:
    whether training gains by it has not been measured.

    Args:
        flags: The processor's, as in /proc/cpuinfo.
        can_compute: Whether torch's oneDNN computes in bfloat16 at all, in whatever way.
        environment: Environment variables.
    """
    if INSTRUCTIONS not in flags:
        return False, f"the processor lacks {INSTRUCTIONS}"
    cap = next((name for name in CAPS if environment.get(name)), "")
    if cap and environment[cap].lower() in BELOW:
        return False, f"{cap}={environment[cap]} leaves out {INSTRUCTIONS}"
    if not can_compute:
        return False, "this torch's oneDNN does not compute in bfloat16"
    return True, f"the processor has {INSTRUCTIONS}{' and AMX' * ('amx_bf16' in flags)}"


def _flags() -> set[str]:
    return {name for name, has in torch.cpu.get_capabilities().items() if has is True}


def _can_compute() -> bool:
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _of_gpu(device: torch.device) -> tuple[bool, str]:
    name, capability = torch.cuda.get_device_name(device), torch.cuda.get_device_capability(device)
    is_native = torch.cuda.is_bf16_supported(including_emulation=False)
    known = "{} has compute capability {}.{}".format(name, *capability)
    return is_native, known if is_native else f"{known}; bfloat16 begins at 8.0"
