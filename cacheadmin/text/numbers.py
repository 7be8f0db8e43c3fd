"""Numbers with their nouns: ``1 environment``, ``3 environments``."""

from __future__ import annotations


def format_count(number: int, singular: str, plural: str = "") -> str:
    """Return ``1 environment`` or ``3 environments``."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"


def verb(number: int, singular: str, plural: str) -> str:
    """Return the verb that goes with a number: ``verb(1, "is", "are")``."""
    return singular if number == 1 else plural
