"""Every fact about uv that a comment, a test or a page cites stands in docs/uv-cache-facts.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.uv_releases import REPOSITORY

FACTS = REPOSITORY / "docs" / "uv-cache-facts.md"
CITING = ("cacheadmin", "tests", "docs", "man")

# "facts section 7", "facts sections 6 and 13", "facts section 0, rule 5".
_SECTIONS = re.compile(
    r"facts,? sections? (\d+(?:(?:, | and )\d+)*)(?:, rule (\d+))?", re.IGNORECASE
)
_NAMED = re.compile(r"\(facts, ([A-Z]\w+)\)")


def citations() -> Iterator[tuple[Path, str, str | None]]:
    for folder in CITING:
        for path in (REPOSITORY / folder).rglob("*"):
            if path.suffix not in (".py", ".md", ".1", ".5", ".7", ".8") or path == FACTS:
                continue
            # A citation may be broken over two lines of a comment.
            text = re.sub(r"\s*\n\s*(?:# ?)?", " ", path.read_text())
            for found in _SECTIONS.finditer(text):
                for number in re.findall(r"\d+", found[1]):
                    yield path, number, found[2]
            for found in _NAMED.finditer(text):
                yield path, found[1], None


def test_each_section_that_is_cited_is_there() -> None:
    text = FACTS.read_text()
    sections = set(re.findall(r"^## (\d+)\.", text, re.MULTILINE))
    titles = re.findall(r"^### (.+)$", text, re.MULTILINE)
    rules = set(re.findall(r"^(\d+)\. ", text.partition("\n## 1.")[0], re.MULTILINE))
    cited = list(citations())
    assert len(cited) > 40
    for path, section, rule in cited:
        known = section in sections or any(title.startswith(section) for title in titles)
        assert known, f"{path.relative_to(REPOSITORY)} cites section {section}"
        assert rule is None or rule in rules, f"{path.relative_to(REPOSITORY)} cites rule {rule}"


@pytest.mark.parametrize("text", [f"(facts section {99})", f"as facts sections 6 and {98} say"])
def test_a_wrong_citation_would_be_found(text: str) -> None:
    found = _SECTIONS.search(text)
    assert found is not None
    assert set(re.findall(r"\d+", found[1])) - {str(number) for number in range(14)}
