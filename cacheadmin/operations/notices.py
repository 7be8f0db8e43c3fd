"""What people get a message about: a command that failed them, and what it saw. Pure.

A notice has a cause, and for each cause at most one message goes out a day
(``operations.notifications``). So a notice says all that is known of its cause.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from cacheadmin.findings import Severity
from cacheadmin.state.notifications import Told
from cacheadmin.text.escapes import printable
from cacheadmin.text.numbers import format_count
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.findings import Finding
    from cacheadmin.operations.account import Account
    from cacheadmin.policy.loaded import LoadedPolicy
    from cacheadmin.trial.ledger import Spring

# Commands that timers run: perhaps no person sees their refusals.
_UNATTENDED = frozenset({"prune", "evict"})
_OVERDUE = "quarantine-overdue"

# Names in a message are what users chose: so many lines of so many characters.
_MAX_LINES = 10
_MAX_LINE = 300


@frozen
class Notice:
    """One thing that a person should know."""

    cause: str
    """What it is about: a word of ``notify.about``."""

    title: str
    """The matter in a few words."""

    lines: tuple[str, ...]
    """What was seen, a sentence a line."""

    todo: str
    """What to do next: a command, or words."""

    told: Told
    """What to remember once the message was sent."""


def notices_of_end(account: Account) -> Iterator[Notice]:
    """Yield what the end of a command gives reason to tell."""
    loaded = account.loaded
    if loaded is None or account.command not in _UNATTENDED:
        return
    told = Told(account.ended_ns)
    name = loaded.policy.name
    if account.outcome == "refused":
        lines = (account.error or "the reason is in the command's output", *account.error_details)
        todo = loaded.command("preflight")
        yield Notice("refused", f"{account.command} of {name} was refused", lines, todo, told)
    if account.outcome == "rolled_back":
        title = f"{account.command} of {name} was undone: links led nowhere after it"
        lines = (account.error or "everything was put back", *account.error_details)
        yield Notice("rolled_back", title, lines, loaded.command("runs list"), told)


def notices_of_findings(
    loaded: LoadedPolicy, findings: Iterable[Finding], now_ns: int
) -> Iterator[Notice]:
    """Yield what an audit's findings give reason to tell."""
    name, told = loaded.policy.name, Told(now_ns)
    overdue, errors = [], []
    for finding in findings:
        if finding.rule == _OVERDUE:
            overdue.append(finding)
        elif finding.severity is Severity.ERROR:
            errors.append(finding)
    if overdue:
        lines = tuple(finding.detail for finding in overdue)
        yield Notice("overdue", f"pruning {name} is overdue", lines, overdue[0].fix, told)
    if errors:
        title = f"the audit of {name} has {format_count(len(errors), 'error')}"
        lines = tuple(f"{finding.rule}: {finding.detail}" for finding in errors)
        yield Notice("audit_errors", title, lines, loaded.command("audit"), told)


def notices_of_uses(
    loaded: LoadedPolicy,
    uses: Sequence[Spring],
    looked_ns: int,
    told: Mapping[str, Told],
    now_ns: int,
) -> Iterator[Notice]:
    """Yield what came back from trial and was not told yet.

    ``looked_ns``: every use before that moment (ns since the epoch) is among ``uses``.
    """
    last = told.get("sprung", Told(0))
    fresh = [one for one in uses if one.at_ns > last.until_ns and _event_of(one) not in last.also]
    if not fresh:
        return
    entries = format_count(len(fresh), "entry", "entries")
    lines = tuple(
        f"{one.entry}: {one.why}" + (f", perhaps by {', '.join(one.who)}" if one.who else "")
        for one in fresh
    )
    later = frozenset(_event_of(one) for one in uses if one.at_ns > looked_ns)
    yield Notice(
        "sprung",
        f"{entries} of {loaded.policy.name} came back from trial: an unseen user has them in use",
        lines,
        loaded.command("runs list"),
        Told(now_ns, max(looked_ns, last.until_ns), later),
    )


def message_of(notice: Notice, loaded: LoadedPolicy) -> tuple[str, str]:
    """Return title and text of a message, safe to print and bounded."""
    shown = [_line(line) for line in notice.lines[:_MAX_LINES]]
    if len(notice.lines) > _MAX_LINES:
        shown.append(f"and {len(notice.lines) - _MAX_LINES} more")
    host = socket.gethostname()
    text = [*shown, "", f"cache: {_line(loaded.policy.cache)}", f"host: {_line(host)}"]
    if loaded.policy.contact:
        text.append(f"contact: {_line(loaded.policy.contact)}")
    text.append(f"see: {_line(notice.todo)}")
    return _line(f"cacheadmin: {notice.title}"), "\n".join(text)


def _line(text: str) -> str:
    # Bytes that are no UTF-8 come out escaped, so a message can always be encoded.
    shown = printable(os.fsdecode(os.fsencode(text)))
    return shown if len(shown) <= _MAX_LINE else shown[: _MAX_LINE - 3] + "..."


def _event_of(use: Spring) -> str:
    return f"{use.at_ns}:{use.entry}"
