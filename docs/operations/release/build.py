"""Build what a release is made of, from one commit: ``make dist``.

    python docs/operations/release/build.py dist

Wheel and sdist, their bill of materials (``cacheadmin-VERSION.cdx.json``), and SHA256SUMS.
The source is what git has of HEAD, so that nothing of the builder gets in; the build backend
is of one release, fetched into a folder of its own. Two builds of one commit give the same
bytes, wherever, whenever and with whatever umask they are made; `--backend` tries another.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from sbom import as_text, sbom

REPOSITORY = Path(__file__).resolve().parents[3]

# Wheels hold its name; another release of it may order or compress in another way.
BACKEND = "hatchling==1.33.0"


def build(out: Path, commit: str = "HEAD", backend: str = BACKEND) -> list[Path]:
    """Build a release into a folder; return its files."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="cacheadmin-release-") as folder:
        source, tools, made = Path(folder, "source"), Path(folder, "tools"), Path(folder, "made")
        _take(commit, source)
        _run(sys.executable, "-m", "venv", tools)
        _run(tools / "bin" / "python", "-m", "pip", "install", "--quiet",
             "--disable-pip-version-check", backend)  # fmt: skip
        hatchling = [tools / "bin" / "python", "-m", "hatchling", "build", "-t", "sdist"]
        _run(*hatchling, "-t", "wheel", "-d", made, cwd=source, quiet=True)
        files = []
        for path in sorted(made.iterdir()):
            target = out / path.name
            target.write_bytes(path.read_bytes())
            files.append(target)
    (wheel,) = (path for path in files if path.suffix == ".whl")
    version = wheel.name.split("-")[1]
    bill = out / f"cacheadmin-{version}.cdx.json"
    bill.write_text(as_text(sbom(wheel, version)), encoding="utf-8")
    files.append(bill)
    sums = out / "SHA256SUMS"
    lines = (f"{hashlib.sha256(one.read_bytes()).hexdigest()}  {one.name}\n" for one in files)
    sums.write_text("".join(lines), encoding="ascii")
    return [*files, sums]


def _take(commit: str, folder: Path) -> None:
    """Lay out the files of a commit."""
    command = ["git", "-C", REPOSITORY, "archive", "--format=tar", commit]
    taken = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if taken.returncode:
        sys.exit(f"build.py: git has no {commit} here")
    with tarfile.open(fileobj=io.BytesIO(taken.stdout)) as files:
        files.extractall(folder, filter="data")


def _run(*command: str | Path, cwd: Path | None = None, quiet: bool = False) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    # Times are those that hatchling sets, not those of the user who builds.
    environment.pop("SOURCE_DATE_EPOCH", None)
    output = subprocess.DEVNULL if quiet else None
    subprocess.run(command, cwd=cwd, env=environment, check=True, stdout=output, stderr=output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Build wheel, sdist, bill of materials and sums.")
    parser.add_argument("out", type=Path, help="folder to write into")
    parser.add_argument("--commit", default="HEAD", help="what to build (default: HEAD)")
    parser.add_argument("--backend", default=BACKEND, help=f"build backend (default: {BACKEND})")
    chosen = parser.parse_args()
    for file in build(chosen.out, chosen.commit, chosen.backend):
        sys.stdout.write(f"{file}\n")
