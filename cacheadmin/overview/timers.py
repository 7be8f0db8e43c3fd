"""When is the next prune of a policy due? systemd and cron know.

Asked are the timer that we ship (``cacheadmin@POLICY.timer``) and the lines of
``/etc/crontab`` and ``/etc/cron.d``. Nothing is guessed: a prune that is
started in another way has no next run here.
"""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

from cacheadmin.fs.small_files import ReadFailure, read_file
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.policy.loaded import LoadedPolicy

_SYSTEMCTL = "/usr/bin/systemctl"
_RUNNING = "/run/systemd/system"
_CRONTAB = "/etc/crontab"
_CRON_FOLDER = "/etc/cron.d"
_MAX_BYTES = 64 * 1024
_SECONDS = 5

# Five times of day and week, or @daily; then the user, then the command.
_LINE = re.compile(r"((?:\S+[ \t]+){5}|@\w+[ \t]+)(\S+)[ \t]+(.*)")
_UNIT = re.compile(r"[A-Za-z0-9:_.-]+", re.ASCII)


@frozen
class NextRun:
    """When a prune is due."""

    when: str
    """The moment, as systemd writes it, or the five time fields of a cron line."""
    source: str
    """The timer's name, or the file of the cron line."""


def next_prune(loaded: LoadedPolicy) -> NextRun | None:
    """Return when the next prune of a policy is due; None where no timer says so."""
    if loaded.path is None:
        return None
    name = os.path.basename(loaded.path).removesuffix(".yaml")
    return _timer(name) or _cron_line(name, loaded.path)


def _timer(name: str) -> NextRun | None:
    if not (_UNIT.fullmatch(name) and os.path.isdir(_RUNNING) and os.path.exists(_SYSTEMCTL)):
        return None
    unit = f"cacheadmin@{name}.timer"
    asked = [_SYSTEMCTL, "show", "--value", "--property=NextElapseUSecRealtime", "--", unit]
    try:
        answer = subprocess.run(
            asked,
            env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    when = answer.stdout.strip()
    return NextRun(when, unit) if answer.returncode == 0 and when not in ("", "n/a") else None


def _cron_line(name: str, path: str) -> NextRun | None:
    try:
        files = [f"{_CRON_FOLDER}/{one}" for one in sorted(os.listdir(_CRON_FOLDER))]
    except OSError:
        files = []
    for file in (_CRONTAB, *files):
        content = read_file(file, _MAX_BYTES)
        if not isinstance(content, ReadFailure):
            when = cron_times(os.fsdecode(content), name, path)
            if when:
                return NextRun(when, file)
    return None


def cron_times(text: str, name: str, path: str) -> str:
    """Return the times of the first line of a crontab that prunes a policy; "" without one."""
    for line in text.splitlines():
        found = _LINE.fullmatch(line.strip())
        if found is None or line.lstrip().startswith("#"):
            continue
        words = found[3].split()
        if "prune" in words and any(word.rpartition("/")[2] == "cacheadmin" for word in words):
            named = {word.strip("'\"") for word in words}
            if name in named or path in named:
                return " ".join(found[1].split())
    return ""
