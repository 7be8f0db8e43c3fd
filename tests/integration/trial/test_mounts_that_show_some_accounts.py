"""An idmapped mount that does not show the owner of tripwires hides every lookup from them.

Systemd-nspawn makes such mounts (`--bind=...:rootidmap`), and containers others, whose
ranges have all accounts of a cache: these hide nothing.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from cacheadmin.trial.blindness import blindness
from tests.support import idmapped_mount
from tests.support.other_mounts import python_in_own_mounts
from tests.support.trial_sites import TrialSite, trial_site

pytestmark = pytest.mark.root

_SHOW = shlex.join([sys.executable, idmapped_mount.__file__]) + ' "$1" "$2" "$3" "$4"'


@pytest.fixture
def site(open_folder: Path) -> Iterator[TrialSite]:
    with trial_site(open_folder) as made:
        (open_folder / "seen").mkdir()
        yield made


def shown(folder: Path, seen_at: Path, first: int, count: int) -> AbstractContextManager[int]:
    """Mount a folder for a Python in a mount namespace of its own."""
    return python_in_own_mounts(_SHOW, folder, seen_at, str(first), str(count))


@pytest.mark.parametrize("part", [".", "..", "archive-v0"])
def test_silence_proves_nothing_beside_a_mount_that_shows_another_account(
    site: TrialSite, part: str
) -> None:
    with shown((site.path / part).resolve(), site.folder / "seen", 12_345, 1):
        assert "idmapped" in blindness(site.trials.folder, site.cache.identity)
    assert blindness(site.trials.folder, site.cache.identity) == ""


def test_silence_counts_beside_a_mount_that_shows_all_accounts(site: TrialSite) -> None:
    with shown(site.path, site.folder / "seen", 0, 65_536):
        assert blindness(site.trials.folder, site.cache.identity) == ""


def test_silence_proves_nothing_where_a_part_of_the_cache_is_shown_with_other_ids(
    site: TrialSite,
) -> None:
    with shown(site.path / "archive-v0", site.folder / "seen", 0, 65_536):
        assert "idmapped" in blindness(site.trials.folder, site.cache.identity)
