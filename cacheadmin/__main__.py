"""Entry point of ``cacheadmin`` and of ``python -m cacheadmin``.

``--version`` is answered before anything heavy is imported: monitoring asks
for it on every host, every few minutes.
"""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress


def main() -> None:
    """Run the command line and leave with its exit code."""
    _open_closed_streams()
    if sys.argv[1:] == ["--version"]:
        from cacheadmin import __version__  # noqa: PLC0415  as early as can be

        try:
            print(f"cacheadmin {__version__}", flush=True)  # noqa: T201
        except OSError:
            # Said below, as for every command.
            pass
        else:
            return
    sys.exit(_run())


def _run() -> int:
    try:
        _start_quickly()
        from cacheadmin.cli.app import run  # noqa: PLC0415  --version was answered without it

        return run(sys.argv[1:])
    except KeyboardInterrupt:
        # While modules were loaded, or something was printed; at work `run` says so itself.
        with suppress(OSError):
            sys.stderr.write("cacheadmin: interrupted\n")
        return 130


def _open_closed_streams() -> None:
    """Let a cron line close what it does not want to see (`>&-`).

    Python has no stream then, and the next file opened would get its number.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def _start_quickly() -> None:
    """Spare a short-lived process work that only long-lived ones need.

    Collecting garbage while hundreds of classes are made finds none, and
    pydantic would search every installed package for plugins.
    """
    gc.set_threshold(100_000, 50, 50)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


if __name__ == "__main__":
    main()
