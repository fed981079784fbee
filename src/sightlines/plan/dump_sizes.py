"""How large a dump will be, from the config's numbers, before there is a network or an image.

Of models that are built here every kind's shapes follow from blocks, widths and images; headers
and the few numbers an image that depend on its dataset (labels, outputs) are not counted. A model
of timm is not built to be asked: its sizes are known once it was dumped. What a recorder, a family
or a dataset counts (statistics, groups, strides, classes) is read from its own file.
tests/dumps/test_dump_sizes.py holds the numbers of each kind against the bytes that are written.
Nothing relies on them but what a run says before it begins: a recorder asks for the exact room
itself.
"""

import ast
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sightlines.plan import registry
from sightlines.plan.config_types import Config
from sightlines.plan.dataset_settings import has_masks

FLOAT, DOUBLE = 4, 8
SUBLAYERS = 6
"""Of a transformer's block, its output included."""


class Network(NamedTuple):
    """What of a network decides its dumps' sizes.

    Attributes:
        layers: Sub-layers that Grams are kept of.
        outputs: Shape of each block's output, and of the norm after the last: (places, features).
        blocks: Blocks, or a ResNet's units.
        places: Of the last block's output, without prefix tokens.
        prefix: Tokens before the patches'.
        branches: Places at which a branch meets a skip, summed over branches.
        watched: Layers of one block whose receptive fields are measured.
        pools: Ways in which an output becomes one vector an image.
        heads: Of one block; 0 without attention.
    """

    layers: int
    outputs: list[tuple[int, int]]
    blocks: int
    places: int
    prefix: int
    branches: int
    watched: int
    pools: int
    heads: int


def dump_bytes(kind: str, model: Mapping[str, Any], config: Config, size_px: int) -> int | None:
    """Bytes of one network's dump; None where the config alone does not tell.

    Args:
        kind: The recorder.
        model: The model's settings.
        config: The experiment's.
        size_px: Side of an image.
    """
    reader = _FAMILIES.get(model["family"])
    size = _KINDS.get(kind)
    return None if reader is None or size is None else size(reader(model, size_px), config, size_px)


def pixels_bytes(config: Config) -> int:
    """Bytes of the Grams of the reference images themselves."""
    return _triangles(config) * FLOAT


def _tokens(model: Mapping[str, Any], size_px: int) -> Network:
    blocks, is_mixer = model["depth"], model["family"] == "mixer"
    is_post = model.get("norm") == "post"
    places = (size_px // model["patch_px"]) ** 2
    prefix = int(not is_mixer and model["pool"] == "cls")
    skipless = int(model.get("skipless_block", -1) >= 0)
    return Network(
        layers=(SUBLAYERS - is_post) * blocks + (2 if is_mixer or is_post else 3),
        outputs=[(places + prefix, model["width"])] * (blocks + (not is_post)),
        blocks=blocks,
        places=places,
        prefix=prefix,
        branches=2 * (blocks - skipless) * (places + prefix),
        watched=4,
        pools=2 + prefix,
        heads=model["heads"] if model["family"] == "vit" else 0,
    )


def _maps(model: Mapping[str, Any], size_px: int) -> Network:
    units, channels = model["units"], model["channels"]
    strides = registry.declarations("models", "resnet")["STEM_STRIDES"]
    sides = [-(-size_px // math.prod(strides[model["stem"]]))]
    for _ in units[1:]:
        sides.append(-(-sides[-1] // 2))
    outputs, branches = [], 0
    for count, side, width in zip(units, sides, channels, strict=True):
        wanted = round(math.sqrt(channels[-1] / width))
        split = min(max(wanted, 1), max(side // sides[-1], 1))
        outputs += [(sides[-1] ** 2, width * split**2)] * count
        branches += count * side**2
    return Network(
        layers=7 * sum(units) + 2 * len(units) + 2,
        outputs=outputs,
        blocks=sum(units),
        places=sides[-1] ** 2,
        prefix=0,
        branches=branches,
        watched=2,
        pools=1,
        heads=0,
    )


_FAMILIES: dict[str, Callable[[Mapping[str, Any], int], Network]] = {
    "vit": _tokens,
    "mixer": _tokens,
    "fnet": _tokens,
    "resnet": _maps,
}


def _triangles(config: Config) -> int:
    """Entries of one layer's Grams, over all minibatches."""
    n = config.splits.reference_batch_size
    return config.splits.reference_batches * n * (n + 1) // 2


def _reference_images(config: Config) -> int:
    return config.splits.reference_batches * config.splits.reference_batch_size


@functools.cache
def _statistics(module: str) -> int:
    """How many names the STATISTICS of a module of `dumps` have, which is not imported for it."""
    tree = ast.parse((registry.PACKAGE / "dumps" / f"{module}.py").read_bytes())
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "STATISTICS":
            return sum(isinstance(each, ast.Constant) for each in ast.walk(node.value))
    raise LookupError(f"dumps/{module}.py has no STATISTICS")


def _gram(network: Network, config: Config, _size_px: int) -> int:
    return network.layers * _triangles(config) * FLOAT


def _class_token(network: Network, config: Config, _size_px: int) -> int:
    return (network.layers - 1) * _triangles(config) * FLOAT  # patches alone have none


def _heads(network: Network, config: Config, _size_px: int) -> int:
    return network.heads * _triangles(config) * FLOAT


def _attention(network: Network, config: Config, _size_px: int) -> int:
    offsets = (2 * math.isqrt(network.places) - 1) ** 2
    statistics = _statistics("attention")
    each = _reference_images(config) * statistics + offsets
    return each * network.blocks * network.heads * FLOAT


def _localisation(network: Network, config: Config, _size_px: int) -> int:
    rows, places = len(network.outputs), network.places
    own = rows * places * (places + 1) + places**2 + network.prefix * rows * (places + 1)
    return config.splits.reference_batches * own * DOUBLE


def _branch_places(network: Network, config: Config, _size_px: int) -> int:
    branches, places = network.blocks, network.places
    own = branches * places * (places + 1) + places**2 + network.prefix * branches * (places + 1)
    return config.splits.reference_batches * own * DOUBLE


def _skips(network: Network, config: Config, _size_px: int) -> int:
    each = network.branches * _statistics("skips_reading") * DOUBLE
    return config.splits.reference_batches * each


def _features(network: Network, config: Config, _size_px: int) -> int:
    splits = config.splits
    images = splits.probe_train + splits.probe_held_out + splits.probe_test
    return images * network.pools * sum(width for _, width in network.outputs) * FLOAT


def _token_features(network: Network, config: Config, _size_px: int) -> int:
    splits, probes = config.splits, config.probes
    images = min(splits.probe_train, probes.token_train)
    images += min(splits.probe_held_out, probes.token_held_out)
    images += min(splits.probe_test, probes.token_test)
    blocks = network.outputs[: network.blocks]
    count = min(probes.token_depths, len(blocks))
    depths = {round(i * (len(blocks) - 1) / max(count - 1, 1)) for i in range(count)}
    kept = [blocks[i] for i in depths] + network.outputs[network.blocks :]
    return images * sum(places * width for places, width in kept) * FLOAT


def _predictions(_network: Network, _config: Config, _size_px: int) -> int:
    """A few numbers an image, which are not counted; so of changed images and networks."""
    return 0


def _weights(network: Network, _config: Config, size_px: int) -> int:
    width = network.outputs[0][1]
    return width * (network.places + 3 * size_px**2 // network.places) * FLOAT


def _cls_attention(network: Network, config: Config, size_px: int) -> int:
    settings, masked = config.attention_maps, has_masks(config.dataset)
    wanted = settings.images if masked else settings.pictures
    images = min(wanted, _reference_images(config))
    maps = network.blocks * (network.heads + 2) * network.places + network.blocks + network.places
    own = images * maps * FLOAT
    own += images * (2 * network.places * FLOAT + 8) if masked else 0  # one object an image
    return own + min(settings.pictures, images) * 3 * size_px**2


def _conflicts(_network: Network, config: Config, _size_px: int) -> int:
    """Of photographs, whose number the config does not tell, none are counted."""
    dataset = config.dataset
    if config.conflicts.folder or dataset["kind"] != "shapes":
        return 0
    classes: int = registry.declarations("datasets", "shapes")["CLASSES"]
    each, cues = classes * FLOAT, 2 * DOUBLE
    whole: int = dataset["n_conflict"] * (each + cues)
    return whole + int(dataset["n_silhouette"]) * (each + DOUBLE)


def _perturbations(_network: Network, config: Config, size_px: int) -> int:
    most: int = registry.declarations("dumps", "perturbations")["BANDS"]
    bands = min(most, size_px)
    return config.conditions.perturbation.images * (bands**2 + 8) * FLOAT


def _receptive_field(network: Network, config: Config, size_px: int) -> int:
    settings = config.receptive_field
    depths = max(min(settings.depths, network.blocks), 2)
    layers = 1 + network.watched * min(depths, network.blocks)
    most: int = registry.declarations("dumps", "receptive_field")["GROUPS"]
    groups = min(most, settings.images)
    return layers * groups * size_px**2 * FLOAT


_KINDS: dict[str, Callable[[Network, Config, int], int]] = {
    "gram": _gram,
    "class_token": _class_token,
    "heads": _heads,
    "attention": _attention,
    "localisation": _localisation,
    "branch_places": _branch_places,
    "conflicts": _conflicts,
    "skips": _skips,
    "features": _features,
    "token_features": _token_features,
    "predictions": _predictions,
    "weights": _weights,
    "cls_attention": _cls_attention,
    "receptive_field": _receptive_field,
    "occlusions": _predictions,
    "lesions": _predictions,
    "occlusion_depth": _predictions,
    "corruption_depth": _predictions,
    "frequency_depth": _predictions,
    "conflict_depth": _predictions,
    "perturbations": _perturbations,
    "cutouts": _predictions,
    "corruptions": _predictions,
    "frequencies": _predictions,
    "confidences": _predictions,
    "backgrounds": _predictions,
}
