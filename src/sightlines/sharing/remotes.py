"""A remote is checked before anything goes to or comes from it.

DVC's SSH does not look at host keys, so that anybody on the way could answer in the host's place.
OpenSSH looks: it connects once before, with the user's own settings and known hosts.
"""

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from sightlines.core.errors import ShareError
from sightlines.sharing.dvc import Remote, dvc, open_repository

KNOWN_HOSTS = "SIGHTLINES_KNOWN_HOSTS"
"""Environment variable: a file of known host keys in the place of the user's."""


def prepare(remote: Remote) -> bool:
    """Check that a remote can be trusted and reached, and have it verify what it gives.

    Returns:
        Whether DVC's shared settings were changed.

    Raises:
        ShareError: names the remote, what is wrong, and the cure.
    """
    if remote.url.startswith("ssh://"):
        _check_host(remote)
    _open(remote)
    if remote.options.get("verify", "").lower() == "true":
        return False
    level = "--local" if remote.is_local else "--project"
    dvc("remote", "modify", level, remote.name, "verify", "true")
    return not remote.is_local


def _open(remote: Remote) -> None:
    """Find out now whether DVC has what it needs for this kind of remote."""
    try:
        with open_repository() as repo:
            repo.cloud.get_remote_odb(remote.name)
    except Exception as error:  # each kind of remote has errors of its own
        raise ShareError(f"remote {remote.name} ({remote.url}): {error}") from error


def look_for_losses(remote: Remote, targets: Iterable[str]) -> None:
    """Let the next push send again what the remote lost.

    DVC takes a folder's files for given where it finds the folder's listing: a file that the remote
    lost would never be sent again. So listings of folders that are not whole are taken away.

    Args:
        remote: Where the results lie.
        targets: Files of DVC, such as ``data.dvc``, or names of stages.
    """
    from dvc_data.hashfile.db import get_index

    with open_repository() as repo:
        store = repo.cloud.get_remote_odb(remote.name)
        get_index(store).clear()
        outs = [
            out for target in targets for stage in repo.stage.collect(target) for out in stage.outs
        ]
        for out in outs:
            listing = out.get_obj() if out.use_cache and out.hash_info else None
            if listing is None or not out.hash_info.isdir:
                continue
            names = {entry.value for _, _, entry in listing}
            missing = names - set(store.oids_exist(sorted(names), jobs=4))
            if missing and store.exists(out.hash_info.value):
                store.delete(out.hash_info.value)


def _check_host(remote: Remote) -> None:
    address = urlsplit(remote.url)
    host = address.hostname or ""
    if not host or host.startswith("-"):
        raise ShareError(f"remote {remote.name}: {remote.url!r} names no host")
    if shutil.which("sftp") is None:
        raise ShareError(
            "sftp is not installed (Debian: openssh-client): it checks the host's key, which DVC "
            "does not do"
        )
    if remote.options.get("password"):
        raise ShareError(
            f"remote {remote.name}: log in with a key instead of a password, so that the host can "
            "be checked first (dvc remote modify --local … keyfile …)"
        )
    options = ["BatchMode=yes", "StrictHostKeyChecking=yes", "ConnectTimeout=20"]
    if known := os.environ.get(KNOWN_HOSTS):
        options.append(f"UserKnownHostsFile={Path(known).absolute()}")
    words = ["sftp", "-b", "-", *(word for option in options for word in ("-o", option))]
    port = remote.options.get("port") or address.port
    if port:
        words += ["-P", str(port)]
    if key := remote.options.get("keyfile"):
        words += ["-i", str(Path(key).expanduser())]
    user = remote.options.get("user") or address.username
    words += ["--", f"{user}@{host}" if user else host]
    done = subprocess.run(words, input="pwd\n", capture_output=True, text=True)
    if done.returncode:
        raise ShareError(_why(remote, host, done.stderr))


def _why(remote: Remote, host: str, said: str) -> str:
    begin = f"remote {remote.name} ({remote.url})"
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in said:
        return (
            f"{begin}: the key of {host} is not the one that is known: somebody may answer in its "
            "place. Nothing was sent. Ask who runs it; if the key was changed on purpose, remove "
            f"the old one with `ssh-keygen -R {host}` and connect once with ssh"
        )
    if "Host key verification failed" in said:
        return (
            f"{begin}: the key of {host} is not known here. Nothing was sent. Connect once with "
            "ssh, compare its fingerprint with the one that its owner names, and accept it"
        )
    if "Permission denied" in said:
        return (
            f"{begin}: {host} refuses this user or key. Set them with `dvc remote modify --local "
            f"{remote.name} user …` and `… keyfile …`, or in ~/.ssh/config"
        )
    last = said.strip().splitlines()[-1:] or ["sftp failed"]
    return f"{begin}: {host} cannot be reached: {last[0]}"
