"""FNet (Lee-Thorp et al. 2021) on patches: tokens are mixed without parameters, without attention.

Each block adds Re(F x) in the place of attention, F being the discrete Fourier transform over
tokens and features at once (their equation 3), then an MLP. `mixing` has its controls: the Hartley
transform, which is its own inverse where Re(F x) loses half of its input; two random orthogonal
matrices, fixed; and none at all. Attention stands in chosen blocks (their section 4.3, hybrids).

The authors' networks are `norm: post` with an unnormalised transform, whose spread grows by
√(tokens · width / 2) a block. With `norm: pre` the stream would explode, so there the transform is
orthonormal. An output "token" of a transform is a frequency, and no place: what says where is kept
by the skip connection. A transform's token 0 has the sum of all tokens.
"""

import functools
from typing import TYPE_CHECKING, Any

from sightlines.core.errors import ConfigError
from sightlines.models import vit
from sightlines.models.layers import Layer
from sightlines.models.lean import timm_module

if TYPE_CHECKING:
    from torch import nn

SETTINGS = {
    "patch_px": {
        "description": "Side of a square patch; must divide the side of the images, and be less.",
        "unit": "px",
        "type": "integer",
        "minimum": 1,
    },
    "width": {
        "description": "Features of a token.",
        "unit": "features",
        "type": "integer",
        "minimum": 1,
    },
    "depth": {"description": "Blocks.", "unit": "blocks", "type": "integer", "minimum": 1},
    "mixing": {
        "description": "What mixes tokens: fourier, the real part of the discrete Fourier "
        "transform over tokens and features; hartley, its real less its imaginary part, which "
        "loses nothing; random, fixed orthogonal matrices over tokens and over features; "
        "identity, nothing does.",
        "enum": ["fourier", "hartley", "random", "identity"],
        "default": "fourier",
    },
    "axes": {
        "description": "Over what tokens are transformed: raster, their order row after row, as "
        "the paper's text; grid, rows and columns apart.",
        "enum": ["raster", "grid"],
        "default": "raster",
    },
    "norm": {
        "description": "Where the norms of a block stand: pre, before its branches, with an "
        "orthonormal transform; post, after the sums, with an unnormalised one, as in the paper.",
        "enum": ["pre", "post"],
        "default": "pre",
    },
    "pool": {
        "description": "What is classified: gap, the mean of all tokens; cls, a class token, which "
        "a transform over the raster makes the sum of all tokens.",
        "enum": ["gap", "cls"],
        "default": "gap",
    },
    "attention_blocks": {
        "description": "Blocks that have attention in the place of mixing, counted from 0.",
        "type": "array",
        "items": {"type": "integer", "minimum": 0},
        "uniqueItems": True,
        "default": [],
    },
    "heads": {
        "description": "Attention heads of these blocks; must divide the width.",
        "unit": "heads",
        "type": "integer",
        "minimum": 1,
        "default": 1,
    },
    "mlp_ratio": {
        "description": "Hidden features of an MLP for every feature of a token.",
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 4,
    },
    "drop_path": {
        "description": "Probability of skipping the last block's branches for an image in "
        "training; falls linearly to 0 at the first block.",
        "type": "number",
        "minimum": 0,
        "exclusiveMaximum": 1,
        "default": 0,
    },
    "position_init": {
        "description": "What the position embeddings, which are learned, start from: random, or "
        "sincos, sines and cosines of row and column, as a ViT's.",
        "enum": ["random", "sincos"],
        "default": "random",
    },
    "position_scale": {
        "description": "Amplitude of these sines.",
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 1,
    },
}
REQUIRED = ("patch_px", "width", "depth")


def check(settings: dict[str, Any], size_px: int) -> tuple[int, int]:
    """Rows and columns of the token grid.

    Raises:
        ConfigError: as for a ViT (`vit.check`); a block with attention that there is not; or a
            class token, which has no row and column, where these are transformed apart.
    """
    has_attention = bool(settings["attention_blocks"])
    heads = settings["heads"] if has_attention else 1
    grid = vit.check({**settings, "heads": heads}, size_px)
    depth = settings["depth"]
    beyond = sorted(block for block in settings["attention_blocks"] if block >= depth)
    if beyond:
        raise ConfigError(
            f"attention_blocks has {', '.join(map(str, beyond))}: with depth {depth} the blocks "
            f"are 0 to {depth - 1}"
        )
    if settings["axes"] == "grid" and settings["pool"] == "cls":
        raise ConfigError(
            "axes grid transforms rows and columns of patches apart, and a class token is in none: "
            "use pool gap, or axes raster"
        )
    return grid


def build(settings: dict[str, Any], size_px: int, classes: int) -> "nn.Module":
    """An FNet with fresh weights, drawn from torch's global generator like a ViT's."""
    is_gap, is_pre = settings["pool"] == "gap", settings["norm"] == "pre"
    side = size_px // settings["patch_px"]
    shape = (side, side) if settings["axes"] == "grid" else (side * side + (not is_gap),)
    model = timm_module("models.vision_transformer").VisionTransformer(
        img_size=size_px,
        patch_size=settings["patch_px"],
        num_classes=classes,
        embed_dim=settings["width"],
        depth=settings["depth"],
        num_heads=settings["heads"],
        mlp_ratio=settings["mlp_ratio"],
        class_token=not is_gap,
        global_pool="avg" if is_gap else "token",
        final_norm=is_pre,
        fc_norm=False,
        weight_init="jax",
        drop_path_rate=settings["drop_path"],
        block_fn=functools.partial(_block, settings, shape),
    )
    if settings["position_init"] == "sincos":
        _start_from_waves(model, (side, side), float(settings["position_scale"]))
    return model  # type: ignore[no-any-return]


def _block(settings: dict[str, Any], shape: tuple[int, ...], depth: int, **given: Any) -> Any:
    """One block, by its index; timm names it depth."""
    pre, post, mixing = classes()
    if depth not in settings["attention_blocks"]:
        is_pre = settings["norm"] == "pre"
        kind, block = settings["mixing"], pre if is_pre else post
        return block(mixing(kind, shape, given["dim"], is_pre), **given)
    if settings["norm"] == "pre":
        return timm_module("models.vision_transformer").Block(depth=depth, **given)
    attention = timm_module("layers.attention").Attention(
        given["dim"], num_heads=given["num_heads"], qkv_bias=given["qkv_bias"]
    )
    return post(attention, **given)


def _start_from_waves(model: Any, grid: tuple[int, int], scale: float) -> None:
    """Overwrite the position embeddings; a class token's starts at 0."""
    import torch

    waves = torch.tensor(vit.waves_2d(*grid, model.embed_dim))
    with torch.no_grad():
        model.pos_embed.zero_()
        model.pos_embed[0, model.pos_embed.shape[1] - len(waves) :] = scale * waves


@functools.cache
def classes() -> tuple[Any, Any, Any]:
    """Blocks with norms before and after, and what mixes; made when torch is there.

    Planning an experiment does without it.
    """
    import torch
    from torch import nn

    layers = timm_module("layers")

    class Mixing(nn.Module):
        """Mixes tokens [n, tokens, width] without parameters.

        Args:
            kind: As the setting `mixing`.
            shape: Lengths of the axes over which tokens are laid out: (tokens,), or (rows,
                columns).
            width: Features of a token.
            is_orthonormal: Divide transforms by √(tokens · width).
        """

        def __init__(
            self, kind: str, shape: tuple[int, ...], width: int, is_orthonormal: bool
        ) -> None:
            super().__init__()
            self.kind, self.shape = kind, shape
            self.scale = "ortho" if is_orthonormal else "backward"
            if kind == "random":
                for axis, length in enumerate((*shape, width)):
                    self.register_buffer(f"matrix{axis}", _orthogonal(length))

        def forward(self, x: Any) -> Any:
            """Tokens [n, tokens, width] to tokens of the same shape."""
            if self.kind == "identity":
                return x
            placed = x.unflatten(1, self.shape)
            axes = range(1, placed.dim())
            if self.kind == "random":
                for axis in axes:
                    matrix = getattr(self, f"matrix{axis - 1}").to(x.dtype)
                    placed = (placed.transpose(axis, -1) @ matrix).transpose(axis, -1)
                return placed.flatten(1, -2)
            found = torch.fft.fftn(placed.float(), dim=tuple(axes), norm=self.scale)
            mixed = found.real if self.kind == "fourier" else found.real - found.imag
            return mixed.to(x.dtype).flatten(1, -2)

        def extra_repr(self) -> str:
            """What is printed between the brackets."""
            return f"{self.kind}, shape={self.shape}, norm={self.scale}"

    class Block(nn.Module):
        """Norms, what mixes, and an MLP; each branch ends in a module that can be watched.

        Args:
            mix: The module that mixes tokens.
            dim: Features of a token.
            mlp_ratio: Hidden features of the MLP for every feature.
            drop_path: Probability of skipping a branch in training.
            given: What else timm gives a block of a ViT: nothing that this one has.
        """

        def __init__(
            self, mix: Any, dim: int, mlp_ratio: Any = 4, drop_path: Any = 0, **given: Any
        ) -> None:
            super().__init__()
            del given
            drops = [layers.DropPath(drop_path) if drop_path else nn.Identity() for _ in range(2)]
            self.norm1 = nn.LayerNorm(dim, eps=1e-6)
            self.mix = mix
            self.drop_path1 = drops[0]
            self.norm2 = nn.LayerNorm(dim, eps=1e-6)
            self.mlp = layers.Mlp(dim, int(dim * mlp_ratio))
            self.drop_path2 = drops[1]

    class PreNorm(Block):
        """x + mix(norm x), then x + mlp(norm x), as a ViT's block."""

        def forward(self, x: Any, **_: Any) -> Any:
            """Tokens [n, tokens, width] to tokens of the same shape."""
            x = x + self.drop_path1(self.mix(self.norm1(x)))
            return x + self.drop_path2(self.mlp(self.norm2(x)))

    class PostNorm(Block):
        """norm(x + mix(x)), then norm(x + mlp(x)), as FNet's encoder block."""

        def forward(self, x: Any, **_: Any) -> Any:
            """Tokens [n, tokens, width] to tokens of the same shape."""
            x = self.norm1(x + self.drop_path1(self.mix(x)))
            return self.norm2(x + self.drop_path2(self.mlp(x)))

    return PreNorm, PostNorm, Mixing


def _orthogonal(length: int) -> Any:
    """A random orthogonal matrix [length, length], each as likely as any other (float32)."""
    import torch

    q, r = torch.linalg.qr(torch.randn(length, length, dtype=torch.float64))
    return (q * r.diagonal().sign()).float()


def mirror(shape: tuple[int, ...]) -> list[int]:
    """The place that a transform exchanges each place with, [tokens]: -t along every axis.

    Applied twice, the real part of a Fourier transform gives the mean of its input and of that
    mirrored, in tokens and in features.

    Args:
        shape: Lengths of the axes over which tokens are laid out.
    """
    found = [0]
    for length in shape:
        found = [before * length + -place % length for before in found for place in range(length)]
    return found


def layers(model: "nn.Module") -> list[Layer]:
    """The sub-layers in the order in which they compute.

    Of a block with norms before its branches 6, as of a ViT's; with norms after the sums 5, the
    second of which gives the block's output. `block03.mixing` is what is added in the place of a
    ViT's `block03.attn`; a block with attention has that.
    """
    found = [Layer("embed.patch", "embed", -1, "patch_embed")]
    found.append(Layer("embed.pos", "embed", -1, "pos_drop"))
    blocks: Any = model.blocks
    for i, block in enumerate(blocks):
        name, path = f"block{i:02d}", f"blocks.{i}"
        kind = "mixing" if type(getattr(block, "mix", None)) is classes()[2] else "attn"
        mixed = Layer(f"{name}.{kind}", kind, i, f"{path}.drop_path1")
        first = Layer(f"{name}.norm1", "norm", i, f"{path}.norm1")
        is_pre = not isinstance(block, classes()[1])
        found += [first, mixed] if is_pre else [mixed, first]
        found += [Layer(f"{name}.norm2", "norm", i, f"{path}.norm2")] if is_pre else []
        found += [
            Layer(f"{name}.mlp_hidden", "mlp_hidden", i, f"{path}.mlp.fc1"),
            Layer(f"{name}.mlp", "mlp", i, f"{path}.drop_path2"),
            Layer(f"{name}.out", "residual", i, path),
        ]
    has_norm = any(True for _ in model.norm.parameters())  # type: ignore[union-attr]
    return [*found, Layer("norm", "norm", -1, "norm")] if has_norm else found
