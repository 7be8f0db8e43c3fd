"""Paths are resolved as by realpath(3), but for chains that the kernel does not follow either."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cacheadmin.evidence.away import away_because
from cacheadmin.fs.resolution import MAX_LINKS, resolve
from tests.support.shared_cache import SharedCache
from tests.support.uv_releases import NEWEST

_NAMES = ("a", "b", "c")
_TEXTS = st.lists(st.sampled_from((*_NAMES, "..", ".", "")), min_size=1, max_size=4).map("/".join)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    links=st.lists(
        st.tuples(st.lists(st.sampled_from(_NAMES), min_size=1, max_size=3), st.booleans(), _TEXTS),
        max_size=6,
    ),
    path=_TEXTS,
)
def test_it_answers_as_realpath_wherever_the_kernel_gets_through(
    tmp_path_factory: pytest.TempPathFactory, links: list[tuple[list[str], bool, str]], path: str
) -> None:
    root = tmp_path_factory.mktemp("links")
    for way, absolute, text in links:
        place = root.joinpath(*way)
        if not Path(os.path.realpath(place.parent)).is_relative_to(root):
            # Through a link made before it would lie anywhere on this machine.
            continue
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(f"{root}/{text}" if absolute else text or ".")
        except OSError:
            continue
    asked = f"{root}/{path}"
    try:
        os.stat(asked)
    except OSError as error:
        # What is missing stays text. How a loop is spelt is nobody's business; from what is
        # missing a text leads back into one by `..` alone.
        texts = [path, *(text for _, _, text in links)]
        if error.errno == errno.ENOENT and not any(".." in text for text in texts):
            assert resolve(asked) == os.path.realpath(asked)
        return
    assert resolve(asked) == resolve(asked, strict=True) == os.path.realpath(asked)


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    """A chain ``l1 -> l2 -> ... -> l1100 -> end``; ``lN`` passes through 1101 - N links."""
    (tmp_path / "end").touch()
    (tmp_path / "l1100").symlink_to("end")
    for number in range(1099, 0, -1):
        (tmp_path / f"l{number}").symlink_to(f"l{number + 1}")
    return tmp_path


def test_it_gets_exactly_as_far_as_the_kernel(chain: Path) -> None:
    last = chain / f"l{1101 - MAX_LINKS}"
    assert resolve(str(last), strict=True) == os.path.realpath(chain / "end")
    assert last.exists()
    for first in (f"l{1100 - MAX_LINKS}", "l1"):
        with pytest.raises(OSError, match="Too many levels"):
            (chain / first).stat()
        with pytest.raises(OSError, match="Too many levels"):
            resolve(str(chain / first), strict=True)
        assert os.path.islink(resolve(str(chain / first)))


def test_links_that_grow_at_each_step_end_soon(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / name).symlink_to("/".join([other, *["./x/.."] * 500]))
    assert resolve(f"{tmp_path}/a/x").startswith(f"{tmp_path}/")
    with pytest.raises(OSError, match="Too many levels"):
        resolve(f"{tmp_path}/a/x", strict=True)


def test_a_chain_of_1100_links_ends_no_command(shared: SharedCache, cacheadmin, chain) -> None:
    environment = shared.environment("proj", NEWEST, "six==1.16.0")
    site = next(environment.glob("lib/python*/site-packages"))
    (site / "x-1.dist-info").symlink_to(chain / "l1")
    (site / "y-1.dist-info").mkdir()
    (site / "y-1.dist-info" / "METADATA").symlink_to(chain / "l1")
    bin_link = environment / "bin" / "uv"
    bin_link.symlink_to(chain / "l1")
    policy = cacheadmin.policy(shared.path, f"venvs:\n  include: [{environment}]\n  scan: deep\n")
    usual = {0, 4, 8}
    for command in ("scan", "preflight", "plan", "prune", "doctor", "audit", "verify", "protect"):
        result = cacheadmin(command, policy)
        assert result.code in usual, (command, result.stderr)
        assert "Error" not in result.stderr
    for command in ("schemas", "usage", "report"):
        cacheadmin(command, policy, code=0)


def test_below_what_is_not_there_nothing_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "link").symlink_to("end")
    looked_at = []
    real = os.lstat

    def counted(path: str) -> os.stat_result:
        looked_at.append(path)
        return real(path)

    monkeypatch.setattr(os, "lstat", counted)
    # Ten thousand such links of one account kept every command busy for minutes.
    text = f"{tmp_path}/away{'/x' * 2000}"
    assert resolve(text) == text
    assert len(looked_at) < 100
    # Back from there it goes on.
    assert resolve(f"{tmp_path}/away/x/../../real/link") == f"{tmp_path}/real/end"
    looked_at.clear()
    assert away_because(text, 0) == ""
    assert len(looked_at) < 100


def test_of_a_path_that_is_not_there_the_nearest_folder_counts(tmp_path: Path) -> None:
    nowhere = f"/nowhere-{os.getpid()}"
    assert "first folder" in away_because(f"{nowhere}{'/x' * 1900}/env", 0)
    (tmp_path / "mount").mkdir()
    assert f"{tmp_path}/mount is empty" in away_because(f"{tmp_path}/mount/a/b/env", 0)
    (tmp_path / "mount" / "a").mkdir()
    (tmp_path / "mount" / "note").touch()
    assert f"{tmp_path}/mount/a is empty" in away_because(f"{tmp_path}/mount/a/b/env", 0)
    assert away_because(f"{tmp_path}/mount/c/env", 0) == ""
