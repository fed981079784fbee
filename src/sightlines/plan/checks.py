"""What a config must fulfil beyond its schema: known names, fitting sizes, needs of figures."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sightlines.core.errors import ConfigError
from sightlines.plan import conditions, objectives, registry, roles, schedule
from sightlines.plan.architectures import described, has, is_imported, lacks_skips, size_of
from sightlines.plan.config import networks, source_folder
from sightlines.plan.config_types import Config, Model, Splits, Task
from sightlines.plan.dataset_settings import has_masks
from sightlines.plan.networks import FULL, UNTRAINED, per_cent
from sightlines.plan.renamed_keys import name_of
from sightlines.plan.studies import study_of


def check(config: Config) -> None:
    """Check what no schema can: names that refer to others, sizes that must fit.

    Raises:
        ConfigError: listing all problems at once.
    """
    _meet(config)
    problems = [
        *_check_runs(config),
        *_check_sizes(config),
        *_check_splits(config.dataset, config.splits),
        *_check_transfer(config),
        *_check_figures(config),
        *conditions.check(config, _size_px(config.dataset) or 0),
        *_check_conflicts(config),
    ]
    if problems:
        raise ConfigError("invalid configuration:\n  " + "\n  ".join(problems))


def _meet(config: Config) -> None:
    """Ask all at once what is known of models that another library builds."""
    size_px = _size_px(config.dataset)
    for family in {model.family for model in config.models.values()}:
        if size_px and "DESCRIBES" in registry.declarations("models", family):
            own = [m.settings for m in config.models.values() if m.family == family]
            files = "OWN_FILES" in registry.declarations("models", family)
            source = (Path(source_folder(config)),) if files else ()
            registry.load("models", family).meet(own, size_px, *source)


def _check_runs(config: Config) -> list[str]:
    known = ", ".join(sorted(config.models))
    problems = [
        f"runs: model {name!r} is not among models ({known})" for name in _unknown_models(config)
    ]
    splits = config.splits
    partial = [n > 0 for n in (splits.probe_train, splits.probe_held_out, splits.probe_test)]
    if any(partial) and not all(partial):
        problems.append("splits: probe_train, probe_held_out and probe_test go together, or are 0")
    for name, model in config.models.items():
        recipe = model.train
        if recipe.warmup_steps >= recipe.steps:
            problems.append(
                f"models.{name}: warmup_steps {recipe.warmup_steps} must be below "
                f"steps {recipe.steps}"
            )
    return problems + _check_imports(config)


def _check_imports(config: Config) -> list[str]:
    """Problems of models whose weights come from elsewhere: they are not trained here."""
    problems = []
    for name in (m for m, model in config.models.items() if is_imported(model.settings)):
        own = [n for n in networks(config) if n.model == name]
        odd = sorted({n.fraction for n in own} - {FULL, UNTRAINED})
        if odd:
            problems.append(
                f"runs: {name} has weights of its own and is not trained on {', '.join(odd)}: use "
                f"{FULL} (its weights), {UNTRAINED} (its untrained twin), or weights: random"
            )
        if len({n.seed for n in own if n.fraction == FULL}) > 1:
            problems.append(f"runs: {name} has weights of its own, which are one seed on {FULL}")
    return problems


def _check_sizes(config: Config) -> list[str]:
    problems, grids = [], {}
    dataset = config.dataset
    try:
        size_px, _ = registry.load("datasets", dataset["kind"]).check(dataset)
    except ConfigError as error:
        return [f"dataset: {error}"]
    used = {m for run in config.runs for m in run.models} & set(config.models)
    trained = {n.model for n in networks(config) if n.fraction != UNTRAINED}
    for name in sorted(used):
        model = config.models[name]
        family = registry.load("models", model.family)
        try:
            grids[name] = family.check(model.settings, size_px)
            if "OWN_CODE" in registry.declarations("models", model.family):
                family.require_trust(model.settings, config.trust_code)
            if is_imported(model.settings) and name in trained:
                family.require_weights(model.settings, size_px)
            if not is_imported(model.settings):
                _check_recipe(model, size_px)
        except ConfigError as error:
            problems.append(f"models.{name}: {error}")
    if config.require_equal_grids and len(set(grids.values())) > 1:
        listed = ", ".join(f"{name} {h} × {w}" for name, (h, w) in grids.items())
        problems.append(
            f"token grids and last maps differ ({listed}), so their positions cannot be compared: "
            "change patch_px, units or stem, or set require_equal_grids: false"
        )
    return problems


def _check_recipe(model: Model, size_px: int) -> None:
    """Refuse a recipe that a model cannot follow on images of this size.

    Raises:
        ConfigError: see `schedule.check`, or the `check` of its objective.
    """
    recipe = model.train
    if recipe.objective == objectives.SUPERVISED:
        schedule.check(recipe.recorded(), size_px)
        return
    known = described(model.settings, size_px)
    objectives.check(recipe.objective, recipe.settings, model.settings, known, size_px)


def _check_splits(dataset: dict[str, Any], splits: Splits) -> list[str]:
    """Problems of sizes that ask for more images than there are, where that is known by now."""
    module = registry.load("datasets", dataset["kind"])
    counts = module.counts(dataset)
    if not counts or _size_px(dataset) is None:
        return []
    train, test, validation = counts["train"], counts["test"], splits.validation
    pools = {"train": train - validation, "test": test - splits.probe_test}
    pools["auto"] = max(pools.values())
    wanted = {
        "validation": (validation, train - module.check(dataset)[1]),
        "reference_batches × reference_batch_size": (
            splits.reference_batches * splits.reference_batch_size,
            test,
        ),
        "probe_train": (splits.probe_train, pools[splits.probe_pool]),
        "probe_held_out": (splits.probe_held_out, validation),
        "probe_test": (splits.probe_test, test),
    }
    return [
        f"splits.{key} asks for {count} images, but dataset {dataset['kind']} has at most "
        f"{max(limit, 0)} for it"
        for key, (count, limit) in wanted.items()
        if count > max(limit, 0)
    ]


def _check_transfer(config: Config) -> list[str]:
    """Problems of the other tasks: their images must be new and fit, their recipes must work."""
    problems, seen = [], [config.dataset]
    of_task = replace(config.splits, probe_pool="train")  # networks saw none of its images
    for name, task in config.transfer.items():
        found = [
            *_check_images(task.dataset, seen),
            *_check_tuning(name, task, config),
            *(f": {problem}" for problem in _check_splits(task.dataset, of_task)),
        ]
        problems += [f"transfer.{name}{problem}" for problem in found]
        seen.append(task.dataset)
    return problems


def _check_images(dataset: dict[str, Any], seen: list[dict[str, Any]]) -> list[str]:
    """Problems of one task's images; `seen` are the datasets before it, the experiment's first."""
    if dataset in seen:
        return [".dataset is used twice: give each task its own images"]
    try:
        size_px, _ = registry.load("datasets", dataset["kind"]).check(dataset)
    except ConfigError as error:
        return [f".dataset: {error}"]
    wanted = _size_px(seen[0])
    if wanted not in (size_px, None):
        return [f": its images have {size_px} px, the experiment's own {wanted}"]
    return []


def _size_px(dataset: dict[str, Any]) -> int | None:
    """Size of a dataset's images; None where its settings cannot work, which is said elsewhere."""
    try:
        size_px: int = registry.load("datasets", dataset["kind"]).check(dataset)[0]
    except ConfigError:
        return None
    return size_px


def _check_tuning(name: str, task: Task, config: Config) -> list[str]:
    """Problems of the models that are trained further on one task."""
    known = {n.model for n in networks(config) if n.fraction == FULL} - set(_unknown_models(config))
    size_px = _size_px(task.dataset)
    problems = []
    for model in task.finetune:
        if model not in known or lacks_skips(config.models[model].settings):
            problems.append(
                f".finetune: {model!r} is not among the models trained on {FULL} with all skips"
            )
            continue
        if is_imported(config.models[model].settings):
            problems += _check_view(model, config.models[model].settings, size_px)
        recipe = config.recipe(model, name)
        if recipe.warmup_steps >= recipe.steps:
            problems.append(
                f".train: {model} has warmup_steps {recipe.warmup_steps}, which must be below "
                f"steps {recipe.steps}"
            )
        try:
            if size_px is not None:
                schedule.check(recipe.recorded(), size_px)
        except ConfigError as error:
            problems.append(f".train: {model}: {error}")
    return problems


def _check_view(name: str, model: dict[str, Any], size_px: int | None) -> list[str]:
    """Problem of an imported network that sees other images than it would be trained further on."""
    if size_px is None:
        return []
    seen = registry.load("models", model["family"]).view(model, size_px)
    wanted = {"size_px": size_px, "crop_share": 1.0, "crop_mode": "center"}
    wanted |= {"interpolation": "bicubic"}
    odd = [f"{name_of(key)} {seen[key]}" for key, value in wanted.items() if seen[key] != value]
    if not odd:
        return []
    return [
        f".finetune: {name} sees images with {', '.join(odd)}, but is trained further on whole "
        f"images, scaled to {size_px} px by bicubic interpolation: set these keys of the model so, "
        "or leave it out"
    ]


def _check_figures(config: Config) -> list[str]:
    if config.figures == "auto" or _unknown_models(config):
        return []
    problems = []
    for name in config.figures:
        if name not in registry.members("figures"):
            problems.append(f"figures: no figure {name!r}; there are {registry.members('figures')}")
        elif (study := study_of(registry.declarations("figures", name))) not in config.studies:
            problems.append(
                f"figures: {name} is of the study {study}, which studies leaves out: list it "
                "there, or leave out the figure"
            )
        elif unmet := unmet_needs("figures", name, config):
            problems.append(f"figures: {name} needs {', '.join(unmet)} among the runs")
    return problems


def _unknown_models(config: Config) -> list[str]:
    named = {m for run in config.runs for m in run.models}
    return sorted(named - set(config.models))


def label_needs(config: Config, task: str = "") -> list[str]:
    """What the labels of a dataset are needed for, in words; empty where nothing needs them.

    Args:
        config: The whole config.
        task: The task whose images they are; the experiment's own by default.
    """
    models = config.models
    trained: Sequence[str]
    if task:
        trained = config.transfer[task].finetune
    else:
        known = {n.model for n in networks(config)} & models.keys()
        trained = sorted(
            name
            for name in known
            if not is_imported(models[name].settings)
            and models[name].train.objective == objectives.SUPERVISED
        )
    verb = "is" if len(trained) == 1 else "are"
    needs = [f"{', '.join(trained)} {verb} trained on these images"] if trained else []
    if config.splits.probe_test:
        needs.append("splits.probe_train, probe_held_out and probe_test ask for linear probes")
    return needs


_ASKED: list[tuple[Config, dict[str, tuple[bool, str]]]] = []
"""A config, which nobody changes, and its needs."""


def unmet_needs(folder: str, name: str, config: Config) -> list[str]:
    """What a figure or a measure needs among the runs and does not find, in words.

    Raises:
        KeyError: it declares a need that is none of `needs`.
    """
    if _unknown_models(config):
        return ["networks of known models"]
    tests = _needs_once(config)
    declared = registry.declarations(folder, name).get("NEEDS", ())
    if unknown := [need for need in declared if need not in tests]:
        raise KeyError(
            f"{folder}/{name}.py: NEEDS has {', '.join(unknown)}; there are {', '.join(tests)}"
        )
    return [tests[need][1] for need in declared if not tests[need][0]]


def _check_conflicts(config: Config) -> list[str]:
    if not config.conditions.conflict.depth or has_conflicts(config):
        return []
    return [
        "conditions.conflict.depth needs images with a cue conflict: raise dataset.n_conflict of "
        "shapes, set conflicts.folder, or leave it out"
    ]


def has_conflicts(config: Config) -> bool:
    """Whether there are images whose outline and surface are of different classes."""
    return bool(config.conflicts.folder or config.dataset.get("n_conflict"))


def _needs_once(config: Config) -> dict[str, tuple[bool, str]]:
    """`needs` of the config that was asked of last: a plan asks for each figure and measure."""
    if not (_ASKED and _ASKED[0][0] is config):
        _ASKED[:] = [(config, needs(config))]
    return _ASKED[0][1]


def needs(config: Config) -> dict[str, tuple[bool, str]]:
    """Every word that NEEDS may hold: whether it is met, and what it asks for."""
    nets = networks(config)
    models = {name: model.settings for name, model in config.models.items()}
    trained = [n for n in nets if n.fraction != UNTRAINED]
    size_px = _size_px(config.dataset) or 0
    known = {m: described(models[m], size_px) for m in roles.models(nets)}
    full = {*roles.plain_models(nets, known)}
    lacking = {*roles.trained_models(nets)} - full
    family = {m: known[m]["family"] for m in full}
    attention = {m for m in full if has("ATTENTION", models[m], size_px)}
    has_token = any(has("CLASS_TOKEN", models[m], size_px) for m in full)
    pools = {known[m].get("pool") for m in attention}
    main = roles.main_models(nets, known)
    families = [family[m] for m in main]
    across = roles.pairs_across(nets, known)
    less = {n.model for n in trained if per_cent(n.fraction) < 100}
    tuned = {m for task in config.transfer.values() for m in task.finetune}
    seeds = {m: roles.on(nets, m, FULL) for m in full}
    changed = conditions.studied(config, known)
    return {
        "trained": (bool(full), f"a model trained on {FULL}"),
        "trained_here": (
            any(not is_imported(models[m]) for m in full),
            f"a model trained on {FULL} here",
        ),
        "two_models": (len(full) > 1, f"two models trained on {FULL}"),
        "two_families": (bool(across), f"two families trained on {FULL}"),
        "two_sizes": (
            len({(family[m], size_of(known[m])) for m in main}) > len(set(families)),
            f"two models of one family trained on {FULL}",
        ),
        "branches": (
            any(has("BRANCHES", models[m], size_px) for m in full),
            f"a model whose skips are known on {FULL}",
        ),
        "attention": (bool(attention), f"a model with attention trained on {FULL}"),
        "plain_attention": (
            any(has("PLAIN_ATTENTION", models[m], size_px) for m in attention),
            f"a ViT whose queries, keys and values are known on {FULL}",
        ),
        "attention_sites": (
            any(has("ATTENTION_SITES", models[m], size_px) for m in full),
            f"a model with attention that is not a plain ViT's on {FULL}",
        ),
        "class_token": (has_token, f"a ViT with a class token trained on {FULL}"),
        "resnet": ("resnet" in family.values(), f"a resnet trained on {FULL}"),
        "mixer": ("mixer" in family.values(), f"a mixer trained on {FULL}"),
        "fnet": ("fnet" in family.values(), f"an fnet trained on {FULL}"),
        "gap": (pools >= {"cls", "gap"}, f"ViTs with pool cls and with pool gap on {FULL}"),
        "skipless": (bool(lacking), f"a ViT with a skipless_block trained on {FULL}"),
        "less_data": (
            bool(less & attention),
            f"a model with attention trained on {FULL} and on less",
        ),
        "two_fractions": (bool(less & full), f"a model trained on {FULL} and on less"),
        "second_seed": (
            any(len(found) > 1 for found in seeds.values()),
            f"two seeds of one model on {FULL}",
        ),
        "mixed": (
            bool(config.dataset.get("n_mixed")),
            "objects on grounds of their own and of other classes: dataset.n_mixed of shapes",
        ),
        "conflicts": (
            has_conflicts(config),
            "images with a cue conflict: dataset.n_conflict of shapes, or conflicts.folder",
        ),
        "probes": (config.splits.probe_test > 0, "splits.probe_train, _held_out and _test"),
        "pictures": (config.attention_maps.pictures > 0, "attention_maps.pictures above 0"),
        "masks": (has_masks(config.dataset), "images with masks: dataset shapes, or dataset.masks"),
        "transfer": (bool(config.transfer), "a task under transfer"),
        "tuned_attention": (
            bool(tuned & attention),
            "a task under transfer with models to finetune that have attention",
        ),
        "changed_images": (bool(changed), "conditions.models with a model trained on f100"),
        "doses": (
            bool(changed) and len(conditions.doses(config)) >= conditions.FEWEST_DOSES,
            f"{conditions.FEWEST_DOSES} tasks under transfer with models to finetune whose images "
            "differ from the experiment's own in texture_match alone, and conditions.corruption",
        ),
        "stored_corruptions": (
            bool(changed)
            and conditions.asked(config, "foreign")
            and any(
                task.domain == "out" and conditions.stored_corruption(task.dataset)
                for task in config.transfer.values()
            ),
            "conditions.foreign, and a task under transfer that is a corruption of ImageNet-C or "
            "CIFAR-10-C",
        ),
        "changed_depth": (
            bool(changed)
            and bool(config.conditions.corruption.depth or config.conditions.frequency.depth),
            "conditions.corruption.depth or conditions.frequency.depth that names something",
        ),
        "conflict_depth": (
            bool(changed) and bool(config.conditions.conflict.depth),
            "conditions.conflict.depth that names something",
        ),
        **{
            family: (
                bool(changed) and conditions.asked(config, family),
                f"conditions.{family} that asks for something",
            )
            for family in conditions.OPTIONAL
        },
        "tuned": (bool(tuned & full), "a task under transfer with models to finetune"),
    }
