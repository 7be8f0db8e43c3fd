"""Audits of one cache or a hundred, as a command line names them.

Of several, each is looked at and let go before the next, and one that can't be
looked at is a finding of its own: a site's audit does not end at the first
broken policy.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cacheadmin.audit.one_cache import Audit, run_audit
from cacheadmin.audit.rules.not_audited import NotAudited
from cacheadmin.audit.settings import settings_of
from cacheadmin.errors import CacheadminError
from cacheadmin.policy.loader import load_policy
from cacheadmin.policy.location import is_folder, policies_of
from cacheadmin.snapshot.snapshot import look_with
from cacheadmin.text.escapes import shell_word

if TYPE_CHECKING:
    from cacheadmin.audit.advisories import Advisories
    from cacheadmin.policy.loaded import LoadedPolicy
    from cacheadmin.snapshot.snapshot import Progress


def audit_caches(
    arguments: Sequence[str],
    *,
    only: Collection[str] = (),
    insecure_policy: bool = False,
    progress: Progress | None = None,
    advisories: Advisories | None = None,
) -> tuple[tuple[Audit, ...], bool]:
    """Return the audit of each policy, and whether several were asked for.

    An argument is a policy, or a folder that stands for every ``*.yaml`` in
    it; none is the caller's own cache. ``advisories`` are what packages are held
    against. Asking for one raises PolicyInvalid, NotACache and NotPermitted as every
    command does; with several these are findings. A folder counts as several whatever
    it holds.
    """
    several = len(arguments) > 1 or any(is_folder(argument) for argument in arguments)
    if not several:
        loaded = load_policy(arguments[0] if arguments else None, insecure=insecure_policy)
        return (_audit(loaded, only, progress, advisories),), False
    audits: dict[str, Audit] = {}
    for argument in arguments:
        try:
            policies = policies_of(argument, os.environ)
        except CacheadminError as error:
            if len(arguments) == 1:
                raise
            audits[argument] = _failed(argument, _one_line(error), error.hint)
            continue
        for policy in policies:
            if policy not in audits:
                audits[policy] = _audit_of_many(policy, only, insecure_policy, progress, advisories)
    return tuple(audits.values()), True


def _audit(
    loaded: LoadedPolicy,
    only: Collection[str],
    progress: Progress | None,
    advisories: Advisories | None,
) -> Audit:
    # Before a long look: a misspelled rule is said at once.
    settings_of(loaded)
    with look_with(loaded, report_clones=True, progress=progress) as snapshot:
        return run_audit(snapshot, only, advisories=advisories)


def _audit_of_many(
    policy: str,
    only: Collection[str],
    insecure: bool,
    progress: Progress | None,
    advisories: Advisories | None,
) -> Audit:
    loaded = None
    try:
        loaded = load_policy(policy, insecure=insecure)
        return _audit(loaded, only, progress, advisories)
    except CacheadminError as error:
        return _failed(policy, _one_line(error), error.hint, loaded)
    except Exception as error:
        # A bug that one cache brings out must not hide what is wrong with the others.
        reason = f"unexpected error: {type(error).__name__}: {error}"
        return _failed(policy, reason, f"cacheadmin --verbose audit {shell_word(policy)}", loaded)


def _failed(subject: str, reason: str, hint: str, loaded: LoadedPolicy | None = None) -> Audit:
    finding = NotAudited().failed(subject, reason, hint)
    if loaded is not None and loaded.policy.team:
        finding = replace(finding, team=loaded.policy.team)
    return Audit((finding,), loaded=loaded, subject=subject)


def _one_line(error: CacheadminError) -> str:
    more = len(error.details)
    return error.message + (f" (and {more} more)" if more else "")
