"""A cache and environments of any size, laid out as the newest uv does, in seconds.

Real uv would take minutes for 500,000 links; the layout is what matters to a
scan: one real file for each file of a wheel, one absolute symlink for it in
every environment, and the pointers that name the archives.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgpack

from tests.support.uv_releases import NEWEST

_MODULES_A_FOLDER = 40


def build_cache(folder: Path, wheels: int, files_a_wheel: int, *, referenced: bool = True) -> Path:
    """Lay out a cache with so many wheels; ``referenced``: with their pointers."""
    cache = folder / "cache"
    for bucket in ("archive-v0", "wheels-v7", "sdists-v10", "interpreter-v5", "simple-v27"):
        (cache / bucket).mkdir(parents=True)
    (cache / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n")
    (cache / ".lock").touch(mode=0o666)
    for name in (".git", ".gitignore"):
        (cache / "sdists-v10" / name).touch()
    for number in range(wheels):
        archive = cache / "archive-v0" / f"bench{number:011d}"
        _write_archive(archive, f"bench{number}", files_a_wheel)
        if referenced:
            _write_pointer(cache, archive.name, f"bench{number}")
    return cache


def build_environment(path: Path, cache: Path) -> int:
    """Lay out an environment with every wheel of the cache; return its number of links."""
    site = path / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    (path / "bin").mkdir()
    os.symlink("/usr/bin/python3", path / "bin" / "python")
    (path / "pyvenv.cfg").write_text(f"home = /usr/bin\nuv = {NEWEST}\nversion_info = 3.11.2\n")
    links = 0
    for archive in sorted((cache / "archive-v0").iterdir()):
        for folder, _, files in os.walk(archive):
            here = site / os.path.relpath(folder, archive)
            here.mkdir(exist_ok=True)
            for name in files:
                if name != "RECORD":
                    os.symlink(f"{folder}/{name}", here / name)
                    links += 1
            if folder.endswith(".dist-info"):
                (here / "RECORD").write_text("")
                (here / "INSTALLER").write_text("uv")
    return links


def _write_archive(archive: Path, name: str, files: int) -> None:
    information = archive / f"{name}-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (information / "WHEEL").write_text("Wheel-Version: 1.0\nTag: py3-none-any\n")
    (information / "RECORD").write_text("")
    for number in range(files - 3):
        folder = archive / name / f"part{number // _MODULES_A_FOLDER}"
        if number % _MODULES_A_FOLDER == 0:
            folder.mkdir(parents=True)
        (folder / f"module{number}.py").write_text("x = 1\n")


def _write_pointer(cache: Path, archive_id: str, name: str) -> None:
    folder = cache / "wheels-v7" / "pypi" / name
    folder.mkdir(parents=True)
    key = "1.0-py3-none-any"
    named = [archive_id, [], f"{name}-1.0-py3-none-any.whl", 0, None]
    head = msgpack.packb(named)
    policy = b"\0" * 16
    (folder / f"{key}.http").write_bytes(head + policy + len(head).to_bytes(8, "little"))
    os.symlink(f"../../../archive-v0/{archive_id}", folder / key)
