"""A uv cache on a share of the lab, and the machines that use it.

    site = NfsSite(lab, "story")                 # /srv/data/story on the server
    site.b.environment("env", NEWEST, "six==1.16.0")   # on b's own disk
    site.a.cacheadmin("prune", site.a.policy(), code=0)

``a``, ``b`` and ``c`` are clients, which mount the share at different paths. ``server`` is
the server itself, where it is a folder of a local filesystem; ``c`` is the same machine,
through a mount of its own export.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import count
from typing import Any

from tests.support.nfs_lab import Done, Guest, Lab

OLD = "0.8.5"
NEW = "0.13.9"

_NUMBERS = count(1)

# Reads a line, runs it, answers: what was not imported before is imported now. Its
# pipes are opened for reading and writing, so that nobody has to hold the other end.
_SERVER = """
import os, sys
asked, told = (open(os.open(name, os.O_RDWR), mode) for name, mode in
               ((sys.argv[1] + '.asked', 'r'), (sys.argv[1] + '.told', 'w')))
print('up', file=told, flush=True)
for line in asked:
    try:
        exec(line)
        print('done', file=told, flush=True)
    except Exception as error:
        print(repr(error), file=told, flush=True)
"""


class NfsSite:
    """One cache, in a folder of its own on the share ``data``."""

    def __init__(self, lab: Lab, name: str, where: tuple[str, str, str]) -> None:
        """``where``: the paths at which the clients have mounted the share."""
        self.name = name
        self.a, self.b, self.c = (
            NfsHost(guest, f"{at}/{name}", name) for guest, at in zip(lab.users, where, strict=True)
        )
        self.server = NfsHost(lab.server, f"/srv/data/{name}", name)
        self.server.guest.sh(f"mkdir -p {self.server.shared}/cache")

    def age(self, days: int = 60, entries: Iterable[str] = (".",)) -> None:
        """Make entries of the cache, or all that is in it, look some days old, on the server."""
        self.server.guest.sh(
            f"cd {self.server.cache} && find {' '.join(entries)}"
            f" -exec touch -h -d '{days} days ago' {{}} +"
        )

    def forget_pointers(self) -> None:
        """Delete what points to archives, as another release's prune does."""
        self.server.guest.sh(
            f"cd {self.server.cache} && rm -rf wheels-v* interpreter-v* environments-v*"
        )


@dataclass
class NfsHost:
    """One machine as the users of a site's cache know it; paths are those that it sees."""

    guest: Guest
    shared: str
    """The site's folder."""

    name: str

    @property
    def cache(self) -> str:
        """The cache."""
        return f"{self.shared}/cache"

    @property
    def own(self) -> str:
        """A folder on this machine's own disk."""
        return f"/own/{self.name}"

    def uv(self, release: str, *words: str, uid: int = 0) -> Done:
        """Run a uv command; it must succeed."""
        return self.start_uv(release, *words, uid=uid).result().check()

    def start_uv(
        self, release: str, *words: str, uid: int = 0, timeout: float = 600
    ) -> Future[Done]:
        """Start a uv command; it is ended after so many seconds."""
        home = f"{self.own}/home-{uid}"
        self.guest.sh(f"mkdir -p {home}; chown {uid}:{uid} {home}")
        variables = {
            "HOME": home,
            "UV_CACHE_DIR": self.cache,
            "UV_NO_CONFIG": "1",
            "UV_NO_PROGRESS": "1",
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_INDEX_URL": "http://127.0.0.1:8000/simple/",
            "UV_LINK_MODE": "symlink",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        binary = f"/programs/uv-{release}/uv"
        return self.guest.start(binary, *words, env=variables, cwd=home, uid=uid, timeout=timeout)

    def environment(self, name: str, release: str, *requirements: str, uid: int = 0) -> str:
        """Create an environment on this machine's own disk; return its path."""
        path = f"{self.own}/home-{uid}/{name}"
        self.uv(release, "venv", "--quiet", "--python", "/usr/bin/python3", path, uid=uid)
        python = f"{path}/bin/python"
        self.uv(release, "pip", "install", "--quiet", "--python", python, *requirements, uid=uid)
        return path

    def imports(self, environment: str, modules: str) -> Done:
        """Run a program of that environment which imports modules."""
        return self.guest.run(f"{environment}/bin/python", "-B", "-c", f"import {modules}")

    def forget_names(self) -> None:
        """Have this client's kernel forget names and attributes, as a minute without use does."""
        self.guest.sh("sync; echo 3 > /proc/sys/vm/drop_caches")

    def archives(self, environment: str) -> set[str]:
        """Return the entries of the cache that an environment links to."""
        links = self.guest.sh(f"find {environment} -type l -printf '%l\\n'").stdout.splitlines()
        names = {link.partition("/archive-v0/")[2].partition("/")[0] for link in links}
        return {f"archive-v0/{name}" for name in names if name}

    def listed(self, folder: str = "archive-v0") -> set[str]:
        """Return the names in a folder of the cache, as this machine lists them now."""
        return set(self.guest.sh(f"ls -A {self.cache}/{folder}").stdout.split())

    def on_trial(self) -> set[str]:
        """Return the tripwires (decoys, too) among the archives, as this machine lists them now."""
        found = self.guest.sh(f"find {self.cache}/archive-v0 -maxdepth 1 -type l -printf '%f\n'")
        return {f"archive-v0/{name}" for name in found.stdout.split()}

    def policy(self, text: str = "", name: str = "") -> str:
        """Write this machine's policy (or another, by its name) for the cache; return its path."""
        folder = f"{self.own}/policies"
        self.guest.sh(f"mkdir -p {folder} {self.own}/state; chmod 755 {folder}")
        name = name or self.name
        lines = ["version: 1", f"name: {name}", f"cache: {self.cache}"]
        lines += [f"state: sqlite:///{self.own}/state/state.sqlite"]
        path = f"{folder}/{name}.yaml"
        self.guest.put(path, "\n".join(lines) + "\n" + text)
        return path

    def cacheadmin(self, *words: str, code: int | None = None, uid: int = 0) -> Done:
        """Run cacheadmin here; with ``code`` assert that exit code."""
        done = self.start_cacheadmin(*words, uid=uid).result()
        return done if code is None else done.check(code)

    def start_cacheadmin(self, *words: str, uid: int = 0) -> Future[Done]:
        """Start cacheadmin here."""
        home = f"{self.own}/home-{uid}"
        self.guest.sh(f"mkdir -p {home}; chown {uid}:{uid} {home}")
        return self.guest.start("/programs/bin/cacheadmin", *words, env={"HOME": home}, uid=uid)

    def waits_for(self, condition: str) -> None:
        """Wait until a shell condition holds in the site's folder, as this machine sees it."""
        script = f"cd {self.shared}; for _ in $(seq 240); do {condition} && exit; sleep 0.5; done"
        self.guest.sh(f"{script}; exit 1")

    def json(self, *words: str, code: int = 0, uid: int = 0) -> Any:
        """Run cacheadmin here, and return the document that it prints."""
        return json.loads(self.cacheadmin(*words, "--format", "json", code=code, uid=uid).stdout)

    def guard(self, policy: str) -> NfsGuard:
        """Start a guard here, and wait until it guards."""
        place = f"/tmp/{self.name}-guard-{next(_NUMBERS)}"
        script = f"echo $$ > {place}.pid; exec /programs/bin/cacheadmin guard {policy} 2> {place}"
        ended = self.guest.start("bash", "-c", script, env={"HOME": "/root"}, timeout=3600)
        guard = NfsGuard(self.guest, place, ended)
        guard.says("guarding")
        return guard

    def long_running(self, release: str, *words: str) -> LongRunning:
        """Start ``uv WORDS python``, a program that lives until it is ended."""
        place = f"/tmp/{self.name}-{release}-{next(_NUMBERS)}"
        self.guest.sh(f"mkfifo {place}.asked {place}.told")
        ended = self.start_uv(release, *words, "python", "-c", _SERVER, place, timeout=86_400)
        running = LongRunning(self.guest, place, ended)
        assert running.answer() == "up", ended.result()
        return running


@dataclass
class LongRunning:
    """A uv that waits for the program it started."""

    guest: Guest
    place: str
    ended: Future[Done]

    def answer(self) -> str:
        """Wait for the next word of the program."""
        told = self.guest.run("timeout", "120", "head", "-n", "1", f"{self.place}.told")
        if self.ended.done():
            raise AssertionError(f"it has ended: {self.ended.result()}")
        return told.stdout.strip()

    def asks(self, statement: str) -> str:
        """Have the program run a statement; return ``done``, or what it raised."""
        self.guest.run("tee", f"{self.place}.asked", text=f"{statement}\n").check()
        return self.answer()

    def end(self) -> None:
        """End the program, and so uv."""
        self.asks("open(sys.argv[1] + '.pid', 'w').write(str(os.getpid()))")
        self.guest.sh(f"kill -9 $(cat {self.place}.pid)")
        self.ended.result()


@dataclass
class NfsGuard:
    """A guard that runs on a machine."""

    guest: Guest
    place: str
    ended: Future[Done]

    def said(self) -> list[str]:
        """Return all lines that it has said so far."""
        return self.guest.sh(f"cat {self.place}").stdout.splitlines()

    def says(self, words: str, after: list[str] | None = None) -> None:
        """Wait until it says something, after what it had said before."""
        skipped = len(after or ()) + 1
        look = f"tail -n +{skipped} {self.place} | grep -q '{words}'"
        script = f"for _ in $(seq 240); do {look} && exit; sleep 0.5; done; exit 1"
        assert self.guest.run("bash", "-c", script).code == 0, self.said()
        assert not self.ended.done(), self.ended.result()

    def end(self) -> None:
        """Stop it, as a service manager does."""
        self.guest.sh(f"kill -TERM $(cat {self.place}.pid)")
        assert self.ended.result().code == 0
