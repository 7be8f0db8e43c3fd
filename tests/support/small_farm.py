"""A small cache and environments, made by hand in milliseconds, and looks at them.

For tests that change environments hundreds of times in ways that uv would not:
    with SmallFarm(folder) as farm:
        farm.install("one", 0); farm.look()
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgpack

from cacheadmin.evidence.collection import scan_candidates
from cacheadmin.evidence.environments import Candidate, ScanOptions
from cacheadmin.evidence.facts import Environment, EnvironmentKind
from cacheadmin.evidence.look import Look
from cacheadmin.evidence.memory import Memory
from cacheadmin.inventory.cache_folder import OpenCache
from cacheadmin.inventory.entries import Inventory
from cacheadmin.inventory.reader import open_cache
from cacheadmin.policy.model import Policy
from cacheadmin.readers import Question, ReaderLimits, Readers
from cacheadmin.state.memory_file import MemoryFile
from cacheadmin.state.remembered_inventory import read_inventory_with_memory

DAY_NS = 86_400 * 10**9


class InThisProcess:
    """Answers questions as readers do, without a process: what they see is not in question."""

    limits = ReaderLimits()

    def __init__(self, before_scan: Callable[[], None] | None = None) -> None:
        self.scanned: list[str] = []
        """Paths of environments that were scanned, in order."""
        self._before_scan = before_scan

    def renew(self) -> None:
        """Forget nothing: each question looks."""

    def ask_all(
        self, question: Question[Any, Any], items: Iterable[Any], **settings: Any
    ) -> list[Any]:
        listed = list(items)
        if self._before_scan is not None and any(hasattr(item, "candidate") for item in listed):
            self._before_scan()
        self.scanned += [item.candidate.path for item in listed if hasattr(item, "candidate")]
        return [question.read(item) for item in listed]


class SmallFarm:
    """One cache with a few archives, and environments beside it."""

    def __init__(self, folder: Path, archives: int = 5) -> None:
        self.folder = folder
        self.cache = folder / "cache"
        self.envs = folder / "envs"
        self.policy = Policy(version=1, name="farm", cache=str(self.cache))
        self.state = f"sqlite:///{folder}/state/state.db"
        self.now_ns = 1_000 * DAY_NS
        for bucket in ("archive-v0", "wheels-v7/pypi"):
            (self.cache / bucket).mkdir(parents=True)
        (self.cache / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n")
        self.envs.mkdir()
        for number in range(archives):
            self.make_archive(number)

    def archive(self, number: int) -> Path:
        """Return where an archive lies."""
        return self.cache / "archive-v0" / f"a{number:015d}"

    def make_archive(self, number: int) -> None:
        """Make an archive and the pointer to it."""
        archive = self.archive(number)
        info = archive / f"p{number}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: p{number}\nVersion: 1.0\n")
        (info / "WHEEL").write_text("Wheel-Version: 1.0\n")
        (archive / f"p{number}.py").write_text("x = 1\n")
        self.pointer(number).parent.mkdir(exist_ok=True)
        self.pointer(number).write_bytes(self.pointer_content(number))

    def pointer(self, number: int) -> Path:
        """Return where the pointer to an archive lies."""
        return self.cache / "wheels-v7" / "pypi" / f"p{number}" / "1.0-py3-none-any.http"

    def pointer_content(self, number: int) -> bytes:
        """Return what a pointer file to an archive holds."""
        wheel = f"p{number}-1.0-py3-none-any"
        head = msgpack.packb([self.archive(number).name, [], f"{wheel}.whl", 0, None])
        return bytes(head + b"\0" * 16 + len(head).to_bytes(8, "little"))

    def environment(self, name: str) -> Path:
        """Return where an environment lies."""
        return self.envs / name

    def packages(self, name: str) -> Path:
        """Return the package folder of an environment."""
        return self.environment(name) / "lib" / "python3.11" / "site-packages"

    def make_environment(self, name: str) -> None:
        """Make an environment without packages."""
        self.packages(name).mkdir(parents=True)
        (self.environment(name) / "bin").mkdir()
        (self.environment(name) / "bin" / "python").symlink_to("/usr/bin/python3")
        (self.environment(name) / "pyvenv.cfg").write_text("home = /usr/bin\nuv = 0.13.9\n")

    def install(
        self, name: str, number: int, mode: str = "symlink", cache: Path | None = None
    ) -> None:
        """Install the wheel of an archive, as uv does in that link mode."""
        source = (cache or self.cache) / "archive-v0" / self.archive(number).name
        packages = self.packages(name)
        info = f"p{number}-1.0.dist-info"
        self.uninstall(name, number)
        (packages / info).mkdir()
        put = {"symlink": os.symlink, "hardlink": os.link, "copy": shutil.copy}[mode]
        for file in (f"{info}/METADATA", f"p{number}.py"):
            if os.path.exists(source / file) or mode == "symlink":
                put(source / file, packages / file)

    def uninstall(self, name: str, number: int) -> None:
        """Take a wheel out of an environment."""
        packages = self.packages(name)
        shutil.rmtree(packages / f"p{number}-1.0.dist-info", ignore_errors=True)
        (packages / f"p{number}.py").unlink(missing_ok=True)

    def look(
        self,
        *,
        remembering: bool = True,
        deep: bool = True,
        kind: EnvironmentKind = EnvironmentKind.VENV,
        report_clones: bool = False,
        before_scan: Callable[[], None] | None = None,
    ) -> tuple[list[Environment], list[str]]:
        """Look at every environment; return what was seen, and the paths that were scanned.

        ``before_scan`` is done after they were found, each time before some are scanned.
        """
        readers = InThisProcess(before_scan)
        with open_cache(str(self.cache)) as cache:
            inventory = self._read(cache, remembering=remembering)
            file = MemoryFile(self.state, inventory, self.policy.aliases)
            memory = None
            if remembering:
                memory = Memory(file.read(), inventory, now_ns=self.now_ns, every_ns=7 * DAY_NS)
            look = Look(
                self.policy,
                cache,
                inventory,
                readers=readers,  # type: ignore[arg-type]
                memory=memory,
                now_ns=self.now_ns,
            )
            candidates = [
                Candidate(str(path), kind, ("test",)) for path in sorted(self.envs.iterdir())
            ]
            options = ScanOptions(deep=deep, report_clones=report_clones)
            seen = [one for _, one in scan_candidates(candidates, look, options)]
            if memory is not None and (written := memory.written()) is not None:
                file.write(written)
        return seen, readers.scanned

    def inventory(self, *, remembering: bool = True) -> Inventory:
        """Read the cache alone."""
        with open_cache(str(self.cache)) as cache:
            return self._read(cache, remembering=remembering)

    def _read(self, cache: OpenCache, *, remembering: bool) -> Inventory:
        with Readers(keep=(cache.fd,)) as readers:
            return read_inventory_with_memory(
                cache,
                readers,
                self.state,
                now_ns=self.now_ns,
                every_ns=7 * DAY_NS if remembering else 0,
            )
