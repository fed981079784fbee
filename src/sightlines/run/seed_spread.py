"""Command: measures how far seeds differ, and writes the table that the package ships.

    python -m sightlines.run.seed_spread                       # of workflow/config/default.yaml
    python -m sightlines.run.seed_spread --seeds 8 --models vit_small resnet -- --cores 2

Writes `workflow/config/seed_spread.yaml`: the config's images and recipe, and of each model eight
networks that differ in their seed alone, trained and untrained. Snakemake runs it up to its
verdicts (kill it and type the same again: it goes on where it was). Then every claim reads its
statistics from the tables, as it does to be judged, and so do premises about accuracies. The
variance between the seeds goes into `claims/seed_spread.csv`, where it is from into
`claims/seed_spread.json`. Commit both. Networks that learned too little are left out and named, as
verdicts leave them out: how far seeds differ is said of those that are judged.

Without --models: of each kind of network (family and read-out) that the config trains on all
images, skips complete, the first one. Fractions below 100 % are those that the config trains it on.
"""

import argparse
import contextlib
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from sightlines.claims import accuracies
from sightlines.claims.claim import Source
from sightlines.claims.evidence import Evidence, NotMeasured
from sightlines.claims.judge import all_claims
from sightlines.claims.seed_spread import described, seeds_of
from sightlines.core import yaml_files
from sightlines.core.errors import SightlinesError
from sightlines.core.files import write_json, write_table
from sightlines.plan import roles, seed_spread
from sightlines.plan.experiment import Experiment
from sightlines.plan.networks import FULL, UNTRAINED
from sightlines.results.opening import Opened

OF = Path("workflow/config/default.yaml")
CONFIG = Path("workflow/config/seed_spread.yaml")
SEEDS = 8
FEWEST = 4
"""Seeds below which a statistic's spread is left out."""
HEAD = """# Made by `python -m sightlines.run.seed_spread` out of {of}:
# networks that differ in their seed alone, for claims/seed_spread.csv.
"""
PACKAGES = ("numpy", "torch", "scipy", "pandas")


def config_of(of: Path, seeds: int = SEEDS, models: Sequence[str] = ()) -> dict[str, Any]:
    """The config of the experiment: another one's images and recipe, and many seeds.

    Args:
        of: The other one's config file.
        seeds: Of each network.
        models: Names of its models; empty: the first of each kind.
    """
    other = Experiment.open(of)
    architectures = other.job_config_claims()["architectures"]
    plain = roles.plain_models(other.networks, architectures)
    first: dict[str, str] = {}
    for model in plain:
        first.setdefault(seed_spread.kind(architectures[model]), model)
    chosen = list(models) or [*first.values()]
    names = [f"s{number}" for number in range(seeds)]
    runs = []
    for model in chosen:
        fractions = [UNTRAINED, *roles.less_data(other.networks, model), FULL]
        runs.append({"models": [model], "fractions": fractions, "seeds": [*names]})
    raw: dict[str, Any] = yaml_files.read(of)
    kept = {key: own for key, own in raw.items() if key != "transfer"}
    own_models = {model: raw["models"][model] for model in chosen}
    return kept | {"models": own_models, "runs": runs, "figures": "auto"}


def learned(config: dict[str, Any], tables: Mapping[str, Any]) -> tuple[Evidence, list[str]]:
    """Without the networks that are not judged, since they learned too little.

    Args:
        config: As claims have it.
        tables: Of the experiment, by file name.

    Returns:
        The evidence, and the slugs of the trained networks that it lacks.
    """
    every = Evidence(config, tables)
    trained = [n.slug for n in every.networks if n.fraction != UNTRAINED]
    poor = [slug for slug in trained if not every.learned(slug)]
    left = [slug for slug in config["networks"] if slug not in poor]
    return Evidence(config | {"networks": left}, tables), poor


def table_of(evidence: Evidence, facts: dict[str, dict[str, str]]) -> pd.DataFrame:
    """The variance between seeds of every statistic that a claim reads, and of accuracies.

    Args:
        evidence: Of networks that differ in their seeds.
        facts: Of their models (`plan.seed_spread.facts`).
    """
    found: dict[tuple[str, ...], tuple[Any, ...]] = {}
    for claim, criteria, source in _sources(evidence):
        for key, values, seeds in _values(claim, criteria, source, facts):
            if len(values) >= FEWEST and np.isfinite(values).all():
                row = (np.var(values, ddof=1), len(values) - 1, np.mean(values), seeds)
                found.setdefault(key, (*key, *row))
    return pd.DataFrame([*found.values()], columns=[*seed_spread.COLUMNS])


def _sources(evidence: Evidence) -> Iterator[tuple[str, list[str], Source]]:
    """What statistics vary with from seed to seed: a claim's, by its criteria; then accuracies."""
    for claim in all_claims():
        with contextlib.suppress(NotMeasured):
            cases = claim.cases(evidence)
            both = [own for case in cases for own in (case.trained, case.untrained) if own]
            for source in (source for sample in both for source in sample.sources):
                yield claim.id, [criterion.name for criterion in claim.criteria], source
    for criterion, source in accuracies.sources(evidence):
        yield accuracies.NAME, [criterion], source


def _values(
    claim: str, criteria: Sequence[str], source: Source, facts: dict[str, dict[str, str]]
) -> Iterator[tuple[tuple[str, ...], list[float], str]]:
    """Statistics by seed, with what the table tells them by, and the seeds."""
    told = described(source, facts)
    if told is None or source.readings is None:
        return
    for index, criterion in enumerate(criteria):
        readings = [own[index] for own in source.readings]
        values = [np.nan if reading is None else reading.value for reading in readings]
        place = (told[key] for key in seed_spread.COLUMNS[2:6])
        yield (claim, criterion, *place), values, " ".join(seeds_of(source))


def write(experiment: Experiment, evidence: Evidence, of: Path) -> int:
    """Write both files out of an experiment's tables.

    Args:
        experiment: Whose networks differ in their seeds.
        evidence: Its tables.
        of: The config whose images and recipe it has.

    Returns:
        Number of statistics whose spread was found.
    """
    facts = seed_spread.facts(experiment.config, experiment.job_config_claims()["architectures"])
    table = table_of(evidence, facts)
    write_table(seed_spread.TABLE, table)
    origin = {
        "of": of.name,
        "fits": sorted({(own["dataset"], own["recipe"]) for own in facts.values()}),
        "networks": [n.slug for n in evidence.networks],
        **experiment.config.some_recorded(("dataset", "models", "splits", "seed")),
        "code": experiment.code("claims.judge"),
        "versions": {name: metadata.version(name) for name in PACKAGES},
    }
    write_json(seed_spread.ORIGIN, origin)
    return len(table)


def main(words: Sequence[str] | None = None) -> int:
    """Run the experiment and write the table; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m sightlines.run.seed_spread")
    parser.add_argument("--of", type=Path, default=OF, help="config whose images and recipe")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="of each network")
    parser.add_argument("--models", nargs="+", default=[], help="names in that config")
    parser.add_argument("rest", nargs="*", help="after --: options of snakemake")
    asked = parser.parse_args(words)
    try:
        text = yaml.safe_dump(config_of(asked.of, asked.seeds, asked.models), sort_keys=False)
        CONFIG.write_text(HEAD.format(of=asked.of.as_posix()) + text, encoding="utf-8")
        experiment = Experiment.open(CONFIG)
        command = [sys.executable, "-m", "snakemake", *experiment.claims.values()]
        command += ["--configfile", str(CONFIG), *asked.rest]
        if status := subprocess.run(command).returncode:
            return status
        tables = Opened(map(Path, experiment.tables()))
        evidence, poor = learned(experiment.job_config_claims(), tables)
        count = write(experiment, evidence, asked.of)
    except SightlinesError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if poor:
        print(f"left out, since they learned too little: {', '.join(poor)}")
    print(f"{seed_spread.TABLE}: the spread of {count} statistics. Commit it, and its .json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
