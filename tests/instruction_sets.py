"""Run the fast tests under each older instruction set that this processor has.

    python -m tests.instruction_sets [arguments of pytest]

torch, oneDNN, MKL and NumPy choose their kernels by the processor's instruction set, and sums come
out in another order under each. `make test` covers the newest; this covers the others, so that a
tolerance which holds on one kind of processor alone is found on all. So what is run again is every
file of the packages of arithmetic, and of others that compute each file which holds numbers against
others (BOUND); of its `whole` tests those that do so themselves. Left out are tests that start
Snakemake or a browser, which compare runs of one machine with each other, and what plans, judges
and draws tables that were computed before.
"""

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from numpy._core import _multiarray_umath as numpy_core

CAPABILITIES = ("DEFAULT", "AVX2", "AVX512")
"""torch's own names, oldest first."""
ONEDNN = {"DEFAULT": "SSE41", "AVX2": "AVX2"}
MKL = {"DEFAULT": "SSE4_2", "AVX2": "AVX2"}
BEYOND = {"DEFAULT": ("",), "AVX2": ("AVX512", "X86_V4")}
"""How the names of NumPy's features that a set must do without begin."""
PROCESSES = ("-n", "2", "--dist", "loadscope", "--no-loadscope-reorder")
TESTS = Path(__file__).parent
FOLDERS = ("conditions", "core", "datasets", "library", "models", "training")
ARITHMETIC = ("dumps", "measures", "stats")
"""Folders of which every file is run again."""
BOUND = re.compile(
    r"\b(\w*rounded|bound|approx|(is|all|assert_|assert_all)close|torch\.equal)\(|atol=|\babs\(.*<"
)
"""What stands where computed numbers are held against a bound, or each other."""
FAST = (
    "-m",
    "not workflow and not slow and not browser and not gpu",
    "-p",
    "tests.instruction_sets",
)


def files() -> list[Path]:
    """The test files that are run again."""
    found = [path for path in tests_of(FOLDERS) if BOUND.search(path.read_text())]
    return [TESTS / "test_rounding.py", *found, *tests_of(ARITHMETIC)]


def tests_of(folders: tuple[str, ...]) -> list[Path]:
    """The test files of some packages."""
    return [path for name in folders for path in sorted((TESTS / name).glob("test_*.py"))]


def is_run_again(function: Callable[..., None], is_whole: bool) -> bool:
    """Whether a test is: not a whole training or the like that holds no numbers against others."""
    return not is_whole or BOUND.search(inspect.getsource(function)) is not None


def pytest_collection_modifyitems(config, items):
    """Leave out what is not run again, of the files that are."""
    whole = [item for item in items if item.get_closest_marker("whole")]
    left_out = [item for item in whole if not is_run_again(item.function, is_whole=True)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


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
    print(f"torch takes {here} here; these tests run under {' and '.join(older) or 'no other'}.")
    worst = 0
    for name in older:
        chosen = environment(name, dispatched_here())
        print(f"== {name}: {chosen}", flush=True)
        chosen_tests = arguments if arguments else [*map(str, files())]
        command = [sys.executable, "-m", "pytest", "-q", *PROCESSES, *FAST, *chosen_tests]
        status = subprocess.run(command, env=os.environ | chosen).returncode
        worst = max(worst, abs(status))  # below 0 where a signal ended it, such as SIGILL
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
