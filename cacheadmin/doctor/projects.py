"""What ``uv sync`` has to be told so that it repairs, and changes nothing else.

A plain ``uv sync`` says that all is in sync: it compares names and versions,
never files. ``uv sync --reinstall`` repairs, but it also removes what the
default selection does not hold: extras, groups, and whatever was installed
by hand (run 0.5.10 to 0.13.8). ``uv sync --inexact --frozen
--reinstall-package NAME`` with the extras and groups that are installed
changes nothing else. Which those are follows from ``uv.lock``.

Where that can't be told for sure (several workspace members, conflicting
extras, versions that drifted from the lock), a project is repaired as any
other environment, version by version.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from cacheadmin.doctor.limits import Work, WorkDone
from cacheadmin.fs.small_files import ReadFailure, read_file_and_status
from cacheadmin.packages.names import normalized
from cacheadmin.values import frozen

# The largest locks seen have 8 MB, 10,000 tables and 200,000 keys.
_MAX_BYTES = 16 * 1024 * 1024

# What parsing costs in memory, about, for each byte, table, inline table and key: a
# table of four bytes takes 700. No more than this in all.
_MAX_MEMORY = 256 * 1024 * 1024
_COSTS = ((b"[", 700), (b"{", 300), (b"=", 150))

# tomllib keeps every beginning of a dotted key: a line of 200 KiB would cost 40 GiB.
# This many elements at most, for all keys together; real locks come to a few millions.
_MAX_OF_KEYS = 16_000_000
_ROOTS = ("editable", "virtual", "directory")


@frozen
class Selection:
    """How ``uv sync`` selects what is installed."""

    options: tuple[str, ...]
    """Options of ``uv sync``: extras, groups and what is left out."""
    reached: frozenset[str]
    """Normalised names of the packages that these options reach."""


def selection_of(
    environment: str, installed: Mapping[str, str], limits: WorkDone | None = None
) -> Selection | None:
    """Return how ``uv sync`` names what a project's ``.venv`` holds; None where it can't.

    ``environment`` is the path without links; the project is the folder above.
    ``limits`` counts what is read of each account in one run.
    """
    folder, name = os.path.split(environment)
    if name != ".venv":
        return None
    limits = limits or WorkDone()
    lock = _toml(f"{folder}/uv.lock", limits)
    project = _toml(f"{folder}/pyproject.toml", limits)
    if lock is None or project is None:
        return None
    try:
        return _select(lock, project.get("tool", {}).get("uv", {}), installed)
    except (AttributeError, KeyError, TypeError, ValueError):
        # No lock of a shape that a known release writes.
        return None


def has_lock(folder: str) -> bool:
    """Whether a folder is a project that uv has locked."""
    return all(os.path.lexists(f"{folder}/{name}") for name in ("pyproject.toml", "uv.lock"))


def _toml(path: str, limits: WorkDone) -> dict[str, Any] | None:
    found = read_file_and_status(path, _MAX_BYTES)
    if isinstance(found, ReadFailure):
        return None
    content, status = found
    limits.spend(status.st_uid, Work.PROJECT_BYTES, len(content))
    if not limits.left(status.st_uid, Work.PROJECT_BYTES):
        return None
    if len(content) + sum(content.count(sign) * cost for sign, cost in _COSTS) > _MAX_MEMORY:
        return None
    import tomllib

    # A key never goes beyond its line.
    if sum(line.count(b".") ** 2 for line in content.splitlines()) > _MAX_OF_KEYS:
        return None
    try:
        return tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        return None


def _select(
    lock: dict[str, Any], settings: dict[str, Any], installed: Mapping[str, str]
) -> Selection | None:
    packages: list[dict[str, Any]] = lock["package"]
    own = [p for p in packages if any(kind in p["source"] for kind in _ROOTS)]
    roots = [p for p in own if any(p["source"].get(kind) == "." for kind in _ROOTS)]
    members = lock.get("manifest", {}).get("members", [])
    if len(roots) != 1 or len(members) > 1 or settings.get("conflicts"):
        return None
    root = roots[0]
    options: list[str] = []
    wanted = _names(root.get("dependencies", []))
    for extra, dependencies in root.get("optional-dependencies", {}).items():
        if _all_installed(dependencies, installed):
            options += ["--extra", _option_value(extra)]
            wanted |= _names(dependencies)
    for group, dependencies in root.get("dev-dependencies", {}).items():
        if _all_installed(dependencies, installed):
            options += ["--group", _option_value(group)]
            wanted |= _names(dependencies)
        elif group in _default_groups(settings, root):
            options += ["--no-dev"] if group == "dev" else ["--no-group", _option_value(group)]
    name = normalized(root["name"])
    if "virtual" not in root["source"]:
        if name in installed:
            wanted |= {name}
        else:
            options.append("--no-install-project")
    reached = _reached(wanted, packages)
    if _drifted(reached - {name}, packages, installed):
        return None
    return Selection(tuple(options), reached)


def _default_groups(settings: dict[str, Any], root: dict[str, Any]) -> Iterable[str]:
    default = settings.get("default-groups", ["dev"])
    every: list[str] = list(root.get("dev-dependencies", {}))
    return every if default == "all" else [str(group) for group in default]


def _option_value(text: str) -> str:
    if not text.replace("-", "").replace("_", "").replace(".", "").isalnum() or text[0] == "-":
        raise ValueError(text)
    return text


def _names(dependencies: Iterable[dict[str, Any]]) -> set[str]:
    return {normalized(one["name"]) for one in dependencies}


def _all_installed(dependencies: Iterable[dict[str, Any]], installed: Mapping[str, str]) -> bool:
    names = _names(dependencies)
    return bool(names) and names <= installed.keys()


def _reached(wanted: set[str], packages: list[dict[str, Any]]) -> frozenset[str]:
    """Return everything that the wanted packages require, with every extra of theirs."""
    requires: dict[str, set[str]] = {}
    for package in packages:
        if any(package["source"].get(kind) == "." for kind in _ROOTS):
            # The project itself: what of it is wanted has been chosen already.
            continue
        found = requires.setdefault(normalized(package["name"]), set())
        found |= _names(package.get("dependencies", []))
        for dependencies in package.get("optional-dependencies", {}).values():
            found |= _names(dependencies)
    reached: set[str] = set()
    waiting = list(wanted)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += requires.get(name, ())
    return frozenset(reached)


def _drifted(
    names: frozenset[str], packages: list[dict[str, Any]], installed: Mapping[str, str]
) -> bool:
    """Whether a package is installed in another version than the lock has."""
    locked: dict[str, set[str | None]] = {}
    for package in packages:
        locked.setdefault(normalized(package["name"]), set()).add(package.get("version"))
    return any(
        installed[name] not in locked[name] and None not in locked[name]
        for name in names
        if name in installed and name in locked
    )
