"""Sites built by hand: a cache, and environments of every sort that link into it.

    site = build_site(folder, wheels=4, wishes=[Wish("venv", "trimmed", "nowhere", {0, 2})])
    site.policy_lines          # what a policy says to have its sources find them
    site.broken()              # what no longer leads anywhere, by environment

The layout is uv's: one real file for each file of a wheel, one absolute link for
it in each environment. No pointer in the cache leads to the archives, so
environments alone keep them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.wheel_archives import empty_cache, write_archive

VERSION = "python3.11"

#: Sorts of environments; see the functions below that build each.
KINDS = ("venv", "tool", "target", "prefix", "python", "debian", "bare")

#: What has been done to it since.
CHANGES = (
    "nothing",
    "trimmed",
    "edited",
    "packages elsewhere",
    "linked by hand",
    "path file",
    "path file to a folder",
)
CHANGES_WITH_LIB = ("lib elsewhere", "site elsewhere")

#: Where it lies; "nowhere" is a place that no source looks at.
PLACES = ("named", "pattern", "tree", "redirect", "registry", "below cache", "nowhere")

#: A search of a tree tells an environment by what its folder lists.
_TOLD_BY_LISTING = ("venv", "tool")
_SEARCHED = ("tree", "below cache")


@dataclass(frozen=True)
class Wish:
    """One environment: its sort, what was done to it, where it lies, its wheels by number."""

    kind: str
    change: str
    place: str
    wheels: frozenset[int]

    @property
    def is_possible(self) -> bool:
        """Whether such an environment can be, and can be found where it lies."""
        if self.change in CHANGES_WITH_LIB and self.kind in ("target", "bare"):
            return False
        if self.place in _SEARCHED and self.kind not in _TOLD_BY_LISTING:
            return False
        # A folder that looks like nothing is one only by what it links to, and no
        # Python reads path files there.
        nowhere = self.place in ("redirect", "registry")
        return not (self.kind == "bare" and (nowhere or self.change.startswith("path file")))


@dataclass
class Site:
    """A cache, its archives by wheel number, and environments outside."""

    folder: Path
    cache: Path
    archives: list[Path]
    environments: dict[Path, Wish] = field(default_factory=dict)

    @property
    def policy_lines(self) -> str:
        """The ``venvs`` section of a policy that names every place but "nowhere"."""
        named = [path for path, wish in self.environments.items() if wish.place == "named"]
        patterns = [*map(str, named), f"{self.folder}/pattern/*"]
        return (
            f"  include: [{', '.join(repr(one) for one in patterns)}]\n"
            f"  registry: {self.folder}/registry\n"
            f"  discover: [root: {self.folder}/tree]\n"
        )

    def used(self, *, found: bool = True) -> set[str]:
        """Return the entries that environments lead to; ``found``: only those sources find."""
        wanted = {
            number
            for wish in self.environments.values()
            if not (found and wish.place == "nowhere")
            for number in wish.wheels
        }
        return {f"archive-v0/{self.archives[number].name}" for number in wanted}

    def broken(self) -> dict[str, list[str]]:
        """Return what leads nowhere in each environment, links and lines of path files."""
        found = {}
        for path in self.environments:
            lost = [*_dangling(path), *_lost_lines(path)]
            if lost:
                found[str(path)] = lost
        return found


def build_site(folder: Path, wheels: int, wishes: Iterable[Wish]) -> Site:
    """Lay out a cache with so many wheels, and the environments wished for."""
    cache = empty_cache(folder / "cache")
    archives = [_write_wheel(cache, number) for number in range(wheels)]
    site = Site(folder, cache, archives)
    for place in ("named", "pattern", "tree", "nowhere", "registry", "disk"):
        (folder / place).mkdir()
    (folder / "registry").chmod(0o1777)
    for number, wish in enumerate(wishes):
        path = _place(site, wish, f"e{number}")
        packages = _BUILDERS[wish.kind](path)
        for wheel in sorted(wish.wheels):
            _install(archives[wheel], packages)
        _CHANGES[wish.change](site, path, packages, [archives[one] for one in wish.wheels])
        site.environments[path] = wish
    return site


def _write_wheel(cache: Path, number: int) -> Path:
    name = f"wheel{number}"
    files = {
        f"{name}/__init__.py": b"x = 1\n",
        f"{name}/inner/deep/data.py": b"y = 2\n",
        f"{name}_single.py": b"z = 3\n",
        f"shared/{name}/__init__.py": b"",
    }
    return write_archive(cache, name, files)


def _place(site: Site, wish: Wish, name: str) -> Path:
    folder = site.folder
    if wish.place == "below cache":
        return site.cache / "tools" / name
    if wish.place == "tree":
        return folder / "tree" / "home" / "deep" / name
    if wish.place == "redirect":
        file = folder / "tree" / f"project-{name}" / ".venv"
        file.parent.mkdir()
        file.write_text(f"{folder}/disk/{name}\n")
        return folder / "disk" / name
    if wish.place == "registry":
        (folder / "registry" / name).symlink_to(folder / "disk" / name)
        return folder / "disk" / name
    return folder / wish.place / name


def _venv(path: Path) -> Path:
    _write(path / "pyvenv.cfg", "home = /usr/bin\nuv = 0.8.5\n")
    (path / "bin").mkdir()
    (path / "bin" / "python").symlink_to("/usr/bin/env")
    return _made(path / "lib" / VERSION / "site-packages")


def _tool(path: Path) -> Path:
    _write(path / "uv-receipt.toml", "[tool]\n")
    return _venv(path)


def _target(path: Path) -> Path:
    return _made(path)


def _prefix(path: Path) -> Path:
    return _made(path / "lib" / VERSION / "site-packages")


def _python(path: Path) -> Path:
    _write(path / "lib" / VERSION / "os.py", "")
    _write(path / "bin" / VERSION, "")
    return _made(path / "lib" / VERSION / "site-packages")


def _debian(path: Path) -> Path:
    _write(path / "lib" / VERSION / "os.py", "")
    _made(path / "lib" / "python3" / "dist-packages")
    return _made(path / "local" / "lib" / VERSION / "dist-packages")


def _bare(path: Path) -> Path:
    """A folder of somebody's own making, with packages two folders down."""
    return _made(path / "vendor")


_BUILDERS: dict[str, Callable[[Path], Path]] = {
    "venv": _venv,
    "tool": _tool,
    "target": _target,
    "prefix": _prefix,
    "python": _python,
    "debian": _debian,
    "bare": _bare,
}


def _made(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _write(path: Path, text: str) -> None:
    _made(path.parent)
    path.write_text(text)


def _install(archive: Path, packages: Path) -> None:
    for file in archive.rglob("*"):
        if not file.is_dir():
            here = packages / file.relative_to(archive)
            _made(here.parent)
            if file.name == "RECORD":
                here.write_bytes(file.read_bytes())
            else:
                here.symlink_to(file)


def _nothing(_site: Site, _path: Path, _packages: Path, _archives: list[Path]) -> None:
    pass


def _trim(_site: Site, _path: Path, packages: Path, _archives: list[Path]) -> None:
    for folder in packages.glob("*.dist-info"):
        shutil.rmtree(folder)


def _edit(_site: Site, _path: Path, packages: Path, _archives: list[Path]) -> None:
    for metadata in packages.glob("*.dist-info/METADATA"):
        content = metadata.read_bytes()
        metadata.unlink()
        metadata.write_bytes(content)


def _move(site: Site, folder: Path) -> None:
    there = site.folder / "disk" / f"moved-{len(os.listdir(site.folder / 'disk'))}"
    folder.rename(there)
    folder.symlink_to(there)


def _packages_elsewhere(site: Site, path: Path, packages: Path, archives: list[Path]) -> None:
    _trim(site, path, packages, archives)
    for folder in [one for one in packages.iterdir() if one.is_dir()]:
        _move(site, folder)


def _by_hand(site: Site, path: Path, packages: Path, archives: list[Path]) -> None:
    _empty(packages)
    for archive in archives:
        for name in archive.iterdir():
            if name.name.startswith("wheel") and not name.name.endswith(".dist-info"):
                (packages / name.name).symlink_to(name)


def _path_file(site: Site, path: Path, packages: Path, archives: list[Path]) -> None:
    _empty(packages)
    (packages / "by-hand.pth").write_text("".join(f"{archive}\n" for archive in archives))


def _path_file_to_a_folder(site: Site, path: Path, packages: Path, archives: list[Path]) -> None:
    elsewhere = site.folder / "disk" / f"libraries-{len(os.listdir(site.folder / 'disk'))}"
    shutil.copytree(packages, elsewhere, symlinks=True)
    _trim(site, path, elsewhere, archives)
    _empty(packages)
    (packages / "by-hand.pth").write_text(f"{elsewhere}\n")


def _lib_elsewhere(site: Site, path: Path, packages: Path, archives: list[Path]) -> None:
    _edit(site, path, packages, archives)
    _move(site, path / "lib")


def _site_elsewhere(site: Site, path: Path, packages: Path, archives: list[Path]) -> None:
    _trim(site, path, packages, archives)
    _move(site, packages)


def _empty(packages: Path) -> None:
    for name in list(packages.iterdir()):
        if name.name.startswith(("wheel", "shared")):
            shutil.rmtree(name) if name.is_dir() else name.unlink()


_CHANGES: dict[str, Callable[[Site, Path, Path, list[Path]], None]] = {
    "nothing": _nothing,
    "trimmed": _trim,
    "edited": _edit,
    "packages elsewhere": _packages_elsewhere,
    "linked by hand": _by_hand,
    "path file": _path_file,
    "path file to a folder": _path_file_to_a_folder,
    "lib elsewhere": _lib_elsewhere,
    "site elsewhere": _site_elsewhere,
}


def _dangling(path: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(path, followlinks=True):
        for name in (*folders, *files):
            link = f"{folder}/{name}"
            if os.path.islink(link) and not os.path.exists(link):
                yield link


def _lost_lines(path: Path) -> Iterator[str]:
    for folder, _, files in os.walk(path, followlinks=True):
        for name in files:
            if name.endswith(".pth"):
                for line in Path(folder, name).read_text().splitlines():
                    if not os.path.isdir(line):
                        yield line
                    yield from _dangling(Path(line))
