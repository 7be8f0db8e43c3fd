"""What people read names its actor, and says removed, kept, reported and again.

A tired administrator who learned English at school reads messages once: "somebody",
"whoever" and "anew" make them search for who does what.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
PAGES = [
    *sorted(REPOSITORY.glob("man/*.[1-9]")),
    *sorted(REPOSITORY.glob("docs/*.md")),
    *sorted(REPOSITORY.glob("docs/operations/**/*.md")),
    *sorted(REPOSITORY.glob("policies/*.yaml")),
    *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
]
# Facts are quoted as they were found.
PAGES.remove(REPOSITORY / "docs/uv-cache-facts.md")

WORDS = re.compile(r"\b(somebody|someone|whoever|anew|anybody|everybody|nobody)\b", re.IGNORECASE)
# On Linux an account is called so, and root of another host may become it.
ACCOUNT = re.compile(r"takes it for nobody|account nobody|turns root into nobody")
# Sentences that readers did not understand.
RIDDLES = (
    "A file that gives rights, or is none",
    "No default access list as the root has",
    "goes by the rules above",
    "name that release no more",
    "buckets go by their newest writes",
    "RECORD can't be had",
)


def wrong_words(text: str) -> list[str]:
    """Return the words of a text that name no actor, and its riddles."""
    text = " ".join(text.split())
    return [
        *WORDS.findall(ACCOUNT.sub("", text)),
        *(riddle for riddle in RIDDLES if riddle in text),
    ]


def texts(module: Path) -> Iterator[tuple[int, str]]:
    """Yield each text of a module, docstrings too, and its line."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def test_words_are_found_where_they_are() -> None:
    assert wrong_words("Somebody wrote it\nanew") == ["Somebody", "anew"]
    assert wrong_words("it lies there, and goes by the\n rules above") == [
        "goes by the rules above"
    ]
    assert not wrong_words("the server takes it for nobody")


def test_messages_and_docstrings_name_their_actors() -> None:
    found = [
        f"{module.relative_to(REPOSITORY)}:{line}: {word}"
        for module in sorted((REPOSITORY / "cacheadmin").rglob("*.py"))
        for line, text in texts(module)
        for word in wrong_words(text)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_pages_name_their_actors(page: Path) -> None:
    assert not wrong_words(page.read_text(encoding="utf-8"))
