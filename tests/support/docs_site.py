"""A machine that looks as the documentation says, without being another machine.

    with built_site(index) as site:
        with site.machine() as machine:
            machine.run("cacheadmin preflight ml-team")       # as root, by bash
            machine.run("uv pip install six", user="ben")

A machine is a private namespace of mounts and processes: nothing that a command
changes outside ``/tmp`` is seen on the real one, or outlives it. ``/etc``, ``/usr``, ``/var``,
``/home`` and ``/root`` are overlays, ``/srv`` and the homes of ana and ben are
new; everything else but ``/tmp`` and kernel filesystems is read-only. The cache
``/srv/uv-cache`` was built by real uv releases, of two members with umask 022,
as docs/sharing-a-uv-cache.md says.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.packages import Index
from tests.support.running_uv import binary_for
from tests.support.users import open_temporary_folder, other_users, python_for_everyone
from tests.support.uv_releases import NEWEST, REPOSITORY

TEAM_CACHE = "/srv/uv-cache"

#: Releases that machines have as ``uv-X``; ``uv`` is the newest.
OLD_RELEASES = ("0.5.10", "0.8.5", "0.9.30")

# Processes of its own too: an audit must not see what other tests run here.
_UNSHARE = ("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--propagation", "private")
_NEEDED = (REPOSITORY, Path(sys.prefix), Path(sys.base_prefix))

_LAY_OUT = """
set -e
mount -t tmpfs -o mode=755 docs "$1"
# By relative names from here on: an overlay may come to lie over the place itself.
cd "$1"
for folder in etc usr var home root; do
  mkdir -p "$folder/upper" "$folder/work"
  chmod --reference="/$folder" "$folder/upper"
  layers="lowerdir=/$folder,upperdir=$folder/upper,workdir=$folder/work"
  mount -t overlay -o "$layers" docs "/$folder"
done
mount -t tmpfs -o mode=755 docs /srv
mkdir -p /home/ana /home/ben
mount -t tmpfs -o mode=755,uid=61991,gid=61991 docs /home/ana
mount -t tmpfs -o mode=755,uid=61992,gid=61992 docs /home/ben
mount --rbind /tmp /tmp
mount -o remount,bind,ro /
rm -rf /etc/cacheadmin /etc/uv /etc/xdg/uv /var/lib/cacheadmin /root/.config /root/.cache
echo "ana:x:61991:61991::/home/ana:/bin/bash" >> /etc/passwd
echo "ben:x:61992:61992::/home/ben:/bin/bash" >> /etc/passwd
printf "ana:*:20000:0:99999:7:::\\nben:*:20000:0:99999:7:::\\n" >> /etc/shadow
printf "ana:x:61991:\\nben:x:61992:\\nuvcache:x:61990:ana,ben\\n" >> /etc/group
cp -P "$2"/bin/* /usr/bin
cp "$2"/saying/* /usr/local/bin
cp -r "$2/wheels" /usr/share/wheels
for page in "$3"/man/*.[1-9]; do
  install -D -m 644 "$page" "/usr/share/man/man${page##*.}/${page##*/}"
done
cp -r "$3/docs" "$3/policies" "$3/man" /root
if [ -e "$2/kept.tar" ]; then
  tar -x --acls --same-owner -p -f "$2/kept.tar" -C /
  install -D -m 644 "$2/uv.toml" /etc/uv/uv.toml
fi
echo ready
exec cat
"""


# uv may find its cache in a file. It is said aloud as well, so that a prune of
# another test, which sees this process too, knows that it is not at work in its
# cache. uv is not asked: releases without locks would stand in the way meanwhile.
_SAYS_WHERE = """#!/bin/sh
if [ -z "$UV_CACHE_DIR" ]; then
  UV_CACHE_DIR=$(sed -n 's/^cache-dir = "\\(.*\\)"$/\\1/p' /etc/uv/uv.toml 2>/dev/null)
  if [ -z "$UV_CACHE_DIR" ]; then
    UV_CACHE_DIR=$HOME/.cache/uv
    mkdir -p "$UV_CACHE_DIR"
  fi
fi
export UV_CACHE_DIR
exec {binary} "$@"
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended; ``output`` is what both streams had, in order."""

    code: int
    output: str


@dataclass(frozen=True)
class Machine:
    """One private machine; ``pid`` holds its namespaces."""

    pid: int
    index: Index

    def run(
        self,
        text: str,
        *,
        user: str = "root",
        shell: str = "bash -o pipefail",
        timeout: float = 120,
    ) -> Ended:
        """Run one command line as somebody, in that user's home folder, with umask 022."""
        home = "/root" if user == "root" else f"/home/{user}"
        become = ["setpriv", "--reuid", user, "--regid", user, "--init-groups"]
        begin = f"umask 022; cd {home}; exec {shell} -c "
        quoted = "'" + text.replace("'", "'\\''") + "'"
        spaces = f"/proc/{self.pid}/ns"
        command = ["nsenter", f"--mount={spaces}/mnt", f"--pid={spaces}/pid_for_children"]
        command += ["--", *(become if user != "root" else [])]
        finished = subprocess.run(
            [*command, "bash", "-c", begin + quoted],
            env={
                "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME": home,
                "LC_ALL": "C.UTF-8",
                "UV_INDEX_URL": self.index.url,
                "UV_FIND_LINKS": "/usr/share/wheels",
                "UV_PYTHON": python_for_everyone() or sys.executable,
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

    def must(self, text: str, *, user: str = "root") -> str:
        """Run a command that has to work; return its output."""
        ended = self.run(text, user=user)
        assert ended.code == 0, f"{user}: {text}: {ended.code}\n{ended.output}"
        return ended.output


@dataclass(frozen=True)
class Site:
    """Everything that machines begin with: programs, packages, the cache and the homes."""

    folder: Path
    index: Index

    @contextmanager
    def machine(self) -> Iterator[Machine]:
        """Start a machine as it was when the site was built."""
        with open_machine(self.folder, self.index) as machine:
            yield machine


def missing_for_machines() -> str:
    """Return what keeps machines from being made here, or "" if nothing does."""
    for tool in ("unshare", "nsenter", "setpriv", "setfacl", "tar"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    if any(str(place.resolve()).startswith("/srv/") for place in _NEEDED):
        return "the checkout or its Python lies below /srv, which these tests replace"
    overlay = (
        'mount -t tmpfs none "$1" && mkdir "$1/u" "$1/w" && '
        'mount -t overlay -o "lowerdir=/etc,upperdir=$1/u,workdir=$1/w" none /etc'
    )
    place = open_temporary_folder("cacheadmin-docs-")
    command = [*_UNSHARE, "sh", "-c", overlay, "sh", os.fspath(place)]
    tried = subprocess.run(command, capture_output=True, text=True, check=False)
    place.rmdir()
    return f"no private mounts here: {tried.stderr.strip()}" if tried.returncode else ""


@contextmanager
def built_site(index: Index, *, lived_in: bool = True) -> Iterator[Site]:
    """Build the site; removed afterwards. Without ``lived_in`` there is no cache yet."""
    folder = open_temporary_folder("cacheadmin-docs-site-")
    try:
        _write_programs(folder)
        write_wheel(folder / "wheels", "torch", "2.4.0")
        (folder / "uv.toml").write_text(
            f'cache-dir = "{TEAM_CACHE}"\nlink-mode = "symlink"\n'
            f'index-url = "{index.url}"\nfind-links = ["/usr/share/wheels"]\n'
        )
        if lived_in:
            with open_machine(folder, index) as machine:
                _live_in(machine, folder / "uv.toml")
                _keep(machine, folder / "kept.tar")
        yield Site(folder, index)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def open_machine(folder: Path, index: Index) -> Iterator[Machine]:
    """Start a machine; it ends, with all that was mounted, when the context does."""
    place = folder / "place"
    place.mkdir(exist_ok=True)
    arguments = [os.fspath(place), os.fspath(folder), os.fspath(REPOSITORY)]
    process = subprocess.Popen(
        [*_UNSHARE, "bash", "-c", _LAY_OUT, "bash", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n", "no machine: see stderr"
        yield Machine(process.pid, index)
    finally:
        process.stdin.close()
        process.wait(timeout=30)


def _write_programs(folder: Path) -> None:
    """Put ``cacheadmin``, the newest ``uv`` and older ``uv-X`` where machines find them."""
    programs = folder / "bin"
    programs.mkdir()
    saying = folder / "saying"
    saying.mkdir()
    anybody = other_users(1)[0]
    modules = Cacheadmin(folder).environment(anybody)["PYTHONPATH"]
    python = python_for_everyone() or sys.executable
    (programs / "cacheadmin").write_text(
        f"#!/bin/sh\nexport PYTHONPATH={modules} PYTHONDONTWRITEBYTECODE=1\n"
        f'exec {python} -m cacheadmin "$@"\n'
    )
    for name, release in (("uv", NEWEST), *((f"uv-{old}", old) for old in OLD_RELEASES)):
        (programs / name).symlink_to(binary_for(release, anybody))
        (saying / name).write_text(_SAYS_WHERE.format(binary=f"/usr/bin/{name}"))
        (saying / name).chmod(0o755)
    (programs / "cacheadmin").chmod(0o755)


def write_wheel(folder: Path, name: str, version: str) -> None:
    """Write a small pure wheel, so that examples may name a package that is large."""
    folder.mkdir()
    information = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": f"__version__ = {version!r}\n",
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{information}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\n"
        "Root-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},sha256={_digest(text)},{len(text)}\n" for path, text in files.items())
    files[f"{information}/RECORD"] = f"{record}{information}/RECORD,,\n"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _live_in(machine: Machine, settings: Path) -> None:
    """Let ana and ben work: two releases, one project each, and leftovers of an old one.

    Root has a cache of its own, for examples without a policy.
    """
    machine.must("uv venv -q own && rm -r own")
    machine.must(f"install -d -m 2775 -g uvcache {TEAM_CACHE}")
    machine.must(f"setfacl -d -m u::rwx,g::rwx,o::rx {TEAM_CACHE}")
    machine.must(f"install -D -m 644 {settings} /etc/uv/uv.toml")
    old = "0.5.10"
    for user, release, packages in (
        ("ana", old, "six==1.15.0"),
        ("ana", "0.9.30", "six==1.16.0 torch==2.4.0"),
        ("ben", NEWEST, "six==1.16.0 idna==3.7 torch==2.4.0"),
    ):
        uv = "uv" if release == NEWEST else f"uv-{release}"
        machine.must(f"{uv} venv -q --clear proj/.venv || {uv} venv -q proj/.venv", user=user)
        install = f"{uv} pip install -q --python proj/.venv/bin/python {packages}"
        machine.must(install, user=user)
        if release == old:
            machine.must("rm -r proj/.venv", user=user)
            machine.must(
                f"find {TEAM_CACHE} -exec touch --no-dereference --date='60 days ago' {{}} +"
            )


def _keep(machine: Machine, archive: Path) -> None:
    command = ["nsenter", f"--mount=/proc/{machine.pid}/ns/mnt", "--", "tar", "-c", "--acls"]
    with archive.open("wb") as out:
        places = ["srv", "home/ana", "home/ben", "root/.cache"]
        subprocess.run([*command, "-C", "/", *places], stdout=out, check=True)
