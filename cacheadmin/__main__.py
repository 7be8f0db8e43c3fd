"""Entry point of ``cacheadmin`` and of ``python -m cacheadmin``.

``--version`` is answered before anything heavy is imported: monitoring asks
for it on every host, every few minutes.
"""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    if sys.argv[1:] == ["--version"]:
        from cacheadmin import __version__

        print(f"cacheadmin {__version__}")  # noqa: T201
        return
    _start_quickly()
    from cacheadmin.cli.app import run

    sys.exit(run(sys.argv[1:]))


def _start_quickly() -> None:
    """Spare a short-lived process work that only long-lived ones need.

    Collecting garbage while hundreds of classes are made finds none, and
    pydantic would search every installed package for plugins.
    """
    gc.set_threshold(100_000, 50, 50)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


if __name__ == "__main__":
    main()
