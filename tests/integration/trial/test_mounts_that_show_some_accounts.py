"""An idmapped mount that does not show the owner of tripwires hides every lookup from them.

Systemd-nspawn makes such mounts (`--bind=...:rootidmap`), and containers others, whose
ranges have all accounts of a cache: these hide nothing.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cacheadmin.trial.blindness import blindness
from tests.support import idmapped_mount
from tests.support.trial_sites import TrialSite, trial_site

pytestmark = pytest.mark.root

_RUNS = "import sys; print(1, flush=True); sys.stdin.read()"
_SCRIPT = f"""
python3 {idmapped_mount.__file__} "$1" "$2" "$3" "$4" && exec python3 -c '{_RUNS}'
"""


@pytest.fixture
def site(open_folder: Path) -> Iterator[TrialSite]:
    with trial_site(open_folder) as made:
        (open_folder / "seen").mkdir()
        yield made


@contextmanager
def shown(folder: Path, seen_at: Path, first: int, count: int) -> Iterator[None]:
    """Mount a folder for a Python in a mount namespace of its own."""
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-ec", _SCRIPT, "sh", folder, seen_at, str(first), str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        if process.stdout.readline() != b"1\n":
            pytest.skip("ids can't be mapped here")
        try:
            yield
        finally:
            process.kill()


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
