"""How an explanation looks: ``explain`` as JSON and for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cacheadmin.inventory.entries import archive_path
from cacheadmin.planner.chains import chain_words
from cacheadmin.prune.plan_rows import decisions_json
from cacheadmin.report.formats import Report, Rows, View, rows_of
from cacheadmin.text.escapes import printable
from cacheadmin.text.numbers import format_count
from cacheadmin.text.sizes import format_size
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.accounting import Measured
    from cacheadmin.planner.chains import Chain
    from cacheadmin.planner.explanation import (
        EntryStory,
        EnvironmentStory,
        Explanation,
        KeptByEnvironment,
    )
    from cacheadmin.planner.plan_input import PlanInput
    from cacheadmin.planner.targets import CacheEntry
    from cacheadmin.text.documents import Document, Heading

# People read so many; --verbose and JSON have all.
_CHAINS = 5
_ENTRIES = 20


_COLUMNS = (
    *("decision", "kind", "path", "package", "version", "rule", "reason", "used_by"),
    *("bytes", "reclaimable_bytes", "files"),
)


@frozen
class ExplanationReport(Report):
    """Why something is kept or removed."""

    heading: Heading
    """How the document begins."""
    target: str
    """What was asked about, as it was written."""
    found: Explanation
    """What is known of it."""
    case: PlanInput
    """The cache it lies in."""
    sizes: Measured[str]
    """What each entry takes."""

    def document(self) -> Document:
        """Return the document of ``explain``."""
        return self.heading.over(explanation_json(self.target, self.found, self.case, self.sizes))

    def rows(self) -> Rows:
        """Return a row for each entry that is meant, or that an environment keeps."""
        rows = [_entry_json(story, self.sizes) for story in self.found.entries]
        for story in self.found.environments:
            one = _environment_json(story, self.case, self.sizes)
            rows += [
                {**kept, "decision": "kept", "used_by": [one["path"], *kept["others"]]}
                for kept in one["keeps"]
            ]
        return rows_of(rows, _COLUMNS)

    def text(self, view: View) -> str:
        """Return it in sentences."""
        return explanation_text(self.found, self.case, self.sizes, everything=view.verbose)


def explanation_json(
    target: str, found: Explanation, case: PlanInput, sizes: Measured[str]
) -> dict[str, Any]:
    """Return the document's content."""
    return {
        "target": target,
        "entries": [_entry_json(story, sizes) for story in found.entries],
        "environments": [_environment_json(one, case, sizes) for one in found.environments],
    }


def explanation_text(
    found: Explanation, case: PlanInput, sizes: Measured[str], *, everything: bool = False
) -> str:
    """Return the explanation for people; with ``everything`` nothing is left out."""
    parts = []
    shown = found.entries if everything else found.entries[:_ENTRIES]
    parts += [_entry_text(story, sizes, everything=everything) for story in shown]
    if len(shown) < len(found.entries):
        parts.append(f"... and {len(found.entries) - len(shown)} more (--verbose shows all)")
    parts += [
        _environment_text(story, case, sizes, everything=everything) for story in found.environments
    ]
    return "\n\n".join(parts)


def _entry_json(story: EntryStory, sizes: Measured[str]) -> dict[str, Any]:
    size = sizes.get(story.entry.path)
    return {
        "kind": story.entry.kind.value,
        "path": story.entry.path,
        "package": story.entry.package,
        "version": story.entry.version,
        "decision": "removed" if story.removed else "kept",
        "with": None if story.decision.path == story.entry.path else story.decision.path,
        "rule": story.decision.rule,
        "reason": story.decision.reason,
        "used_by": list(story.decision.used_by),
        "bytes": None if size is None else size.allocated_bytes,
        "reclaimable_bytes": None if size is None else size.reclaimable_bytes,
        "files": None if size is None else size.files,
        "chains": [_chain_json(chain) for chain in story.chains],
        "near_miss": story.near_miss or None,
        "to_change": list(story.to_change),
    }


def _chain_json(chain: Chain) -> dict[str, Any]:
    return {
        "rule": chain.rule,
        "steps": [
            {"kind": step.kind.value, "name": step.name, "detail": step.detail or None}
            for step in chain.steps
        ],
        "note": chain.note or None,
        "text": chain_words(chain),
    }


def _environment_json(
    story: EnvironmentStory, case: PlanInput, sizes: Measured[str]
) -> dict[str, Any]:
    environment = story.environment
    return {
        "path": environment.path,
        "owner": None if environment.uid is None else case.user(environment.uid),
        "uid": environment.uid,
        "status": environment.status.value,
        "links": environment.links,
        "keeps": [
            {
                "kind": kept.entry.kind.value,
                "path": kept.entry.path,
                "package": kept.entry.package,
                "version": kept.entry.version,
                "others": list(kept.others),
            }
            for kept in story.keeps
        ],
        "hardlinked": sorted(map(archive_path, environment.hardlinked_archives)),
        "frees": None if story.freed is None else _freed_json(story, sizes),
    }


def _freed_json(story: EnvironmentStory, sizes: Measured[str]) -> dict[str, Any]:
    freed = story.freed or ()
    total = sizes.together(decision.path for decision in freed)
    return {
        "entries": list(decisions_json(freed, sizes)),
        "bytes": total.allocated_bytes,
        "reclaimable_bytes": total.reclaimable_bytes,
        "files": total.files,
    }


def _entry_text(story: EntryStory, sizes: Measured[str], *, everything: bool) -> str:
    size = sizes.get(story.entry.path)
    words = "removed by the next prune" if story.removed else "kept"
    lines = [f"{_name(story.entry)}: {words}"]
    if size is not None and size.files:
        lines[0] += f", {format_size(size.allocated_bytes)} in {format_count(size.files, 'file')}"
    around = story.decision.path
    inside = "" if around == story.entry.path else f" (with {printable(around)})"
    lines.append(f"  {story.decision.rule}: {printable(story.decision.reason)}{inside}")
    shown = story.chains if everything else story.chains[:_CHAINS]
    lines += [f"  {printable(chain_words(chain))}" for chain in shown]
    if len(shown) < len(story.chains):
        lines.append(f"  ... and {len(story.chains) - len(shown)} more (--verbose shows all)")
    if story.near_miss:
        lines.append(f"  near miss: {printable(story.near_miss)}")
    label = "to keep it" if story.removed else "to let it go"
    lines += [f"  {label}: {printable(sentence)}" for sentence in story.to_change]
    return "\n".join(lines)


def _environment_text(
    story: EnvironmentStory, case: PlanInput, sizes: Measured[str], *, everything: bool
) -> str:
    environment = story.environment
    owner = case.user(environment.uid)
    lines = [
        f"{printable(environment.path)} ({owner}, {environment.status.value}): keeps "
        f"{format_count(len(story.keeps), 'entry', 'entries')} by "
        f"{format_count(environment.links, 'link')}"
    ]
    shown = story.keeps if everything else story.keeps[:_ENTRIES]
    lines += [f"  keeps {_name(kept.entry)}{_others(kept)}" for kept in shown]
    if len(shown) < len(story.keeps):
        lines.append(f"  ... and {len(story.keeps) - len(shown)} more (--verbose shows all)")
    if environment.hardlinked_archives:
        count = format_count(len(environment.hardlinked_archives), "archive")
        lines.append(f"  shares files with {count} by hardlinks: safe to lose, and freeing little")
    if story.freed is None:
        lines.append("  it is part of the cache; the rules above decide about it")
    elif story.freed:
        total = sizes.together(decision.path for decision in story.freed)
        count = format_count(len(story.freed), "entry", "entries")
        lines.append(f"  without it {count} would go, {format_size(total.reclaimable_bytes)}:")
        lines += [f"    {printable(one.path)}: {printable(one.reason)}" for one in story.freed]
    else:
        lines.append("  without it nothing would go at once: others, or pointers, keep it all")
    return "\n".join(lines)


def _others(kept: KeptByEnvironment) -> str:
    if not kept.others:
        return ", which no other environment, process or pin uses"
    return f", as {printable(', '.join(kept.others))} does"


def _name(entry: CacheEntry) -> str:
    package = " ".join(part for part in (entry.package, entry.version) if part)
    words = f"{entry.kind.value} {entry.path}" + (f" ({package})" if package else "")
    return printable(words)
