"""Pictures of where the class token looks: a few images, heads of the last block, rollout.

Sources: Caron et al. 2021 (DINO), Figure 1; Dosovitskiy et al. 2020 (ViT), Figures 6 and 14. And
what rollout keeps of the token itself, beside what uniform attention would.
"""

from typing import Any

import numpy as np
import pandas as pd

from sightlines.dumps.cls_attention_reading import ClsAttentionDump

READS = ("cls_attention",)
NEEDS = ("attention", "plain_attention", "pictures")
TABLES = {
    "attention_pictures.parquet": {
        "about": "Maps over the patches of a few images",
        "row": "network × image × map × row × column",
        "columns": (
            "network",
            ("image", "int", "", "from 0"),
            (
                "map",
                "text",
                "",
                "head 0, head 1, … of the last block; attention (their mean); rollout; weighted "
                "(rollout, by measured skips); object",
            ),
            ("row", "int", "", "of the patch"),
            ("column", "int", "", "of the patch"),
            (
                "share",
                "float32",
                "share",
                "of the map's mass; of the patch's labelled pixels that are an object's",
            ),
        ),
    },
    "pictured_images.parquet": {
        "about": "These images, as each network sees them, at most about 112 px wide",
        "row": "network × image × row × column",
        "columns": (
            "network",
            ("image", "int", "", "from 0"),
            ("row", "int", "px", "from the top"),
            ("column", "int", "px", "from the left"),
            ("red", "int", "", "0 to 255"),
            ("green", "int", "", "0 to 255"),
            ("blue", "int", "", "0 to 255"),
        ),
    },
    "rollout_own.csv": {
        "about": "What rollout keeps of the class token itself, or in the mean of a patch",
        "row": "network × block",
        "columns": (
            "network",
            "block",
            ("own", "float", "share", "of the token's row that is the token's own"),
            (
                "uniform",
                "float",
                "share",
                "the same where attention is uniform: 2⁻ᴸ + (1 − 2⁻ᴸ) / T of L blocks and T tokens",
            ),
        ),
    },
}


def measure(cls_attention: list[ClsAttentionDump]) -> dict[str, Any]:
    """Bring maps and images into tables.

    Args:
        cls_attention: Of each network; pictures are kept of the first of each model and of its
            first untrained control.

    Raises:
        ResultError: a dump is damaged.
    """
    maps, images = [], []
    first: set[tuple[str, str]] = set()
    for dump in cls_attention:
        own = dump.network._asdict()
        if (kind := dump.network[:2]) not in first and dump.meta["pictures"]:
            first.add(kind)
            maps.append(map_table(dump).assign(**own))
            images.append(image_table(dump).assign(**own))
    return {
        "attention_pictures.parquet": maps,
        "pictured_images.parquet": images,
        "rollout_own.csv": [own_table(d).assign(**d.network._asdict()) for d in cls_attention],
    }


def map_table(dump: ClsAttentionDump) -> pd.DataFrame:
    """attention_pictures.parquet of one network."""
    count = dump.meta["pictures"]
    heads = dump.attention(dump.blocks - 1)[:count]
    maps = {f"head {head}": heads[:, head] for head in range(dump.heads)}
    maps |= {"attention": heads.mean(axis=1), "rollout": dump.rollout()[:count, -1]}
    maps |= {"weighted": dump.rollout("weighted")[:count, -1]} if dump.is_weighted else {}
    if dump.has_masks:
        objects, valid, image = dump.objects()
        whole = np.zeros((dump.images, dump.patches))
        np.add.at(whole, image, objects)
        maps |= {"object": (whole / np.maximum(valid, 1))[:count]}
    row, column = (axis.ravel() for axis in np.indices(dump.grid))
    frames = [
        pd.DataFrame({"row": row, "column": column, "share": values.astype(np.float32)}).assign(
            image=image, map=name
        )
        for name, own in maps.items()
        for image, values in enumerate(own)
    ]
    return pd.concat(frames, ignore_index=True)


def image_table(dump: ClsAttentionDump) -> pd.DataFrame:
    """pictured_images.parquet of one network."""
    pictures = dump.pictures()
    image, row, column = (axis.ravel() for axis in np.indices(pictures.shape[:3]))
    colours = pictures.reshape(-1, 3).T.astype(np.int64)
    own = {"image": image, "row": row, "column": column}
    return pd.DataFrame(own | dict(zip(("red", "green", "blue"), colours, strict=True)))


def own_table(dump: ClsAttentionDump) -> pd.DataFrame:
    """rollout_own.csv of one network."""
    kept = 0.5 ** np.arange(1, dump.blocks + 1)
    return pd.DataFrame(
        {
            "block": np.arange(dump.blocks),
            "own": dump.own().mean(axis=0),
            "uniform": kept + (1 - kept) / dump.tokens,
        }
    )
