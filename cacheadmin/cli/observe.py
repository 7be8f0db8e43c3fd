"""``cacheadmin observe``: tell the other hosts what this one sees of a shared cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli import output
from cacheadmin.cli.options import FormatOption, InsecurePolicyOption, PolicyArgument
from cacheadmin.cli.records import recorded
from cacheadmin.cli.results import progress_bar, show
from cacheadmin.errors import NotACache, WrongUsage
from cacheadmin.evidence.mount_map import shared_mounts
from cacheadmin.evidence.this_host import this_host
from cacheadmin.hosts.observation import observe as seen_here
from cacheadmin.hosts.observation_store import ObservationStore, observation_store
from cacheadmin.hosts.sight import sight_of
from cacheadmin.inventory.cache_folder import OpenCache, open_cache
from cacheadmin.policy.loader import load_policy
from cacheadmin.policy.quarantine_place import choose_quarantine
from cacheadmin.report.hosts import HostsReport, ObservationReport
from cacheadmin.snapshot.snapshot import look_with
from cacheadmin.state.store import open_state
from cacheadmin.text.documents import Heading, header

if TYPE_CHECKING:
    from cacheadmin.evidence.observations import Observations
    from cacheadmin.operations.account import Account
    from cacheadmin.policy.loaded import LoadedPolicy


def observe(
    policy: PolicyArgument = None,
    list_hosts: Annotated[
        bool, typer.Option("--list", help="Only say what each host told, and when.")
    ] = False,
    forget: Annotated[
        str | None,
        typer.Option(
            "--forget",
            metavar="HOST",
            help="Drop what a host told that is gone for good.",
            show_default=False,
        ),
    ] = None,
    output_format: FormatOption = "table",
    insecure_policy: InsecurePolicyOption = False,
) -> int:
    """Record what this host sees of the cache, for those that prune it elsewhere.

    Processes, environments and their links, uv releases, and how the cache is
    reached. Run it from cron or a timer on every host of `hosts.expect`.
    """
    if list_hosts and forget is not None:
        raise WrongUsage("--list and --forget don't go together")
    command = "observe" if forget is None else "observe --forget"
    with recorded(command, policy, changes=forget is not None) as account:
        loaded = account.loaded = load_policy(policy, insecure=insecure_policy, recall=True)
        if list_hosts or forget is not None:
            return _kept(loaded, forget, output_format)
        return _observe(account, loaded, output_format)


def _observe(account: Account, loaded: LoadedPolicy, output_format: str) -> int:
    with progress_bar() as progress, look_with(loaded, progress=progress) as snapshot:
        cache = snapshot.cache.identity
        look = snapshot.collected.look
        mounts = shared_mounts(
            cache.path,
            (one.path for one in snapshot.evidence.environments),
            look.readers,
            look.questions,
        )
        sight = sight_of(snapshot.cache)
        store = _store(loaded, snapshot.cache)
        observation = seen_here(snapshot.case, this_host(), store.read(), mounts, sight)
        store.write(observation)
    account.counts = {"uses": len(observation.uses), "environments": observation.environments}
    first = Heading(header("observe", loaded, cache))
    show(ObservationReport(first, observation, store.place), output_format, is_well=True)
    return 0


def _kept(loaded: LoadedPolicy, forget: str | None, output_format: str) -> int:
    with open_cache(loaded.policy.cache) as cache:
        store = _store(loaded, cache)
        if forget is not None:
            if not store.forget(forget):
                raise NotACache(
                    f"host {forget} told nothing in {store.place}",
                    hint="`cacheadmin observe POLICY --list` names the hosts that did",
                )
            if not output.settings.quiet:
                output.data(f"what host {forget} told is forgotten")
            return 0
        seen: Observations = store.read()
        first = Heading(header("observe", loaded, cache.identity))
        show(HostsReport(first, seen, store.place), output_format)
    return 0


def _store(loaded: LoadedPolicy, cache: OpenCache) -> ObservationStore:
    state = open_state(loaded.policy.state, cache=cache.identity)
    return observation_store(state, cache, choose_quarantine(loaded.policy, cache))
