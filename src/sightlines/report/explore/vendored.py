"""Libraries of others that the page carries: files of their published packages, and their hashes.

docs/decisions/page_plots.md says why these. They lie here unchanged, with their licences beside
them; a file that is not the one that was published is refused.
"""

import base64
import hashlib
from pathlib import Path
from typing import NamedTuple

from sightlines.core.errors import ResultError

FOLDER = Path(__file__).parent / "vendor"


class Library(NamedTuple):
    """A JavaScript library.

    Attributes:
        name: Of its npm package.
        version: Of that package.
        file: In the folder `vendor`; in the package it is `dist/<file>`.
        licence: The file of its licence beside it.
        sha256: Of the file, in hexadecimal.
    """

    name: str
    version: str
    file: str
    licence: str
    sha256: str


LIBRARIES = (
    Library(
        "d3",
        "7.9.2",
        "d3.min.js",
        "LICENSE.d3",
        "912111098ea99503a6f4967361d2bbdc9dbf58cf9c678c8e27e5b02d1a07f0c1",
    ),
    Library(
        "@observablehq/plot",
        "0.6.17",
        "plot.umd.min.js",
        "LICENSE.plot",
        "4358086467740777dd788d6b27a95cebdbaefdd50c730a3060117073bd7134cb",
    ),
)
"""In the order in which a page must run them."""


def source(library: Library, folder: Path = FOLDER) -> str:
    """The library's text, with its licence in a comment before it.

    Raises:
        ResultError: the file is missing, or is not the published one.
    """
    path = folder / library.file
    try:
        text = path.read_bytes()
        licence = (folder / library.licence).read_text("utf-8")
    except OSError as error:
        raise ResultError(
            f"cannot read {path}: {error.strerror}; sightlines is not whole: install it again"
        ) from error
    if hashlib.sha256(text).hexdigest() != library.sha256:
        raise ResultError(
            f"{path} is not {library.name} {library.version} as published (SHA-256 "
            f"{library.sha256[:12]}…): restore it with git, or install sightlines again"
        )
    return f"/* {library.name} {library.version}\n{licence}*/\n{text.decode('utf-8')}"


def csp_hash(script: str) -> str:
    """What a Content-Security-Policy names an inline script by: ``'sha256-…'``."""
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
