"""Is `shapes` neither a toy nor noise? What says the class without a trained network.

    python benchmarks/shapes_bounds.py

On the images of `default`, 2,000 test images. 5,000 training images: a linear probe on pixels, and
on a histogram of colours (4 × 4 × 4) and brightness (16). As many as `default` has for its probes:
a linear probe on the pooled tokens and maps of untrained networks; and, without a goal, the same
from 5,000. 11,000: the nearest neighbour in pixels. Chance is 10 %. Goals: at most 30, 25, 45 and
35 %. tests/datasets/test_shapes_bounds.py holds them.
"""

import numpy as np
import torch

from sightlines.datasets import shapes
from sightlines.models import building
from sightlines.plan.config import FOLDER, load
from sightlines.stats import ridge

TRAIN, NEIGHBOURS, HELD_OUT, TEST = 5_000, 11_000, 1_000, 2_000
BOUNDS = {"pixels": 0.30, "histogram": 0.25, "neighbour": 0.35, "untrained": 0.45}


def histogram(images: np.ndarray) -> np.ndarray:
    """Square roots of the shares of colours and of brightnesses [images, 80]."""
    colour = (images >> 6).astype(np.int64) @ (16, 4, 1)
    brightness = images.sum(axis=3, dtype=np.int64) // 48
    counts = [np.stack([np.bincount(row.ravel(), minlength=64) for row in colour])]
    counts.append(np.stack([np.bincount(row.ravel(), minlength=16) for row in brightness]))
    return np.sqrt(np.concatenate(counts, axis=1))


def probe(features: list[np.ndarray], labels: list[np.ndarray]) -> float:
    """Accuracy of a ridge probe on the last of three sets, its penalty chosen on the second."""
    train, held_out, test = (
        np.asarray(part, np.float64).reshape(len(part), -1) for part in features
    )
    mean, std = train.mean(0), train.std(0) + ridge.SMALLEST_STD
    train, held_out, test = ((part - mean) / std for part in (train, held_out, test))
    targets = np.eye(10)[labels[0]]
    values, vectors = np.linalg.eigh(train.T @ train)
    response = vectors.T @ (train.T @ (targets - targets.mean(0)))

    def accuracy(part: np.ndarray, truth: np.ndarray, penalty: float) -> float:
        scores = part @ (vectors @ (response / (values.clip(0)[:, None] + penalty)))
        return float((scores.argmax(1) == truth).mean())

    best = max(ridge.PENALTIES, key=lambda penalty: accuracy(held_out, labels[1], penalty))
    return accuracy(test, labels[2], best)


def neighbour(known: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Labels of the nearest images, by squared distance of pixels."""
    known, asked = (part.reshape(len(part), -1).astype(np.float32) / 255 for part in (known, asked))
    far = (known**2).sum(1)[None] - 2 * asked @ known.T
    return labels[far.argmin(1)]


@torch.no_grad()
def pooled(model: torch.nn.Module, images: np.ndarray) -> np.ndarray:
    """Mean over tokens or places before the last layer, with the class token where there is one."""
    found = []
    for begin in range(0, len(images), 500):
        pixels = torch.from_numpy(images[begin : begin + 500]).permute(0, 3, 1, 2) / 255
        hidden = model.forward_features((pixels - 0.3) / 0.25)  # type: ignore[operator]
        mean = hidden.mean(1) if hidden.ndim == 3 else hidden.mean((2, 3))
        prefix = hidden[:, : getattr(model, "num_prefix_tokens", 0)].flatten(1)
        found.append(torch.cat([prefix, mean], 1).numpy())
    return np.concatenate(found)


def measure(is_whole: bool = False) -> dict[str, float]:
    """Accuracy of each reading; of untrained networks from `TRAIN` images too, if asked."""
    config = load(FOLDER / "default.yaml")
    settings = config.dataset | {"n_test": TEST}
    images, _, scene = shapes.generate(settings, "train")
    asked, _, asked_scene = shapes.generate(settings, "test")
    cut = [slice(TRAIN), slice(NEIGHBOURS, NEIGHBOURS + HELD_OUT)]
    parts = [*(images[rows] for rows in cut), asked]
    labels = [*(scene.label[rows] for rows in cut), asked_scene.label]
    found = {
        "pixels": probe(parts, labels),
        "histogram": probe([histogram(part) for part in parts], labels),
    }
    near = neighbour(images[:NEIGHBOURS], scene.label[:NEIGHBOURS], asked)
    found["neighbour"] = float((near == asked_scene.label).mean())
    few = slice(config.splits.probe_train)
    for name in ("vit_small", "resnet"):
        model = building.build(config.models[name].settings, 32, 10, 0).eval()
        features = [pooled(model, part) for part in (parts[0][few], *parts[1:])]
        accuracy = probe(features, [labels[0][few], *labels[1:]])
        found["untrained"] = max(accuracy, found.get("untrained", 0.0))
        if is_whole:
            accuracy = probe([pooled(model, part) for part in parts], labels)
            found["untrained, 5,000"] = max(accuracy, found.get("untrained, 5,000", 0.0))
    return found


def main() -> None:
    for name, accuracy in measure(is_whole=True).items():
        print(f"{name:16s} {accuracy:.3f} (≤ {BOUNDS.get(name, 'no goal')})")


if __name__ == "__main__":
    main()
