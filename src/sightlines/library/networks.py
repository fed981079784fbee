"""Networks for a notebook: of timm by name, of a run's results, or an own module."""

import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.optim.swa_utils import AveragedModel

from sightlines.core.devices import named
from sightlines.core.errors import ConfigError, SightlinesError, WeightsError
from sightlines.datasets.imagefolder import MEAN, STD
from sightlines.library.torch_state import as_before
from sightlines.models import (
    building,
    foreign,
    timm_blocks,
    timm_building,
    timm_listed,
    transformers_building,
    weight_fitting,
)
from sightlines.models.found_layers import Seen, uncompiled
from sightlines.models.layers import Layer, layer_table
from sightlines.models.timm import HEAD
from sightlines.models.timm_facts import ASKED
from sightlines.models.timm_names import class_names
from sightlines.models.towers import Tower
from sightlines.models.tracing import without_numbers
from sightlines.models.weight_forms import POSITIONS
from sightlines.plan import networks as names
from sightlines.plan import renamed_keys
from sightlines.plan.networks import FULL, UNTRAINED

VIEW = ("size_px", "mean", "std", "interpolation", "crop_pct", "crop_mode")
"""How a network sees an image, by the names that `load` takes."""
ON_CARD = {"crop_pct": "crop_share"}
"""Names of these that cards have, where they are others."""
WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel, AveragedModel)
"""Modules that train another one, their `module`, on several GPUs, or average its weights."""


@dataclass(frozen=True)
class Network:
    """A network with what must be known to look into it.

    Attributes:
        identity: What results call it: model, fraction, seed.
        module: The network, in evaluation mode, float32.
        card: How it sees images (size_px, mean, std, …), its grid of places, where it is from.
        layers: Where its representations are taken, in the order of depth.
    """

    identity: names.Network
    module: nn.Module
    card: dict[str, Any]
    layers: list[Layer]

    @property
    def name(self) -> str:
        """What it is called in tables and plots."""
        return self.identity.model

    @property
    def layer_table(self) -> pd.DataFrame:
        """One row a layer: index, name, kind, block and depth (from 0 to 1)."""
        return pd.DataFrame(layer_table(self.layers))

    def __repr__(self) -> str:
        """Its name, parameters and layers."""
        parameters = sum(p.numel() for p in self.module.parameters())
        return f"Network({self.name!r}: {parameters:,} parameters, {len(self.layers)} layers)"


def load(
    source: str | os.PathLike[str] | nn.Module,
    *,
    weights: str | os.PathLike[str] | None = None,
    layers: Sequence[str] = (),
    name: str = "",
    seed: int = 0,
    device: str | torch.device = "cpu",
    weight_set: str = "",
    drop: Sequence[str] = (),
    position_resampling: str = "antialias",
    **view: Any,
) -> Network:
    """A network to look into.

    Args:
        source: A model's name in timm; or the folder of a network in a run's results, with its
            `weights.safetensors` and `card.json`; or a module of your own, which is itself set to
            evaluation, float32 and `device`: any torch.nn.Module, also a network of transformers
            or OpenCLIP, of which what sees the images is taken. It is taken out of DataParallel,
            AveragedModel and torch.compile.
        weights: Of a model of timm: a safetensors or torch file; or "random" for initial weights.
        layers: Paths of the modules to look at, in the order in which they compute; by default the
            sub-layers of all blocks where they are known, else the blocks that one forward pass
            shows.
        name: What to call it; by default what `source` says.
        seed: Of initial weights.
        device: Where it computes: "cpu", "cuda", one GPU of several such as "cuda:1", or "auto", a
            GPU where there is one.
        weight_set: Of a file that holds several sets, such as "teacher", the one to take.
        drop: Beginnings of names in a file that are left out; "head": the last layer, whose
            outputs the network then lacks.
        position_resampling: How position embeddings come to another grid: "antialias" as timm
            does, "plain" or "dino" as the weights' authors may have done.
        view: How it sees images, where it is otherwise than timm says: size_px, mean, std,
            interpolation, crop_pct, crop_mode. Of an own module, by default as timm's config says
            if timm built it; else the size that its config names or 224 px, and ImageNet's mean and
            standard deviation.

    Example:
        >>> sl.load("test_vit", weights="random", size_px=64)
        Network('test_vit': 365,864 parameters, 39 layers)

    Raises:
        ConfigError: timm has no such model, its blocks are not known and `layers` is empty, a key
            of `view` is unknown, an argument says nothing of such a source, or there is no such
            device here.
        WeightsError: the weights do not fit: what does not is listed.
    """
    for key, value in {"layers": layers, "drop": drop}.items():
        if isinstance(value, str):
            raise ConfigError(f"load: {key} is a text; give a list, such as [{value!r}]")
    view = _renewed(view)
    unknown = sorted(set(view) - set(VIEW))
    if unknown:
        raise ConfigError(f"load: unknown {', '.join(unknown)}; known are {', '.join(VIEW)}")
    share = view.get("crop_pct", 1.0)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        raise ConfigError(f"load: crop_pct is {share!r}; give a share above 0, at most 1")
    if "size_px" in view:
        require_side(view["size_px"], "load")
    if position_resampling not in POSITIONS:
        raise ConfigError(
            f"load: position_resampling is {position_resampling!r}; give {', '.join(POSITIONS)}"
        )
    view = {ON_CARD.get(key, key): value for key, value in view.items()}
    of_timm = {"weights": weights, "seed": seed, "weight_set": weight_set, "drop": drop}
    if position_resampling != POSITIONS[0]:
        of_timm["position_resampling"] = position_resampling
    if not isinstance(source, str | os.PathLike | nn.Module):
        raise ConfigError(
            f"load: source is of type {type(source).__name__}; give a model's name in timm, the "
            "folder of a network in a run's results, or a torch.nn.Module"
        )
    place = named(device, "load: device")
    if isinstance(source, nn.Module):
        _refuse(of_timm, "a module has weights of its own")
        with as_before():
            found = _own(source, layers, name, view)
    elif (folder := Path(source)).is_dir():
        _refuse(of_timm | {"layers": layers} | view, f"the card in {folder} says it")
        with as_before():
            found = _of_results(folder, name)
    elif weights is None:
        raise WeightsError(
            f"{source}: set weights to a safetensors or torch file, or to 'random' for initial "
            "weights; a folder of a run's results needs none"
        )
    else:
        reading = {"weight_set": weight_set, "drop": drop, "positions": position_resampling}
        found = _of_timm(str(source), os.fspath(weights), layers, name, seed, view, reading)
    module = building.placed(found.module.float().eval(), place)
    return Network(found.identity, module, found.card, found.layers)


def require_side(size_px: Any, called: str) -> None:
    """Refuse what is no side of an image.

    Raises:
        ConfigError: it is no whole number of px, 1 or more.
    """
    if isinstance(size_px, bool) or not isinstance(size_px, Integral) or size_px < 1:
        raise ConfigError(f"{called}: size_px is {size_px!r}; give a whole number of px, 1 or more")


def _renewed(view: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of the view by the names of now; the former name works for one release."""
    if "crop_share" not in view:
        return dict(view)
    if "crop_pct" in view:
        raise ConfigError("load: crop_share is the former name of crop_pct: leave out crop_share")
    warnings.warn(
        f"load: crop_share is now crop_pct; sightlines {renamed_keys.LAST} will not know it",
        renamed_keys.DeprecatedKeyWarning,
        stacklevel=3,
    )
    return {("crop_pct" if key == "crop_share" else key): value for key, value in view.items()}


def _refuse(given: Mapping[str, Any], why: str) -> None:
    """Refuse arguments that would be passed over."""
    odd = sorted(key for key, value in given.items() if value)
    if odd:
        raise ConfigError(f"load: {why}; leave out {', '.join(odd)}")


def _of_results(folder: Path, name: str) -> Network:
    module, card = building.load_network(folder / "weights.safetensors", folder / "card.json")
    own = names.Network.parse(card["network"])
    identity = own._replace(model=name) if name else own
    return Network(identity, module, card, building.layers_of(card["family"], module))


def _of_timm(
    model: str,
    weights: str,
    layers: Sequence[str],
    name: str,
    seed: int,
    view: dict[str, Any],
    reading: dict[str, Any],
) -> Network:
    settings: dict[str, Any] = {"family": "timm", "name": model, "weights": "random"}
    settings |= {"arguments": {}, "acts_as": "auto", "layers": list(layers)}
    if "size_px" in view:
        settings["size_px"] = view["size_px"]
    if HEAD in reading["drop"]:
        settings["outputs"] = 0
    asked = {key: settings[key] for key in ASKED if key in settings}
    with torch.random.fork_rng(devices=[]):
        known = timm_building.describe(asked)
    module = building.build(settings, known["size_px"], known["outputs"], seed)
    notes: list[str] = []
    if weights != "random":
        is_resized = known["size_px"] != known["own_px"]
        path = Path(weights)
        fitted = weight_fitting.fit(module, path, known["file"], is_resized, **reading)
        module.load_state_dict(fitted.state)
        notes = list(fitted.notes())
    card = {key: view.get(key, known[key]) for key in (ON_CARD.get(key, key) for key in VIEW)}
    card |= {"family": "timm", "grid": known["grid"], "centres": known["centres"]}
    card |= {"timm": known["name"], "classes": class_names(known["outputs"]), "notes": notes}
    fraction = UNTRAINED if weights == "random" else FULL
    identity = names.Network(_plain(name or known["name"]), fraction, f"s{seed}")
    return Network(identity, module, card, building.layers_of("timm", module))


def _own(module: nn.Module, layers: Sequence[str], name: str, view: dict[str, Any]) -> Network:
    """Look at a module that the caller made: two images tell what its layers give."""
    module = _bare(module)
    card: dict[str, Any] = {"size_px": 224, "mean": list(MEAN), "std": list(STD)}
    called = _plain(name or type(module).__name__)
    module, told = _tower(module, view.get("size_px", 0))
    card |= told | view
    try:
        module, found, facts = _look(module, layers, card["size_px"])
    except SightlinesError:
        raise
    except Exception as error:
        side, why = card["size_px"], str(error).rstrip(".") or "no reason given"
        raise ConfigError(
            f"load: {called} cannot be run on images [2, 3, {side}, {side}]: "
            f"{type(error).__name__}: {why}. Set size_px to the side of its own images; where it "
            "takes others than normalised colours, give a module that calls it as it wants"
        ) from error
    card |= facts | {"family": "", "classes": [], "network": called}
    return Network(names.Network(called, FULL, "s0"), module, card, found)


def _bare(module: nn.Module) -> nn.Module:
    """A module without what wraps it, in evaluation mode and float32.

    Raises:
        ConfigError: it has no weights yet, or cannot be set so.
    """
    while isinstance(module := uncompiled(module), WRAPPERS):
        module = module.module
    called = type(module).__name__
    lazy = [name for name, parameter in module.named_parameters() if is_lazy(parameter)]
    if lazy:
        raise ConfigError(
            f"load: {called} has parameters without a shape ({', '.join(lazy[:3])}): show it one "
            "image first, by which its lazy modules get their weights"
        )
    try:
        return module.eval().float()
    except NotImplementedError as error:
        raise ConfigError(
            f"load: {called} cannot be set to evaluation ({error}): give the network from which it "
            "was exported"
        ) from error


def _look(
    module: nn.Module, layers: Sequence[str], size_px: int
) -> tuple[nn.Module, list[Layer], dict[str, Any]]:
    """The module to look into, its layers, and what the card says of their places."""
    if layers:
        # A copy without numbers: they are looked at by images that have none.
        listed = timm_listed.look(without_numbers(module), list(layers), size_px)
        return module, listed.layers, {"grid": list(listed.grid)}
    try:
        found = timm_blocks.layers(module)
        grid = timm_blocks.traits(module, size_px, found).grid
        return module, found, {"grid": list(grid)}
    except LookupError:  # no table knows it: one forward pass shows its blocks
        own = vars(module)
        if isinstance(own.get("found"), Seen):  # by an earlier call, maybe at another size
            own.pop("found")
            own.pop("attended", None)
        elif own.keys() & {"found", "attended"}:
            module = _Within(module)
        module = foreign.prepared(module, size_px)
        seen = foreign.seen_of(module)
        return module, list(seen.layers), {"grid": list(seen.grid), "centres": seen.centres}


class _Within(nn.Module):
    """A module that has attributes of its own by the names of those that are put on what it is in.

    Args:
        network: The module.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> Any:
        """What the module gives."""
        return self.network(images)


def _tower(module: nn.Module, size_px: int) -> tuple[nn.Module, dict[str, Any]]:
    """What sees the images in a network of transformers or OpenCLIP, and how as far as it says.

    Raises:
        ConfigError: its attention would show no probabilities.
    """
    library = type(module).__module__.partition(".")[0]
    if library == "transformers":
        side = size_px or transformers_building.side_of(module) or 224
        return transformers_building.wrapped(module, side), {"size_px": side}
    if library == "open_clip":
        visual: Any = getattr(module, "visual", module)
        side = getattr(visual, "image_size", size_px)
        side = side[0] if isinstance(side, tuple) else side
        said = getattr(visual, "preprocess_cfg", None) or {}
        told = {key: list(said[key]) for key in ("mean", "std") if key in said}
        return Tower(visual), {"size_px": side} | told
    return module, _timms_view(module)


def _timms_view(module: Any) -> dict[str, Any]:
    """How a network that timm built sees images, as timm's config of it says; empty of any other.

    But the side for which it was built, where that is one.
    """
    said = getattr(module, "pretrained_cfg", None)
    if not isinstance(said, Mapping):
        return {}
    found = {ON_CARD.get(key, key): said[key] for key in VIEW if said.get(key)}
    found |= {key: list(found[key]) for key in ("mean", "std") if key in found}
    if "crop_mode" in found:
        found["crop_mode"] = timm_building.WHOLE.get(found["crop_mode"], found["crop_mode"])
    built = getattr(getattr(module, "patch_embed", None), "img_size", None)
    sides = {*(built or said.get("input_size", ())[1:])}
    return found | ({"size_px": sides.pop()} if len(sides) == 1 else {})


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.+-]+", "-", name).strip("-") or "network"
