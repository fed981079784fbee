"""Studies: which there are, and what is left out of an experiment that does not ask for one."""

import functools
from dataclasses import replace

import pytest

from sightlines.claims import judge
from sightlines.claims.evidence import Evidence
from sightlines.core.errors import ConfigError
from sightlines.plan import registry, studies
from sightlines.plan.config import FOLDER, load
from sightlines.plan.experiment import Experiment
from sightlines.results.opening import Opened

LATER = ("dosovitskiy2020", "caron2021", "naseer2021", "paul2022", "lee_thorp2021")


@functools.cache
def read():
    return load(FOLDER / "default.yaml")


def opened(**keys):
    return Experiment("default", replace(read(), **{k: tuple(v) for k, v in keys.items()}))


def of(folder, study):
    declared = {name: registry.declarations(folder, name) for name in registry.members(folder)}
    return {name for name, own in declared.items() if own.get("STUDY", "raghu2021") == study}


def test_every_study_says_all_about_itself_and_is_the_default():
    assert tuple(studies.STUDIES) == ("raghu2021", *LATER) == read().studies
    for own in studies.STUDIES.values():
        assert own.keys() == {"title", "authors", "published", "arxiv", "short", "asks"}
        assert own["asks"].endswith("?") and all(own.values())


def test_a_module_of_an_unknown_study_is_an_error():
    with pytest.raises(KeyError, match="no study 'naser2021'; STUDY is one of raghu2021"):
        studies.study_of({"STUDY": "naser2021"})


@pytest.mark.parametrize("study", studies.STUDIES)
def test_a_study_alone_has_its_own_figures(study):
    alone = opened(studies=[study])
    assert alone.studies == [study]
    assert set(alone.figures) == of("figures", study) & set(opened().figures)


def test_what_only_other_studies_read_is_not_measured():
    everything, first = set(opened().measures), set(opened(studies=["raghu2021"]).measures)
    assert first <= everything and "cka" in first
    later = opened(studies=["lee_thorp2021"])
    assert "finetuning" not in later.measures and "accuracy" in later.measures
    assert set(later.measures) < everything
    assert later.job_config_claims()["studies"] == ["lee_thorp2021"]


def test_a_figure_of_a_study_that_is_left_out_is_an_error():
    wanted = {"studies": ["naseer2021"], "figures": ["fig01_cka_within"]}
    with pytest.raises(ConfigError, match="fig01_cka_within is of the study raghu2021, which stud"):
        opened(**wanted)
    assert opened(**wanted | {"studies": ["naseer2021", "raghu2021"]}).figures == wanted["figures"]


def evidence(asked):
    return Evidence(opened(studies=asked).job_config_claims(), Opened([]))


def judged(asked):
    """Claims that are judged, here without a table."""
    return [verdict.claim.id for verdict in judge.judge_all(evidence(asked))]


def test_claims_of_other_studies_are_not_judged():
    first = judged(["raghu2021"])
    rest = judged([*LATER])
    assert first[:2] == ["C1", "C2"] and first[-1] == "V2"
    assert not {*first} & {*rest}
    assert first + rest == [claim.id for claim in judge.all_claims()]


NOT_OF_PHOTOGRAPHS = {
    "naseer2021": {"texture_match.csv"},  # networks of several doses
    "paul2022": {"backgrounds.csv", "foreign.csv"},  # masks; other tasks
}
"""Tables of `imagenette` that there are not."""
DEPTHS = ("occlusion_depth", "corruption_depth", "frequency_depth", "conflict_depth")


@pytest.mark.parametrize("study", NOT_OF_PHOTOGRAPHS)
def test_imagenette_measures_what_photographs_and_public_networks_allow(study):
    experiment = Experiment.open(FOLDER / "imagenette.yaml")
    made = {table.rpartition("/")[2] for table in experiment.tables()}
    read = {name for claims in of("claims", study) for name in reads(claims)}
    assert read - made == NOT_OF_PHOTOGRAPHS[study]


def test_imagenette_asks_of_every_change_at_which_depth_it_is_noticed():
    experiment = Experiment.open(FOLDER / "imagenette.yaml")
    shown = {kind: {n.slug for n in experiment.dumped(kind)} for kind in DEPTHS}
    both = {"vit_tiny/f100/s0", "vit_tiny/f000/s0", "mobilenet/f100/s0", "mobilenet/f000/s0_on"}
    assert shown == dict.fromkeys(DEPTHS, both)
    assert {"condition_depth", "conflict_depth"} <= {*experiment.measures}


def reads(claims):
    return registry.declarations("claims", claims).get("READS", ())
