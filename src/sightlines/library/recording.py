"""Runs the recorders of `sightlines.dumps` for a notebook, into temporary files."""

from typing import Any

import torch

from sightlines.core.files import TensorFile, TensorReader, write_tensor_file
from sightlines.dumps.network import Shown
from sightlines.dumps.passes import alone
from sightlines.library.images import Images
from sightlines.library.networks import Network
from sightlines.library.scratch import Scratch
from sightlines.library.torch_state import as_before
from sightlines.plan import registry


def shown(network: Network, images: Images, splits: TensorReader | None = None) -> Shown:
    """A network with the images that it is shown.

    Args:
        network: The network.
        images: The images.
        splits: Which of them are shown, where these are not the reference images.
    """
    device = next(network.module.parameters(), torch.zeros(0)).device
    return Shown(
        images=images.on(device).set,
        splits=images.reference if splits is None else splits,
        batch_size=128,
        network=network.identity,
        model=network.module,
        card=network.card,
        layers=network.layers,
        device=device,
    )


def record(kind: str, what: Shown, **settings: Any) -> Any:
    """What the recorder of a kind keeps, opened by the reader that it declares.

    Raises:
        ResultError: what is recorded is not finite, or the network has none of it.
    """
    scratch = Scratch()
    path = scratch.path / f"{kind}.safetensors"
    with as_before():
        content = registry.load("dumps", kind).record(what, **settings)
        file = content if isinstance(content, TensorFile) else alone(what, content)
        write_tensor_file(path, file)
    reader = registry.attribute(registry.declarations("dumps", kind)["READER"])(path)
    reader.scratch = scratch  # the file lasts as long as its reader
    return reader
