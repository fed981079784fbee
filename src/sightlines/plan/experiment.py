"""What an experiment's config asks for: its networks, measures, figures, and every job's inputs.

Snakemake's rules are thin: they ask an `Experiment` what to read, which values of the config a
stage uses, and which code it runs. Nothing here imports torch, pandas or matplotlib.
"""

import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sightlines.plan import (
    conditions,
    controls,
    figure_style,
    objectives,
    registry,
    roles,
    seed_spread,
)
from sightlines.plan.architectures import (
    ADDED,
    PRETRAINING,
    READING,
    described,
    has,
    is_imported,
    pretraining,
)
from sightlines.plan.checks import check, label_needs, unmet_needs
from sightlines.plan.code_digest import stage_digest
from sightlines.plan.code_roots import stage_roots
from sightlines.plan.config import load, networks
from sightlines.plan.config_types import Config
from sightlines.plan.dataset_settings import as_made
from sightlines.plan.dump_sizes import dump_bytes, pixels_bytes
from sightlines.plan.execution import EXECUTION
from sightlines.plan.experiment_names import name_of
from sightlines.plan.networks import FULL, UNTRAINED, Network, as_initialised
from sightlines.plan.recordings import TASK_KINDS, Recording, recordings
from sightlines.plan.studies import STUDIES, asked
from sightlines.plan.table_schemas import written

MODEL_FILES = ("weights.safetensors", "history.csv", "card.json")
FIGURE_FILES = ("svg", "pdf", "png", "csv")
"""Endings of a figure's files: three pictures, and the numbers that they show."""
GIVEN = ("networks", "seed", "tasks")
"""What a measure's config says anyway: its networks, the root seed; with one of TASK_KINDS also
the tasks, each with its domain."""
ALWAYS_MEASURED = ("accuracy", "class_scores", "calibration", "curves", "estimator")
MEASURED_WHERE_POSSIBLE = ("attention_sites", "stored_corruption")
"""Beside what figures and claims read, where the networks have it."""
SPLIT_KEYS = {
    "training": ("validation",),
    "reference": ("reference_batches", "reference_batch_size"),
    "probes": ("probe_train", "probe_held_out", "probe_test"),
}
"""Keys of `splits` that each of its parts uses."""
CLAIMS = ("claims.csv", "claim_cases.csv", "seed_calibration.csv", "specifications.csv")


class Experiment:
    """One config file, resolved into networks, measures and figures.

    Attributes:
        name: Folder below `results/`: the config file's name.
        config: The complete, checked config.
        networks: Every network that is trained, or kept untrained, in the config's order; then the
            controls that its runs do not list.
        figures: Names of the figures to draw.
        measures: Names of the measures that the figures and the report need, in running order.
    """

    def __init__(self, name: str, config: Config, style: Mapping[str, str] | None = None) -> None:
        """Plan the experiment; see `check` for what can be wrong with it.

        Args:
            name: The config file's.
            config: What it holds.
            style: Settings with which figures are drawn; the package's own by default.
        """
        self.name = name
        self.config = config
        self._style = dict(figure_style.own_settings() if style is None else style)
        self._codes: dict[tuple[str, str, str], str] = {}
        check(config)
        listed = networks(config)
        self.networks = listed + controls.added(
            listed, self.settings, self._size_px, config.controls
        )
        possible = [f for f in asked("figures", config) if not unmet_needs("figures", f, config)]
        self.figures = possible if config.figures == "auto" else list(config.figures)
        self.measures = self._needed_measures()

    @classmethod
    def open(cls, path: Path, overrides: Mapping[str, Any] | None = None) -> "Experiment":
        """The experiment of one config file, with single keys overridden from the command line."""
        name = name_of(Path(path))
        config = load(path, overrides)
        return cls(name, config, figure_style.settings(Path(path).parent, config.figure_style))

    @property
    def studies(self) -> list[str]:
        """The studies that are asked for, in the order in which they are shown."""
        return [study for study in STUDIES if study in self.config.studies]

    # -- where things lie ----------------------------------------------------------------

    @property
    def folder(self) -> str:
        """The experiment's results."""
        return f"results/{self.name}"

    @property
    def tasks(self) -> list[str]:
        """Names of the other tasks, in the config's order."""
        return list(self.config.transfer)

    def dataset(self, task: str = "") -> dict[str, Any]:
        """Settings of a task's dataset; of the experiment's own where `task` is empty."""
        return self.config.transfer[task].dataset if task else self.config.dataset

    @property
    def data_folder(self) -> str:
        """The folder of the experiment's own dataset variant below `data/`."""
        return variant_folder(self.dataset())

    @functools.cached_property
    def settings(self) -> dict[str, dict[str, Any]]:
        """Of each model, its family and the keys of it, by the names that records have."""
        return {name: model.settings for name, model in self.config.models.items()}

    def data_files(self, task: str = "") -> list[str]:
        """All files of a task's dataset variant; `dataset.json` is the first."""
        dataset = self.dataset(task)
        family: Any = registry.load("datasets", dataset["kind"])
        files = family.files(dataset) if hasattr(family, "files") else family.FILES
        ordered = sorted(files, key=lambda name: name != "dataset.json")
        return [f"{variant_folder(dataset)}/{name}" for name in ordered]

    def label_needs(self, task: str = "") -> list[str]:
        """What the labels of a task's images are needed for, in words; empty: for nothing."""
        return label_needs(self.config, task)

    @property
    def masks_folder(self) -> str:
        """Folder of masks of the experiment's own photographs; empty where there is none."""
        return str(self.dataset().get("masks", ""))

    @property
    def masks(self) -> str:
        """The list of these masks."""
        return f"{self.folder}/data/masks.parquet"

    def beside(self, kind: str) -> dict[str, str]:
        """What a dump of a network reads besides images, splits and network, by name."""
        reads_masks = "masks" in registry.declarations("dumps", kind).get("BESIDE", ())
        return {"masks": self.masks} if reads_masks and self.masks_folder else {}

    @property
    def facts(self) -> str:
        """What is said of the dataset, without its images."""
        return f"{self.folder}/tables/dataset.json"

    def task_folder(self, task: str) -> str:
        """Where what belongs to another task lies; the experiment's folder where it is empty."""
        return f"{self.folder}/transfer/{task}" if task else self.folder

    def logs(self, stage: str, task: str = "") -> str:
        """Where the logs of a stage lie; those of another task lie together."""
        return f"{self.folder}/logs/{f'transfer/{task}' if task else stage}"

    @property
    def pixels(self) -> str:
        """Grams of the reference images themselves."""
        return f"{self.folder}/dumps/pixels.safetensors"

    def dump(self, kind: str, network: Network, shown: str = "", tuned: str = "") -> str:
        """One network's dump; see `Recording` for what is shown and tuned."""
        place = Recording(kind, shown, tuned).place
        return f"{self.folder}/{place}/{network.slug}.safetensors"

    def recordings(self) -> list[Recording]:
        """All dumps of networks, one a rule."""
        return recordings(self.tasks)

    def dump_bytes(self, rule: str, model: str) -> int | None:
        """About how large a dump will be; None where the config alone does not tell.

        Args:
            rule: The rule that makes it.
            model: Whose dump; empty for the images' own.
        """
        if not model:
            return pixels_bytes(self.config)
        kinds = {recording.rule: recording.kind for recording in self.recordings()}
        return dump_bytes(kinds[rule], self.settings[model], self.config, self._size_px)

    # -- what a job reads ----------------------------------------------------------------

    def dumped(self, kind: str) -> list[Network]:
        """Networks that have a dump of this kind: its NETWORKS, of its FAMILIES.

        Further controls are shown reference images alone.
        """
        declared = registry.declarations("dumps", kind)
        chosen = self._choose(declared["NETWORKS"])
        if declared["SPLITS"] != "reference":
            further = roles.further_controls(self.networks)
            chosen = [n for n in chosen if n not in further]
        if "CONDITIONS" in declared:
            is_made = conditions.is_recorded(self.config, kind)
            chosen = self._shown_changes(chosen) if is_made else []
        flag = declared.get("FAMILIES", "")
        if not flag:
            return chosen
        return [n for n in chosen if has(flag, self.settings[n.model], self._size_px)]

    def _shown_changes(self, chosen: list[Network]) -> list[Network]:
        """Those of some networks that are shown changed images; no further controls."""
        models = conditions.studied(self.config, self._architectures)
        further = roles.further_controls(self.networks)
        return [n for n in chosen if n.model in models and n not in further]

    @functools.cached_property
    def _size_px(self) -> int:
        """Side of the dataset's images."""
        dataset = self.dataset()
        size: int = registry.load("datasets", dataset["kind"]).check(dataset)[0]
        return size

    @property
    def imported(self) -> list[str]:
        """Models whose weights come from somebody else."""
        return [m for m, settings in self.settings.items() if is_imported(settings)]

    @property
    def objectives(self) -> dict[str, str]:
        """Models that are trained here without labels, each with its objective."""
        models = self.config.models
        trained = {m: models[m].train.objective for m in models if m not in self.imported}
        return {m: found for m, found in trained.items() if found != objectives.SUPERVISED}

    def trainer(self, network: Network) -> str:
        """The command that trains a network, below the package."""
        found = self.objectives.get(network.model)
        return objectives.module(found) if found else "training.train"

    def _choose(self, which: str) -> list[Network]:
        """Networks by a word of the dumps: see `roles.chosen`."""
        public = [m for m in self._architectures if self._is_public(m)]
        return roles.chosen(which, self.networks, self._architectures, public)

    def _is_public(self, model: str) -> bool:
        """Whether another library builds a model."""
        return "DESCRIBES" in registry.declarations("models", self.config.models[model].family)

    def tuned(self, task: str) -> list[Network]:
        """Networks that are trained further on a task."""
        own = self.config.transfer[task]
        among = self.networks if own.finetune_seeds == "all" else self._choose("first_seed")
        return [n for n in among if n.fraction == FULL and n.model in own.finetune]

    def shown_other(self, task: str) -> list[Network]:
        """Networks that are shown a task's images as another set of reference images."""
        if self.config.transfer[task].domain == "out":
            return []
        return [n for n in self._choose("first_seed") if n.fraction == FULL]

    def inputs(self, folder: str, name: str) -> dict[str, list[str]]:
        """What a measure or a figure reads, by the names in its READS."""
        reads = registry.declarations(folder, name)["READS"]
        return {read: self._paths(read) for read in reads}

    def outputs(self, measure: str) -> dict[str, str]:
        """The files that a measure writes among the tables, by their names without ending."""
        writes = written("measures", measure)
        return {Path(file).stem: f"{self.folder}/tables/{file}" for file in writes}

    def _paths(self, read: str) -> list[str]:
        if read in MODEL_FILES:
            return [f"{self.folder}/models/{n.slug}/{read}" for n in self.networks]
        if read.endswith((".csv", ".parquet")) or read in _table_makers():
            return [f"{self.folder}/tables/{read}"]
        if read == "pixels":
            return [self.pixels]
        if read in TASK_KINDS:
            return [path for task in self.tasks for path in self._transferred(task, read)]
        return [self.dump(read, n) for n in self.dumped(read)]

    def _transferred(self, task: str, read: str) -> list[str]:
        if read == "transfer_features":
            wanted = self.config.splits.probe_test
            shown = roles.first_seeds(self.dumped("features")) if wanted else []
            return [self.dump("features", n, shown=task) for n in shown]
        if read == "other_gram":
            return [self.dump("gram", n, shown=task) for n in self.shown_other(task)]
        if read == "tuned_gram":
            return [self.dump("gram", n, tuned=task) for n in self.tuned(task)]
        if read == "foreign_confidences":
            is_foreign = self.config.transfer[task].domain == "out"
            shown = self.dumped("confidences") if is_foreign else []
            return [self.dump("confidences", n, shown=task) for n in shown]
        if read in ("tuned_conflicts", "tuned_corruptions"):
            doses = conditions.doses(self.config)
            shown = self._shown_changes(self.tuned(task)) if task in doses else []
            return [self.dump(TASK_KINDS[read], n, tuned=task) for n in shown]
        if read == "tuned_attention":
            heads = self.dumped("attention")
            return [self.dump("attention", n, tuned=task) for n in self.tuned(task) if n in heads]
        return [self.dump("predictions", n, shown=task, tuned=task) for n in self.tuned(task)]

    @property
    def claims(self) -> dict[str, str]:
        """The tables of verdicts, by their names without ending."""
        return {Path(table).stem: f"{self.folder}/tables/{table}" for table in CLAIMS}

    def tables(self) -> list[str]:
        """All tables of the experiment."""
        return [path for measure in self.measures for path in self.outputs(measure).values()]

    def has(self, path: str) -> bool:
        """Whether a path is one that this config still asks for, as far as its name tells.

        False for results of networks, tasks, tables and figures that the config no longer has.
        """
        parts = Path(path).parts
        if parts[:2] != ("results", self.name):
            return True
        slugs = ["/".join(parts[i : i + 3]).split(".")[0] for i in range(2, len(parts) - 2)]
        named = [s for s in slugs if re.fullmatch(r"[^/]+/f\d{3}/s\d+(_on)?", s)]
        own = {each.slug for n in self.networks for each in (n, as_initialised(n))}
        if named and not own & set(named):
            return False
        if parts[2] == "transfer" and parts[3] not in self.tasks:
            return False
        if parts[2] == "tables":
            return path in {*self.tables(), *self.claims.values(), self.facts}
        return parts[2] != "figures" or Path(path).stem in self.figures

    # -- what a job depends on besides its inputs -------------------------------------------

    def job_config_data(self, fingerprint: str, task: str = "") -> dict[str, Any]:
        """Config values that a dataset depends on."""
        return {"dataset": as_made(self.dataset(task)), "source": fingerprint}

    def job_config_masks(self, fingerprint: str) -> dict[str, Any]:
        """Config values that the list of masks of photographs depends on."""
        return {"masks": self.masks_folder, "source": fingerprint}

    def job_config_splits(self, part: str) -> dict[str, Any]:
        """Config values that one part of the splits depends on: a key of SPLIT_KEYS."""
        splits = self.config.splits.some_recorded(SPLIT_KEYS[part])
        return {"part": part, "seed": self.config.seed, "splits": splits}

    def job_config_probe_pool(self) -> dict[str, Any]:
        """Config values that the choice of the experiment's own probe images depends on.

        Where no network is trained here, none has seen any of the images.
        """
        is_trained = any(
            n.fraction != UNTRAINED and not is_imported(self.settings[n.model])
            for n in self.networks
        )
        pool = self.config.splits.probe_pool if is_trained else "train"
        own = self.job_config_splits("probes")
        return {"seed": own["seed"], "splits": own["splits"], "probe_pool": pool}

    def job_config_train(self, network: Network, task: str = "") -> dict[str, Any]:
        """Config values that one network depends on, or that one trained further on a task does."""
        recipe = self.config.recipe(network.model, task)
        model = self.config.models[network.model].recorded()
        left_out = ("label", PRETRAINING, *READING)
        model = {key: value for key, value in model.items() if key not in left_out}
        model["train"] = recipe.recorded()
        declared = registry.declarations("models", model["family"])
        for key in ADDED.get(model["family"], ()):
            if model.get(key) == declared["SETTINGS"][key]["default"]:
                del model[key]
        if "OWN_CODE" in registry.declarations("models", model["family"]):
            model |= {"code": registry.load("models", model["family"]).code_of(model)}
        if "OWN_FILES" in registry.declarations("models", model["family"]):
            model |= registry.load("models", model["family"]).content_of(model)
        return {
            "seed": self.config.seed,
            "network": list(network),
            "model": model,
            "compute": self._compute(),
            **({"task": task} if task else {}),
        }

    def job_config_import(
        self, network: Network, source: str = "", class_file: str = ""
    ) -> dict[str, Any]:
        """Config values that a network with somebody else's weights depends on.

        Args:
            network: Which one.
            source: Identity of the weights.
            class_file: Identity of the list of its output names.
        """
        own = self.job_config_train(network)
        read = {k: v for k, v in self.settings[network.model].items() if k in READING}
        own["model"] = {k: v for k, v in own["model"].items() if k != "train"} | read
        own |= {"class_file": class_file} if class_file else {}
        told = registry.load("models", own["model"]["family"]).imports(own["model"], self._size_px)
        return own | {"source": "" if network.fraction == UNTRAINED else source, "told": told}

    def processes(self, network: Network, task: str = "") -> int:
        """Processes that train a network together."""
        if network.fraction == UNTRAINED or (network.model in self.imported and not task):
            return 1
        return self.config.recipe(network.model, task).world_size

    def job_config_control(self, network: Network) -> dict[str, Any]:
        """Config values that a control depends on which was switched on."""
        return {
            "network": list(network),
            "compute": self._compute(),
            "seed": self.config.seed,
        }

    def job_config_dump(self, kind: str, network: Network) -> dict[str, Any]:
        """Config values that one network's dump depends on."""
        declared = registry.declarations("dumps", kind)
        found = {
            "network": list(network),
            "compute": self._compute(),
            "seed": self.config.seed,
            **self.config.some_recorded(declared.get("USES", ())),
        }
        if "CONDITIONS" in declared:
            found["conditions"] = conditions.settings(self.config, kind, self._size_px)
        return found

    def job_config_pixels(self) -> dict[str, Any]:
        """Config values that the Grams of the images depend on."""
        return {"compute": self._compute(), "seed": self.config.seed}

    def job_config_measure(self, name: str) -> dict[str, Any]:
        """Config values that a measure depends on: the networks that it reads, in order.

        And what its USES names: keys of the config, ``architectures``, the models' settings, or
        one of GIVEN, which are there anyway.
        """
        declared = registry.declarations("measures", name)
        kinds = [r for r in declared["READS"] if r in registry.members("dumps")]
        dumped = {kind: [n.slug for n in self.dumped(kind)] for kind in kinds}
        uses = [key for key in declared.get("USES", ()) if key not in GIVEN]
        known = self.config.some_recorded(key for key in uses if key != "architectures")
        known["architectures"] = self._architectures
        cut: dict[str, Any] = {
            "networks": dumped[kinds[0]] if kinds else [n.slug for n in self.networks],
            "dumped": dumped,
            "seed": self.config.seed,
            **{key: known[key] for key in uses},
        }
        if set(declared["READS"]) & TASK_KINDS.keys():
            cut["tasks"] = {t: task.domain for t, task in self.config.transfer.items()}
        return cut

    def job_config_conflicts(self, fingerprint: str) -> dict[str, Any]:
        """Config values that the list of cue conflicts depends on."""
        return {"conflicts": self.config.conflicts.recorded(), "source": fingerprint}

    def job_config_claims(self, other_criteria: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Config values that verdicts depend on.

        Args:
            other_criteria: Claims that are judged by other criteria than were registered, with
                what these are (`sharing.registration`).
        """
        tasks = {t: task.domain for t, task in self.config.transfer.items()}
        steps = {t: {n.model: self._steps(n, t) for n in self.tuned(t)} for t in self.tasks}
        more: dict[str, Any] = {"tasks": tasks, "task_steps": steps, "figures": self.figures}
        known = seed_spread.facts(self.config, self._architectures)
        table = seed_spread.fitting(known)
        more["seed_spread"] = {"facts": known, "table": table} if table else {}
        more["studies"] = self.studies
        more |= {"doses": doses} if (doses := self._dosed()) else {}
        more |= {"other_criteria": dict(other_criteria)} if other_criteria else {}
        return self._shown() | more

    def _dosed(self) -> dict[str, dict[str, Any]]:
        """Of each task that is a dose of `texture_match`: what else its networks were made by.

        Returns:
            Task -> `images`, settings of its own images; `train`, the recipe of each model.
        """
        found = {}
        for task in conditions.doses(self.config):
            dataset = self.config.transfer[task].dataset
            models = dict.fromkeys(n.model for n in self.tuned(task))
            found[task] = {
                "images": {key: dataset[key] for key in conditions.TRAINED_BY},
                "train": {m: self.config.recipe(m, task).recorded() for m in models},
            }
        return found

    def _steps(self, network: Network, task: str) -> int:
        """Optimiser steps for which a network is trained further on a task."""
        return self.config.recipe(network.model, task).steps

    def job_config_draw(self, figure: str = "") -> dict[str, Any]:
        """Config values that a figure depends on; one of doses is told what these were made by.

        Args:
            figure: Its name; empty: what all figures depend on.
        """
        needs = registry.declarations("figures", figure).get("NEEDS", ()) if figure else ()
        more = {"doses": self._dosed()} if "doses" in needs else {}
        return self._shown() | {"style": self._style} | more

    def figure_files(self, figure: str) -> dict[str, str]:
        """A figure's files, by their endings."""
        return {end: f"{self.folder}/figures/{figure}.{end}" for end in FIGURE_FILES}

    def _shown(self) -> dict[str, Any]:
        """What networks there are, and how they are called."""
        models = self.config.models
        used = list(dict.fromkeys(n.model for n in self.networks))
        return {
            "experiment": self.name,
            "networks": [n.slug for n in self.networks],
            "labels": {m: models[m].label or m.replace("_", " ") for m in used},
            "families": {m: own["family"] for m, own in self._architectures.items()},
            "architectures": self._architectures,
        }

    @functools.cached_property
    def _architectures(self) -> dict[str, Any]:
        """Settings of the models of the runs, as measures, claims and figures know them."""
        used = dict.fromkeys(n.model for n in self.networks)
        own = {m: self.settings[m] for m in used}
        learned = {m: self.config.models[m].pretraining or self.objectives.get(m) for m in used}
        told = {m: pretraining(own[m], learned[m]) for m in used}
        return {m: described(own[m], self._size_px) | told[m] for m in used}

    def job_config_report(self) -> dict[str, Any]:
        """Config values that the report depends on: all but where things lie."""
        config = {k: v for k, v in self.config.recorded().items() if k != "data_root"}
        config["compute"] = self._compute()
        return self._shown() | {"figures": self.figures, "config": config}

    def code(self, module: str, network: Network | None = None, task: str = "") -> str:
        """Digest of the code that a job runs, with the members that the config names for it."""
        family = self.config.models[network.model].family if network else ""
        dataset = self.dataset(task)["kind"] if module == "datasets.prepare" else ""
        stage = (module, family, dataset)
        if stage not in self._codes:  # Snakemake asks once a job
            roots = functools.partial(stage_roots, *stage, self.figures)
            self._codes[stage] = stage_digest((*stage, *self.figures), roots)
        return self._codes[stage]

    def execution(self) -> dict[str, Any]:
        """Values of `compute` that change no result: no job's identity has them."""
        return self.config.compute.some_recorded(EXECUTION)

    def _compute(self) -> dict[str, Any]:
        compute = self.config.compute.recorded()
        return {key: value for key, value in compute.items() if key not in EXECUTION}

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
                if read in makers:
                    want(makers[read])
        if self.config.figures == "auto":
            for claims in asked("claims", self.config):
                for read in registry.declarations("claims", claims)["READS"]:
                    maker = makers.get(read)
                    if maker and not unmet_needs("measures", maker, self.config):
                        want(maker)
            for measure in MEASURED_WHERE_POSSIBLE:
                if not unmet_needs("measures", measure, self.config):
                    want(measure)
        return wanted


def variant_folder(dataset: dict[str, Any]) -> str:
    """The folder of a dataset variant below `data/`."""
    return f"data/{registry.load('datasets', dataset['kind']).variant(dataset)}"


def as_json(value: Any) -> str:
    """The text of a config slice: a rule's parameter, and the command's argument."""
    return json.dumps(value, sort_keys=True, ensure_ascii=True)


@functools.cache
def _table_makers() -> dict[str, str]:
    """Table -> the measure that writes it."""
    return {
        table: measure
        for measure in registry.members("measures")
        for table in written("measures", measure)
    }
