"""One change at a time in a clone that pulled the results: exactly the jobs that it touches run."""

import contextlib
import itertools
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from sightlines.plan.experiment import Experiment
from tests.workflow.conftest import SMOKE, clone_of, ok, plan, pull, tool
from tests.workflow.planning import every, everything, follow, planned, reasons

pytestmark = pytest.mark.workflow
R = "results/smoke"
CKA = "src/sightlines/measures/cka.py"


@dataclass
class Case:
    """A change, and the jobs that must follow.

    Attributes:
        change: Called with the clone; a context manager that takes it back at its end.
        jobs: Experiment -> rule -> number of jobs.
        why: Rule -> what our own line about it must hold.
        parts: Name -> change, where the change is several at once, of which none asks for a job.
    """

    change: Any
    jobs: Any = field(default=lambda e: {})
    why: dict[str, str] = field(default_factory=dict)
    parts: dict[str, Any] = field(default_factory=dict)


# -- changes ------------------------------------------------------------------------------------


@contextlib.contextmanager
def kept_aside(path: Path) -> Iterator[bytes]:
    """The file's bytes; whatever is put in its place is gone at the end, the file is back."""
    places = (path.with_name(f"{path.name}.aside{i}") for i in itertools.count())
    aside = next(place for place in places if not place.exists())
    before = path.read_bytes()
    path.rename(aside)
    try:
        yield before
    finally:
        aside.replace(path)


def source(name, change):
    """Change a file of the code by `change(text)`."""

    @contextlib.contextmanager
    def edit(clone):
        with kept_aside(clone / name) as before:
            after = change(before.decode())
            assert after != before.decode()
            (clone / name).write_text(after)
            yield

    return edit


def config(change):
    """Change the config by `change(config)`."""

    def write(text):
        values = yaml.safe_load(text)
        change(values)
        return yaml.safe_dump(values)

    return source("workflow/config/smoke.yaml", write)


def setting(path, value):
    """Set one key of the config."""

    def change(values):
        *above, last = path.split(".")
        for key in above:
            values = values.setdefault(key, {})
        values[last] = value

    return config(change)


def content(name, change, mtime=None):
    """Change a result's or a dataset's bytes by `change(bytes)`, with an old time if asked."""

    @contextlib.contextmanager
    def edit(clone):
        path = clone / name.format(data=Experiment.open(SMOKE).data_folder)
        with kept_aside(path) as before:
            after = change(before)
            if after is not None:
                path.write_bytes(after)
                if mtime:
                    os.utime(path, (mtime, mtime))
            yield

    return edit


def record(change):
    """Change the shared provenance by `change(jobs)`; this clone knows nothing of its own."""

    @contextlib.contextmanager
    def edit(clone):
        name = clone / R / "provenance.json"
        with kept_aside(name) as before:
            found = json.loads(before)
            change(found["jobs"])
            name.write_text(json.dumps(found))
            forget(clone)
            yield
        forget(clone)

    return edit


def forget(clone):
    """As after `git clone` and `dvc pull`, before any snakemake."""
    for name in (".snakemake", f"{R}/records", f"{R}/logs"):
        shutil.rmtree(clone / name, ignore_errors=True)


def together(parts):
    """Changes of which none asks for a job, all at once: any that does would show."""

    @contextlib.contextmanager
    def edit(clone):
        with contextlib.ExitStack() as stack:
            for change in parts.values():
                stack.enter_context(change(clone))
            yield

    return Case(edit, parts=parts)


@contextlib.contextmanager
def nothing(_clone):
    yield


@contextlib.contextmanager
def fresh(clone):
    forget(clone)
    yield


@contextlib.contextmanager
def half_adopted(clone):
    """Killed in the middle: half of Snakemake's records and of the times are not set."""
    ok(plan(clone))
    records = sorted((clone / ".snakemake/metadata").iterdir())
    for path in records[::2]:
        path.unlink()
    records[1].write_text("{")
    for path in sorted((clone / R).rglob("*.csv"))[::2]:
        os.utime(path)
    yield


@contextlib.contextmanager
def touched(clone):
    """Every result has the time of now, in an order that no run would leave."""
    for path in sorted((clone / R).rglob("*"), reverse=True):
        if path.is_file():
            os.utime(path)
    yield


@contextlib.contextmanager
def copied_without_records(clone):
    """A table that somebody put there, of which nobody knows how it was made."""
    with kept_aside(clone / R / "provenance.json") as before:
        found = json.loads(before)
        log = f"{R}/logs/measure/cka.log"
        del found["jobs"][log]
        (clone / R / "provenance.json").write_text(json.dumps(found))
        forget(clone)
        yield
    forget(clone)


def replaced(before, after):
    """Change a text in one place."""

    def change(text):
        assert text.count(before) == 1, before
        return text.replace(before, after)

    return change


def comment(text):
    return text + "\n# A remark.\n"


def docstring(text):
    head, _, rest = text.partition('"""')
    return f'{head}"""Another beginning.\n\n{rest}'


def reformatted(text):
    return text.replace("\n\n\n", "\n\n\n\n\n")


def constant(text):
    return text + "\n_ANOTHER = 1\n"


def statement(text):
    """What is run when a module is loaded might change anything."""
    return text + "\nassert __name__\n"


# -- what follows -------------------------------------------------------------------------------


def tables_of(experiment, measure):
    return [Path(path).name for path in experiment.outputs(measure).values()]


def after_measure(measure):
    return lambda e: follow(e, changed=tables_of(e, measure), jobs=[(f"measure_{measure}", 1)])


def after_dump(kind):
    return lambda e: follow(e, changed=[kind], jobs=[(f"dump_{kind}", len(e.dumped(kind)))])


def merge(*parts):
    def jobs(experiment):
        found = {}
        for part in parts:
            found |= part(experiment)
        return found

    return jobs


def after_probes(e):
    dumps = [("dump_token_features", len(e.dumped("token_features")))]
    measures = [("measure_probes", 1), ("measure_token_probes", 1)]
    return follow(e, changed=["token_features"], jobs=[*dumps, *measures])


def all_but_data(e):
    """The dataset is that of its own settings, whatever an experiment draws."""
    dataset = ("prepare_dataset", "describe_dataset", "split_conflicts")
    return {rule: n for rule, n in everything(e).items() if rule not in dataset}


def report_only(_e):
    return {"write_report": 1}


def half(data):
    return data[: len(data) // 2]


def flipped(data):
    return data[:-1] + bytes([data[-1] ^ 1])


def wrong_hash(job, path):
    def change(jobs):
        jobs[f"{R}/logs/{job}.log"]["outputs"][path][0] = "0" * 64

    return change


def wrong_param(jobs):
    params = jobs[f"{R}/logs/measure/cka.log"]["snakemake"]["params"]
    params[params.index(next(p for p in params if len(p) == 18))] = "'0123456789abcdef'"


def wrong_input(jobs):
    inputs = jobs[f"{R}/logs/measure/accuracy.log"]["inputs"]
    inputs[next(iter(inputs))] = "0" * 64


TRAINED = f"{R}/models/vit_small/f100/s0/weights.safetensors"
DUMPED = f"{R}/dumps/attention/vit_small/f100/s0.safetensors"
TABLE = f"{R}/tables/accuracy.csv"
FIGURE = f"{R}/figures/fig01_cka_within.svg"


def one_network(e):
    return follow(e, [n for n in e.networks if n.slug == "vit_small/f100/s0"])


def one_attention(e):
    return follow(e, changed=["attention"], jobs=[("dump_attention", 1)])


CASES = {
    "unchanged": Case(nothing),
    "unchanged, without Snakemake's folder": Case(fresh),
    "code that no result depends on": together(
        {
            "a comment": source(CKA, comment),
            "a docstring": source(CKA, docstring),
            "formatting": source(CKA, reformatted),
            "a definition that nothing uses": source(CKA, constant),
            "a module that nobody imports": source("src/sightlines/sharing/share.py", constant),
            "the errors' module": source("src/sightlines/core/errors.py", statement),
            "an error's message": source(
                "src/sightlines/training/evaluation.py", replaced("the loss on {", "loss of {")
            ),
            "progress's text": source(
                "src/sightlines/core/progress.py", replaced("s left{", "seconds left{")
            ),
            "what training's progress says": source(
                "src/sightlines/training/loop.py",
                replaced('f"step {training.step}")', 'f"at {training.step}")'),
            ),
            "a line of a log": source(
                "src/sightlines/training/train.py", replaced('f"trains in {', 'f"computes in {')
            ),
            "the log's format": source(
                "src/sightlines/jobs/command.py",
                replaced("%(asctime)s %(levelname)s", "%(asctime)s"),
            ),
            "a field of the record": source(
                "src/sightlines/jobs/command.py", replaced('"wall_s": ', '"more": 1, "wall_s": ')
            ),
            "a note for the record": source(
                "src/sightlines/training/train.py", replaced('["precision_why"]', '["why"]')
            ),
            "a query of the hardware": source(
                "src/sightlines/core/hardware.py", replaced("platform.machine()", "platform.node()")
            ),
            "the frame of commands": source("src/sightlines/jobs/command.py", statement),
            "how digests are made": source("src/sightlines/plan/code_digest.py", statement),
        }
    ),
    "a caption": Case(
        source(
            "src/sightlines/figures/fig01_cka_within.py", replaced("Linear CKA between", "CKA of")
        ),
        report_only,
    ),
    "the page's template": Case(
        source(
            "src/sightlines/report/template.py",
            replaced("<h2>What was run", "<h2>All that was run"),
        ),
        report_only,
    ),
    "a measurement": Case(
        source(CKA, replaced("def pair_tables(", "def pair_tables(*, _=1, ")),
        after_measure("cka"),
        {"measure_cka": f"code changed: {CKA} (pair_tables)"},
    ),
    "a module that an import imports": Case(
        source("src/sightlines/stats/ridge.py", statement),
        merge(*map(after_measure, ("probes", "token_probes", "knn", "shape_bias"))),
        {"measure_probes": "code changed: src/sightlines/stats/ridge.py"},
    ),
    "the training loop": Case(
        source("src/sightlines/training/loop.py", statement),
        lambda e: follow(e, every(e)),
        {"train_network": "code changed: src/sightlines/training/loop.py"},
    ),
    "a dump": Case(
        source("src/sightlines/dumps/attention.py", statement),
        merge(after_dump("attention"), after_dump("cls_attention")),
    ),
    "a figure": Case(
        source("src/sightlines/figures/fig01_cka_within.py", statement),
        lambda e: {"draw_fig01_cka_within": 1, "write_report": 1},
    ),
    "the report": Case(source("src/sightlines/report/page.py", statement), report_only),
    "settings that no result depends on": together(
        {
            "where the images lie": setting("data_root", "elsewhere"),
            "decode workers": setting("compute.workers", 1),
            "checkpoint interval": setting("compute.checkpoint_every_s", 7.0),
        }
    ),
    "a label": Case(setting("models.resnet.label", "R"), lambda e: follow(e, names=["R"])),
    "the seed": Case(setting("seed", 1), all_but_data),
    "threads": Case(
        setting("compute.threads", 2),
        lambda e: follow(e, every(e), jobs=[("dump_pixels", 1)], changed=["pixels"]),
    ),
    "steps": Case(
        setting("train.steps", 13),
        lambda e: follow(e, every(e)),
        {"train_network": "train.steps 12 → 13"},
    ),
    "learning rate": Case(setting("train.learning_rate", 0.01), lambda e: follow(e, every(e))),
    "one model's width": Case(
        setting("models.vit_small.width", 48),
        lambda e: follow(e, every(e, "vit_small"), names=["vit_small"]),
    ),
    "one ResNet's channels": Case(
        setting("models.resnet.channels", [32, 32, 32, 32]),
        lambda e: follow(e, every(e, "resnet"), names=["resnet"]),
        {"train_network": "model.channels"},
    ),
    "validation images": Case(
        setting("splits.validation", 201), lambda e: follow(e, part="training")
    ),
    "reference images": Case(
        setting("splits.reference_batch_size", 33), lambda e: follow(e, part="reference")
    ),
    "probe images": Case(setting("splits.probe_test", 29), lambda e: follow(e, part="probes")),
    "shots": Case(setting("probes.shots", 4), after_probes),
    "receptive fields": Case(
        setting("receptive_field.channels", 63), after_dump("receptive_field")
    ),
    "an image, with an old time": Case(
        content("{data}/test_images.npy", flipped, mtime=1), everything
    ),
    "weights altered": Case(content(TRAINED, flipped), one_network),
    "weights truncated": Case(content(TRAINED, half), one_network),
    "a dump truncated": Case(content(DUMPED, half), one_attention),
    "a table altered": Case(
        content(TABLE, lambda b: b.replace(b"0.", b"1.", 1)), after_measure("accuracy")
    ),
    "a table missing": Case(content(TABLE, lambda _: None), lambda e: {"measure_accuracy": 1}),
    "weights missing, which nothing needs": Case(content(TRAINED, lambda _: None)),
    "a figure altered, with an old time": Case(
        content(FIGURE, flipped, mtime=1), lambda e: {"draw_fig01_cka_within": 1, "write_report": 1}
    ),
    "a figure missing": Case(
        content(FIGURE, lambda _: None), lambda e: {"draw_fig01_cka_within": 1}
    ),
    "the report missing": Case(content(f"{R}/report.html", lambda _: None), report_only),
    "a record's hash altered": Case(
        record(wrong_hash("measure/accuracy", TABLE)), after_measure("accuracy")
    ),
    "a record's code altered": Case(record(wrong_param), after_measure("cka")),
    "a record's input altered": Case(record(wrong_input), after_measure("accuracy")),
    "a table that no record knows": Case(copied_without_records, after_measure("cka")),
    "file times in disorder": Case(touched),
    "adoption killed half-way": Case(half_adopted),
}


# -- tests --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clones(shared, tmp_path_factory):
    """Clones by DVC's way of putting files in their place, made when first asked for."""
    made = {}

    def clone(link):
        if link not in made:
            folder = clone_of(shared, tmp_path_factory.mktemp("clone") / f"another {link}")
            ok(tool(folder, "dvc", "config", "--local", "cache.type", link))
            ok(pull(folder))
            made[link] = folder
        return made[link]

    return clone


def check(clone, case, cores):
    with case.change(clone):
        done = plan(clone, "--cores", cores)
        now = Experiment.open(clone / "workflow/config/smoke.yaml")
    found, expected = planned(done), case.jobs(now)
    assert found == expected, f"asked for by: {which_ask(clone, case.parts)}"
    told = reasons(done)
    for rule, words in case.why.items():
        assert words in told[rule]


def which_ask(clone, parts):
    """Which of several changes asks for a job, alone."""
    found = []
    for name, change in parts.items():
        with change(clone):
            found += [name] if planned(plan(clone)) else []
    return found


@pytest.mark.parametrize("name", CASES)
def test_of_copies(clones, name):
    check(clones("copy"), CASES[name], cores="1" if len(name) % 2 else "2")


@pytest.mark.slow
@pytest.mark.parametrize("link", ["hardlink", "symlink"])
@pytest.mark.parametrize("name", CASES)
def test_of_links(clones, name, link):
    check(clones(link), CASES[name], cores="2" if len(name) % 2 else "1")
