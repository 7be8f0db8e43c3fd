"""Who has a package that is evicted: environments, tools, processes.

An environment has it by links, hard links, clones or copies: all four run the same
bad code. A process has it when it uses such an archive, or runs from such an
environment; what it imported stays in its memory whatever is removed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cacheadmin.evict.wanted import is_wanted
from cacheadmin.evidence.facts import EnvironmentKind, EnvironmentStatus
from cacheadmin.evidence.kinds import IDENTITY, NamedFolder
from cacheadmin.inventory.entries import archive_path, lies_in
from cacheadmin.readers import Unreadable
from cacheadmin.text.escapes import shell_command
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from cacheadmin.evict.wanted import Wanted
    from cacheadmin.evidence.facts import Environment, Process
    from cacheadmin.inventory.entries import ArchiveId
    from cacheadmin.planner.plan_input import PlanInput
    from cacheadmin.readers import Readers


@frozen
class PackageUser:
    """An environment that has one of the packages."""

    environment: Environment
    """What the scan found of the environment."""
    packages: tuple[str, ...]
    """The evicted packages that it has, as ``name==version``."""
    links: bool
    """Whether it links to the cache for them, so that it breaks when they go."""
    repair: str
    """A command for its owner that replaces them; empty for what uv makes again by itself."""


def holders(
    case: PlanInput, wanted: Collection[Wanted], archives: Iterable[ArchiveId]
) -> list[PackageUser]:
    """Return every environment that has one of the packages, by path."""
    evicted = frozenset(archives)
    found = []
    for environment in sorted(case.evidence.environments, key=lambda one: one.path):
        if environment.status is EnvironmentStatus.MISSING:
            continue
        linked = environment.archives & evicted
        held = linked | (environment.hardlinked_archives & evicted)
        packages = {_words(case, archive) for archive in held}
        packages |= {text for text in environment.copied if _is_named(wanted, text)}
        if packages:
            repair = _repair(environment, wanted, packages)
            found.append(PackageUser(environment, tuple(sorted(packages)), bool(linked), repair))
    return found


def processes_of(
    case: PlanInput,
    processes: Iterable[Process],
    holding: Iterable[PackageUser],
    archives: Iterable[ArchiveId],
    readers: Readers,
) -> list[Process]:
    """Return which processes use one of the archives, or run from one of the environments.

    Environments are compared by their identity, or by their paths where no reader can
    look at them.
    """
    processes = list(processes)
    named = {one.environment.path: one.environment.uid for one in holding}
    if named:
        named |= {place.path: one.uid for one in processes for place in one.environments}
    folders = [NamedFolder(path, uid) for path, uid in named.items()]
    known: dict[str, object] = {}
    answers = readers.ask_all(IDENTITY, folders)
    for path, found in zip(named, answers, strict=True):
        known[path] = path if found is None or isinstance(found, Unreadable) else found
    places = {known[one.environment.path] for one in holding}
    entries = {archive_path(archive) for archive in archives}
    entries |= {
        entry
        for one in holding
        if (entry := one.environment.entry_in(case.inventory.cache)) is not None
    }
    return [
        process
        for process in processes
        if any(lies_in(use.entry, entries) for use in process.uses)
        or any(known.get(place.path) in places for place in process.environments)
    ]


def _words(case: PlanInput, archive: ArchiveId) -> str:
    stored = case.inventory.archives[archive]
    return f"{stored.package}=={stored.version}"


def _is_named(wanted: Iterable[Wanted], text: str) -> bool:
    name, _, version = text.partition("==")
    return is_wanted(wanted, name, version or None)


def _repair(environment: Environment, wanted: Iterable[Wanted], packages: set[str]) -> str:
    """Return a command that leaves an environment without the evicted versions.

    Another version replaces one that was evicted; a package that is evicted whole is
    uninstalled. `--reinstall-package` because a broken link can't be uninstalled
    otherwise (facts section 10).
    """
    if environment.kind is EnvironmentKind.CACHED:
        return ""
    names = {text.partition("==")[0] for text in packages}
    hit = [one for one in wanted if one.name in names]
    if environment.kind is EnvironmentKind.TOOL:
        tool = os.path.basename(environment.path.rstrip("/"))
        exclusions = [
            word
            for one in hit
            if one.version is not None
            for word in ("--with", f"{one.name}!={one.version}")
        ]
        return shell_command(["uv", "tool", "install", "--reinstall", *exclusions, tool])
    if environment.kind in (EnvironmentKind.TARGET, EnvironmentKind.PREFIX):
        where = [f"--{environment.kind.value}", environment.path]
    else:
        where = ["--python", environment.path]
    if any(one.version is None for one in hit):
        return shell_command(["uv", "pip", "uninstall", *where, *sorted({one.name for one in hit})])
    words = ["uv", "pip", "install", *where]
    for name in sorted({one.name for one in hit}):
        words += ["--reinstall-package", name, "--upgrade-package", name]
    return shell_command([*words, *(f"{one.name}!={one.version}" for one in hit)])
