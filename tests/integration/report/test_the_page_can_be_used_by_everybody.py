"""The page in a real browser: axe finds nothing, at any width, in the dark and on paper."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from cacheadmin.report.page import page
from tests.support.driven_browser import DrivenBrowser, driven_browser
from tests.support.overviews import HOSTILE, an_overview

NAMES = (
    "torch",
    "numpy",
    "pandas",
    "a-package-whose-name-is-longer-than-a-telephone-is-wide",
)

# Of each text in a chart: what it says, and where it is, against the chart's own place.
_TEXTS = """
[...document.querySelectorAll("svg.chart")].map(chart => {
  const frame = chart.getBoundingClientRect();
  return [...chart.querySelectorAll("text")].filter(one => one.getClientRects().length).map(one => {
    const box = one.getBoundingClientRect();
    return [one.textContent, box.left - frame.left, box.right - frame.left, box.top,
            frame.width, box.height];
  });
})
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DrivenBrowser]:
    with driven_browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture(scope="module")
def one() -> bytes:
    return page([an_overview(NAMES)], "files1")


@pytest.fixture(scope="module")
def several() -> bytes:
    return page([an_overview(NAMES), an_overview(("web", "six"))], "files1")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_axe_finds_nothing(
    browser: DrivenBrowser, one: bytes, several: bytes, width: int, dark: bool
) -> None:
    for content in (one, several):
        browser.show(content, width=width, dark=dark)
        assert browser.violations() == []


def test_axe_would_find_something(browser: DrivenBrowser) -> None:
    browser.show(b"<p><img src='data:,'><input></p>", width=375)
    assert any(one.startswith("image-alt") for one in browser.violations())


@pytest.mark.parametrize("width", [1280, 600, 375, 320])
def test_nothing_is_wider_than_the_screen(browser: DrivenBrowser, width: int) -> None:
    content = page([an_overview(NAMES), an_overview(HOSTILE)], "files1")
    browser.show(content, width=width)
    assert browser.ask("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("width", [1280, 375])
def test_charts_can_be_read(browser: DrivenBrowser, one: bytes, width: int) -> None:
    browser.show(one, width=width)
    charts = browser.ask(_TEXTS)
    assert len(charts) == 2
    for texts in charts:
        assert len(texts) >= 6
        lines: dict[int, list[tuple[float, float, str]]] = {}
        for said, left, right, top, frame, height in texts:
            assert left >= 0, said
            assert right <= frame + 1, said
            assert height >= 9, said
            lines.setdefault(round(top), []).append((left, right, said))
        for line in lines.values():
            line.sort()
            for (_, right, said), (left, _, after) in itertools.pairwise(line):
                assert right < left, f"{said} runs into {after}"


def test_each_chart_has_its_table_also_on_paper(browser: DrivenBrowser, one: bytes) -> None:
    number_of_rows = """
    [...document.querySelectorAll("svg.chart")].map(chart =>
      [...chart.closest("section").querySelectorAll("tbody tr")]
        .filter(row => row.checkVisibility({contentVisibilityAuto: true})
                       && row.getBoundingClientRect().height > 0).length)
    """
    browser.show(one, width=800)
    assert browser.ask(number_of_rows) == [0, 0]
    browser.show(one, width=800, paper=True)
    assert browser.ask(number_of_rows) == [4, 4]
    # Where a style can't open them, our script does.
    browser.show(one, width=800)
    browser.ask("dispatchEvent(new Event('beforeprint'))")
    browser.settle()
    assert browser.ask(number_of_rows) == [4, 4]


def test_it_fits_on_paper(browser: DrivenBrowser, one: bytes) -> None:
    # A4 less its margins.
    browser.show(one, width=720, paper=True)
    assert browser.ask("document.documentElement.scrollWidth") == 720
    cut = browser.ask(
        "[...document.querySelectorAll('.scroll')].filter(one => "
        "one.getBoundingClientRect().left + one.scrollWidth > 720).map(one => "
        "one.getAttribute('aria-label'))"
    )
    assert cut == []
    assert browser.paper().startswith(b"%PDF")


def test_rows_are_sorted_by_their_headers(browser: DrivenBrowser, one: bytes) -> None:
    browser.show(one, width=1280)
    first = "document.querySelector('#c1-trial').closest('section').querySelector('tbody th')"
    button = "document.querySelector('#c1-trial').closest('section').querySelector('thead button')"
    assert browser.ask(f"{first}.textContent") == "torch 1.0"
    browser.ask(f"{button}.click()")
    browser.ask(f"{button}.click()")
    assert browser.ask(f"{first}.textContent").startswith("a-package")


def test_what_is_on_trial_is_told_with_its_days(
    browser: DrivenBrowser, one: bytes, tmp_path: Path
) -> None:
    browser.show(one, width=375)
    said = browser.ask("document.querySelector('#c1-trial').closest('section').innerText")
    assert "4 entries, 4.0 MiB, are on trial; the first ends 2026-11-19." in said
    assert "torch 1.0" in said
    assert "4 entries came back" in said
    assert "archive-v0/torch" in said
    (tmp_path / "page.png").write_bytes(browser.picture())
    assert (tmp_path / "page.png").stat().st_size > 10_000


# Each word of a table's head that stands on more than one line; names may break at hyphens.
_BROKEN_WORDS = """
[...document.querySelectorAll("thead th")].flatMap(head => {
  const found = [], walker = document.createTreeWalker(head, NodeFilter.SHOW_TEXT);
  for (let node; node = walker.nextNode();) {
    for (const word of node.data.matchAll(/[^\\s-]+/g)) {
      const range = document.createRange();
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      const lines = new Set([...range.getClientRects()].map(one => Math.round(one.top)));
      if (lines.size > 1) found.push(word[0]);
    }
  }
  return found;
})
"""


@pytest.mark.parametrize(("width", "paper"), [(1280, False), (720, True)])
def test_no_word_of_a_tables_head_is_broken(
    browser: DrivenBrowser, one: bytes, width: int, paper: bool
) -> None:
    browser.show(one, width=width, paper=paper)
    assert browser.ask(_BROKEN_WORDS) == []


def test_no_table_is_cut_on_a_telephone(browser: DrivenBrowser, several: bytes) -> None:
    browser.show(several, width=375)
    cut = "[...document.querySelectorAll('.scroll')].filter(one => "
    cut += "one.scrollWidth > one.clientWidth && !one.closest('details'))"
    cut += ".map(one => one.getAttribute('aria-label'))"
    assert browser.ask(cut) == []
    # What the bars show stands beside them in numbers.
    heads = "[...document.querySelectorAll('.shares thead th')].map(one => "
    heads += "[one.textContent, one.getClientRects().length > 0])"
    shown = browser.ask(heads)
    assert ["share", False] in shown
    assert ["on disk", True] in shown
