"""What a notebook has set of torch is its own, and stays as it was."""

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def as_before() -> Iterator[None]:
    """Put back torch's random state, and its fast path of attention, which hides what it computes.

    Inside, that path is off.
    """
    was_fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was_fast)
