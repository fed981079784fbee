"""Run the fast tests under each older instruction set that this processor has.

    python -m tests.instruction_sets [arguments of pytest]

torch, oneDNN, MKL and NumPy choose their kernels by the processor's instruction set, and sums come
out in another order under each. `make test` covers the newest; this covers the others, so that a
tolerance which holds on one kind of processor alone is found on all. Tests that start Snakemake or
a browser are left out, which compare runs of one machine with each other, as do renders of one
figure, and those of plans, code, jobs and sharing, which compute nothing.
"""

import os
import subprocess
import sys

import torch
from numpy._core import _multiarray_umath as numpy_core

CAPABILITIES = ("DEFAULT", "AVX2", "AVX512")
"""torch's own names, oldest first."""
ONEDNN = {"DEFAULT": "SSE41", "AVX2": "AVX2"}
MKL = {"DEFAULT": "SSE4_2", "AVX2": "AVX2"}
BEYOND = {"DEFAULT": ("",), "AVX2": ("AVX512", "X86_V4")}
"""How the names of NumPy's features that a set must do without begin."""
PROCESSES = ("-n", "2", "--dist", "loadscope", "--no-loadscope-reorder")
NOTHING = ("jobs", "plan/test_code_digest.py", "plan/test_code_mutations.py", "plan/test_config.py")
NOTHING += ("plan/test_experiment.py", "sharing")
"""What computes nothing, or nothing that a processor could tell."""
FAST = ("-m", "not workflow and not slow and not browser and not gpu")
FAST += tuple(f"--ignore=tests/{name}" for name in NOTHING)
FAST += ("--deselect=tests/figures/test_figures.py::test_two_renders_are_equal_byte_for_byte",)


def sets_below(capability: str) -> list[str]:
    """The instruction sets that are older than torch's choice on this processor."""
    known = capability in CAPABILITIES
    return list(CAPABILITIES[: CAPABILITIES.index(capability)]) if known else []


def environment(name: str, dispatched: list[str]) -> dict[str, str]:
    """What makes the libraries take one instruction set.

    Args:
        name: One of CAPABILITIES, not the newest.
        dispatched: NumPy's features that this processor has beyond its baseline.
    """
    without = [f for f in dispatched if f.startswith(BEYOND[name])]
    return {
        "ATEN_CPU_CAPABILITY": name.lower(),
        "ONEDNN_MAX_CPU_ISA": ONEDNN[name],
        "MKL_ENABLE_INSTRUCTIONS": MKL[name],
        "OMP_NUM_THREADS": "1",
        "NPY_DISABLE_CPU_FEATURES": " ".join(without),
    }


def dispatched_here() -> list[str]:
    """NumPy's features beyond its baseline that this processor has."""
    has = numpy_core.__cpu_features__
    return [name for name in numpy_core.__cpu_dispatch__ if has.get(name)]


def main(arguments: list[str]) -> int:
    """Run pytest once under each set; the worst exit status."""
    here = torch.backends.cpu.get_cpu_capability()
    older = sets_below(here)
    print(f"torch takes {here} here; the fast tests run under {' and '.join(older) or 'no other'}.")
    worst = 0
    for name in older:
        chosen = environment(name, dispatched_here())
        print(f"== {name}: {chosen}", flush=True)
        command = [sys.executable, "-m", "pytest", "-q", *PROCESSES, *FAST, *arguments]
        worst = max(worst, subprocess.run(command, env=os.environ | chosen).returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
