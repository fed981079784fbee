"""A job keeps the memory that it frees: its next tensor needs no new pages."""

import os
import platform
import subprocess
import sys

import pytest

from sightlines.jobs import memory

TIMES = 8
PROGRAM = f"""
import resource
import torch

before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({TIMES}):
    torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another library than glibc")
def test_a_block_that_was_freed_serves_again():
    block = 2**26 // 4096
    pages = {}
    for variable in (memory.VARIABLE, "UNSET"):
        env = {k: v for k, v in os.environ.items() if k != memory.VARIABLE}
        env |= {variable: memory.KEPT, "OMP_NUM_THREADS": "1"}
        program = [sys.executable, "-c", PROGRAM]
        done = subprocess.run(program, env=env, capture_output=True, text=True, check=True)
        pages[variable] = int(done.stdout)
    assert pages[memory.VARIABLE] < 3 * block < (TIMES - 1) * block < pages["UNSET"]
