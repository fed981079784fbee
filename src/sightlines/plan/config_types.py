"""Every key of an experiment's config file: type, meaning, unit, default, allowed values.

Keys that only one dataset or one model family has are declared as SETTINGS in its own file
(src/sightlines/datasets/<kind>.py, src/sightlines/models/<family>.py) and join these there.
workflow/config/README.md is made from here: `python -m sightlines.manual`.
"""

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any, ClassVar, Literal

from sightlines.plan import objectives
from sightlines.plan.blocks import Block, block, frozen, key, plain
from sightlines.plan.studies import STUDIES

DATASET = {"required": ["kind"], "x-members": "datasets", "x-select": "kind"}
NAMES = {"propertyNames": {"pattern": "^[a-z][a-z0-9_]*$"}}
PARTIAL = {"x-partial": "train"}
SHARE = {"type": "number", "minimum": 0, "maximum": 1}
LABEL = {"type": "string", "pattern": "^[a-z0-9_]+:[0-9.]+$"}
"""A condition and its severity."""
DECAY = {"type": "number", "minimum": 0, "exclusiveMaximum": 1}

STEPS = 10000
"""Of a recipe, where a file has none."""


@block
class Splits(Block):
    """How the images are divided."""

    validation: int = key(
        "Images held out from the training images for the training curves and the choice of "
        "probe penalties; classes keep their shares.",
        default=1000,
        unit="images",
        minimum=1,
    )
    reference_batches: int = key(
        "Minibatches of reference images. The jackknife needs at least 8.",
        default=10,
        unit="minibatches",
        minimum=2,
    )
    reference_batch_size: int = key(
        "Images of one reference minibatch, from the test images; the paper: 1024, or 256 "
        "without noticeable effect (appendix A).",
        default=256,
        unit="images",
        minimum=8,
    )
    probe_train: int = key(
        "Labelled images whose features are kept to fit linear probes; 0: none.",
        default=0,
        unit="images",
        minimum=0,
    )
    probe_pool: Literal["auto", "test", "train"] = key(
        "Where probe_train is drawn from. train: the training images, which networks have seen;"
        " test: the test images that do not test the probes, which none has; auto: test if "
        "there are enough of them and networks are trained here, else train.",
        default="auto",
    )
    probe_held_out: int = key(
        "Labelled validation images whose features are kept to choose the probes' penalty; 0: "
        "none.",
        default=0,
        unit="images",
        minimum=0,
    )
    probe_test: int = key(
        "Labelled test images whose features are kept to test the probes; 0: none.",
        default=0,
        unit="images",
        minimum=0,
    )


@block
class Train(Block):
    """A training recipe.

    Attributes:
        options: What a file says of each objective without labels, by its name.
    """

    DEPRECATED: ClassVar[dict[str, dict[str, Any]]] = {
        "second_moment": {**DECAY, "x-deprecated": "betas"}
    }

    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    steps: int = key(
        "Optimiser steps on the full training images.",
        unit="steps",
        minimum=1,
    )
    objective: str = key(
        "What is learned: supervised, the images' classes; or without labels a file of "
        "src/sightlines/training/objectives, whose own keys stand in a block of its name.",
        default=objectives.SUPERVISED,
        enum=[objectives.SUPERVISED, *objectives.members()],
    )
    budget: Literal["equal_steps", "equal_epochs"] = key(
        "What networks trained on smaller fractions share with the full one: the number of "
        "steps, or of epochs.",
        default="equal_steps",
    )
    batch_size: int = key(
        "Images per step.",
        default=128,
        unit="images",
        minimum=1,
    )
    optimizer: Literal["adamw", "sgd", "muon"] = key(
        "Update rule; muon makes the steps of matrices and kernels inside a network orthogonal, "
        "and takes adamw's for all else.",
        default="adamw",
    )
    learning_rate: float = key(
        "Peak learning rate.",
        default=0.001,
        unit="per step",
        exclusiveMinimum=0,
    )
    momentum: float = key(
        "Momentum of sgd (Nesterov).",
        default=0.9,
        minimum=0,
        exclusiveMaximum=1,
    )
    betas: tuple[float, float] = key(
        "Decay of the first and of the second moment of adamw, also beside muon.",
        default=(0.9, 0.999),
        items=DECAY,
    )
    warmup_steps: int = key(
        "Steps of linear warm-up.",
        default=0,
        unit="steps",
        minimum=0,
    )
    schedule: Literal["cosine", "linear", "constant"] = key(
        "How the learning rate falls to zero after the warm-up.",
        default="cosine",
    )
    weight_decay: float = key(
        "Decoupled for adamw and muon, added to the gradient for sgd (where 0.0005 is usual); "
        "matrices and kernels only.",
        default=0.05,
        minimum=0,
    )
    clip_norm: float = key(
        "Largest global norm of the gradient; 0: no clipping.",
        default=1.0,
        minimum=0,
    )
    label_smoothing: float = key(
        "Share of the target given to all classes.",
        default=0.0,
        minimum=0,
        exclusiveMaximum=1,
    )
    ema_decay: float = key(
        "Decay per step of the averaged weights that become the result; 0: the last weights.",
        default=0.0,
        minimum=0,
        exclusiveMaximum=1,
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = key(
        "Number format of the forward and backward pass; auto: bf16 where it is native (x86 "
        "processors with AVX512-BF16 or AMX, GPUs of compute capability 8.0 and above), else "
        "fp32.",
        default="auto",
    )
    compile: bool = key(
        "Compile the network with torch.compile.",
        default=False,
    )
    crop: Literal["none", "pad", "resized"] = key(
        "Random crop: none, pad (pad, then cut at a random place), resized (random part of the "
        "image, scaled).",
        default="pad",
    )
    crop_padding_px: int = key(
        "Padding of `pad` on each side.",
        default=4,
        unit="px",
        minimum=0,
    )
    crop_min_area: float = key(
        "Smallest share of the area that `resized` keeps.",
        default=0.35,
        exclusiveMinimum=0,
        maximum=1,
    )
    flip: bool = key(
        "Mirror left and right at random.",
        default=True,
    )
    randaugment_ops: int = key(
        "RandAugment operations per image; 0: off.",
        default=0,
        minimum=0,
    )
    randaugment_magnitude: float = key(
        "Strength of RandAugment.",
        default=9.0,
        unit="of 30",
        minimum=0,
        maximum=30,
    )
    randaugment_groups: int = key(
        "Groups of a minibatch with draws of their own.",
        default=16,
        minimum=1,
    )
    mixup_alpha: float = key(
        "Beta parameter of mixup; 0: off.",
        default=0.0,
        minimum=0,
    )
    cutmix_alpha: float = key(
        "Beta parameter of CutMix; 0: off. Decides whether small ViTs learn local heads "
        "(docs/protocols.md).",
        default=0.0,
        minimum=0,
    )
    mix_probability: float = key(
        "Share of the minibatches that mixup or CutMix changes.",
        default=0.5,
        minimum=0,
        maximum=1,
    )
    shared_init: bool = key(
        "Networks of one model start from the same weights whatever their fraction and seed; if"
        " false, each from its own. The second-seed ceiling of Figure 12 is made the same way.",
        default=False,
    )
    world_size: int = key(
        "Processes that train one network together by torchrun, each on its share of every "
        "minibatch and with a GPU of its own where there are GPUs; weights are those of one "
        "process within float tolerance.",
        default=1,
        recorded="processes",
        minimum=1,
    )
    evaluate_every_steps: int = key(
        "Steps between two evaluations on the validation images.",
        default=500,
        unit="steps",
        minimum=1,
    )

    def changed(self, changes: Mapping[str, Any]) -> "Train":
        """The recipe with some keys as a file has them.

        AdamW's betas may be given by their former names, `momentum` and `second_moment`.
        """
        own = dict(changes)
        options = {name: dict(given) for name, given in self.options.items()}
        for name in own.keys() & {*objectives.members()}:
            options[name] = options.get(name, {}) | own.pop(name)
        first, second = self.betas
        if "betas" in own:
            first, second = own.pop("betas")
        else:
            first = own.get("momentum", first)
        second = own.pop("second_moment", second)
        said = self.typed(own | {"betas": (first, second)})
        return replace(self, **said, options=frozen(options))

    @property
    def settings(self) -> dict[str, Any]:
        """The keys of its objective, complete; none of supervised training."""
        if self.objective == objectives.SUPERVISED:
            return {}
        return objectives.settings(self.objective, self.options.get(self.objective, {}))

    def recorded(self) -> dict[str, Any]:
        """As records have it, where one key is sgd's momentum and the first of adamw's betas.

        An objective without labels has the keys that it follows. Supervised training is not named:
        it is what there was before there were objectives.
        """
        found = super().recorded()
        first, found["second_moment"] = found.pop("betas")
        if self.optimizer != "sgd":
            found["momentum"] = first
        objective = found.pop("objective")
        if objective == objectives.SUPERVISED:
            return found
        followed = {name: found[name] for name in objectives.uses(objective)}
        return followed | {"objective": objective, objective: self.settings}


@block
class Compute(Block):
    """Where and how jobs compute."""

    device: Literal["auto", "cpu", "cuda"] = key(
        "auto: an NVIDIA GPU where there is one. Apple's MPS is not supported.",
        default="auto",
    )
    threads: int = key(
        "Processor threads of a job that runs a network; part of the result's identity since it"
        " changes the order of sums.",
        default=1,
        minimum=1,
    )
    workers: int = key(
        "Processes of a job that decode photographs; 0 decodes in the job itself.",
        default=2,
        minimum=0,
    )
    checkpoint_every_s: float = key(
        "Time between two checkpoints of a training job.",
        default=60.0,
        unit="s",
        exclusiveMinimum=0,
    )
    batch_size: int = key(
        "Images of one forward pass without gradients (evaluation and dumps of features).",
        default=256,
        unit="images",
        minimum=1,
    )


@block
class ReceptiveField(Block):
    """Effective receptive fields (Figure 6)."""

    images: int = key(
        "Reference images whose gradients are averaged; the paper: 32.",
        default=32,
        unit="images",
        minimum=2,
    )
    channels: int = key(
        "Channels, drawn at random, whose absolute gradients are averaged; all where a layer "
        "has fewer.",
        default=64,
        unit="channels",
        minimum=1,
    )
    depths: int = key(
        "Blocks, evenly spread, whose fields are measured.",
        default=5,
        unit="blocks",
        minimum=2,
    )


@block
class Probes(Block):
    """Linear probes (Figures 11 and 13), where `splits` keeps images for them."""

    shots: int = key(
        "Training images of each class of a few-shot probe; the paper: 10.",
        default=10,
        unit="images per class",
        minimum=1,
    )
    draws: int = key(
        "Draws of the few-shot images.",
        default=3,
        minimum=1,
    )
    token_depths: int = key(
        "Depths, evenly spread, at which every token has a probe of its own.",
        default=5,
        minimum=2,
    )
    token_train: int = key(
        "Images, out of splits.probe_train, to which the tokens' probes are fitted, at most.",
        default=1000,
        unit="images",
        minimum=10,
    )
    token_held_out: int = key(
        "Images, out of splits.probe_held_out, that choose the tokens' penalties, at most.",
        default=250,
        unit="images",
        minimum=10,
    )
    token_test: int = key(
        "Images, out of splits.probe_test, that test the tokens' probes, at most.",
        default=500,
        unit="images",
        minimum=10,
    )


@block
class Run(Block):
    """Networks that are trained: every combination of its models, fractions and seeds."""

    models: tuple[str, ...] = key(
        "Names out of `models`.",
        minItems=1,
    )
    fractions: tuple[str, ...] = key(
        "Shares of the training images, nested and stratified, in per cent: f003, f010, f030, "
        "f100; f000 is untrained.",
        minItems=1,
        items={"type": "string", "pattern": "^f(0[0-9][0-9]|100)$"},
    )
    seeds: tuple[str, ...] = key(
        "Names of independent repeats: s0, s1, …",
        minItems=1,
        items={"type": "string", "pattern": "^s[0-9]+$"},
    )


@block
class AttentionMaps(Block):
    """Where the class token looks, held against masks and shown as pictures."""

    images: int = key(
        "Reference images, from the first on, whose maps are held against masks, where there are "
        "masks.",
        unit="images",
        default=512,
        minimum=40,
    )
    pictures: int = key(
        "Of those the first, which are shown as pictures; 0: none, for photographs that nobody is "
        "to see in the report.",
        unit="images",
        default=4,
        minimum=0,
        maximum=16,
    )


@block
class Occlusion(Block):
    """Dropped and shuffled cells of the image (Naseer et al. 2021)."""

    cells: int = key(
        "Cells along a side of the grid from which cells are dropped; 0: the finest token grid of "
        "the ViTs among the models that are shown them, or else of the other networks.",
        default=0,
        minimum=0,
    )
    shares: tuple[float, ...] = key(
        "Shares of the cells that are dropped to black.",
        default=(0.1, 0.25, 0.5, 0.75, 0.9),
        items=SHARE,
    )
    mean_shares: tuple[float, ...] = key(
        "Shares that are dropped to the mean colour.",
        default=(0.25, 0.5, 0.75),
        items=SHARE,
    )
    shifted_shares: tuple[float, ...] = key(
        "Shares that are dropped of the grid that is shifted by half a cell, black.",
        default=(0.5,),
        items=SHARE,
    )
    other_cells: tuple[int, ...] = key(
        "Cells along a side of other grids.",
        default=(4, 16),
        items={"type": "integer", "minimum": 2},
    )
    other_shares: tuple[float, ...] = key(
        "Shares that are dropped of the other grids, black.",
        default=(0.5,),
        items=SHARE,
    )
    salient_shares: tuple[float, ...] = key(
        "Shares of the cells that are dropped, those that a ViT's class token looks at most in its "
        "last block, and least.",
        default=(0.5,),
        items=SHARE,
    )
    parts: bool = key(
        "Drop the object's cells, as many of any and as many of the ground, where the dataset has "
        "masks.",
        default=True,
    )
    shuffle_cells: tuple[int, ...] = key(
        "Cells along a side of the grids whose cells change places, beside the own grid; those "
        "that do not divide the side of the images are left out.",
        default=(2, 4, 8, 16),
        items={"type": "integer", "minimum": 2},
    )
    depth: tuple[str, ...] = key(
        "Conditions, as name:severity, of which it is measured how far down a network notices "
        "them.",
        default=("drop_black:0.5", "drop_mean:0.5", "shuffle:2", "shuffle:8"),
        items=LABEL,
    )


@block
class Lesion(Block):
    """Places of a representation that are zeroed, or change places (Naseer et al. 2021)."""

    shares: tuple[float, ...] = key(
        "Shares of the places that are zeroed.",
        default=(0.25, 0.5, 0.75),
        items=SHARE,
    )
    shuffled_shares: tuple[float, ...] = key(
        "Shares of the places that change places among themselves: the control.",
        default=(0.25,),
        items=SHARE,
    )


@block
class Cutout(Block):
    """One square of the image is filled (Paul & Chen 2021)."""

    shares: tuple[float, ...] = key(
        "Shares of the area that are filled black.",
        default=(0.1, 0.2, 0.4),
        unit="share",
        items={"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    )
    mean_shares: tuple[float, ...] = key(
        "Shares that are filled with the mean colour.",
        default=(0.4,),
        unit="share",
        items={"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    )


@block
class Foreign(Block):
    """How sure networks are of images of tasks under transfer whose domain is out."""

    images: int = key(
        "Test images of each task and of the experiment's own, at most; 0: none.",
        default=0,
        unit="images",
        minimum=0,
    )


CORRUPTIONS = (
    *("gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur"),
    *("motion_blur", "zoom_blur", "snow", "fog", "brightness", "contrast", "elastic_transform"),
    *("pixelate", "jpeg_compression"),
)
"""Those of ImageNet-C but frost, over which means run."""
EXTRA_CORRUPTIONS = ("speckle_noise", "gaussian_blur")
"""Those that are in no mean."""


@block
class Corruption(Block):
    """Analogues of the corruptions of ImageNet-C and CIFAR-10-C; frost is not among them."""

    severities: tuple[int, ...] = key(
        "Severities, 1 to 5; an empty list leaves corruptions out.",
        default=(),
        items={"type": "integer", "minimum": 1, "maximum": 5},
        uniqueItems=True,
    )
    names: tuple[str, ...] = key(
        "Corruptions; speckle_noise and gaussian_blur are in no mean.",
        default=CORRUPTIONS,
        minItems=1,
        items={"enum": [*CORRUPTIONS, *EXTRA_CORRUPTIONS]},
        uniqueItems=True,
    )
    depth: tuple[str, ...] = key(
        "Corruptions, as name:severity such as fog:3, of which it is measured how far down a "
        "network notices them; an empty list leaves that out.",
        default=(),
        items=LABEL,
        uniqueItems=True,
    )


@block
class Frequency(Block):
    """Fourier noise, one frequency at a time (Yin et al. 2019; Paul & Chen 2021)."""

    frequencies: Literal["none", "rings", "all"] = key(
        "Frequencies of the map: all of 32 px, or of larger images the middle 63 × 63; rings: 8 "
        "angles on 8 radii; none: no Fourier noise. With them come the frequencies of the ViTs' "
        "patch grid and those beside them.",
        default="none",
    )
    norm: float = key(
        "Euclidean norm of the noise in one channel, of levels from 0 to 1; 0: as published, 4 at "
        "32 px and 15.7 at 224, a power law between.",
        default=0.0,
        minimum=0,
    )
    cells: int = key(
        "Cells along a side of the patch grid; 0: the finest token grid of the ViTs, or else of "
        "the other networks.",
        default=0,
        minimum=0,
    )
    images: int = key(
        "Test images that are changed, at most.",
        default=256,
        unit="images",
        minimum=20,
    )
    depth: tuple[int, ...] = key(
        "Radii of waves whose direction is drawn for each image, of which it is measured how far "
        "down a network notices them; an empty list leaves that out.",
        default=(),
        unit="cycles an image",
        items={"type": "integer", "minimum": 1},
        uniqueItems=True,
    )


CONFLICTING = ("other_texture", "other_shape")
"""Changes of one of an image's two cues."""


@block
class Conflict(Block):
    """Images whose outline or surface is another one's (after Geirhos et al. 2019)."""

    depth: tuple[str, ...] = key(
        "Changes of one cue, of which it is measured how far down a network notices them, on "
        "images whose outline and surface are of different classes: other_texture, the same "
        "outline with another surface; other_shape, the same surface in another outline. An empty "
        "list leaves that out.",
        default=(),
        items={"enum": [*CONFLICTING]},
        uniqueItems=True,
    )


@block
class Perturbation(Block):
    """Attacks with a network's own gradients (Paul & Chen 2021)."""

    images: int = key(
        "Test images that are attacked, at most; 0: none.",
        default=0,
        unit="images",
        minimum=0,
    )
    budgets: tuple[float, ...] = key(
        "Largest change of a level from 0 to 1 (ℓ∞); empty: 2/255 and 4/255 for images of about 32 "
        "px, .001 and .004 for those of about 224.",
        default=(),
        items={"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        uniqueItems=True,
    )
    steps: int = key(
        "Steps of projected gradient descent, each of 2.5 budgets over their number.",
        default=10,
        unit="steps",
        minimum=1,
    )


@block
class Conditions(Block):
    """Changes of images, and of networks."""

    models: Literal["auto"] | tuple[str, ...] = key(
        "Models, out of those with a network on f100 that have all their skips, whose networks are "
        "shown changed images; `auto`: all of them.",
        default="auto",
    )
    images: int = key(
        "Test images that are changed, at most.",
        default=500,
        unit="images",
        minimum=20,
    )
    occlusion: Occlusion = key(
        "Dropped and shuffled cells of the image (Naseer et al. 2021).",
        default_factory=Occlusion,
    )
    lesion: Lesion = key(
        "Places of a representation that are zeroed, or change places, before a block or stage "
        "(Naseer et al. 2021).",
        default_factory=Lesion,
    )
    cutout: Cutout = key(
        "One square of the image is filled (Paul & Chen 2021).",
        default_factory=Cutout,
    )
    foreign: Foreign = key(
        "How sure networks are of images of tasks under transfer whose domain is out (Paul & Chen "
        "2021).",
        default_factory=Foreign,
    )
    corruption: Corruption = key(
        "Analogues of the corruptions of ImageNet-C and CIFAR-10-C (Hendrycks & Dietterich 2019; "
        "Paul & Chen 2021); frost is not among them.",
        default_factory=Corruption,
    )
    frequency: Frequency = key(
        "Fourier noise, one frequency at a time (Yin et al. 2019; Paul & Chen 2021).",
        default_factory=Frequency,
    )
    conflict: Conflict = key(
        "One of the two cues of an image, outline and surface, is another image's.",
        default_factory=Conflict,
    )
    perturbation: Perturbation = key(
        "Smallest changes that change an answer, and attacks at equal budgets (Paul & Chen 2021).",
        default_factory=Perturbation,
    )


@block
class Conflicts(Block):
    """Images whose outline and surface are of different classes."""

    folder: str = key(
        "Folder of photographs below data_root, each named <shape><n>-<texture><n>.png, such as "
        "cat3-clock2.png, with the 16 categories of Geirhos et al. or the outputs of the networks "
        "as words; empty: the images of the dataset, if it has any.",
        default="",
        schema={"x-path": ["."]},
    )


@block
class Task(Block):
    """Another task."""

    dataset: dict[str, Any] = key(
        "Its images, of the size of the experiment's own; keys as above.",
        schema=DATASET,
    )
    domain: Literal["in", "out"] = key(
        "in: images like the experiment's own, which then also stand for another source of "
        "reference images; out: far from them.",
    )
    finetune: tuple[str, ...] = key(
        "Models out of `models` whose network on f100 is trained further.",
        default=(),
    )
    finetune_seeds: Literal["first", "all"] = key(
        "Which initialisations of these: the first that `runs` gives a model, or all of them.",
        default="first",
    )
    train: Mapping[str, Any] = key(
        "Keys of `train` that differ for fine-tuning.",
        default_factory=dict,
        schema=PARTIAL,
    )

    def recorded(self) -> dict[str, Any]:
        """As records have it: of the recipe what differs, by the names that they know.

        That the first initialisation alone is trained further is not named: it once was the rule.
        """
        found = super().recorded()
        if found["finetune_seeds"] == "first":
            del found["finetune_seeds"]
        own = found["train"]
        if "betas" in own:
            own["momentum"], own["second_moment"] = own.pop("betas")
        if "world_size" in own:
            own["processes"] = own.pop("world_size")
        return found


@block
class Model(Block):
    """One architecture.

    Attributes:
        settings: Its family, and the keys that the family declares, by the names by which records
            have them.
        label: Name in figures and tables that people read.
        train: Its whole recipe.
    """

    WORDS: ClassVar[dict[str, Any]] = {
        "required": ["family"],
        "x-members": "models",
        "x-select": "family",
    }

    settings: dict[str, Any]
    label: str | None = key(
        "Name in figures and tables that people read; the model's own name by default.",
        default=None,
        minLength=1,
    )
    pretraining: Literal["supervised", "dino"] | None = key(
        "How imported weights were learned, where claims are about that: dino (Caron et al. 2021), "
        "or supervised. timm's tag .dino says it by itself.",
        default=None,
    )
    train: Train = key(
        "Keys of `train` that differ for this model.",
        schema=PARTIAL,
    )

    @property
    def family(self) -> str:
        """File of src/sightlines/models that builds it."""
        return str(self.settings["family"])

    def recorded(self) -> dict[str, Any]:
        """As records have it: the family's keys beside its own."""
        return dict(plain(self.settings)) | super().recorded()


@block
class Config(Block):
    """An experiment: one config file, complete."""

    dataset: dict[str, Any] = key(
        "The images. `kind` names a file of src/sightlines/datasets; the other keys are that "
        "file's own.",
        schema=DATASET,
    )
    data_root: str = key(
        "Folder in which archives, image folders and weight files lie, relative to the working "
        "folder. `~` and variables such as `$HOME` are what they are on this machine. The "
        "environment variable SIGHTLINES_DATA overrides it. Where things lie is not part of "
        "what they are: moving them reruns nothing.",
        default="sources",
        minLength=1,
    )
    seed: int = key(
        "Root seed; every random number of the experiment is derived from it by name.",
        default=0,
        minimum=0,
    )
    splits: Splits = key(
        "How the images are divided.",
        default_factory=Splits,
    )
    models: Mapping[str, Model] = key(
        "The architectures, by a name of your choice; `runs` says which are trained.",
        minProperties=1,
        schema=NAMES,
    )
    runs: tuple[Run, ...] = key(
        "Which networks are trained: every combination of the models, fractions and seeds of "
        "each entry. Fraction f000 is the untrained network, the control of every measurement.",
        minItems=1,
    )
    controls: int = key(
        "Initialisations of every model that has an untrained network (f000) among its runs: "
        "the seeds that the runs list, then s0, s1, … More than the first are shown reference "
        "images alone. A model that starts with its branches at 0, or with BatchNorm's "
        "statistics of no image, has a twin of each that was switched on, its control (s0_on; "
        "docs/protocols.md).",
        default=3,
        unit="initialisations",
        minimum=1,
    )
    train: Train = key(
        "The training recipe of all models.",
        default_factory=lambda: Train(steps=STEPS),
    )
    compute: Compute = key(
        "Where and how jobs compute.",
        default_factory=Compute,
    )
    receptive_field: ReceptiveField = key(
        "Effective receptive fields (Figure 6).",
        default_factory=ReceptiveField,
    )
    probes: Probes = key(
        "Linear probes (Figures 11 and 13), where `splits` keeps images for them.",
        default_factory=Probes,
    )
    attention_maps: AttentionMaps = key(
        "Where the class token looks, block by block: its attention and rollout, held against "
        "masks of objects.",
        default_factory=AttentionMaps,
    )
    transfer: Mapping[str, Task] = key(
        "Other tasks, by a name of your choice. Every network is probed on them (where `splits`"
        " keeps images for probes; Figures F.1 to F.3), and the models under `finetune` are "
        "trained further on them (Figure G.1).",
        default_factory=dict,
        schema=NAMES,
    )
    conditions: Conditions = key(
        "Changes of images, and of networks: what is dropped, shuffled or zeroed, and how far down "
        'a network notices (docs/protocols.md, "Changed images"). Shares are lists, one condition '
        "each; an empty list leaves a condition out.",
        default_factory=Conditions,
    )
    conflicts: Conflicts = key(
        "Images whose outline and surface are of different classes (cue conflicts, Geirhos et al. "
        "2019), for the shape bias of networks. Generated datasets have their own.",
        default_factory=Conflicts,
    )
    studies: tuple[str, ...] = key(
        "Works whose experiments are made: their claims, their figures, and what is measured for "
        "these alone. Of a study that is listed there is what the networks and the images allow; "
        "sources and titles are in src/sightlines/plan/studies.py.",
        default=tuple(STUDIES),
        minItems=1,
        uniqueItems=True,
        items={"enum": list(STUDIES)},
    )
    figures: Literal["auto"] | tuple[str, ...] = key(
        "Figures to draw; `auto` is every figure whose networks are among the runs.",
        default="auto",
        oneOf=[{"enum": ["auto"]}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
    )
    figure_style: str = key(
        "Style file of matplotlib (`.mplstyle`) beside this file, laid over the figures' own "
        "(src/sightlines/figures/sightlines.mplstyle): fonts, sizes, widths, colours of models. "
        "Another style draws the figures again and reruns nothing else.",
        default="",
        pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]*\.mplstyle)?$",
    )
    trust_code: str = key(
        "Digests of code of networks of family module that may be run here, with commas between"
        " them; a run that needs one names it. Only on the command line (--config "
        "trust_code=DIGEST) and once, since a clone remembers it.",
        default="",
        pattern="^([0-9a-f]{16}(,[0-9a-f]{16})*)?$",
    )
    require_equal_grids: bool = key(
        "Require that the token grids of all ViTs and the last maps of all ResNets have one "
        "size, so that their positions can be compared.",
        default=True,
        recorded="compare_grids",
    )

    def recipe(self, model: str, task: str = "") -> Train:
        """How a model is trained, or trained further on a task, which is always supervised."""
        own = self.models[model].train
        if not task:
            return own
        return replace(own, objective=objectives.SUPERVISED).changed(self.transfer[task].train)
