"""Packages in the cache that an advisory names: `audit --advisories FILE`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.rule import Rule
from cacheadmin.evict.package_users import holders, processes_of
from cacheadmin.evict.wanted import Wanted
from cacheadmin.findings import Finding, Severity
from cacheadmin.inventory.entries import ArchiveContent
from cacheadmin.packages.names import normalized
from cacheadmin.text.lists import join_some
from cacheadmin.text.numbers import format_count

if TYPE_CHECKING:
    from cacheadmin.audit.advisories import Advisory
    from cacheadmin.audit.target import AuditTarget
    from cacheadmin.evict.package_users import PackageUser
    from cacheadmin.inventory.entries import ArchiveId

Release = tuple[str, str | None]


class KnownAdvisory(Rule):
    """A release in the cache that an advisory names, and each environment that has it."""

    id = "known-advisory"
    severity = Severity.ERROR
    title = "Package that a security advisory names"
    rationale = (
        "While its pointers are in the cache every user installs it from there, whatever the "
        "index has done about it; and who has it installed runs it."
    )
    fix = "cacheadmin evict POLICY NAME==VERSION takes it out of the cache, and names who has it"

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield one finding a release, and one an environment that has such releases."""
        if subject.advisories is None:
            return
        case = subject.case
        releases = _releases(subject)
        hit = {
            release: found for release in releases if (found := subject.advisories.about(*release))
        }
        # Without a version it would stand for every one.
        wanted = [Wanted(package, version) for package, version in hit if version is not None]
        archives = [archive for release in hit for archive in releases[release]]
        holding = holders(case, wanted, archives) if hit else []
        by_package: dict[str, list[PackageUser]] = defaultdict(list)
        for holder in holding:
            for text in holder.packages:
                by_package[text].append(holder)
        for (package, version), found in sorted(hit.items(), key=lambda item: str(item[0])):
            name = package if version is None else f"{package}=={version}"
            having = [one.environment.path for one in by_package[f"{package}=={version}"]]
            yield self.finding(
                name,
                f"{_words(found)}; {_where(subject, (package, version))}; {_who(subject, having)}",
                fix=subject.command("evict", name),
                count=max(1, len(releases[package, version])),
            )
        yield from self._environments(subject, holding)
        look = subject.snapshot.collected.look
        running = processes_of(case, look.processes, holding, archives, look.readers)
        for process in running:
            yield self.finding(
                f"process {process.pid}",
                f"{process.command} runs from an archive or environment that has such a package",
                owner=case.user(process.uid),
                fix="end it, or restart it when its environment is repaired",
            )

    def _environments(self, subject: AuditTarget, holding: list[PackageUser]) -> Iterator[Finding]:
        for holder in holding:
            uid = holder.environment.uid
            yield self.finding(
                holder.environment.path,
                f"it has {', '.join(holder.packages)}",
                owner=None if uid is None else subject.case.user(uid),
                fix=holder.repair or "uv makes it again when the package is evicted",
                count=len(holder.packages),
            )


def _releases(subject: AuditTarget) -> dict[Release, list[ArchiveId]]:
    """Return every release that is in the cache, on trial or installed, with its archives."""
    found: dict[Release, list[ArchiveId]] = defaultdict(list)
    inventory = subject.snapshot.inventory
    for archive in inventory.archives.values():
        if archive.content is ArchiveContent.WHEEL and archive.package is not None:
            found[normalized(archive.package), archive.version].append(archive.id)
    for package, version in (
        *((one.package, one.version) for one in inventory.wheel_pointers),
        *((one.package, one.version) for one in inventory.revisions),
        *((one.package, one.version) for one in inventory.on_trial.values()),
    ):
        if package is not None:
            found.setdefault((normalized(package), version), [])
    for environment in subject.case.evidence.environments:
        for text in environment.copied:
            name, _, version = text.partition("==")
            found.setdefault((name, version or None), [])
    # A pointer whose version can't be told stands for no release of its own.
    return {release: archives for release, archives in found.items() if release[1] or archives}


def _words(found: list[Advisory]) -> str:
    ids = ", ".join(join_some([one.id for one in found]))
    summary = next((f" ({one.summary})" for one in found if one.summary), "")
    fixed = [version for one in found for version in one.fixed_in]
    remedy = f"; fixed in {', '.join(join_some(fixed))}" if fixed else ""
    return f"{ids}{summary}{remedy}"


def _where(subject: AuditTarget, release: Release) -> str:
    inventory = subject.snapshot.inventory
    package, version = release

    def same(name: str | None, other: str | None) -> bool:
        return name is not None and normalized(name) == package and other == version

    archives = sum(same(one.package, one.version) for one in inventory.archives.values())
    pointers = sum(same(one.package, one.version) for one in inventory.wheel_pointers)
    pointers += sum(same(one.package, one.version) for one in inventory.revisions)
    on_trial = sum(same(one.package, one.version) for one in inventory.on_trial.values())
    parts = [
        format_count(number, word)
        for number, word in ((archives, "archive"), (pointers, "pointer"))
        if number
    ]
    parts += [f"{on_trial} on trial"] if on_trial else []
    return f"in the cache: {', '.join(parts)}" if parts else "not in the cache any more"


def _who(subject: AuditTarget, having: list[str]) -> str:
    if having:
        return f"installed in {', '.join(join_some(having))}"
    if subject.case.gaps:
        return "no environment was seen to have it, but not every place could be looked at"
    return "no environment has it installed"
