"""CKA among eight networks, and of one pair, against pytorch-cka; and its traps.

    pip install pytorch-cka==1.1.3
    python benchmarks/cka_vs_peer.py

Every ratio is of CPU time or peak additional memory within one run, from images to
matrices; each method is in a process of its own, and their repeats take turns. Ours keeps freed
memory as every job does (`jobs.memory`); the peer is shown as it comes, and with the same setting.
Goals: 8 networks ≥ 13.5 times less time and ≤ 0.1 of the memory, one pair ≥ 1.5 times less in
user time as well, error in the traps ≤ 1e-4 where the peer errs.
"""

import itertools
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import measuring
import numpy as np
import torch
from cka import compute_cka

from sightlines.core.files import TensorWriter
from sightlines.dumps.gram import gram_shapes, minibatch_grams
from sightlines.dumps.reading import GramDump
from sightlines.jobs import memory
from sightlines.measures import cka
from sightlines.models.building import layers_of
from sightlines.models.layers import Layer, layer_table
from sightlines.plan.networks import Network

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.reference.cka_song import cka_song

MINIBATCH, MINIBATCHES, REPEATS = 256, 1, 7
KEEPING = "peer, freed memory kept"
VITS = [measuring.VIT | {"width": w, "heads": h} for w, h in ((48, 6), (64, 4), (96, 6), (96, 6))]
RESNETS = [measuring.RESNET | {"channels": [c, 2 * c, 4 * c]} for c in (32, 32, 64, 64)]


def ours(shown, minibatches, folder):
    """From images to the tables' matrices: dump every network, then one measure."""
    dumps = []
    for index, each in enumerate(shown):
        sizes = [len(x) for x in minibatches]
        meta = {"network": [f"m{index}", "f100", "s0"], "layers": layer_table(each.layers)}
        meta |= {"batch_sizes": sizes, "reference_sha256": ""}
        shapes = gram_shapes(sizes, len(each.layers))
        path = Path(folder) / f"{index}.safetensors"
        with TensorWriter(path, shapes, meta) as writer:
            for place, images in enumerate(minibatches):
                for name, values in minibatch_grams(each, images)._asdict().items():
                    writer.write(f"{name}.{place:03d}", values)
        dumps.append(GramDump(path))
    return list(cka.pair_tables(dumps, cka.add_hsic(dumps, 0)))


def peer(shown, minibatches):
    """The peer's own loop over pairs of networks, each network also with itself."""
    results = []
    for a, b in itertools.combinations_with_replacement(shown, 2):
        names = [[layer.module for layer in each.layers] for each in (a, b)]
        with measuring.quiet():
            results += compute_cka(
                *(a.model, b.model, Loader(minibatches)),
                **{"layers": names[0], "model2_layers": names[1], "device": "cpu"},
                progress=False,
            )
    return results


def peer_pair(shown, minibatches):
    """The peer's matrix of one network with another, alone."""
    a, b = shown
    names = [[layer.module for layer in each.layers] for each in shown]
    layers = {"layers": names[0], "model2_layers": names[1]}
    return compute_cka(
        a.model, b.model, Loader(minibatches), **layers, device="cpu", progress=False
    )


class Loader:
    """Minibatches in the shape of a data loader: a list would be taken for several loaders."""

    def __init__(self, minibatches):
        self._minibatches = minibatches

    def __len__(self):
        return len(self._minibatches)

    def __iter__(self):
        return iter(self._minibatches)


def show(config, seed):
    """A network with its layers."""
    model = measuring.build(config, seed)
    layers = layers_of(config["family"], model)
    return SimpleNamespace(model=model, layers=layers, network=Network("m", "f100", "s0"))


class Worker:
    """One method in a process of its own: first once for its memory, then as often as asked.

    Attributes:
        memory: Peak additional memory of the first call, in bytes.
        seconds: User and system seconds of each later call.
    """

    def __init__(self, name, count):
        """Start it and wait until it has run once."""
        keeps = {memory.VARIABLE: memory.KEPT} if name in ("ours", KEEPING) else {}
        self._process: Any = subprocess.Popen(
            [sys.executable, __file__, name, str(count)],
            env=os.environ | keeps,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.memory = int(self._answer()[0])
        self.seconds = []

    def run(self):
        """Run once more."""
        self._process.stdin.write("again\n")
        self._process.stdin.flush()
        self.seconds.append(tuple(map(float, self._answer())))

    def end(self):
        """End the process."""
        self._process.stdin.close()
        self._process.wait()

    def median(self):
        """Medians of user and of all seconds."""
        users = [user for user, _ in self.seconds]
        return statistics.median(users), statistics.median(map(sum, self.seconds))

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            sys.exit("a method ended early; see its error above")
        return line.split()


def serve(name, count):
    """What a worker's process does."""
    minibatches, shown = prepare()
    shown = shown if count > 2 else pair_of(shown)
    for each in shown:
        each.model(minibatches[0][:4])
    with tempfile.TemporaryDirectory() as folder:
        if name == "ours":
            function = partial(ours, shown, minibatches, folder)
        else:
            function = partial(peer if count > 2 else peer_pair, shown, minibatches)
        with measuring.PeakMemory() as peak:
            function()
        print(peak.extra, flush=True)
        for _ in sys.stdin:
            began = resource.getrusage(resource.RUSAGE_SELF)
            function()
            ended = resource.getrusage(resource.RUSAGE_SELF)
            print(ended.ru_utime - began.ru_utime, ended.ru_stime - began.ru_stime, flush=True)


def compare(title, count, repeats):
    """Print the peer's time and memory as multiples of ours."""
    workers = {name: Worker(name, count) for name in ("ours", "peer", KEEPING)}
    for _ in range(repeats):
        for worker in workers.values():
            worker.run()
    our_user, our_time = workers["ours"].median()
    for name, worker in workers.items():
        worker.end()
        user, time = worker.median()
        line = f"{title}, {name}: {time:.1f} s ({user:.1f} user), {worker.memory / 1e6:.0f} MB"
        if name != "ours":
            line += (
                f": peer / ours {time / our_time:.2f} in time, {user / our_user:.2f} in user time; "
                f"ours / peer {workers['ours'].memory / worker.memory:.2f} in memory"
            )
        print(line, flush=True)


def prepare():
    """Minibatches and the eight networks."""
    minibatches = list(measuring.images(MINIBATCH * MINIBATCHES).split(MINIBATCH))
    return minibatches, [show(config, seed) for seed, config in enumerate([*VITS, *RESNETS])]


def pair_of(shown):
    """The widest ViT and one of the widest ResNets."""
    return [shown[2], shown[6]]


class Two(torch.nn.Module):
    """Two layers whose activations are given: what a trap needs."""

    def __init__(self, columns, inplace=False):
        super().__init__()
        self.edge = columns
        self.a, self.b = torch.nn.Identity(), torch.nn.Identity()
        self.relu = torch.nn.ReLU(inplace=inplace)

    def forward(self, x):
        """Split columns into two layers."""
        a = self.a(x[:, : self.edge].clone())
        self.relu(a)
        return self.b(x[:, self.edge :].clone())


def traps():
    """Errors against the float64 brute-force twin."""
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(1040, 120, generator=generator)
    x[:, 60:] += x[:, :60]
    massive = x.clone()
    massive[:, 7] = 1000 * (1 + 0.01 * torch.randn(1040, generator=generator))
    massive[:, 67] = 1000
    ragged = [*x[:1024].split(256), x[1024:1028]]
    cases = {
        "plain": (x[:1024].split(256), False),
        "unit means of 30 standard deviations": ((x + 30 * x.std(0))[:1024].split(256), False),
        "one massive activation": (massive[:1024].split(256), False),
        "ragged last minibatch": (ragged, False),
        "in-place ReLU": (x[:1024].split(256), True),
    }
    for name, (minibatches, inplace) in cases.items():
        model = Two(60, inplace)
        layers = [Layer(m, "mlp", -1, m) for m in ("a", "b")]
        shown = SimpleNamespace(model=model, layers=layers, network=Network("m", "f100", "s0"))
        truth = cka_song(
            [m[:, :60].double().numpy() for m in minibatches],
            [m[:, 60:].double().numpy() for m in minibatches],
        )
        value = our_trap(shown, minibatches)
        theirs = compute_cka(
            *(model, model, Loader(minibatches)), layers=["a", "b"], device="cpu", progress=False
        )
        theirs = float(theirs[0][0, 1])
        print(
            f"{name}: truth {truth:.6f}, error of ours {abs(value - truth):.1e}, "
            f"of the peer {abs(theirs - truth):.1e}"
        )


def our_trap(shown, minibatches):
    """CKA of the two layers through the dump's own functions."""
    from sightlines.stats import hsic

    sums = np.zeros((2, 2))
    for images in minibatches:
        vectors = hsic.centred(minibatch_grams(shown, images).gram, len(images))
        sums = sums + vectors @ vectors.T
    return sums[0, 1] / np.sqrt(sums[0, 0] * sums[1, 1])


def main():
    """Traps, one pair, eight networks."""
    torch.set_num_threads(1)
    traps()
    compare("one pair", 2, REPEATS)
    compare("eight networks", 8, 1)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        torch.set_num_threads(1)
        serve(sys.argv[1], int(sys.argv[2]))
    else:
        main()
