"""A path that several sources name is looked at once, and for each where that fails."""

from __future__ import annotations

from collections.abc import Sequence

from cacheadmin.evidence.candidates import DistinctCandidates, FolderAt
from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.facts import EnvironmentKind
from cacheadmin.evidence.kinds import NamedFolder
from cacheadmin.readers import Unreadable

HOSTILE, OWNER = 1001, 1002


def candidate(path: str, source: str, uid: int | None = None) -> Candidate:
    return Candidate(path, EnvironmentKind.VENV, (source,), uid)


def place(named: NamedFolder) -> FolderAt:
    return FolderAt(named.path, (1, ord(named.path[-1])), in_bucket=False)


def test_it_is_asked_once_and_all_sources_are_told() -> None:
    asked: list[NamedFolder] = []

    def places(named: Sequence[NamedFolder]) -> list[FolderAt | Unreadable]:
        asked.extend(named)
        return [place(one) for one in named]

    found = DistinctCandidates(places)
    found.add([candidate("/a", "registry", HOSTILE), candidate("/a", "include")])
    found.add([candidate("/b", "include")])
    # In its owner's name, as the disk tells it.
    assert asked == [NamedFolder("/a", None), NamedFolder("/b", None)]
    assert [one.sources for one in found.candidates()] == [("registry", "include"), ("include",)]


def test_what_fails_for_one_who_names_it_is_asked_for_the_others() -> None:
    def places(named: Sequence[NamedFolder]) -> list[FolderAt | Unreadable]:
        return [
            Unreadable("too much else of the same owner could not be read", one.uid)
            if one.uid == HOSTILE
            else place(one)
            for one in named
        ]

    found = DistinctCandidates(places)
    found.add([candidate("/a", "registry", HOSTILE), candidate("/a", "remembered", OWNER)])
    (one,) = found.candidates()
    assert one.sources == ("registry", "remembered")
    assert found.identities == {"/a": (1, ord("a"))}
    assert found.unreadable == {}


def test_what_fails_for_everybody_is_unreadable() -> None:
    found = DistinctCandidates(lambda named: [Unreadable("it hangs", one.uid) for one in named])
    found.add([candidate("/a", "registry", HOSTILE), candidate("/a", "remembered", OWNER)])
    assert set(found.unreadable) == {"/a"}
