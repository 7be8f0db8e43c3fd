"""Say what is wrong with an archive so that an admin can act on it.

One finding for each archive, rule and severity. For a wheel that is not what
it was: who may have written it and when, as far as that can be known, who has
the changed file in an environment (links and hardlinks do; clones and copies
have what was there when they were made), and how it is replaced.

How to replace a wheel [run 0.5.10, 0.8.5, 0.13.8]: ``uv pip install
--reinstall-package`` downloads or builds again, into a new archive, and makes
the pointer name that one; so does ``uv sync --reinstall-package``. Only the
environment it is run for is healed. ``uv cache clean PKG`` removes the archive
below every environment that links to it. Pointers of other buckets go on naming the
old archive, so they are removed first.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cacheadmin.findings import Finding, Severity
from cacheadmin.inventory.entries import ArchiveContent
from cacheadmin.policy.teams import team_of
from cacheadmin.text.accounts import account_name
from cacheadmin.text.escapes import shell_word
from cacheadmin.text.lists import join_some
from cacheadmin.text.numbers import format_count
from cacheadmin.text.timestamps import rfc3339
from cacheadmin.uv.layout import POINTER_SUFFIXES
from cacheadmin.verify.problems import VerifyRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cacheadmin.evidence.facts import Environment
    from cacheadmin.inventory.entries import Archive, CachedEnvironment
    from cacheadmin.snapshot.snapshot import Snapshot
    from cacheadmin.verify.check import CheckedArchive, ProblemGroup
    from cacheadmin.verify.problems import Problem, Touched

_THINGS = {
    VerifyRule.FILE_CHANGED: ("file is not what RECORD says", "files are not what RECORD says"),
    VerifyRule.FILE_MISSING: ("file is missing", "files are missing"),
    VerifyRule.FILE_EXTRA: ("file is in no RECORD", "files are in no RECORD"),
    VerifyRule.RECORD_MISSING: (
        "RECORD is missing or unreadable",
        "RECORDs are missing or unreadable",
    ),
    VerifyRule.RECORD_UNSAFE: (
        "line of RECORD can't be trusted",
        "lines of RECORD can't be trusted",
    ),
    VerifyRule.HALF_WRITTEN: ("part was never written", "parts were never written"),
    VerifyRule.LINK_IN_ARCHIVE: ("link, where uv makes none", "links, where uv makes none"),
    VerifyRule.BYTECODE_STALE: ("compiled file to mistrust", "compiled files to mistrust"),
    VerifyRule.WRONG_PACKAGE: ("name is another package's", "names are another package's"),
    VerifyRule.UNREADABLE: ("part can't be read", "parts can't be read"),
}

_PLAIN_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", re.ASCII)

# What runs, or fails to run, in the environments that have this archive.
_REACHES_USERS = frozenset(VerifyRule) - {VerifyRule.UNREADABLE, VerifyRule.RECORD_MISSING}


class Telling:
    """Turns problems into findings, with what one snapshot knows."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._root = snapshot.cache.identity.path.rstrip("/")

    def findings(self, checked: CheckedArchive) -> Iterator[Finding]:
        """Yield the findings on one archive."""
        archive = checked.archive
        for (rule, severity), found in checked.found.items():
            serious = severity is not Severity.INFO
            detail = self._detail(archive, rule, found, serious=serious)
            yield Finding(
                rule=rule.value,
                severity=severity,
                subject=f"{self._root}/{archive.path}",
                owner=account_name(archive.uid),
                detail=detail,
                fix=self._fix(checked, rule, found),
                count=found.count,
                team=self._team(archive),
            )

    def _team(self, archive: Archive) -> str | None:
        return team_of(self._snapshot.policy, f"{self._root}/{archive.path}", archive.uid)

    def _detail(
        self, archive: Archive, rule: VerifyRule, found: ProblemGroup, *, serious: bool
    ) -> str:
        one, many = _THINGS[rule]
        named = [_words(problem) for problem in found.examples]
        if found.count > len(named):
            named.append(f"and {found.count - len(named)} more")
        parts = [f"{_package(archive)}: {format_count(found.count, one, many)}: {'; '.join(named)}"]
        if serious:
            parts += _touches(archive, found.examples)
        if serious and rule in _REACHES_USERS:
            parts += self._users(archive)
        return "; ".join(parts)

    def _users(self, archive: Archive) -> Iterator[str]:
        """Say who has what is wrong: environments by link, then running processes."""
        evidence = self._snapshot.evidence
        linked = [e for e in evidence.environments if archive.id in e.archives]
        hard = [e for e in evidence.environments if archive.id in e.hardlinked_archives]
        if linked:
            yield f"environments that link to it: {self._names(linked)}"
        if hard:
            yield f"environments that share its files by hardlink: {self._names(hard)}"
        if archive.package is not None:
            same = f"{archive.package}=={archive.version}"
            copied = [e for e in evidence.environments if same in e.copied]
            if copied:
                yield (
                    "environments with a copy or clone, which is as it was when it was made: "
                    f"{self._names(copied)}"
                )
        paths = {e.path for e in (*linked, *hard)}
        running = [
            f"{process.pid} ({account_name(process.uid)})"
            for process in evidence.processes
            if any(use.entry == archive.path for use in process.uses)
            or not paths.isdisjoint(process.environments)
        ]
        if running:
            yield f"processes that use it now: {', '.join(join_some(running))}"
        if not (linked or hard or running):
            yield "no known environment links to it"

    def _names(self, environments: list[Environment]) -> str:
        names = [f"{e.path} ({self._snapshot.owner_of(e) or 'unknown'})" for e in environments]
        return ", ".join(join_some(sorted(names)))

    def _fix(self, checked: CheckedArchive, rule: VerifyRule, found: ProblemGroup) -> str:
        archive, severity = checked.archive, found.examples[0].severity
        if severity is Severity.INFO:
            return "nothing to do: Python made these files, and makes them again"
        if rule is VerifyRule.UNREADABLE:
            if severity is Severity.WARNING:
                return "run it as root, or as a member of the cache's group"
            return "look at the disk, and at who made it so; what can't be read can't be verified"
        if rule is VerifyRule.BYTECODE_STALE and not checked.lists_compiled:
            path = shell_word(f"{self._root}/{archive.path}")
            return (
                f"remove compiled files, Python makes new ones: find {path} -name '*.pyc' -delete"
            )
        if archive.content is ArchiveContent.ENVIRONMENT:
            return self._renew(archive)
        is_link = rule is VerifyRule.LINK_IN_ARCHIVE and not found.examples[0].path
        return self._replace(archive, named=_names_itself(checked), is_link=is_link)

    def _renew(self, archive: Archive) -> str:
        """Return how a cached environment is made again [run 0.5.10, 0.8.5, 0.13.8].

        Options of ``uvx`` do not do it in all of them: 0.13.8 keeps it under ``--reinstall``.
        """
        links = sorted(e.path for e in self._entries() if e.archive == archive.id)
        if not links:
            return "nothing in the cache names it: `cacheadmin prune` removes it"
        quoted = " ".join(shell_word(f"{self._root}/{path}") for path in links)
        return f"rm -- {quoted}; the next `uvx` or `uv run` makes the environment again"

    def _entries(self) -> Iterator[CachedEnvironment]:
        yield from self._snapshot.inventory.environments

    def _replace(self, archive: Archive, *, named: bool, is_link: bool) -> str:
        """Return how a wheel is replaced, as tried with real releases.

        ``named``: what it says it is may stand in a command. ``is_link``: a
        link stands in the archive's place, which no prune removes.
        """
        steps = []
        pointers = self._pointers(archive)
        if pointers:
            quoted = " ".join(shell_word(f"{self._root}/{path}") for path in pointers)
            steps.append(f"rm -f -- {quoted}")
        elif not is_link and not self._is_used(archive):
            return "nothing known has it any more: `cacheadmin prune` removes it"
        if archive.package is None or not named:
            last = "reinstall what was installed from it; then "
            last += "remove the link" if is_link else "`cacheadmin prune` removes it"
            return "; ".join([*steps, last])
        name = shell_word(archive.package)
        requirement = shell_word(f"{archive.package}=={archive.version}")
        words = "the URL in its direct_url.json, where it has one"
        if any(_is_from_elsewhere(path) for path in pointers):
            # An index may have another author's package of that name.
            requirement = shell_word(f"{archive.package} @ URL")
            words = "URL as in its direct_url.json, not from an index"
        steps.append(
            "in each environment "
            f"`uv pip install --python ENVIRONMENT --reinstall-package {name} {requirement}`"
            f" ({words}) or `uv sync --reinstall-package {name}`"
        )
        steps.append(
            f"not `uv cache clean {name}`, which breaks every environment that links to it"
        )
        return "; ".join(steps)

    def _is_used(self, archive: Archive) -> bool:
        evidence = self._snapshot.evidence
        uses = (use.entry for process in evidence.processes for use in process.uses)
        return archive.path in uses or any(
            archive.id in environment.archives or archive.id in environment.hardlinked_archives
            for environment in evidence.environments
        )

    def _pointers(self, archive: Archive) -> list[str]:
        """Return the files that make uv install this archive again."""
        inventory = self._snapshot.inventory
        paths = []
        for pointer in inventory.wheel_pointers:
            if archive.id in pointer.archives:
                folder, _, key = pointer.path.rpartition("/")
                names = {key, *(key + suffix for suffix in POINTER_SUFFIXES)}
                paths += [f"{folder}/{name}" for name in sorted(names & {key, *pointer.files})]
        for revision in inventory.revisions:
            for name, target in revision.links.items():
                if target == archive.id:
                    paths.append(f"{revision.path}/{name}")
        return paths


def _names_itself(checked: CheckedArchive) -> bool:
    """Whether folder, METADATA and pointers give an archive one name, and a plain one.

    Who could write in the cache chose it, and an admin is to run a command with it:
    no option, and not another package that the index has.
    """
    if any(rule is VerifyRule.WRONG_PACKAGE for rule, _ in checked.found):
        return False
    return _PLAIN_NAME.fullmatch(checked.archive.package or "") is not None


def _is_from_elsewhere(pointer: str) -> bool:
    """Whether a pointer names what came from a URL, a path or a repository, not an index."""
    return pointer.split("/")[1] in ("url", "path", "git", "editable")


def _package(archive: Archive) -> str:
    if archive.package is not None:
        return f"{archive.package} {archive.version}"
    if archive.content is ArchiveContent.ENVIRONMENT:
        return "cached environment"
    return "unknown archive"


def _words(problem: Problem) -> str:
    if not problem.path:
        return problem.what
    return f"{problem.path} ({problem.what})" if problem.what else problem.path


def _touches(archive: Archive, problems: list[Problem]) -> Iterator[str]:
    """Say who owns what was changed last, when that was, and who had the right to write it."""
    known = [problem.touched for problem in problems if problem.touched is not None]
    if not known:
        return
    last = max(known, key=lambda touched: touched.changed_ns)
    yield (
        f"last changed {rfc3339(last.changed_ns)} (dated {rfc3339(last.mtime_ns)}; "
        f"the archive {rfc3339(archive.mtime_ns)})"
    )
    yield _whose(archive, last)


def _whose(archive: Archive, touched: Touched) -> str:
    owner = account_name(touched.uid)
    if touched.uid != archive.uid:
        whose = account_name(archive.uid)
        words = f"it belongs to {owner}, the archive to {whose}: {owner} made it"
    else:
        words = f"it belongs to {owner}, as the archive does"
    if touched.links > 1:
        words += f"; it has {touched.links} links, and taking one counts as a change of it"
    if touched.writers:
        words += f"; who may write to it: {touched.writers}"
    if touched.replacers != touched.writers:
        words += f"; who may put another in its place: {touched.replacers}"
    return words
