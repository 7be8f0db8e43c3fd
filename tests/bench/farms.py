"""Caches and environments by the thousand, sparse: what a look reads of them, and no more.

Every wheel is a module, METADATA, WHEEL and RECORD; an environment has a random
choice of the cache's wheels. Links of one wheel are hard links of one symlink,
so that a farm of a thousand environments is made in seconds.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import msgpack

from tests.support.uv_releases import NEWEST


class Farm:
    """A cache, and environments that link into it."""

    def __init__(self, folder: Path) -> None:
        self.cache = folder / "cache"
        self.environments = folder / "environments"
        self._templates = folder / "templates"
        self._archives = 0
        self._made = 0
        for bucket in ("archive-v0", "wheels-v7/pypi", "sdists-v10", "interpreter-v5"):
            (self.cache / bucket).mkdir(parents=True)
        (self.cache / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n")
        (self.cache / ".lock").touch(mode=0o666)
        for name in (".git", ".gitignore"):
            (self.cache / "sdists-v10" / name).touch()
        self.environments.mkdir()
        self._templates.mkdir()

    def grow_cache(self, archives: int) -> None:
        """Make archives with their pointers, until there are so many."""
        for number in range(self._archives, archives):
            self._make_archive(number)
        self._archives = archives

    def _make_archive(self, number: int) -> None:
        package = f"p{number}"
        archive = self.cache / "archive-v0" / f"a{number:015d}"
        info = archive / f"{package}-1.0.dist-info"
        os.makedirs(info)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "WHEEL").write_text("Wheel-Version: 1.0\nTag: py3-none-any\n")
        (info / "RECORD").write_text(f"{package}.py,,\n{info.name}/METADATA,,\n")
        (archive / f"{package}.py").write_text("x = 1\n")
        pointer = self.cache / "wheels-v7" / "pypi" / package
        pointer.mkdir()
        wheel = "1.0-py3-none-any"
        head = msgpack.packb([archive.name, [], f"{package}-{wheel}.whl", 0, None])
        (pointer / f"{wheel}.http").write_bytes(head + b"\0" * 16 + len(head).to_bytes(8, "little"))
        (pointer / wheel).symlink_to(f"../../../archive-v0/{archive.name}")
        (self._templates / f"m{number}").symlink_to(info / "METADATA")
        (self._templates / f"p{number}").symlink_to(archive / f"{package}.py")

    def grow_environments(self, environments: int, wheels: int) -> None:
        """Make environments of so many wheels each, until there are so many."""
        for number in range(self._made, environments):
            self._make_environment(number, wheels)
        self._made = environments

    def _make_environment(self, number: int, wheels: int) -> None:
        home = self.environments / f"group{number // 100}" / f"environment{number}"
        packages = home / "lib" / "python3.11" / "site-packages"
        os.makedirs(packages)
        (home / "bin").mkdir()
        (home / "bin" / "python").symlink_to("/usr/bin/python3")
        (home / "pyvenv.cfg").write_text(f"home = /usr/bin\nuv = {NEWEST}\n")
        for wheel in random.Random(number).sample(range(self._archives), wheels):
            info = packages / f"p{wheel}-1.0.dist-info"
            info.mkdir()
            for template, name in ((f"m{wheel}", info / "METADATA"), (f"p{wheel}", packages)):
                target = name if name is not packages else packages / f"p{wheel}.py"
                os.link(self._templates / template, target, follow_symlinks=False)
