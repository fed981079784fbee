"""What an experiment's config asks for: its networks, measures, figures, and every job's inputs.

Snakemake's rules are thin: they ask an `Experiment` what to read, which values of the config a
stage uses, and which code it runs. Nothing here imports torch, pandas or matplotlib.
"""

import functools
import json
from pathlib import Path
from typing import Any

from sightlines import registry
from sightlines.config import Config, load, networks
from sightlines.errors import ConfigError
from sightlines.networks import Network, per_cent
from sightlines.sharing.code_digest import code_digest
from sightlines.stage import EXECUTION
from sightlines.training import schedule

MODEL_FILES = ("weights.safetensors", "history.csv", "metrics.json", "card.json")
ALWAYS_MEASURED = ("accuracy", "curves")
FULL, UNTRAINED = "f100", "f000"
SPLIT_KEYS = {
    "training": ("validation",),
    "reference": ("reference_batches", "reference_batch_size"),
    "probes": ("probe_train", "probe_held_out", "probe_test"),
}
"""Keys of `splits` that each of its parts uses."""


class Experiment:
    """One config file, resolved into networks, measures and figures.

    Attributes:
        name: Folder below `results/`: the config file's name.
        config: The complete, checked config.
        networks: Every network that is trained, or kept untrained, in the config's order.
        figures: Names of the figures to draw.
        measures: Names of the measures that the figures and the report need, in running order.
    """

    def __init__(self, name: str, config: Config) -> None:
        """Plan the experiment; see `check` for what can be wrong with it."""
        self.name = name
        self.config = config
        check(config)
        self.networks = networks(config)
        possible = [f for f in registry.members("figures") if not unmet_needs(f, config)]
        self.figures = possible if config["figures"] == "auto" else config["figures"]
        self.measures = self._needed_measures()

    @classmethod
    def open(cls, path: Path, overrides: Config | None = None) -> "Experiment":
        """The experiment of one config file, with single keys overridden from the command line."""
        config = load(path, overrides)
        return cls(Path(path).stem, config)

    # -- where things lie ----------------------------------------------------------------

    @property
    def folder(self) -> str:
        """The experiment's results."""
        return f"results/{self.name}"

    @property
    def data_folder(self) -> str:
        """The dataset variant's folder below `data/`."""
        dataset = self.config["dataset"]
        return f"data/{registry.load('datasets', dataset['kind']).variant(dataset)}"

    def data_files(self) -> list[str]:
        """All files of the dataset variant; `dataset.json` is the first."""
        files = registry.declarations("datasets", self.config["dataset"]["kind"])["FILES"]
        ordered = sorted(files, key=lambda name: name != "dataset.json")
        return [f"{self.data_folder}/{name}" for name in ordered]

    def dump(self, kind: str, network: Network) -> str:
        """One network's dump."""
        return f"{self.folder}/dumps/{kind}/{network.slug}.safetensors"

    # -- what a job reads ----------------------------------------------------------------

    def dumped(self, kind: str) -> list[Network]:
        """Networks that have a dump of this kind."""
        if kind == "attention":
            return [n for n in self.networks if self._family(n.model).get("ATTENTION")]
        return self.networks

    def inputs(self, folder: str, name: str) -> dict[str, list[str]]:
        """What a measure or a figure reads, by the names in its READS."""
        reads = registry.declarations(folder, name)["READS"]
        return {read: self._paths(read) for read in reads}

    def outputs(self, measure: str) -> dict[str, str]:
        """The tables that a measure writes, by their names without ending."""
        writes = registry.declarations("measures", measure)["WRITES"]
        return {Path(table).stem: f"{self.folder}/tables/{table}" for table in writes}

    def _paths(self, read: str) -> list[str]:
        if read in MODEL_FILES:
            return [f"{self.folder}/models/{n.slug}/{read}" for n in self.networks]
        if read.endswith((".csv", ".parquet")):
            return [f"{self.folder}/tables/{read}"]
        return [self.dump(read, n) for n in self.dumped(read)]

    def feature_dumps(self) -> list[str]:
        """Labelled features for linear probes, where the config asks for them."""
        if not self.config["splits"]["probe_test"]:
            return []
        return [self.dump("features", n) for n in self.networks]

    def tables(self) -> list[str]:
        """All tables of the experiment."""
        return [path for measure in self.measures for path in self.outputs(measure).values()]

    # -- what a job depends on besides its inputs -------------------------------------------

    def slice_data(self, fingerprint: str) -> dict[str, Any]:
        """Config values that the dataset depends on."""
        return {"dataset": self.config["dataset"], "source": fingerprint}

    def slice_splits(self, part: str) -> dict[str, Any]:
        """Config values that one part of the splits depends on: a key of SPLIT_KEYS."""
        splits = {key: self.config["splits"][key] for key in SPLIT_KEYS[part]}
        return {"part": part, "seed": self.config["seed"], "splits": splits}

    def slice_train(self, network: Network) -> dict[str, Any]:
        """Config values that one network depends on."""
        model = {k: v for k, v in self.config["models"][network.model].items() if k != "label"}
        return {
            "seed": self.config["seed"],
            "network": list(network),
            "model": model,
            "compute": self._compute(),
        }

    def slice_dump(self, network: Network) -> dict[str, Any]:
        """Config values that one network's dumps depend on."""
        return {
            "network": list(network),
            "compute": self._compute(),
        }

    def slice_measure(self, name: str) -> dict[str, Any]:
        """Config values that a measure depends on: the networks that it reads, in order."""
        kinds = [r for r in registry.declarations("measures", name)["READS"] if "." not in r]
        chosen = self.dumped(kinds[0]) if kinds else self.networks
        return {"networks": [n.slug for n in chosen], "seed": self.config["seed"]}

    def slice_draw(self) -> dict[str, Any]:
        """Config values that figures depend on."""
        models = self.config["models"]
        used = list(dict.fromkeys(n.model for n in self.networks))
        return {
            "experiment": self.name,
            "networks": [n.slug for n in self.networks],
            "labels": {m: models[m].get("label", m.replace("_", " ")) for m in used},
            "families": {m: models[m]["family"] for m in used},
        }

    def slice_report(self) -> dict[str, Any]:
        """Config values that the report depends on: all but where things lie."""
        config = {k: v for k, v in self.config.items() if k != "data_root"}
        config["compute"] = self._compute()
        return self.slice_draw() | {"figures": self.figures, "config": config}

    def code(self, module: str, network: Network | None = None) -> str:
        """Digest of the code that a job runs, with the members that the config names for it."""
        modules = [f"sightlines.{module}"]
        if module.startswith("report."):
            modules += [f"sightlines.figures.{figure}" for figure in self.figures]
        if module.startswith("datasets."):
            modules.append(f"sightlines.datasets.{self.config['dataset']['kind']}")
        if network is not None:
            modules.append(f"sightlines.models.{self.config['models'][network.model]['family']}")
        return code_digest(*modules)

    def execution(self) -> dict[str, Any]:
        """Values of `compute` that change no result: no job's identity has them."""
        return {key: self.config["compute"][key] for key in EXECUTION}

    def _compute(self) -> dict[str, Any]:
        return {k: v for k, v in self.config["compute"].items() if k not in EXECUTION}

    def _family(self, model: str) -> dict[str, Any]:
        return registry.declarations("models", self.config["models"][model]["family"])

    def _needed_measures(self) -> list[str]:
        makers = _table_makers()
        wanted: list[str] = []

        def want(measure: str) -> None:
            for read in registry.declarations("measures", measure)["READS"]:
                if read in makers:
                    want(makers[read])
            if measure not in wanted:
                wanted.append(measure)

        for measure in ALWAYS_MEASURED:
            want(measure)
        for figure in self.figures:
            for read in registry.declarations("figures", figure)["READS"]:
                want(makers[read])
        return wanted


def as_json(value: Any) -> str:
    """The text of a config slice: a rule's parameter, and the command's argument."""
    return json.dumps(value, sort_keys=True, ensure_ascii=True)


@functools.cache
def _table_makers() -> dict[str, str]:
    """Table -> the measure that writes it."""
    return {
        table: measure
        for measure in registry.members("measures")
        for table in registry.declarations("measures", measure)["WRITES"]
    }


# -- checks that need more than the schema -------------------------------------------------


def check(config: Config) -> None:
    """Check what no schema can: names that refer to others, sizes that must fit.

    Raises:
        ConfigError: listing all offences at once.
    """
    offences = [*_check_runs(config), *_check_sizes(config), *_check_figures(config)]
    if offences:
        raise ConfigError("the config cannot work:\n  " + "\n  ".join(offences))


def _check_runs(config: Config) -> list[str]:
    known = ", ".join(sorted(config["models"]))
    offences = [
        f"runs: model {name!r} is not among models ({known})" for name in _unknown_models(config)
    ]
    splits = config["splits"]
    partial = [splits[f"probe_{part}"] > 0 for part in ("train", "held_out", "test")]
    if any(partial) and not all(partial):
        offences.append("splits: probe_train, probe_held_out and probe_test go together, or are 0")
    for name, model in config["models"].items():
        recipe = model["train"]
        if recipe["warmup_steps"] >= recipe["steps"]:
            offences.append(
                f"models.{name}: warmup_steps {recipe['warmup_steps']} must be below "
                f"steps {recipe['steps']}"
            )
    return offences


def _check_sizes(config: Config) -> list[str]:
    offences, grids = [], {}
    dataset = config["dataset"]
    try:
        size_px, _ = registry.load("datasets", dataset["kind"]).check(dataset)
    except ConfigError as error:
        return [f"dataset: {error}"]
    used = {m for run in config["runs"] for m in run["models"]} & set(config["models"])
    for name in sorted(used):
        model = config["models"][name]
        try:
            grids[name] = registry.load("models", model["family"]).check(model, size_px)
            schedule.check(model["train"], size_px)
        except ConfigError as error:
            offences.append(f"models.{name}: {error}")
    if config["compare_grids"] and len(set(grids.values())) > 1:
        listed = ", ".join(f"{name} {h} × {w}" for name, (h, w) in grids.items())
        offences.append(
            f"token grids and last maps differ ({listed}), so their positions cannot be compared: "
            "change patch_px, units or stem, or set compare_grids: false"
        )
    return offences


def _check_figures(config: Config) -> list[str]:
    if config["figures"] == "auto" or _unknown_models(config):
        return []
    offences = []
    for name in config["figures"]:
        if name not in registry.members("figures"):
            offences.append(f"figures: no figure {name!r}; there are {registry.members('figures')}")
        elif unmet := unmet_needs(name, config):
            offences.append(f"figures: {name} needs {', '.join(unmet)} among the runs")
    return offences


def _unknown_models(config: Config) -> list[str]:
    named = {m for run in config["runs"] for m in run["models"]}
    return sorted(named - set(config["models"]))


def unmet_needs(figure: str, config: Config) -> list[str]:
    """What a figure needs among the runs and does not find, in words."""
    if _unknown_models(config):
        return ["networks of known models"]
    nets = networks(config)
    trained = [n for n in nets if n.fraction != UNTRAINED]
    full = {n.model for n in trained if n.fraction == FULL}
    families = {m: config["models"][m]["family"] for m in full}
    attention = {
        m for m, f in families.items() if registry.declarations("models", f).get("ATTENTION")
    }
    less = {n.model for n in trained if per_cent(n.fraction) < 100}
    tests = {
        "trained": (bool(full), f"a model trained on {FULL}"),
        "two_models": (len(full) > 1, f"two models trained on {FULL}"),
        "two_families": (len(set(families.values())) > 1, f"two families trained on {FULL}"),
        "attention": (bool(attention), f"a model with attention trained on {FULL}"),
        "less_data": (
            bool(less & attention),
            f"a model with attention trained on {FULL} and on less",
        ),
        "two_fractions": (bool(less & full), f"a model trained on {FULL} and on less"),
        "second_seed": (
            any(len({n.seed for n in trained if n[:2] == (m, FULL)}) > 1 for m in full),
            f"two seeds of one model on {FULL}",
        ),
    }
    needs = registry.declarations("figures", figure)["NEEDS"]
    return [tests[need][1] for need in needs if not tests[need][0]]
