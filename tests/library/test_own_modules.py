"""Modules that a caller made, as people have them: wrapped, in half precision, of other images."""

import warnings
from types import SimpleNamespace

import pytest
import timm
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

import sightlines as sl
from sightlines.core.errors import ConfigError

pytestmark = pytest.mark.whole
SIZE_PX = 16


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)

    def forward(self, x):
        return x + self.norm(self.conv(x)).relu()


class Net(nn.Module):
    def __init__(self, channels=3, head=None):
        super().__init__()
        self.stem = nn.Conv2d(channels, 8, 2, stride=2)
        self.blocks = nn.Sequential(Residual(), Residual())
        self.head = head or nn.Linear(8, 5)

    def forward(self, images):
        return self.head(self.blocks(self.stem(images)).mean((2, 3)))


class OfLargerImages(Net):
    def forward(self, images):
        if images.shape[-1] != 2 * SIZE_PX:
            raise AssertionError
        return super().forward(images)


def vit():
    return timm.create_model("test_vit", img_size=SIZE_PX, patch_size=4)


LAYERS = ["stem", "block00.out", "block01.out"]
WRAPPED = {
    "DataParallel": nn.DataParallel,
    "AveragedModel": AveragedModel,
    "compiled": lambda model: torch.compile(model, backend="eager"),
    "both": lambda model: torch.compile(nn.DataParallel(model), backend="eager"),
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_what_wraps_a_network_hides_none_of_its_layers(wrap):
    model = vit()
    network, plain = sl.load(wrap(model), size_px=SIZE_PX), sl.load(vit(), size_px=SIZE_PX)
    assert network.layers == plain.layers and len(network.layers) > 10
    assert network.name == plain.name == "VisionTransformer"
    images = torch.randn(2, 3, SIZE_PX, SIZE_PX)
    with torch.no_grad():  # AveragedModel has a copy: elsewhere in memory it may round otherwise
        torch.testing.assert_close(network.module(images), model.eval()(images))


@pytest.mark.parametrize("number", [torch.float16, torch.bfloat16, torch.float64])
def test_numbers_become_float32_before_a_network_is_looked_at(number):
    network = sl.load(Net().to(number), size_px=SIZE_PX)
    assert [layer.name for layer in network.layers] == LAYERS
    assert {p.dtype for p in network.module.parameters()} == {torch.float32}


def test_a_module_is_looked_at_anew_at_another_size():
    model = Net()
    grids = [sl.load(model, size_px=side).card["grid"] for side in (SIZE_PX, 2 * SIZE_PX)]
    assert grids == [[8, 8], [16, 16]]
    assert len(sl.describe(model, size_px=SIZE_PX).found["layers"]) == 3


@pytest.mark.parametrize("name", ["found", "attended"])
def test_attributes_of_a_module_s_own_are_not_taken_for_ours(name):
    class Noting(Net):
        def forward(self, images):
            setattr(self, name, [*getattr(self, name), len(images)])
            return super().forward(images)

    model = Noting()
    setattr(model, name, [])
    network = sl.load(model, size_px=SIZE_PX)
    assert [layer.name for layer in network.layers] == LAYERS
    assert sl.describe(network).measurements == ["cka", "probes", "receptive_fields"]
    assert {*getattr(model, name)} <= {2}  # as its own code left it


def test_a_network_that_timm_built_sees_images_as_by_its_name():
    model = timm.create_model("test_vit")
    cards = [sl.load(model).card, sl.load("test_vit", weights="random").card]
    keys = ("size_px", "mean", "std", "interpolation", "crop_share", "crop_mode")
    assert [[card[key] for key in keys] for card in cards] == [
        [160, [0.5] * 3, [0.5] * 3, "bicubic", 0.95, "center"]
    ] * 2
    card = sl.load(vit(), std=[0.2, 0.3, 0.4]).card
    assert (card["size_px"], card["mean"], card["std"]) == (SIZE_PX, [0.5] * 3, [0.2, 0.3, 0.4])


NOT_RUN = {
    "of one channel": (lambda: Net(channels=1), r"Net cannot be run on images \[2, 3, 16, 16\]"),
    "of larger images": (OfLargerImages, "AssertionError: no reason given. Set size_px to"),
    "lazy": (
        lambda: Net(head=nn.LazyLinear(5)),
        r"without a shape \(head.weight, head.bias\): show",
    ),
}


@pytest.mark.parametrize(("make", "message"), NOT_RUN.values(), ids=NOT_RUN)
def test_what_cannot_be_run_says_what_to_give(make, message):
    with pytest.raises(ConfigError, match=message):
        sl.load(make(), size_px=SIZE_PX)


def test_a_network_without_parameters_is_described():
    pools = nn.Sequential(nn.AvgPool2d(2), nn.AvgPool2d(2), nn.Flatten())
    about = sl.describe(pools, size_px=SIZE_PX, layers=["0", "1"])
    assert [row["shape"] for row in about.found["layers"]] == [[3, 8, 8], [3, 4, 4]]


@pytest.mark.parametrize("side", [0, -5, True])
@pytest.mark.parametrize("look", [sl.load, sl.describe])
def test_what_is_no_side_of_an_image_is_refused(look, side):
    with pytest.raises(ConfigError, match=f"{look.__name__}: size_px is .*, 1 or more"):
        look(Net(), size_px=side)


def test_an_unknown_way_to_resample_positions_is_refused():
    with pytest.raises(ConfigError, match="'bicubic'; give antialias, plain, dino"):
        sl.load("test_vit", weights="random", size_px=64, position_resampling="bicubic")


class Again(Net):
    """The second block computes twice: in one place of the code, or as one module in two."""

    def forward(self, images):
        x = self.stem(images)
        for block in (*self.blocks, self.blocks[1]):
            x = block(x)
        return self.head(x.mean((2, 3)))


class OneBlock(Again):
    def __init__(self):
        super().__init__()
        self.blocks[1] = self.blocks[0]


@pytest.mark.parametrize(
    ("make", "said"),
    [(Again, r"blocks\.1 of Again .* 2 times"), (OneBlock, r"blocks\.0 .* 3 times")],
)
def test_blocks_that_compute_several_times_are_not_left_out_unsaid(make, said):
    with pytest.raises(ConfigError, match=f"{said} .*a module of its own"):
        sl.load(make(), size_px=SIZE_PX)


def test_a_head_that_computes_several_times_hides_no_block():
    class Twice(Net):
        def __init__(self):
            super().__init__(head=nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 5)))

        def forward(self, images):
            found = self.blocks(self.stem(images))
            return self.head(found.mean((2, 3))) + self.head(found.amax((2, 3)))

    assert [layer.name for layer in sl.load(Twice(), size_px=SIZE_PX).layers] == LAYERS


@pytest.mark.parametrize("gives", [lambda scores: None, lambda scores: SimpleNamespace(of=scores)])
def test_a_network_whose_output_holds_no_tensor_is_refused(gives):
    class Giving(Net):
        def forward(self, images):
            return gives(super().forward(images))

    with pytest.raises(ConfigError, match=r"Giving gives nothing in which .* dictionary of them"):
        sl.load(Giving(), size_px=SIZE_PX)


def quantised(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao.quantization moves to another package
        return torch.ao.quantization.quantize_dynamic(model.eval(), {nn.Linear})


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: torch.fx.symbolic_trace(Net()), "Net is a graph of torch.fx.* it was made"),
        (lambda: quantised(Net()), r"head is quantised \(Linear\): give the network as it was"),
    ],
)
def test_what_a_tool_made_of_a_network_is_refused_by_name(make, said):
    with pytest.raises(ConfigError, match=said):
        sl.load(make(), size_px=SIZE_PX)


class InOnePlace(nn.Module):
    """A ViT of one block that no module holds."""

    def __init__(self):
        super().__init__()
        self.cut, self.head = nn.Conv2d(3, 8, 4, 4), nn.Linear(8, 5)
        self.norm, self.qkv, self.last = nn.LayerNorm(8), nn.Linear(8, 24), nn.LayerNorm(8)

    def forward(self, images):
        x = self.cut(images).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(self.norm(x)).chunk(3, dim=-1)
        x = x + (q @ k.mT).softmax(-1) @ v
        return self.head(self.last(x).mean(1))


def test_attention_outside_of_all_blocks_makes_no_mixer():
    assert sl.describe(InOnePlace(), size_px=SIZE_PX).found["does"] == "other"
