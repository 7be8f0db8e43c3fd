"""Tell people by mail, webhook or chat: which messages are due, and what became of them.

The command comes first: whatever goes wrong here is a warning, and changes
neither its work nor its exit code. A message is remembered once one of the
URLs took it; while none does, every run tries again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cacheadmin.errors import CacheadminError, NotPermitted
from cacheadmin.inventory.cache_folder import open_cache
from cacheadmin.operations.account import Audited
from cacheadmin.operations.delivery import Destination, is_installed, send
from cacheadmin.operations.notices import (
    Notice,
    message_of,
    notices_of_end,
    notices_of_findings,
    notices_of_uses,
)
from cacheadmin.policy.trust import read_secrets
from cacheadmin.rights.acting import is_called_by_root
from cacheadmin.state.notifications import open_notifications
from cacheadmin.trial.summary import uses_on_trial

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cacheadmin.operations.account import Account
    from cacheadmin.policy.loaded import LoadedPolicy
    from cacheadmin.state.notifications import Told
    from cacheadmin.trial.ledger import Spring

NOT_INSTALLED = (
    "the policy has notify, and apprise is not installed: "
    "pip install 'cacheadmin[notify]', or take notify out"
)
_NO_URL = "no notification: notify.file has no URL in it"


# The commands that send messages: timers run them, and perhaps no person reads what they print.
_TELLING = frozenset({"prune", "evict", "audit"})


def notify(account: Account) -> list[str]:
    """Send every message that is due; return warnings, in words."""
    if account.command not in _TELLING:
        return []
    own = [] if account.loaded is None else [Audited(account.loaded, ())]
    warnings: list[str] = []
    for audited in account.audited or own:
        if audited.loaded.policy.notify.is_set:
            warnings += _notify(account, audited)
    return list(dict.fromkeys(warnings))


def problems_of(loaded: LoadedPolicy) -> list[str]:
    """Return what would keep messages of a policy from being sent, as far as can be told now."""
    if not loaded.policy.notify.is_set:
        return []
    if not is_installed():
        return [NOT_INSTALLED]
    try:
        to = destinations(loaded)
    except CacheadminError as error:
        return [_words(error)]
    if not to:
        return [_NO_URL]
    return _problems(to, send(to, "", "", only_check=True))


def destinations(loaded: LoadedPolicy) -> list[Destination]:
    """Return the URLs of a policy and of the file that it names.

    Raises NotPermitted, NotACache and PolicyInvalid for that file.
    """
    section = loaded.policy.notify
    found = [
        Destination(url.get_secret_value(), f"notify.urls[{number}]")
        for number, url in enumerate(section.urls)
    ]
    if section.file is not None:
        text = read_secrets(section.file).decode("utf-8", "replace")
        for number, line in enumerate(text.splitlines(), 1):
            url = line.strip()
            if url and not url.startswith("#"):
                found.append(Destination(url, f"{section.file}:{number}"))
    return found


def send_all(to: Sequence[Destination], title: str, text: str) -> tuple[bool, list[str]]:
    """Send one message everywhere; return whether any receiver took it, and what went wrong."""
    if not is_installed():
        return False, [NOT_INSTALLED]
    if not to:
        return False, [_NO_URL]
    results = send(to, title, text)
    return not all(results), _problems(to, results)


def _problems(to: Sequence[Destination], results: Sequence[str]) -> list[str]:
    return [
        f"no notification by {one.shown}: {problem}"
        for one, problem in zip(to, results, strict=True)
        if problem
    ]


def _words(error: CacheadminError) -> str:
    return f"no notification: {error.message}" + (f" ({error.hint})" if error.hint else "")


def _is_of_the_site(loaded: LoadedPolicy) -> bool:
    """Whether the caller uses a policy of root's, and need not be able to read its secrets."""
    return not is_called_by_root() and loaded.path is not None and os.stat(loaded.path).st_uid == 0


def _notify(account: Account, audited: Audited) -> list[str]:
    loaded = audited.loaded
    try:
        to = destinations(loaded)
    except CacheadminError as error:
        if isinstance(error, NotPermitted) and _is_of_the_site(loaded):
            return []
        return [_words(error)]
    if not is_installed():
        return [NOT_INSTALLED]
    warnings: list[str] = []
    memory = open_notifications(loaded.policy.state, loaded.policy.cache)
    try:
        told = memory.read()
    except CacheadminError as error:
        told = {}
        warnings.append(f"what was told before is not known: {error.message}")
    due = [
        notice
        for notice in _notices(account, audited, told)
        if notice.cause in loaded.policy.notify.about
        and not (notice.cause in told and told[notice.cause].is_of_the_day_of(account.ended_ns))
    ]
    sent: dict[str, Told] = {}
    for notice in due:
        taken, problems = send_all(to, *message_of(notice, loaded))
        warnings += problems
        if taken:
            sent[notice.cause] = notice.told
    if sent:
        try:
            memory.note(sent)
        except CacheadminError as error:
            warnings.append(f"the same will be told again: {error.message}")
    return warnings


def _notices(account: Account, audited: Audited, told: Mapping[str, Told]) -> list[Notice]:
    loaded, now_ns = audited.loaded, account.ended_ns
    uses, looked_ns = _uses(loaded)
    # A prune looks at all tripwires itself, after it began.
    if account.command == "prune" and account.succeeded:
        looked_ns = max(looked_ns, account.begun_ns)
    return [
        *notices_of_end(account),
        *notices_of_findings(loaded, audited.findings, now_ns),
        *notices_of_uses(loaded, uses, looked_ns, told, now_ns),
    ]


def _uses(loaded: LoadedPolicy) -> tuple[tuple[Spring, ...], int]:
    if "sprung" not in loaded.policy.notify.about:
        return (), 0
    try:
        with open_cache(loaded.policy.cache) as cache:
            return uses_on_trial(cache)
    except (CacheadminError, OSError):
        # Told as the end of the command, or by the audit.
        return (), 0
