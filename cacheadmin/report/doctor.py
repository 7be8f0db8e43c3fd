"""How a checkup looks: by user, then by environment, with the command that repairs it."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from cacheadmin.doctor.repairs import shell_words
from cacheadmin.report.findings import FINDING_COLUMNS, count_by_severity, finding_json
from cacheadmin.report.formats import FindingsReport, Rows, View, rows_of
from cacheadmin.report.gaps import gaps_text, unseen_words
from cacheadmin.report.sarif import findings_log
from cacheadmin.report.terminal import Style
from cacheadmin.text.escapes import printable, shell_command, shell_word
from cacheadmin.text.numbers import format_count
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from cacheadmin.doctor.diagnosis import Checkup, Diagnosis
    from cacheadmin.inventory.entries import CacheIdentity
    from cacheadmin.policy.loaded import LoadedPolicy
    from cacheadmin.text.documents import Document, Heading

_NAMED_PACKAGES = 12
_NAMED_UNREAD = 20


@frozen
class CheckupReport(FindingsReport):
    """Environments that are broken, and what repairs each."""

    heading: Heading
    """How the document begins."""
    loaded: LoadedPolicy
    """The policy of the cache."""
    cache: CacheIdentity
    """The cache that was looked at."""
    checkup: Checkup
    """What was found."""
    named: str | None
    """What the policy was called on the command line; None for the built-in one."""

    def document(self) -> Document:
        """Return the document of ``doctor``."""
        return self.heading.over(checkup_json(self.checkup))

    def rows(self) -> Rows:
        """Return a finding a row, with the command that repairs it."""
        rows = [
            {**row, "command": shell_command(row["command"]) if row.get("command") else None}
            for row in checkup_json(self.checkup)["findings"]
        ]
        shown = rows_of(rows, (*FINDING_COLUMNS, "run_as", "cwd", "command"))
        return Rows(shown.columns, shown.cells, checkup_json(self.checkup)["findings"])

    def text(self, view: View) -> str:
        """Return it by user, then by environment."""
        return checkup_text(
            self.checkup,
            self.named,
            lambda one: shell_words(one.repair),
            lambda text: view.paint(text, Style.STRONG),
        )

    def sarif(self) -> Document:
        """Return the findings as a log."""
        return findings_log(self.checkup.findings, self.loaded, self.cache)


def checkup_json(checkup: Checkup) -> dict[str, Any]:
    """Return the content of doctor's document."""
    rows = [
        {**finding_json(finding), **_repair_json(diagnosis)}
        for diagnosis in checkup.diagnoses
        for finding in diagnosis.findings
    ]
    return {
        "findings": [*rows, *map(finding_json, (*checkup.names, *checkup.unread))],
        "restores": [
            {
                "run": run.run_id,
                "begun_at": run.begun_at,
                "archives": sorted(run.entries),
                "heals": [d.examination.path for d in checkup.healed_by(run.run_id)],
            }
            for run in checkup.holdings
        ],
        "examined": checkup.examined,
        "missing": checkup.missing,
    }


def _repair_json(diagnosis: Diagnosis) -> dict[str, Any]:
    found, repair = diagnosis.examination, diagnosis.repair
    return {
        "packages": [
            {
                "name": one.name or None,
                "version": one.version or None,
                "lost": len(one.lost),
                "absent": len(one.absent),
                "archives": list(one.archives),
            }
            for one in found.damaged
        ],
        "archives": sorted(found.lost_entries),
        "command": list(repair.commands[0]) if repair.commands else None,
        "commands": [list(words) for words in repair.commands],
        "cwd": repair.folder,
        "run_as": diagnosis.owner,
        "uid": found.uid,
        "restore": diagnosis.restore or None,
        "partly_held_by": list(diagnosis.held),
        "link_mode": found.mode.value,
        "kind": found.environment.kind.value,
        "uv_version": found.environment.uv_version,
        "note": repair.note or None,
        "not_in_script": diagnosis.unsafe or None,
    }


def checkup_text(
    checkup: Checkup,
    policy: str | None,
    command: Callable[[Diagnosis], str],
    bold: Callable[[str], str],
) -> str:
    """Return a checkup for people.

    ``command`` gives a diagnosis's repair as one line for a shell; ``policy``
    is what to call the policy in commands; None for the built-in one.
    """
    lines = _restores(checkup, policy)
    for owner, group in groupby(checkup.diagnoses, key=lambda one: one.owner):
        own = list(group)
        team = f" ({printable(own[0].team)})" if own[0].team not in (None, owner) else ""
        verb = "is" if len(own) == 1 else "are"
        broken = f"{format_count(len(own), 'environment')} {verb} broken"
        lines.append(bold(f"{printable(owner)}{team}: {broken}"))
        for diagnosis in own:
            lines += _one(diagnosis, command(diagnosis))
        lines.append("")
    if any(one.repair.commands for one in checkup.diagnoses):
        lines += [
            "Commands are for the owners, with the settings they use uv with here "
            "(UV_CACHE_DIR, UV_LINK_MODE);",
            "`--fix-script DIR` writes them as a script for each, settings included.",
            "",
        ]
    for finding in checkup.names:
        lines += [printable(finding.detail), f"    {printable(finding.fix)}", ""]
    lines += _unread(checkup)
    gaps = gaps_text(checkup.gaps)
    lines += [gaps, ""] if gaps else []
    lines.append(_closing(checkup))
    return "\n".join(lines)


def _restores(checkup: Checkup, policy: str | None) -> list[str]:
    lines = []
    named = [policy] if policy else []
    for run in checkup.holdings:
        healed = checkup.healed_by(run.run_id)
        helped = checkup.helped_by(run.run_id)
        if not healed and not helped:
            continue
        words = format_count(len(healed or helped), "environment")
        verb = "comes" if healed else "gets a part"
        if len(healed or helped) > 1:
            verb = "come" if healed else "get a part"
        lines += [
            f"FIRST: {words} {verb} back by undoing the prune of {run.begun_at}:",
            f"  {' '.join(map(shell_word, ('cacheadmin', 'runs', 'restore', *named, run.run_id)))}",
            *(f"    {printable(one.examination.path)}" for one in healed),
            *(f"    {printable(one.examination.path)} (a part)" for one in helped),
        ]
    if lines:
        lines += ["Then run doctor again; what is still broken needs the commands below.", ""]
    if checkup.quarantine_closed:
        lines += [f"past runs could not be looked at: {printable(checkup.quarantine_closed)}", ""]
    return lines


def _one(diagnosis: Diagnosis, command: str) -> list[str]:
    found = diagnosis.examination
    facts = [found.environment.kind.value, found.mode.value]
    if found.environment.uv_version:
        facts.append(f"made by uv {found.environment.uv_version}")
    lines = [f"  {printable(found.path)}  ({', '.join(facts)})"]
    lines += [f"    {f.severity.value}: {printable(f.detail)}" for f in diagnosis.findings]
    names = [one.title for one in found.damaged]
    if len(names) > 4:
        more = f", and {len(names) - _NAMED_PACKAGES} more" if len(names) > _NAMED_PACKAGES else ""
        lines.append(f"    packages: {printable(', '.join(names[:_NAMED_PACKAGES]))}{more}")
    if diagnosis.restore:
        lines.append(f"    comes back with run {diagnosis.restore}")
    elif diagnosis.held:
        lines.append(f"    a part comes back with each of: {', '.join(diagnosis.held)}")
    if command:
        lines.append(f"    $ {command}")
    if diagnosis.repair.note:
        lines.append(f"    note: {printable(diagnosis.repair.note)}")
    if diagnosis.unsafe:
        lines.append(f"    in no script: {printable(diagnosis.unsafe)}")
    return lines


def _unread(checkup: Checkup) -> list[str]:
    if not checkup.unread:
        return []
    lines = ["Not looked at, or not wholly:"]
    for finding in checkup.unread[:_NAMED_UNREAD]:
        owner = f" ({printable(finding.owner)})" if finding.owner else ""
        lines.append(f"  {printable(finding.subject)}{owner}: {printable(finding.detail)}")
    if len(checkup.unread) > _NAMED_UNREAD:
        lines.append(f"  and {len(checkup.unread) - _NAMED_UNREAD} more")
    return [*lines, ""]


def _closing(checkup: Checkup) -> str:
    """Return the count of what was examined; it never speaks of what was not looked at."""
    examined = format_count(checkup.examined, "environment")
    examined += f" examined, {checkup.missing} gone" if checkup.missing else " examined"
    if checkup.findings:
        words = f"{examined}, {len(checkup.diagnoses)} broken; "
        words += count_by_severity(checkup.findings)
    elif not checkup.examined:
        words = f"{examined}: nothing can be said"
    else:
        none = "it is not" if checkup.examined == 1 else "none of these is"
        words = f"{examined}, {none} broken"
    if checkup.gaps:
        words += f"; {unseen_words(len(checkup.gaps))}"
    return words
