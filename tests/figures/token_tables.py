"""Synthetic table of CKA of class token and spatial tokens, as its measure writes it."""

import numpy as np
import pandas as pd

from sightlines.plan.networks import Network
from sightlines.results.selecting import settings


def token_cka(config, layers):
    """Each ViT with a class token, with itself and with the first ResNet of its fraction."""
    networks = [Network.parse(s) for s in config["networks"]]
    vits = [n for n in networks if settings(config, n.model).get("pool") == "cls"]
    vits = [n for n in vits if settings(config, n.model)["skipless_block"] < 0]
    families = config["families"]
    frames = []
    for vit in vits:
        others = [n for n in networks if families[n.model] == "resnet"]
        others = [n for n in others if n.fraction == vit.fraction][:1]
        for tokens in ("cls", "spatial"):
            for other in (vit, *others):
                frames.append(_pair(layers, tokens, vit, other))
    return pd.concat(frames, ignore_index=True)


def _pair(layers, tokens, a, b):
    x, y = (layers.loc[layers.model == n.model, "depth"].to_numpy() for n in (a, b))
    steep = {"cls": 2.0, "spatial": 0.7}[tokens] * (0.2 if a.fraction == "f000" else 1.0)
    values = np.exp(-steep * np.abs(x[:, None] - y)) - 0.1 * (a != b) - 0.02 * int(a.seed[1:])
    values[: 2 * (tokens == "cls")] = np.nan
    layer_a, layer_b = (g.ravel() for g in np.indices(values.shape))
    columns = {f"{k}_a": v for k, v in a._asdict().items()} | {"layer_a": layer_a}
    columns |= {f"{k}_b": v for k, v in b._asdict().items()} | {"layer_b": layer_b}
    return pd.DataFrame(columns | {"tokens": tokens, "cka": values.ravel(), "cka_se": 0.01})
