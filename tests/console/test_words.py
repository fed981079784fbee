import io

import pytest
from rich.console import Console

from sightlines.console import words
from sightlines.console.live import draw
from sightlines.console.run_state import PlannedJob, RunningJob, RunState

CLAIMS = """claim,statement,verdict,value,low,high,level,p
C1,ViTs are uniform,holds at initialisation,0.8,0.7,0.9,0.95,0.001
C2,ResNets are not,undecided,0.2,,,0.95,0.5
C3,"Heads, local and global",does not hold,1.5,1.1,1.9,0.975,0.0001
C4,Nothing,out of reach,,,,,
C5,More,"holds, learned",0.5,0.4,0.6,0.95,0.2
C6,Most,"holds, learned",0.5,0.4,0.6,0.95,0.3
"""


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0, "0 s"), (89.0, "89 s"), (91.0, "2 min"), (3600.0, "1 h 0 min"), (12345.0, "3 h 26 min")],
)
def test_durations(seconds, said):
    assert words.duration(seconds) == said


def test_no_estimate_is_said():
    assert words.duration(float("inf")) == "unknown"


def test_the_plan_is_a_table():
    jobs = [PlannedJob("train_network", "not made yet", 60.0)] * 3
    jobs += [PlannedJob("write_report", "follows from train_network", 1.0)]
    lines = words.plan_text(jobs, "mine", 2).splitlines()
    assert lines[0] == "mine: 4 jobs on 2 cores, about 2 min"
    assert lines[1].split() == ["stage", "jobs", "CPU", "time", "why"]
    assert lines[2].split() == ["train", "3", "3", "min", "not", "made", "yet"]
    assert lines[3].split()[:4] == ["report", "1", "1", "s"]


def test_a_failure_says_what_where_and_what_to_do(tmp_path):
    log = tmp_path / "a.log"
    log.write_text("2026-11-29 12:00:00,123 ERROR ResultError: outputs are not finite\n")
    said = words.failure_text(RunningJob("train/a", "train_network", str(log), 0.0))
    assert said.splitlines()[:3] == [
        "FAILED  train/a",
        "  ResultError: outputs are not finite",
        f"  log: {log}",
    ]


def test_a_job_that_was_killed_has_no_last_word(tmp_path):
    log = tmp_path / "a.log"
    log.write_text("2026-11-29 12:00:00,123 INFO step 12\n")
    said = words.failure_text(RunningJob("train/a", "train_network", str(log), 0.0))
    assert "perhaps it was killed" in said and "step 12" in said
    assert "perhaps it was killed" in words.failure_text(RunningJob("a", "a", "", 0.0))


def test_the_answer_counts_verdicts_and_quotes_the_clearest(tmp_path):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables/claims.csv").write_text(CLAIMS)
    said = words.answer_text(tmp_path).splitlines()
    assert said[0] == (
        "6 claims: 2 holds, learned, 1 does not hold, 1 holds at initialisation, 1 out of reach, "
        "1 undecided."
    )
    assert [line.split()[0] for line in said[1:]] == ["C3", "C1", "C5"]
    assert said[1] == "  C3 does not hold (1.5 [1.1, 1.9, 97.5 %]): Heads, local and global"
    (tmp_path / "report.html").write_text("")
    assert words.answer_text(tmp_path).endswith(f"The report: {tmp_path.as_posix()}/report.html")


def test_no_table_of_claims_is_no_error(tmp_path):
    assert words.answer_text(tmp_path) == ""


def test_a_terminal_obeys_no_name():
    assert words.visible("a\x1b[31mb\nc") == "a\N{REPLACEMENT CHARACTER}[31mb\nc"


def test_the_live_view_has_a_bar_a_stage_and_the_jobs_that_run(tmp_path):
    log = tmp_path / "results/mine/logs/train/[red]vit.log"
    log.parent.mkdir(parents=True)
    log.write_text("2026-11-29 12:00:00,123 INFO images 1/4 (25%), 3 a second, 1 s left\n")
    state = RunState(cores=1, began=0.0)
    state.plan([PlannedJob("train_network", "", 40.0)] * 2)
    state.start([1], 0.0)
    state.tell(1, "train_network", str(log))
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    console.print(draw(state, 10.0, "mine", "log.txt", lambda: (2**30, 2**34)))
    said = console.file.getvalue()
    assert "0 of 2" in said and "train/[red]vit" in said and "25 %" in said
    assert "mine: 0 of 2 jobs · 10 s so far, about 70 s left · memory 1.0 of 16 GiB" in said
