"""Which network of an experiment plays which role: the one place that decides it.

The planner asks for dumps by role, measures pair networks by role, and figures, claims and the page
show and judge networks by role; that all of them mean the same network is decided here. Pure
functions of the networks, in the config's order, and of the architectures: the models' settings
as `architectures.described` gives them.

The rules (docs/protocols.md, "Networks by role"):

* A model's *full* network is its first one on all images.
* Its *controls* are its untrained networks, one an initialisation; where the model starts idle
  (branches at 0, BatchNorm's statistics of no image), those that were switched on. The first has
  the full network's seed, if any has: so that the two differ by training and, where there is a
  choice, by nothing else. It is the *control* that figures show, and is measured like any network;
  *further controls* see reference images alone.
* A network that has a switched-on twin is the start of training, and no control.
* *Plain* models have a full network, and all their skips; *main* ones are those of the paper's
  main figures. Figures of layers show a Mixer and an FNet beside them (`shown_models`).
* A network is held against another model's of the *same seed*, else against that model's full one.
"""

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sightlines.plan.architectures import POOL, SKIPS, lacks_skips, twins
from sightlines.plan.networks import (
    FULL,
    UNTRAINED,
    Network,
    as_initialised,
    is_on,
    per_cent,
    switched_on,
)

Architectures = Mapping[str, Mapping[str, Any]]
WORDS = ("all", "plain", "compared", "first_seed", "main", "main_seeds")
"""What a dump's NETWORKS may ask for; see `chosen`."""


# -- one model's networks ---------------------------------------------------------------------


def models(networks: Iterable[Network]) -> list[str]:
    """Models in the networks' order, each once."""
    return list(dict.fromkeys(n.model for n in networks))


def on(networks: Iterable[Network], model: str, fraction: str) -> list[Network]:
    """A model's networks on one fraction, one a seed; of untrained ones the controls first."""
    networks = list(networks)
    own = [n for n in networks if n[:2] == (model, fraction)]
    if fraction == UNTRAINED:
        full = full_network(networks, model)
        own.sort(key=lambda n: full is None or as_initialised(n).seed != full.seed)
        own.sort(key=lambda n: switched_on(n) in networks and not is_on(n))
    return own


def full_network(networks: Iterable[Network], model: str) -> Network | None:
    """A model's first network on all images; None where there is none."""
    return next((n for n in networks if n[:2] == (model, FULL)), None)


def controls(networks: Iterable[Network], model: str) -> list[Network]:
    """A model's untrained controls, one an initialisation; that of its full network's seed first.

    Where the model starts idle, those that were switched on.
    """
    own = on(networks, model, UNTRAINED)
    return [n for n in own if is_on(n)] or own


def control(networks: Iterable[Network], model: str) -> Network | None:
    """A model's first control: the one that figures show."""
    return next(iter(controls(networks, model)), None)


def further_controls(networks: Iterable[Network]) -> list[Network]:
    """Controls but each model's first: they are shown reference images alone."""
    networks = list(networks)
    return [n for model in models(networks) for n in controls(networks, model)[1:]]


def same_seed(networks: Iterable[Network], model: str, like: Network) -> Network | None:
    """A model's network on all images with another network's seed, or else its first."""
    own = on(networks, model, FULL)
    return next((n for n in own if n.seed == like.seed), next(iter(own), None))


def other_seeds(networks: Iterable[Network], network: Network) -> list[Network]:
    """Networks that differ from one in their seed alone."""
    return [n for n in on(networks, *network[:2]) if n != network]


def less_data(networks: Iterable[Network], model: str) -> list[str]:
    """Fractions below 100 % on which a model is trained, smallest first."""
    own = {n.fraction for n in networks if n.model == model}
    return sorted((f for f in own if 0 < per_cent(f) < 100), key=per_cent)


def first_seeds(networks: Iterable[Network]) -> list[Network]:
    """Of each model and fraction the first network; of the untrained ones the first control."""
    networks = list(networks)
    pairs = dict.fromkeys(n[:2] for n in networks)
    first = {on(networks, *pair)[0] for pair in pairs}
    return [n for n in networks if n in first]


# -- models by role -----------------------------------------------------------------------------


def trained_models(networks: Iterable[Network]) -> list[str]:
    """Models with a network on all images."""
    return models(n for n in networks if n.fraction == FULL)


def plain_models(networks: Iterable[Network], architectures: Architectures) -> list[str]:
    """Models with a network on all images whose blocks have all their skips."""
    return [m for m in trained_models(networks) if not lacks_skips(architectures.get(m, {}))]


def main_models(networks: Iterable[Network], architectures: Architectures) -> list[str]:
    """Plain models of the paper's main figures: ViTs with a class token, ResNets and the like.

    Pooled ViTs stand in only where no model has a class token; Mixers and FNets only where there is
    nothing else.
    """
    plain = plain_models(networks, architectures)
    read_out = {m: _read_out(architectures.get(m, {})) for m in plain}
    pooled = {m for m in plain if read_out[m] == "gap"}
    has_class_token = "cls" in read_out.values()
    left_out = {m for m in plain if architectures.get(m, {}).get("family") in ("mixer", "fnet")}
    left_out |= pooled if has_class_token else set()
    return [m for m in plain if m not in left_out] or plain


def fourier_model(networks: Iterable[Network], architectures: Architectures) -> str | None:
    """The FNet that stands for all: the first whose tokens are mixed by a Fourier transform alone.

    None where there is none: other mixing and attention in some blocks make variants of it.
    """
    own = {m: architectures[m] for m in of_kind(networks, architectures, "fnet")}
    return next(
        (
            model
            for model, settings in own.items()
            if settings.get("mixing", "fourier") == "fourier"
            and not settings.get("attention_blocks")
        ),
        None,
    )


def shown_models(networks: Iterable[Network], architectures: Architectures) -> list[str]:
    """Models of Figure 1: the main ones, then the first Mixer and the FNet."""
    networks = list(networks)
    mixer = next(iter(of_kind(networks, architectures, "mixer")), None)
    fnet = fourier_model(networks, architectures)
    main = main_models(networks, architectures)
    return list(dict.fromkeys([*main, *(m for m in (mixer, fnet) if m is not None)]))


def pairs_across(
    networks: Iterable[Network], architectures: Architectures
) -> list[tuple[str, str]]:
    """Pairs of Figure 2, (model upwards, model to the right).

    Main models of two families each, a ViT upwards; then the FNet with the first main ViT and with
    the first main ResNet.
    """
    networks = list(networks)
    main = main_models(networks, architectures)
    family = {m: architectures.get(m, {}).get("family") for m in main}
    pairs = [
        (b, a) if family[b] == "vit" else (a, b)
        for a, b in itertools.combinations(main, 2)
        if family[a] != family[b]
    ]
    fnet = fourier_model(networks, architectures)
    if fnet is None or fnet in main:
        return pairs
    vit, resnet = (next((m for m in main if family[m] == f), None) for f in ("vit", "resnet"))
    pairs += [(vit, fnet)] if vit else []
    pairs += [(fnet, resnet)] if resnet else []
    return pairs


def mixer_pairs(networks: Iterable[Network], architectures: Architectures) -> list[tuple[str, str]]:
    """Pairs of Figure H: each Mixer with itself, with the main models, and with the FNet."""
    networks = list(networks)
    mixers = of_kind(networks, architectures, "mixer")
    shown = [*main_models(networks, architectures), fourier_model(networks, architectures)]
    others = [m for m in dict.fromkeys(shown) if m is not None and m not in mixers]
    return [(mixer, other) for mixer in mixers for other in (mixer, *others)]


def of_kind(
    networks: Iterable[Network], architectures: Architectures, family: str = "", pool: str = ""
) -> list[str]:
    """Plain models of one family, read out in one way; the empty word is for any."""
    return [
        m
        for m in plain_models(networks, architectures)
        if family in ("", architectures.get(m, {}).get("family"))
        and pool in ("", _read_out(architectures.get(m, {})))
    ]


def _read_out(settings: Mapping[str, Any]) -> str:
    """What a model classifies: ``cls`` for a ViT of which nothing else is told."""
    return str(settings.get("pool", "cls" if settings.get("family") == "vit" else ""))


def class_token_first(models: Sequence[str], architectures: Architectures) -> list[str]:
    """Those of some models that have all their skips; with a class token, where there are such."""
    whole = [m for m in models if not lacks_skips(architectures.get(m, {}))]
    with_token = [m for m in whole if architectures.get(m, {}).get("pool", "cls") == "cls"]
    return with_token or whole


def skipless_pairs(
    networks: Iterable[Network], architectures: Architectures
) -> list[tuple[str, str]]:
    """Each trained model that lacks skips, with its trained twin that has them all."""
    trained = trained_models(networks)
    return [
        (lacking, intact)
        for lacking in trained
        for intact in twins(architectures, lacking, SKIPS)
        if lacks_skips(architectures.get(lacking, {}))
        and not lacks_skips(architectures[intact])
        and intact in trained
    ]


def pooled_pairs(
    networks: Iterable[Network], architectures: Architectures
) -> list[tuple[str, str]]:
    """Each ViT with a class token, and each that differs from it by mean pooling alone."""
    networks = list(networks)
    pooled = of_kind(networks, architectures, "vit", "gap")
    return [
        (model, twin)
        for model in of_kind(networks, architectures, "vit", "cls")
        for twin in twins(architectures, model, POOL)
        if twin in pooled
    ]


# -- what is dumped -----------------------------------------------------------------------------


def chosen(
    word: str,
    networks: Iterable[Network],
    architectures: Architectures,
    public: Collection[str] = (),
) -> list[Network]:
    """Networks by a word of the dumps.

    Args:
        word: ``all``; ``plain``, without ViTs that lack skips and without the start of training
            where a twin of it was switched on; ``compared``, of those the ones on all images and
            the untrained; ``first_seed``, of those each model's first, and its controls; ``main``,
            of those the ones of the main models; ``main_seeds``, these and the main models' other
            seeds on all images.
        networks: All of the experiment, in the config's order.
        architectures: The models' settings.
        public: Models that another library builds: Mixers among them count as main ones, since the
            figures of Mixers are about the paper's own.

    Raises:
        KeyError: no such word.
    """
    networks = list(networks)
    if word not in WORDS:
        raise KeyError(f"no networks are called {word!r}; NETWORKS is one of {', '.join(WORDS)}")
    if word == "all":
        return networks
    started = {as_initialised(n) for n in networks if is_on(n)}
    plain = [
        n for n in networks if n not in started and not lacks_skips(architectures.get(n.model, {}))
    ]
    if word == "plain":
        return plain
    compared = [n for n in plain if n.fraction in (FULL, UNTRAINED)]
    if word == "compared":
        return compared
    firsts = {*first_seeds(compared), *further_controls(compared)}
    first = [n for n in compared if n in firsts]
    if word == "first_seed":
        return first
    main = {*main_models(networks, architectures)}
    main |= {m for m in public if architectures.get(m, {}).get("family") == "mixer"}
    shown = [n for n in first if n.model in main] or first
    if word == "main":
        return shown
    own = {*models(shown)}
    return [n for n in compared if n in shown or (n.fraction == FULL and n.model in own)]
