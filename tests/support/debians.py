"""A fresh Debian in a folder, made by debootstrap, and commands in it.

    with fresh_debian("trixie", index) as debian:
        debian.must("apt-get install -y acl")
        debian.run("uv venv demo", user="ana")

The mirror is the one that apt uses here. CACHEADMIN_TEST_DEBIANS names a folder with
systems that were made before, each called as its suite: they are copied.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.docs_site import Ended
from tests.support.packages import Index
from tests.support.running_uv import binary_for
from tests.support.users import open_temporary_folder
from tests.support.uv_releases import NEWEST, REPOSITORY

_SHIPPED = ("cacheadmin", "docs", "man", "policies", "tests", "pyproject.toml", "Makefile")
_TEXTS = ("README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md")
_CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"

_LAY_OUT = """
set -e
mount --bind "$1" "$1"
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
echo ready
exec cat
"""


@dataclass(frozen=True)
class Debian:
    """One system; ``pid`` holds its namespaces."""

    root: Path
    pid: int
    index: Index

    def run(self, text: str, *, user: str = "root", cwd: str = "", timeout: float = 600) -> Ended:
        """Run one command line as somebody in a shell with umask 022, at home or in ``cwd``."""
        home = "/root" if user == "root" else f"/home/{user}"
        become = ["setpriv", "--reuid", user, "--regid", user, "--init-groups"]
        spaces = f"/proc/{self.pid}/ns"
        command = ["nsenter", f"--mount={spaces}/mnt", f"--pid={spaces}/pid_for_children", "--"]
        command += ["chroot", os.fspath(self.root), *(become if user != "root" else [])]
        where = cwd or home
        finished = subprocess.run(
            [*command, "bash", "-o", "pipefail", "-c", f"umask 022; cd {where} || exit; {text}"],
            env={
                "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME": home,
                "LC_ALL": "C.UTF-8",
                "DEBIAN_FRONTEND": "noninteractive",
                "PIP_CERT": f"/{_CERTIFICATES}",
                "UV_INDEX_URL": self.index.url,
                "UV_PYTHON_DOWNLOADS": "never",
                "UV_NO_PROGRESS": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="surrogateescape",
            timeout=timeout,
            check=False,
        )
        return Ended(finished.returncode, finished.stdout)

    def must(self, text: str, *, user: str = "root", cwd: str = "") -> str:
        """Run a command that has to work; return its output."""
        ended = self.run(text, user=user, cwd=cwd)
        assert ended.code == 0, f"{user}: {text}: {ended.code}\n{ended.output}"
        return ended.output


@contextmanager
def fresh_debian(suite: str, index: Index) -> Iterator[Debian]:
    """Make a system with this source in /root/cacheadmin, uv, and the accounts ana and ben."""
    folder = open_temporary_folder(f"cacheadmin-{suite}-")
    root = folder / "root"
    try:
        _make(suite, root)
        shutil.copy("/etc/resolv.conf", root / "etc" / "resolv.conf")
        if Path("/", _CERTIFICATES).exists():
            shutil.copy(Path("/", _CERTIFICATES), root / _CERTIFICATES)
        source = root / "root" / "cacheadmin"
        source.mkdir()
        for name in _SHIPPED + _TEXTS:
            copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy
            copy(REPOSITORY / name, source / name)
        shutil.copy(binary_for(NEWEST), root / "usr" / "local" / "bin" / "uv")
        (root / "usr" / "local" / "bin" / "uv").chmod(0o755)
        with _running(root, index) as debian:
            for user in ("ana", "ben"):
                debian.must(f"useradd --create-home --shell /bin/bash {user}")
            yield debian
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make(suite: str, root: Path) -> None:
    made_before = os.environ.get("CACHEADMIN_TEST_DEBIANS")
    if made_before:
        subprocess.run(["cp", "-a", Path(made_before) / suite, root], check=True)
        return
    if shutil.which("debootstrap", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        pytest.skip("debootstrap is not installed")
    # The least there is, and what every server has.
    extra = "--include=ca-certificates,man-db"
    command = ["debootstrap", "--variant=minbase", extra, suite, root]
    made = subprocess.run(
        [*command, _mirror()],
        env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"no {suite} can be made here: {made.stdout[-500:]}")


def _mirror() -> str:
    """Return the mirror that apt uses here, whatever it is."""
    if shutil.which("apt-get") is None:
        pytest.skip("there is no apt here whose mirror could be used")
    told = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE) $(RELEASE)", "Created-By: Packages"],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    ).stdout
    sites = [site for site, _, suite in (line.partition(" ") for line in told.splitlines())
             if "security" not in suite + site]  # fmt: skip
    if not sites:
        pytest.skip("apt knows no mirror here: run apt-get update")
    return sites[0]


@contextmanager
def _running(root: Path, index: Index) -> Iterator[Debian]:
    spaces = ("--mount", "--pid", "--fork", "--propagation", "private")
    process = subprocess.Popen(
        ["unshare", *spaces, "bash", "-c", _LAY_OUT, "bash", root],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n", "no system: see stderr"
        yield Debian(root, process.pid, index)
    finally:
        process.stdin.close()
        process.wait(timeout=30)
