"""Loss and head of self-distillation against lightly's, on the same tensors: values and gradients.

    python -m venv --system-site-packages PEER; PEER/bin/pip install lightly==1.5.22
    PEER/bin/python benchmarks/dino_peer.py

in an environment that has torch and this package, too; the peer is no dependency of theirs. Prints
ratios, ours over lightly's: of the loss, of the norms of gradients, and the largest difference of
any number relative to the largest number of its kind, in double precision (in single lightly's
loss, one sum of 262,144 products, is rounded by 2e-5). And processor time of both in single.
"""

import time
from collections.abc import Callable

import torch
from lightly.loss import DINOLoss
from lightly.models.modules.heads import DINOProjectionHead
from torch import Tensor

from sightlines.training.dino.head import Head
from sightlines.training.dino.loss import distillation_loss

WIDTH, HIDDEN, BOTTLENECK, OUTPUTS = 48, 512, 256, 4096
IMAGES, VIEWS = 64, 10
STUDENT, TEACHER, MOMENTUM = 0.1, 0.05, 0.9
REPEATS = 5


def heads() -> tuple[Head, DINOProjectionHead]:
    """Two heads of the same weights."""
    torch.manual_seed(0)
    own = Head(WIDTH, HIDDEN, BOTTLENECK, OUTPUTS)
    peer = DINOProjectionHead(WIDTH, HIDDEN, BOTTLENECK, OUTPUTS)
    layers = [layer for layer in peer.modules() if isinstance(layer, torch.nn.Linear)]
    ours = [layer for layer in own.mlp if isinstance(layer, torch.nn.Linear)]
    with torch.no_grad():
        for one, other in zip(ours, layers, strict=False):
            other.weight.copy_(one.weight)
            other.bias.copy_(one.bias)
        peer.last_layer.weight_v.copy_(own.directions)
    return own.double(), peer.double()


def timed(work: Callable[[], Tensor]) -> float:
    """Least processor seconds of loss and gradient."""
    found = []
    for _ in range(REPEATS):
        start = time.process_time()
        work().backward()
        found.append(time.process_time() - start)
    return min(found)


def compare(what: str, own: Tensor | None, peer: Tensor | None) -> None:
    """Print one line of ratios."""
    assert own is not None and peer is not None
    own, peer = own.detach(), peer.detach()
    ratio = float(own.norm() / peer.norm())
    difference = float((own - peer).abs().max() / peer.abs().max())
    print(f"{what:34} ratio {ratio:.10f}, largest difference {difference:.1e}")


def main() -> None:
    """Compare two steps: in the second the centre is no longer 0."""
    own_head, peer_head = heads()
    peer_loss = DINOLoss(OUTPUTS, TEACHER, TEACHER, 1, STUDENT, MOMENTUM).double()
    centre = torch.zeros(OUTPUTS, dtype=torch.float64)
    for step in range(2):
        features = torch.randn(VIEWS, IMAGES, WIDTH, dtype=torch.float64)
        taught = torch.rand(2, IMAGES, OUTPUTS, dtype=torch.float64) * 2 - 1
        own_head.zero_grad()
        peer_head.zero_grad()
        mine, theirs = (
            own_head(features),
            peer_head(features.flatten(0, 1)).unflatten(0, (VIEWS, -1)),
        )
        compare(f"step {step}: outputs of the head", mine, theirs)
        loss = distillation_loss(mine, taught, centre, STUDENT, TEACHER)
        other = peer_loss(list(taught), list(theirs), epoch=1)
        compare(f"step {step}: loss", loss, other)
        loss.backward()
        other.backward()
        ours = {name: p.grad for name, p in own_head.named_parameters()}
        peers = {name: p.grad for name, p in peer_head.named_parameters()}
        first, last = (ours["mlp.0.weight"], ours["directions"])
        compare(f"step {step}: gradient, first layer", first, peers["layers.0.weight"])
        compare(f"step {step}: gradient, directions", last, peers["last_layer.weight_v"])
        centre = MOMENTUM * centre + (1 - MOMENTUM) * taught.mean((0, 1))
        compare(f"step {step}: centre", centre, peer_loss.center.flatten())
    student = (torch.rand(VIEWS, IMAGES, OUTPUTS) * 2 - 1).requires_grad_(True)
    taught, centre, peer_loss = taught.float(), centre.float(), peer_loss.float()
    views, seen = list(student), list(taught)
    mine_s = timed(lambda: distillation_loss(student, taught, centre, STUDENT, TEACHER))
    theirs_s = timed(lambda: peer_loss(seen, views, epoch=1))
    print(f"loss and gradient, lightly's processor time over ours: {theirs_s / mine_s:.2f}")


if __name__ == "__main__":
    main()
