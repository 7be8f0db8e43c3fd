"""Each gap that can be told is in cacheadmin(7), and the manual tells of no other."""

from __future__ import annotations

import re

from tests.support.uv_releases import REPOSITORY

PAGE = REPOSITORY / "man" / "cacheadmin.7"


def in_the_code() -> set[str]:
    found: set[str] = set()
    for file in (REPOSITORY / "cacheadmin").rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        found.update(re.findall(r'\bGap\(\s*"([a-z.-]+)"', text))
        found.update(f"unseen.{what}" for what in re.findall(r'\bUnseen\(\s*"([a-z-]+)"', text))
    return found


def in_the_manual() -> set[str]:
    text = PAGE.read_text(encoding="utf-8").replace("\\-", "-")
    begin, end = text.index("BEGIN GAPS"), text.index("END GAPS")
    heads = re.findall(r"^\.TP\n(\.BR? .*)$", text[begin:end], re.MULTILINE)
    return {name for head in heads for name in re.findall(r"[a-z]+\.[a-z-]+", head)}


def test_the_manual_names_every_gap_and_no_other() -> None:
    missing = in_the_code() - in_the_manual()
    assert not missing
    assert in_the_manual() <= in_the_code() | {"unseen.include"}
