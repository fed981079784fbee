"""The public weights of a timm model, from the Hugging Face hub: fetched once, checked, kept.

They are looked for in this order, and only as safetensors:

    <data_root>/hub/<owner>/<name>/<file>     put there by hand, for a machine without a network
    <HF_HOME>/hub/models--<owner>--<name>     the cache of huggingface_hub, as timm uses it
    the hub                                   into that cache

huggingface_hub says what the hub has: HF_HOME, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE and the
proxies' variables hold. Its own download is not used: since version 1.18 it begins a broken one
anew (its issue 4196), it tries for minutes where no network is, and it compares no checksum.
"""

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightlines.core.errors import ConfigError, WeightsError
from sightlines.models import hub_cache
from sightlines.models.hub_cache import Stated, Wanted

_WORD = "[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_HUB_ID = re.compile(f"{_WORD}/{_WORD}")
_FILENAME = re.compile(rf"{_WORD}\.safetensors")
_REVISION = re.compile(_WORD)
_COMMIT = re.compile("[0-9a-f]{40}")
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Fetched:
    """A whole weight file on this machine.

    Attributes:
        path: Where it lies; not to be changed.
        sha256: Of its bytes.
        origin: `hf:<owner>/<name>@<commit>`, or `file:hub/<owner>/<name>/<file>` if put in place.
    """

    path: Path
    sha256: str
    origin: str


def fetch(hub_id: str, filename: str, revision: str, source: Path, log: Any) -> Fetched:
    """One weight file of a repository on the hub; from the network only if it is not here yet.

    A file put in place by hand is taken for any revision; it must be a whole safetensors file. All
    others have the SHA-256 that the hub states for them; where the hub does not answer, the one
    that their name in the cache states.

    Args:
        hub_id: `owner/name`, as timm/vit_base_patch16_224.augreg2_in21k_ft_in1k.
        filename: As model.safetensors, without a folder.
        revision: A branch, a tag or a full commit.
        source: The user's data folder (data_root or SIGHTLINES_DATA).
        log: Progress goes here.

    Raises:
        ConfigError: `hub_id`, `filename` or `revision` has another form.
        WeightsError: no network, no such file, no leave to read it, a broken connection, or bytes
            other than the hub states; those are not kept.
        DiskError: the cache cannot be written, or the disk is full.
    """
    wanted = _wanted(hub_id, filename, revision, source)
    if os.path.lexists(wanted.placed):
        _require_whole(wanted.placed, f"Delete it, or fetch {wanted.url} again and put it there.")
        origin = f"file:{wanted.placed.relative_to(source).as_posix()}"
        return Fetched(wanted.placed, hub_cache.sha256(wanted.placed), origin)
    from huggingface_hub.errors import EntryNotFoundError, HTTPError, RevisionNotFoundError

    try:
        stated = _ask(wanted, log)
    except (HTTPError, ConnectionError) as error:
        is_gone = isinstance(error, EntryNotFoundError | RevisionNotFoundError)
        found = None if is_gone else _cached(wanted, log)
        if found is None:
            raise WeightsError(
                f"cannot fetch the weights of {hub_id}: {_reason(error, wanted)}. {wanted.cure}"
            ) from error
        log.warning(f"{_reason(error, wanted)}: taking {found.origin} from {wanted.cache}")
        return found
    path = hub_cache.keep(wanted, stated, log)
    return Fetched(path, stated.sha256, f"hf:{hub_id}@{stated.commit}")


def _wanted(hub_id: str, filename: str, revision: str, source: Path) -> Wanted:
    for value, form, meaning in (
        (hub_id, _HUB_ID, "repository on the hub: owner/name"),
        (filename, _FILENAME, "weight file that is read: <name>.safetensors without a folder"),
        (revision, _REVISION, "revision: main, a tag or a commit"),
    ):
        if not form.fullmatch(value) or ".." in value or "--" in value:
            raise ConfigError(
                f"{value!r} is no name of a {meaning}, of letters, digits, '_' and single '.' or "
                "'-' between them. Fix it in the model's config."
            )
    from huggingface_hub import constants, hf_hub_url

    return Wanted(
        hub_id=hub_id,
        filename=filename,
        revision=revision,
        placed=source / "hub" / hub_id / filename,
        url=hf_hub_url(hub_id, filename, revision=revision),
        cache=Path(constants.HF_HUB_CACHE),
    )


def _require_whole(path: Path, cure: str) -> None:
    """Refuse a half-copied file, a web page or a git pointer that was saved as the weights."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is no whole safetensors file: {error}. {cure}") from error


def _ask(wanted: Wanted, log: Any) -> Stated:
    """What the hub says of the file.

    Raises:
        HTTPError: the hub is not reached, or refuses.
        ConnectionError: HF_HUB_OFFLINE is set, or what answers is no hub.
        WeightsError: the hub states no checksum.
    """
    from huggingface_hub import get_hf_file_metadata
    from huggingface_hub.errors import HfHubHTTPError

    timeout_s = float(os.environ.get("HF_HUB_ETAG_TIMEOUT", hub_cache.CONNECT_S))
    pauses = list(hub_cache.PAUSES_S)
    while True:
        try:
            found = get_hf_file_metadata(wanted.url, timeout=timeout_s)
            break
        except HfHubHTTPError as error:
            status = error.response.status_code
            if not pauses or not (status >= 500 or status in (408, 429)):
                raise
            log.info(f"{_reason(error, wanted)}; trying again")
            time.sleep(pauses.pop(0))
    if not _COMMIT.fullmatch(found.commit_hash or ""):
        raise ConnectionError("what answers is no hub: a proxy's page, or a wrong HF_ENDPOINT")
    if not _SHA256.fullmatch(found.etag or "") or found.size is None:
        raise WeightsError(
            f"{wanted.url} comes without a SHA-256 or a size, so that nothing tells whether it "
            f"arrives whole. Look at it, and put it at {wanted.placed.absolute()} yourself."
        )
    return Stated(str(found.commit_hash), str(found.etag), found.size)


def _cached(wanted: Wanted, log: Any) -> Fetched | None:
    """The cached file, if any, checked without the hub: the cache names it by its SHA-256.

    Raises:
        WeightsError: it is damaged; it was removed.
    """
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(wanted.hub_id, wanted.filename, revision=wanted.revision)
    if not isinstance(found, str):
        return None
    path = Path(found)
    digest = hub_cache.sha256(path)
    stated = path.readlink().name if path.is_symlink() else ""
    if not _SHA256.fullmatch(stated):  # a disk without links
        _require_whole(path, f"Delete it. {wanted.cure}")
        log.warning(f"the cache does not say which SHA-256 {path} should have")
    elif stated != digest:
        hub_cache.remove(path, wanted.cache)
        raise WeightsError(
            f"{path} was damaged (SHA-256 {digest} instead of {stated}); it was removed. Run "
            f"snakemake again with a network to fetch it anew. {wanted.cure}"
        )
    return Fetched(path, digest, f"hf:{wanted.hub_id}@{path.parent.name}")


def _reason(error: Exception, wanted: Wanted) -> str:
    """What is wrong in one line, and the cure where it is special."""
    from huggingface_hub import constants, errors

    page = f"{constants.ENDPOINT}/{wanted.hub_id}"
    token = "set HF_TOKEN to a token that may read it, or log in with `hf auth login`"
    if isinstance(error, errors.OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set"
    if isinstance(error, errors.GatedRepoError):
        return f"{wanted.hub_id} is gated: ask for access at {page}, then {token}"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"the hub has no {wanted.hub_id}, or it is private: mend the name, or {token}"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{wanted.hub_id} has no revision {wanted.revision!r}: see {page}/commits/main"
    if isinstance(error, errors.EntryNotFoundError):
        return f"{wanted.hub_id} has no {wanted.filename}: see {page}/tree/{wanted.revision}"
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        return f"{page} answers {status}{f': {token}' if status in (401, 403) else ''}"
    return f"{constants.ENDPOINT} is not reached ({error or type(error).__name__})"
