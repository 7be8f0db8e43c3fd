"""No import points up, no modules go in circles, and each class name means one thing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]

# Modules whose last word is what they hold, and not an activity.
NOUNS = {"accounting", "acting", "listing", "meaning", "sizing"}


def test_its_figures_are_what_the_page_says() -> None:
    """In a process of its own: the figures are those of a checkout, whatever is imported here."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.structure"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    )
    figures = dict(line.split(": ") for line in done.stdout.splitlines())
    assert figures["imports that point up"] == "0"
    assert figures["circles of modules"] == "0"
    assert figures["class names that occur twice"] == "0"


def test_modules_are_called_by_what_they_hold() -> None:
    activities = {
        str(path.relative_to(REPOSITORY))
        for path in (REPOSITORY / "cacheadmin").rglob("*ing.py")
        if path.stem not in NOUNS and path.parent.name != "rules"
    }
    assert activities == set()
