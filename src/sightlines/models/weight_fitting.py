"""Finds the weights of a model among a file's tensors, and brings them to its names and shapes.

A file may hold several sets of weights, each under keys of its own and with one prefix before every
name, as wrappers of modules leave it. What fits the model is taken; which set it was, what was
taken off its names and what was left out is told. Of several sets that fit, averaged weights (EMA)
are taken before the trained ones, as timm's own loader does: they are what a recipe with averaging
reports. Nothing else is chosen unsaid.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sightlines.core.errors import WeightsError
from sightlines.models.lean import timm_module
from sightlines.models.weight_files import LISTED, State, read
from sightlines.models.weight_misfits import (
    COUNTERS,
    SIZED,
    belongs,
    cure,
    infinite,
    misfits,
    shown,
    some,
)

UNUSED = "attn_pool."
"""Tensors that published files of average-pooled SigLIPs still hold; timm passes over them too."""
AVERAGED = re.compile(r"(^|[._])ema([._]|$)", re.IGNORECASE)
"""What the name of a set says of running averages of the weights."""
LUMINANCE = (19595 / 65536, 38470 / 65536, 7471 / 65536)
"""Shares of red, green and blue in Pillow's `convert("L")`."""
LIKELY = 0.5
"""Share of the model's names in a set that is taken for weights of such a model."""
TOP = "."
"""What a set is called that lies under no key and has no prefix."""


@dataclass(frozen=True)
class Fitted:
    """A file's weights, by the names and in the shapes of a model's, and where they were.

    Attributes:
        state: The weights.
        resampled: Names of those that were brought to another size.
        weight_set: The set's name: keys and prefix, joined by dots; empty where the file holds
            nothing but the weights by their own names.
        wrapper: The keys under which the set lies.
        prefix: What was taken off every name.
        other_sets: Names of the file's other sets of such weights; a dot is the file's top.
        are_equal: Whether these are the same as the ones that are taken.
        left_out: Names of tensors beside the weights, such as projection heads, that no name of
            the model asks for.
        is_grey: Whether they were for one channel, and see the luminance of three now.
    """

    state: State
    resampled: list[str]
    weight_set: str = ""
    wrapper: str = ""
    prefix: str = ""
    other_sets: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    is_grey: bool = False
    are_equal: bool = False

    def notes(self) -> list[str]:
        """What was done, in sentences; none where names and shapes were the model's own."""
        told = [f"weights lie under the key {self.wrapper}"] if self.wrapper else []
        told += [f"the prefix {self.prefix} is taken off their names"] if self.prefix else []
        if self.other_sets:
            which = "averaged " if AVERAGED.search(self.weight_set) else ""
            told.append(
                f"the {which}weights {self.weight_set or TOP} are taken; the file also holds "
                f"{'equal ones, ' * self.are_equal}{', '.join(self.other_sets)} (the model's key "
                "weight_set chooses)"
            )
        told += [f"left out: {shown(self.left_out)}"] if self.left_out else []
        if self.resampled:
            told.append(f"resampled to the model's size: {', '.join(self.resampled)}")
        told += ["made for one channel, they see the luminance of photographs"] * self.is_grey
        return told

    def on_card(self) -> dict[str, Any]:
        """All of it but the weights."""
        return {
            "weight_set": self.weight_set,
            "weights_under": self.wrapper,
            "weights_prefix": self.prefix,
            "weight_sets_not_taken": self.other_sets,
            "left_out": self.left_out,
            "resampled": self.resampled,
        }


@dataclass(frozen=True, eq=False)
class _Candidate:
    """Tensors that may be the model's: those of one set whose names begin with one prefix."""

    wrapper: str
    prefix: str
    raw: State
    left_out: list[str]
    coverage: float

    @property
    def name(self) -> str:
        """Of the set, as the key `weight_set` has it."""
        return ".".join(part for part in (self.wrapper, self.prefix.rstrip(".")) if part)

    def holds(self, other: "_Candidate") -> bool:
        """Whether another one is the same set, or a part of it."""
        is_whole = not self.prefix and not self.left_out
        return self.name == other.name or (is_whole and self.wrapper == other.wrapper)


@dataclass(frozen=True)
class _Trial:
    """What became of a candidate."""

    candidate: _Candidate
    state: State
    resampled: list[str]
    offences: list[str]
    reason: str


def fit(
    model: nn.Module,
    path: Path,
    file: str,
    is_resized: bool,
    weight_set: str = "",
    is_grey: bool = False,
) -> Fitted:
    """The weights of a file, by the names and in the shapes of a model's.

    Names that timm itself would convert (other projects') are converted by timm's function for
    that; so are patches and position embeddings of another size, where the config asks for it.

    Args:
        model: What they are for; stays as it is.
        path: A safetensors or torch file.
        file: The file of `timm.models` that defines the model.
        is_resized: Whether the config sets a size or patches other than timm's.
        weight_set: Name of the set to take; empty: the one that fits.
        is_grey: Whether they are of a network for grey images, and the model for colour ones.

    Raises:
        WeightsError: the file is missing, damaged or would run code; several sets fit, or none has
            the name that is asked for; or tensors are missing, unexpected, of another shape or
            not finite: some of each kind are listed.
    """
    expected = model.state_dict()
    sets = [_candidates(name, raw, expected) for name, raw in read(path).items()]
    candidates = [candidate for own in sets for candidate in own]
    chosen = [[c for c in own if _is_of(c.name, weight_set)] for own in sets]
    if not any(chosen):
        there = _listed_sets(candidates)
        cure = f"set weight_set to one of {there}, or leave it out" if there else "leave it out"
        raise WeightsError(f"{path} has no set of weights {weight_set!r}: {cure}")
    convert = getattr(timm_module(f"models.{file}"), "checkpoint_filter_fn", None)
    attempt = partial(_try, model=model, convert=convert, is_resized=is_resized, is_grey=is_grey)
    trials = [t for own in _likely(chosen, len(expected)) for t in _trials(own, attempt)]
    fitting = [trial for trial in trials if not trial.offences]
    if not fitting:
        raise _misfit(path, model, min(trials, key=_distance), candidates)
    taken = _choose(path, fitting)
    if infinite(taken.state, expected):
        raise _misfit(path, model, taken, candidates)
    own, fits = taken.candidate, [trial.candidate for trial in fitting]
    beside = [c for c in candidates if not own.holds(c) and (c.coverage > LIKELY or c in fits)]
    names = [*dict.fromkeys(c.name or TOP for c in beside)]
    equal = all(_are_equal(taken.state, trial.state) for trial in fitting)
    return Fitted(
        {name: taken.state.get(name, mine).to(mine.dtype) for name, mine in expected.items()},
        taken.resampled,
        own.name,
        own.wrapper,
        own.prefix,
        names,
        own.left_out,
        is_grey,
        are_equal=equal and {c.name or TOP for c in fits} >= {*names},
    )


def _likely(sets: Sequence[list[_Candidate]], tensors: int) -> list[list[_Candidate]]:
    """Sets with names of the model's; else those with tensors enough to be converted to it."""
    own = [candidates for candidates in sets if candidates]
    named = [c for c in own if max(each.coverage for each in c) > LIKELY]
    enough = [c for c in own if len(c[0].raw) * 4 >= tensors]
    return named or enough or own[:1]


def _trials(
    candidates: Sequence[_Candidate], attempt: Callable[[_Candidate], _Trial]
) -> list[_Trial]:
    """Attempts at one set, until all of it fits, by its own names or by those timm converts."""
    found = []
    for candidate in candidates:
        found.append(attempt(candidate))
        if not found[-1].offences and not candidate.left_out:
            break
    return found


def _candidates(wrapper: str, raw: State, expected: Mapping[str, Any]) -> list[_Candidate]:
    """What of a set may be the model's weights: all of it, or what is under one prefix."""
    counts: Counter[str] = Counter()
    for name in raw:
        for at in (0, *(m.end() for m in re.finditer(r"\.", name))):
            counts[name[:at]] += name[at:] in expected
    wanted = max(sum(not name.endswith(COUNTERS) for name in expected), 1)
    likely = [prefix for prefix, count in counts.items() if count > wanted * LIKELY]
    found = [_Candidate(wrapper, "", raw, [], counts[""] / wanted)]
    for prefix in likely or _shared_prefixes(raw):
        longer = tuple(p for p in likely if p != prefix and p.startswith(prefix))
        own = {n: t for n, t in raw.items() if n.startswith(prefix) and not n.startswith(longer)}
        if likely:  # what averaging counts beside them, such as decay, is no weight
            own = {n: t for n, t in own.items() if t.dim() or n.removeprefix(prefix) in expected}
        rest = [n for n in raw if n not in own]
        if prefix or rest:
            named = {name.removeprefix(prefix): tensor for name, tensor in own.items()}
            found.append(_Candidate(wrapper, prefix, named, rest, counts[prefix] / wanted))
    return found


def _shared_prefixes(names: Iterable[str]) -> list[str]:
    """What all names begin with, up to each of its dots."""
    first, *others = [*names]
    found = []
    for dot in re.finditer(r"\.", first):
        if not all(name.startswith(first[: dot.end()]) for name in others):
            break
        found.append(first[: dot.end()])
    return found


def _is_of(name: str, weight_set: str) -> bool:
    if weight_set == TOP:
        return not name
    return not weight_set or name == weight_set or name.startswith(f"{weight_set}.")


def _try(
    candidate: _Candidate, model: nn.Module, convert: Any, is_resized: bool, is_grey: bool
) -> _Trial:
    """Convert as timm would, and say what still does not fit."""
    raw, expected = candidate.raw, model.state_dict()
    found, resampled, reason = raw, [], ""
    if convert is not None and _shapes(raw) != _shapes(expected):
        try:
            found = convert(dict(raw), model)
            resampled = _resampled(raw, found, getattr(model, "num_prefix_tokens", 0))
        except Exception as error:
            reason = f" (timm's conversion: {type(error).__name__}: {error})"
    if not any(name.startswith(UNUSED) for name in expected):  # a pooling that the model leaves out
        found = {name: t for name, t in found.items() if not name.startswith(UNUSED)}
    first = {n: t for n, t in found.items() if is_grey and _is_first_weight(model, n, t)}
    found = found | {name: in_colour(t) for name, t in first.items() if t.shape[1] == 1}
    offences = [
        f"{name}: {tensor.shape[1]} channels instead of 1 (arguments.in_chans)"
        for name, tensor in first.items()
        if tensor.shape[1] != 1
    ]
    if resampled and not is_resized:
        found = found | {name: raw[name] for name in resampled if name in raw}
        offences += [f"{name}: of another size" for name in resampled if name not in raw]
    return _Trial(candidate, found, resampled, offences + misfits(found, expected), reason)


def in_colour(weight: torch.Tensor) -> torch.Tensor:
    """First weights [out, 1 or 3, …] of a network that sees but the luminance of three channels.

    Pillow's luminance, so that with one mean and standard deviation for all channels the network
    gives for a photograph what it gave for `convert("L")` of it, but for rounding to whole levels.
    """
    shares = torch.tensor(LUMINANCE, dtype=torch.float64).to(weight.dtype)
    return weight.sum(1, keepdim=True) * shares.view(1, 3, *[1] * (weight.dim() - 2))


def see_luminance(model: nn.Module) -> None:
    """Make the first layer of an untrained network one for grey images, as `in_colour` does."""
    state = model.state_dict()
    first = {n: in_colour(t) for n, t in state.items() if _is_first_weight(model, n, t)}
    model.load_state_dict(state | first)


def _is_first_weight(model: nn.Module, name: str, tensor: torch.Tensor) -> bool:
    return belongs(model, "first_conv", name) and tensor.dim() > 2


def _resampled(raw: State, found: State, prefix: int) -> list[str]:
    """Tensors that a conversion brought to another size.

    A tensor that has another name, shape or a part of its own file's numbers lies where that file's
    lie in memory, and was not resampled; nor was one whose prefix tokens were put on or taken off.

    Args:
        raw: The file's tensors.
        found: What the conversion gave.
        prefix: Prefix tokens of the model.
    """
    places = {tensor.untyped_storage().data_ptr() for tensor in raw.values()}
    sizes = {tensor.numel() for tensor in raw.values()}
    made = [n for n, t in found.items() if t.untyped_storage().data_ptr() not in places]
    return [name for name in made if _has_other_size(name, raw, found[name], sizes, prefix)]


def _has_other_size(
    name: str, raw: State, tensor: torch.Tensor, sizes: set[int], prefix: int
) -> bool:
    """Whether a tensor that a conversion computed has another size than the file's of that name.

    Where the file has none of that name, than any that the file has.
    """
    if name in raw:
        if name == "pos_embed" and abs(tensor.shape[1] - raw[name].shape[1]) <= prefix:
            return False
        return tensor.numel() != raw[name].numel()
    width = tensor.shape[-1] if tensor.dim() else 1
    near = {tensor.numel() + tokens * width for tokens in range(-prefix, prefix + 1)}
    return name.endswith(SIZED) and not near & sizes


def _choose(path: Path, fitting: Sequence[_Trial]) -> _Trial:
    """The one set that fits; of several, the one that is averaged; of equal ones, the first.

    Raises:
        WeightsError: several fit, and nothing says which is meant.
    """
    averaged = [t for t in fitting if AVERAGED.search(t.candidate.name)]
    first, *others = averaged if len(averaged) == 1 else fitting
    if all(_are_equal(first.state, other.state) for other in others):
        return first
    raise WeightsError(
        f"{path} holds several sets of weights that fit: set weight_set of the model to one of "
        f"{_listed_sets([trial.candidate for trial in fitting])}"
    )


def _are_equal(a: State, b: State) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def _listed_sets(candidates: Sequence[_Candidate]) -> str:
    likely = [c.name for c in candidates if c.coverage > LIKELY] or [c.name for c in candidates]
    names = [*dict.fromkeys(name or TOP for name in likely)]
    return "" if names == [TOP] else ", ".join(names[: 2 * LISTED])


def _distance(trial: _Trial) -> tuple[float, int]:
    """How far a trial is from fitting, for comparison."""
    return (-trial.candidate.coverage, len(trial.offences))


def _misfit(
    path: Path, model: nn.Module, trial: _Trial, candidates: Sequence[_Candidate]
) -> WeightsError:
    """What does not fit, some of each kind, and what to change."""
    own = trial.candidate
    names = sorted({c.name for c in candidates if c.coverage > LIKELY} - {own.name, ""})
    told = [f"its weights {own.name}"] if own.name else []
    told += [f"it also holds {', '.join(names[:LISTED])}"] if names else []
    said = f" ({'; '.join(told)})" if told else ""
    lines = some([*infinite(trial.state, model.state_dict()), *trial.offences])
    listed = "\n  ".join(lines)
    return WeightsError(
        f"{path} does not fit {type(model).__name__}{said}{trial.reason}:\n  {listed}\n"
        f"{cure(model, own.raw, trial.state, trial.offences)}"
    )


def _shapes(state: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(t.shape) for name, t in state.items() if not name.endswith(COUNTERS)}
