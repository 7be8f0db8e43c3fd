"""Auditing a cache in this process, and caches and environments made by hand.

    audited = Audited(folder, cache)               # policies and state in ``folder``
    audited.findings("link-mode", "links: {symlink: refuse}\n")
    archive = make_cache(folder / "cache")         # the smallest that counts as one
    link_environment(home / "proj", archive, user=ana)

What is made by hand has the shape uv gives it; use it where uv isn't the point.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cacheadmin.audit.one_cache import run_audit
from cacheadmin.findings import Finding
from cacheadmin.snapshot.snapshot import Snapshot, look_at
from tests.support.users import User

ARCHIVE = "Hw3nR7kq0ZbT5mXc"


@dataclass
class Audited:
    """A cache that is audited again and again, under policies that differ a little."""

    folder: Path
    cache: Path

    @contextmanager
    def look(self, text: str = "") -> Iterator[Snapshot]:
        """Look at the cache under a policy with ``text`` added."""
        path = self.folder / "policy.yaml"
        path.write_text(
            f"version: 1\nname: test\ncache: {json.dumps(os.fspath(self.cache))}\n"
            f"state: sqlite:///{self.folder}/state.sqlite\n{text}"
        )
        path.chmod(0o644)
        with look_at(str(path), report_clones=True) as snapshot:
            yield snapshot

    def findings(self, rule: str, text: str = "", owner: User | None = None) -> list[Finding]:
        """Return what one rule finds, of one owner if given.

        What this look remembers is dropped: only ``remember`` keeps something.
        """
        state = self.folder / "state.sqlite"
        before = state.read_bytes() if state.exists() else None
        with self.look(text) as snapshot:
            found = run_audit(snapshot, [rule]).findings
        if before is not None:
            state.write_bytes(before)
        else:
            state.unlink(missing_ok=True)
        failed = [finding for finding in found if finding.rule != rule]
        assert not failed, failed
        return [f for f in found if owner is None or f.owner == name_of(owner)]

    def remember(self, text: str = "") -> None:
        """Record what is there, as a prune does at its end."""
        with self.look(text) as snapshot:
            snapshot.state.remember(snapshot.evidence.environments, snapshot.now_ns)


def name_of(user: User) -> str:
    """Return what reports call a user, who has no account."""
    return f"uid {user.uid}"


def make_cache(cache: Path) -> Path:
    """Make a cache with one archive of six 1.16.0; return the archive."""
    archive = cache / "archive-v0" / ARCHIVE
    info = archive / "six-1.16.0.dist-info"
    info.mkdir(parents=True)
    (cache / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n")
    (archive / "six.py").write_text("__version__ = '1.16.0'\n")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: six\nVersion: 1.16.0\n")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\n")
    (info / "RECORD").write_text("six.py,,\nsix-1.16.0.dist-info/METADATA,,\n")
    (cache / "wheels-v6").mkdir()
    return archive


def link_environment(
    environment: Path, archive: Path, *, uv: str = "0.13.8", user: User | None = None
) -> Path:
    """Make an environment whose files are links into an archive; return its path."""
    packages = environment / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    (environment / "pyvenv.cfg").write_text(f"home = /usr/bin\nuv = {uv}\nversion_info = 3.11.2\n")
    for path in sorted(archive.rglob("*")):
        place = packages / path.relative_to(archive)
        if path.is_dir():
            place.mkdir()
        else:
            place.symlink_to(path)
    if user is not None:
        own(environment, user)
    return environment


def own(folder: Path, user: User) -> None:
    """Give a folder, and everything in it, to a user."""
    subprocess.run(["chown", "-Rh", f"{user.uid}:{user.gid}", "--", folder], check=True)


@contextmanager
def mounted(kind: str, place: Path, options: str = "rw") -> Iterator[Path]:
    """Mount an empty filesystem of a kind that needs no device; skips where it can't be had."""
    place.mkdir(exist_ok=True)
    mounting = subprocess.run(
        ["mount", "-t", kind, "-o", options, "none", place], check=False, capture_output=True
    )
    if mounting.returncode:
        pytest.skip(f"{kind} can't be mounted here: {os.fsdecode(mounting.stderr).strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def remount(place: Path, options: str) -> None:
    """Change the options of a mount."""
    subprocess.run(["mount", "-o", f"remount,{options}", place], check=True)
