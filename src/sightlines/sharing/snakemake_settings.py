"""Settings of Snakemake that decide whether results are those of this config and this code.

A profile of one's own (SNAKEMAKE_PROFILE, --profile, --workflow-profile) may have others, for other
workflows. Here they are set back and named; who types one is told why it is not taken.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

ONE_JOB = "SIGHTLINES_ONE_JOB"
"""Set where one job is run again beside its result, and nothing else is to be."""
CHECKSUMS = 100_000_000_000
"""Bytes up to which contents decide, and not file times."""


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        option: Its name on the command line and in a profile.
        group: Which of a workflow's groups of settings has it.
        name: Its name there.
        right: Its value as it is -> the one that results rest on.
        why: What another does.
        is_quiet: Set without a word: Snakemake's own default is another.
    """

    option: str
    group: str
    name: str
    right: Callable[[Any], Any]
    why: str
    is_quiet: bool = False


def _all_triggers(_: Any) -> Any:
    from snakemake.settings.enums import RerunTrigger

    return RerunTrigger.all()


def _in_files(_: Any) -> Any:
    from snakemake.settings.enums import PersistenceBackend

    return PersistenceBackend.FILE


SETTINGS = (
    Setting(
        "rerun-triggers",
        "dag_settings",
        "rerun_triggers",
        _all_triggers,
        "a changed config, module or command would not be seen",
    ),
    Setting(
        "max-checksum-file-size",
        "dag_settings",
        "max_checksum_file_size",
        lambda size: max(size, CHECKSUMS),
        "times of files would decide, not their contents",
        is_quiet=True,
    ),
    Setting(
        "trust-io-cache",
        "dag_settings",
        "trust_io_cache",
        lambda _: False,
        "files that changed since the last look would not be seen",
    ),
    Setting(
        "ignore-incomplete",
        "execution_settings",
        "ignore_incomplete",
        lambda _: False,
        "results of a job that was stopped would count",
    ),
    Setting(
        "keep-incomplete",
        "execution_settings",
        "keep_incomplete",
        lambda _: False,
        "results of a job that failed would count",
    ),
    Setting(
        "drop-metadata",
        "execution_settings",
        "keep_metadata",
        lambda _: True,
        "a later change would not be seen",
    ),
    Setting(
        "consider-ancient",
        "workflow_settings",
        "consider_ancient",
        lambda _: {},
        "a changed input would not be seen",
    ),
    Setting(
        "persistence-backend",
        "workflow_settings",
        "persistence_backend",
        _in_files,
        "records of earlier results would not be found",
    ),
)


def set_right(workflow: Any, words: Sequence[str] | None = None) -> str:
    """Set those that are there already to what results rest on.

    Args:
        workflow: Snakemake's; which groups of settings it has depends on how far it is.
        words: Of the command line; this process's own by default.

    Returns:
        What was set, for the person who calls; empty where nothing was.

    Raises:
        SystemExit: one was asked for on the command line; says what it would do.
    """
    if os.environ.get(ONE_JOB):
        return ""
    typed = {word.partition("=")[0] for word in (sys.argv[1:] if words is None else words)}
    changed = list(_wrong(workflow))
    asked = [setting for setting, _ in changed if f"--{setting.option}" in typed]
    if asked:
        listed = "\n".join(f"  --{setting.option}: {setting.why}" for setting in asked)
        raise SystemExit(
            "Results would not be those of this config and this code. Leave out of the command:\n"
            f"{listed}"
        )
    for setting, value in changed:
        setattr(getattr(workflow, setting.group), setting.name, value)
    told = [f"  {s.option}: {s.why}" for s, _ in changed if not s.is_quiet]
    if not told:
        return ""
    return "\n".join(["Settings of a Snakemake profile that are not taken here:", *told])


def _wrong(workflow: Any) -> Iterator[tuple[Setting, Any]]:
    for setting in SETTINGS:
        group = getattr(workflow, setting.group, None)
        if group is None:
            continue
        now = getattr(group, setting.name)
        right = setting.right(now)
        if now != right:
            yield setting, right
