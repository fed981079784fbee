"""Fetches one archive by its official address: checksum, and resumed where it broke off."""

import hashlib
import http.client
import io
import os
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from sightlines.core.downloads import append, arriving
from sightlines.core.errors import DataError
from sightlines.core.progress import Progress

ATTEMPTS = 5
PAUSE_S = 1.0
TIMEOUT_S = 30.0
BLOCK_BYTES = 1 << 20
NOT_WRITABLE = "Make the folder writable, or set SIGHTLINES_DATA to one that is."
FULL = "Free some space and run snakemake again; what has arrived is kept."


def md5_of(path: Path) -> str:
    """MD5 of a file's bytes, in hexadecimal: what the official pages give."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def download(
    url: str, target: Path, md5: str, cure: str, log: Any, pause_s: float = PAUSE_S
) -> None:
    """Fetch `url` to `target`.

    What has arrived is kept in `<target>.part` and continued by the next try or the next run; only
    one process fetches at a time, the others wait and use what it got.

    Args:
        url: Official address.
        target: Where the archive appears once its checksum is right.
        md5: The checksum.
        cure: What to do without a network; ends the error messages.
        log: Progress goes here.
        pause_s: Wait before the second try; doubles with each.

    Raises:
        DataError: no network, the address is gone, or the checksum is wrong.
        DiskError: the folder cannot be written.
    """
    with arriving(target.with_name(f"{target.name}.part"), NOT_WRITABLE, log) as part:
        if target.exists():
            return
        for attempt in range(ATTEMPTS):
            try:
                _fetch_rest(url, part)
                break
            except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
                if attempt == ATTEMPTS - 1 or not _is_passing(error):
                    raise DataError(f"cannot download {url}: {_reason(error)}. {cure}") from error
                log.info(f"download broke off ({_reason(error)}); trying again")
                time.sleep(pause_s * 2**attempt)
        _finish(part, target, url, md5, cure)


def _fetch_rest(url: str, part: io.FileIO) -> None:
    have = part.seek(0, os.SEEK_END)
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is left to fetch: the checksum will tell
            return
        raise
    with response:
        if response.status != 206:
            have = 0
            part.truncate(0)
            part.seek(0)
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else 0
        progress = Progress(total, "bytes")
        progress.start_at(have)
        while block := response.read(BLOCK_BYTES):
            append(part, block, FULL)
            have += len(block)
            progress.update(have)
        if total and have < total:
            raise http.client.IncompleteRead(b"", total - have)


def _finish(part: io.FileIO, target: Path, url: str, md5: str, cure: str) -> None:
    path = Path(str(part.name))
    os.fsync(part.fileno())
    found = md5_of(path)
    if found != md5:
        path.unlink()
        raise DataError(
            f"{url} gave a file with md5 {found} instead of {md5}; it was deleted. "
            f"Run snakemake again to fetch it anew. {cure}"
        )
    os.replace(path, target)


def _is_passing(error: Exception) -> bool:
    """Worth another try: broken off or overloaded, but not refused, unknown or forbidden."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code >= 500 or error.code == 429
    if isinstance(error, urllib.error.URLError):
        return isinstance(error.reason, TimeoutError | ConnectionResetError)
    return True


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    if isinstance(error, http.client.IncompleteRead):
        return f"the connection ended {error.expected} bytes early"
    return str(getattr(error, "reason", None) or error)
