"""Memory that a job keeps for itself once it has it, instead of getting it anew for every layer."""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # numbers of mallopt(3)
LARGEST = 32 * 2**20
"""Bytes of the largest block that is kept; glibc takes no more."""
KEPT = 128 * 2**20
"""Bytes that may lie free at the end of the heap."""


def keep_freed_memory() -> None:
    """Let glibc keep what is freed, up to KEPT; blocks above LARGEST go back to the system.

    A network's activations are freed and allocated again for every minibatch. By default much of
    that goes back to the system each time, which clears every page before it gives it out again:
    a seventh of a dump's processor time. No result depends on it, and where there is no glibc
    nothing is done.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    set_option(_MMAP_THRESHOLD, LARGEST)
    set_option(_TRIM_THRESHOLD, KEPT)
