"""What networks answer when an image, or the network, is changed: the engine of all such dumps.

Every minibatch is shown once as it is and once a change, one after the other, so that the clean
answers lie beside the changed ones and no changed image is ever stored. A file holds, for each
image (rows) and each change (columns; the first is none):

* `prediction` int32, the most probable output; `among` int32, the most probable of the classes'
  outputs, as a class (they differ where a network has more outputs than there are classes);
* `log_p`, the logarithm of the label's probability; `margin`, the label's output less the largest
  other; `confidence`, the largest probability; float32;
* `correlation.<place>` float32: Pearson's r of the features before the head with those of the clean
  image, over features; NaN where features do not vary. Places: `last`, after the last block, and
  `normed`, after the norm that follows it, where there is one. The class token, where there is one,
  else the mean over places;
* `changed` float32, the share of pixels that differ; `rms` float32, the root mean square of the
  difference, in units of the full range.

And for each image `floor.<place>`, the mean r of its clean features with those of other images, and
`labels`. Where it is not known which outputs stand for the classes, the first five are left out.

The images are the first test images in the order of `dumps.predictions`, in the same minibatches.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64

from sightlines.conditions.condition import Condition, ImageFacts, Number, check_distinct
from sightlines.core.errors import ResultError
from sightlines.core.files import TensorFile, TensorShapes
from sightlines.core.progress import Progress
from sightlines.datasets.reading import normalise
from sightlines.datasets.split import order_labelled, strata_of
from sightlines.datasets.views import View
from sightlines.dumps.labelled import Walk, cut, last_shape
from sightlines.dumps.network import Minibatch, Shown
from sightlines.dumps.object_labels import object_pixels
from sightlines.dumps.pooling import pool
from sightlines.dumps.predictions import PROBES, answers_of
from sightlines.models.attention import has_class_token, prefix_tokens
from sightlines.models.layers import Layer, block_outputs, capture
from sightlines.stats.classification import judge

SCORES = ("log_p", "margin", "confidence")
PIXELS = ("changed", "rms")

Around = Callable[[Minibatch], AbstractContextManager[Any]]
"""What is done to the network while it is shown a minibatch."""


@dataclass(frozen=True)
class Change:
    """What is done in one forward pass.

    Attributes:
        name: Of the condition, or of what is done to the network.
        severity: How much of it.
        images: Changes the images; None: they stay as they are.
        around: Changes the network; None: it stays as it is.
    """

    name: str
    severity: Number
    images: Condition | None = None
    around: Around | None = None


@dataclass(frozen=True)
class Watching:
    """Where a network's features are taken, and how one vector an image is made of them.

    Attributes:
        layers: Place -> layer.
        last: Shape of the last block's representation of one image.
        prefix: Tokens before the patches'.
        has_cls: Whether the first of them is the class token.
    """

    layers: dict[str, Layer]
    last: tuple[int, ...]
    prefix: int
    has_cls: bool

    @classmethod
    def of(cls, shown: Shown) -> "Watching":
        """The end of a network: its last block, and the norm that follows it, if one does."""
        *_, end = outputs = block_outputs(shown.layers)
        layers = {"last": end} if end.kind != "norm" else {"last": outputs[-2], "normed": end}
        chosen = list(layers.values())
        last = last_shape(chosen, shown.layer_shapes(chosen))
        return cls(layers, last, prefix_tokens(shown.model), has_class_token(shown.model))

    def vector(self, values: torch.Tensor) -> torch.Tensor:
        """The class token, or else the mean over places [n, features]."""
        pooled = pool(values, self.prefix, self.last, self.has_cls)
        return pooled["cls" if "cls" in pooled else "mean"]


class Answer(NamedTuple):
    """What a network gives for a minibatch.

    Attributes:
        outputs: [images, outputs] float64.
        features: Place -> [images, features] float64.
    """

    outputs: np.ndarray
    features: dict[str, np.ndarray]


CLEAN = Change("clean", 0)


def to_conditions(
    shown: Shown,
    conditions: Sequence[Condition],
    seed: int,
    images: int,
    around_clean: Around | None = None,
) -> TensorFile:
    """The file of a network's answers to changed images.

    Args:
        shown: The network.
        conditions: Changes of images.
        seed: The experiment's root seed.
        images: Test images that are shown, at most.
        around_clean: Watches the network while it is shown a minibatch clean, which comes first:
            for conditions that depend on what it does then.

    Raises:
        ConfigError: two conditions have one name and severity.
        ResultError: an answer is not finite, or a condition does not keep to its word.
    """
    check_distinct(conditions)
    changes = [Change(c.name, c.severity, c) for c in conditions]
    return responses(shown, changes, seed, images, replace(CLEAN, around=around_clean))


def image_facts(shown: Shown, masks: Path | None = None) -> ImageFacts:
    """What conditions may know of the test images that a network is shown.

    Args:
        shown: The network and its images.
        masks: The list of the photographs' masks, where there is one.
    """
    red, green, blue = (float(mean) for mean in shown.images.mean)
    of_images = object_pixels(shown, masks)
    return ImageFacts(int(shown.card["size_px"]), (red, green, blue), of_images)


def responses(
    shown: Shown, changes: Sequence[Change], seed: int, images: int, clean: Change = CLEAN
) -> TensorFile:
    """The file of a network's answers to some changes; see the module.

    Args:
        shown: The network.
        changes: What is done, in turn.
        seed: The experiment's root seed.
        images: Test images that are shown, at most.
        clean: The pass before them.
    """
    walk = walk_of(shown, seed, images)
    watching, answers = Watching.of(shown), answers_of(shown)
    places = list(watching.layers)
    hashes = shown.splits.meta["hashes"]
    meta = {
        "network": list(shown.network),
        "conditions": [[change.name, change.severity] for change in changes],
        "classes": len(shown.images.classes),
        "outputs": len(shown.card["classes"]),
        "answers": answers,
        "places": places,
        "images": walk.count,
        "grid": [int(side) for side in shown.card["grid"]],
        "positions": isinstance(getattr(shown.model, "pos_embed", None), torch.Tensor),
        "splits_sha256": {"test": hashes["test"]},
    }
    shapes = response_shapes(walk.count, len(changes), places, bool(answers))
    rows = _rows(shown, [clean, *changes], seed, walk, watching, answers)
    return TensorFile(shapes, meta, rows)


def walk_of(shown: Shown, seed: int, images: int) -> Walk:
    """The first test images, in the order in which `dumps.predictions` shows them."""
    labels = strata_of(shown.images.facts, shown.images.labels("test"))
    tests = np.array(shown.splits["test"])
    order = order_labelled(labels, tests, seed, PROBES["test"])
    return Walk("test", "test", order, min(images, len(order)))


def response_shapes(
    images: int, changes: int, places: Sequence[str], has_answers: bool
) -> TensorShapes:
    """The file's tensors, in order."""
    cells = (images, 1 + changes)
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {}
    if has_answers:
        shapes = {"prediction": ("I32", cells), "among": ("I32", cells)}
        shapes |= {name: ("F32", cells) for name in SCORES}
    shapes |= {f"correlation.{place}": ("F32", cells) for place in places}
    shapes |= {name: ("F32", cells) for name in PIXELS}
    shapes |= {f"floor.{place}": ("F32", (images,)) for place in places}
    return {**shapes, "labels": ("I64", (images,))}


def _rows(
    shown: Shown,
    changes: Sequence[Change],
    seed: int,
    walk: Walk,
    watching: Watching,
    answers: list[int],
) -> Iterator[tuple[str, np.ndarray]]:
    minibatches = cut([walk], shown.batch_size)
    progress = Progress(len(minibatches) * len(changes), "passes")
    batches = shown.images.batches(
        walk.split, [m.images for m in minibatches], view=View.of(shown.card)
    )
    kept: dict[str, list[np.ndarray]] = {place: [] for place in watching.layers}
    labels = shown.images.labels(walk.split)
    for turn, (minibatch, pixels) in enumerate(zip(minibatches, batches, strict=True)):
        own = labels[minibatch.images[: minibatch.kept]]
        columns: list[dict[str, np.ndarray]] = []
        clean: Answer | None = None
        for number, change in enumerate(changes):
            seen, differs = changed_images(shown, change, minibatch, pixels, seed)
            answer = answer_of(shown, seen, watching, change, minibatch)
            clean = answer if clean is None else clean
            columns.append(differs | compare(clean, answer, own, answers))
            progress.update(turn * len(changes) + number + 1)
        assert clean is not None
        for name in columns[0]:
            yield name, np.stack([column[name] for column in columns], axis=1)
        for place, features in clean.features.items():
            kept[place].append(features)
    for place, parts in kept.items():
        yield f"floor.{place}", floors(np.concatenate(parts))
    yield "labels", labels[walk.kept]


def changed_images(
    shown: Shown, change: Change, minibatch: Minibatch, pixels: torch.Tensor, seed: int
) -> tuple[torch.Tensor, dict[str, np.ndarray]]:
    """Normalised images as a change leaves them, and by how much they differ.

    Args:
        shown: The network.
        change: What is done.
        minibatch: Which images these are.
        pixels: uint8 [n, 3, height, width], as the network sees them.
        seed: The experiment's root seed.

    Returns:
        float32 [n, 3, height, width] on the network's device; `changed` and `rms` [kept].
    """
    mean, std = shown.card["mean"], shown.card["std"]
    if change.images is None:
        nothing = np.zeros(minibatch.kept, np.float32)
        return normalise(pixels, mean, std), dict.fromkeys(PIXELS, nothing)
    before = np.ascontiguousarray(pixels.permute(0, 2, 3, 1).cpu().numpy())
    after = change.images.apply(before, minibatch.images, seed)
    moved = torch.from_numpy(np.ascontiguousarray(after.transpose(0, 3, 1, 2))).to(pixels.device)
    if moved.dtype == torch.uint8:
        seen = normalise(moved, mean, std)
    else:
        shape = (1, 3, 1, 1)
        centre = torch.tensor(mean, dtype=torch.float32, device=moved.device).view(shape)
        scale = torch.tensor(std, dtype=torch.float32, device=moved.device).view(shape)
        seen = (moved - centre) / scale
    return seen, differences(before[: minibatch.kept], after[: minibatch.kept])


def differences(before: np.ndarray, after: np.ndarray) -> dict[str, np.ndarray]:
    """Share of the pixels that differ, and root mean square of the difference, image by image.

    Args:
        before: uint8 [images, height, width, 3].
        after: The same, or float32 within [0, 1].
    """
    if after.dtype == np.uint8:
        apart = (after.astype(np.float32) - before) / np.float32(255)
    else:
        apart = after - before / np.float32(255)
    flat = apart.reshape(len(apart), -1)
    squares = np.einsum("ip,ip->i", flat, flat, dtype=np.float64) / max(flat.shape[1], 1)
    changed = (apart != 0).any(axis=3).mean(axis=(1, 2))
    return {"changed": changed.astype(np.float32), "rms": np.sqrt(squares).astype(np.float32)}


@torch.inference_mode()
def answer_of(
    shown: Shown,
    images: torch.Tensor,
    watching: Watching,
    change: Change,
    minibatch: Minibatch,
) -> Answer:
    """What a network gives for a minibatch, of the images that are kept.

    Raises:
        ResultError: an output or a feature is not finite.
    """
    places, features = list(watching.layers), dict[str, np.ndarray]()

    def keep(index: int, values: torch.Tensor) -> None:
        own = watching.vector(values)[: minibatch.kept]
        features[places[index]] = own.double().cpu().numpy()

    around = change.around(minibatch) if change.around else contextlib.nullcontext()
    with around, capture(shown.model, [*watching.layers.values()], keep):
        outputs = shown.model(images)[: minibatch.kept].double().cpu().numpy()
    for what, values in {"outputs": outputs, **features}.items():
        if not np.isfinite(values).all():
            raise ResultError(
                f"{what} of {shown.network.slug} are not finite under {change.name} "
                f"{change.severity:g}: its training has diverged; lower train.learning_rate, or "
                "lengthen train.warmup_steps"
            )
    return Answer(outputs, {place: features[place] for place in places})


def compare(
    clean: Answer, changed: Answer, labels: Int64[np.ndarray, " images"], answers: list[int]
) -> dict[str, np.ndarray]:
    """What is kept of a change, for each image.

    Args:
        clean: What the network gives for the images as they are.
        changed: What it gives for the changed ones.
        labels: Class of each image.
        answers: The output that stands for each class; empty where that is not known.
    """
    found: dict[str, np.ndarray] = {}
    if answers:
        outputs, rows = changed.outputs, np.arange(len(labels))
        right = np.array(answers)[labels]
        judged = judge(outputs, right)
        others = outputs.copy()
        others[rows, right] = -np.inf
        found["prediction"] = judged.taken.astype(np.int32)
        found["among"] = outputs[:, answers].argmax(axis=1).astype(np.int32)
        scores = (-judged.loss, outputs[rows, right] - others.max(axis=1), judged.confidence)
        found |= {n: s.astype(np.float32) for n, s in zip(SCORES, scores, strict=True)}
    for place, features in changed.features.items():
        found[f"correlation.{place}"] = correlation(clean.features[place], features)
    return found


def correlation(
    one: Float[np.ndarray, "images features"], other: Float[np.ndarray, "images features"]
) -> Float[np.ndarray, " images"]:
    """Pearson's r of two vectors of features, image by image, float32; NaN where one is constant.

    Source: Naseer et al. 2021, section 3.2 and Table 1, for which no code was released: over the
    features of one image.
    """
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (one, other))
    products = np.einsum("if,if->i", a, b)
    norms = np.sqrt(np.einsum("if,if->i", a, a) * np.einsum("if,if->i", b, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.where(norms > 0, products / norms, np.nan)
    return np.clip(found, -1, 1).astype(np.float32)


def floors(features: Float[np.ndarray, "images features"]) -> Float[np.ndarray, " images"]:
    """Mean r of each image's features with those of every other image, float32.

    What all images share correlates any two of them: this is the zero of the scale. Of unit vectors
    zᵢ the mean over all others is (zᵢ · Σⱼ zⱼ − 1) / (n − 1), exact and without pairs. Constant
    features have no r and are left out of the others' means.
    """
    centred = features - features.mean(axis=1, keepdims=True)
    norms = np.sqrt(np.einsum("if,if->i", centred, centred))
    is_known = norms > 0
    if is_known.sum() < 2:
        return np.full(len(features), np.nan, np.float32)
    unit = np.zeros_like(centred)
    np.divide(centred, norms[:, None], out=unit, where=is_known[:, None])
    means = (unit @ unit.sum(axis=0) - 1) / (is_known.sum() - 1)
    return np.where(is_known, means, np.nan).astype(np.float32)
