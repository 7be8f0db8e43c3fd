"""Build ``cacheadmin_VERSION_ARCH.deb``: ``make deb``.

The package brings its Python dependencies along, below /usr/lib/cacheadmin,
where no other program sees them; but compiled ones that the system has in a
version that suffices are left to it. They are those of the environment that runs
this, file by file as their wheels list them, if the system's Python can load
them (nothing is downloaded then); else pip fetches them for it.

Nothing of the builder gets in: owners are root, modes are set, and times are
those of SOURCE_DATE_EPOCH, or of the changelog. DEBFULLNAME and DEBEMAIL name
the maintainer, as for Debian's own tools.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from search_paths import without_search_path

HERE = Path(__file__).resolve().parent
OPERATIONS = HERE.parent
REPOSITORY = OPERATIONS.parent.parent
MODULES = "usr/lib/cacheadmin"

# Where files go that are installed as they are: source, folder.
FILES = (
    (OPERATIONS / "systemd", "usr/lib/systemd/system"),
    (OPERATIONS / "sysusers.d", "usr/lib/sysusers.d"),
    (OPERATIONS / "tmpfiles.d", "usr/lib/tmpfiles.d"),
    (OPERATIONS / "logrotate.d", "etc/logrotate.d"),
    (OPERATIONS / "cron.d", "usr/share/doc/cacheadmin/examples/cron.d"),
    (OPERATIONS / "prometheus", "usr/share/doc/cacheadmin/examples/prometheus"),
    (OPERATIONS / "grafana", "usr/share/doc/cacheadmin/examples/grafana"),
    (OPERATIONS / "kubernetes", "usr/share/doc/cacheadmin/examples/kubernetes"),
    (REPOSITORY / "policies", "usr/share/cacheadmin/policies"),
    (REPOSITORY / "docs" / "schemas", "usr/share/cacheadmin/schemas"),
)
COMPLETIONS = {
    "cacheadmin.bash": "usr/share/bash-completion/completions/cacheadmin",
    "_cacheadmin": "usr/share/zsh/vendor-completions/_cacheadmin",
    "cacheadmin.fish": "usr/share/fish/vendor_completions.d/cacheadmin.fish",
}


# Compiled dependencies, and the packages that Debian has of them.
SYSTEM_PACKAGES = {"pyxattr": "python3-pyxattr", "psutil": "python3-psutil"}


def build(out: Path, python: str, compression: list[str], *, bundle: bool = False) -> Path:
    """Build the package into a folder; return its path.

    With ``bundle`` nothing is left to the system's own Python packages.
    """
    left = {} if bundle or python != "/usr/bin/python3" else system_packages()
    version = f"{our_version()}-1"
    architecture = _output("dpkg", "--print-architecture")
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or changelog().stat().st_mtime)
    out.mkdir(parents=True, exist_ok=True)
    package = out / f"cacheadmin_{version}_{architecture}.deb"
    with tempfile.TemporaryDirectory(prefix="cacheadmin-deb-") as folder:
        root = Path(folder) / "root"
        copy_modules(root / MODULES, python, frozenset(left))
        _files(root, version, epoch)
        _set_modes(root)
        _control(root, version, architecture, python, left)
        subprocess.run(
            ["dpkg-deb", *compression, "--root-owner-group", "--build", root, package],
            env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch)},
            stdout=subprocess.DEVNULL,
            check=True,
        )
    return package


def system_packages() -> dict[str, str]:
    """Return what is left to the system: the dependency, and what the package depends on for it."""
    found = {}
    for line in _project()["dependencies"]:
        requirement = Requirement(line)
        package = SYSTEM_PACKAGES.get(requirement.name)
        version = _candidate(package) if package else ""
        if version and requirement.specifier.contains(version):
            least = next(s.version for s in requirement.specifier if s.operator == ">=")
            found[requirement.name] = f"{package} (>= {least})"
    return found


def _candidate(package: str) -> str:
    """Return the upstream version that this system would install; "" where none is known."""
    if shutil.which("apt-cache") is None:
        return ""
    told = subprocess.run(
        ["apt-cache", "policy", package],
        env={**os.environ, "LC_ALL": "C"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    ).stdout
    match = re.search(r"Candidate: (?:\d+:)?([0-9][0-9.]*)", told)
    return match[1].rstrip(".") if match else ""


def copy_modules(folder: Path, python: str, left: frozenset[str]) -> None:
    """Fill a folder with cacheadmin and all it needs for a Python, but for ``left``."""
    shutil.copytree(
        REPOSITORY / "cacheadmin",
        folder / "cacheadmin",
        ignore=shutil.ignore_patterns("__pycache__", "*.pyc"),
    )
    suffix = _output(
        python, "-c", "import sysconfig; print(sysconfig.get_config_var('EXT_SUFFIX'))"
    )
    if suffix != sysconfig.get_config_var("EXT_SUFFIX"):
        _fetch(folder, python, left)
        return
    for source, name in _installed(left):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if ".so" in target.suffixes:
            target.write_bytes(without_search_path(source.read_bytes()))
        else:
            shutil.copyfile(source, target)


def _installed(left: frozenset[str]) -> Iterator[tuple[Path, str]]:
    """Yield the files of all dependencies but ``left``, with their names below site-packages."""
    waiting = [Requirement(line) for line in _project()["dependencies"]]
    seen: set[str] = set()
    while waiting:
        requirement = waiting.pop()
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        needed = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if name in seen or name in left or not needed:
            continue
        seen.add(name)
        distribution = importlib.metadata.distribution(name)
        if not requirement.specifier.contains(distribution.version, prereleases=True):
            sys.exit(f"build: {name} {distribution.version} is installed, not {requirement}")
        for file in distribution.files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                yield Path(str(distribution.locate_file(file))), str(file)
        waiting += [Requirement(line) for line in distribution.requires or ()]


def _fetch(folder: Path, python: str, left: frozenset[str]) -> None:
    release = release_of(python)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-compile", "--only-binary=:all:", "--python-version", release]
    wanted = [line for line in _project()["dependencies"] if Requirement(line).name not in left]
    subprocess.run([*command, "--target", folder, *wanted], check=True)
    shutil.rmtree(folder / "bin", ignore_errors=True)


def _files(root: Path, version: str, epoch: int) -> None:
    for source, folder in FILES:
        shutil.copytree(source, root / folder)
    for name, target in COMPLETIONS.items():
        _copy(OPERATIONS / "completions" / name, root / target)
    _copy(HERE / "cacheadmin", root / "usr/bin/cacheadmin")
    _copy(HERE / "lintian-overrides", root / "usr/share/lintian/overrides/cacheadmin")
    (root / "etc/cacheadmin/policies.d").mkdir(parents=True)
    for page in sorted((REPOSITORY / "man").glob("*.[1-9]")):
        _compress(page.read_bytes(), root / f"usr/share/man/man{page.suffix[1:]}/{page.name}.gz")
    documents = root / "usr/share/doc/cacheadmin"
    _copy(HERE / "copyright", documents / "copyright")
    _copy(OPERATIONS / "README.md", documents / "operations" / "README.md")
    for page in (REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))):
        _copy(page, documents / page.name)
    _compress(changelog().read_bytes(), documents / "changelog.gz")
    date = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(epoch))
    entry = f"cacheadmin ({version}) unstable; urgency=medium\n\n  * See changelog.gz.\n\n"
    entry += f" -- {_maintainer()}  {date}\n"
    _compress(entry.encode(), documents / "changelog.Debian.gz")


def _control(
    root: Path, version: str, architecture: str, python: str, left: dict[str, str]
) -> None:
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    release = release_of(python)
    major, minor = map(int, release.split("."))
    values = {
        "VERSION": version,
        "ARCHITECTURE": architecture,
        "MAINTAINER": _maintainer(),
        "SIZE": str(sum(-(-path.stat().st_size // 1024) for path in files)),
        "PYTHON": release,
        "NEXT_PYTHON": f"{major}.{minor + 1}",
        "LIBC": needed_libc(files),
        "SYSTEM": "".join(f", {package}" for package in sorted(left.values())),
    }
    text = (HERE / "control.in").read_text(encoding="utf-8")
    control = root / "DEBIAN"
    control.mkdir(mode=0o755)
    (control / "control").write_text(
        re.sub(r"@([A-Z_]+)@", lambda match: values[match[1]], text), encoding="utf-8"
    )
    for name in ("postinst", "prerm", "postrm"):
        _copy(HERE / name, control / name)
        (control / name).chmod(0o755)
    settings = [path for path in files if path.is_relative_to(root / "etc")]
    _lines(control / "conffiles", [f"/{path.relative_to(root)}" for path in settings])
    sums = [
        f"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}  "
        f"{path.relative_to(root)}"
        for path in files
        if path not in settings
    ]
    _lines(control / "md5sums", sums)


def needed_libc(files: list[Path]) -> str:
    """Return the newest glibc whose symbols a compiled module asks for."""
    newest = (2, 17)
    for path in files:
        if path.name.endswith(".so") or ".so." in path.name:
            for match in re.finditer(rb"GLIBC_(\d+)\.(\d+)", path.read_bytes()):
                newest = max(newest, (int(match[1]), int(match[2])))
    return ".".join(map(str, newest))


def _set_modes(root: Path) -> None:
    root.chmod(0o755)
    for path in root.rglob("*"):
        program = path.parent == root / "usr/bin"
        path.chmod(0o755 if path.is_dir() or program else 0o644)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _compress(content: bytes, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(gzip.compress(content, 9, mtime=0))


def _lines(path: Path, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    path.chmod(0o644)


def _project() -> dict[str, list[str]]:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def our_version() -> str:
    """Return the version of this repository."""
    text = (REPOSITORY / "cacheadmin" / "__init__.py").read_text(encoding="utf-8")
    match = re.search(r'__version__ = "([^"]+)"', text)
    if match is None:
        sys.exit("build: cacheadmin/__init__.py names no version")
    return match[1]


def _maintainer() -> str:
    name = os.environ.get("DEBFULLNAME", "cacheadmin maintainers")
    return f"{name} <{os.environ.get('DEBEMAIL', 'maintainers@cacheadmin.invalid')}>"


def changelog() -> Path:
    """Return the file whose time is that of a build."""
    return REPOSITORY / "CHANGELOG.md"


def release_of(python: str) -> str:
    """Return major and minor version of a Python."""
    return _output(python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])")


def _output(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def main() -> None:
    """Build from a command line."""
    parser = argparse.ArgumentParser(description="build a Debian package of cacheadmin")
    parser.add_argument("out", type=Path, help="folder that the package is written to")
    parser.add_argument("--python", default="/usr/bin/python3", help="the system's Python")
    parser.add_argument("--bundle", action="store_true", help="leave nothing to the system")
    parser.add_argument("--quick", action="store_true", help="compress little")
    arguments = parser.parse_args()
    for tool in ("dpkg-deb", "dpkg", arguments.python):
        if shutil.which(tool) is None:
            sys.exit(f"build: {tool} is needed to build a Debian package, and is not there")
    compression = ["-Zgzip", "-z1"] if arguments.quick else ["-Zxz"]
    package = build(arguments.out, arguments.python, compression, bundle=arguments.bundle)
    sys.stdout.write(f"{package}\n")


if __name__ == "__main__":
    main()
