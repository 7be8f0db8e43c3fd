"""Programs that show a title in the list of processes, as `setproctitle` has them do."""

from __future__ import annotations

# Where the kernel has put arguments and variables: fields 48 and 51 of proc_pid_stat(5).
_OVERWRITE = (
    "import ctypes; _f = open('/proc/self/stat').read().rpartition(')')[2].split(); "
    "_from, _to = int(_f[45]), int(_f[48]); _t = {title!r}[: _to - _from - 1]; "
    "ctypes.memset(_from, 0, _to - _from); ctypes.memmove(_from, _t, len(_t))"
)


def overwriting(title: str) -> str:
    """Return the statement that writes a title over a program's arguments and variables.

    The library does the same: what the title leaves of both is filled with zeros.
    """
    return _OVERWRITE.format(title=title.encode())
