import numpy as np
import pytest
import torch

from sightlines.core.errors import ResultError, WeightsError
from sightlines.core.files import write_json, write_tensors
from sightlines.models import building
from sightlines.models.weight_misfits import infinite, not_finite
from tests.models.nets import CLASSES, NETS, SIZE_PX, VIT


def arrays(model):
    return {name: value.numpy() for name, value in model.state_dict().items()}


def write_network(folder, name="vit", tensors=None):
    model = building.build(NETS[name], SIZE_PX, CLASSES, seed=23)
    facts = {
        "family": NETS[name]["family"],
        "architecture": building.architecture(NETS[name]),
        "classes": [str(i) for i in range(CLASSES)],
        "size_px": SIZE_PX,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.2, 0.2, 0.2],
    }
    write_json(folder / "card.json", facts)
    write_tensors(folder / "weights.safetensors", arrays(model) if tensors is None else tensors, {})
    return model


def load(folder):
    return building.load_network(folder / "weights.safetensors", folder / "card.json")


@pytest.mark.parametrize("name", NETS)
def test_network_comes_back(tmp_path, name):
    model = write_network(tmp_path, name)
    loaded, card = load(tmp_path)
    assert not loaded.training and card["family"] == NETS[name]["family"]
    images = torch.randn(3, 3, SIZE_PX, SIZE_PX, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        assert torch.equal(loaded(images), model.eval()(images))


@pytest.mark.parametrize("name", NETS)
def test_seed_decides_all_weights_and_touches_no_global_state(name):
    torch.manual_seed(1)
    a = building.build(NETS[name], SIZE_PX, CLASSES, seed=29)
    drawn = torch.rand(())
    torch.manual_seed(2)
    b = building.build(NETS[name], SIZE_PX, CLASSES, seed=29)
    other = building.build(NETS[name], SIZE_PX, CLASSES, seed=30)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(()), drawn)
    for key, value in a.state_dict().items():
        assert torch.equal(value, b.state_dict()[key])
    kernels = [k for k, v in a.state_dict().items() if v.ndim > 1 and v.std() > 0]
    assert kernels
    for key in kernels:
        assert not torch.equal(a.state_dict()[key], other.state_dict()[key]), key


def test_last_norm_of_a_unit_starts_at_zero():
    model = building.build(NETS["resnet"], SIZE_PX, CLASSES, seed=1)
    assert all(not unit.norm3.weight.any() for stage in model.stages for unit in stage.blocks)


class Clipping(torch.nn.Linear):
    """As layers of timm's Gemma 4: bounds that are infinite until a checkpoint sets them."""

    def __init__(self):
        super().__init__(2, 2)
        self.register_buffer("lowest", torch.tensor([-torch.inf, -torch.inf]))


@pytest.mark.parametrize(
    "bounds, odd",
    [
        ([-np.inf, -np.inf], 0),
        ([-1.0, -np.inf], 0),
        ([np.inf, -np.inf], 1),
        ([np.nan, np.nan], 2),
        ([-np.inf] * 3, 3),
    ],
)
def test_infinite_numbers_are_right_only_where_the_network_begins_with_them(bounds, odd):
    begins = Clipping().state_dict()
    found = begins | {"lowest": torch.tensor(bounds)}
    assert not_finite(found["lowest"], begins["lowest"]) == odd
    assert len(infinite(found, begins)) == bool(odd)
    assert not_finite(found["lowest"], begins["lowest"].to("meta")) == np.sum(~np.isfinite(bounds))
    assert len(infinite(begins | {"bias": torch.full((2,), -torch.inf)}, begins)) == 1


def test_all_offending_tensors_are_listed(tmp_path):
    tensors = arrays(building.build(VIT, SIZE_PX, CLASSES, seed=23))
    tensors["head.bias"] = np.full(CLASSES, np.nan, np.float32)
    tensors["norm.bias"] = np.zeros(7, np.float32)
    tensors["extra"] = np.zeros(2, np.float32)
    del tensors["cls_token"]
    write_network(tmp_path, tensors=tensors)
    with pytest.raises(WeightsError) as error:
        load(tmp_path)
    for part in (
        "cls_token: missing",
        "extra: unknown",
        "norm.bias: shape (7,) instead of (24,)",
        "head.bias: 7 not finite",
    ):
        assert part in str(error.value)


def test_truncated_weights(tmp_path):
    write_network(tmp_path)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(WeightsError, match="bytes instead of"):
        load(tmp_path)


def test_card_without_architecture(tmp_path):
    write_network(tmp_path)
    write_json(tmp_path / "card.json", {"family": "vit"})
    with pytest.raises(ResultError, match="lacks architecture, size_px, classes"):
        load(tmp_path)
