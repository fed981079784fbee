"""Reference results: what an experiment gave its authors, and whether one's own run agrees.

    make check-reference                       # the default experiment
    make check-reference CONFIG=workflow/config/cifar10_small.yaml
    python -m sightlines.sharing.reference default --write     # makes them, of a clean commit

`results/reference/<experiment>/` is in git: claims and summary tables as CSV, six figures, and how
they were made. Every number that a verdict rests on is held against it.

- Networks with imported weights compute the same everywhere: values agree to 1e-4 (relative, or
  absolute below 1), and verdicts are equal.
- Networks that are trained here are others on another processor, as with another seed: two values
  agree where their difference is within what both intervals allow together, √(a² + b²) of their
  half-widths. A verdict may differ only where an interval reaches the threshold, and is listed.
"""

import argparse
import io
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sightlines.core import yaml_files
from sightlines.core.checkout import exit_status
from sightlines.core.csv_rows import number, read_rows
from sightlines.core.errors import ResultError
from sightlines.core.files import read_json, write_json
from sightlines.core.git import must_git
from sightlines.plan import renamed_keys
from sightlines.plan.experiment import Experiment
from sightlines.plan.experiment_names import REFERENCE, config_of, name_of
from sightlines.sharing.explain import differences
from sightlines.sharing.records import read_records

FOLDER = Path("results", REFERENCE)
CONFIGS = Path("workflow", "config")
TABLES = (
    "claims.csv",
    "claim_cases.csv",
    "accuracy.csv",
    "attention_distance.csv",
    "data_fractions.csv",
    "layers.csv",
    "seed_calibration.csv",
)
NEEDED = TABLES[:3]
FIGURES = (
    "fig01_cka_within",
    "fig02_cka_across",
    "fig03_attention_distance",
    "fig06_receptive_field_curves",
    "fig07_skip_ratios",
    "fig09_localisation",
)
"""None of them draws a photograph."""
LARGEST_BYTES = 2_000_000
WIDEST_PX = 1200
EXACT = 1e-4
FREE = ("compute", "data_root", "figure_style", "trust_code")
"""Keys of a config that change no number, or may not."""
WRITTEN = {
    **renamed_keys.TOP,
    **renamed_keys.TRAIN,
    **renamed_keys.MODEL,
    **dict.fromkeys(("momentum", "second_moment"), "betas"),
}
"""Names in records -> names in config files, of the keys that were renamed."""
KEYS = ("claim", "case", "criterion")
DECIDED = ("holds", "fails")


@dataclass
class Agreement:
    """How a run compares with the reference.

    Attributes:
        compared: Number of values.
        differing: One line a value or verdict that may not differ as it does.
        listed: One line a verdict, or an outcome of a case, that differs and may.
        alone: Claims and cases that only one of the two has.
    """

    compared: int = 0
    differing: list[str] = field(default_factory=list)
    listed: list[str] = field(default_factory=list)
    alone: list[str] = field(default_factory=list)


def check(experiment: Experiment, given: Mapping[str, Any]) -> Agreement:
    """Hold an experiment's results against its reference.

    Args:
        experiment: With its results.
        given: Its config file: a key that the reference's version did not know and that is not in
            the file has its default, with which things are as they were.

    Raises:
        ResultError: there is no reference of it, or none of its results, or it has another config.
    """
    own, reference = Path(experiment.folder), FOLDER / experiment.name
    if not reference.is_dir():
        known = sorted(path.name for path in FOLDER.glob("*") if path.is_dir())
        raise ResultError(
            f"there are no reference results of {experiment.name}; there are of "
            f"{', '.join(known) or 'no experiment'}"
        )
    then = _without_free(_told(reference).get("config"))
    now = _known(_science(experiment), then, given)
    changed = list(differences(then, now))
    if changed:
        raise ResultError(
            f"{reference} is of another config ({'; '.join(changed[:3])}): its values say nothing "
            "about these networks"
        )
    is_exact = set(experiment.config.models) <= set(experiment.imported)
    cases, own_cases = (_table(at, "claim_cases.csv", KEYS) for at in (reference, own))
    verdicts, own_verdicts = (_table(at, "claims.csv", ("claim",)) for at in (reference, own))
    return compare(cases, own_cases, verdicts, own_verdicts, is_exact)


Rows = dict[tuple[str, ...], Mapping[str, str]]


def compare(
    cases: Rows, own_cases: Rows, verdicts: Rows, own_verdicts: Rows, is_exact: bool
) -> Agreement:
    """Compare the reference's rows with a run's own.

    Args:
        cases: Rows of `claim_cases.csv` of the reference, by claim, case and criterion.
        own_cases: Of the run.
        verdicts: Rows of `claims.csv` of the reference, by claim.
        own_verdicts: Of the run.
        is_exact: Whether all networks have imported weights.
    """
    found = Agreement()
    for key in sorted(cases.keys() ^ own_cases.keys()):
        owner = "the reference" if key in cases else "this run"
        found.alone.append(f"{' / '.join(key)}: in {owner} alone")
    reaching: set[str] = set()
    for key in sorted(cases.keys() & own_cases.keys()):
        row, own = cases[key], own_cases[key]
        line = _difference(row, own, is_exact)
        found.compared += 1
        if line:
            found.differing.append(f"{' / '.join(key)}: {line}")
        if row["outcome"] != own["outcome"]:
            words = f"{' / '.join(key)}: {row['outcome']} in the reference, {own['outcome']} here"
            both_decided = row["outcome"] in DECIDED and own["outcome"] in DECIDED
            if is_exact or both_decided:
                found.differing.append(words)
            else:
                reaching.add(key[0])
                found.listed.append(words)
    for key in sorted(verdicts.keys() & own_verdicts.keys()):
        before, now = verdicts[key]["verdict"], own_verdicts[key]["verdict"]
        if before != now:
            words = f"{key[0]}: {before!r} in the reference, {now!r} here"
            may = not is_exact and key[0] in reaching
            (found.listed if may else found.differing).append(words)
    return found


def _difference(row: Mapping[str, str], own: Mapping[str, str], is_exact: bool) -> str:
    """What is wrong with a value; empty where it agrees."""
    before, now = number(row, "value"), number(own, "value")
    if math.isnan(before) and math.isnan(now):
        return ""
    if is_exact:
        allowed = EXACT * max(abs(before), 1.0)
    else:
        halves = [(number(r, "high") - number(r, "low")) / 2 for r in (row, own)]
        allowed = math.hypot(*halves)
        if math.isnan(allowed):  # without an interval nothing is known of how far seeds differ
            return ""
    if abs(now - before) <= allowed:
        return ""
    return (
        f"{before:.4g} in the reference, {now:.4g} here; {allowed:.2g} would be within the spread"
    )


def write(experiment: Experiment) -> Path:
    """Make an experiment's reference of its results.

    Raises:
        ResultError: the checkout has changes that are not committed, something is missing, or it
            would be larger than it may.
    """
    own, folder = Path(experiment.folder), FOLDER / experiment.name
    changes = must_git(ResultError, "status", "--porcelain", "--untracked-files=no")
    if changes:
        raise ResultError("commit what has changed first: a reference names the commit it is of")
    files = {name: (own / "tables" / name) for name in TABLES}
    missing = [
        str(path) for name, path in files.items() if not path.is_file() and name in TABLES[:3]
    ]
    if missing:
        raise ResultError(f"{', '.join(missing)} is missing: run the experiment to its end first")
    content = {name: path.read_bytes() for name, path in files.items() if path.is_file()}
    for figure in FIGURES:
        path = own / "figures" / f"{figure}.png"
        if path.is_file():
            content[path.name] = _narrow(path)
    total = sum(map(len, content.values()))
    if total > LARGEST_BYTES:
        raise ResultError(f"it would be {total:,} bytes, more than {LARGEST_BYTES:,}")
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, data in content.items():
        (folder / name).write_bytes(data)
    write_json(folder / "reference.json", _account(experiment))
    return folder


def _account(experiment: Experiment) -> dict[str, Any]:
    """How the results were made: commit, machines, packages, config."""
    machines: dict[str, None] = {}
    packages: dict[str, str] = {}
    for record in read_records(Path(experiment.folder)):
        own = record.get("hardware") or {}
        machines[f"{own.get('processor')}, {own.get('cores')} cores"] = None
        packages |= record.get("packages") or {}
    return {
        "experiment": experiment.name,
        "commit": must_git(ResultError, "rev-parse", "HEAD"),
        "hardware": list(machines),
        "packages": dict(sorted(packages.items())),
        "config": _science(experiment),
    }


def _science(experiment: Experiment) -> dict[str, Any]:
    """The config without what changes no number."""
    found: dict[str, Any] = json.loads(json.dumps(_without_free(experiment.config.recorded())))
    return found


def _without_free(config: Any) -> Any:
    """A config without what changes no number; whatever else it is, as it is."""
    if not isinstance(config, dict):
        return config
    return {key: value for key, value in config.items() if key not in FREE}


def _known(now: Any, then: Any, given: Any) -> Any:
    """A config without keys that an older one lacks and that the file does not name."""
    if not (isinstance(now, dict) and isinstance(then, dict)):
        return now
    named = given if isinstance(given, Mapping) else {}
    return {
        key: _known(value, then.get(key), named.get(key))
        for key, value in now.items()
        if key in then or key in named or WRITTEN.get(key) in named
    }


def _narrow(path: Path) -> bytes:
    from PIL import Image

    with Image.open(path) as image:
        picture = image.convert("RGB")
    if picture.width > WIDEST_PX:
        height = round(picture.height * WIDEST_PX / picture.width)
        picture = picture.resize((WIDEST_PX, height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    # Figures have few colours: a palette is a third of the bytes.
    picture.quantize(256, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _told(reference: Path) -> dict[str, Any]:
    told = read_json(reference / "reference.json")
    if not isinstance(told, dict):
        raise ResultError(f"{reference / 'reference.json'} is damaged: check it out again")
    return told


def _table(folder: Path, name: str, keys: Sequence[str]) -> Rows:
    path = folder / name if folder.parent == FOLDER else folder / "tables" / name
    return {tuple(row[key] for key in keys): row for row in read_rows(path, *keys)}


def main(word: str, writes: bool) -> bool:
    """Check or write; whether all agrees."""
    config = Path(word) if "/" in word else config_of(word, CONFIGS)
    name_of(config)
    experiment = Experiment.open(config)
    if writes:
        print(f"{write(experiment)}: written")
        return True
    found = check(experiment, yaml_files.read(config))
    for line in found.differing:
        print(f"differs: {line}")
    for line in found.listed:
        print(f"within the spread: {line}")
    for line in found.alone:
        print(f"not compared: {line}")
    print(
        f"{experiment.name}: {found.compared} values compared with the reference, "
        f"{len(found.differing)} differ, {len(found.listed)} outcomes differ within the spread"
    )
    return not found.differing


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Hold results against the reference, or write it.")
    parser.add_argument("experiment", nargs="?", default="default")
    parser.add_argument("--write", action="store_true", help="make the reference of these results")
    given = parser.parse_args()
    sys.exit(exit_status(lambda: main(given.experiment, given.write)))
