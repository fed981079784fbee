"""Every random number has a name: seeds derived from one root seed, none global."""

import hashlib

import numpy as np


def derive(root: int, *names: object) -> int:
    """A 63-bit seed for the use that `names` describe, equal on every machine."""
    text = "\0".join([str(root), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator(root: int, *names: object) -> np.random.Generator:
    """A NumPy generator for the use that `names` describe.

    Philox: counter-based, the same integers on every processor.
    """
    return np.random.Generator(np.random.Philox(derive(root, *names)))
