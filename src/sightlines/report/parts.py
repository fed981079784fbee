"""What the page says about the run, its networks and their accuracy: tables of text cells."""

from typing import Any, NamedTuple

import pandas as pd

from sightlines.datasets.white_levels import describe_white
from sightlines.plan.architectures import NOT_ARCHITECTURE, is_imported
from sightlines.plan.networks import per_cent
from sightlines.results.numbers import fixed
from sightlines.results.selecting import (
    best_accuracy,
    label,
    models,
    needed_accuracy,
    networks,
    without_labels,
)
from sightlines.training.class_order import UNDECIDED

REFERENCE = "reference_batches", "reference_batch_size"


class Row(NamedTuple):
    """One row of a table on the page; `mark` is "", "control" or "flagged"."""

    cells: list[str]
    mark: str = ""


def text_columns(rows: list[Row]) -> list[bool]:
    """For each column whether it holds words, which are set flush left, or numbers."""
    return [cell[:1].isalpha() for cell in rows[0].cells] if rows else []


def dataset_facts(config: dict[str, Any], dataset: dict[str, Any]) -> list[tuple[str, str]]:
    """Dataset, classes, counts, splits and seeds, as (name, value)."""
    whole = config.get("config", {})
    splits = whole.get("splits", {})
    classes = [str(c) for c in dataset.get("classes", [])]
    names = ", ".join(classes[:20]) + (f", … ({len(classes) - 20} more)" * (len(classes) > 20))
    counts = dataset.get("counts", {})
    size = dataset.get("size_px")
    facts = [
        ("Dataset", str(dataset.get("kind", "–"))),
        ("Classes", f"{len(classes)}: {names}" if classes else _no_classes(dataset)),
        ("Folders", _folders(dataset)),
        ("Images", ", ".join(f"{count:,} {split}" for split, count in sorted(counts.items()))),
        ("Image size", f"{size} × {size} px" if size else ""),
        ("Photographs of more than 8 bits", describe_white(dataset)),
        ("Validation", f"{splits['validation']:,} images" if "validation" in splits else ""),
    ]
    if all(key in splits for key in REFERENCE):
        batches, batch = (splits[key] for key in REFERENCE)
        text = f"{batches * batch:,} test images in {batches} minibatches of {batch}"
        facts.append(("Reference images", text))
    facts.append(("Shares of images", ", ".join(_shares(config))))
    facts.append(("Seeds", ", ".join(sorted({n.seed for n in networks(config)}))))
    if "seed" in whole:
        facts.append(("Root seed", str(whole["seed"])))
    return [(name, text) for name, text in facts if text]


def _no_classes(dataset: dict[str, Any]) -> str:
    return "none: nothing here needs labels" if dataset.get("classes") == [] else "–"


def _folders(dataset: dict[str, Any]) -> str:
    """Which folders of photographs serve, where their names leave that open."""
    serve = sorted(dataset.get("folders", {}).items())
    return ", ".join(f"{split} images from {folder}" for split, folder in serve)


def _shares(config: dict[str, Any]) -> list[str]:
    found = sorted({per_cent(n.fraction) for n in networks(config)})
    return [f"{share} %" if share else "untrained" for share in found]


def model_table(config: dict[str, Any], accuracy: pd.DataFrame | None) -> dict[str, Any]:
    """One row a model: family, architecture, parameters, and what differs in its recipe."""
    settings = config.get("config", {}).get("models", {})
    recipes = {
        m: settings.get(m, {}).get("train", {})
        for m in models(config)
        if not is_imported(settings.get(m, {}))
    }
    keys = sorted({key for recipe in recipes.values() for key in recipe})
    shared = [k for k in keys if len({str(r.get(k)) for r in recipes.values()}) == 1]
    rows = []
    for model in models(config):
        own = {
            k: v
            for k, v in settings.get(model, {}).items()
            if k not in ("family", *NOT_ARCHITECTURE)
        }
        architecture = {k: v for k, v in own.items() if not isinstance(v, dict)}
        own_recipe = recipes.get(model, {})
        different = {k: own_recipe.get(k) for k in keys if k not in shared and own_recipe}
        cells = [
            label(config, model),
            str(config.get("families", {}).get(model, "–")),
            _parameters(accuracy, model),
            _listed(architecture) or "–",
        ]
        rows.append(Row(cells + ([_listed(different)] if len(shared) < len(keys) else [])))
    head = ["Network", "Family", "Parameters", "Architecture"]
    head += ["Own recipe"] if len(shared) < len(keys) else []
    first: dict[str, Any] = next(iter(recipes.values()), {})
    return {"rows": rows, "head": head, "shared": _listed({k: first[k] for k in shared})}


def _listed(settings: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in settings.items())


def _parameters(accuracy: pd.DataFrame | None, model: str) -> str:
    if accuracy is None or not (accuracy["model"] == model).any():
        return "–"
    return f"{int(accuracy.loc[accuracy['model'] == model, 'parameters'].iloc[0]):,}"


def accuracy_table(
    config: dict[str, Any],
    accuracy: pd.DataFrame | None,
    test_images: int,
    has_classes: bool = True,
) -> dict[str, Any] | None:
    """One row a network; trained ones that learned too little are flagged in words and colour."""
    if accuracy is None or accuracy.empty:
        return None
    best = best_accuracy(accuracy)
    rows = [
        _accuracy_row(config, row, test_images, has_classes, best)
        for row in accuracy.itertuples(index=False)
    ]
    flagged = sum(row.mark == "flagged" for row in rows)
    known = accuracy[accuracy["accuracy_test"].notna()]
    text = _needed(known["chance"], best)
    if flagged:
        note = (
            f"{flagged} trained network{'s' * (flagged != 1)} below {text}: "
            "what such a network shows says little about its architecture."
        )
    elif known.empty:
        why = "are no outputs of these networks" if has_classes else "are not known"
        note = f"No accuracy: the classes of the images {why}."
    else:
        note = f"Every trained network whose accuracy is known reaches {text}."
    short = note
    if test_images and not known.empty:
        note += " ± is the binomial standard error over the test images."
    note += _imported(config, accuracy) + _remarks(config, accuracy)
    head = ["Network", "Share of images", "Seed", "Test accuracy", "× chance", "Verdict"]
    head += ["Validation", "Train", "Test loss (nats)", "Training images", "Steps"]
    return {"rows": rows, "head": head, "note": note, "short": short}


def _needed(chances: pd.Series, best: float) -> str:
    """What a network must reach, in words."""
    shares = [f"{100 * needed_accuracy(chance, best):.1f} %" for chance in sorted(set(chances))]
    return (
        f"{' or '.join(shares)} (a quarter of what the best network reaches above chance, or of "
        "half of the way from chance to 100 %)"
    )


def _imported(config: dict[str, Any], accuracy: pd.DataFrame) -> str:
    """What imported networks reach on all images: none was trained on any of them here."""
    if "accuracy_all" not in accuracy:
        return ""
    shown = accuracy[accuracy["accuracy_all"].notna() & (accuracy["fraction"] != "f000")]
    if shown.empty:
        return ""
    columns = (shown["model"], shown["accuracy_all"], shown["all_images"])
    found = ", ".join(
        f"{label(config, model)} {100 * share:.1f} % of {int(images):,}"
        for model, share, images in zip(*columns, strict=True)
    )
    return f" Top-1 of imported networks on all images, over all of their outputs: {found}."


def _remarks(config: dict[str, Any], accuracy: pd.DataFrame) -> str:
    """Which outputs of imported networks stand for the classes, and how weights were read."""
    if "class_order" not in accuracy:
        return ""
    shown = accuracy[accuracy["class_order"].notna() & (accuracy["fraction"] != "f000")]
    found = []
    for _, row in shown.iterrows():
        notes = [row["class_order_note"], row["weights_note"]]
        said = "; ".join(note for note in notes if isinstance(note, str) and note)
        found.append(f"{label(config, row['model'])}: class order {row['class_order']}, {said}.")
    return "".join(f" {remark}" for remark in found)


def _accuracy_row(
    config: dict[str, Any], row: Any, test_images: int, has_classes: bool, best: float
) -> Row:
    trained = per_cent(row.fraction) > 0
    has_none = not row.train_images or without_labels(config, row.model)
    is_unknown = has_none and pd.isna(row.accuracy_test)  # imported, of other classes, or by itself
    needed = needed_accuracy(row.chance, best)
    too_low = trained and not is_unknown and not row.accuracy_test >= needed
    verdict = "learned too little" if too_low else "learned" if trained else "untrained control"
    if trained and is_unknown:
        is_undecided = getattr(row, "class_order", "") == UNDECIDED
        what = "order of outputs" if is_undecided else f"{'other' if has_classes else 'no'} classes"
        what = "trained without labels" if row.train_images else what
        verdict = f"not known: {what}"
    test = _per_cent(row.accuracy_test)
    if test_images and not pd.isna(row.accuracy_test):
        images = int(getattr(row, "test_images", test_images))
        variance = max(row.accuracy_test * (1 - row.accuracy_test), 0) / images
        test += f" ± {100 * variance**0.5:.1f}"
    cells = [
        label(config, row.model),
        f"{per_cent(row.fraction)} %" if trained else "0 %",
        row.seed,
        test,
        fixed(row.times_chance, 1),
        verdict,
        _per_cent(row.accuracy_validation),
        _per_cent(row.accuracy_train),
        fixed(row.loss_test),
        f"{int(row.train_images):,}" if trained else "–",
        f"{int(row.steps):,}" if trained else "–",
    ]
    return Row(cells, "flagged" if too_low else "" if trained else "control")


def _per_cent(share: float) -> str:
    return "–" if pd.isna(share) else f"{100 * share:.1f} %"


def layer_table(config: dict[str, Any], layers: pd.DataFrame | None) -> dict[str, Any] | None:
    """How many layers of each kind every model has."""
    if layers is None or layers.empty:
        return None
    kinds = list(dict.fromkeys(layers["kind"]))
    head = ["Network", "Layers", "Blocks", *(k.replace("_", " ") for k in kinds), "Features"]
    rows = []
    for model in models(config):
        own = layers[layers["model"] == model]
        if own.empty:
            continue
        counts = own["kind"].value_counts()
        least, most = own["features"].min(), own["features"].max()
        blocks = own.loc[own["block"] >= 0, "block"].nunique()
        cells = [label(config, model), str(len(own)), str(blocks)]
        cells += [str(int(counts.get(kind, 0))) for kind in kinds]
        rows.append(Row([*cells, f"{least:,} to {most:,}"]))
    return {"rows": rows, "head": head}
