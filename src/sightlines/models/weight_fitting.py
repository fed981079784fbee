"""Finds the weights of a model among a file's tensors, and brings them to its names and shapes.

A file may hold several sets of weights, each under keys of its own and with one prefix before every
name, as wrappers of modules leave it. What fits the model is taken; which set it was, what was
taken off its names and what was left out is told. Of several sets that fit, averaged weights (EMA)
are taken before the trained ones, as timm's own loader does: they are what a recipe with averaging
reports. Of a teacher and its student, and of the two encoders of contrastive learning, the one that
their authors evaluate. Nothing is chosen unsaid.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sightlines.core.errors import WeightsError
from sightlines.models import weight_forms
from sightlines.models.lean import timm_module
from sightlines.models.timm import HEAD
from sightlines.models.weight_files import LISTED, State, read
from sightlines.models.weight_forms import PRETRAINING
from sightlines.models.weight_misfits import (
    COUNTERS,
    SIZED,
    belongs,
    cure,
    explained,
    infinite,
    misfits,
    shown,
    some,
)

UNUSED = "attn_pool."
"""Tensors that published files of average-pooled SigLIPs still hold; timm passes over them too."""
AVERAGED = re.compile(r"(^|[._])ema([._]|$)", re.IGNORECASE)
"""What the name of a set says of running averages of the weights."""
EVALUATED = (
    ("teacher", "student"),
    ("base_encoder", "momentum_encoder"),
    ("encoder_q", "encoder_k"),
    ("online_encoder", "target_encoder"),
)
"""Two networks of one file: the one that its authors evaluate (DINO and iBOT, MoCo v3, MoCo, BYOL),
and the other."""
LUMINANCE = (19595 / 65536, 38470 / 65536, 7471 / 65536)
"""Shares of red, green and blue in Pillow's `convert("L")`."""
SCALE = re.compile(r"(^|\.)(weight_scale(_inv)?|scale_weight|scale)$")
"""Names of what quantised weights are multiplied by, as the tools that write such files have it."""
INSIDE = re.compile(r"(?<=\.)(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
"""What torch leaves inside of names where parts of a network alone were compiled, sharded or
computed anew for their gradients."""
PART = re.compile(r"-\d+-of-\d+\.")
"""Names of files that hold a part of the weights each."""
ONE_OF_SEVERAL = "It is one of several files: set weights to their index (*.index.json)."
NOT_FINITE = (
    "The training diverged, or the file is damaged: take an earlier one, or fetch it again."
)
LIKELY = 0.5
"""Share of the model's names in a set that is taken for weights of such a model."""
SHARED = 0.25
"""Share of a set's names behind one prefix that are tried as such a model's, where none is."""
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
        inside: What was taken out of the middle of names.
        beside: Names of a last layer that lies outside of the prefix, and is taken too.
        other_sets: Names of the file's other sets of such weights; a dot is the file's top.
        are_equal: Whether these are the same as the ones that are taken.
        left_out: Names of tensors beside the weights, such as projection heads, that no name of
            the model asks for.
        is_grey: Whether they were for one channel, and see the luminance of three now.
        renamed: The file's names that are others in the model -> these.
        numbers: Formats of the file's numbers that became the model's, such as float16.
        positions: How position embeddings were resampled, where that is not timm's way.
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
    renamed: dict[str, str] = field(default_factory=dict)
    numbers: list[str] = field(default_factory=list)
    positions: str = ""
    inside: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)

    def notes(self) -> list[str]:
        """What was done, in sentences; none where names and shapes were the model's own."""
        told = [f"weights lie under the key {self.wrapper}"] if self.wrapper else []
        told += [f"the prefix {self.prefix} is taken off their names"] if self.prefix else []
        told += [f"{', '.join(self.inside)} are taken out of their names"] if self.inside else []
        told += [f"the last layer beside it is taken: {shown(self.beside)}"] if self.beside else []
        if self.other_sets:
            which = "averaged " if AVERAGED.search(self.weight_set) else ""
            told.append(
                f"the {which}weights {self.weight_set or TOP} are taken; the file also holds "
                f"{'equal ones, ' * self.are_equal}{', '.join(self.other_sets)} (the model's key "
                "weight_set chooses)"
            )
        if self.renamed:
            before, after = next(iter(self.renamed.items()))
            told.append(f"{len(self.renamed)} names are the model's now, such as {before}: {after}")
        told += [f"left out: {shown(self.left_out)}"] if self.left_out else []
        if self.resampled:
            how = f" ({self.positions})" if self.positions else ""
            told.append(f"resampled to the model's size{how}: {', '.join(self.resampled)}")
        told += [f"numbers were {', '.join(self.numbers)}"] if self.numbers else []
        told += ["made for one channel, they see the luminance of photographs"] * self.is_grey
        return told

    def on_card(self) -> dict[str, Any]:
        """All of it but the weights; of the last five keys those for what was done to them."""
        done = {"renamed": self.renamed, "numbers": self.numbers, "positions": self.positions}
        done |= {"inside_names": self.inside, "beside_prefix": self.beside}
        return {
            "weight_set": self.weight_set,
            "weights_under": self.wrapper,
            "weights_prefix": self.prefix,
            "weight_sets_not_taken": self.other_sets,
            "left_out": self.left_out,
            "resampled": self.resampled,
            **{f"weights_{key}": value for key, value in done.items() if value},
        }


@dataclass(frozen=True, eq=False)
class _Candidate:
    """Tensors that may be the model's: those of one set whose names begin with one prefix."""

    wrapper: str
    prefix: str
    raw: State
    left_out: list[str]
    coverage: float
    inside: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)
    heads: dict[str, int] = field(default_factory=dict)

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
    dropped: list[str]
    renamed: dict[str, str]
    positions: str


def fit(
    model: nn.Module,
    path: Path,
    file: str,
    is_resized: bool,
    weight_set: str = "",
    is_grey: bool = False,
    drop: Sequence[str] = (),
    positions: str = weight_forms.POSITIONS[0],
) -> Fitted:
    """The weights of a file, by the names and in the shapes of a model's.

    Names that timm itself would convert (other projects') are converted by timm's function for
    that; so are patches and position embeddings of another size, where the config asks for it.

    Args:
        model: What they are for; stays as it is.
        path: A safetensors or torch file, or an index of several.
        file: The file of `timm.models` that defines the model; empty: it is none of timm's.
        is_resized: Whether the config sets a size or patches other than timm's.
        weight_set: Name of the set to take; empty: the one that fits.
        is_grey: Whether they are of a network for grey images, and the model for colour ones.
        drop: Beginnings of names that are left out; `head`: the last layer.
        positions: How position embeddings are brought to another grid: of
            `weight_forms.POSITIONS`.

    Raises:
        WeightsError: the file is missing, damaged or would run code; several sets fit, or none has
            the name that is asked for; or tensors are missing, unexpected, of another shape or
            not finite: some of each kind are listed.
    """
    expected, there = model.state_dict(), read(path)
    heads = {name for name in expected if belongs(model, "classifier", name)}
    sets = [_candidates(name, _widened(raw), expected, heads) for name, raw in there.items()]
    candidates = [candidate for own in sets for candidate in own]
    chosen = [[c for c in own if _is_of(c.name, weight_set)] for own in sets]
    if not any(chosen):
        known = _listed_sets(candidates)
        cure = f"set weight_set to one of {known}, or leave it out" if known else "leave it out"
        raise WeightsError(f"{path} has no set of weights {weight_set!r}: {cure}")
    own_module = timm_module(f"models.{file}") if file else None
    timm_filter = getattr(own_module, "checkpoint_filter_fn", None)
    attempt = partial(
        _try,
        model=model,
        timm_filter=timm_filter,
        is_resized=is_resized,
        is_grey=is_grey,
        drop=drop,
        positions=positions,
    )
    trials = [t for own in _likely(chosen, len(expected)) for t in _trials(own, attempt)]
    fitting = [trial for trial in trials if not trial.offences]
    if not fitting:
        raise _misfit(path, model, min(trials, key=_distance), candidates)
    taken = _choose(path, fitting)
    _refuse_scales(path, there[taken.candidate.wrapper], taken.candidate.left_out)
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
        [*own.left_out, *(f"{own.prefix}{name}" for name in taken.dropped)],
        is_grey,
        are_equal=equal and {c.name or TOP for c in fits} >= {*names},
        renamed=taken.renamed,
        numbers=_formats(there[own.wrapper], own.left_out),
        positions=taken.positions,
        inside=own.inside,
        beside=own.beside,
    )


def _widened(raw: State) -> State:
    """The same tensors, but those of 8 bits as float32: torch computes nothing with the former."""
    return {n: t.float() if _is_float8(t) else t for n, t in raw.items()}


def _refuse_scales(path: Path, raw: State, left_out: Sequence[str]) -> None:
    """Refuse numbers of 8 bits that stand for others: without their scales they are none of these.

    Raises:
        WeightsError: naming a scale beside such numbers.
    """
    owners = {name.rpartition(".")[0] for name, tensor in raw.items() if _is_float8(tensor)}
    scales = [n for n in left_out if SCALE.search(n) and n.rpartition(".")[0] in owners]
    if scales:
        raise WeightsError(
            f"{path} holds numbers of 8 bits with scales beside them ({shown(scales)}), which are "
            "not read here: let whoever made it save the weights in float16, bfloat16 or float32"
        )


def _is_float8(tensor: torch.Tensor) -> bool:
    return tensor.is_floating_point() and tensor.element_size() == 1


def _formats(raw: State, left_out: Sequence[str]) -> list[str]:
    """Number formats of weights that are not float32, by torch's names."""
    own = {t.dtype for name, t in raw.items() if t.is_floating_point() and name not in left_out}
    return sorted(str(dtype).removeprefix("torch.") for dtype in own - {torch.float32})


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


def _candidates(
    wrapper: str, raw: State, expected: Mapping[str, Any], heads: Set[str]
) -> list[_Candidate]:
    """What of a set may be the model's weights: all of it, or what is under one prefix.

    With the last layer beside the prefix, where the model's lies under it and the file's does not.

    Args:
        wrapper: The keys under which the set lies.
        raw: Its tensors.
        expected: The model's.
        heads: Names of those of its last layer.
    """
    counts: Counter[str] = Counter()
    for name in raw:
        for at in (0, *(m.end() for m in re.finditer(r"\.", name))):
            counts[name[:at]] += INSIDE.sub("", name[at:]) in expected
    wanted = max(sum(not name.endswith(COUNTERS) for name in expected), 1)
    likely = [prefix for prefix, count in counts.items() if count > wanted * LIKELY]
    whole, inside = _bare(raw)
    found = [_Candidate(wrapper, "", whole, [], counts[""] / wanted, inside)]
    for prefix in likely or _shared_prefixes(raw):
        longer = tuple(p for p in likely if p != prefix and p.startswith(prefix))
        own = {n: t for n, t in raw.items() if n.startswith(prefix) and not n.startswith(longer)}
        if likely:  # what averaging counts beside them, such as decay, is no weight
            own = {n: t for n, t in own.items() if t.dim() or n.removeprefix(prefix) in expected}
        rest = [n for n in raw if n not in own]
        if prefix or rest:
            named, inside = _bare({n.removeprefix(prefix): tensor for n, tensor in own.items()})
            beside = [n for n in rest if n in heads] if not heads & named.keys() else []
            named |= {name: raw[name] for name in beside}
            rest = [n for n in rest if n not in beside]
            share = counts[prefix] / wanted
            other = _heads({name: raw[name] for name in rest}) if prefix else {}
            found.append(_Candidate(wrapper, prefix, named, rest, share, inside, beside, other))
    return found


def _heads(rest: State) -> dict[str, int]:
    """What may be a last layer among few tensors beside a prefix: names, and their outputs."""
    is_few = len(rest) <= 2 * LISTED
    return {n: len(t) for n, t in rest.items() if is_few and t.dim() == 2 and "weight" in n}


def _bare(raw: State) -> tuple[State, list[str]]:
    """Tensors without what torch leaves inside of their names, and what that was.

    Names stay where two would become one.
    """
    bare = {INSIDE.sub("", name): tensor for name, tensor in raw.items()}
    if len(bare) < len(raw):
        return raw, []
    return bare, sorted({match[0] for name in raw for match in INSIDE.finditer(name)})


def _shared_prefixes(names: Iterable[str]) -> list[str]:
    """What many names begin with, up to a dot: names that a conversion may know behind it."""
    all_names = [*names]
    counts = Counter(n[: dot.end()] for n in all_names for dot in re.finditer(r"\.", n))
    return [prefix for prefix, count in counts.items() if count >= len(all_names) * SHARED]


def _is_of(name: str, weight_set: str) -> bool:
    if weight_set == TOP:
        return not name
    return not weight_set or name == weight_set or name.startswith(f"{weight_set}.")


def _try(
    candidate: _Candidate,
    model: nn.Module,
    timm_filter: Any,
    is_resized: bool,
    is_grey: bool,
    drop: Sequence[str],
    positions: str,
) -> _Trial:
    """Convert as timm would, and say what still does not fit."""
    expected = model.state_dict()
    begins = tuple(word for word in drop if word != HEAD)
    raw = {name: t for name, t in candidate.raw.items() if not (begins and name.startswith(begins))}
    found, resampled, reason, is_own, used = raw, [], "", False, weight_forms.Used()
    if _shapes(raw) != _shapes(expected):
        try:
            with used:
                found, is_own = weight_forms.convert(raw, model, timm_filter, positions)
            resampled = _resampled(raw, found, getattr(model, "num_prefix_tokens", 0))
        except Exception as error:
            found, reason = raw, f" (timm's conversion: {type(error).__name__}: {error})"
    parted = [name for name in found if _is_dropped(name, expected, model, HEAD in drop)]
    found = {name: tensor for name, tensor in found.items() if name not in parted}
    moved = weight_forms.renamed(raw, found)
    gone = weight_forms.passed_over(candidate.raw, found, used.places)
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
    offences += misfits(found, expected)
    way = positions if is_own and resampled else ""
    return _Trial(candidate, found, resampled, offences, reason, gone, moved, way)


def _is_dropped(
    name: str, expected: Mapping[str, Any], model: nn.Module, is_headless: bool
) -> bool:
    """Whether a tensor, by timm's name, is one that the model has no place for and needs none.

    Of a pooling that the model leaves out, of parts that only pre-training has, or, where the
    config drops it, of the last layer.
    """
    if name in expected:
        return False
    if name.startswith(UNUSED):
        return not any(other.startswith(UNUSED) for other in expected)
    is_of_head = is_headless and belongs(model, "classifier", name)
    return is_of_head or bool(PRETRAINING.match(name))


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
    """The one set that fits; of several, the one that is averaged, or that authors evaluate.

    Of equal ones, the first.

    Raises:
        WeightsError: several fit, and nothing says which is meant.
    """
    averaged = [t for t in fitting if AVERAGED.search(t.candidate.name)]
    first, *others = averaged if len(averaged) == 1 else fitting
    if all(_are_equal(first.state, other.state) for other in others):
        return first
    for taken, passed in EVALUATED:
        own = [trial for trial in fitting if taken in trial.candidate.name.split(".")]
        other = [trial for trial in fitting if passed in trial.candidate.name.split(".")]
        if len(own) == 1 and len(own) + len(other) == len(fitting):
            return own[0]
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
    own = trial.candidate
    coverage = own.coverage if own.coverage > LIKELY else 0.0
    return (-coverage, len(trial.offences) + 2 * len(own.left_out))


def _misfit(
    path: Path, model: nn.Module, trial: _Trial, candidates: Sequence[_Candidate]
) -> WeightsError:
    """What does not fit, some of each kind, and what to change."""
    own = trial.candidate
    names = sorted({c.name for c in candidates if c.coverage > LIKELY} - {own.name, ""})
    told = [f"its weights {own.name}"] if own.name else []
    told += [f"it also holds {', '.join(names[:LISTED])}"] if names else []
    said = f" ({'; '.join(told)})" if told else ""
    odd = infinite(trial.state, model.state_dict())
    lines = some([*odd, *trial.offences])
    told = explained(trial.state, model.state_dict(), trial.offences)
    advice = ONE_OF_SEVERAL
    if odd and not trial.offences:
        advice = NOT_FINITE
    elif not PART.search(path.name):
        advice = cure(model, own.raw, trial.state, trial.offences, own.heads)
    listed = "".join(f"\n  {line}" for line in [*told, *lines])
    return WeightsError(
        f"{path} does not fit {type(model).__name__}{said}{trial.reason}:{listed}\n{advice}"
    )


def _shapes(state: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(t.shape) for name, t in state.items() if not name.endswith(COUNTERS)}
