"""What a config with other tasks, Mixers and ViTs without skips asks for, and what it may not."""

import copy
import json

import pytest
import yaml

from sightlines.core.errors import ConfigError
from sightlines.plan import registry, roles
from sightlines.plan.checks import check, label_needs, needs, unmet_needs
from sightlines.plan.config import complete, networks, read_schema
from sightlines.plan.dataset_settings import as_made
from sightlines.plan.experiment import Experiment, as_json
from sightlines.plan.networks import Network
from sightlines.plan.recordings import TASK_KINDS
from sightlines.results import selecting
from tests.workflow.conftest import snakemake

RAW = yaml.safe_load("""
dataset: {kind: shapes}
splits:
  {validation: 100, reference_batches: 4, reference_batch_size: 32,
   probe_train: 60, probe_held_out: 30, probe_test: 30}
models:
  vit: {family: vit, patch_px: 4, width: 24, depth: 3, heads: 3}
  bare: {family: vit, patch_px: 4, width: 24, depth: 3, heads: 3, skipless_block: 1}
  gap: {family: vit, patch_px: 4, width: 24, depth: 3, heads: 3, pool: gap}
  resnet:
    {family: resnet, units: [1, 1], channels: [32, 64], stem: medium, stem_channels: 8, groups: 4}
  mixer: {family: mixer, patch_px: 4, width: 24, depth: 3}
  fnet: {family: fnet, patch_px: 4, width: 24, depth: 3}
  hartley: {family: fnet, patch_px: 4, width: 24, depth: 3, mixing: hartley}
runs:
  - {models: [vit, resnet], fractions: [f000, f100], seeds: [s0]}
  - {models: [bare, gap, mixer], fractions: [f100], seeds: [s0]}
  - {models: [vit, bare], fractions: [f010], seeds: [s0]}
  - {models: [vit], fractions: [f100], seeds: [s1]}
train: {steps: 12, warmup_steps: 2, batch_size: 16}
transfer:
  near:
    dataset: {kind: shapes, n_train: 400, n_test: 300, n_conflict: 0, seed: 1}
    domain: in
    finetune: [vit, resnet]
    train: {steps: 5}
  far:
    dataset: {kind: textures, n_train: 400, n_test: 300}
    domain: out
    finetune: [resnet]
""")
"""Every family, every kind of ViT, and a task of either kind."""


def changed(path="", value=None, **keys):
    """RAW with one value replaced, and top-level keys replaced."""
    raw = copy.deepcopy(RAW) | copy.deepcopy(keys)
    if path:
        *above, last = path.split(".")
        node = raw
        for key in above:
            node = node[int(key) if isinstance(node, list) else key]
        node[last] = value
    return raw


def opened(raw=RAW):
    return Experiment("x", complete(raw, "x.yaml"))


def slugs(networks):
    return [n.slug for n in networks]


@pytest.fixture(scope="module")
def experiment():
    return opened()


# -- tasks -------------------------------------------------------------------------------


def test_a_setting_added_later_counts_where_it_is_set():
    network = Network("vit", "f100", "s0")
    plain = opened().job_config_train(network)["model"]
    assert "position_init" not in plain and "position_scale" not in plain
    own = RAW["models"]["vit"]
    waves = {"position_init": "sincos", "position_scale": 2.0}
    found = opened(changed("models.vit", own | waves)).job_config_train(network)["model"]
    assert found == plain | waves
    as_ever = own | {"position_init": "random", "position_scale": 1}
    assert opened(changed("models.vit", as_ever)).job_config_train(network)["model"] == plain


def test_tasks_have_datasets_and_files_of_their_own(experiment):
    assert experiment.tasks == ["near", "far"]
    assert experiment.dataset()["kind"] == "shapes" and experiment.dataset()["seed"] == 0
    assert experiment.dataset("near")["seed"] == 1
    assert experiment.dataset("far") == {
        **{"kind": "textures", "n_train": 400, "n_test": 300, "size_px": 32, "seed": 0}
    }
    files = {task: experiment.data_files(task) for task in ("", "near", "far")}
    for task, paths in files.items():
        assert paths[0].endswith("/dataset.json") and len(set(paths)) == len(paths)
        kind = experiment.dataset(task)["kind"]
        assert sorted(p.rsplit("/", 1)[1] for p in paths) == sorted(
            registry.declarations("datasets", kind)["FILES"]
        )
    folders = {paths[0].rsplit("/", 1)[0] for paths in files.values()}
    assert len(folders) == 3 and experiment.data_folder in folders
    assert experiment.task_folder("far") == "results/x/transfer/far"


def test_without_tasks_nothing_is_read_of_them():
    alone = opened(changed(transfer={}))
    assert alone.tasks == []
    for measure in ("estimator", "probes"):
        reads = alone.inputs("measures", measure)
        assert [reads[name] for name in reads if name in TASK_KINDS] == [[]]
    assert "finetuning" not in alone.measures and "figG1_finetuning" not in alone.figures
    assert "figF_probes_other_datasets" not in alone.figures
    assert "figF_probes_other_datasets" in opened().figures


# -- which networks are dumped, tuned and shown other images ---------------------------------


LISTED = [
    *("vit/f000/s0", "vit/f100/s0", "resnet/f000/s0", "resnet/f100/s0"),
    *("bare/f100/s0", "gap/f100/s0", "mixer/f100/s0"),
    *("vit/f010/s0", "bare/f010/s0", "vit/f100/s1"),
]
FURTHER = ["vit/f000/s1", "vit/f000/s2", "resnet/f000/s1_on", "resnet/f000/s2_on"]
EVERY = [*LISTED, *FURTHER[:2], "resnet/f000/s0_on", *FURTHER[2:]]
PLAIN = [s for s in EVERY if not s.startswith("bare") and s != "resnet/f000/s0"]
COMPARED = [s for s in PLAIN if "f010" not in s]
FIRST = [s for s in COMPARED if s != "vit/f100/s1"]
MAIN = [s for s in FIRST if not s.startswith(("gap", "mixer"))]
HAVE_ATTENTION = ("vit", "gap", "bare")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        *(("all", EVERY), ("plain", PLAIN), ("compared", COMPARED), ("first_seed", FIRST)),
        ("main", MAIN),
        ("main_seeds", [s for s in COMPARED if s in MAIN or s == "vit/f100/s1"]),
    ],
)
def test_the_words_of_networks(experiment, word, expected):
    assert slugs(experiment._choose(word)) == expected


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        (["vit", "gap", "resnet", "mixer", "bare"], ["vit", "resnet"]),
        (["gap", "resnet", "mixer"], ["gap", "resnet"]),
        (["gap"], ["gap"]),
        (["mixer"], ["mixer"]),
        (["bare", "mixer"], ["mixer"]),
    ],
)
def test_main_networks_are_those_of_the_main_figures(models, expected):
    """The planner and the figures agree; where there is nothing else, the others stand in."""
    runs = [{"models": models, "fractions": ["f000", "f100"], "seeds": ["s0", "s1"]}]
    experiment = opened(changed(runs=runs, transfer={}))
    assert selecting.main_models(experiment.job_config_draw()) == expected
    chosen = experiment._choose("main")
    assert slugs(n for n in chosen if n.fraction == "f100") == [f"{m}/f100/s0" for m in expected]
    controls = [f"{m}/f000/s{i}{'_on' * (m == 'resnet')}" for m in expected for i in range(3)]
    assert sorted(slugs(n for n in chosen if n.fraction == "f000")) == sorted(controls)


def test_an_untrained_vit_does_not_take_a_pooled_ones_place():
    runs = [{"models": ["vit"], "fractions": ["f000"], "seeds": ["s0"]}]
    runs += [{"models": ["gap"], "fractions": ["f100"], "seeds": ["s0"]}]
    experiment = opened(changed(runs=runs, transfer={}))
    assert "gap/f100/s0" in slugs(experiment._choose("main"))


ON = {
    "corruption": {"depth": ["fog:3"]},
    "frequency": {"depth": [2]},
    "conflict": {"depth": ["other_shape"]},
    "perturbation": {"images": 40},
}
"""Conditions without which there are no dumps of some kinds."""


@pytest.mark.parametrize("kind", registry.members("dumps"))
def test_every_kind_of_dump_gets_its_networks_of_its_families(experiment, kind):
    declared = registry.declarations("dumps", kind)
    if "ASKED" in declared:
        assert experiment.dumped(kind) == []
        experiment = opened(changed(conditions=ON))
    assert declared["NETWORKS"] in roles.WORDS
    assert declared["SPLITS"] in ("reference", "probes", "splits", "conflicts")
    expected = slugs(experiment._choose(declared["NETWORKS"]))
    if declared.get("FAMILIES"):
        plain = ("ATTENTION", "PLAIN_ATTENTION", "BRANCHES", "CLASS_TOKEN")
        assert declared["FAMILIES"] in (*plain, "ATTENTION_SITES", "TOKEN_MIXING")
    if declared.get("FAMILIES") in ("ATTENTION", "PLAIN_ATTENTION"):
        expected = [s for s in expected if s.split("/")[0] in HAVE_ATTENTION]
    if declared.get("FAMILIES") == "CLASS_TOKEN":
        expected = [s for s in expected if s.split("/")[0] == "vit"]
    if declared.get("FAMILIES") == "TOKEN_MIXING":
        expected = [s for s in expected if s.split("/")[0] in ("vit", "gap")]
    if declared.get("FAMILIES") == "ATTENTION_SITES":
        expected = []  # of networks that are no plain ViTs
    if declared["SPLITS"] != "reference" or "CONDITIONS" in declared:
        expected = [s for s in expected if s not in FURTHER]
    assert slugs(experiment.dumped(kind)) == expected
    if declared["NETWORKS"] != "all":
        assert not any(n.model == "bare" for n in experiment.dumped(kind))


def test_grams_are_of_all_networks_and_attention_of_those_that_have_it(experiment):
    assert slugs(experiment.dumped("gram")) == EVERY
    assert slugs(experiment.dumped("attention")) == [
        *("vit/f000/s0", "vit/f100/s0", "gap/f100/s0", "vit/f010/s0", "vit/f100/s1"),
        *("vit/f000/s1", "vit/f000/s2"),
    ]


def test_the_first_seed_is_the_first_of_the_runs():
    experiment = opened(changed("runs.0.seeds", ["s3", "s0"]))
    chosen = slugs(experiment._choose("first_seed"))
    assert "vit/f100/s3" in chosen and "vit/f000/s3" in chosen
    assert not any(s.endswith("f100/s0") for s in chosen if s.startswith(("vit", "resnet")))
    bare = [n for n in experiment._choose("first_seed") if n.fraction == "f000"]
    labelled = [n for n in experiment.dumped("features") if n.fraction == "f000"]
    assert slugs(labelled) == ["vit/f000/s3", "resnet/f000/s3_on"]
    assert {n.seed for n in bare if n.model == "vit"} == {"s3", "s0", "s1"}
    assert slugs(experiment.tuned("near")) == ["vit/f100/s3", "resnet/f100/s3"]


@pytest.mark.parametrize(
    ("count", "seeds", "expected"),
    [
        (1, ["s0"], []),
        (1, ["s0", "s1"], []),
        (3, ["s0"], ["s1", "s2"]),
        (3, ["s1"], ["s0", "s2"]),
        (2, ["s4", "s1", "s2"], []),
    ],
)
def test_a_model_has_as_many_initialisations_as_controls_says(count, seeds, expected):
    runs = [{"models": ["vit", "resnet"], "fractions": ["f000"], "seeds": seeds}]
    runs += [{"models": ["vit", "resnet", "mixer"], "fractions": ["f100"], "seeds": ["s0"]}]
    found = opened(changed(runs=runs, transfer={}, controls=count)).networks
    added = slugs(found[2 * len(seeds) + 3 :])
    on = [f"resnet/f000/{s}_on" for s in [*seeds, *expected]]
    assert added == [*(f"vit/f000/{s}" for s in expected), *on]


def test_more_controls_ask_for_nothing_else_of_the_networks_that_are_there():
    few, many = (opened(changed(controls=count)) for count in (1, 3))
    for network in few.networks:
        assert network in many.networks
        assert few.job_config_train(network) == many.job_config_train(network)
        for kind in registry.members("dumps"):
            assert few.job_config_dump(kind, network) == many.job_config_dump(kind, network)
            if kind != "pixels":
                assert (network in few.dumped(kind)) == (network in many.dumped(kind))


def test_files_of_what_controls_are_made_of_are_asked_for(experiment):
    folder = "results/x/models/resnet/f000/"
    for seed in ("s0", "s0_on", "s1", "s2_on"):
        assert experiment.has(f"{folder}{seed}/weights.safetensors"), seed
    assert not experiment.has(f"{folder}s3/weights.safetensors")
    assert not experiment.has(f"{folder}s3_on/weights.safetensors")


def test_tuned_networks_are_the_first_on_all_images(experiment):
    assert slugs(experiment.tuned("near")) == ["vit/f100/s0", "resnet/f100/s0"]
    assert slugs(experiment.tuned("far")) == ["resnet/f100/s0"]
    every = opened(changed("transfer.near.finetune_seeds", "all"))
    assert slugs(every.tuned("near")) == ["vit/f100/s0", "resnet/f100/s0", "vit/f100/s1"]
    assert every.tuned("far") == experiment.tuned("far")
    tuned = every.inputs("measures", "finetuning")["tuned_gram"]
    assert len(tuned) == 4 and any("near" in path and "/s1." in path for path in tuned)


def test_that_first_networks_are_tuned_is_not_recorded(experiment):
    """It was the rule before it could be chosen: what was made by it stays what it was."""
    said = opened(changed("transfer.near.finetune_seeds", "first"))
    assert as_json(said.config.transfer["near"].recorded()) == as_json(
        experiment.config.transfer["near"].recorded()
    )
    assert "finetune_seeds" not in experiment.config.transfer["near"].recorded()
    every = opened(changed("transfer.near.finetune_seeds", "all"))
    assert every.config.transfer["near"].recorded()["finetune_seeds"] == "all"
    network = Network("vit", "f100", "s0")
    assert every.job_config_train(network, "near") == said.job_config_train(network, "near")


def test_only_like_images_are_shown_as_other_reference_images(experiment):
    assert experiment.shown_other("far") == []
    assert slugs(experiment.shown_other("near")) == [
        *("vit/f100/s0", "resnet/f100/s0", "gap/f100/s0", "mixer/f100/s0")
    ]


# -- what measures and figures read -------------------------------------------------------


def test_measures_read_the_tasks_files(experiment):
    estimator = experiment.inputs("measures", "estimator")
    assert estimator["other_gram"] == [
        f"results/x/transfer/near/gram/{n.slug}.safetensors" for n in experiment.shown_other("near")
    ]
    tuning = experiment.inputs("measures", "finetuning")
    paths = ("near/{}/vit/f100/s0{}", "near/{}/resnet/f100/s0{}", "far/{}/resnet/f100/s0{}")
    here = "results/x/transfer/"
    assert tuning["tuned_gram"] == [here + p.format("tuned_gram", ".safetensors") for p in paths]
    heads = experiment.inputs("measures", "tuned_attention")["tuned_attention"]
    assert heads == [here + "near/tuned_attention/vit/f100/s0.safetensors"], "a ResNet has none"
    assert tuning["tuned_predictions"] == [
        here + p.format("tuned_shown_predictions", ".safetensors") for p in paths
    ]
    assert tuning["gram"] == [experiment.dump("gram", n) for n in experiment.networks]
    probes = experiment.inputs("measures", "probes")
    probed = [s for s in PLAIN if s not in FURTHER]
    assert probes["features"] == [f"results/x/dumps/features/{s}.safetensors" for s in probed]
    shown = [s for s in probed if s != "vit/f100/s1"]
    assert probes["transfer_features"] == [
        f"{here}{task}/features/{s}.safetensors" for task in ("near", "far") for s in shown
    ]


def test_without_probe_images_no_features_are_read():
    sizes = {k: v for k, v in RAW["splits"].items() if not k.startswith("probe_")}
    alone = opened(changed(splits=sizes))
    assert alone.inputs("measures", "probes")["transfer_features"] == []
    assert not {"probes", "token_probes"} & set(alone.measures)
    assert not [
        f for f in alone.figures if "probes" in registry.declarations("figures", f)["NEEDS"]
    ]


def test_every_input_of_every_measure_and_figure_is_a_file_that_some_rule_makes(experiment):
    """Names in READS are tables, files of models, dumps, pixels or files of other tasks."""
    made = {path for m in registry.members("measures") for path in experiment.outputs(m).values()}
    made |= {*experiment.claims.values()}
    for folder in ("measures", "figures"):
        for name in registry.members(folder):
            for read, paths in experiment.inputs(folder, name).items():
                assert len(set(paths)) == len(paths), name
                for path in paths:
                    assert path.startswith("results/x/"), path
                    assert "/tables/" not in path or path in made, f"{name} reads {read}"


def test_measures_come_after_those_whose_tables_they_read(experiment):
    writers = {t: m for m in experiment.measures for t in experiment.outputs(m).values()}
    for place, measure in enumerate(experiment.measures):
        for paths in experiment.inputs("measures", measure).values():
            for path in paths:
                if path in writers:
                    assert experiment.measures.index(writers[path]) < place
    assert len(set(experiment.measures)) == len(experiment.measures)
    assert {"accuracy", "curves", "estimator"} <= set(experiment.measures)
    drawn = [experiment.inputs("figures", f) for f in experiment.figures]
    tables = {path for reads in drawn for paths in reads.values() for path in paths}
    assert tables <= {*experiment.tables(), *experiment.claims.values()}


def test_one_figure_asks_for_its_own_tables_only():
    experiment = opened(changed(figures=["figH_mixer"]))
    assert experiment.figures == ["figH_mixer"]
    assert experiment.measures == [
        *("accuracy", "class_scores", "calibration", "curves", "estimator", "cka")
    ]


# -- slices -----------------------------------------------------------------------------


def test_a_tuned_network_depends_on_the_recipe_with_the_tasks_changes(experiment):
    network = Network("vit", "f100", "s0")
    own, tuned = experiment.job_config_train(network), experiment.job_config_train(network, "near")
    assert own["model"]["train"]["steps"] == 12 and tuned["model"]["train"]["steps"] == 5
    assert tuned["model"]["train"] == own["model"]["train"] | {"steps": 5}
    assert tuned["task"] == "near" and tuned["network"] == ["vit", "f100", "s0"]
    far = experiment.job_config_train(network, "far")
    assert far["model"] == own["model"] and far != tuned
    assert own == opened(changed("transfer.near.train", {"steps": 9})).job_config_train(network)


def test_a_model_s_own_recipe_comes_before_the_tasks():
    raw = changed("models.vit.train", {"steps": 20, "learning_rate": 0.5})
    tuned = opened(raw).job_config_train(Network("vit", "f100", "s0"), "near")["model"]["train"]
    assert (tuned["steps"], tuned["learning_rate"], tuned["batch_size"]) == (5, 0.5, 16)


def test_dumps_and_measures_depend_on_the_sections_that_they_name(experiment):
    network = Network("vit", "f100", "s0")
    fields, tokens, gram = (
        experiment.job_config_dump(kind, network)
        for kind in ("receptive_field", "token_features", "gram")
    )
    assert fields["receptive_field"] == experiment.config.receptive_field.recorded()
    assert tokens["probes"] == experiment.config.probes.recorded()
    assert set(gram) == {"network", "compute", "seed"}
    other = opened(changed(probes={"shots": 3}))
    assert other.job_config_measure("probes") != experiment.job_config_measure("probes")
    assert other.job_config_measure("cka") == experiment.job_config_measure("cka")
    assert other.job_config_dump("gram", network) == gram


def test_settings_of_models_concern_the_measures_that_name_them_alone(experiment):
    wider = opened(changed("models.resnet.channels", [64, 64]))
    differing = {
        m
        for m in registry.members("measures")
        if wider.job_config_measure(m) != experiment.job_config_measure(m)
    }
    of_similarity = {"similarity_indices", "smaller_minibatches", "token_cka"}
    assert differing == {"head_subsets", "branch_places", *of_similarity}


def test_measures_are_told_which_networks_they_read(experiment):
    cut = experiment.job_config_measure("head_subsets")
    assert cut["networks"] == cut["dumped"]["heads"]
    assert set(cut["dumped"]) == {"heads", "attention", "gram"}
    for kind, found in cut["dumped"].items():
        assert found == slugs(experiment.dumped(kind))
    run = {model for entry in RAW["runs"] for model in entry["models"]}
    assert set(cut["architectures"]) == run < set(RAW["models"])
    assert cut["architectures"]["gap"]["pool"] == "gap"
    assert not any({"train", "label"} & set(a) for a in cut["architectures"].values())
    assert "tasks" not in cut
    assert experiment.job_config_measure("estimator")["tasks"] == {"near": "in", "far": "out"}
    assert experiment.job_config_measure("finetuning")["tasks"] == {"near": "in", "far": "out"}
    assert experiment.job_config_measure("probes")["tasks"] == {"near": "in", "far": "out"}
    scored = [s for s in EVERY if s not in FURTHER]
    assert experiment.job_config_measure("accuracy")["networks"] == scored


def test_measures_that_read_no_task_do_not_depend_on_tasks(experiment):
    alone = opened(changed(transfer={}))
    network = Network("resnet", "f100", "s0")
    for measure in registry.members("measures"):
        reads = registry.declarations("measures", measure)["READS"]
        same = alone.job_config_measure(measure) == experiment.job_config_measure(measure)
        assert same != bool(TASK_KINDS.keys() & set(reads)), measure
    assert alone.job_config_train(network) == experiment.job_config_train(network)


def test_data_slices_are_of_the_task(experiment):
    own = as_made(experiment.dataset())
    assert experiment.job_config_data("abc") == {"dataset": own, "source": "abc"}
    assert experiment.job_config_data("", "far")["dataset"]["kind"] == "textures"
    assert set(experiment.job_config_claims()["tasks"]) == {"near", "far"}


@pytest.mark.whole
def test_code_is_that_of_the_tasks_dataset_and_the_networks_family(experiment):
    prepare = {task: experiment.code("datasets.prepare", task=task) for task in ("", "near", "far")}
    assert prepare[""] == prepare["near"] != prepare["far"]
    nets = [Network(m, "f100", "s0") for m in ("vit", "gap", "resnet", "mixer")]
    codes = [experiment.code("dumps.gram", n) for n in nets]
    assert codes[0] == codes[1] and len(set(codes)) == 3


def test_slices_are_plain_json_and_the_same_twice(experiment):
    again = opened()
    network = Network("vit", "f100", "s0")
    for cut in (
        *(lambda e, m=m: e.job_config_measure(m) for m in registry.members("measures")),
        *(lambda e, k=k: e.job_config_dump(k, network) for k in registry.members("dumps")),
        lambda e: e.job_config_train(network, "near"),
        lambda e: e.job_config_claims(),
        lambda e: e.job_config_report(),
        lambda e: e.job_config_pixels(),
    ):
        assert as_json(cut(experiment)) == as_json(cut(again))
        assert json.loads(as_json(cut(experiment))) == cut(experiment)


# -- needs ------------------------------------------------------------------------------


def needs_of(models, transfer=None, fractions=("f100",)):
    runs = [{"models": list(models), "fractions": list(fractions), "seeds": ["s0"]}]
    config = complete(changed(runs=runs, transfer=transfer or {}), "x.yaml")
    of_images = {"probes", "conflicts", "masks", "pictures"}
    return {word for word, (is_met, _) in needs(config).items() if is_met} - of_images


VIT = {"attention", "plain_attention", "class_token"}
HERE = {"trained", "trained_here", "branches", "changed_images", "cutout"}
"""Met by every model that is trained on all images with all its skips."""


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        (["vit"], HERE | VIT),
        (["resnet"], HERE | {"resnet"}),
        (["mixer"], HERE | {"mixer"}),
        (["bare"], {"skipless"}),
        (["vit", "bare"], HERE | VIT | {"skipless"}),
        (["vit", "gap"], HERE | VIT | {"two_models", "gap"}),
        (
            ["gap", "resnet"],
            HERE | VIT - {"class_token"} | {"two_models", "two_families", "resnet"},
        ),
        (["vit", "mixer"], HERE | VIT | {"two_models", "mixer"}),
        (["mixer", "resnet"], HERE | {"two_models", "mixer", "resnet"}),
        (["vit", "fnet"], HERE | VIT | {"two_models", "two_families", "fnet"}),
        (["fnet", "resnet"], HERE | {"two_models", "two_families", "fnet", "resnet"}),
        (["hartley", "resnet"], HERE | {"two_models", "fnet", "resnet"}),
    ],
)
def test_which_networks_meet_which_needs(models, expected):
    """Pooled ViTs and Mixers have figures of their own; ViTs without skips never stand in.

    Figure 2, which needs two families, has the FNet that mixes by a Fourier transform.
    """
    assert needs_of(models) == expected


PUBLIC = {"family": "timm", "name": "test_vit", "weights": "w.pth"}
NO_PROBES = {"probe_train": 0, "probe_held_out": 0, "probe_test": 0}


@pytest.mark.parametrize(
    ("models", "fractions", "probes", "task", "words"),
    [
        (["public"], ["f100", "f000"], False, "", []),
        (["public"], ["f100"], True, "", ["splits.probe_train"]),
        (["public", "vit"], ["f100"], False, "", ["vit is trained"]),
        (["vit", "resnet"], ["f100"], True, "", ["resnet, vit are trained", "splits.probe_train"]),
        (["vit"], ["f000"], False, "", ["vit is trained"]),
        (["public"], ["f100"], False, "near", ["vit, resnet are trained"]),
        (["public"], ["f100"], True, "far", ["resnet is trained", "splits.probe_train"]),
    ],
)
def test_what_labels_are_needed_for(models, fractions, probes, task, words):
    raw = changed(runs=[{"models": models, "fractions": fractions, "seeds": ["s0"]}])
    raw["models"]["public"] = PUBLIC
    raw["splits"] |= {} if probes else NO_PROBES
    needs = label_needs(complete(raw, "x.yaml"), task)
    assert len(needs) == len(words)
    assert all(word in need for word, need in zip(words, needs, strict=True))


def test_a_task_that_nothing_is_tuned_on_needs_no_labels_without_probes():
    raw = changed("transfer.far.finetune", [])
    raw["splits"] |= NO_PROBES
    assert label_needs(complete(raw, "x.yaml"), "far") == []


def test_needs_of_data_seeds_and_tasks():
    assert not {"less_data", "two_fractions"} & needs_of(["vit"], fractions=["f010"])
    less = needs_of(["resnet"], fractions=["f010", "f100"])
    assert "two_fractions" in less and "less_data" not in less
    assert {"less_data", "two_fractions"} <= needs_of(["vit"], fractions=["f010", "f100"])
    assert "less_data" not in needs_of(["bare"], fractions=["f010", "f100"])
    tasks = copy.deepcopy(RAW["transfer"])
    assert {"transfer", "tuned"} <= needs_of(["vit", "resnet"], tasks)
    tasks["near"]["finetune"] = tasks["far"]["finetune"] = []
    assert "transfer" in (found := needs_of(["vit"], tasks)) and "tuned" not in found


def test_every_word_of_needs_is_known():
    words = set(needs(complete(RAW, "x")))
    for folder in ("figures", "measures"):
        for name in registry.members(folder):
            assert set(registry.declarations(folder, name).get("NEEDS", ())) <= words, name


def test_unmet_needs_are_said_in_words():
    config = complete(changed(transfer={}), "x")
    assert unmet_needs("figures", "figG1_finetuning", config) == [
        "a task under transfer with models to finetune"
    ]
    assert unmet_needs("measures", "finetuning", config) == unmet_needs(
        "figures", "figG1_finetuning", config
    )
    assert unmet_needs("figures", "figH_mixer", config) == []


def test_every_figure_of_the_default_reads_only_tables_whose_measures_can_run():
    """A figure's needs hold those of the measures that it reads."""
    for figure in registry.members("figures"):
        needs = set(registry.declarations("figures", figure)["NEEDS"])
        for read in registry.declarations("figures", figure)["READS"]:
            for measure in registry.members("measures"):
                declared = registry.declarations("measures", measure)
                if read in [*declared["TABLES"], *declared.get("FILES", ())]:
                    assert set(declared.get("NEEDS", ())) <= needs, (figure, measure)


# -- what cannot work ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "transfer.near.finetune",
            ["vti"],
            r"transfer\.near\.finetune: 'vti' is not among the models trained on f100",
        ),
        ("transfer.near.finetune", ["bare"], "'bare' is not among .* with all skips"),
        (
            "transfer.far.dataset.size_px",
            48,
            r"transfer\.far: its images have 48 px, the experiment's own 32",
        ),
        (
            "transfer.near.dataset",
            {"kind": "shapes"},
            r"transfer\.near\.dataset is used twice",
        ),
        (
            "transfer.far.dataset",
            RAW["transfer"]["near"]["dataset"],
            r"transfer\.far\.dataset is used twice",
        ),
        (
            "transfer.near.dataset",
            {"kind": "imagefolder", "folder": "../x", "size_px": 32},
            r"transfer\.near\.dataset: dataset\.folder is '\.\./x'",
        ),
        (
            "transfer.near.train",
            {"steps": 2},
            r"transfer\.near\.train: vit has warmup_steps 2, .* below steps 2",
        ),
        (
            "transfer.far.train",
            {"crop_padding_px": 32},
            r"transfer\.far\.train: resnet: train\.crop_padding_px 32 reflects more",
        ),
        ("models.bare.skipless_block", 3, "skipless_block 3: with depth 3 the blocks are 0 to 2"),
        ("models.mixer.token_ratio", 0.01, "token_ratio 0.01 leaves the MLP across tokens"),
    ],
)
def test_what_cannot_work_is_named(path, value, message):
    with pytest.raises(ConfigError, match=message):
        check(complete(changed(path, value), "x"))


def test_an_offence_of_the_own_dataset_is_not_laid_on_the_tasks():
    raw = changed(dataset={"kind": "imagefolder", "folder": "/x", "size_px": 32})
    with pytest.raises(ConfigError) as caught:
        check(complete(raw, "x"))
    assert str(caught.value).count("/x") == 1 and "transfer" not in str(caught.value)


def test_a_run_of_an_unknown_model_is_the_only_offence():
    with pytest.raises(ConfigError) as caught:
        check(complete(changed("runs.3.models", ["vti"]), "x"))
    assert str(caught.value).count("\n") == 1


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "transfer.near.fintune",
            [],
            r"transfer\.near: unknown key 'fintune', nearest is 'finetune'",
        ),
        (
            "transfer.near.dataset.n_tran",
            9,
            r"transfer\.near\.dataset: unknown key 'n_tran', nearest is 'n_train'",
        ),
        (
            "transfer.far.dataset.n_conflict",
            9,
            r"transfer\.far\.dataset: unknown key 'n_conflict'",
        ),
        ("transfer.far.dataset", {}, r"transfer\.far\.dataset: missing key 'kind'"),
        (
            "transfer.far.dataset.kind",
            "texture",
            r"transfer\.far\.dataset\.kind: 'texture' is not one of .*nearest is 'textures'",
        ),
        ("transfer.near.domain", "inn", r"transfer\.near\.domain: 'inn' is not one of .*'in'"),
        ("transfer.near.train.lr", 1, r"transfer\.near\.train: unknown key 'lr'"),
        ("transfer.near.train.steps", 0, r"transfer\.near\.train\.steps: 0 is less than"),
        ("transfer.near", {"domain": "in"}, r"transfer\.near: missing key 'dataset'"),
        ("transfer.near", None, r"transfer\.near: None is not of type 'object'"),
        ("transfer", ["near"], r"transfer: \['near'\] is not of type 'object'"),
        ("transfer.Near", {}, r"transfer: 'Near' does not match"),
        ("models.bare.skipless", "mpl", r"models\.bare\.skipless: 'mpl' .* nearest is 'mlp'"),
        ("models.mixer.heads", 3, r"models\.mixer: unknown key 'heads'"),
        ("probes", {"shot": 3}, "probes: unknown key 'shot', nearest is 'shots'"),
        ("receptive_field", {"images": 1}, r"receptive_field\.images: 1 is less than"),
    ],
)
def test_schema_offences_inside_new_sections_name_the_place(path, value, message):
    with pytest.raises(ConfigError, match=message):
        complete(changed(path, value), "x.yaml")


def test_tasks_are_filled_in_but_their_recipes_stay_partial():
    config = complete(RAW, "x")
    assert config.transfer["near"].train == {"steps": 5}
    assert config.transfer["far"].train == {}
    assert config.transfer["near"].dataset["surface_tilt_deg"] == 10
    bare = complete(
        changed("transfer.far", {"dataset": {"kind": "textures"}, "domain": "out"}), "x"
    )
    assert bare.transfer["far"].finetune == ()
    assert bare.transfer["far"].dataset["n_train"] == 6000
    whole = complete(changed("transfer.near.train.learning_rate", 1), "x")
    assert type(whole.transfer["near"].train["learning_rate"]) is float


def test_the_schema_itself_is_not_changed_by_a_config():
    before = read_schema()
    complete(RAW, "x")
    complete(changed(transfer={}), "x")
    assert read_schema() == before
    with pytest.raises(ConfigError):
        complete(changed("transfer.near.dataset.n_tran", 1), "x")


@pytest.mark.workflow
def test_any_name_of_a_task_makes_rules_of_its_own(tmp_path):
    tasks = {"dataset": RAW["transfer"]["far"], "network": RAW["transfer"]["near"]}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(changed(transfer=tasks)))
    done = snakemake(tmp_path, "--configfile", tmp_path / "mine.yaml", "-n", "-q")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("models", "fractions", "asked", "pool"),
    [
        (["vit"], ["f100"], "auto", "auto"),
        (["public", "vit"], ["f100"], "test", "test"),
        (["vit"], ["f100"], "train", "train"),
        (["public"], ["f100", "f000"], "auto", "train"),
        (["vit"], ["f000"], "test", "train"),
    ],
)
def test_probes_need_a_pool_where_networks_are_trained_here(models, fractions, asked, pool):
    runs = [{"models": models, "fractions": fractions, "seeds": ["s0"]}]
    raw = changed("splits.probe_pool", asked, runs=runs, transfer={})
    raw["models"]["public"] = PUBLIC
    experiment = Experiment.__new__(Experiment)
    experiment.config = complete(raw, "x.yaml")
    experiment.networks = networks(experiment.config)
    assert experiment.job_config_probe_pool()["probe_pool"] == pool
    assert "probe_pool" not in as_json(experiment.job_config_splits("training"))


def test_verdicts_know_for_how_many_steps_tasks_trained():
    experiment = Experiment("x", complete(changed(), "x.yaml"))
    assert experiment.job_config_claims()["task_steps"] == {
        "near": {"vit": 5, "resnet": 5},
        "far": {"resnet": 12},
    }
