import re
from pathlib import Path

import pytest

from sightlines.console.run_state import (
    PlannedJob,
    RunState,
    by_stage,
    lines_of_level,
    most_said,
    name_of,
    percent_done,
    stage_of,
)

ROOT = Path(__file__).resolve().parents[2]


def planned(rule, seconds, number=1):
    return [PlannedJob(rule, "not made yet", seconds)] * number


def state_of(*jobs, cores=1):
    state = RunState(cores=cores, began=0.0)
    state.plan([job for group in jobs for job in group])
    return state


@pytest.mark.parametrize(
    ("rule", "stage"),
    [
        ("prepare_dataset_of_textures", "data"),
        ("finetune_on_textures", "train"),
        ("dump_pixels", "data"),
        ("dump_gram_of_textures", "dumps"),
        ("measure_cka", "measures"),
        ("judge_claims", "claims"),
        ("draw_fig01_cka_within", "figures"),
        ("write_report", "report"),
    ],
)
def test_stages(rule, stage):
    assert stage_of(rule) == stage


def test_names_of_jobs():
    assert name_of("results/a/logs/train/vit/f100/s0.log", "train_network") == "train/vit/f100/s0"
    assert name_of("elsewhere.log", "some_rule") == "some_rule"
    assert name_of("", "some_rule") == "some_rule"


def test_time_left_is_what_waits_divided_by_cores():
    state = state_of(planned("train_network", 100.0, 4), planned("draw_x", 10.0), cores=2)
    assert state.seconds_left(0.0) == pytest.approx(205)
    state.start([1], 0.0)
    state.tell(1, "train_network", "results/a/logs/train/a.log")
    assert state.seconds_left(60.0) == pytest.approx(175)
    assert state.seconds_left(1e6) == pytest.approx(155)  # it takes longer, and nothing is negative


def test_estimates_are_corrected_by_the_jobs_that_have_ended():
    state = state_of(planned("train_network", 100.0, 10))
    for job in range(5):
        state.tell(job, "train_network", "")
        state.start([job], 1000.0 * job)
        state.finish(job, 1000.0 * job + 300.0)
    assert state.pace == pytest.approx((1500 + 20) / (500 + 20))
    assert state.seconds_left(5000.0) == pytest.approx(500 * state.pace)
    assert (state.finished, state.total) == (5, 10)


def test_jobs_may_be_told_before_or_after_they_start_and_fail_once():
    state = state_of(planned("train_network", 1.0, 2))
    state.start([7], 0.0)
    state.tell(7, "train_network", "results/a/logs/train/a.log")
    assert state.running[7].name == "train/a"
    assert state.fail(7, "train_network").name == "train/a"
    assert state.fail(7, "train_network") is None and not state.running
    assert state.fail(8, "train_network").name == "train_network"  # nothing more was told
    assert state.finish(9, 1.0) is None


def test_how_far_a_job_is(tmp_path):
    log = tmp_path / "a.log"
    assert percent_done(str(log)) is None
    log.write_text("x\n" * 9000 + "… INFO images 10/40 (25%), 3.1 a second, 10 s left\n")
    assert percent_done(str(log)) == 25
    log.write_text(log.read_text() + "… INFO images 20/40 (50%), 3.1 a second, 7 s left, step 3\n")
    assert percent_done(str(log)) == 50


def test_messages_of_a_level_are_whole():
    text = (
        "2026-11-29 12:00:00,123 INFO fine\n"
        "2026-11-29 12:00:01,123 WARNING two\nlines\n"
        "2026-11-29 12:00:02,123 ERROR bad\n"
    )
    assert lines_of_level(text, ("WARNING",)) == ["two\nlines"]
    assert lines_of_level(text, ("ERROR",)) == ["bad"]


def test_stages_in_their_order_with_reasons():
    jobs = planned("draw_x", 2.0) + planned("train_network", 10.0, 2)
    jobs.append(PlannedJob("train_network", "train.steps 12 → 13", 5.0))
    assert list(by_stage(jobs)) == ["train", "figures"]
    number, seconds, reasons = by_stage(jobs)["train"]
    assert (number, seconds) == (3, 25.0)
    assert most_said(reasons) == "not made yet; 1 other reason"


def test_every_rule_has_a_stage():
    """A rule that none of the beginnings fits would be counted as the report's."""
    rules = set()
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        rules |= set(re.findall(r"^rule (\w+):", path.read_text(), re.M))
    assert {rule for rule in rules if stage_of(rule) == "report"} == {"write_report"}
