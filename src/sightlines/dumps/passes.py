"""One forward pass a minibatch, whatever kinds of dumps look at it.

A recorder says what it keeps (`Watched`): the file's tensors, the minibatches that it is to be
shown, and how to watch a network that runs. Kinds that are shown the same images are recorded in
one go: every minibatch is loaded and run once, with the hooks of all. What a kind keeps of a
minibatch depends on that minibatch's images and on nothing else, so that its bytes are the same
alone and with any others.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sightlines.core.files import TensorFile, TensorShapes, safetensors_bytes
from sightlines.core.progress import Progress
from sightlines.dumps.network import Minibatch, Shown

ROWS_BYTES = 256 * 2**20
"""What kinds of one pass may keep of a minibatch beside the largest of them: more makes more
passes, and no other result."""

Rows = dict[str, np.ndarray]
"""Tensor of the file -> all of it, or its next rows."""


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What a kind of dump keeps of a network while it runs.

    Attributes:
        shapes: The file's tensors, in order.
        meta: The file's description.
        minibatches: What the network is shown, in turn.
        begin: Called once before the network is shown anything.
        watch: Watches one forward pass: given the minibatch and its normalised pixels
            [n, 3, height, width], sets hooks when it is entered and removes them when it is left;
            then the dictionary that it gave holds what is kept.
        add: Told what was kept of each minibatch, in turn and once; may take out what it sums up.
        rest: What is left to be written at the end.
        until: The module before which all that is watched has been computed: alone, this kind
            ends every forward pass there.
    """

    shapes: TensorShapes
    meta: Any
    minibatches: Sequence[Minibatch]
    watch: Callable[[Minibatch, torch.Tensor], AbstractContextManager[Rows]]
    begin: Callable[[], None] = lambda: None
    add: Callable[[Rows], None] = lambda _: None
    rest: Callable[[], Iterable[tuple[str, np.ndarray]]] = tuple
    until: torch.nn.Module | None = None

    @property
    def rows_bytes(self) -> int:
        """What is kept of a minibatch, about."""
        images = sum(minibatch.kept for minibatch in self.minibatches)
        largest = max((minibatch.kept for minibatch in self.minibatches), default=0)
        return safetensors_bytes(self.shapes, {}) * largest // max(images, 1)


class _Enough(Exception):
    """Ends a forward pass whose later layers nobody looks at."""


def record_together(
    shown: Shown, kinds: Mapping[str, Watched]
) -> Iterator[tuple[str, Rows | Exception]]:
    """Show a network what some kinds of dumps ask for, each minibatch once.

    A kind that fails is left out from there on, and says why; the others go on.

    Args:
        shown: The network.
        kinds: What each kind keeps.

    Yields:
        A kind, and what is to be written next, or why it failed.
    """
    going = dict(kinds)
    for kind, watched in kinds.items():
        try:
            watched.begin()
        except Exception as error:
            del going[kind]
            yield kind, error
    turns = take_turns({kind: watched.minibatches for kind, watched in going.items()})
    progress, done = Progress(sum(len(_any(turn).images) for turn in turns), "images"), 0
    for split, these in itertools.groupby(turns, lambda turn: _any(turn).split):
        same = list(these)
        pixels = shown.pixels(split, [_any(turn).images for turn in same])
        for turn, images in zip(same, pixels, strict=True):
            looking = {kind: (going[kind], turn[kind]) for kind in turn if kind in going}
            for kind, found in _look(shown.model, images, looking).items():
                if isinstance(found, Exception):
                    del going[kind]
                else:
                    going[kind].add(found)
                yield kind, found
            if not going:
                return
            done += len(images)
            progress.update(done)
    for kind, watched in going.items():
        yield kind, dict(watched.rest())


def alone(shown: Shown, watched: Watched) -> TensorFile:
    """The file of one kind, for which a network runs while it is written."""

    def tensors() -> Iterator[tuple[str, np.ndarray]]:
        for _, found in record_together(shown, {"": watched}):
            if isinstance(found, Exception):
                raise found
            yield from found.items()

    return TensorFile(watched.shapes, watched.meta, tensors())


def rows_of(
    model: torch.nn.Module, images: torch.Tensor, watched: AbstractContextManager[Any]
) -> Any:
    """What is kept of one forward pass, by one watcher.

    Args:
        model: The network.
        images: Normalised pixels [n, 3, height, width].
        watched: A watcher of these images.
    """
    with torch.inference_mode(), watched as rows:
        model(images)
    return rows


def take_turns(sequences: Mapping[str, Sequence[Minibatch]]) -> list[dict[str, Minibatch]]:
    """Minibatches of several kinds in one order, in which each kind has its own as it asks.

    Minibatches of the same images are one turn, wherever the order of the kinds allows it.
    """
    left = {kind: [*reversed(own)] for kind, own in sequences.items()}
    waiting = {kind: {_key(minibatch): 0 for minibatch in own} for kind, own in sequences.items()}
    for kind, own in sequences.items():
        for minibatch in own:
            waiting[kind][_key(minibatch)] += 1
    turns = []
    while any(left.values()):
        nexts = {kind: own[-1] for kind, own in left.items() if own}
        keys = {kind: _key(minibatch) for kind, minibatch in nexts.items()}

        def is_free(key: Any, keys: dict[str, Any] = keys) -> bool:
            return all(keys.get(kind) == key or not waiting[kind].get(key) for kind in left)

        key = next((key for key in keys.values() if is_free(key)), next(iter(keys.values())))
        turn = {kind: nexts[kind] for kind, own in keys.items() if own == key}
        for kind in turn:
            left[kind].pop()
            waiting[kind][key] -= 1
        turns.append(turn)
    return turns


def passes_of(kinds: Mapping[str, Watched], most_bytes: int = ROWS_BYTES) -> list[list[str]]:
    """Kinds that are recorded together, by what they hold of a minibatch.

    Args:
        kinds: What each kind keeps.
        most_bytes: What those of one pass may hold beside the largest of them.
    """
    found: list[list[str]] = []
    for kind in kinds:
        for together in found:
            sizes = [kinds[each].rows_bytes for each in (*together, kind)]
            if sum(sizes) - max(sizes) <= most_bytes:
                together.append(kind)
                break
        else:
            found.append([kind])
    return found


def _look(
    model: torch.nn.Module, images: torch.Tensor, looking: Mapping[str, tuple[Watched, Minibatch]]
) -> dict[str, Rows | Exception]:
    """What each kind keeps of one minibatch.

    Where one of several fails, each looks for itself: an error in a hook ends the forward pass of
    all, and does not say whose it is.
    """
    try:
        return _run(model, images, looking)
    except Exception as error:
        if len(looking) == 1:
            return dict.fromkeys(looking, error)
    found: dict[str, Rows | Exception] = {}
    for kind, own in looking.items():
        found |= _look(model, images, {kind: own})
    return found


def _run(
    model: torch.nn.Module, images: torch.Tensor, looking: Mapping[str, tuple[Watched, Minibatch]]
) -> dict[str, Rows | Exception]:
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        rows: dict[str, Rows | Exception] = {
            kind: stack.enter_context(watched.watch(minibatch, images))
            for kind, (watched, minibatch) in looking.items()
        }
        if len(looking) == 1:
            ((watched, _),) = looking.values()
            stack.enter_context(_ended_before(watched.until))
        if looking:
            model(images)
    return rows


@contextlib.contextmanager
def _ended_before(module: torch.nn.Module | None) -> Iterator[None]:
    """Forward passes in the block end before a module, after its other hooks."""
    if module is None:
        yield
        return

    def stop(*_: Any) -> None:
        raise _Enough

    handle = module.register_forward_pre_hook(stop)
    try:
        with contextlib.suppress(_Enough):
            yield
    finally:
        handle.remove()


def _key(minibatch: Minibatch) -> tuple[str, bytes]:
    return minibatch.split, minibatch.images.tobytes()


def _any(turn: Mapping[str, Minibatch]) -> Minibatch:
    return next(iter(turn.values()))
