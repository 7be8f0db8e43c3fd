"""Whatever environments a site has, and wherever they lie: a prune leaves each whole.

Real folders, the real program from policy to prune. What varies is the sort of
each environment, what was done to it since, where it lies, and which wheels it has.
"""

from __future__ import annotations

import shutil

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import age
from tests.support.sites import (
    CHANGES,
    CHANGES_WITH_LIB,
    KINDS,
    PLACES,
    Site,
    Wish,
    build_site,
)
from tests.support.users import open_temporary_folder

WHEELS = 5
EXAMPLES = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
MANY_EXAMPLES = settings(EXAMPLES, max_examples=300)


def wishes(places: tuple[str, ...]) -> st.SearchStrategy[list[Wish]]:
    one = st.builds(
        Wish,
        kind=st.sampled_from(KINDS),
        change=st.sampled_from((*CHANGES, *CHANGES_WITH_LIB)),
        place=st.sampled_from(places),
        wheels=st.frozensets(st.integers(0, WHEELS - 1), min_size=1, max_size=2),
    )
    return st.lists(one.filter(lambda wish: wish.is_possible), min_size=1, max_size=6)


def prune(wished: list[Wish], word: str) -> tuple[Site, dict, dict[str, list[str]]]:  # type: ignore[type-arg]
    """Build a site, prune it; return it, the prune's document, and what is broken since."""
    folder = open_temporary_folder("cacheadmin-site-")
    try:
        site = build_site(folder, WHEELS, wished)
        assert site.broken() == {}
        age(folder, 40)
        runner = Cacheadmin(folder / "cacheadmin")
        runner.folder.mkdir()
        policy = runner.policy(
            site.cache, f"venvs:\n{word}{site.policy_lines}hosts: {{only: this}}\n", complete=False
        )
        document = runner("prune", policy, "--format", "json").json
        return site, document, site.broken()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def removed_archives(document: dict) -> set[str]:  # type: ignore[type-arg]
    return {row["path"] for row in document["removals"] if row["kind"] == "archive"}


def no_environment_breaks(wished: list[Wish]) -> None:
    site, document, broken = prune(wished, "")
    assert broken == {}
    assert document["gaps"] != []
    # What an unseen environment links to may be on trial, where it goes on working.
    on_trial = set(document["trial"]["planted"]) if document["trial"] else set()
    assert not (removed_archives(document) - on_trial) & site.used(found=False)


def exactly_what_nobody_links_is_removed(wished: list[Wish]) -> None:
    site, document, broken = prune(wished, "  complete: true\n")
    assert document["gaps"] == []
    assert broken == {}
    unused = {f"archive-v0/{archive.name}" for archive in site.archives} - site.used()
    assert removed_archives(document) == unused
    assert document["outcome"] == ("committed" if unused else "nothing_to_do")


FOUND = tuple(place for place in PLACES if place != "nowhere")


@EXAMPLES
@given(wishes(PLACES))
def test_with_gaps_open_no_environment_breaks_wherever_it_lies(wished: list[Wish]) -> None:
    no_environment_breaks(wished)


@EXAMPLES
@example([Wish("target", "path file", "pattern", frozenset([0]))])
@example([Wish("target", "path file to a folder", "pattern", frozenset([0]))])
@given(wishes(FOUND))
def test_with_the_sites_word_exactly_what_nobody_links_is_removed(wished: list[Wish]) -> None:
    exactly_what_nobody_links_is_removed(wished)


@pytest.mark.long
@MANY_EXAMPLES
@given(wishes(PLACES))
def test_with_gaps_open_no_environment_of_many_sites_breaks(wished: list[Wish]) -> None:
    no_environment_breaks(wished)


@pytest.mark.long
@MANY_EXAMPLES
@given(wishes(FOUND))
def test_on_many_sites_exactly_what_nobody_links_is_removed(wished: list[Wish]) -> None:
    exactly_what_nobody_links_is_removed(wished)
