"""How long `verify` takes beside sha256sum over the same files."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests.bench.big_cache import build_cache
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.packages import packages_folder

# Real wheels, numpy and pandas among them, so many times; and wheels of many small files.
COPIES = 5
SMALL_WHEELS = 60
FILES_A_WHEEL = 200

SideBySide = Callable[..., tuple[float, float]]
Report = Callable[[str, float, str, float, str], None]


def verifying(
    folder: Path, cacheadmin: Cacheadmin, side_by_side: SideBySide, report: Report
) -> None:
    """Compare a whole verification, start and look at the cache included, with sha256sum."""
    cache = build_cache(folder, SMALL_WHEELS, FILES_A_WHEEL)
    archives = cache / "archive-v0"
    for archive in archives.iterdir():
        _write_record(archive)
    for number in range(COPIES):
        for wheel in sorted(packages_folder().glob("*.whl")):
            name = hashlib.sha256(f"{number}{wheel.name}".encode()).hexdigest()[:16]
            with zipfile.ZipFile(wheel) as content:
                content.extractall(archives / name)
    policy = cacheadmin.policy(cache, name="verifying")
    checked = cacheadmin("verify", policy, "--format", "json", code=0).json["checked"]
    print(
        f"\n{checked['archives']} archives, {checked['files']} files, {checked['bytes'] >> 20} MiB"
    )
    command = f"find {archives} -type f -print0 | xargs -0 sha256sum"

    def sums() -> object:
        return subprocess.run(["sh", "-c", command], check=True, stdout=subprocess.DEVNULL)

    for jobs in ("1", "2"):
        ours, theirs = side_by_side(
            lambda jobs=jobs: cacheadmin("verify", policy, "--jobs", jobs, code=0), sums, rounds=5
        )
        report(f"verify --jobs {jobs}", ours, "sha256sum", theirs, "at most 1.5 times")


def _write_record(archive: Path) -> None:
    lines = []
    (record,) = archive.glob("*.dist-info/RECORD")
    for path in archive.rglob("*"):
        if path.is_file() and path != record:
            content = path.read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
            lines.append(f"{path.relative_to(archive)},sha256={digest.decode()},{len(content)}")
    record.write_text("\n".join([*lines, f"{record.relative_to(archive)},,"]) + "\n")
