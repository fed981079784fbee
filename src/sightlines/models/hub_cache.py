"""Brings one file of the hub into the cache of huggingface_hub: resumed, checked, then named.

    <cache>/models--<owner>--<name>/blobs/<sha256>.part          what has arrived
                                    blobs/<sha256>               whole, and of that SHA-256
                                    snapshots/<commit>/<file>    a link to it
                                    refs/<revision>              the commit

The layout is the one that huggingface_hub documents, so that timm and others find the file:
https://huggingface.co/docs/huggingface_hub/guides/manage-cache. The bytes come by plain HTTP, as
the hub also gives the files that it keeps in its Xet storage.
"""

import contextlib
import io
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightlines.core import files
from sightlines.core.downloads import append, arriving, cannot_write
from sightlines.core.errors import DiskError, WeightsError
from sightlines.core.progress import Progress

CONNECT_S = 5.0
"""Wait for a connection, and for what the hub says of a file unless HF_HUB_ETAG_TIMEOUT is set."""
PAUSES_S = (1.0, 3.0)
"""Waits before the tries after the first; they begin anew whenever something has arrived."""

CURE = (
    "Free some space there, or set HF_HOME to a folder that can be written, and run snakemake "
    "again."
)
"""What to do where the cache cannot be written."""


@dataclass(frozen=True)
class Wanted:
    """One file of one revision.

    Attributes:
        hub_id: `owner/name`.
        filename: Without a folder.
        revision: A branch, a tag or a commit.
        placed: Where the user can put it by hand.
        url: Where to fetch it from.
        cache: The cache of huggingface_hub.
    """

    hub_id: str
    filename: str
    revision: str
    placed: Path
    url: str
    cache: Path

    @property
    def repository(self) -> Path:
        """The cache's folder of this repository."""
        return self.cache / f"models--{self.hub_id.replace('/', '--')}"

    @property
    def cure(self) -> str:
        """What helps without a network; ends the error messages."""
        return (
            f"Without a network, fetch {self.url} on another machine and put the file at "
            f"{self.placed.absolute()}."
        )


@dataclass(frozen=True)
class Stated:
    """What the hub says of a file: the commit that holds it, its SHA-256, its size in bytes."""

    commit: str
    sha256: str
    size: int


def keep(wanted: Wanted, stated: Stated, log: Any) -> Path:
    """The file that the hub states: out of the cache, or fetched into it.

    Raises:
        WeightsError: it cannot be fetched, or is not what the hub states; then it is not kept.
        DiskError: the cache cannot be written, or the disk is full.
    """
    snapshot = wanted.repository / "snapshots" / stated.commit / wanted.filename
    blob = wanted.repository / "blobs" / stated.sha256
    if not _is_intact(snapshot, wanted, stated, log):
        with arriving(blob.with_name(f"{blob.name}.part"), CURE, log) as part:
            if not _is_intact(snapshot, wanted, stated, log):
                if not _is_intact(blob, wanted, stated, log):
                    _download(wanted, stated, part, log)
                    _finish(wanted, stated, part, blob)
                _link(snapshot, blob)
    _note(wanted, stated)
    return snapshot


def sha256(path: Path) -> str:
    """SHA-256 of a weight file, in hexadecimal.

    Raises:
        WeightsError: it cannot be read.
    """
    try:
        return files.sha256(path)
    except OSError as error:
        raise WeightsError(
            f"cannot read {path}: {error.strerror}. Fix its permissions, or delete it."
        ) from error


def remove(path: Path, cache: Path) -> None:
    """Remove a file of the cache and what it links to, but nothing outside of the cache.

    Raises:
        DiskError: it cannot be removed.
    """
    chain = [path]
    while chain[-1].is_symlink():
        chain.append(chain[-1].parent / chain[-1].readlink())
    try:
        for link in chain:
            if link.parent.resolve().is_relative_to(cache.resolve()):
                link.unlink(missing_ok=True)
    except OSError as error:
        raise DiskError(
            f"{path} is damaged and cannot be removed: {error.strerror}. Delete it, or set HF_HOME "
            "to a folder of yours."
        ) from error


def _is_intact(path: Path, wanted: Wanted, stated: Stated, log: Any) -> bool:
    """Whether the file is there and what the hub states; one that is not is removed."""
    if not path.is_file():
        return False
    if path.stat().st_size == stated.size and sha256(path) == stated.sha256:
        return True
    log.warning(f"{path} is damaged: it is removed and fetched anew")
    remove(path, wanted.cache)
    return False


def _download(wanted: Wanted, stated: Stated, part: io.FileIO, log: Any) -> None:
    """Fetch what is not in `part` yet."""
    from huggingface_hub.errors import HTTPError

    have = part.seek(0, os.SEEK_END)
    if have > stated.size:
        have = part.truncate(0)
    _require_room(wanted, stated.size - have)
    here = f", of which {have / 1e6:,.1f} MB are here" if have else ""
    log.info(f"downloading {wanted.url}: {stated.size / 1e6:,.1f} MB{here}")
    progress = Progress(stated.size, "bytes")
    progress.start_at(have)
    pauses = list(PAUSES_S)
    while have < stated.size:
        before = have
        try:
            _append(wanted, stated, part, progress)
        except (HTTPError, ConnectionError) as error:
            have = part.seek(0, os.SEEK_END)
            pauses = list(PAUSES_S) if have > before else pauses
            reason = str(error) or type(error).__name__
            if not pauses:
                raise WeightsError(
                    f"the download of {wanted.url} broke off: {reason}. {have} of {stated.size} "
                    "bytes are kept: run snakemake again to go on from there. "
                    f"{wanted.cure}"
                ) from error
            log.info(f"download broke off ({reason}); trying again")
            time.sleep(pauses.pop(0))
        have = part.seek(0, os.SEEK_END)


def _require_room(wanted: Wanted, needed_bytes: int) -> None:
    free = shutil.disk_usage(wanted.repository).free
    if free < needed_bytes:
        raise DiskError(
            f"the weights of {wanted.hub_id} need {needed_bytes / 1e6:,.0f} MB, but the disk of "
            f"{wanted.cache} has {free / 1e6:,.0f} MB free. Free some space, or set HF_HOME to a "
            "folder on a larger disk."
        )


def _append(wanted: Wanted, stated: Stated, part: io.FileIO, progress: Progress) -> None:
    """Ask for what is missing, of the very commit, and write it behind what is there.

    The client of huggingface_hub takes the token away where the hub sends it on to another host.

    Raises:
        HTTPError: the connection failed or broke.
        ConnectionError: it ended early, or another answer came than the file.
        WeightsError: more arrives than the hub states.
    """
    from huggingface_hub import constants, get_session, hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    have = part.seek(0, os.SEEK_END)
    headers = build_hf_headers() | {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    patience_s = float(constants.HF_HUB_DOWNLOAD_TIMEOUT)
    with get_session().stream(
        "GET",
        hf_hub_url(wanted.hub_id, wanted.filename, revision=stated.commit),
        headers=headers,
        timeout=(CONNECT_S, patience_s, patience_s, patience_s),
    ) as response:
        if response.status_code not in (200, 206):
            raise ConnectionError(f"{response.url.host} answers {response.status_code}")
        if response.status_code == 200:
            part.truncate(0)
            have = part.seek(0)
        for block in response.iter_bytes():  # a size for them would lose the last at a cut
            have += len(block)
            if have > stated.size:
                part.truncate(0)
                raise WeightsError(
                    f"{wanted.url} gives more than the {stated.size} bytes that the hub states; "
                    f"nothing was kept. Run snakemake again later. {wanted.cure}"
                )
            append(part, block, CURE)
            progress.update(have)
    if have < stated.size:
        raise ConnectionError(f"the connection ended {stated.size - have} bytes early")


def _finish(wanted: Wanted, stated: Stated, part: io.FileIO, blob: Path) -> None:
    """Give the file its name in the cache if it is what the hub states; remove it if not."""
    path = Path(str(part.name))
    os.fsync(part.fileno())
    digest = sha256(path)
    if digest != stated.sha256:
        path.unlink()
        raise WeightsError(
            f"{wanted.url} gave a file with SHA-256 {digest} instead of {stated.sha256}; it was "
            f"deleted. Run snakemake again to fetch it anew. {wanted.cure}"
        )
    try:
        os.replace(path, blob)
    except OSError as error:
        raise cannot_write(blob, error, CURE) from error


def _link(snapshot: Path, blob: Path) -> None:
    """Make the file appear in its snapshot: as a link, or moved there where links cannot be."""
    from huggingface_hub import constants

    files.make_folder(snapshot.parent)
    temporary, whole = snapshot.with_name(f".{snapshot.name}.{os.getpid()}.part"), blob
    if not constants.HF_HUB_DISABLE_SYMLINKS:
        with contextlib.suppress(OSError):
            temporary.symlink_to(os.path.relpath(blob, snapshot.parent))
            whole = temporary
    try:
        os.replace(whole, snapshot)
    except OSError as error:
        raise cannot_write(snapshot, error, CURE) from error


def _note(wanted: Wanted, stated: Stated) -> None:
    """Let the cache know which commit the revision is, for times without a network."""
    reference = wanted.repository / "refs" / wanted.revision
    if wanted.revision == stated.commit:
        return
    if reference.exists() and reference.read_text() == stated.commit:
        return
    with contextlib.suppress(DiskError):  # a cache that is shared read-only
        with files.atomic(reference) as handle:
            handle.write(stated.commit.encode())
