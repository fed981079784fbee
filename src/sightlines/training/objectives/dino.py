"""Command: trains one network without labels, by self-distillation (DINO, Caron et al. 2021).

A student that sees small parts of an image learns to answer as a teacher does that sees most of it;
the teacher is an average of the student's past. What is kept is the teacher's backbone, a network
without a last layer: what it is worth, its neighbours, probes and attention tell. What follows the
paper and what the authors' code stands in docs/protocols.md, "Training without labels".
"""

from collections.abc import Mapping
from typing import Any

from sightlines.core.errors import ConfigError
from sightlines.jobs.command import Job, run
from sightlines.training.dino.sizes import ANY_SIZE, default_px, nearest_px, patch_of
from sightlines.training.dino.trial import require_crops

SETTINGS = {
    "out_dim": {
        "description": "Outputs of the heads, which student and teacher compare; the paper: 65536.",
        "type": "integer",
        "minimum": 2,
        "default": 4096,
    },
    "hidden_dim": {
        "description": "Hidden features of the heads' MLPs of three layers; the paper: 2048.",
        "unit": "features",
        "type": "integer",
        "minimum": 1,
        "default": 512,
    },
    "bottleneck_dim": {
        "description": "Features that are normalised before the last layer; the paper: 256.",
        "unit": "features",
        "type": "integer",
        "minimum": 2,
        "default": 256,
    },
    "local_crops": {
        "description": "Small crops of each image beside its two large ones, for the student "
        "alone; 0: none.",
        "unit": "crops",
        "type": "integer",
        "minimum": 0,
        "default": 8,
    },
    "local_px": {
        "description": "Side of the small crops; 0: three sevenths of the images' (96 of 224), of "
        "ViTs in whole patches and at least two, and all of it for networks that mix a fixed "
        "number of tokens (mixer, fnet).",
        "unit": "px",
        "type": "integer",
        "minimum": 0,
        "default": 0,
    },
    "global_min_area": {
        "description": "Smallest share of the image's area that a large crop shows; largest: 1.",
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 1,
        "default": 0.4,
    },
    "local_min_area": {
        "description": "Smallest share of the area that a small crop shows.",
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 1,
        "default": 0.05,
    },
    "local_max_area": {
        "description": "Largest share of the area that a small crop shows.",
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 1,
        "default": 0.4,
    },
    "jitter": {
        "description": "Probability that a crop's brightness, contrast (each by up to .4), "
        "saturation (.2) and hue (.1) change.",
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "default": 0.8,
    },
    "grey": {
        "description": "Probability that a crop loses its colours.",
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "default": 0.2,
    },
    "blur": {
        "description": "Largest standard deviation of the blur, as a share of the images' side "
        "(2 px of 224); the least is a twentieth. The first large crop is always blurred, the "
        "second with probability .1, small ones with .5. 0: none.",
        "unit": "of the side",
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "default": 0.009,
    },
    "solarise": {
        "description": "Probability that the second large crop is solarised.",
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "default": 0.2,
    },
    "student_temperature": {
        "description": "Divides the student's outputs before the softmax.",
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 0.1,
    },
    "teacher_temperature": {
        "description": "Divides the teacher's centred outputs before the softmax, after the "
        "warm-up; the authors' code calls more than .07 unstable.",
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 0.07,
    },
    "teacher_temperature_start": {
        "description": "The same in the first step.",
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 0.04,
    },
    "teacher_warmup": {
        "description": "Share of the steps in which the teacher's temperature rises linearly; the "
        "paper: 30 of 300 epochs.",
        "unit": "of the steps",
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "default": 0.1,
    },
    "teacher_momentum": {
        "description": "Share of the teacher that stays in the first step; rises to 1 in the last "
        "by a cosine.",
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "default": 0.996,
    },
    "centre_momentum": {
        "description": "Share of the centre, a moving mean of the teacher's outputs, that stays at "
        "each step.",
        "type": "number",
        "minimum": 0,
        "exclusiveMaximum": 1,
        "default": 0.9,
    },
    "weight_decay_end": {
        "description": "Weight decay in the last step; it begins at train.weight_decay (the paper: "
        "0.04) and goes there by a cosine.",
        "type": "number",
        "minimum": 0,
        "default": 0.4,
    },
    "freeze_last_layer": {
        "description": "Epochs in which the student's last layer does not learn.",
        "unit": "epochs",
        "type": "number",
        "minimum": 0,
        "default": 1,
    },
}
USES = (
    "steps",
    "budget",
    "batch_size",
    "optimizer",
    "learning_rate",
    "momentum",
    "second_moment",
    "warmup_steps",
    "schedule",
    "weight_decay",
    "clip_norm",
    "precision",
    "flip",
    "shared_init",
    "processes",
    "evaluate_every_steps",
)
FAMILIES = ("vit", "resnet", "mixer", "fnet", "timm")
"""Families as configs know them, whose networks give one vector an image without a last layer."""


def check(
    own: Mapping[str, Any], model: Mapping[str, Any], described: Mapping[str, Any], size_px: int
) -> None:
    """Refuse a recipe that cannot be followed; see `plan.objectives.check`.

    Raises:
        ConfigError: the family gives no vector an image; small crops are larger than the images, no
            whole patches, a single patch, or of another size than the network's tokens; a network
            of timm cannot be shown them; or the areas or temperatures contradict each other.
    """
    if model["family"] not in FAMILIES:
        raise ConfigError(
            f"train.objective dino is for families {', '.join(FAMILIES)}: of {model['family']} "
            "take timm's architecture, or set objective: supervised for this model"
        )
    if own["local_min_area"] > own["local_max_area"]:
        raise ConfigError(
            f"dino.local_min_area {own['local_min_area']} is above local_max_area "
            f"{own['local_max_area']}: lower it"
        )
    if own["teacher_temperature_start"] > own["teacher_temperature"]:
        raise ConfigError(
            f"dino.teacher_temperature_start {own['teacher_temperature_start']} is above "
            f"teacher_temperature {own['teacher_temperature']}: lower it, or set both alike"
        )
    if own["teacher_temperature"] >= own["student_temperature"]:
        raise ConfigError(
            f"dino.teacher_temperature {own['teacher_temperature']} is not below "
            f"student_temperature {own['student_temperature']}: a teacher that is no sharper than "
            "its student ends in one answer for all images; the paper has 0.07 and 0.1"
        )
    if own["local_crops"]:
        _check_local(own["local_px"], model["family"], described, size_px)
    if model["family"] == "timm":
        side = own["local_px"] or default_px(described, size_px)
        side = side if own["local_crops"] else size_px
        require_crops(model, size_px, side, patch_of(described), is_default=not own["local_px"])


def _check_local(local_px: int, name: str, described: Mapping[str, Any], size_px: int) -> None:
    family, patch_px = described["family"], patch_of(described)
    default = default_px(described, size_px)
    if local_px > size_px:
        raise ConfigError(
            f"dino.local_px {local_px} is larger than the images, which have {size_px} px: small "
            f"crops are at most as large as large ones; use {default}, or 0"
        )
    if family not in ANY_SIZE and local_px not in (0, size_px):
        kind = f"{name} ({family})" if name != family else name
        raise ConfigError(
            f"dino.local_px {local_px}: family {kind} works on images of {size_px} px alone; set "
            f"local_px to {size_px}, or to 0, so that small parts of an image are scaled up to it"
        )
    if family != "vit" or local_px in (0, size_px):
        return
    if local_px % patch_px or local_px < 2 * patch_px:
        problem = "is no whole number of patches" if local_px % patch_px else "is a single patch"
        near = nearest_px(float(local_px), patch_px, size_px)
        raise ConfigError(
            f"dino.local_px {local_px} {problem} of {patch_px} px: nearest is {near}, or 0 for "
            f"{default}"
        )


def main(job: Job) -> None:
    """Train the network that `job.config` names and write its three files."""
    from sightlines.training.dino.distillation import Distillation
    from sightlines.training.unsupervised import train

    train(job, Distillation)


if __name__ == "__main__":
    run(main)
