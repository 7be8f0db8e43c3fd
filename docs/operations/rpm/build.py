"""Build ``cacheadmin-VERSION-1.ARCH.rpm``: ``make rpm``.

Packs both sources of ``cacheadmin.spec``, this repository and the Python
modules, and runs rpmbuild in a folder of its own. The modules are those that
the Debian package would have: of the environment that runs this, if the
Python named can load them, else fetched by pip.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "debian"))

import build as debian  # noqa: E402  it lies there

SHIPPED = ("docs", "man", "policies", "README.md", "CHANGELOG.md", "LICENSE")


def build(out: Path, python: str, *, quick: bool = False) -> Path:
    """Build the package into a folder; return its path."""
    version = debian.our_version()
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or debian.changelog().stat().st_mtime)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="cacheadmin-rpm-") as folder:
        top = Path(folder)
        (top / "SOURCES").mkdir()
        modules = top / "modules"
        debian.copy_modules(modules, python, frozenset())
        name = f"cacheadmin-{version}"
        sources = {debian.REPOSITORY / part: f"{name}/{part}" for part in SHIPPED}
        _pack(top / "SOURCES" / f"{name}.tar.gz", sources, epoch)
        _pack(top / "SOURCES" / f"{name}-modules.tar.gz", {modules: "modules"}, epoch)
        values = {
            "_topdir": str(top),
            "release_of": version,
            "python_release": debian.release_of(python),
            "libc": debian.needed_libc([path for path in modules.rglob("*") if path.is_file()]),
            "use_source_date_epoch_as_buildtime": "1",
            "_buildhost": "localhost",
            **({"_binary_payload": "w1.gzdio"} if quick else {}),
        }
        defined = [f"--define={key} {value}" for key, value in values.items()]
        finished = subprocess.run(
            ["rpmbuild", "-bb", *defined, HERE / "cacheadmin.spec"],
            env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "LC_ALL": "C.UTF-8"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if finished.returncode:
            sys.exit(f"build: rpmbuild failed\n{finished.stdout}")
        (package,) = (top / "RPMS").rglob("*.rpm")
        return Path(shutil.copy(package, out / package.name))


def _pack(archive: Path, sources: dict[Path, str], epoch: int) -> None:
    """Pack folders and files under other names, as root's and of one time."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if "__pycache__" in member.name:
            return None
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        member.mtime = epoch
        return member

    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for source, name in sources.items():
            tar.add(source, name, filter=plain)


def main() -> None:
    """Build from a command line."""
    parser = argparse.ArgumentParser(description="build an RPM of cacheadmin")
    parser.add_argument("out", type=Path, help="folder that the package is written to")
    parser.add_argument("--python", default="/usr/bin/python3", help="the system's Python")
    parser.add_argument("--quick", action="store_true", help="compress little")
    arguments = parser.parse_args()
    for tool in ("rpmbuild", arguments.python):
        if shutil.which(tool) is None:
            sys.exit(f"build: {tool} is needed to build an RPM, and is not there")
    package = build(arguments.out, arguments.python, quick=arguments.quick)
    sys.stdout.write(f"{package}\n")


if __name__ == "__main__":
    main()
