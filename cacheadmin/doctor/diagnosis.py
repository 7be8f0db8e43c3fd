"""From one look at a cache to what is broken, whose it is, and how to repair it.

Undoing comes first: what a run of ours took is put back by one command for
every user at once. Then come repairs, environment by environment, by their
owners. An environment that could not be read is a finding of its own: it must
not pass for a healthy one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cacheadmin.doctor.quarantined import RestorableRun, holdings
from cacheadmin.doctor.reader_questions import ExaminedEnvironment, look_at_all
from cacheadmin.doctor.repairs import Repair, shell_words
from cacheadmin.evidence.facts import EnvironmentStatus
from cacheadmin.evidence.targets import lies_in_another_root
from cacheadmin.findings import Finding, Severity
from cacheadmin.policy.teams import team_of
from cacheadmin.readers import Unreadable
from cacheadmin.text.lists import join_some
from cacheadmin.text.numbers import format_count
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cacheadmin.doctor.damage import Damaged, Examination
    from cacheadmin.evidence.facts import Environment, Gap
    from cacheadmin.inventory.entries import Inventory
    from cacheadmin.planner.plan_input import PlanInput
    from cacheadmin.policy.loaded import LoadedPolicy
    from cacheadmin.policy.model import Policy
    from cacheadmin.snapshot.snapshot import Progress, Snapshot


@frozen
class Diagnosis:
    """One environment that is not well."""

    examination: Examination
    """What is wrong with it."""
    repair: Repair
    """How to repair it."""
    owner: str
    """Its owner's account name, or ``uid 1234``."""
    team: str | None
    """The team that it is attributed to; None for none."""
    restore: str
    """Id of the run whose undoing brings back all it has lost; "" where there is none."""
    held: tuple[str, ...]
    """Ids of the runs that hold something it has lost."""
    unsafe: str
    """Why its repair is left out of its owner's script; "" where it is not."""
    findings: tuple[Finding, ...]
    """The findings about it."""


@frozen
class Checkup:
    """What doctor found in one cache."""

    diagnoses: tuple[Diagnosis, ...]
    """Environments that are not well, by owner, then path."""
    unread: tuple[Finding, ...]
    """Findings about environments that could not be looked at, or not wholly."""
    holdings: tuple[RestorableRun, ...]
    """Past runs that hold something an environment has lost, newest first."""
    examined: int
    """How many environments were looked at."""
    quarantine_closed: str = ""
    """Why past runs could not be looked at; "" where they could."""
    missing: int = 0
    """Environments that are known and not there any more; they are not among the examined."""
    gaps: tuple[Gap, ...] = ()
    """Places where other environments may be, and that were not looked at."""
    names: tuple[Finding, ...] = ()
    """Findings about names by which environments call the cache, and that lead nowhere here."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every finding."""
        own = (finding for one in self.diagnoses for finding in one.findings)
        return (*own, *self.names, *self.unread)

    def helped_by(self, run_id: str) -> tuple[Diagnosis, ...]:
        """Return the environments of which a run holds a part, and none holds all."""
        return tuple(one for one in self.diagnoses if run_id in one.held and not one.restore)

    def healed_by(self, run_id: str) -> tuple[Diagnosis, ...]:
        """Return the environments that get back all they have lost when a run is undone."""
        return tuple(one for one in self.diagnoses if one.restore == run_id)


def diagnose(snapshot: Snapshot, progress: Progress | None = None) -> Checkup:
    """Examine every known environment; nothing is changed or run."""
    found: list[ExaminedEnvironment] = []
    unread: list[Finding] = []
    names: dict[str, list[Examination]] = {}
    examined = missing = 0
    here: list[Environment] = []
    for environment in snapshot.evidence.environments:
        if lies_in_another_root(environment.path):
            # Our commands would name a path that means something else here.
            unread += _of_another_root(snapshot, environment)
        else:
            here.append(environment)
    misleading = _misleads(snapshot.inventory)
    for environment, answer in look_at_all(snapshot, here, progress, misleading=misleading):
        if isinstance(answer, Unreadable):
            uid = environment.uid if answer.uid is None else answer.uid
            unread.append(
                _unread(snapshot.policy, snapshot.case, environment.path, uid, [answer.reason])
            )
            continue
        seen = answer.examination
        if seen is not None:
            examined += 1
            for name in seen.other_names:
                names.setdefault(name, []).append(seen)
        elif environment.status is EnvironmentStatus.MISSING:
            missing += 1
        if answer.repair is not None:
            found.append(answer)
        problems = seen.problems if seen is not None else ()
        reasons = [] if environment.complete else [environment.reason]
        reasons = list(dict.fromkeys([*reasons, *problems]))
        if reasons:
            uid = environment.uid if seen is None else seen.uid
            unread.append(_unread(snapshot.policy, snapshot.case, environment.path, uid, reasons))
    unread += _unseen(snapshot, {finding.subject for finding in unread})
    distinct = {one.examination.path: one for one in found if one.examination is not None}
    missed = {entry for one in distinct.values() for entry in _lost_entries(one)}
    held, closed = holdings(snapshot.policy, snapshot.cache, missed)
    diagnoses = [one for seen in distinct.values() for one in _diagnosis(snapshot, seen, held)]
    return Checkup(
        tuple(sorted(diagnoses, key=lambda d: (d.owner, d.examination.path))),
        tuple(unread),
        held,
        examined,
        closed,
        missing,
        snapshot.case.gaps,
        tuple(_unknown_name(snapshot.policy, name, users) for name, users in sorted(names.items())),
    )


def _unknown_name(policy: Policy, name: str, users: Sequence[Examination]) -> Finding:
    """Return what to do about a name of the cache that only a container or another host has."""
    links = sum(one.other_names[name] for one in users)
    paths = join_some([one.path for one in users])
    return Finding(
        "alias-missing",
        Severity.WARNING,
        name,
        None,
        f"{format_count(links, 'link')} of {', '.join(paths)} name{'s' if links == 1 else ''} this "
        f"cache {name}, which leads nowhere on this host; all they name is in the cache",
        f"set `aliases: [{name}]` in the policy, if that is the path of the cache in a container "
        "or on another host; nothing has to be installed again",
        len(users),
        policy.team or None,
    )


def _misleads(inventory: Inventory) -> bool:
    """Whether a pointer in the cache names an archive that is not there.

    uv believes it wherever it does not ask an index (docs/repairing-environments.md).
    """
    # `archives - there` would walk all that is there, once for each pointer.
    there = inventory.archives.keys()
    return any(not pointer.archives <= there for pointer in inventory.wheel_pointers)


def _lost_entries(seen: ExaminedEnvironment) -> frozenset[str]:
    return frozenset() if seen.examination is None else seen.examination.lost_entries


def _diagnosis(
    snapshot: Snapshot, seen: ExaminedEnvironment, held: Sequence[RestorableRun]
) -> Iterator[Diagnosis]:
    """Yield the diagnosis of an environment that is not well."""
    found, repair = seen.examination, seen.repair
    if found is None or repair is None:
        return
    owner = snapshot.case.user(found.uid)
    team = team_of(snapshot.policy, found.path, found.uid)
    whole = [run.run_id for run in held if found.lost_entries and found.lost_entries <= run.entries]
    part = tuple(run.run_id for run in held if run.entries & found.lost_entries)
    restore = whole[0] if whole else ""
    together = frozenset(entry for run in held for entry in run.entries)
    undone = (restore,) if restore else part if found.lost_entries <= together else ()
    findings = tuple(_findings(snapshot.loaded, seen, found, repair, owner, team, undone))
    yield Diagnosis(found, repair, owner, team, restore, part, seen.unsafe, findings)


def _findings(
    loaded: LoadedPolicy,
    seen: ExaminedEnvironment,
    found: Examination,
    repair: Repair,
    owner: str,
    team: str | None,
    undone: Sequence[str],
) -> Iterator[Finding]:
    command = shell_words(repair)
    fix = "; ".join(part for part in (command, repair.note) if part)

    def finding(rule: str, severity: Severity, detail: str, words: str, count: int) -> Finding:
        return Finding(rule, severity, found.path, owner, detail, words, count, team)

    links = sum(len(one.lost) for one in found.damaged)
    if links or found.dangling_target:
        detail = _lost_words(found, links, seen.caches_there)
        undo = "; ".join(loaded.command("runs restore", run) for run in undone)
        words = f"{undo}; or {fix}" if undo else fix
        yield finding("environment-broken", Severity.ERROR, detail, words, max(links, 1))
    half = found.half_installed
    if half:
        files = sum(len(one.absent) for one in half)
        severity = Severity.WARNING
        if any(one.keeps_from_importing for one in half):
            severity = Severity.ERROR
        detail = f"{format_count(files, 'file')} that RECORD names are not there: {_titles(half)}"
        yield finding("environment-half-installed", severity, detail, fix, files)
    if found.interpreter_missing:
        severity = Severity.ERROR
        detail = f"its Python {found.python} is gone".replace("  ", " ")
        if seen.is_on_a_network:
            severity = Severity.WARNING
            detail += " on this host; another host may have it"
        yield finding("interpreter-missing", severity, detail, fix, 1)


def _lost_words(found: Examination, links: int, caches_there: frozenset[str]) -> str:
    if found.dangling_target:
        return f"it is a link to {found.dangling_target} in the cache, which is gone"
    others = sum(found.other_caches.values())
    said = [
        f"{format_count(number, 'link')} into another cache, {cache}, lead"
        f"{'s' if number == 1 else ''} nowhere"
        + ("" if cache in caches_there else ": that cache is not there")
        for cache, number in found.other_caches.items()
    ]
    own = links - others
    if own > 0:
        said.insert(0, f"{format_count(own, 'link')} into the cache lead{'s' * (own == 1)} nowhere")
    return f"{'; '.join(said)}: {_titles(found.lost)}"


def _titles(damaged: Sequence[Damaged]) -> str:
    return ", ".join(join_some([one.title for one in damaged]))


def _unread(
    policy: Policy, case: PlanInput, path: str, uid: int | None, reasons: Sequence[str]
) -> Finding:
    return Finding(
        "environment-unreadable",
        Severity.WARNING,
        path,
        None if uid is None else case.user(uid),
        f"it may be broken too: {'; '.join(join_some(list(reasons)))}",
        "run doctor as root, or as its owner",
        len(reasons),
        team_of(policy, path, uid),
    )


def _of_another_root(snapshot: Snapshot, environment: Environment) -> Iterator[Finding]:
    if environment.broken_links:
        lost = join_some(list(environment.broken_packages)) or ("links into the cache",)
        reason = f"a process with mounts of its own runs from it, without {', '.join(lost)}"
        finding = _unread(
            snapshot.policy, snapshot.case, environment.path, environment.uid, [reason]
        )
        yield replace(finding, fix="run doctor in the container that it lies in")


def _unseen(snapshot: Snapshot, known: set[str]) -> Iterator[Finding]:
    """Yield what hides environments: closed folders that discovery could not enter."""
    for unseen in snapshot.evidence.unseen:
        if unseen.what in ("environment", "discover", "registry") and unseen.path not in known:
            yield _unread(snapshot.policy, snapshot.case, unseen.path, unseen.uid, [unseen.reason])
