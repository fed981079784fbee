"""A job keeps the memory that it frees: its next tensor needs no new pages."""

import os
import platform
import subprocess
import sys

import pytest

from sightlines.jobs import memory

PROGRAM = """
import resource
import torch

for _ in range(2):
    torch.ones(2**24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(16):
    torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
FEWEST = 16 * 2**26 // 2**21
"""Pages of 16 blocks of 64 MiB where the kernel gives the largest that it has, of 2 MiB."""


@pytest.mark.whole
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another library than glibc")
def test_a_block_that_was_freed_serves_again():
    pages = {}
    for variable in (memory.VARIABLE, "UNSET"):
        env = {k: v for k, v in os.environ.items() if k != memory.VARIABLE}
        env |= {variable: memory.KEPT, "OMP_NUM_THREADS": "1"}
        program = [sys.executable, "-c", PROGRAM]
        done = subprocess.run(program, env=env, capture_output=True, text=True, check=True)
        pages[variable] = int(done.stdout)
    assert pages[memory.VARIABLE] < FEWEST // 4 < FEWEST <= pages["UNSET"]
