"""What is told of a command once it has ended: metrics, audit trail, system log, messages.

The command itself comes first: whatever goes wrong here is a warning on
stderr, and neither its work nor its exit code changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli import output
from cacheadmin.errors import CacheadminError
from cacheadmin.operations.account import Account
from cacheadmin.operations.trail import append_to_trail, trail_entry, trail_file
from cacheadmin.rights.acting import as_caller, is_called_by_root

MetricsOption = Annotated[
    str | None,
    typer.Option(
        "--metrics",
        metavar="FILE",
        help="Also say how it went in this file, for node_exporter's textfile collector.",
        show_default=False,
    ),
]


@contextmanager
def recorded(
    command: str, argument: str | None, *, metrics: str | None = None, changes: bool = True
) -> Iterator[Account]:
    """Keep the account of a command, and tell it when the command has ended, however it ends.

    ``argument`` is the policy as named. With ``changes`` it is told to the
    audit trail and the system log, if the policy has them; only where the
    policy could be read (``account.loaded``).
    """
    account = Account(command, argument, wants_figures=metrics is not None)
    failed: BaseException | None = None
    try:
        yield account
    except BaseException as error:
        failed = error
        raise
    finally:
        account.end(failed)
        _tell(account, metrics, changes=changes)


def _tell(account: Account, metrics: str | None, *, changes: bool) -> None:
    if metrics is not None:
        _or_warn("metrics", lambda: _write_metrics(account, metrics))
    if changes and account.loaded is not None:
        log = account.loaded.policy.log
        _or_warn("audit trail", lambda: _add_to_trail(account))
        if log.system != "off":
            _or_warn("system log", lambda: _log(account, log.system, log.socket))
    if changes or account.audited:
        _or_warn("notification", lambda: _notify(account))


def _or_warn(what: str, write: Callable[[], None]) -> None:
    try:
        write()
    except CacheadminError as error:
        output.warning(f"no {what}: {error.message}")
    except (OSError, ValueError) as error:
        output.warning(f"no {what}: {error}")


def _notify(account: Account) -> None:
    loaded = [audited.loaded for audited in account.audited]
    if account.loaded is not None:
        loaded.append(account.loaded)
    if not any(one.policy.notify.is_set for one in loaded):
        return
    from cacheadmin.operations.notifications import notify

    for warning in notify(account):
        output.warning(warning)


def _write_metrics(account: Account, path: str) -> None:
    from cacheadmin.operations.metrics import write_metrics

    with as_caller():
        write_metrics(account, path)


def _add_to_trail(account: Account) -> None:
    with as_caller():
        path = account.loaded and trail_file(account.loaded)
        if not path:
            return
        try:
            append_to_trail(path, trail_entry(account))
        except CacheadminError as error:
            # A user who pins or registers can't write root's trail, and need not be told.
            if is_called_by_root() or not isinstance(error.__cause__, PermissionError):
                raise


def _log(account: Account, system: str, socket: str | None) -> None:
    from cacheadmin.operations.system_log import log_to_system

    with as_caller():
        log_to_system(account, system, socket)
