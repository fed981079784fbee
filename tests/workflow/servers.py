"""Real servers on loopback: OpenSSH, WebDAV of Apache, and disks that are soon full."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SSHD = Path("/usr/sbin/sshd")
APACHE = Path("/usr/sbin/apache2")
MODULES = Path("/usr/lib/apache2/modules")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_until_open(port, seconds=20):
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert time.monotonic() < end, f"nothing listens on port {port}"
        time.sleep(0.05)


def key(path):
    path.unlink(missing_ok=True)
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(command, check=True, input=b"y\n", stdout=subprocess.DEVNULL)
    return path


@dataclass
class Ssh:
    """A running OpenSSH server."""

    folder: Path
    port: int
    process: subprocess.Popen

    @property
    def login_key(self):
        return self.folder / "id"

    @property
    def known_hosts(self):
        return self.folder / "known_hosts"

    def know(self):
        """Note the host's key as known."""
        public = (self.folder / "host.pub").read_text().split()[:2]
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {' '.join(public)}\n")

    def url(self, path):
        return f"ssh://127.0.0.1:{self.port}{path}"

    def restart(self):
        """Stop it and start it again on the same port, with the keys that lie in its folder."""
        self.process.terminate()
        self.process.wait()
        self.process = _start_sshd(self.folder, self.port)

    def environment(self):
        return {"SIGHTLINES_KNOWN_HOSTS": str(self.known_hosts)}


def _start_sshd(folder, port):
    config = folder / "sshd_config"
    config.write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nPermitRootLogin prohibit-password\n"
        "MaxSessions 100\nMaxStartups 100\nSubsystem sftp internal-sftp\n"
    )
    with contextlib.suppress(OSError):
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    quiet = subprocess.DEVNULL
    process = subprocess.Popen([SSHD, "-D", "-f", config], stdout=quiet, stderr=quiet)
    wait_until_open(port)
    return process


@contextlib.contextmanager
def ssh_server(folder) -> Iterator[Ssh]:
    if not SSHD.exists():
        pytest.skip("OpenSSH's server is not installed (Debian: openssh-server)")
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    key(folder / "host")
    shutil.copy(key(folder / "id").with_suffix(".pub"), folder / "authorized_keys")
    port = free_port()
    server = Ssh(folder, port, _start_sshd(folder, port))
    server.know()
    try:
        yield server
    finally:
        server.process.terminate()
        server.process.wait()


@contextlib.contextmanager
def webdav_server(folder) -> Iterator[str]:
    """Apache's mod_dav with the user `lab` and the password `secret`; gives its address."""
    if not (APACHE.exists() and shutil.which("htpasswd")):
        pytest.skip("Apache is not installed (Debian: apache2 and apache2-utils)")
    for name in ("root/store", "lock", "log"):
        (folder / name).mkdir(parents=True)
    subprocess.run(
        ["htpasswd", "-bcB", folder / "passwd", "lab", "secret"], check=True, capture_output=True
    )
    user = ""
    if os.geteuid() == 0:
        shutil.chown(folder, "www-data")
        for place, _, names in os.walk(folder):
            for path in (place, *(Path(place, name) for name in names)):
                shutil.chown(path, "www-data")
        for parent in folder.parents:
            if parent.stat().st_uid == 0 and str(parent).startswith("/tmp/"):
                parent.chmod(parent.stat().st_mode | 0o011)
        user = "User www-data\n"
    port = free_port()
    names = "mpm_event authn_core authn_file authz_core authz_user auth_basic dav dav_fs mime"
    loads = "".join(f"LoadModule {n}_module {MODULES}/mod_{n}.so\n" for n in names.split())
    (folder / "httpd.conf").write_text(
        f"ServerRoot {folder}\nServerName localhost\nListen 127.0.0.1:{port}\n"
        f"PidFile {folder}/pid\nErrorLog {folder}/log/error.log\n{user}{loads}"
        f"TypesConfig /etc/mime.types\nDocumentRoot {folder}/root\nDavLockDB {folder}/lock/db\n"
        f"<Directory {folder}/root>\nDav On\nAuthType Basic\nAuthName dvc\n"
        f"AuthUserFile {folder}/passwd\nRequire valid-user\n</Directory>\n"
    )
    process = subprocess.Popen([APACHE, "-f", folder / "httpd.conf", "-D", "FOREGROUND"])
    try:
        wait_until_open(port)
        yield f"webdav://127.0.0.1:{port}/store"
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def small_disk(folder, megabytes) -> Iterator[Path]:
    """A file system of a few MB; only root may make one."""
    folder.mkdir(parents=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", folder], capture_output=True
    )
    if made.returncode:
        pytest.skip(f"no small disk can be mounted here: {made.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
