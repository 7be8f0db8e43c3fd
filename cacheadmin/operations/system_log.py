"""One line a command to syslog, or one entry with fields to the journal.

Both are datagrams to a local socket. The standard library's handler is not
used because it sends blocking: a log daemon that hangs would hang the prune.
Here a message that can't be handed over within a second is given up.

Source: syslog(3) and RFC 3164 for syslog; systemd.io, "Native Journal
Protocol", for the journal.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from typing import TYPE_CHECKING

from cacheadmin.errors import CacheadminError
from cacheadmin.fs.small_files import failure
from cacheadmin.text.escapes import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cacheadmin.operations.account import Account

SOCKETS = {"syslog": "/dev/log", "journald": "/run/systemd/journal/socket"}

# Whatever the locale is: log daemons read it.
_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"
_DAEMON = 3
_ERROR, _WARNING, _INFO = 3, 4, 6
_PATIENCE_SECONDS = 1.0
# Well below what any datagram socket takes.
_MAX_FIELD = 4096


def log_to_system(account: Account, system: str, path: str | None = None) -> None:
    """Send what a command did to ``syslog`` or ``journald``; ``path`` is another socket.

    Raises CacheadminError where no daemon takes it.
    """
    place = path or SOCKETS[system]
    message = journal_entry(account) if system == "journald" else syslog_message(account)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.settimeout(_PATIENCE_SECONDS)
        try:
            channel.connect(place)
            channel.send(message)
        except TimeoutError:
            raise CacheadminError(f"{place}: no daemon reads what is logged there") from None
        except OSError as error:
            reason = failure(place, error).reason
            raise CacheadminError(f"{place} can't be logged to: {reason}") from error


def syslog_message(account: Account) -> bytes:
    """Return one message as syslog(3) sends it."""
    level = _DAEMON << 3 | _priority(account)
    when = time.localtime(account.ended_ns // 10**9)
    month = _MONTHS[3 * when.tm_mon - 3 : 3 * when.tm_mon]
    stamp = f"{month} {when.tm_mday:2d} {when.tm_hour:02d}:{when.tm_min:02d}:{when.tm_sec:02d}"
    text = f"<{level}>{stamp} cacheadmin[{os.getpid()}]: {words(account)}"
    return text.encode("utf-8", "backslashreplace")[:_MAX_FIELD]


def journal_entry(account: Account) -> bytes:
    """Return one entry of the journal's native protocol."""
    fields = {
        "MESSAGE": words(account),
        "PRIORITY": str(_priority(account)),
        "SYSLOG_FACILITY": str(_DAEMON),
        "SYSLOG_IDENTIFIER": "cacheadmin",
        "CACHEADMIN_COMMAND": account.command,
        "CACHEADMIN_POLICY": account.policy,
        "CACHEADMIN_CACHE": account.cache,
        "CACHEADMIN_SUBJECT": account.subject,
        "CACHEADMIN_RUN_ID": account.run_id or "",
        "CACHEADMIN_OUTCOME": account.outcome,
        "CACHEADMIN_EXIT_CODE": str(account.exit_code),
    }
    counts = {f"CACHEADMIN_{key.upper()}": str(number) for key, number in account.counts.items()}
    return _journal_lines({**fields, **counts})


def words(account: Account) -> str:
    """Return a command's account as one line that is safe to print."""
    parts = [f"{account.command} {account.policy}: {account.outcome}"]
    if account.subject:
        parts.append(account.subject)
    if account.run_id:
        parts.append(f"run {account.run_id}")
    parts += [f"{key}={number}" for key, number in account.counts.items()]
    if account.error:
        parts.append(account.error)
    return printable(", ".join(parts))


def _priority(account: Account) -> int:
    if account.succeeded:
        return _INFO
    return _ERROR if account.outcome in ("rolled_back", "failed") else _WARNING


def _journal_lines(fields: Mapping[str, str]) -> bytes:
    entry = b""
    for key, text in fields.items():
        value = os.fsencode(text)[:_MAX_FIELD]
        if not value:
            continue
        if b"\n" in value:
            # Nothing in a value can start a field of its own.
            entry += key.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
        else:
            entry += key.encode() + b"=" + value + b"\n"
    return entry
