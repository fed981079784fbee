"""Memory that a job keeps once it has it."""

import ctypes
import subprocess
import sys

import pytest

ROUNDS, BLOCKS, BYTES, PAGE = 5, 4, 24 * 2**20, 4096
SCRIPT = f"""
import resource
from sightlines.jobs.memory import keep_freed_memory
{{call}}
def fill():
    blocks = [bytearray({BYTES}) for _ in range({BLOCKS})]
fill()
fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({ROUNDS}):
    fill()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(call: str) -> int:
    """Pages that a process of its own gets anew while it takes the same blocks again and again."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(call=call)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="needs glibc")
def test_blocks_of_a_layers_size_are_not_cleared_again_for_every_minibatch():
    pages = ROUNDS * BLOCKS * BYTES // PAGE
    assert page_faults("") > pages // 2
    assert page_faults("keep_freed_memory()") < pages // 20
