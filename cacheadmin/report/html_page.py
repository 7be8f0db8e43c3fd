"""One self-contained page for those who don't work on a terminal: sizes, holders, findings.

The page loads nothing: no script, style, font or image from elsewhere, and its
Content-Security-Policy forbids it even to what might be smuggled in. It reads
the same without script, on paper, in the dark, and aloud.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin import __version__
from cacheadmin.report.html_sections import cache_html
from cacheadmin.report.html_style import SCRIPT, STYLE, content_policy
from cacheadmin.report.html_text import escaped, name_html
from cacheadmin.text.timestamps import rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheadmin.overview.facts import Overview

_WORDS = (
    (
        "Cache",
        "The folder in which uv keeps every package it has downloaded or built, so that the next "
        "installation needs no download. Here many people share one.",
    ),
    (
        "Environment",
        "A folder with the packages of one project or tool. It is made from the cache.",
    ),
    (
        "Archive",
        "One unpacked version of a package in the cache: what environments are made from.",
    ),
    (
        "Symlinked, hardlinked, cloned, copied",
        "How a package got from the cache into an environment. A symlinked one lives in the cache "
        "alone: if its archive goes, the environment breaks. The other three survive.",
    ),
    (
        "On disk, logical, exclusively its own",
        "What the cache takes on the disk; how long its files are; and what would come back if "
        "the whole cache went, since files that environments share by hardlinks or clones stay.",
    ),
    (
        "Uses, alone, frees",
        "What an environment is linked to; how much of that no other user uses; and how much of "
        "that the next prune would free if the environment went. The last is less where uv still "
        "keeps the package for future installations.",
    ),
    (
        "Prune",
        "Removing what no user needs. uv's own prune can't know who uses what; cacheadmin's asks "
        "first, and can put everything back for a while.",
    ),
    (
        "Safe, limited, refused",
        "May the cache be pruned now? Limited: yes, but some things must be kept because they are "
        "in use, or because that could not be seen. Refused: nothing would be changed.",
    ),
    (
        "Quarantine",
        "Where removed things wait for some days before they are deleted for good.",
    ),
    (
        "On trial",
        "What was not seen in use is set aside before it is deleted, and still works from "
        "there. If a user uses it all the same, it comes back by itself.",
    ),
    (
        "Finding",
        "Something that an audit noticed. Error: a user is, or will be, stopped from working, "
        "or could do harm. Warning: it costs room, time or a safety net. Info: good to know.",
    ),
)


def page(overviews: Sequence[Overview], host: str) -> bytes:
    """Return the page for one or several caches as UTF-8."""
    names = [overview.loaded.policy.name for overview in overviews]
    title = f"uv cache {names[0]}" if len(names) == 1 else f"{len(names)} uv caches"
    taken = rfc3339(max(overview.taken_ns for overview in overviews))
    shown = f"{taken[:16].replace('T', ' ')} UTC"
    sections = "".join(
        cache_html(overview, f"c{number}", alone=len(overviews) == 1)
        for number, overview in enumerate(overviews, 1)
    )
    text = (
        "<!doctype html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escaped(content_policy())}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        '<meta name="color-scheme" content="light dark">\n'
        # A page served over HTTP would otherwise ask for an icon.
        '<link rel="icon" href="data:,">\n'
        f"<title>{escaped(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<header>{_heading(names)}"
        f'<p class="faint">Report of <time datetime="{taken}">{shown}</time>, '
        f"made on {name_html(host)}</p>{_contents(overviews)}</header>\n"
        f"<main>\n{sections}{_glossary()}</main>\n"
        f"<footer>Made by cacheadmin {escaped(__version__)}. This page loads nothing from "
        "anywhere; the times on it are UTC.</footer>\n"
        f"<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )
    return text.encode("utf-8")


def _heading(names: Sequence[str]) -> str:
    """Return the title; of one cache alone it is that cache's name."""
    if len(names) == 1:
        return f'<h1 id="c1-name">uv cache {name_html(names[0])}</h1>'
    return f"<h1>{len(names)} uv caches</h1>"


def _contents(overviews: Sequence[Overview]) -> str:
    """Return links to each cache where there are several."""
    if len(overviews) == 1:
        return ""
    items = "".join(
        f'<li><a href="#c{number}">{name_html(overview.loaded.policy.name)}</a> '
        f'<span class="badge {overview.verdict.value}">{overview.verdict.value}</span></li>'
        for number, overview in enumerate(overviews, 1)
    )
    return f'<nav aria-label="Caches"><ul>{items}</ul></nav>'


def _glossary() -> str:
    items = "".join(f"<dt>{escaped(word)}</dt><dd>{escaped(told)}</dd>" for word, told in _WORDS)
    return (
        '<section class="card" aria-labelledby="words"><h2 id="words">What the words mean</h2>'
        f'<dl class="words">{items}</dl></section>\n'
    )
