"""Whether the class token's attention finds the object: held against masks and against priors.

Sources: Caron et al. 2021 (DINO), Figure 4 and the authors' account of it (facebookresearch/dino,
issue 54): heads of the last block, the patches that hold 60 % of the mass, and for every mask the
best head of that image, which is an oracle. Beside it one head, chosen on every other image and
scored on the rest; maps that no network made; and as many maps of chance as there are heads.
Rollout (Dosovitskiy et al. 2020, appendix D.8) is held against the same masks by ranks of patches.
"""

from typing import Any

import numpy as np
import pandas as pd

from sightlines.core import seeds
from sightlines.core.progress import Progress
from sightlines.dumps.cls_attention_reading import ClsAttentionDump, shares
from sightlines.stats.jackknife import ALL, leave_one_out
from sightlines.stats.means import quotient
from sightlines.stats.object_maps import area_under_curve, ceiling, centre, heaviest, jaccard

READS = ("cls_attention",)
USES = ("seed",)
NEEDS = ("attention", "plain_attention", "masks")
TABLES = {
    "segmentation.parquet": {
        "about": "Overlap of every head's attention with the objects, all images",
        "row": "network × block × head × mass",
        "columns": (
            "network",
            "block",
            "head",
            ("mass", "float", "share", "of the attention to patches that is kept"),
            ("jaccard", "float", "", "intersection over union, mean over masks, then images"),
            ("images", "int", "images", "that have an object"),
        ),
    },
    "segmentation_replicates.parquet": {
        "about": "Overlap by heads of the last block and by priors, on half of the images",
        "row": "network × mass × method × left_out",
        "columns": (
            "network",
            ("mass", "float", "share", "of the map that is kept"),
            (
                "method",
                "text",
                "",
                "oracle (best head of each mask); fixed (the head that is best on the other half); "
                "random_oracle, random_fixed (the same of maps of chance); whole (image), centre, "
                "brightness; prior (the one of these that is best on the other half); ceiling (of "
                "whole patches)",
            ),
            ("jaccard", "float", "", "intersection over union, mean over masks, then images"),
            ("head", "int", "", "the head that was chosen; −1: none"),
            "left_out",
        ),
    },
    "object_auc.parquet": {
        "about": "How well maps rank patches of objects above others, all images",
        "row": "network × block × map × left_out",
        "columns": (
            "network",
            ("block", "int", "", "block after which, from 0; −1: no block's"),
            (
                "map",
                "text",
                "",
                "attention (mean of the block's heads); rollout; weighted (rollout, by measured "
                "skips); centre, brightness",
            ),
            ("auc", "float", "", "area under the ROC curve over patches, mean over images"),
            "left_out",
        ),
    },
}
MASSES = (0.6, 0.9)
"""Kept by DINO, and by Naseer et al. 2021."""
GROUPS = 20
"""Groups of images of the jackknife."""
HALF = 0.5
"""Share of a patch's labelled pixels from which on it is the object's."""
PRIORS = ("whole", "centre", "brightness")
NEARLY_UNIFORM = 1e-3
"""By how much maps of chance vary."""


def measure(cls_attention: list[ClsAttentionDump], seed: int) -> dict[str, Any]:
    """Hold every network's attention against the masks.

    Args:
        cls_attention: Of each network.
        seed: Root seed, for maps of chance.

    Raises:
        ResultError: a dump is damaged.
    """
    heads: list[pd.DataFrame] = []
    methods: list[pd.DataFrame] = []
    areas: list[pd.DataFrame] = []
    progress = Progress(len(cls_attention), "networks")
    for done, dump in enumerate(cls_attention, 1):
        if dump.has_masks:
            scenes = Scenes(dump)
            own = dump.network._asdict()
            heads.append(head_table(dump, scenes).assign(**own))
            methods += [method_table(dump, scenes, q, seed).assign(**own) for q in MASSES]
            areas.append(area_table(dump, scenes).assign(**own))
        progress.update(done)
    return {
        "segmentation.parquet": heads,
        "segmentation_replicates.parquet": methods,
        "object_auc.parquet": areas,
    }


class Scenes:
    """The objects of some images, and maps that no network made.

    Attributes:
        of: Image of each mask, among those that have one [masks].
        chosen: These images among all [images].
        is_object: Whether a patch is an object's by half or more of what is labelled of it [images,
            patches].
        is_labelled: Whether anything of it is labelled [images, patches].
        is_scored: Whether an image is of the half on which what was chosen is scored [images].
    """

    def __init__(self, dump: ClsAttentionDump) -> None:
        """Read them from a dump."""
        self._objects, valid, image = dump.objects()
        self.chosen, self.of = np.unique(image, return_inverse=True)
        self._valid = valid[image]
        self.is_scored = self.chosen % 2 == 1
        whole = np.zeros((len(self.chosen), dump.patches))
        np.maximum.at(whole, self.of, quotient(self._objects, self._valid))
        self.is_object = whole >= HALF
        self.is_labelled = valid[self.chosen] > 0
        uniform = np.full((len(self.chosen), dump.patches), 1 / dump.patches)
        self.priors = {
            "whole": uniform,
            "centre": np.broadcast_to(centre(dump.grid), uniform.shape),
            "brightness": shares(dump.brightness()[self.chosen]),
        }

    def overlaps(self, maps: np.ndarray, mass: float) -> np.ndarray:
        """Jaccard index of each mask with each map of its image [masks, maps].

        Args:
            maps: Of the chosen images [images, maps, patches].
            mass: That is kept.
        """
        kept = heaviest(maps, mass)[self.of]
        return jaccard(kept, self._objects[:, None], self._valid[:, None])

    def ceilings(self) -> np.ndarray:
        """The largest that whole patches can have [masks]."""
        return ceiling(self._objects, self._valid)

    def by_image(self, values: np.ndarray) -> np.ndarray:
        """Means over the masks of each image [images, …]."""
        total = np.zeros((len(self.chosen), *values.shape[1:]))
        np.add.at(total, self.of, values)
        count = np.bincount(self.of).reshape(-1, *[1] * (values.ndim - 1))
        return np.asarray(total / count)


def head_table(dump: ClsAttentionDump, scenes: Scenes) -> pd.DataFrame:
    """segmentation.parquet of one network."""
    rows: list[dict[str, Any]] = []
    for block in range(dump.blocks):
        maps = dump.attention(block)[scenes.chosen]
        for mass in MASSES:
            found = scenes.by_image(scenes.overlaps(maps, mass)).mean(axis=0)
            own = {"block": block, "mass": mass, "images": len(scenes.chosen)}
            rows += [own | {"head": head, "jaccard": value} for head, value in enumerate(found)]
    return pd.DataFrame(rows)


def method_table(dump: ClsAttentionDump, scenes: Scenes, mass: float, seed: int) -> pd.DataFrame:
    """segmentation_replicates.parquet of one network and mass."""
    heads = scenes.overlaps(dump.attention(dump.blocks - 1)[scenes.chosen], mass)
    random = seeds.generator(seed, "maps of chance").uniform(
        1, 1 + NEARLY_UNIFORM, (dump.images, dump.heads, dump.patches)
    )
    chance = scenes.overlaps(shares(random[scenes.chosen]), mass)
    maps = np.stack([scenes.priors[name] for name in PRIORS], axis=1)
    priors = scenes.overlaps(maps, mass)
    chosen = {name: _best(scenes, own) for name, own in (("fixed", heads), ("prior", priors))}
    values = {
        "oracle": heads.max(axis=1),
        "fixed": heads[:, chosen["fixed"]],
        "random_oracle": chance.max(axis=1),
        "random_fixed": chance[:, 0],
        **{name: priors[:, place] for place, name in enumerate(PRIORS)},
        "prior": priors[:, chosen["prior"]],
        "ceiling": scenes.ceilings(),
    }
    frames = []
    for method, each in values.items():
        found = replicated(scenes.by_image(each)[scenes.is_scored])
        head = chosen["fixed"] if method == "fixed" else -1
        frame = pd.DataFrame({"jaccard": found, "left_out": np.arange(len(found)) + ALL})
        frames.append(frame.assign(method=method, head=head, mass=mass))
    return pd.concat(frames, ignore_index=True)


def _best(scenes: Scenes, overlaps: np.ndarray) -> int:
    """The map that overlaps most on the half that is not scored; the first of equal ones."""
    known = scenes.by_image(overlaps)[~scenes.is_scored]
    return int(known.mean(axis=0).argmax()) if len(known) else 0


def area_table(dump: ClsAttentionDump, scenes: Scenes) -> pd.DataFrame:
    """object_auc.parquet of one network."""
    maps: list[tuple[int, str, np.ndarray]] = [
        (-1, name, scenes.priors[name]) for name in PRIORS if name != "whole"
    ]
    for block in range(dump.blocks):
        mean = dump.attention(block).mean(axis=1)[scenes.chosen]
        maps.append((block, "attention", mean))
    for name in ("rollout", *(["weighted"] if dump.is_weighted else [])):
        rolled = dump.rollout(name)[scenes.chosen]
        maps += [(block, name, rolled[:, block]) for block in range(dump.blocks)]
    frames = []
    for block, name, values in maps:
        found = replicated(area_under_curve(values, scenes.is_object, scenes.is_labelled))
        frame = pd.DataFrame({"auc": found, "left_out": np.arange(len(found)) + ALL})
        frames.append(frame.assign(block=block, map=name))
    return pd.concat(frames, ignore_index=True)


def replicated(values: np.ndarray) -> np.ndarray:
    """Mean over images that have a value, of all and with each group left out [1 + groups].

    Args:
        values: [images], in the order in which they were drawn.
    """
    groups = np.arange(len(values)) % min(GROUPS, max(len(values), 1))
    is_there = np.isfinite(values)
    total = np.bincount(groups, np.where(is_there, values, 0), minlength=1)
    count = np.bincount(groups, is_there, minlength=1)
    return np.asarray(quotient(leave_one_out(total), leave_one_out(count)))
