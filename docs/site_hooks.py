"""What the site has besides the files of `docs/`: the README and its like, examples, the API.

The repository's Markdown is read as it is on a forge: links lead to files of the repository. On the
site they lead to its pages; a file that is no page is named and not linked; a link to what is not
there fails the build.
"""

import ast
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "README.md": "index.md",
    "workflow/config/README.md": "experiments.md",
    "results/README.md": "results.md",
    ".github/CONTRIBUTING.md": "contributing.md",
    "benchmarks/README.md": "benchmarks.md",
    "CHANGELOG.md": "changes.md",
}
"""File of the repository -> page of the site."""
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
API = """# API

`import sightlines as sl` offers these names, imported when they are first used. Each calls the
functions that the rules of an experiment call. The examples go on from these lines:

```python
import numpy as np
import sightlines as sl

pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 64, 3), dtype=np.uint8)
images = sl.images(pixels, minibatch=16)
labelled = sl.images(pixels, minibatch=16, labels=[0, 1] * 32)
vit = sl.load("test_vit", weights="random", size_px=64, name="vit")
cnn = sl.load("test_resnet", weights="random", size_px=64, name="cnn")
```

"""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the decisions in the navigation, by their titles."""
    for entry in config.nav or []:
        if "Decisions" in entry:
            entry["Decisions"] = [
                {_title(path.read_text()): f"decisions/{path.name}"}
                for path in sorted((ROOT / "docs" / "decisions").glob("*.md"))
            ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are no files of `docs/`."""
    made = {page: _rewritten(ROOT / path, page) for path, page in PAGES.items()}
    made |= {"api.md": API + "\n\n".join(_public()), "examples.md": _examples()}
    for page, text in made.items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: object, **_: object) -> str:
    """Lead the links of a file of `docs/` to pages of the site."""
    file = page.file  # type: ignore[attr-defined]
    if file.generated_by:
        return markdown
    return _linked(markdown, Path(file.abs_src_path), file.src_uri)


def _rewritten(path: Path, page: str) -> str:
    return _linked(path.read_text(encoding="utf-8"), path, page)


def _linked(text: str, path: Path, page: str) -> str:
    """Markdown whose links lead to pages of the site.

    Args:
        text: Of a file of the repository.
        path: That file.
        page: The page that is made of it.
    """
    up = "../" * page.count("/")

    def lead(found: re.Match[str]) -> str:
        mark, words, target = found.groups()
        name, hash_, anchor = target.partition("#")
        if not name or "://" in name or name.startswith("mailto:"):
            return found[0]
        there = (path.parent / name).resolve()
        if not there.exists():
            raise PluginError(f"{path.relative_to(ROOT)}: {target} is not there")
        own = there.relative_to(ROOT).as_posix()
        inner = PAGES.get(own)
        if own == "docs/examples":
            inner = "examples.md"
        elif inner is None and own.startswith("docs/") and there.is_file():
            inner = own.removeprefix("docs/")
        if inner is None or inner.endswith(".py"):
            return f"{words} (`{own}`)" if words.strip("`") != own else f"`{own}`"
        return f"{mark}[{words}]({up}{inner}{hash_}{anchor})"

    return LINK.sub(lead, text)


def _public() -> list[str]:
    """What mkdocstrings is asked for: one entry a public name, in the table's order."""
    tree = ast.parse((ROOT / "src" / "sightlines" / "__init__.py").read_text())
    (table,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "_PUBLIC"  # type: ignore[attr-defined]
    )
    return [f"::: {place.replace(':', '.')}" for place in table.values()]


def _examples() -> str:
    parts = ["# Examples\n\nThree short scripts of `docs/examples`, which the tests run."]
    for path in sorted((ROOT / "docs" / "examples").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        title = (ast.get_docstring(ast.parse(text)) or path.stem).splitlines()[0].rstrip(".")
        parts.append(f"## {title}\n\n```python\n{text}```")
    return "\n\n".join(parts)


def _title(text: str) -> str:
    return text.splitlines()[0].removeprefix("# ")
