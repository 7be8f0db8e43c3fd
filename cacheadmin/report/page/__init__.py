"""A report as one page for a browser."""

from __future__ import annotations

from cacheadmin.report.page.renderer import page

__all__ = ["page"]
