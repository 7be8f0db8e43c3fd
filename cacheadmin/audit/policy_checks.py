"""What is wrong with policies: syntax, keys, values, and who could have written them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.audit.settings import settings_of
from cacheadmin.errors import CacheadminError
from cacheadmin.policy.loader import read_policy
from cacheadmin.policy.location import policies_of
from cacheadmin.rights.acting import unknown_account
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cacheadmin.policy.loaded import LoadedPolicy


@frozen
class PolicyCheck:
    """What the check of one policy came to."""

    path: str | None
    """Its file, or what was named where there is none; None: the built-in policy."""
    name: str | None
    """The policy's own name; None where it could not be read."""
    error: CacheadminError | None
    """Why it is refused; None: it is accepted."""
    warnings: tuple[str, ...]
    """What is odd about a policy that is accepted."""


def check_policies(
    arguments: Iterable[str | None], environment: Mapping[str, str], *, insecure: bool
) -> Iterator[PolicyCheck]:
    """Yield what is to be said of each policy; None stands for the built-in one.

    A folder stands for every policy in it. With ``insecure`` it does not
    matter who could have written them.
    """
    for argument in arguments:
        try:
            paths = [None] if argument is None else policies_of(argument, environment)
        except CacheadminError as error:
            yield PolicyCheck(argument, None, error, ())
            continue
        for path in paths:
            yield _check(path, insecure=insecure)


def _check(path: str | None, *, insecure: bool) -> PolicyCheck:
    try:
        loaded = read_policy(path, insecure=insecure)
        settings_of(loaded)
    except CacheadminError as error:
        return PolicyCheck(path, None, error, ())
    return PolicyCheck(loaded.path, loaded.policy.name, None, tuple(_oddities(loaded)))


def _oddities(loaded: LoadedPolicy) -> Iterator[str]:
    if unknown := unknown_account(loaded.policy.run_as):
        yield f"{loaded.path}: {unknown}"
    if loaded.policy.notify.is_set:
        from cacheadmin.operations.notifications import problems_of

        yield from problems_of(loaded)
