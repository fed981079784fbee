"""Settings with which results would not be those of the config and the code."""

from types import SimpleNamespace

import pytest
from snakemake.settings.enums import PersistenceBackend, RerunTrigger
from snakemake.settings.types import DAGSettings, ExecutionSettings, WorkflowSettings

from sightlines.sharing.snakemake_settings import ONE_JOB, SETTINGS, set_right

ODD = {
    "rerun-triggers": ("dag_settings", "rerun_triggers", {RerunTrigger.MTIME}, RerunTrigger.all()),
    "trust-io-cache": ("dag_settings", "trust_io_cache", True, False),
    "ignore-incomplete": ("execution_settings", "ignore_incomplete", True, False),
    "keep-incomplete": ("execution_settings", "keep_incomplete", True, False),
    "drop-metadata": ("execution_settings", "keep_metadata", False, True),
    "consider-ancient": ("workflow_settings", "consider_ancient", {"train_network": {0}}, {}),
    "persistence-backend": (
        "workflow_settings",
        "persistence_backend",
        PersistenceBackend.DB,
        PersistenceBackend.FILE,
    ),
}


def a_workflow():
    """Snakemake's own settings, as far as they are looked at."""
    return SimpleNamespace(
        dag_settings=DAGSettings(max_checksum_file_size=100_000_000_000),
        execution_settings=ExecutionSettings(),
        workflow_settings=WorkflowSettings(),
    )


def test_snakemake_s_own_settings_are_right_but_for_the_size_of_what_is_compared():
    workflow = a_workflow()
    assert set_right(workflow, []) == "" and vars(workflow) == vars(a_workflow())
    workflow.dag_settings = DAGSettings()
    assert set_right(workflow, []) == ""
    assert workflow.dag_settings.max_checksum_file_size == 100_000_000_000
    workflow.dag_settings.max_checksum_file_size = 10**12
    assert set_right(workflow, []) == ""
    assert workflow.dag_settings.max_checksum_file_size == 10**12


def test_every_setting_has_a_case():
    assert {s.option for s in SETTINGS} == {*ODD, "max-checksum-file-size"}


@pytest.mark.parametrize("option", ODD)
def test_a_profile_s_setting_is_set_back_and_named(option):
    group, name, odd, right = ODD[option]
    workflow = a_workflow()
    setattr(getattr(workflow, group), name, odd)
    said = set_right(workflow, ["-n", "--profile", "mine"])
    assert getattr(getattr(workflow, group), name) == right
    assert said.count("\n") == 1 and f"  {option}: " in said
    assert set_right(workflow, []) == ""


@pytest.mark.parametrize("form", ["--{}", "--{}=mtime"])
@pytest.mark.parametrize("option", ODD)
def test_one_that_is_typed_ends_the_call(option, form):
    group, name, odd, _ = ODD[option]
    workflow = a_workflow()
    setattr(getattr(workflow, group), name, odd)
    with pytest.raises(SystemExit, match=f"--{option}: .*would"):
        set_right(workflow, ["-n", form.format(option), "mtime"])
    assert getattr(getattr(workflow, group), name) == odd


def test_settings_that_snakemake_does_not_have_yet_wait():
    workflow = a_workflow()
    workflow.dag_settings = workflow.execution_settings = None
    assert set_right(workflow, []) == ""


def test_one_job_alone_keeps_what_it_asks_for(monkeypatch):
    monkeypatch.setenv(ONE_JOB, "1")
    workflow = a_workflow()
    workflow.dag_settings.rerun_triggers = {RerunTrigger.MTIME}
    assert set_right(workflow, ["--rerun-triggers", "mtime"]) == ""
    assert workflow.dag_settings.rerun_triggers == {RerunTrigger.MTIME}
