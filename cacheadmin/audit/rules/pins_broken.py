"""Pins that can't be understood, or that pin nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.rule import Rule
from cacheadmin.evidence.kinds import PRESENT, NamedFolder
from cacheadmin.findings import Finding, Severity
from cacheadmin.inventory.entries import EntryKind
from cacheadmin.packages.names import normalized
from cacheadmin.planner.pins import is_expired, pinned_packages, pinned_paths
from cacheadmin.planner.targets import Target, on_trial_of
from cacheadmin.text.escapes import shell_word
from cacheadmin.text.lists import join_some
from cacheadmin.text.numbers import format_count

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget
    from cacheadmin.evidence.facts import Pin, Unseen


_LET_IT_BE_READ = (
    "let it be read, and do not remove it: what it pins would not be kept any more (run the audit "
    "as root; if it was, see that the disk answers)"
)


class PinsBroken(Rule):
    """A pin that can't be read, and a pin of what the cache does not hold."""

    id = "pins-broken"
    severity = Severity.WARNING
    title = "Pin that is unreadable or pins nothing"
    rationale = (
        "Its author believes something to be kept. One of an administrator's that can't be read "
        "might pin anything, so then nothing is pruned at all."
    )
    fix = "let it be read; of a damaged one pin what was meant, and then remove it"

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield one finding an unreadable file, and one an author for pins of nothing."""
        for unseen in subject.case.evidence.unseen:
            if unseen.what == "pin":
                yield self._unreadable(subject, unseen)
        by_author: dict[int, list[Pin]] = defaultdict(list)
        for pin in _pins_of_nothing(subject):
            by_author[pin.uid].append(pin)
        for uid, pins in by_author.items():
            author = subject.case.user(uid)
            named = ", ".join(join_some([pin.target for pin in pins]))
            remove = subject.command("pin remove", pins[0].target)
            yield self.finding(
                author,
                f"{format_count(len(pins), 'pin')} of {author} on what is not in the cache: "
                + named,
                owner=author,
                fix=f"as {author}: {remove}, or pin what was meant",
                count=len(pins),
            )

    def _unreadable(self, subject: AuditTarget, unseen: Unseen) -> Finding:
        effect = "; it could pin anything, so nothing is pruned" if unseen.hides_archives else ""
        return self.finding(
            unseen.path,
            f"can't be {'understood' if unseen.fix else 'read'} as a pin: {unseen.reason}{effect}",
            owner=None if unseen.uid is None else subject.case.user(unseen.uid),
            fix=_removal(subject, unseen),
        )


def _removal(subject: AuditTarget, unseen: Unseen) -> str:
    """Return what takes a damaged pin away; what it should keep only its author knows.

    One that could not be read, or that a newer release wrote, may be whole: it stays.
    """
    if not unseen.damaged or unseen.uid is None:
        return unseen.fix or _LET_IT_BE_READ
    # A folder may have the name, too.
    remove = f"rm -r -- {shell_word(unseen.path)}"
    again = subject.command("pin add", "WHAT", "--reason", "WHY")
    who = "" if unseen.uid == 0 else f"as {subject.case.user(unseen.uid)}: "
    return f"{who}pin again what it should keep: {again}; and only then {remove}"


def _pins_of_nothing(subject: AuditTarget) -> Iterator[Pin]:
    """Yield the pins in force that keep no entry; those of one target are all alike.

    A pin of a path keeps the bucket it lies in as well, be the path there or not.
    """
    case = subject.case
    if not case.evidence.pins:
        return
    kept = {pin.target for entry, pin in pinned_paths(case) if entry.kind is not EntryKind.BUCKET}
    kept |= {pin.target for _, pin in pinned_packages(case)}
    paths = {pin.path for pin in case.evidence.pins if pin.path is not None}
    named = {path: NamedFolder(f"{subject.cache_path}/{path}") for path in sorted(paths)}
    answers = subject.snapshot.readers.ask_all(PRESENT, named.values())
    # What no reader could look at may be there.
    there = {path for path, answer in zip(named, answers, strict=True) if answer is not False}
    for pin in case.evidence.pins:
        if pin.path in there or pin.target in kept or is_expired(pin, case.now_ns):
            continue
        # It brings that back with the next prune: without the pin its trial would end.
        package = None if pin.package is None else normalized(pin.package)
        if not on_trial_of(Target(pin.path, package, pin.version, ()), case.inventory):
            yield pin
