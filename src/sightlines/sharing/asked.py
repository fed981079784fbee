"""What config and code ask for now, held against what each result was made from.

Snakemake compares the same, as far as its options let it: whoever shares results must not depend on
the options of one person's profile. So Snakemake only lists the jobs that there are.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sightlines.core.errors import ShareError
from sightlines.core.file_hashes import hash_files
from sightlines.core.files import read_json, write_json
from sightlines.sharing.explain import Planned, changed_code, config_changes
from sightlines.sharing.provenance import Provenance, job_code, job_config

LIST = "SIGHTLINES_LIST_JOBS"
"""Environment variable: the file in which a start of Snakemake lists its jobs."""
TRIGGERS = ("code", "input", "mtime", "params", "software-env")
NO_RECORD = "no record says how it was made"


@dataclass(frozen=True)
class Asked:
    """A job as config and code ask for it.

    Attributes:
        rule: Its rule.
        outputs: Paths of its outputs.
        config: The slice of the config that it uses.
        code: Digest of its code.
        parts: Digest of each definition of its code, by ``module:name``.
    """

    rule: str
    outputs: list[str]
    config: dict[str, Any]
    code: str
    parts: dict[str, str]


def list_jobs(jobs: Iterable[Asked]) -> None:
    """Write jobs into the file that the environment names, if it names one."""
    if path := os.environ.get(LIST):
        write_json(Path(path), [asdict(job) for job in jobs])


def commands(workflow: Any) -> Callable[[str, Iterable[str]], tuple[str, str] | None]:
    """How today's rules would make outputs, before Snakemake has planned anything.

    Returns:
        Name of a rule and outputs of one job -> digest of the job's code and the rule's command;
        None where no rule of that name makes any of them.
    """
    rules = {rule.name: rule for rule in workflow.rules}

    def command(name: str, outputs: Iterable[str]) -> tuple[str, str] | None:
        rule = rules.get(name)
        if rule is None or rule.shellcmd is None:
            return None
        output = next((path for path in outputs if rule.is_producer(path)), None)
        if output is None:
            return None
        code = rule.params.code
        if callable(code):
            code = code(SimpleNamespace(**rule.get_wildcards(output)))
        return str(code), str(rule.shellcmd)

    return command


def dry_run(config: Path) -> tuple[str, int, list[Asked]]:
    """Let Snakemake plan an experiment, by the project's own profile and with all it can compare.

    Returns:
        What Snakemake said, its exit status, and all jobs of the experiment.

    Raises:
        ShareError: it planned well and listed no jobs.
    """
    program = Path(sys.executable).with_name("snakemake")
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder, "jobs.json")
        words = ["--dry-run", "--profile", "none", "--rerun-triggers", *TRIGGERS]
        done = subprocess.run(
            [program, *words, "--configfile", config],
            capture_output=True,
            text=True,
            env=os.environ | {LIST: str(listed)},
        )
        said = done.stdout + done.stderr
        if done.returncode:
            return said, done.returncode, []
        if not listed.exists():
            raise ShareError(f"snakemake listed no jobs of {config}: {said.strip()}")
        return said, 0, [Asked(**job) for job in read_json(listed)]


def outdated(
    asked: Iterable[Asked],
    accounts: Iterable[Provenance],
    codes: Mapping[str, Mapping[str, str]],
) -> Iterator[Planned]:
    """Jobs whose outputs here were made from another config or by other code, and how they differ.

    Args:
        asked: All jobs of the experiment.
        accounts: What is recorded of jobs; of several of one output any may be right.
        codes: Definitions behind the digests of recorded code, as far as they are known.
    """
    by_output: dict[str, list[Provenance]] = {}
    for account in accounts:
        for path in account.outputs:
            by_output.setdefault(path, []).append(account)
    here = [p for job in asked for p in job.outputs if Path(p).is_file()]
    hashes = dict(zip(here, hash_files(Path(), here), strict=True))
    for job in asked:
        for path in job.outputs:
            known = [a for a in by_output.get(path, ()) if a.outputs[path] == hashes.get(path)]
            if path in hashes and (reasons := _best(job, known, codes)):
                yield Planned(job.rule, reasons)
                break


def _best(
    job: Asked, accounts: list[Provenance], codes: Mapping[str, Mapping[str, str]]
) -> list[str]:
    """How a job differs from the account that is nearest to it; empty where one is equal."""
    found = [list(_differences(job, account, codes)) for account in accounts]
    return min(found, key=len, default=[NO_RECORD])


def _differences(
    job: Asked, account: Provenance, codes: Mapping[str, Mapping[str, str]]
) -> Iterator[str]:
    config, code = job_config(account), job_code(account)
    if config != job.config:
        yield config_changes(config, job.config)
    if code != job.code:
        yield changed_code(codes.get(code, {}), job.parts)
