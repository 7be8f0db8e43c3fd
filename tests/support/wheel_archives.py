"""Archives built by hand, for tests where it does not matter that uv unpacked them.

cache = empty_cache(open_folder / "cache")
archive = write_archive(cache, "demo", {"demo/__init__.py": b"x = 1\\n"})
checked(cache)["file-changed", "error"]      # what verify finds, without a process
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
from pathlib import Path

from cacheadmin.inventory.cache_folder import open_cache
from cacheadmin.inventory.reader import read_inventory
from cacheadmin.verify.check import ProblemGroup, check_archive, check_deferred


def empty_cache(cache: Path) -> Path:
    """Lay out a cache with no entries."""
    for bucket in ("archive-v0", "wheels-v7", "sdists-v10", "simple-v27"):
        (cache / bucket).mkdir(parents=True)
    (cache / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n")
    (cache / ".lock").touch(mode=0o666)
    return cache


def write_tool(cache: Path, *linked: Path, number: int = 0) -> Path:
    """Write a tool's cached environment that links archives; return the archive that it is.

    Its name comes after those that ``write_archive`` gives. ``number`` tells it from others.
    """
    tool = cache / "archive-v0" / (f"zzzz_zzzzzzz{number:04}" if number else "zzzz_zzzzzzzzzzz")
    packages = tool / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    (tool / "pyvenv.cfg").write_text("home = /usr/bin\nuv = 0.13.8\n")
    for archive in linked:
        for one in archive.iterdir():
            (packages / one.name).symlink_to(one)
    published = (
        cache / "environments-v2" / f"{number or 0x123456789ABCDEF:016x}" / "fedcba9876543210"
    )
    published.parent.mkdir(parents=True)
    published.symlink_to(tool)
    return tool


def record_line(path: str, content: bytes, algorithm: str = "sha256") -> list[str]:
    """Return a line of RECORD for a file."""
    digest = hashlib.new(algorithm, content).digest()
    encoded = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return [path, f"{algorithm}={encoded}", str(len(content))]


def write_archive(
    cache: Path,
    name: str,
    files: dict[str, bytes],
    *,
    identifier: str = "",
    rows: list[list[str]] | None = None,
    more_rows: tuple[list[str], ...] = (),
) -> Path:
    """Write the archive of a wheel ``name`` 1.0 with RECORD; return its folder.

    ``rows`` are RECORD's lines instead of the right ones, ``more_rows`` come besides.
    """
    archive = cache / "archive-v0" / (identifier or f"{name:x<16}")
    information = f"{name}-1.0.dist-info"
    files = {
        **files,
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{information}/WHEEL": b"Wheel-Version: 1.0\nTag: py3-none-any\n",
    }
    for path, content in files.items():
        file = os.path.join(os.fsencode(archive), os.fsencode(path))
        os.makedirs(os.path.dirname(file), exist_ok=True)
        Path(os.fsdecode(file)).write_bytes(content)
    if rows is None:
        rows = [record_line(path, content) for path, content in files.items()]
        rows.append([f"{information}/RECORD", "", ""])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([*rows, *more_rows])
    (archive / information / "RECORD").write_bytes(os.fsencode(text.getvalue()))
    return archive


def checked(cache: Path) -> dict[tuple[str, str], ProblemGroup]:
    """Return what is wrong with a cache's archives, by rule and severity."""
    found: dict[tuple[str, str], ProblemGroup] = {}
    with open_cache(str(cache)) as opened:
        for archive in read_inventory(opened).archives.values():
            one = check_archive(opened.fd, opened.identity.path, archive, lambda *_: None)
            for path, line in one.deferred:
                for problem in check_deferred(opened.fd, archive, path, line):
                    one.add(problem)
            for (rule, severity), problems in one.found.items():
                for problem in problems.examples:
                    total = found.setdefault((rule.value, severity.value), ProblemGroup())
                    total.add(problem)
                total.count += problems.count - len(problems.examples)
    return found
