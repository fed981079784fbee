"""Processor time of the studies of changed images, against their bare forward and backward passes.

    python benchmarks/changed_images.py [--images 192] [--repeats 2] [--family resnet]

What Naseer et al. and Paul & Chen ask of one network: every dump of theirs, of the ViT-S (or the
ResNet-S) of cifar10_small with random weights, under the conditions of that config, on images of
`shapes`, which have the masks, cue conflicts and grounds that CIFAR-10 has not. A dump makes the
changed images, runs the network, and keeps answers, features or Grams. The limit is the passes that
it took, forward and backward, of the same minibatches and with nothing else: they are written down
in a run that is not measured, and taken again. Passes without gradient are so here as well.
Goal: 1.5 at most over both studies.

Fewer images than the config has make no dump cheaper by the image, but for what is made once a
process (tables of constants), which is made in the run that is not measured. A ViT takes some two
minutes of one core; a ResNet's passes cost some ten times as much: take 32 images, once.
"""

import argparse
import contextlib
import logging
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
REFERENCE = (128, 128)
"""Reference minibatches; the config has ten of them."""
SIZE_PX = 32
MODELS = {"vit": "vit_small", "resnet": "resnet_small"}
STUDIES = {
    "Naseer et al.": ("occlusions", "lesions", "occlusion_depth", "conflicts", "conflict_depth"),
    "Paul & Chen": (
        *("corruptions", "corruption_depth", "frequencies", "frequency_depth", "cutouts"),
        *("perturbations", "confidences", "backgrounds"),
    ),
}


def dataset_settings(images):
    """Settings of `shapes` with as many test images, conflicts and mixed grounds."""
    from sightlines.datasets import shapes

    counts = {"n_train": 200, "n_test": max(images, sum(REFERENCE)), "n_conflict": images}
    declared: Any = shapes.SETTINGS
    defaults = {name: own["default"] for name, own in declared.items()}
    return defaults | counts | {"n_mixed": images}


def settings(config, kind, images, dataset):
    """What a recorder is given: the config's conditions, of at most so many images."""
    from sightlines.plan import conditions, registry
    from sightlines.plan.config_types import CONFLICTING

    declared = registry.declarations("dumps", kind)
    given = {"seed": 0, "dataset": dataset}
    found = {key: given[key] for key in declared.get("USES", ())}
    if "CONDITIONS" in declared:
        own = conditions.settings(config, kind, SIZE_PX)
        if kind == "conflict_depth":  # CIFAR-10 has no conflicts
            own["depth"] = list(CONFLICTING)
        if "images" in own:
            own["images"] = min(images, own["images"])
        found["conditions"] = own
    return found


class Passes:
    """The passes of a network, as they were taken: minibatch, gradient or not, backward passes."""

    def __init__(self, model):
        self.taken, self.minibatches, self._model = [], {}, model

    @contextlib.contextmanager
    def noted(self):
        """Write down what is taken in the block; grey images, which ask for shapes, are none."""
        import torch

        whole = torch.autograd.grad

        def note(_, arguments):
            (images,) = arguments
            if images.any():
                self.minibatches.setdefault(len(images), images.detach().clone())
                self.taken.append([len(images), torch.is_grad_enabled(), 0])

        def grad(*arguments, **options):
            self.taken[-1][2] += 1
            return whole(*arguments, **options)

        handle = self._model.register_forward_pre_hook(note)
        torch.autograd.grad = grad
        try:
            yield
        finally:
            torch.autograd.grad = whole
            handle.remove()

    def again(self):
        """Take them, with nothing else; the CPU seconds."""
        import measuring
        import torch

        began = measuring.cpu_s()
        for count, has_gradient, backward in self.taken:
            images = self.minibatches[count]
            with torch.enable_grad() if has_gradient else torch.inference_mode():
                pixels = images.clone().requires_grad_() if backward else images
                answers = self._model(pixels)
                for turn in range(backward):
                    summed = answers[:, turn % answers.shape[1]].sum()
                    torch.autograd.grad(summed, pixels, retain_graph=turn < backward - 1)
        return measuring.cpu_s() - began

    def count(self):
        """Images that passed forward, and backward."""
        forward = sum(count for count, _, _ in self.taken)
        return forward, sum(count * backward for count, _, backward in self.taken)


def record(shown, kind, uses):
    """Make a dump, written nowhere; the CPU seconds."""
    import measuring
    from tests.dumps import making_experiments as making

    from sightlines.plan import registry

    began = measuring.cpu_s()
    content = making.content_of(shown, registry.load("dumps", kind).record(shown, **uses))
    for _ in content.tensors:
        pass
    return measuring.cpu_s() - began


def experiment(folder, settings):
    """A dataset, and the files that say which of its images are shown."""
    from tests.dumps import making_experiments as making

    from sightlines.core.files import sha256, write_tensors
    from sightlines.datasets import cue_conflicts, shapes, store

    dataset = folder / "data" / "dataset.json"
    dataset.parent.mkdir()
    shapes.prepare(settings, folder, dataset.parent, logging.getLogger("benchmark"))
    making.make_splits(dataset, folder / "splits.safetensors", 50)
    making.make_reference(dataset, folder / "reference.safetensors", [*REFERENCE])
    tensors, meta = cue_conflicts.of_dataset(dataset, store.read_dataset(dataset))
    meta |= {"dataset_sha256": sha256(dataset), "folder": ""}
    write_tensors(folder / "conflicts.safetensors", tensors, meta)
    return dataset


def with_all_branches(state):
    """Random weights in last layers and branches that start at 0."""
    from tests.dumps.test_predictions import with_head

    with_head(state)
    for name, values in state.items():
        if name.endswith("norm3.weight"):
            values[...] = 0.5


def row(name, own, bare, passes=None):
    """A line of the table."""
    counted = f"{passes[0]:9d} {passes[1]:9d}" if passes else " " * 19
    print(f"{name:18} {counted} {own:8.2f} {bare:8.2f} {own / bare:6.2f}", flush=True)


def main():
    """Measure dumps and passes in turn, the least of some repeats."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=192, help="test images, 20 at least")
    parser.add_argument("--repeats", type=int, default=2, help="of which the least counts")
    parser.add_argument("--family", choices=tuple(MODELS), default="vit")
    asked = parser.parse_args()
    import torch
    from tests.dumps import making_experiments as making

    from sightlines.core.files import TensorReader
    from sightlines.plan import registry
    from sightlines.plan.config import FOLDER, load

    torch.set_num_threads(1)
    config = load(FOLDER / "cifar10_small.yaml")
    network = config.models[MODELS[asked.family]].settings
    print(f"{MODELS[asked.family]} of cifar10_small, {asked.images} images; CPU seconds")
    print(f"{'dump':18} {'forward':>9} {'backward':>9} {'dump':>8} {'bare':>8} {'ratio':>6}")
    with tempfile.TemporaryDirectory() as name:
        folder, own = Path(name), dataset_settings(asked.images)
        dataset = experiment(folder, own)
        making.make_network(folder, network, dataset, change=with_all_branches)
        whole = [0.0, 0.0]
        for study, kinds in STUDIES.items():
            total = [0.0, 0.0]
            for kind in kinds:
                splits = folder / f"{registry.declarations('dumps', kind)['SPLITS']}.safetensors"
                shown = making.open_shown(folder, dataset, splits)
                shown = replace(
                    shown, batch_size=config.compute.batch_size, splits=TensorReader(splits)
                )
                uses = settings(config, kind, asked.images, own)
                passes = Passes(shown.model)
                with passes.noted():
                    record(shown, kind, uses)
                times = [(record(shown, kind, uses), passes.again()) for _ in range(asked.repeats)]
                least = [min(column) for column in zip(*times, strict=True)]
                total = [a + b for a, b in zip(total, least, strict=True)]
                row(kind, least[0], least[1], passes.count())
            row(study, total[0], total[1])
            whole = [a + b for a, b in zip(whole, total, strict=True)]
        row("both", whole[0], whole[1])


if __name__ == "__main__":
    main()
