"""The incident of uv issue 15104, rebuilt with real uv releases.

    incident = build_incident(folder, index, users)     # or the fixture ``incident``
    incident.environments        # {"ana": ..., "ben": ..., "eve": ...}, all live

One cache in symlink mode. Ana works with uv 0.5.10, Ben with 0.8.5, Eve with
the newest release, each with the same packages in one environment. Before
that, Ana had an environment by uv 0.4.30, which she deleted two months ago, and
Eve installed a tool from source, changed it and installed it again, so that
its first revision is superseded. What nobody uses any more is in ``leftovers``.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.packages import Index
from tests.support.running_uv import install
from tests.support.shared_cache import SharedCache, age, dangling_links
from tests.support.users import User
from tests.support.uv_releases import NEWEST

OLD_RELEASE = "0.4.30"
RELEASES = {"ana": "0.5.10", "ben": "0.8.5", "eve": NEWEST}

#: Buckets that only ``OLD_RELEASE`` (and its neighbours) read.
FORGOTTEN_BUCKETS = ("wheels-v2", "sdists-v5", "simple-v13", "interpreter-v2", "flat-index-v1")


@dataclass
class Incident:
    """The cache, the environments that live, and the leftovers (relative paths)."""

    folder: Path
    shared: SharedCache
    environments: dict[str, Path]
    leftovers: tuple[str, ...]

    def dangling(self) -> dict[str, int]:
        """Return how many links dangle in each live environment that has any."""
        counts = {name: len(dangling_links(path)) for name, path in self.environments.items()}
        return {name: number for name, number in counts.items() if number}


def build_incident(
    folder: Path,
    index: Index,
    users: Sequence[User] = (),
    packages: Sequence[str] = ("six==1.16.0", "idna==3.7", "cowsay==6.0"),
) -> Incident:
    """Build it in ``folder``; with fewer than three users one is everybody."""
    folder.mkdir(exist_ok=True)
    shared = SharedCache.create(folder, index, users)
    people = dict(zip(RELEASES, (shared.users * 3)[:3], strict=True))

    gone = shared.environment(
        "gone", OLD_RELEASE, "pytz==2023.3", "docopt==0.6.2", user=people["ana"]
    )
    shared.remove_environment(gone)
    age(shared.path, days=60)

    environments = {
        name: shared.environment(f"project-{name}", RELEASES[name], *packages, user=person)
        for name, person in people.items()
    }
    superseded = reinstall_a_changed_tool(shared, environments["eve"], NEWEST, user=people["eve"])
    forgotten = [name for name in FORGOTTEN_BUCKETS if (shared.path / name).is_dir()]
    return Incident(folder, shared, environments, (*forgotten, *superseded))


def reinstall_a_changed_tool(
    shared: SharedCache,
    environment: Path,
    release: str,
    *,
    user: User | None = None,
    link_mode: str = "symlink",
) -> tuple[str, ...]:
    """Install from a source folder, change it, install again; return what is superseded."""
    home = shared.home(user)
    source = home / "tool-source"
    source.mkdir()
    first: set[str] = set()
    for version in ("1.0", "2.0"):
        (source / "pyproject.toml").write_text(
            '[build-system]\nrequires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"\n'
            f'[project]\nname = "tool"\nversion = "{version}"\ndescription = "A tool."\n'
        )
        (source / "tool.py").write_text(f"VERSION = {version!r}\n")
        install(
            release,
            environment,
            "--reinstall-package",
            "tool",
            str(source),
            cache=shared.path,
            home=home,
            index=shared.index,
            user=user or shared.users[0],
            link_mode=link_mode,
        )
        if not first:
            first = _revisions(shared.path)
            time.sleep(1.1)  # uv tells a changed source by times
    shutil.rmtree(source)
    return tuple(sorted(first))


def _revisions(cache: Path) -> set[str]:
    found = cache.glob("sdists-v*/path/*/*/metadata.msgpack")
    return {str(path.parent.relative_to(cache)) for path in found}
