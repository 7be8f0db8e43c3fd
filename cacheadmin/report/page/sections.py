"""The parts of a page about one cache: verdict, facts, sizes, use, findings, past prunes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.report.findings import count_by_severity
from cacheadmin.report.overview.words import (
    goal_words,
    going_words,
    growth_words,
    links_words,
    quarantine_words,
)
from cacheadmin.report.page.cells import (
    NOTHING,
    Cell,
    CellTable,
    badge,
    code,
    counted,
    dated,
    named,
    prose,
    shared,
    sized,
    words,
)
from cacheadmin.report.page.history import history_charts
from cacheadmin.report.page.holders import environment_table, holder_tables
from cacheadmin.report.page.hosts import hosts_sentence, hosts_table
from cacheadmin.report.page.trials import springs_table, trials_sentence, trials_table
from cacheadmin.report.usage import group_name
from cacheadmin.text.numbers import format_count
from cacheadmin.text.sizes import format_size
from cacheadmin.text.timestamps import rfc3339
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheadmin.findings import Finding
    from cacheadmin.overview.facts import CacheReport, Part, PastRun
    from cacheadmin.report.page.charts import Chart

# A browser, and a reader, can take so much; JSON has everything.
_LIMITS = 20
_PARTS = 15
_RELEASES = 40
_FINDINGS = 400
_RUNS = 20


@frozen
class CacheSections:
    """Everything that the page has about one cache, for the template."""

    identity: str
    """The id of the cache's part of the page; those within begin with it."""
    overview: CacheReport
    """What is known of the cache."""

    @property
    def limits(self) -> tuple[list[tuple[str, str]], int]:
        """Return (detail, what to do) of what limits a prune, and how many are left out."""
        limits = self.overview.limits
        shown = [(one.detail, one.fix) for one in limits[:_LIMITS]]
        return shown, len(limits) - len(shown)

    @property
    def going(self) -> str:
        """Return what a prune would do now."""
        return going_words(self.overview)

    @property
    def facts(self) -> list[tuple[str, str, str]]:
        """Return (meaning, value, note) of the numbers that come first."""
        overview = self.overview
        total, disk = overview.total, overview.disk
        files = f"{total.files:,} {'file' if total.files == 1 else 'files'}"
        return [
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
            ("archives", f"{overview.archives:,}", files),
            ("findings", f"{len(overview.findings):,}", count_by_severity(overview.findings)),
        ]

    @property
    def goals(self) -> list[tuple[str, str, bool]]:
        """Return (key, how the size stands to it, whether it is met) of the budget."""
        return [(one.key, goal_words(one), one.is_met) for one in self.overview.budget]

    @property
    def unread(self) -> str:
        """Return how much is in no number; "" where all could be read."""
        number = self.overview.unread
        words = f"{format_count(number, 'path')} could not be read and is in no number."
        return words if number else ""

    @property
    def charts(self) -> list[tuple[str, Chart, CellTable]]:
        """Return (id, chart, its numbers) of the sizes over time."""
        return history_charts(self.overview.history, self.identity)

    @property
    def sizes(self) -> list[tuple[str, str, CellTable]]:
        """Return (id, title, table) of the largest parts of each kind."""
        parts, total = self.overview.parts, self.overview.total.allocated_bytes
        cards = [
            ("Largest packages", "package", parts.packages, 1),
            ("By bucket", "bucket", parts.buckets, 0),
            ("By team", "team", parts.teams, 2),
            ("By owner", "owner", parts.owners, 3),
        ]
        return [
            (f"{self.identity}-{word}", title, _parts(title, word, found, total, colour))
            for title, word, found, colour in cards
            if found
        ]

    @property
    def holders(self) -> list[tuple[str, CellTable]]:
        """Return (title, table) of who keeps what in use."""
        return holder_tables(self.overview)

    @property
    def environments(self) -> CellTable:
        """Return every environment."""
        return environment_table(self.overview)

    @property
    def broken(self) -> str:
        """Return how many environments are broken; "" for none."""
        number = len(self.overview.broken)
        return format_count(number, "environment") if number else ""

    @property
    def doctor(self) -> str:
        """Return the command that says how to repair them."""
        return self.overview.loaded.command("doctor")

    @property
    def findings(self) -> CellTable:
        """Return the findings, worst first."""
        return _findings(self.overview.findings)

    @property
    def findings_title(self) -> str:
        """Return how many findings there are."""
        return f"Findings: {count_by_severity(self.overview.findings)}"

    @property
    def links(self) -> str:
        """Return how many installed distributions are linked in which way."""
        return links_words(self.overview)

    @property
    def releases(self) -> CellTable:
        """Return the uv releases in use."""
        return _releases(self.overview)

    @property
    def hosts_sentence(self) -> str:
        """Return how many other hosts there are, and how they stand."""
        return hosts_sentence(self.overview.hosts)

    @property
    def hosts(self) -> CellTable:
        """Return the other hosts."""
        return hosts_table(self.overview.hosts)

    @property
    def trials_sentence(self) -> str:
        """Return how much is on trial."""
        return trials_sentence(self.overview.trial)

    @property
    def trials(self) -> CellTable:
        """Return what is on trial."""
        return trials_table(self.overview.trial.trials)

    @property
    def springs_title(self) -> str:
        """Return how much came back from trial."""
        number = len(self.overview.trial.springs)
        return format_count(number, "entry came back", "entries came back")

    @property
    def springs(self) -> CellTable:
        """Return what came back from trial."""
        return springs_table(self.overview.trial.springs)

    @property
    def quarantine(self) -> str:
        """Return what waits in quarantine."""
        return quarantine_words(self.overview)

    @property
    def runs(self) -> CellTable:
        """Return past prunes."""
        runs = self.overview.quarantine.runs
        shown = runs[:_RUNS]
        return CellTable(
            "Past prunes",
            ("run", "begun", "outcome", "entries", "size", "can be undone until", "host"),
            [_run(run) for run in shown],
            left_out=len(runs) - len(shown),
            stacked=True,
        )


def _parts(title: str, word: str, parts: Sequence[Part], total: int, colour: int) -> CellTable:
    shown = parts[:_PARTS]
    rows = []
    for part in shown:
        size = part.size.allocated_bytes
        share = size / total if total else 0.0
        rows.append(
            (
                named(group_name(part.group)),
                shared(share, colour, size),
                sized(size),
                counted(part.archives),
                counted(part.size.files),
            )
        )
    columns = (word, "share", "on disk", "archives", "files")
    return CellTable(title, columns, rows, left_out=len(parts) - len(shown))


def _findings(findings: Sequence[Finding]) -> CellTable:
    shown = findings[:_FINDINGS]
    rows = [
        (
            code(one.rule),
            badge(one.severity.value, one.severity.value, one.severity.rank),
            named(one.owner),
            prose(one.detail),
            prose(one.fix),
        )
        for one in shown
    ]
    columns = ("rule", "severity", "owner", "what was seen", "what to do")
    return CellTable("Findings", columns, rows, left_out=len(findings) - len(shown), stacked=True)


def _releases(overview: CacheReport) -> CellTable:
    shown = overview.releases[:_RELEASES]
    lock = {True: words("yes"), False: badge("no", "warning"), None: words("unknown")}
    return CellTable(
        "uv releases in use",
        ("uv release", "used by", "takes the cache lock", "last seen"),
        [
            (
                named(one.version),
                named(", ".join(one.users)),
                lock[one.takes_cache_lock],
                dated(rfc3339(one.seen_ns)[:10]),
            )
            for one in shown
        ],
        left_out=len(overview.releases) - len(shown),
        stacked=True,
    )


def _run(run: PastRun) -> tuple[Cell, ...]:
    return (
        code(run.run_id),
        dated(run.begun_at[:16].replace("T", " ")),
        words(run.state),
        counted(run.entries),
        sized(run.size_bytes) if run.size_bytes else Cell(NOTHING.kind, NOTHING.content, 0),
        dated(rfc3339(run.until_ns)[:10] if run.until_ns else None),
        named(run.host),
    )
