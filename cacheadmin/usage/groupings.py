"""What usage can be grouped by. Alone, because ``--help`` reads it."""

from __future__ import annotations

from enum import StrEnum


class By(StrEnum):
    """What usage is grouped by (public)."""

    BUCKET = "bucket"
    PACKAGE = "package"
    VERSION = "version"
    OWNER = "owner"
    TEAM = "team"
    DUPLICATES = "duplicates"
