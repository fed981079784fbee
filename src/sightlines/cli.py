"""The command ``sightlines``: runs, checks, compares and opens experiments."""

import argparse
import json
import os
import shutil
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sightlines.core.checkout import exit_status, unsupported
from sightlines.core.errors import ConfigError, ResultError, SightlinesError

PIPELINE = "pip install 'sightlines[pipeline]'"


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says; end with 1 where an error of ours was raised."""
    given = _parser().parse_args(arguments)
    if given.work is _doctor:  # says what this machine is, also where nothing else works
        _doctor(given)
        sys.exit(0)
    sys.exit(exit_status(lambda: given.work(given)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sightlines", description="How does a vision model see? README.md has the whole of it."
    )
    parser.add_argument("--version", action="version", version=_version("sightlines"))
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, work: Any, about: str) -> argparse.ArgumentParser:
        own = commands.add_parser(name, help=about, description=about)
        own.set_defaults(work=work)
        return own

    run = add("run", _run, "run an experiment with snakemake, in a clone of the repository")
    run.add_argument("config", type=Path, help="its config file")
    run.add_argument("options", nargs=argparse.REMAINDER, help="for snakemake, such as -n")
    check = add("check", _check, "check config files, and run nothing")
    check.add_argument("configs", nargs="+", type=Path)
    described = add("describe", _describe, "what would be looked at in a network")
    described.add_argument(
        "network", help="timm's name of it; for more, python -m sightlines.models"
    )
    described.add_argument("--json", action="store_true", help="as JSON")
    described.add_argument("--size-px", type=int, help="side of the images; its own by default")
    described.add_argument("--family", default="timm", help="torchvision, transformers, open_clip")
    compare = add("compare", _compare, "what differs between two experiments' results")
    compare.add_argument("one", type=Path, help="a folder such as results/default")
    compare.add_argument("other", type=Path)
    compare.add_argument(
        "--page", type=Path, help="also write a page for the browser, to this file"
    )
    shown = add("open", _open, "open an experiment's report in the browser")
    shown.add_argument("results", type=Path, help="a folder such as results/default")
    doctor = add("doctor", _doctor, "versions, processor, GPU, memory, disk, remotes: for a report")
    doctor.add_argument("--json", action="store_true", help="as JSON")
    return parser


def _run(given: argparse.Namespace) -> None:
    if not Path("Snakefile").is_file() or not Path("workflow/rules").is_dir():
        raise ConfigError(
            f"{Path.cwd()} has no Snakefile of sightlines: run this in a clone of the repository"
        )
    program = Path(sys.executable).with_name("snakemake")
    found = str(program) if program.exists() else shutil.which("snakemake")
    if not found:
        raise ConfigError(f"snakemake is not installed: {PIPELINE}")
    if not given.config.is_file():
        raise ConfigError(f"there is no config file {given.config}")
    os.execv(found, [found, "--configfile", str(given.config), *given.options])


def _check(given: argparse.Namespace) -> bool:
    from sightlines.plan.experiment import Experiment

    is_fine = True
    for path in given.configs:
        try:
            experiment = Experiment.open(path)
        except SightlinesError as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            is_fine = False
            continue
        figures = len(experiment.figures)
        print(f"{path}: no errors; {len(experiment.networks)} networks, {figures} figures")
    return is_fine


def _describe(given: argparse.Namespace) -> None:
    from sightlines.models.described_families import FAMILIES, described
    from sightlines.models.description import as_text

    if given.family not in FAMILIES:
        raise ConfigError(f"no family {given.family!r}: there are {', '.join(FAMILIES)}")
    found = described(given.family, given.network, size_px=given.size_px)
    print(json.dumps(found, indent=2) if given.json else as_text(found))


def _compare(given: argparse.Namespace) -> None:
    from sightlines.core.files import atomic
    from sightlines.library.comparing import compare, page
    from sightlines.library.results import open_results

    one, other = open_results(given.one), open_results(given.other)
    for title, table in compare(one, other).items():
        print(f"\n{title}")
        print(table.to_string(index=False) if len(table) else "  nothing")
    if given.page:
        with atomic(given.page) as handle:
            handle.write(page(one, other).encode())
        print(f"\nThe page: {given.page}")


def _open(given: argparse.Namespace) -> None:
    page = given.results / "report.html"
    if not page.is_file():
        raise ResultError(f"there is no {page}: run the experiment, or pull its results")
    print(page)
    webbrowser.open(page.resolve().as_uri())


def _doctor(given: argparse.Namespace) -> None:
    facts = examine()
    if given.json:
        print(json.dumps(facts, indent=1))
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"{name:<{width}}  {value}")


def examine() -> dict[str, str]:
    """What a report of a fault should say of this machine: no host, user or folder names."""
    from sightlines.core.hardware import describe_hardware

    own = describe_hardware()
    facts = {"sightlines": _version("sightlines"), "Python": sys.version.split()[0]}
    facts |= {name: _version(name) for name in ("torch", "torchvision", "timm", "numpy", "pandas")}
    for name in ("snakemake", "dvc"):
        facts[name] = _version(name)
        if facts[name] == "not installed":
            facts[name] += f"; for the pipeline: {PIPELINE}"
    if reason := unsupported():
        own["system"] += f": {reason}"
    facts |= {"system": own["system"], "processor": f"{own['processor']}, {own['cores']} cores"}
    facts |= _accelerators()
    facts["memory"] = _memory()
    facts["disk"] = f"{shutil.disk_usage('.').free / 1e9:.0f} GB free here"
    facts["remotes"] = ", ".join(_remotes()) or "none"
    return facts


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _accelerators() -> dict[str, str]:
    try:
        import torch
    except ImportError:
        return {"GPU": "torch is not installed"}
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    facts = {
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "GPU": ", ".join(names) or "none that torch can use",
    }
    if torch.backends.mps.is_available():
        facts["GPU"] = "Apple's (MPS), which is not supported: see docs/troubleshooting.md"
    return facts


def _memory() -> str:
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return "unknown"
    return f"{pages * size / 2**30:.1f} GiB"


def _remotes() -> list[str]:
    """Names of DVC's remotes and how they are reached, without their addresses."""
    import configparser

    found = {}
    for name in (".dvc/config", ".dvc/config.local"):
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read(name)
        except configparser.Error:
            continue
        for section in parser.sections():
            if section.strip("'").startswith('remote "'):
                url = parser.get(section, "url", fallback="")
                kind = url.partition("://")[0] if "://" in url else "folder"
                found[section.split('"')[1]] = kind
    return [f"{name} ({kind})" for name, kind in found.items()]


if __name__ == "__main__":
    main()
