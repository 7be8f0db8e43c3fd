"""The page of a report: hostile names stay text, and everybody can read it."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from cacheadmin.report.page import page
from cacheadmin.report.page.renderer import STYLE, escaped, prose_html
from tests.support.overviews import HOSTILE, an_overview

_VOID = frozenset({"meta", "link", "br", "rect", "line"})
_ATTRIBUTES = frozenset(
    re.findall(
        r"\S+",
        "aria-hidden aria-label aria-labelledby charset class content d datetime data-label "
        "data-value "
        "height href http-equiv id lang name preserveaspectratio rel role rx scope tabindex "
        "text-anchor viewbox width x x1 x2 y y1 y2",
    )
)


class Reading(HTMLParser):
    """What a page consists of; it fails at tags that do not close."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.inside: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self._open and self._open[-1] in ("script", "style"):
            self.inside[self._open[-1]] = data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of each tag of a name."""
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def hostile() -> str:
    return page([an_overview(HOSTILE), an_overview(HOSTILE[::-1])], HOSTILE[0]).decode("utf-8")


@pytest.fixture(scope="module")
def read(hostile: str) -> Reading:
    return Reading(hostile)


def test_hostile_names_add_neither_tags_nor_attributes(read: Reading) -> None:
    plain = Reading(page([an_overview(), an_overview()], "host").decode("utf-8"))
    assert {tag for tag, _ in read.tags} == {tag for tag, _ in plain.tags}
    assert {name for _, attributes in read.tags for name in attributes} <= _ATTRIBUTES
    assert len(read.named("script")) == len(read.named("style")) == 1
    assert read.inside == plain.inside
    links = {attributes["href"] for tag in ("a", "link") for attributes in read.named(tag)}
    assert links == {"data:,", "#c1", "#c2"}


def test_hostile_names_are_shown_as_they_are(read: Reading) -> None:
    shown = "".join(read.words)
    for name in HOSTILE:
        if name.isprintable():
            assert name in shown
    assert "\\u202egnp.exe" in shown
    assert "/home/ana/\\xff\\xfe" in shown
    assert "line\\nbreak\\ttab\\x1b[31mred\\x07" in shown


def test_no_invisible_or_turning_character_reaches_the_page(hostile: str) -> None:
    assert not re.search("[\u0000-\u0008\u000b-\u001f\u200b\u202a-\u202e\u2066-\u2069]", hostile)


def test_names_stand_apart_from_what_surrounds_them(hostile: str) -> None:
    assert "<bdi>שלום</bdi>" in hostile
    assert "שלום" not in re.sub(r"<bdi>[^<]*</bdi>", "", hostile)


def test_the_page_applies_and_runs_only_its_own(read: Reading) -> None:
    (policy,) = [a for a in read.named("meta") if a.get("http-equiv")]
    rules = dict(rule.split(" ", 1) for rule in str(policy["content"]).split("; "))
    assert rules["default-src"] == "'none'"
    for tag in ("script", "style"):
        digest = hashlib.sha256(read.inside[tag].encode()).digest()
        assert rules[f"{tag}-src"] == f"'sha256-{base64.b64encode(digest).decode()}'"
    assert "url(" not in read.inside["style"]
    assert "@import" not in read.inside["style"]


def test_whoever_reads_by_ear_gets_headers_names_and_titles(read: Reading) -> None:
    identities = [str(a["id"]) for _, a in read.tags if "id" in a]
    assert len(identities) == len(set(identities))
    for _, attributes in read.tags:
        for one in (attributes.get("aria-labelledby") or "").split():
            assert one in identities
    assert {a.get("scope") for a in read.named("th")} == {"col", "row"}
    assert len(read.named("caption")) == len(read.named("table")) > 10
    charts = read.named("svg")
    assert all(a.get("aria-hidden") == "true" or a.get("role") == "img" for a in charts)
    assert sum(a.get("role") == "img" for a in charts) == 4


def test_every_cache_has_a_section_and_one_alone_is_the_title() -> None:
    one = Reading(page([an_overview(("ml", "six"))], "host").decode())
    two = Reading(page([an_overview(("ml", "six")), an_overview(("web", "six"))], "host").decode())
    assert [len(one.named("article")), len(two.named("article"))] == [1, 2]
    assert "uv cache ml" in one.words
    assert "2 uv caches" in two.words


def test_each_chart_has_all_its_numbers_in_a_table() -> None:
    text = page([an_overview(("six", "numpy"))], "host").decode()
    for by in ("team", "package"):
        table = re.search(rf"<caption[^>]*>Size over time, by {by}, in numbers<.*?</table>", text)
        assert table is not None
        read = Reading(f"<table>{table.group()}")
        assert {"six", "numpy", "1.0 MiB", "2.0 MiB", "3.0 MiB", "files"} <= set(read.words)


def test_teams_without_a_colour_are_not_said_to_be_none() -> None:
    text = page([an_overview([f"team{number}" for number in range(20)])], "host").decode()
    by_team = text.partition('id="c1-teams-time"')[2].partition("</section>")[0]
    others = re.search(r'class="s7".*?<bdi>(.*?)</bdi>', by_team.partition('"legend"')[2])
    assert others is not None
    assert others.group(1) == "all other teams, or none"


def test_bars_are_sorted_by_their_length() -> None:
    text = page([an_overview(("six", "numpy"))], "host").decode()
    lengths = re.findall(r'<td data-value="(\d+)"><svg class="share"', text)
    assert lengths == ["1048576", "2097152"] * 4


def test_one_record_makes_no_chart_but_a_sentence() -> None:
    overview = an_overview()
    text = page([an_overview(history=overview.history[-1:])], "host").decode()
    assert "This is the first measurement" in text
    assert 'role="img"' not in text


def test_a_page_stays_readable_however_much_there_is() -> None:
    names = [f"package{number}" for number in range(3000)]
    text = page([an_overview(names)], "host")
    assert len(text) < 2 * 2**20
    assert b"and 2,600 more, which are not shown here" in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_ground(scheme: str) -> None:
    """WCAG 2.2 asks for 4.5 to 1 (AA)."""
    blocks = re.findall(r":root\{([^}]*)\}", STYLE)
    colours = dict(re.findall(r"--([a-z0-9-]+):(#[0-9a-f]+)", blocks[0]))
    if scheme == "dark":
        colours |= dict(re.findall(r"--([a-z0-9-]+):(#[0-9a-f]+)", blocks[1]))
    pairs = [(ink, ground) for ink in ("ink", "faint", "link") for ground in ("card", "ground")]
    pairs += [(word, f"{word}-ground") for word in ("good", "warn", "bad")]
    pairs += [("ink", "track")]
    for ink, ground in pairs:
        assert _contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(d * 2 for d in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_is_escaped_for_attributes_too() -> None:
    assert escaped("a\"b'c<d>&") == "a&quot;b&#x27;c&lt;d&gt;&amp;"


def test_on_a_narrow_screen_each_cell_of_a_finding_says_what_it_is() -> None:
    read = Reading(page([an_overview(("six", "numpy"))], "host").decode())
    labels = {str(a["data-label"]) for a in read.named("td") if "data-label" in a}
    assert labels >= {"severity", "owner", "what was seen", "what to do", "status", "links"}
    narrow = STYLE.partition("@media (max-width:600px)")[2].partition("@media print")[0]
    assert "content:attr(data-label)" in narrow
    # Nothing in it is wider than the screen: charts shrink, rows become blocks.
    assert ".chart{min-width:0}" in narrow
    assert ".stacked td{display:block}" in narrow


def test_commands_in_sentences_are_shown_as_commands_not_in_backticks() -> None:
    assert prose_html("run `uv sync`, or `rm -r x`") == (
        "<bdi>run <code>uv sync</code>, or <code>rm -r x</code></bdi>"
    )
    assert prose_html("`<b>`") == "<bdi><code>&lt;b&gt;</code></bdi>"
    # A backtick of somebody's name opens nothing.
    assert prose_html("/home/a`b is gone") == "<bdi>/home/a`b is gone</bdi>"
