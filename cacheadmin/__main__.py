"""Entry point of ``cacheadmin`` and of ``python -m cacheadmin``.

``--version`` is answered before anything heavy is imported: monitoring asks
for it on every host, every few minutes.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    if sys.argv[1:] == ["--version"]:
        from cacheadmin import __version__

        print(f"cacheadmin {__version__}")  # noqa: T201
        return
    from cacheadmin.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
