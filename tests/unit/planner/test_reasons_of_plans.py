"""The table of reasons: every reason is used, and no rule text stands outside of it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import cacheadmin
from cacheadmin.planner import reasons
from cacheadmin.planner.advice import to_let_go
from cacheadmin.planner.marks import Use
from cacheadmin.planner.reasons import REASONS, Reason

PACKAGE = Path(cacheadmin.__file__).parent


def sources() -> dict[Path, str]:
    paths = [*(PACKAGE / "planner").rglob("*.py"), *(PACKAGE / "evict").rglob("*.py")]
    return {path: path.read_text(encoding="utf-8") for path in paths if path.name != "reasons.py"}


def test_every_reason_is_given_by_some_rule() -> None:
    text = "\n".join(sources().values())
    for name, one in vars(reasons).items():
        if isinstance(one, Reason):
            assert re.search(rf"\b{name}\b", text), name


def test_no_id_of_a_reason_is_spelled_anywhere_else() -> None:
    # A typo in one of them would silently be another rule.
    for path, text in sources().items():
        spelled = {
            node.value
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert spelled.isdisjoint(REASONS), path


def test_each_is_a_sentence_and_what_keeps_can_be_changed() -> None:
    for one in REASONS.values():
        assert re.fullmatch(r"[a-z]+\.[a-z_]+", one.id)
        assert one.means[0].isupper() or one.means.startswith(("prune.", "uv ", "`cacheadmin")), (
            one.id
        )
        assert one.means.endswith("."), one.id
        assert bool(one.change) == one.keeps, one.id


def test_a_user_with_braces_is_named_as_written() -> None:
    use = Use(reasons.ARCHIVE_LINKED, "/home/ana/{who}/{0} (ana)", "an environment links to it")
    assert to_let_go(use, "archive-v0/x").startswith("/home/ana/{who}/{0} (ana) would have to go")
