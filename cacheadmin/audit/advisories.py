"""Advisories about packages: what a security team hands in, read as plain facts.

Three shapes are understood: OSV (one advisory, a list, the answer of an OSV server with
``vulns``, a report of osv-scanner with ``results``), the report of pip-audit
(``--format json``), and a folder or zip archive of OSV files, as OSV publishes a whole
ecosystem. Nothing is fetched. The files may be any user's: sizes are bounded, and what is
of no known shape is an error with the file's name, never silence.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cacheadmin.errors import NotPermitted, WrongUsage
from cacheadmin.packages.names import normalized
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from packaging.version import Version

# The largest real ones have some thousand versions: below 1 MiB.
_MAX_BYTES = 16 * 1024 * 1024
_MAX_FILES = 500_000
_SUMMARY_LENGTH = 160
_ECOSYSTEM = "pypi"


@frozen
class Range:
    """Versions from one on (None: from the first) up to another."""

    introduced: str | None
    """The first version that is affected; None: every version up to the end."""
    fixed: str | None = None
    """The first version that is not affected any more; None where none is named."""
    last_affected: str | None = None
    """The last version that is affected; None where none is named."""


@frozen
class Advisory:
    """What is said of one package."""

    id: str
    """Id in its database, such as ``PYSEC-2024-1``."""
    package: str
    """Normalised name of the package that it is about."""
    summary: str = ""
    """What is wrong, in one line; empty where nothing is said."""
    versions: frozenset[str] = frozenset()
    """Affected versions that are named one by one."""
    ranges: tuple[Range, ...] = ()
    """Affected versions that are named by ranges."""
    fixed_in: tuple[str, ...] = ()
    """Versions that are named as fixed; empty where there is none."""

    def affects(self, version: str | None) -> bool:
        """Whether a version is affected, by PEP 440; one that can't be told is."""
        if version is None or version in self.versions:
            return True
        parsed = _parsed(version)
        if parsed is None:
            return bool(self.ranges)
        if any(_parsed(one) == parsed for one in self.versions):
            return True
        return any(_lies_in(parsed, one) for one in self.ranges)


@dataclass(frozen=True)
class Advisories:
    """All advisories that the caller gave, by package."""

    by_package: dict[str, list[Advisory]] = field(default_factory=dict)
    """The advisories about each package, by normalised name."""

    def about(self, package: str | None, version: str | None) -> list[Advisory]:
        """Return the advisories that affect a version of a package."""
        if package is None:
            return []
        known = self.by_package.get(normalized(package), ())
        return [one for one in known if one.affects(version)]


def read_advisories(paths: Iterable[str]) -> Advisories:
    """Read files, folders and zip archives. Raises WrongUsage and NotPermitted, naming the file."""
    found = Advisories()
    for path in paths:
        for name, content in _files(path):
            for advisory in _advisories_in(name, content):
                known = found.by_package.setdefault(advisory.package, [])
                if advisory not in known:
                    known.append(advisory)
    return found


def _files(path: str) -> Iterator[tuple[str, bytes]]:
    try:
        if os.path.isdir(path):
            names = sorted(name for name in os.listdir(path) if name.endswith(".json"))
            if not names:
                raise WrongUsage(f"{path} holds no *.json: advisories are read from such files")
            for name in names[:_MAX_FILES]:
                yield f"{path}/{name}", _content(f"{path}/{name}")
        elif path.endswith(".zip"):
            yield from _in_archive(path)
        else:
            yield path, _content(path)
    except PermissionError:
        raise NotPermitted(f"{path} can't be read: Permission denied") from None
    except OSError as error:
        raise WrongUsage(f"{path} can't be read: {error.strerror}") from None


def _content(path: str) -> bytes:
    # No FIFO that no user writes to: the option names a file.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        return _bounded(path, file.read(_MAX_BYTES + 1))


def _in_archive(path: str) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist()[:_MAX_FILES]:
                if entry.filename.endswith(".json"):
                    with archive.open(entry) as file:
                        name = f"{path}: {entry.filename}"
                        yield name, _bounded(name, file.read(_MAX_BYTES + 1))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise WrongUsage(f"{path} is no zip archive that can be read: {error}") from None


def _bounded(name: str, content: bytes) -> bytes:
    if len(content) > _MAX_BYTES:
        raise WrongUsage(f"{name} is larger than {_MAX_BYTES} bytes: no advisory is")
    return content


def _advisories_in(name: str, content: bytes) -> Iterator[Advisory]:
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise WrongUsage(f"{name} is no JSON: {error}") from None
    try:
        yield from _understood(parsed)
    except (TypeError, KeyError, AttributeError):
        raise WrongUsage(
            f"{name} is neither OSV nor a report of pip-audit",
            hint="OSV has `id` and `affected`, pip-audit --format json has `dependencies`",
        ) from None


def _understood(parsed: Any) -> Iterator[Advisory]:
    if isinstance(parsed, list):
        for one in parsed:
            yield from _understood(one)
    elif "affected" in parsed or "schema_version" in parsed or "withdrawn" in parsed:
        yield from _of_osv(parsed)
    elif "vulns" in parsed and "name" not in parsed:
        yield from _understood(parsed["vulns"])
    elif "results" in parsed:
        for result in parsed["results"]:
            for package in result["packages"]:
                yield from _understood(package["vulnerabilities"])
    elif "dependencies" in parsed:
        for dependency in parsed["dependencies"]:
            yield from _of_pip_audit(dependency)
    else:
        yield from _of_pip_audit(parsed)


def _of_osv(parsed: dict[str, Any]) -> Iterator[Advisory]:
    if parsed.get("withdrawn"):
        return
    for affected in parsed.get("affected", ()):
        package = affected.get("package", {})
        # `PyPI`, or `PyPI:` and an index.
        if str(package.get("ecosystem", "")).partition(":")[0].lower() != _ECOSYSTEM:
            continue
        ranges = [
            one
            for found in affected.get("ranges", ())
            if found["type"] != "GIT"
            for one in _ranges(found["events"])
        ]
        fixed = [one.fixed for one in ranges if one.fixed is not None]
        yield Advisory(
            str(parsed["id"]),
            normalized(str(package["name"])),
            _one_line(parsed.get("summary") or parsed.get("details") or ""),
            frozenset(map(str, affected.get("versions", ()))),
            tuple(ranges),
            tuple(dict.fromkeys(fixed)),
        )


def _ranges(events: list[dict[str, str]]) -> Iterator[Range]:
    """Yield each span from an ``introduced`` to the ``fixed`` or ``last_affected`` after it."""
    begun: str | None = None
    open_range = False
    for event in events:
        if "introduced" in event:
            if open_range:
                yield Range(begun)
            begun = None if event["introduced"] == "0" else str(event["introduced"])
            open_range = True
        elif "fixed" in event:
            yield Range(begun, fixed=str(event["fixed"]))
            open_range = False
        elif "last_affected" in event:
            yield Range(begun, last_affected=str(event["last_affected"]))
            open_range = False
    if open_range:
        yield Range(begun)


def _of_pip_audit(dependency: dict[str, Any]) -> Iterator[Advisory]:
    if "skip_reason" in dependency:
        return
    for one in dependency["vulns"]:
        yield Advisory(
            str(one["id"]),
            normalized(str(dependency["name"])),
            _one_line(one.get("description") or ""),
            frozenset({str(dependency["version"])}),
            fixed_in=tuple(map(str, one.get("fix_versions", ()))),
        )


def _one_line(text: object) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= _SUMMARY_LENGTH else line[: _SUMMARY_LENGTH - 3] + "..."


def _parsed(version: str) -> Version | None:
    from packaging.version import InvalidVersion, Version

    try:
        return Version(version)
    except InvalidVersion:
        return None


def _lies_in(version: Version, one: Range) -> bool:
    introduced = None if one.introduced is None else _parsed(one.introduced)
    if introduced is not None and version < introduced:
        return False
    for bound, inclusive in ((one.fixed, False), (one.last_affected, True)):
        end = None if bound is None else _parsed(bound)
        if end is not None and (version > end if inclusive else version >= end):
            return False
    return True
