"""Gradients of single channels at one location with respect to the pixels."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.overrides import TorchFunctionMode

from sightlines.core.errors import ResultError
from sightlines.dumps.receptive_field_layers import Target
from sightlines.dumps.receptive_field_vit import PlainViT
from sightlines.models.layers import capture

RELU = "ReluBackward0"
"""How torch calls what a ReLU gave: its zeros have no gradient."""
CONVOLUTIONS = frozenset({"conv1d", "conv2d", "conv3d"})
TOLERANCE = 1e-4
"""Of a shortcut, relative to a layer's largest gradient: float32 in two orders of summation."""


class ChannelGradients:
    """Mean absolute gradient of each layer's centre.

    Source: Raghu et al. 2021, Figure 6. Every channel has a gradient of its own, since in the
    gradient of a sum over channels opposite signs cancel; the absolute value is then averaged over
    channels and over the three colours.

    A plain ViT takes the shortcut of `receptive_field_vit`, if on the first image one backward
    pass for each layer agrees with it. Every other network has a backward pass for each channel;
    it serves all images at once: in evaluation mode images do not mix.

    Args:
        model: Is left as it was.
        targets: What is differentiated.
    """

    def __init__(self, model: nn.Module, targets: Sequence[Target]) -> None:
        self._model, self._targets = model, targets
        self._vit: PlainViT | None = None
        with contextlib.suppress(LookupError):
            self._vit = PlainViT(model, targets)
        self._is_checked = self._vit is None

    @property
    def is_short(self) -> bool:
        """Whether the shortcut is taken; known after the first images."""
        return self._vit is not None

    def of(self, images: Tensor) -> Iterator[Tensor]:
        """Gradients of some images, layer after layer.

        Args:
            images: Normalised pixels [n, 3, height, width].

        Yields:
            [n, height, width], one for each target in order.

        Raises:
            ResultError: a layer is computed without gradients.
        """
        with _without_gradients_of_weights(self._model):
            if not self._is_checked:
                if not self._agrees(images[:1]):
                    self._vit = None
                self._is_checked = True
            if self._vit is None:
                yield from self._by_channels(images)
            else:
                yield from self._by_rows(self._vit, images)

    def _by_rows(self, vit: PlainViT, images: Tensor) -> Tensor:
        found = images.new_zeros(len(self._targets), len(images), *images.shape[2:])
        with torch.no_grad():
            for image, jacobians in enumerate(vit.jacobians(images)):
                for index, rows in jacobians:
                    mean = rows.abs_().sum(-1) / rows.shape[-1]
                    found[index, image] = vit.as_maps(mean, images.shape[2]).mean(0)
        return found

    def _by_channels(self, images: Tensor) -> Iterator[Tensor]:
        with torch.enable_grad():
            pixels, kept = self._forward(images)
            for index in range(len(self._targets)):
                yield _mean_absolute_gradient(*kept.pop(index), pixels)

    def _forward(self, images: Tensor) -> tuple[Tensor, dict[int, tuple[Tensor, Tensor]]]:
        """Pixels, and of each target what depends on them.

        That is the chosen channels, [n, channels], and which of them a ReLU has not cut off.
        """
        kept: dict[int, tuple[Tensor, Tensor]] = {}

        def keep(index: int, value: Tensor) -> None:
            with saved_tensors_hooks(_itself, _itself):  # what we keep is none of a checkpoint's
                chosen = at_centre(value, self._targets[index])
            _require_gradient(chosen, self._targets[index])
            is_cut = type(value.grad_fn).__name__ == RELU
            kept[index] = (
                chosen,
                (chosen != 0) if is_cut else torch.ones_like(chosen, dtype=torch.bool),
            )

        pixels = images.detach().clone().requires_grad_()
        layers = [target.watched.layer for target in self._targets]
        with capture(self._model, layers, keep), _ConvolutionsKeepNoInput():
            self._model(pixels)
        return pixels, kept

    def _agrees(self, image: Tensor) -> bool:
        """Whether a random sum over the channels of each layer has the same gradient either way."""
        assert self._vit is not None
        generator = torch.Generator().manual_seed(0)
        signs = [torch.randn(len(t.channels), generator=generator) for t in self._targets]
        signs = [sign.to(image) for sign in signs]
        with torch.no_grad():
            found = {
                index: self._vit.as_maps(rows @ signs[index], image.shape[2])
                for index, rows in next(self._vit.jacobians(image))
            }
        with torch.enable_grad():
            pixels, kept = self._forward(image)
            for index, sign in enumerate(signs):
                one = (kept.pop(index)[0][0] * sign).sum()
                (expected,) = torch.autograd.grad(one, pixels, retain_graph=True)
                apart = float((found[index] - expected[0]).abs().max())
                if not apart <= TOLERANCE * float(expected.abs().max()):
                    return False
        return True


def _require_gradient(chosen: Tensor, target: Target) -> None:
    if not chosen.requires_grad:
        raise ResultError(
            f"layer {target.watched.layer.name} has no gradient in the pixels: something before it "
            "is computed under torch.no_grad or inference_mode, or is detached. Take that out of "
            "the network's forward: in evaluation nothing else needs it"
        )


class _ConvolutionsKeepNoInput(TorchFunctionMode):
    """Convolutions keep the shape of what they see for the backward pass, not its numbers.

    The gradient of a convolution's input follows from its weights alone. Torch keeps the input
    nevertheless, for a gradient of weights that nobody asks for: of a MobileNetV5 3 in 10 bytes.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") not in CONVOLUTIONS or len(args) < 2:
            return func(*args, **kwargs)
        seen, weight = args[:2]
        if weight.requires_grad or _are_hooked():
            return func(*args, **kwargs)

        at, shape = seen.data_ptr(), seen.shape  # torch holds `pack`, which must not hold `seen`

        def pack(kept: Tensor) -> Any:
            is_seen = kept.data_ptr() == at and kept.shape == shape
            return (kept.shape, kept.stride(), kept.dtype, kept.device) if is_seen else kept

        with saved_tensors_hooks(pack, _unpacked):
            return func(*args, **kwargs)


def _itself(kept: Tensor) -> Tensor:
    return kept


def _unpacked(kept: Any) -> Tensor:
    if isinstance(kept, Tensor):
        return kept
    shape, stride, dtype, device = kept
    return torch.empty_strided(shape, stride, dtype=dtype, device=device)


def _are_hooked() -> bool:
    """Whether somebody else counts what torch keeps, as a checkpoint does to compute it again."""
    return torch._C._autograd._top_saved_tensors_default_hooks(True) is not None


def at_centre(value: Tensor, target: Target) -> Tensor:
    """The chosen channels of the centre, [n, channels], of tokens or maps."""
    centre = target.centre
    channels = torch.from_numpy(target.channels).to(value.device)
    if value.dim() == 4:
        return value[:, :, centre.row, centre.column].index_select(1, channels)
    return value[:, centre.token].index_select(1, channels)


def _mean_absolute_gradient(values: Tensor, is_open: Tensor, pixels: Tensor) -> Tensor:
    """Mean over channels and colours, [n, height, width].

    Channels that a ReLU has cut off have no gradient and no share in a pass: each pass takes the
    next open channel of each image. Nor has a layer whose weights are zero: where the first pass
    finds nothing, another finds out whether all channels together have a gradient.
    """
    order = is_open.int().argsort(dim=1, descending=True, stable=True)
    total = torch.zeros_like(pixels)
    for turn in range(int(is_open.sum(1).max())):
        channels = order[:, turn, None]
        one = values.gather(1, channels)[is_open.gather(1, channels)].sum()
        (gradient,) = torch.autograd.grad(one, pixels, retain_graph=True)
        if turn == 0 and not gradient.any() and not _has_gradient(values, pixels):
            break
        total += gradient.abs_()
    return total.mean(dim=1) / values.shape[1]


def _has_gradient(values: Tensor, pixels: Tensor) -> bool:
    """Whether any channel of any image has: a random sum over them has none if none of them has."""
    weights = torch.rand(values.shape, generator=torch.Generator().manual_seed(0)) + 0.5
    one = (values * weights.to(values)).sum()
    (gradient,) = torch.autograd.grad(one, pixels, retain_graph=True)
    return bool(gradient.any())


@contextlib.contextmanager
def _without_gradients_of_weights(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, without gradients of weights, for the block only."""
    modes = [(module, module.training) for module in model.modules()]
    wanted = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    model.eval().requires_grad_(False)
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, had in wanted:
            parameter.requires_grad_(had)
