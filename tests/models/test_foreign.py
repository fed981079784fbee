"""Networks of torchvision and of somebody's own: built, seen, refused where nobody trusts them."""

import copy
import logging
import re
import subprocess
import sys

import pytest
import torch
from torch import nn
from torchvision import models as torchvision_models

from sightlines.core.errors import ConfigError, MissingSourceError, WeightsError
from sightlines.models import (
    foreign,
    module,
    module_code,
    module_weights,
    torchvision,
    torchvision_weights,
)
from sightlines.models.__main__ import main
from sightlines.models.attention import has_class_token, prefix_tokens
from sightlines.models.building import build, layers_of, with_new_head
from sightlines.models.described_families import described
from sightlines.models.layers import capture

pytestmark = pytest.mark.whole

SIZE_PX = 32
CODE = """
from torch import nn

from parts import WIDTH


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)

    def forward(self, x):
        return x + self.conv(x).relu()


def build(classes, size_px, depth):
    blocks = nn.Sequential(*(Block() for _ in range(depth)))
    cut = nn.Conv2d(3, WIDTH, 4, 4)
    pooled = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTH, classes))
    return nn.Sequential(cut, blocks, *pooled)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Settings of a network of one's own, in a folder that git knows."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_models.py").write_text(CODE)
    (tmp_path / "parts.py").write_text("WIDTH = 6\n")
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(["git", "add", "."], check=True)
    return {
        **{"family": "module", "entry": "my_models.py:build", "arguments": {"depth": 3}},
        **{"grid": [8, 8], "attention": "none", "acts_as": "resnet"},
    }


def test_code_that_was_pulled_runs_only_once_it_is_trusted(own):
    digest = module.code_of(own)
    with pytest.raises(ConfigError, match=f"trust_code={digest}"):
        module.require_trust(own, "")
    with pytest.raises(ConfigError, match="not trusted"):
        build(own, SIZE_PX, 5, seed=1)
    module.require_trust(own, f"0123456789abcdef,{digest}")
    module.require_trust(own, "")
    model = build(own, SIZE_PX, 5, seed=1).eval()
    names = [layer.name for layer in layers_of("module", model)]
    assert names == ["stem", "block00.out", "block01.out", "block02.out"]
    assert module.described(own, SIZE_PX)["family"] == "resnet"


@pytest.mark.parametrize("edited", ["my_models.py", "parts.py"])
def test_an_edit_of_the_code_or_of_what_it_imports_is_another_code(own, tmp_path, edited):
    before = module.code_of(own)
    module.require_trust(own, before)
    path = tmp_path / edited
    path.write_text(path.read_text() + "\nassert __name__\n")
    assert module.code_of(own) != before
    with pytest.raises(ConfigError, match="not trusted"):
        build(own, SIZE_PX, 5, seed=1)
    with pytest.raises(ConfigError, match="changed"):
        build({**own, "code": before}, SIZE_PX, 5, seed=1)


@pytest.mark.parametrize("way", ["new", "link", "submodule", "ignored", "unpacked", "pulled"])
def test_only_a_file_that_was_written_here_runs_untold(tmp_path, monkeypatch, way):
    monkeypatch.chdir(tmp_path)
    for folder in (".", "own"):
        subprocess.run(["git", "init", "-q", folder], check=True)
    (tmp_path / "own" / "nets.py").write_text("def build(classes, size_px):\n    pass\n")
    entry = "own/nets.py:build"  # a repository in another, as a submodule is
    if way == "link":  # a folder that git knows, by another name
        subprocess.run(["rm", "-rf", "own/.git"], check=True)
        subprocess.run(["git", "add", "own"], check=True)
        (tmp_path / "link").symlink_to("own")
        entry = "link/nets.py:build"
    elif way != "submodule":
        (tmp_path / "nets.py").write_text("def build(classes, size_px):\n    pass\n")
        entry = "nets.py:build"
        if way == "ignored":  # as dvc add writes it
            (tmp_path / ".gitignore").write_text("/nets.py\n")
    commit = ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-q", "--allow-empty"]
    if way != "unpacked":
        subprocess.run(["git", *commit, "-m", "first"], check=True)
    if way == "pulled":  # dvc add of a folder, whose line in .gitignore somebody took away
        (tmp_path / "nets").mkdir()
        (tmp_path / "nets.py").rename(tmp_path / "nets" / "nets.py")
        (tmp_path / "nets.dvc").write_text("outs:\n- md5: 0123.dir\n  path: nets\n")
        entry = "nets/nets.py:build"
    if way == "new":
        assert module_code.require_trust(entry, "") == module_code.digest(entry)
        return
    with pytest.raises(ConfigError, match="does not know"):
        module_code.require_trust(entry, "")


def test_what_is_imported_from_the_working_directory_is_part_of_the_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "own.py").write_text("import helper\n\n\ndef build():\n    pass\n")
    (tmp_path / "helper.py").write_text("WIDTH = 6\n")
    before = module_code.digest("nets/own.py:build")
    (tmp_path / "helper.py").write_text("WIDTH = 7\n")
    assert module_code.digest("nets/own.py:build") != before


def test_a_function_may_import_what_lies_beside_its_file(own, tmp_path):
    (tmp_path / "nets").mkdir()
    late = CODE.replace("from parts import WIDTH\n", "").replace(
        "    blocks =", "    global WIDTH\n    from beside import WIDTH\n\n    blocks ="
    )
    (tmp_path / "nets" / "own.py").write_text(late)
    (tmp_path / "nets" / "beside.py").write_text("WIDTH = 6\n")
    settings = {**own, "entry": "nets/own.py:build"}
    module.require_trust(settings, module.code_of(settings))
    assert build(settings, SIZE_PX, 5, seed=1)[0].weight.shape[0] == 6


def test_what_the_config_says_of_a_network_is_checked_where_it_is_built(own):
    module.require_trust(own, module.code_of(own))
    with pytest.raises(ConfigError, match=r"grid of my_models.py:build is \[8, 8\]"):
        build({**own, "grid": [4, 4]}, SIZE_PX, 5, seed=1)
    with pytest.raises(ConfigError, match=r"attention of my_models\.py:build is none"):
        build({**own, "attention": "plain"}, SIZE_PX, 5, seed=1)
    several = {"grid": [4, 4], "attention": "plain", "starts_idle": True}
    with pytest.raises(ConfigError, match=r"grid .*; attention .*; starts_idle .*: set them"):
        build({**own, **several}, SIZE_PX, 5, seed=1)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("../my_models.py:build", "write my_models.py:build"),
        ("/my_models.py:build", "write my_models.py:build"),
        ("others.py:build", "no file"),
        ("my_models.py:make", "defines no make"),
        ("no_such_package.models:build", "no package no_such_package"),
        (".models:build", "no package "),
        ("my_models.py:Block", "does not take classes, size_px, depth"),
    ],
)
def test_an_entry_that_is_not_there_is_refused(own, entry, said):
    with pytest.raises(ConfigError, match=said):
        module.check({**own, "entry": entry}, SIZE_PX)


@pytest.mark.parametrize(
    ("takes", "said"),
    [
        ("classes, size_px", "does not take depth"),
        ("num_classes, img_size=32, **more", "also asks for num_classes"),
        ("classes, size_px, depth, *, width", "also asks for width"),
        ("classes, /, size_px, depth", "does not take classes"),
    ],
)
def test_a_function_that_is_not_to_be_called_so_is_refused(own, tmp_path, takes, said):
    (tmp_path / "my_models.py").write_text(f"def build({takes}):\n    pass\n")
    with pytest.raises(ConfigError, match=said):
        module.check(own, SIZE_PX)


@pytest.mark.parametrize(
    "takes",
    [
        "classes, size_px, depth=3",
        "*, depth, classes, size_px, width=6",
        "classes, **more",
        "**all",
    ],
)
def test_a_function_may_take_more_than_it_is_given(own, tmp_path, takes):
    (tmp_path / "my_models.py").write_text(f"def build({takes}):\n    pass\n")
    assert module.check(own, SIZE_PX) == (8, 8)


def test_an_entry_imports_what_lies_beside_it_relatively(own, tmp_path):
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "own.py").write_text(CODE.replace("from parts", "from .parts"))
    (tmp_path / "nets" / "parts.py").write_text("from . import sizes\n\nWIDTH = sizes.WIDTH\n")
    (tmp_path / "nets" / "sizes.py").write_text("WIDTH = 7\n")
    settings = {**own, "entry": "nets/own.py:build"}
    before = module.code_of(settings)
    module.require_trust(settings, before)
    assert build(settings, SIZE_PX, 5, seed=1)[0].weight.shape[0] == 7
    # Of another length: Python tells old bytecode by length and by the second of the last edit.
    (tmp_path / "nets" / "sizes.py").write_text("WIDTH = 12\n")
    after = module.code_of(settings)
    assert after != before
    module.require_trust(settings, after)
    assert build(settings, SIZE_PX, 5, seed=1)[0].weight.shape[0] == 12


class Attending(nn.Module):
    """One block of a ViT, with torch's attention."""

    def __init__(self, is_batch_first):
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(8), nn.LayerNorm(8)])
        self.attention = nn.MultiheadAttention(8, 2, batch_first=is_batch_first)
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))

    def forward(self, x):
        normed = self.norms[0](x)
        x = x + self.attention(normed, normed, normed, need_weights=False)[0]
        return x + self.mlp(self.norms[1](x))


class OwnViT(nn.Module):
    """As the code of DINO and MAE has it: `cls_token` is a parameter of the network."""

    def __init__(self, is_batch_first=True, gives=None):
        super().__init__()
        self.cut = nn.Conv2d(3, 8, 8, 8)
        self.cls_token = nn.Parameter(torch.randn(1, 1, 8))
        self.blocks = nn.ModuleList([Attending(is_batch_first) for _ in range(2)])
        self.head = nn.Linear(8, 5)
        self.is_batch_first, self.gives = is_batch_first, gives

    def forward(self, images):
        x = self.cut(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1)
        x = x if self.is_batch_first else x.transpose(0, 1)
        for block in self.blocks:
            x = block(x)
        x = x if self.is_batch_first else x.transpose(0, 1)
        scores = self.head(x[:, 0])
        return self.gives(scores, x) if self.gives else scores


def test_a_class_token_of_ones_own_stays_the_networks_parameter():
    torch.manual_seed(0)
    model = foreign.prepared(OwnViT().eval(), SIZE_PX)  # first: it turns torch's fast path off
    images = torch.randn(2, 3, SIZE_PX, SIZE_PX)
    with torch.no_grad():
        before = model(images)
        known = foreign.facts(model, 5)
        assert torch.equal(model(images), before)
    assert model.cls_token is dict(model.named_parameters())["cls_token"]
    assert (known["role"], known["attention"], known["pool"]) == ("vit", True, "cls")
    assert (prefix_tokens(model), has_class_token(model)) == (1, True)


@pytest.mark.parametrize(
    ("gives", "said"),
    [
        (lambda scores, x: {"logits": scores, "tokens": x}, r"a dict \(logits: \[2, 5\], tokens"),
        (lambda scores, x: (scores, x), r"a tuple \(0: \[2, 5\], 1: \[2, 17, 8\]\)"),
        (lambda scores, x: x, r"gives \[2, 17, 8\] for 2 images and 5 classes"),
    ],
)
def test_what_a_network_gives_instead_of_scores_is_said_in_shapes(gives, said):
    model = foreign.prepared(OwnViT(gives=gives).eval(), SIZE_PX)
    with pytest.raises(ConfigError, match=said) as error:
        foreign.facts(model, 5)
    assert "tensor([" not in str(error.value)


def test_blocks_with_images_on_the_second_axis_are_called_so():
    model = foreign.prepared(OwnViT(is_batch_first=False).eval(), SIZE_PX)
    with pytest.raises(ConfigError, match=r"blocks\.0.* gives \[17, 2, 8\] .* second axis"):
        foreign.seen_of(model)


def test_what_a_block_must_be_is_said_where_none_is_found():
    plain = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE_PX**2, 8), nn.ReLU(), nn.Linear(8, 5))
    with pytest.raises(ConfigError, match="a module that holds its own skip connection"):
        foreign.seen_of(foreign.prepared(plain.eval(), SIZE_PX))


def test_planning_never_imports_the_code(own, tmp_path):
    path = tmp_path / "my_models.py"
    path.write_text("raise SystemExit('it ran')\n" + CODE)
    module.check(own, SIZE_PX)
    module.require_trust(own, module.code_of(own))
    assert module_code.is_trusted(module.code_of(own))


def test_helpers_of_one_name_are_each_entrys_own(own, tmp_path):
    """Two networks in one process, each with a file parts.py beside it."""
    for name, width in (("one", 4), ("two", 9)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "net.py").write_text(CODE)
        (tmp_path / name / "parts.py").write_text(f"WIDTH = {width}\n")
    widths = []
    for name in ("one", "two", "one"):
        settings = {**own, "entry": f"{name}/net.py:build"}
        module.require_trust(settings, module.code_of(settings))
        widths.append(build(settings, SIZE_PX, 5, seed=1)[0].weight.shape[0])
    assert widths == [4, 9, 4]
    assert "parts" not in sys.modules
    module.require_trust(own, module.code_of(own))
    assert build(own, SIZE_PX, 5, seed=1)[0].weight.shape[0] == 6


def test_a_network_of_ones_own_can_be_trained_further(own):
    module.require_trust(own, module.code_of(own))
    model = with_new_head(build(own, SIZE_PX, 5, seed=1), 9)
    images = torch.ones(2, 3, SIZE_PX, SIZE_PX)
    with torch.no_grad():
        assert torch.equal(model(images), torch.zeros(2, 9))
    build(own, SIZE_PX, 9, seed=1).load_state_dict(model.state_dict())
    assert copy.deepcopy(model).get_classifier()[0] is not model.get_classifier()[0]


def test_whether_a_network_starts_idle_is_checked_where_it_is_built(own, tmp_path):
    path = tmp_path / "my_models.py"
    path.write_text(
        CODE.replace("x + self.conv(x).relu()", "x + self.norm(self.conv(x))").replace(
            "padding=1)\n", "padding=1)\n        self.norm = nn.BatchNorm2d(WIDTH)\n", 1
        )
    )
    module.require_trust(own, module.code_of(own))
    with pytest.raises(ConfigError, match=r"starts_idle of my_models\.py:build is True"):
        build(own, SIZE_PX, 5, seed=1)
    idle = {**own, "starts_idle": True}
    assert module.starts_idle(idle, SIZE_PX)
    build(idle, SIZE_PX, 5, seed=1)


def test_weights_of_a_file_come_into_a_network_of_ones_own(own, tmp_path):
    module.require_trust(own, module.code_of(own))
    trained = build(own, SIZE_PX, 5, seed=7).state_dict()
    torch.save({"epoch": 3, "ema": {f"module.{n}": t for n, t in trained.items()}}, "w.pth")
    settings = {**own, "weights": "w.pth", "outputs": 5, "size_px": 64, "grid": [16, 16]}
    assert module.check(settings, SIZE_PX) == (16, 16)
    assert module.view(settings, SIZE_PX)["size_px"] == 64
    stated = module.weights_identity(settings, str(tmp_path))
    model = build(settings, 64, 5, seed=1)
    log = logging.getLogger("sightlines.tests")
    origin, _, fitted = module_weights.bring(model, settings, tmp_path, stated, log)
    assert (origin, fitted.wrapper, fitted.prefix) == ("file:w.pth", "ema", "module.")
    assert all(torch.equal(trained[name], fitted.state[name]) for name in trained)
    with pytest.raises(WeightsError, match="changed"):
        module_weights.bring(model, settings, tmp_path, "0" * 64, log)
    with pytest.raises(ConfigError, match="set num_classes"):
        module.check({**own, "weights": "w.pth"}, SIZE_PX)
    with pytest.raises(ConfigError, match="trained here"):
        module.check({**own, "size_px": 64}, SIZE_PX)


# -- torchvision ---------------------------------------------------------------------------

TORCHVISION = {
    "resnet18": ("resnet", False, 0, 8),
    "vit_b_16": ("vit", True, 0, 12),
    "swin_t": ("hierarchical", False, 12, 12),
}


@pytest.mark.parametrize("name", TORCHVISION)
def test_networks_of_torchvision(name):
    does, is_plain, sites, blocks = TORCHVISION[name]
    size_px = 64
    with torch.device("meta"):
        model = torchvision.build({"name": name}, size_px, 4).eval()
    known = foreign.facts(model, 4)
    assert (known["does"], known["attention"], known["attention_sites"]) == (does, is_plain, sites)
    layers = torchvision.layers(model)
    assert sum(layer.kind == "residual" for layer in layers) == blocks
    assert (prefix_tokens(model), has_class_token(model)) == ((1, True) if is_plain else (0, False))
    shapes = []
    with torch.no_grad(), capture(model, layers, lambda _, x: shapes.append(x.shape)):
        model(torch.zeros(2, 3, size_px, size_px, device="meta"))
    assert len(shapes) == len(layers)


def test_a_class_token_that_is_read_out_is_found_where_the_last_layer_starts_at_zero():
    small = {"num_layers": 2, "hidden_dim": 24, "num_heads": 2, "mlp_dim": 24, "patch_size": 16}
    model = torchvision_models.VisionTransformer(image_size=32, num_classes=4, **small)
    assert not model.heads.head.weight.any()
    model = foreign.prepared(model, 32)
    assert foreign.pool_of(model) == "cls"
    assert not model.heads.head.weight.any()


def test_a_name_that_torchvision_has_not_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="resnet18"):
        torchvision.build({"name": "resnet_18"}, 32, 3)


def test_weights_of_a_file_come_into_a_network_of_torchvision(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained = torchvision_models.mobilenet_v3_small(num_classes=1000).state_dict()
    torch.save({"model": {f"module.{n}": t for n, t in trained.items()}}, "w.pth")
    settings = {"name": "mobilenet_v3_small", "arguments": {}, "acts_as": "auto"}
    settings |= {"weights": "w.pth"}
    assert torchvision.check(settings, SIZE_PX) == (7, 7)
    assert torchvision.described(settings, SIZE_PX)["weights"] == "w.pth"
    sees = torchvision.view(settings, SIZE_PX)
    assert sees == {
        **{"size_px": 224, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
        **{"interpolation": "bilinear", "crop_share": 224 / 256, "crop_mode": "center"},
    }
    assert torchvision.view(settings | {"size_px": 64}, SIZE_PX) == sees | {"size_px": 64}
    names = torchvision_weights.outputs_of(settings)
    assert len(names) == 1000 and names[0] == "n01440764" and names == sorted(names)
    stated = torchvision.weights_identity(settings, str(tmp_path))
    model = torchvision.build(settings, 224, 1000)
    log = logging.getLogger("sightlines.tests")
    origin, _, fitted = torchvision_weights.bring(model, settings, tmp_path, stated, log)
    assert (origin, fitted.wrapper, fitted.prefix) == ("file:w.pth", "model", "module.")
    assert all(torch.equal(trained[name], fitted.state[name]) for name in trained)
    with pytest.raises(WeightsError, match="changed"):
        torchvision_weights.bring(model, settings, tmp_path, "0" * 64, log)


def test_keys_of_weights_are_refused_where_a_network_of_torchvision_is_trained():
    own = {"name": "resnet18", "arguments": {}, "acts_as": "auto"}
    for key, value in {"size_px": 64, "outputs": 10, "class_order": "names"}.items():
        with pytest.raises(ConfigError, match="trained here"):
            torchvision.check(own | {key: value}, SIZE_PX)
    for path in ("../w.pth", "/w.pth"):
        with pytest.raises(ConfigError, match="weights"):
            torchvision.check(own | {"weights": path}, SIZE_PX)
    assert torchvision.view(own, SIZE_PX)["size_px"] == SIZE_PX


def test_a_missing_file_of_torchvisions_weights_is_named(tmp_path):
    with pytest.raises(MissingSourceError, match=r"no weight file .*w\.pth"):
        torchvision.weights_identity({"name": "resnet18", "weights": "w.pth"}, str(tmp_path))


@pytest.mark.parametrize(("name", "further"), [("googlenet", 20), ("inception_v3", 14)])
def test_outputs_for_training_alone_are_left_out_and_images_seen_as_the_weights_do(
    tmp_path, name, further
):
    with torch.random.fork_rng(devices=[]):
        own = getattr(torchvision_models, name)(num_classes=5, init_weights=False)
    torch.save(own.state_dict(), tmp_path / "w.pth")
    settings = {"name": name, "weights": "w.pth", "outputs": 5}
    with torch.device("meta"):
        model = torchvision.build({**settings, "arguments": {"init_weights": False}}, 96, 5)
    model.to_empty(device="cpu")  # what weights are read into has numbers
    assert model.transform_input
    stated = torchvision.weights_identity(settings, str(tmp_path))
    log = logging.getLogger("sightlines.tests")
    _, _, fitted = torchvision_weights.bring(model, settings, tmp_path, stated, log)
    assert len(fitted.left_out) == further and fitted.state.keys() == model.state_dict().keys()


@pytest.mark.parametrize("name", ["densenet121", "vit_b_16"])
def test_former_names_of_torchvisions_own_files(tmp_path, name):
    """Densenets' files of the site, and those of ViTs from before version 0.13."""
    with torch.device("meta"):
        model = torchvision.build({"name": name}, 32, 5)
    model.to_empty(device="cpu")
    wanted = {n: torch.randn(t.shape) for n, t in model.state_dict().items() if t.dim()}
    former = {re.sub(r"(denselayer\d+\.[a-z]+)([12])", r"\1.\2", n): n for n in wanted}
    for old, new in ((r"mlp\.0", "mlp.linear_1"), (r"mlp\.3", "mlp.linear_2")):
        former = {re.sub(old, new, n): now for n, now in former.items()}
    assert former.keys() != wanted.keys()
    torch.save({before: wanted[now] for before, now in former.items()}, tmp_path / "w.pth")
    settings = {"name": name, "weights": "w.pth", "outputs": 5}
    stated = torchvision.weights_identity(settings, str(tmp_path))
    log = logging.getLogger("sightlines.tests")
    _, _, fitted = torchvision_weights.bring(model, settings, tmp_path, stated, log)
    assert all(torch.equal(fitted.state[n], t) for n, t in wanted.items())
    assert {*fitted.renamed} == former.keys() - wanted.keys()


def test_the_command_says_how_code_is_trusted_there(own):
    with pytest.raises(ConfigError, match=f"or here: --trust-code {module.code_of(own)}$"):
        described("module", own["entry"], '{"depth": 1}')


def test_code_that_fails_is_told_by_its_line_and_what_it_was_called_with(own):
    asked = ("module", own["entry"], '{"depth": "two"}', SIZE_PX)
    with pytest.raises(ConfigError, match=r"depth='two', fails in .*my_models\.py, line 17 \(Type"):
        described(*asked, trust_code=module.code_of(own))


@pytest.mark.parametrize("side", ["0", "-5", "2.5"])
def test_the_command_refuses_what_is_no_side_of_an_image(side, capsys):
    with pytest.raises(SystemExit):
        main(["test_vit", "--size-px", side])
    assert "--size-px" in capsys.readouterr().err
