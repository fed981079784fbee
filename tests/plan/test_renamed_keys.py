"""Keys by their former names: read for one release, with a warning, and nothing reruns."""

import copy
import json
import warnings
from pathlib import Path

import pytest
import yaml

from sightlines.core.errors import ConfigError
from sightlines.plan.blocks import schema_of
from sightlines.plan.config import FOLDER, complete, load, member_schema
from sightlines.plan.config_types import Config
from sightlines.plan.experiment import Experiment, as_json
from sightlines.plan.renamed_keys import MODEL, DeprecatedKeyWarning

VIT = {"family": "vit", "patch_px": 8, "width": 12, "depth": 2, "heads": 2}
PUBLIC = {"family": "timm", "name": "test_vit", "weights": "random", "size_px": 32, "patch_px": 8}
RAW = {
    "dataset": {"kind": "shapes"},
    "models": {"vit": VIT, "public": PUBLIC},
    "runs": [{"models": ["vit", "public"], "fractions": ["f000", "f100"], "seeds": ["s0"]}],
    "train": {"steps": 9},
    "splits": {"reference_batches": 4},
    "transfer": {
        "far": {"dataset": {"kind": "textures"}, "domain": "out", "finetune": ["vit"]},
    },
}


def changed(*changes):
    """RAW with values at some paths."""
    raw = copy.deepcopy(RAW)
    for path, value in changes:
        *above, last = path.split(".")
        node = raw
        for key in above:
            node = node.setdefault(key, {})
        node[last] = value
    return raw


def planned(raw):
    """What every stage's records say of a config, and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DeprecatedKeyWarning)
        experiment = Experiment("x", complete(raw, "x.yaml"))
    vit, far = experiment.networks[1], "far"
    slices = [experiment.job_config_train(network) for network in experiment.networks]
    slices += [experiment.job_config_train(vit, far), experiment.processes(vit)]
    slices += [experiment.job_config_report(), experiment.job_config_claims()]
    return as_json(slices), [str(each.message) for each in caught]


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ([("compare_grids", False)], [("require_equal_grids", False)], "the file"),
        ([("train.processes", 2)], [("train.world_size", 2)], "train"),
        (
            [("models.vit.train.processes", 2)],
            [("models.vit.train.world_size", 2)],
            "models.vit.train",
        ),
        (
            [("transfer.far.train.processes", 2)],
            [("transfer.far.train.world_size", 2)],
            "transfer.far.train",
        ),
        ([("models.public.acts_as", "other")], [("models.public.role", "other")], "models.public"),
        ([("train.second_moment", 0.9)], [("train.betas", [0.9, 0.9])], "train"),
        ([("train.momentum", 0.8)], [("train.betas", [0.8, 0.999])], "train"),
        (
            [("train.momentum", 0.8), ("train.second_moment", 0.9)],
            [("train.betas", [0.8, 0.9])],
            "train",
        ),
        (
            [("train.second_moment", 0.9), ("models.vit.train.momentum", 0.8)],
            [("train.betas", [0.9, 0.9]), ("models.vit.train.betas", [0.8, 0.9])],
            "models.vit.train",
        ),
    ],
)
@pytest.mark.whole
def test_both_names_plan_the_same_jobs_and_the_former_one_warns(old, new, place):
    jobs, said = planned(changed(*old))
    assert planned(changed(*new)) == (jobs, [])
    assert jobs != planned(RAW)[0]
    keys = [path.rpartition(".")[2] for path, _ in old]
    assert len(said) == len(keys) and all(any(f"key {key} is" in s for s in said) for key in keys)
    assert any(s.startswith(f"{place}: the key ") and "write " in s for s in said)


def test_records_have_the_names_that_they_had():
    jobs, _ = planned(changed(("train.world_size", 2), ("train.betas", [0.8, 0.9])))
    (train, *_) = json.loads(jobs)
    assert (train["model"]["train"]["processes"], train["model"]["train"]["momentum"]) == (2, 0.8)
    assert train["model"]["train"]["second_moment"] == 0.9
    assert not {"world_size", "betas"} & train["model"]["train"].keys()
    assert "compare_grids" in jobs and "require_equal_grids" not in jobs


def test_the_keys_of_an_imported_network_reach_its_family_by_the_names_that_it_declares():
    public = {"family": "timm", "name": "test_vit", "crop_pct": 0.5, "num_classes": 7}
    models = {"public": public | {"role": "other"}}
    runs = [{"models": ["public"], "fractions": ["f100"], "seeds": ["s0"]}]
    config = complete(RAW | {"models": models, "runs": runs, "transfer": {}}, "x.yaml")
    own = config.models["public"].settings
    assert (own["crop_share"], own["outputs"], own["acts_as"]) == (0.5, 7, "other")
    former = {"family": "timm", "name": "test_vit", "crop_share": 0.5, "outputs": 7}
    with pytest.warns(DeprecatedKeyWarning) as caught:
        models = {"public": former | {"acts_as": "other"}}
        again = complete(RAW | {"models": models, "runs": runs, "transfer": {}}, "x.yaml")
    assert again == config
    assert sorted(str(w.message).rpartition(" ")[2] for w in caught) == sorted(MODEL.values())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([("train.processes", 1), ("train.world_size", 1)], "train: processes .*world_size"),
        ([("compare_grids", True), ("require_equal_grids", True)], "compare_grids .*require_equal"),
        (
            [("models.public.acts_as", "vit"), ("models.public.role", "vit")],
            r"models\.public: acts_as .*role",
        ),
        (
            [("train.betas", [0.9, 0.9]), ("train.second_moment", 0.9)],
            "train: betas .*second_moment",
        ),
        ([("train.betas", [0.9, 0.9]), ("train.momentum", 0.9)], "train: betas .*momentum"),
    ],
)
def test_a_key_by_both_names_is_refused_and_both_are_named(changes, said):
    with pytest.raises(ConfigError, match=said):
        complete(changed(*changes), "x.yaml")


def test_it_is_said_beside_all_else_that_is_wrong():
    raw = changed(("train.processes", 1), ("train.world_size", 0), ("controls", 0))
    with pytest.raises(ConfigError) as caught:
        complete(raw, "x.yaml")
    for said in ("processes is the former name", "train.world_size: 0 is less", "controls: 0 is"):
        assert said in str(caught.value)


@pytest.mark.parametrize("value", [[0.9], [0.9, 1.0], [0.9, 0.9, 0.9], 0.9])
def test_betas_are_two_numbers_below_1(value):
    with pytest.raises(ConfigError, match=r"train\.betas"):
        complete(changed(("train.betas", value)), "x.yaml")


def test_sgd_keeps_its_momentum_beside_the_betas_of_adamw():
    own = [("train.betas", [0.8, 0.95]), ("train.momentum", 0.7)]
    own += [("models.public.train.optimizer", "sgd")]
    config = complete(changed(*own), "x.yaml")
    adamw, sgd = (config.models[name].train.recorded() for name in ("vit", "public"))
    assert (adamw["momentum"], adamw["second_moment"]) == (0.8, 0.95)
    assert (sgd["optimizer"], sgd["momentum"]) == ("sgd", 0.7)
    task = [("transfer.far.train", {"optimizer": "sgd"})]
    assert complete(changed(*own, *task), "x.yaml").recipe("vit", "far").recorded()[
        "momentum"
    ] == pytest.approx(0.7)


def test_a_former_name_may_stand_in_the_file_while_the_command_line_has_the_new_one(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(changed(("train.processes", 1))))
    with pytest.warns(DeprecatedKeyWarning):
        config = load(path, {"train": {"world_size": 2}})
    assert config.train.world_size == 2


def test_the_warning_names_the_file_and_its_line(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(changed(("train.processes", 2)), sort_keys=False))
    with pytest.warns(DeprecatedKeyWarning, match="write world_size") as caught:
        load(path)
    (one,) = caught
    assert Path(one.filename) == path
    assert path.read_text().splitlines()[one.lineno - 1] == "  processes: 2"


def test_shipped_configs_and_the_manual_have_no_former_names():
    former = {"compare_grids", "processes", "second_moment", *MODEL}
    for path in FOLDER.glob("*.yaml"):
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecatedKeyWarning)
            load(path)
    manual = (FOLDER / "README.md").read_text()
    assert not [key for key in former if f"| `{key}` |" in manual]
    node = schema_of(Config)["properties"]["models"]["additionalProperties"]
    assert not former & member_schema(node, "timm")["properties"].keys()


def test_a_former_name_is_no_hint():
    with pytest.raises(ConfigError, match=r"unknown key 'second_momen', nearest is (?!'second)"):
        complete(changed(("train.second_momen", 0.9)), "x.yaml")
