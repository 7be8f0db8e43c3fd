"""Where observations of a cache are kept: in a state that hosts share, else beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from cacheadmin.errors import CacheadminError
from cacheadmin.evidence.observations import Observation, Observations
from cacheadmin.hosts.documents import Unbelievable, decode, encode
from cacheadmin.hosts.folder import HostsFolder
from cacheadmin.hosts.token import make_token, token_of
from cacheadmin.state.location import sqlite_path

if TYPE_CHECKING:
    from cacheadmin.inventory.cache_folder import OpenCache
    from cacheadmin.policy.quarantine_place import QuarantinePlace
    from cacheadmin.state.store import State


class ObservationStore(Protocol):
    """Keeps what hosts tell."""

    place: str
    """Where observations are kept, in words for people."""

    def read(self) -> Observations:
        """Return all of it; raises nothing for what it finds."""

    def write(self, observation: Observation) -> None:
        """Keep an observation. Raises NotPermitted and StateUnusable."""

    def forget(self, host: str) -> bool:
        """Drop what a host told; False when it told nothing."""


def observation_store(
    state: State, cache: OpenCache, quarantine: QuarantinePlace
) -> ObservationStore:
    """Return where this cache's observations are kept.

    An SQLite file serves one host, so then they lie beside the quarantine.
    """
    if sqlite_path(state.url) is None:
        return HostsTable(state, cache)
    return HostsFolder(quarantine.observations, cache)


class HostsTable:
    """The table of observations in a database that hosts share."""

    def __init__(self, state: State, cache: OpenCache) -> None:
        self._state = state
        self._cache = cache
        self.place = f"the state {state.shown()}"

    def read(self) -> Observations:
        """Return what all hosts told."""
        try:
            token = token_of(self._cache)
            rows = [] if token is None else self._state.observations(token)
        except CacheadminError as error:
            return Observations(problems=(str(error),))
        known: list[Observation] = []
        problems: list[str] = []
        for host, uid, document in rows:
            try:
                observation = decode(document)
            except Unbelievable as error:
                problems.append(f"what host {host} told can't be believed: {error}")
                continue
            if (observation.host, observation.uid) == (host, uid):
                known.append(observation)
            else:
                problems.append(f"what host {host} told speaks of host {observation.host!r}")
        return Observations(tuple(known), tuple(problems))

    def write(self, observation: Observation) -> None:
        """Keep an observation in place of the one that this account of its host told before."""
        token = token_of(self._cache) or make_token(self._cache)
        document = encode(observation).decode()
        self._state.note_observation(token, observation.host, observation.uid, document)

    def forget(self, host: str) -> bool:
        """Drop what a host told; False when it told nothing."""
        token = token_of(self._cache)
        return token is not None and self._state.forget_observations(token, host)
