"""A path means in another root what it means there, whatever we have at that path."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from cacheadmin.fs.other_roots import status_in_root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    root = tmp_path / "root"
    (root / "etc" / "deep").mkdir(parents=True)
    (root / "proc").mkdir()
    for name, target in (
        ("absolute", "/etc/deep"),
        ("relative", "etc/../etc"),
        ("upwards", "../../../../etc"),
        ("again", "/absolute/../deep"),
        ("ours", str(tmp_path / "outside")),
        ("loop", "/loop"),
        ("process", "/proc/self"),
    ):
        (root / name).symlink_to(target)
    return root


@pytest.mark.parametrize(
    ("path", "means"),
    [
        ("/", ""),
        ("/etc//./deep/", "etc/deep"),
        ("/../../etc", "etc"),
        ("/absolute", "etc/deep"),
        ("/absolute/..", "etc"),
        ("/relative/deep", "etc/deep"),
        ("/upwards", "etc"),
        ("/again", "etc/deep"),
    ],
)
def test_links_lead_where_they_lead_there(root: Path, path: str, means: str) -> None:
    status = (root / means).stat()
    found = status_in_root(str(root), path)
    assert (found.st_dev, found.st_ino) == (status.st_dev, status.st_ino)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/nothing", errno.ENOENT),
        ("/ours", errno.ENOENT),
        ("/loop", errno.ELOOP),
        ("/process/cwd", errno.EXDEV),
    ],
)
def test_what_leads_nowhere_says_why(root: Path, path: str, code: int) -> None:
    with pytest.raises(OSError) as raised:
        status_in_root(str(root), path)
    assert raised.value.errno == code
