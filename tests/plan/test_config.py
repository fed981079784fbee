import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sightlines import manual
from sightlines.claims.judge import all_claims
from sightlines.core.errors import ConfigError
from sightlines.plan import registry
from sightlines.plan.config import (
    FOLDER,
    complete,
    from_command_line,
    load,
    networks,
    read_schema,
    source_folder,
)
from sightlines.plan.experiment import SPLIT_KEYS, Experiment, check
from sightlines.plan.networks import Network
from sightlines.plan.table_schemas import schemas

SHIPPED = sorted(FOLDER.glob("*.yaml"))
EXPERIMENTS = SHIPPED


@pytest.fixture
def smoke():
    return yaml.safe_load((FOLDER / "smoke.yaml").read_text())


def change(config, path, value):
    config = copy.deepcopy(config)
    *above, last = path.split(".")
    node = config
    for key in above:
        node = node[int(key) if isinstance(node, list) else key]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return config


@pytest.mark.whole
@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda p: p.stem)
def test_every_shipped_experiment_is_sound_and_draws_what_it_has_networks_for(path):
    experiment = Experiment.open(path)
    assert experiment.name == path.stem
    left_out = set(registry.members("figures")) - set(experiment.figures)
    needs = {n for f in left_out for n in registry.declarations("figures", f)["NEEDS"]}
    if path.stem in ("default", "cifar10", "cifar10_small"):
        cifar = {"fignaseer_shape_bias", "figpaul_backgrounds"}  # no cue conflicts and no masks
        cifar |= {"figdino_segmentation", "figvit_rollout"}
        dear = {"figpaul_corruption", "figpaul_frequency", "figpaul_backgrounds"}
        dear |= {"figpaul_depth", "figpaul_perturbation"}
        others = {"fignaseer_conflict_depth", "fignaseer_texture_match", "fig03_attention_sites"}
        assert left_out <= (dear if path.stem == "default" else cifar) | others
    if "raghu2021" in experiment.studies:
        assert {"fig01_cka_within", "fig03_attention_distance"} <= set(experiment.figures)
    assert not left_out or needs & {
        "conflicts",
        "corruption",
        "frequency",
        "mixed",
        "gap",
        "masks",
        "mixer",
        "probes",
        "skipless",
        "transfer",
        "two_sizes",
    }


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("trian", {"steps": 3}, "the file: unknown key 'trian', nearest is 'train'"),
        ("train.step", 3, "train: unknown key 'step', nearest is 'steps'"),
        ("train.steps", "many", r"train\.steps: 'many' is not of type 'integer' \(unit: steps\)"),
        ("train.steps", 0, r"train\.steps: 0 is less than the minimum of 1"),
        ("train.schedule", "cosin", "'cosin' is not one of .* nearest is 'cosine'"),
        ("dataset.kind", "cifar", "dataset.kind: 'cifar' is not one of .*nearest is 'cifar10"),
        ("models.vit_small.family", "vitt", "'vitt' is not one of .*nearest is 'vit'"),
        (
            "models.vit_small.widht",
            3,
            r"models\.vit_small: unknown key 'widht', nearest is 'width'",
        ),
        ("models.vit_small.train", {"lr": 1}, r"models\.vit_small\.train: unknown key 'lr'"),
        ("models", None, "the file: missing key 'models'"),
        ("runs.0.seeds", [], r"runs\.0\.seeds"),
        (
            "figures",
            [],
            r"figures: \[\] is none .*: write auto, or a list of 1 or more, each a str",
        ),
        ("studies", ["naser2021"], r"studies\.0: 'naser2021' is not one .*nearest is 'naseer2021'"),
        ("studies", [], r"studies: \[\] should be non-empty"),
        ("figures", "all", "figures: 'all' is none .*: write auto, or a list"),
        ("figures", [3], r"figures: \[3\] is none .*: write auto, or a list"),
        ("compute", {"device": "mps"}, r"compute\.device: Apple's MPS is not supported.*Use cpu"),
        ("compute", {"device": "gpu"}, r"compute\.device: 'gpu' is not one of"),
        ("runs.0.fractions", ["f1"], r"runs\.0\.fractions\.0: 'f1' does not match"),
    ],
)
def test_schema_offences_name_the_key_and_the_cure(smoke, path, value, message):
    with pytest.raises(ConfigError, match=message):
        complete(change(smoke, path, value), "smoke.yaml")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("runs.0.models", ["vit_smal"], "model 'vit_smal' is not among models"),
        ("models.vit_small.patch_px", 5, "vit_small: .*5.*32"),
        ("models.vit_small.heads", 5, "vit_small: .*24.*5"),
        ("models.resnet.groups", 5, "resnet: .*5"),
        ("models.vit_small.patch_px", 4, r"vit_small 8 × 8.*positions cannot be compared"),
        ("figures", ["fig99"], "no figure 'fig99'"),
        ("splits.probe_train", 0, "probe_train, probe_held_out and probe_test go together"),
        ("train.crop_padding_px", 32, "crop_padding_px 32 reflects more than there is"),
        ("train.warmup_steps", 99, "warmup_steps 99 must be below steps"),
        ("splits.validation", 15991, "splits.validation asks for 15991 .* at most 15990"),
        ("splits.probe_held_out", 201, "splits.probe_held_out asks for 201 .* at most 200"),
        ("splits.probe_test", 4001, "splits.probe_test asks for 4001 .*dataset shapes"),
        ("splits.probe_train", 15801, "splits.probe_train asks for 15801 .* at most 15800"),
        (
            "splits",
            {"probe_pool": "test", "probe_train": 3971, "probe_held_out": 30, "probe_test": 30},
            "splits.probe_train asks for 3971 .* at most 3970",
        ),
        ("splits.reference_batches", 126, "reference_batch_size asks for 4032 .* at most 4000"),
        (
            "transfer",
            {"other": {"dataset": {"kind": "textures", "n_test": 29}, "domain": "out"}},
            r"transfer.other: splits.probe_test asks for 30 .*dataset textures has at most 29",
        ),
    ],
)
def test_what_no_schema_sees_is_checked_too(smoke, path, value, message):
    with pytest.raises(ConfigError, match=message):
        check(complete(change(smoke, path, value), "smoke.yaml"))


def test_a_figure_without_its_networks_says_what_it_needs(smoke):
    smoke["runs"] = [{"models": ["vit_small"], "fractions": ["f100"], "seeds": ["s0"]}]
    smoke["figures"] = ["fig02_cka_across"]
    with pytest.raises(ConfigError, match="fig02_cka_across needs two"):
        check(complete(smoke, "smoke.yaml"))


def test_all_offences_are_listed_at_once(smoke):
    smoke["trian"] = 1
    smoke["train"]["steps"] = -1
    with pytest.raises(ConfigError, match=r"(?s)trian.*train\.steps|train\.steps.*trian"):
        complete(smoke, "smoke.yaml")


@pytest.mark.parametrize(("text", "message"), [("a: [", "not YAML"), ("- 1", "must hold keys")])
def test_a_file_that_is_no_config(tmp_path, text, message):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load(tmp_path / "x.yaml")


def test_a_config_file_cannot_trust_code_for_its_reader(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text((FOLDER / "smoke.yaml").read_text() + "\ntrust_code: '0123456789abcdef'\n")
    with pytest.raises(ConfigError, match=r"x\.yaml sets trust_code.*--config trust_code="):
        load(path)
    path.write_text((FOLDER / "smoke.yaml").read_text())
    told = from_command_line(["trust_code=0123456789abcdef"])
    assert load(path, told).trust_code == "0123456789abcdef"


def test_a_missing_file(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read the config file .*no\.yaml"):
        load(tmp_path / "no.yaml")


def test_yaml_cannot_run_code(tmp_path):
    (tmp_path / "x.yaml").write_text("a: !!python/object/apply:os.system ['true']")
    with pytest.raises(ConfigError, match="not YAML"):
        load(tmp_path / "x.yaml")


def test_a_block_that_stands_twice_is_named_and_not_lost(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text((FOLDER / "smoke.yaml").read_text() + "\ntrain:\n  steps: 4\n")
    with pytest.raises(ConfigError, match=r"twice\.yaml, line \d+: key 'train' .* line \d+"):
        load(path)
    path.write_text((FOLDER / "smoke.yaml").read_text() + "\nseed: 010\n")
    with pytest.raises(ConfigError, match=r"seed: 010 .* write 8 or 10"):
        load(path)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (None, {}),
        (["seed=6"], {"seed": 6}),
        (['train={"steps": 6}'], {"train": {"steps": 6}}),
        (["train={'steps': 6, 'flip': False}"], {"train": {"steps": 6, "flip": False}}),
        (
            ["train={learning_rate: 0.5, flip: true}"],
            {"train": {"learning_rate": 0.5, "flip": True}},
        ),
        (["train={schedule: null, a: 1.0e-3}"], {"train": {"schedule": None, "a": 0.001}}),
        (["train={steps: '6'}"], {"train": {"steps": "6"}}),
        (["figures=[fig01_cka_within]", "seed="], {"figures": ["fig01_cka_within"], "seed": None}),
        (["train={steps: 6}", "train={flip: no text}"], {"train": {"steps": 6, "flip": "no text"}}),
        (["seed=6", "seed=6"], {"seed": 6}),
        (["data_root=2024-01-01"], {"data_root": "2024-01-01"}),
        (["data_root='a = b'"], {"data_root": "a = b"}),
        (["recompute=false"], {"recompute": False}),
    ],
)
def test_values_of_the_command_line_have_the_types_of_a_file_s(words, found):
    assert repr(from_command_line(words)) == repr(found)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train={steps: 010}"], r"--config train, line 1: steps: 010 .* write 8 or 10"),
        (["train={steps: 6, steps: 7}"], "--config train.* key 'steps'"),
        (["train={steps: 6}", "train={steps: 7}"], r"--config train\.steps .*6 and 7.*leave out"),
        (["train={steps: 6"], "--config train is not YAML"),
        (["seed=yes"], "--config seed.* write true or 'yes'"),
    ],
)
def test_what_is_not_clear_on_the_command_line_is_refused(words, said):
    with pytest.raises(ConfigError, match=said):
        from_command_line(words)


def test_one_nested_value_is_changed_and_nothing_else():
    before = load(FOLDER / "smoke.yaml").recorded()
    changes = ['train={"steps": 13}', "compute={threads: 2}", "train={flip: false}"]
    after = load(FOLDER / "smoke.yaml", from_command_line(changes)).recorded()
    recipe = {"steps": 13, "flip": False}
    expected = copy.deepcopy(before)
    expected["train"] |= recipe
    expected["compute"]["threads"] = 2
    for model in expected["models"].values():
        model["train"] |= recipe
    assert after == expected and type(after["train"]["steps"]) is int


@pytest.mark.parametrize(
    ("key", "text", "cure"),
    [
        ("steps", "6", "write 6"),
        ("steps", "6.0", "write 6"),
        ("flip", "False", "write false"),
        ("learning_rate", "1e-30", r"write 1\.0e-30"),
    ],
)
def test_a_number_in_quotes_is_told_to_be_text_and_the_cure_is_accepted(smoke, key, text, cure):
    with pytest.raises(ConfigError, match=rf"(?m)train\.{key}: '{text}' .* text, {cure}$"):
        complete(change(smoke, f"train.{key}", text), "smoke.yaml")
    value = yaml.safe_load(cure.replace("\\", "").removeprefix("write "))
    complete(change(smoke, f"train.{key}", value), "smoke.yaml")


@pytest.mark.parametrize(
    ("place", "folder"),
    [
        ("~/photos", "{home}/photos"),
        ("$HOME/photos", "{home}/photos"),
        ("${HOME}", "{home}"),
        ("$PLACE/a b", "/mnt/x/a b"),
        ("sources", "sources"),
        ("./a~b", "./a~b"),
    ],
)
@pytest.mark.parametrize("by", ["data_root", "SIGHTLINES_DATA"])
def test_where_sources_lie_is_expanded_where_they_are_read(
    smoke, by, place, folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PLACE", "/mnt/x")
    monkeypatch.delenv("SIGHTLINES_DATA", raising=False)
    config = complete(smoke, "smoke.yaml")
    other = complete(smoke | {"data_root": place}, "smoke.yaml")
    if by == "SIGHTLINES_DATA":
        monkeypatch.setenv("SIGHTLINES_DATA", place)
        assert source_folder(config) == folder.format(home=tmp_path)
    assert source_folder(other) == folder.format(home=tmp_path)
    assert other.data_root == place


@pytest.mark.parametrize("place", ["$NO_SUCH_PLACE/x", "~nobody-of-this-name/x"])
def test_a_place_that_is_not_known_here_is_named(smoke, place, monkeypatch):
    monkeypatch.delenv("SIGHTLINES_DATA", raising=False)
    config = complete(smoke | {"data_root": place}, "smoke.yaml")
    with pytest.raises(ConfigError, match=r"data_root is .*write the folder out") as caught:
        source_folder(config)
    assert place in str(caught.value)


def test_a_model_s_own_recipe_is_the_common_one_with_its_changes(smoke):
    smoke["models"]["resnet"]["train"] = {"learning_rate": 0.125}
    models = complete(smoke, "smoke.yaml").models
    assert models["resnet"].train.learning_rate == 0.125
    assert models["vit_small"].train.learning_rate == 0.001
    assert models["resnet"].train.steps == smoke["train"]["steps"]


def test_networks_are_listed_once_in_order(smoke):
    smoke["runs"] *= 2
    found = networks(complete(smoke, "smoke.yaml"))
    assert len(found) == len(set(found)) == 6
    assert found[0] == Network("vit_small", "f000", "s0")


def test_where_things_lie_is_no_part_of_any_slice(smoke, monkeypatch):
    here = Experiment("x", complete(smoke, "x"))
    there = Experiment("x", complete(smoke | {"data_root": "elsewhere"}, "x"))
    net = here.networks[0]
    for cut in ("job_config_draw", "job_config_report"):
        assert getattr(here, cut)() == getattr(there, cut)()
    for part in SPLIT_KEYS:
        assert here.job_config_splits(part) == there.job_config_splits(part)
    assert here.job_config_train(net) == there.job_config_train(net)
    assert here.data_folder == there.data_folder
    monkeypatch.setenv("SIGHTLINES_DATA", "third")
    assert source_folder(there.config) == "third"


PHOTOGRAPHS = {"kind": "imagefolder", "folder": "plain", "size_px": 32}
VARIANT = "data/imagefolder-plain-9e574cbd"
"""As it is named by `PHOTOGRAPHS` alone: datasets that were prepared are found again."""


@pytest.mark.parametrize("folder", ["plain", "plain/", "./plain", ".//plain/.", "plain//"])
def test_spellings_of_one_folder_are_one_dataset(smoke, folder):
    config = smoke | {"dataset": PHOTOGRAPHS | {"folder": folder}}
    experiment = Experiment("x", complete(config, "x.yaml"))
    assert experiment.data_folder == VARIANT
    defaults = {"test_share": 0.2, "max_megapixels": 179, "white_level": "auto"}
    expected = PHOTOGRAPHS | defaults
    assert experiment.job_config_data("fingerprint")["dataset"] == expected


def test_one_folder_in_two_spellings_is_not_two_tasks(smoke):
    task = {"dataset": PHOTOGRAPHS | {"folder": "./plain/"}, "domain": "in"}
    config = smoke | {"dataset": PHOTOGRAPHS, "transfer": {"again": task}}
    with pytest.raises(ConfigError, match=r"transfer\.again\.dataset is used twice"):
        check(complete(config, "x.yaml"))


@pytest.mark.parametrize(
    ("folder", "kept"), [("a/../plain", "a/../plain"), ("/plain/", "/plain"), ("a b/", "a b")]
)
def test_what_leads_out_of_data_root_is_not_hidden_by_its_spelling(smoke, folder, kept):
    config = complete(smoke | {"dataset": PHOTOGRAPHS | {"folder": folder}}, "x.yaml")
    assert config.dataset["folder"] == kept


def test_spellings_of_one_file_of_weights_are_one_network(smoke):
    found = []
    for weights in ("w/a.pth", "./w//a.pth", "hub", "./hub", "random"):
        model = {"family": "timm", "name": "test_vit", "weights": weights}
        config = complete(change(smoke, "models", {"vit": model}), "x.yaml")
        found.append(config.models["vit"].settings["weights"])
    assert found == ["w/a.pth", "w/a.pth", "hub", "./hub", "random"]


def test_every_key_of_splits_is_in_one_part_s_slice(smoke):
    experiment = Experiment("x", complete(smoke, "x"))
    slices = [experiment.job_config_splits(part) for part in SPLIT_KEYS]
    keys = [key for cut in slices for key in cut["splits"]]
    assert sorted([*keys, "probe_pool"]) == sorted(experiment.config.splits.recorded())
    assert experiment.job_config_probe_pool()["probe_pool"] == "auto"


def test_a_label_changes_figures_but_no_network(smoke):
    old = Experiment("x", complete(smoke, "x"))
    smoke["models"]["resnet"]["label"] = "Another name"
    new = Experiment("x", complete(smoke, "x"))
    resnet = Network("resnet", "f100", "s0")
    assert old.job_config_train(resnet) == new.job_config_train(resnet)
    assert old.job_config_draw() != new.job_config_draw()


def test_the_manual_is_current_and_names_every_key():
    assert (FOLDER / "README.md").read_text() == manual.manual(), "python -m sightlines.manual"
    explained = set(re.findall(r"^(?:\| |## )`(\w+)`", manual.manual(), re.MULTILINE))
    assert set(_keys(read_schema())) <= explained


def _keys(node: Any) -> Iterator[str]:
    """Keys of a schema and of the blocks within it, but deprecated ones."""
    if isinstance(node, dict):
        own = node.get("properties", {})
        yield from (key for key, value in own.items() if "x-deprecated" not in value)
        yield from (key for value in (*own.values(), *node.values()) for key in _keys(value))


def test_the_list_of_claims_is_current():
    page = FOLDER.parents[1] / "docs" / "claims.md"
    assert page.read_text() == manual.claims(), "python -m sightlines.manual"


def test_the_list_of_claims_says_premises_and_where_published_values_are_from():
    head, _, rows = manual.claims().partition("\n## ")
    (row,) = [line for line in rows.splitlines() if line.startswith("| **C9** ")]
    assert "≥ 0.2 (0.1 matters); premise: fewer images cost accuracy; premise: with all " in row
    assert all(claim.source in head for claim in all_claims())


def test_the_page_of_tables_is_current_and_names_every_column():
    page = FOLDER.parents[1] / "docs" / "tables.md"
    assert page.read_text() == manual.tables(), "python -m sightlines.manual"
    for schema in schemas().values():
        assert f"`{schema.name}`" in page.read_text()
        for column in schema.columns:
            assert f"| `{column.name}` | {column.type} | {column.unit} |" in page.read_text()


def test_the_config_folder_of_the_checkout_is_used():
    assert Path(__file__).parents[2] / "workflow" / "config" == FOLDER


def test_a_whole_number_with_a_point_is_a_level_of_white(smoke):
    dataset = PHOTOGRAPHS | {"folder": "plain", "white_level": 1023.0}
    value = complete(smoke | {"dataset": dataset}, "x.yaml").dataset["white_level"]
    assert (value, type(value)) == (1023, int)
