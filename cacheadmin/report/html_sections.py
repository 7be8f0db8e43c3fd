"""The parts of a page about one cache: verdict, facts, sizes, use, findings, past prunes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.report.findings import count_by_severity
from cacheadmin.report.html_history import history_html
from cacheadmin.report.html_holders import holders_html
from cacheadmin.report.html_hosts import hosts_html
from cacheadmin.report.html_text import (
    Cell,
    counted,
    dated,
    escaped,
    labels,
    name_html,
    named,
    path_html,
    prose_html,
    section,
    table_html,
)
from cacheadmin.report.html_trials import trials_html
from cacheadmin.report.overview_words import (
    goal_words,
    going_words,
    growth_words,
    links_words,
    quarantine_words,
)
from cacheadmin.report.svg_charts import share_bar
from cacheadmin.report.usage import group_name
from cacheadmin.text.counting import format_count
from cacheadmin.text.sizes import format_size
from cacheadmin.text.timestamps import rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheadmin.findings import Finding
    from cacheadmin.overview.facts import Overview, Part, PastRun

# A browser, and a reader, can take so much; JSON has everything.
_LIMITS = 20
_PARTS = 15
_RELEASES = 40
_FINDINGS = 400
_RUNS = 20


def cache_html(overview: Overview, identity: str, *, alone: bool) -> str:
    """Return everything about one cache; with ``alone`` the page is about it only."""
    policy = overview.loaded.policy
    title = "" if alone else f'<h1 id="{identity}-name">{name_html(policy.name)}</h1>'
    about = [path_html(overview.cache.path)]
    if policy.team:
        about.append(f"team {name_html(policy.team)}")
    if policy.contact:
        about.append(f"contact {name_html(policy.contact)}")
    described = f"<p>{name_html(policy.description)}</p>" if policy.description else ""
    parts = (
        _verdict(overview, identity),
        _facts(overview),
        history_html(overview, identity),
        _sizes(overview, identity),
        holders_html(overview, identity),
        _findings(overview.findings, identity),
        _releases(overview, identity),
        hosts_html(overview, identity),
        trials_html(overview, identity),
        _past(overview, identity),
    )
    return (
        f'<article class="cache" id="{identity}">{title}'
        f'<p class="faint">{" · ".join(about)}</p>{described}{"".join(parts)}</article>\n'
    )


def _verdict(overview: Overview, identity: str) -> str:
    verdict = overview.verdict.value
    shown = overview.limits[:_LIMITS]
    limits = "".join(
        f"<li>{prose_html(one.detail)}"
        + (f'<br><span class="faint">{prose_html(one.fix)}</span>' if one.fix else "")
        + "</li>"
        for one in shown
    )
    if len(shown) < len(overview.limits):
        limits += f"<li>and {len(overview.limits) - len(shown)} more</li>"
    named_by = labels(f"{identity}-verdict")
    return (
        f'<section class="card verdict {verdict}" aria-labelledby="{named_by}">'
        f'<h2 class="unseen" id="{identity}-verdict">Verdict</h2>'
        f'<p><span class="badge {verdict}">{verdict}</span> '
        f"{escaped(going_words(overview))}.</p>"
        f"{f'<ul>{limits}</ul>' if limits else ''}</section>\n"
    )


def _facts(overview: Overview) -> str:
    total, disk = overview.total, overview.disk
    facts = [
        ("on disk", format_size(total.allocated_bytes), growth_words(overview)),
        (
            "exclusively its own",
            format_size(total.reclaimable_bytes),
            f"{format_size(total.logical_bytes)} logical",
        ),
        (
            "free on its filesystem",
            format_size(disk.free_bytes),
            f"of {format_size(disk.size_bytes)}, {disk.kind}",
        ),
        (
            "environments",
            f"{len(overview.environments):,}",
            f"{len(overview.broken):,} broken" if overview.broken else "none broken",
        ),
        (
            "archives",
            f"{overview.archives:,}",
            f"{total.files:,} {'file' if total.files == 1 else 'files'}",
        ),
        ("findings", f"{len(overview.findings):,}", count_by_severity(overview.findings)),
    ]
    items = "".join(
        f'<div><dt>{meaning}<span class="note">{escaped(note)}</span></dt><dd>{value}</dd></div>'
        for meaning, value, note in facts
    )
    goals = "".join(
        f'<li><span class="badge {"ok" if goal.is_met else "error"}">'
        f"{'met' if goal.is_met else 'not met'}</span> "
        f"<code>{goal.key}</code> {escaped(goal_words(goal))}</li>"
        for goal in overview.budget
    )
    budget = f'<ul class="legend card goals">{goals}</ul>' if goals else ""
    unread = ""
    if overview.unread:
        words = f"{format_count(overview.unread, 'path')} could not be read and is in no number."
        unread = f'<p class="faint">{words}</p>'
    return f'<dl class="facts">{items}</dl>{budget}{unread}'


def _sizes(overview: Overview, identity: str) -> str:
    parts, total = overview.parts, overview.total.allocated_bytes
    cards = [
        ("Largest packages", "package", parts.packages, 1),
        ("By bucket", "bucket", parts.buckets, 0),
        ("By team", "team", parts.teams, 2),
        ("By owner", "owner", parts.owners, 3),
    ]
    tables = "".join(
        section(f"{identity}-{word}", title, _parts(title, word, found, total, colour), "shares")
        for title, word, found, colour in cards
    )
    return f'<div class="grid2">{tables}</div>'


def _parts(title: str, word: str, parts: Sequence[Part], total: int, colour: int) -> str:
    shown = parts[:_PARTS]
    rows = []
    for part in shown:
        size = part.size.allocated_bytes
        share = size / total if total else 0.0
        rows.append(
            (
                named(group_name(part.group)),
                Cell(share_bar(share, colour), size, words=True),
                Cell(format_size(size), size),
                counted(part.archives),
                counted(part.size.files),
            )
        )
    columns = (word, "share", "on disk", "archives", "files")
    return table_html(title, columns, rows, left_out=len(parts) - len(shown))


def _findings(findings: Sequence[Finding], identity: str) -> str:
    if not findings:
        return section(f"{identity}-findings", "Findings", "<p>None: all is as it should be.</p>")
    shown = findings[:_FINDINGS]
    rows = [
        (
            Cell(f"<code>{escaped(one.rule)}</code>"),
            Cell(
                f'<span class="badge {one.severity.value}">{one.severity.value}</span>',
                one.severity.rank,
                words=True,
            ),
            named(one.owner),
            Cell(prose_html(one.detail)),
            Cell(prose_html(one.fix)),
        )
        for one in shown
    ]
    columns = ("rule", "severity", "owner", "what was seen", "what to do")
    left_out = len(findings) - len(shown)
    table = table_html("Findings", columns, rows, left_out=left_out, stacked=True)
    title = f"Findings: {count_by_severity(findings)}"
    return section(f"{identity}-findings", title, table, "findings")


def _releases(overview: Overview, identity: str) -> str:
    shown = overview.releases[:_RELEASES]
    lock = {True: "yes", False: '<span class="badge warning">no</span>', None: "unknown"}
    rows = [
        (
            named(one.version),
            named(", ".join(one.users)),
            Cell(lock[one.takes_cache_lock]),
            dated(rfc3339(one.seen_ns)[:10]),
        )
        for one in shown
    ]
    columns = ("uv release", "used by", "takes the cache lock", "last seen")
    left_out = len(overview.releases) - len(shown)
    table = table_html("uv releases in use", columns, rows, left_out=left_out, stacked=True)
    links = f"<p>{escaped(links_words(overview))}.</p>"
    return section(f"{identity}-releases", "uv releases in use", links + table)


def _past(overview: Overview, identity: str) -> str:
    words = f"<p>Quarantine: {name_html(quarantine_words(overview))}.</p>"
    shown = overview.quarantine.runs[:_RUNS]
    columns = ("run", "begun", "outcome", "entries", "size", "can be undone until", "host")
    left_out = len(overview.quarantine.runs) - len(shown)
    rows = [_run(run) for run in shown]
    table = table_html("Past prunes", columns, rows, left_out=left_out, stacked=True)
    return section(f"{identity}-past", "Past prunes", words + table)


def _run(run: PastRun) -> tuple[Cell, ...]:
    return (
        Cell(f"<code>{escaped(run.run_id)}</code>"),
        dated(run.begun_at[:16].replace("T", " ")),
        Cell(escaped(run.state)),
        counted(run.entries),
        Cell(format_size(run.size_bytes) if run.size_bytes else "–", run.size_bytes),
        dated(rfc3339(run.until_ns)[:10] if run.until_ns else None),
        named(run.host),
    )
