"""One self-contained page for those who don't work on a terminal: sizes, holders, findings.

The page loads nothing: no script, style, font or image from elsewhere, and its
Content-Security-Policy forbids it even to what might be smuggled in: the style
and the script are named by their hash. It reads the same without script, on
paper, in the dark, and aloud.

Names on it come from people who may wish to run a script in the reader's
browser, or to make one name look like another. So every value that a template
prints passes through ``escaped``, whether the template asks for it or not,
which leaves no markup and no invisible character; and the macro ``name`` keeps
letters that run from right to left from turning what stands beside them.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from html import escape
from importlib import resources
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from cacheadmin import __version__
from cacheadmin.report.page.cells import pieces
from cacheadmin.report.page.charts import Chart, Series, chart_of
from cacheadmin.report.page.glossary import GLOSSARY
from cacheadmin.report.page.sections import CacheSections
from cacheadmin.text.escapes import printable
from cacheadmin.text.timestamps import rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheadmin.overview.facts import CacheReport


def _file(name: str) -> str:
    return resources.files("cacheadmin.report.page").joinpath(name).read_text("utf-8")


STYLE = _file("style.css")
SCRIPT = _file("sort.js")


def page(overviews: Sequence[CacheReport], host: str) -> bytes:
    """Return the page for one or several caches as UTF-8."""
    taken = rfc3339(max(overview.taken_ns for overview in overviews))
    caches = [CacheSections(f"c{number}", one) for number, one in enumerate(overviews, 1)]
    text = (
        _templates()
        .get_template("page.html")
        .render(
            caches=caches,
            host=host,
            taken=taken,
            taken_shown=f"{taken[:16].replace('T', ' ')} UTC",
            version=__version__,
            glossary=GLOSSARY,
            content_policy=content_policy(),
            # Ours, and what the policy above has the hash of: printed as it is.
            style=Markup(STYLE),  # noqa: S704
            script=Markup(SCRIPT),  # noqa: S704
        )
    )
    return text.encode("utf-8")


def content_policy() -> str:
    """Return the page's Content-Security-Policy: this style, this script, and nothing else."""
    return (
        f"default-src 'none'; style-src '{_hash(STYLE)}'; script-src '{_hash(SCRIPT)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def escaped(value: Any) -> Any:
    """Return any value as HTML that shows exactly it, in text and in attributes."""
    if isinstance(value, Markup):
        return value
    return Markup(escape(printable(str(value)), quote=True))  # noqa: S704  it is escaped


def prose_html(text: str) -> str:
    """Return a sentence of ours; what stands between backticks in it is a command or a path."""
    return _macro("cells.html", "prose", text)


def area_chart(identity: str, title: str, times_ns: Sequence[int], series: Sequence[Series]) -> str:
    """Return a stacked chart over two or more times, with its legend."""
    return chart_html(chart_of(identity, title, times_ns, series))


def chart_html(chart: Chart) -> str:
    """Return a chart as inline SVG, with its legend."""
    return _macro("charts.html", "area_chart", chart)


def share_bar(share: float, colour: int = 0) -> str:
    """Return a bar for a share of 0 to 1; the number must stand beside it."""
    return _macro("charts.html", "share_bar", share, colour)


def _macro(template: str, name: str, *values: object) -> str:
    return str(getattr(_templates().get_template(template).module, name)(*values))


@cache
def _templates() -> Environment:
    found = Environment(
        loader=FunctionLoader(lambda name: _file(f"templates/{name}")),
        autoescape=True,
        finalize=escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    found.filters["pieces"] = pieces
    return found


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
