"""The experiment that this call is about, and what every stage's rules share."""

import functools
import os
import runpy
import shlex
import sys
import warnings
from pathlib import Path

from snakemake.common import NOTHING_TO_BE_DONE_MSG
from snakemake.logging import logger


def stop(message):
    """End before anything runs, with a message and without a traceback."""
    sys.exit(message)


# Of this checkout, wherever the installed package comes from.
CHECKOUT = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parents[1]
checkout = runpy.run_path(str(CHECKOUT / "src" / "sightlines" / "core" / "checkout.py"))
if unsupported := checkout["unsupported"]():
    stop(f"UnsupportedSystemError: {unsupported}")
if foreign := checkout["foreign_code"](CHECKOUT):
    stop(f"CheckoutError: {foreign}")

from sightlines.core.errors import SightlinesError
from sightlines.plan.experiment_names import config_of, name_of
from sightlines.sharing.unchanged import Call

TARGET_BEHIND_CONFIG = """
Snakemake takes every word behind --configfile for a config file: write the target first, or behind --, as in
  snakemake --configfile workflow/config/mine.yaml -- results/mine/report.html"""


def choose_config():
    """The one config file: from --configfile, else from a target below results/, else default."""
    folder = Path(workflow.basedir) / "workflow" / "config"
    if not workflow.is_main_process and (chosen := os.getenv("SIGHTLINES_CONFIG")):
        return Path(chosen)
    given = [Path(p) for p in workflow.overwrite_configfiles]
    # Snakemake knows its targets only after it has read this file.
    targets = [Path(word).parts for word in sys.argv[1:]]
    named = {parts[1] for parts in targets if len(parts) > 2 and parts[0] == "results"}
    if len(given) > 1 or len(named) > 1:
        chosen = [str(p) for p in given] or sorted(named)
        stop(
            f"An experiment is exactly one config file; got {chosen}. Run them one after the other."
            + (TARGET_BEHIND_CONFIG if named else "")
        )
    if given and named - {given[0].stem}:
        stop(f"{given[0]} makes results/{given[0].stem}/, not results/{named.pop()}/.")
    if given:
        return given[0]
    chosen = config_of(named.pop() if named else "default", folder)
    if not chosen.exists():
        known = sorted(p.stem for p in folder.glob("*.y*ml"))
        stop(f"There is no experiment {chosen.stem!r}; there are {', '.join(known)}.")
    return chosen


def begin_call():
    """The config of this call, and what it finds; it ends here where nothing is to be done.

    What is wrong with the config's name is said without a traceback.
    """
    try:
        config = choose_config()
        if not workflow.is_main_process:
            return config, None
        places = map(Path, (workflow.main_snakefile, workflow.rundir))
        call = Call(*places, config, name_of(config))
    except SightlinesError as error:
        stop(f"{type(error).__name__}: {error}")
    if call.has_nothing_to_do():
        logger.info(NOTHING_TO_BE_DONE_MSG)
        sys.exit(0)
    return config, call


CONFIG, CALL = begin_call()

# What a plan needs, which a call with nothing to do does without.
from sightlines.plan import registry
from sightlines.jobs import liveness, memory
from sightlines.jobs.shown import is_shown
from sightlines.plan.config import from_command_line, source_folder
from sightlines.datasets.cue_conflicts import fingerprint as conflicts_identity
from sightlines.datasets.prepare import identity
from sightlines.datasets.store import UNLABELLED
from sightlines.core.errors import MissingSourceError
from sightlines.plan.experiment import MODEL_FILES, Experiment, as_json
from sightlines.core.hardware import count_gpus
from sightlines.models.timm_facts import class_file_identity
from sightlines.plan.renamed_keys import DeprecatedKeyWarning
from sightlines.plan.networks import ON, UNTRAINED, Network, switched_on
from sightlines.sharing import one_pass, session
from sightlines.sharing.provenance import recorded_source
from sightlines.sharing.registration import other_criteria


def open_experiment():
    """The checked experiment, where its sources lie, and whether shared results may be remade.

    What is wrong with it is said without a traceback.
    """
    try:
        os.environ.update(SIGHTLINES_CONFIG=str(CONFIG.absolute()))
        if not workflow.is_main_process:  # which has said it
            warnings.simplefilter("ignore", DeprecatedKeyWarning)
        overrides = from_command_line(workflow.config_settings.config_args)
        may_recompute = overrides.pop("recompute", False)
        if not isinstance(may_recompute, bool):
            stop(f"--config recompute is {may_recompute!r}: write true or false.")
        experiment = Experiment.open(CONFIG, overrides)
        return experiment, source_folder(experiment.config), may_recompute
    except SightlinesError as error:
        stop(f"{type(error).__name__}: {error}")


@functools.cache
def fingerprint(task=""):
    """Identity of a task's images as they are now: edited photographs change it.

    Where the photographs are not, but what was made of them is recorded, it is as recorded.
    """
    dataset, needs = EXPERIMENT.dataset(task), EXPERIMENT.label_needs(task)
    try:
        return identity(dataset, Path(SOURCES), needs)
    except SightlinesError as error:
        made = EXPERIMENT.data_files(task)[0]
        if isinstance(error, MissingSourceError):
            settings = {"dataset": EXPERIMENT.job_config_data("", task)["dataset"]}
            recorded = recorded_source(EXPERIMENT.name, made, settings)
            if recorded and not (needs and recorded.endswith(UNLABELLED)):
                return recorded
        stop(f"{type(error).__name__}: {error}")


@functools.cache
def masks_fingerprint():
    """Identity of the photographs' masks as they are now; as recorded where they are not."""
    from sightlines.datasets.photograph_masks import fingerprint as of_masks

    try:
        return of_masks(Path(SOURCES) / EXPERIMENT.masks_folder)
    except SightlinesError as error:
        if isinstance(error, MissingSourceError):
            settings = {"masks": EXPERIMENT.masks_folder}
            if recorded := recorded_source(EXPERIMENT.name, EXPERIMENT.masks, settings):
                return recorded
        stop(f"{type(error).__name__}: {error}")


@functools.cache
def conflicts_fingerprint():
    """Identity of the folder of cue conflicts as it is now; as recorded where it is not."""
    folder = EXPERIMENT.config.conflicts.folder
    try:
        return conflicts_identity(folder, Path(SOURCES))
    except SightlinesError as error:
        if isinstance(error, MissingSourceError):
            made = f"{R}/data/conflicts.safetensors"
            settings = {"conflicts": EXPERIMENT.config.conflicts.recorded()}
            if recorded := recorded_source(EXPERIMENT.name, made, settings):
                return recorded
        stop(f"{type(error).__name__}: {error}")


def needs_no_source():
    """Whether images and weights come from this project alone: generated, or by fixed checksums."""
    has_folder = bool(EXPERIMENT.config.conflicts.folder)
    return not IMPORTED and not has_folder and not any(map(fingerprint, TASKS))


def import_slice(wildcards):
    """Config values of a network with somebody else's weights, and what these are as of now.

    Where a file is not, but what was made of it is recorded, it is as recorded.
    """
    this = network(wildcards)
    model = EXPERIMENT.job_config_import(this)["model"]
    family = registry.load("models", model["family"])
    made = f"{R}/models/{this.slug}/weights.safetensors"
    found = {}
    for key, identify in (
        ("source", family.weights_identity),
        ("class_file", class_file_identity),
    ):
        try:
            found[key] = identify(model, SOURCES)
        except MissingSourceError as error:
            settings = {"model": model}
            found[key] = recorded_source(EXPERIMENT.name, made, settings, key)
            if not found[key] and (key != "source" or this.fraction != UNTRAINED):
                stop(f"{type(error).__name__}: {error}")
        except SightlinesError as error:
            stop(f"{type(error).__name__}: {error}")
    return EXPERIMENT.job_config_import(this, **found)


def network(wildcards):
    """The network that a job's wildcards name."""
    return Network(wildcards.model, wildcards.fraction, wildcards.seed)


def control(wildcards):
    """The control that is made of the untrained network that a job's wildcards name."""
    return switched_on(Network(wildcards.model, wildcards.fraction, wildcards.start))


def of_task(rule, task):
    """A rule's name, for the experiment's own task or another one."""
    return f"{rule}_of_{task}" if task else rule


def one_of(names):
    """A pattern for a wildcard that is one of some names; of none, one that nothing matches."""
    return "|".join(names) or "(?!)"


def named(flag, groups):
    """Arguments such as `--input gram A B`, from names and their paths."""
    return " ".join(
        shlex.join([flag, name, *([paths] if isinstance(paths, str) else paths)])
        for name, paths in groups.items()
    )


if workflow.is_main_process and (freed := liveness.enter()):
    print(f"Freed the lock of a Snakemake that was killed ({freed}).", file=sys.stderr)

EXPERIMENT, SOURCES, MAY_RECOMPUTE = open_experiment()

if workflow.is_main_process:
    try:
        session.begin(
            workflow,
            EXPERIMENT.name,
            MAY_RECOMPUTE,
            EXPERIMENT.dump_bytes,
            lambda: CALL.remember() if needs_no_source() else None,
            EXPERIMENT.code("claims.judge"),
        )
    except SightlinesError as error:
        stop(f"{type(error).__name__}: {error}")

try:
    OTHER_CRITERIA = other_criteria(EXPERIMENT.name, EXPERIMENT.code("claims.judge"))
except SightlinesError as error:
    stop(f"{type(error).__name__}: {error}")

R = EXPERIMENT.folder
TASKS = ["", *EXPERIMENT.tasks]  # the experiment's own is the one without a name
THREADS = EXPERIMENT.config.compute.threads
# A cluster's login node has no GPU: there `--resources gpu=N` says how many may be asked for.
if EXPERIMENT.config.compute.device == "cpu":
    GPUS = 0
elif "gpu" in workflow.global_resources:
    GPUS = workflow.global_resources["gpu"].value
else:
    GPUS = count_gpus()
GPU = min(GPUS, 1)  # what a job that runs a network asks for
# What a cluster is asked for: megabytes and minutes, one share more at each retry.
TRAINING = dict(
    mem_mb=lambda w, attempt: 8000 * attempt, runtime=lambda w, attempt: 720 * attempt
)
DUMPING = dict(
    mem_mb=lambda w, attempt: 8000 * attempt, runtime=lambda w, attempt: 60 * attempt
)
SEED = r"s\d+"
NETWORK = "{model}/{fraction}/{seed}"
MODEL = f"{R}/models/{NETWORK}"
IMPORTED = EXPERIMENT.imported

# What changes no result reaches the jobs by their environment, so that no rule depends on it.
# Jobs run the Python that runs Snakemake, whether or not its environment is activated.
os.environ.update(
    SIGHTLINES_CHECKOUT=str(CHECKOUT),
    SIGHTLINES_DATA=SOURCES,
    SIGHTLINES_PARENT=liveness.me(),
    SIGHTLINES_EXECUTION=as_json(EXPERIMENT.execution()),
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.getenv("PATH", "")]),
)

# Whoever has set tunables of glibc keeps them.
os.environ.setdefault(memory.VARIABLE, memory.KEPT)

# Jobs on this machine share one warm process; a container or another machine has none of it.
if not workflow.is_main_process or workflow.deployment_settings.deployment_method:
    os.environ.update(SIGHTLINES_WARM="0")
else:
    os.environ.setdefault("SIGHTLINES_WARM", "1")

if "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", GPUS)

# On a cluster the dumps of a network are one job, in which they take turns.
if one_pass.TURN not in workflow.global_resources:
    workflow.register_resource(one_pass.TURN, 1)


resource_scopes:
    turn="local",


wildcard_constraints:
    model="|".join(EXPERIMENT.config.models),
    fraction=r"f\d{3}",
    seed=rf"{SEED}({ON})?",
