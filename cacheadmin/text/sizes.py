"""Sizes for people."""

from __future__ import annotations


def format_size(size_bytes: int) -> str:
    """Return a size with a binary unit and three digits at most (``1.5 GiB``)."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError("unreachable: the last unit always returns")
