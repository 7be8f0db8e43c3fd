"""A cache as a shared one becomes: several releases, every sort of source, leftovers.

    mixed = build_mixed_cache(folder, index)     # real releases, once a session
    copy = spoiled_copy(mixed, folder, seed)     # a copy with more odd things in it
    deleted_tops(before, after)                  # what a prune deleted, as uv logs it

A seed decides what is odd: folders of strangers, links out of the cache,
pointers without link, missing buckets, damaged revision files.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.support.incident import reinstall_a_changed_tool
from tests.support.packages import Index
from tests.support.shared_cache import SharedCache, names_in

WRITERS = ("0.2.37", "0.5.10", "0.6.4", "0.8.5", "0.11.33", "0.13.8", "0.13.9")
#: With every preview on they fill ``files-v0``, and archive ids have 24 characters.
CONTENT_ADDRESSERS = ("0.12.10", "0.13.9")

_SCRIPT = """# /// script
# requires-python = ">=3.8"
# dependencies = ["six==1.16.0"]
# ///
import six
"""


def build_mixed_cache(folder: Path, index: Index) -> SharedCache:
    """Fill a cache with what seven releases write."""
    folder.mkdir(exist_ok=True)
    shared = SharedCache.create(folder, index)
    wheel = next(index.folder.glob("idna-3.7-*.whl"))
    url = f"{index.url.removesuffix('/simple/')}/{_file_of(index, 'pytz')}"
    git = git_project(shared.home() / "gitted")
    script = shared.home() / "script.py"
    script.write_text(_SCRIPT)
    for release in WRITERS:
        environment = shared.environment(f"env-{release}", release, "six==1.16.0")
        # A wheel given as a file, a source distribution, a folder of wheels.
        shared.uv(release, "pip", "install", "--python", environment, str(wheel))
        shared.uv(release, "pip", "install", "--python", environment, "docopt==0.6.2")
        found = ("--no-index", "--find-links", str(index.folder), "cowsay==6.0")
        shared.uv(release, "pip", "install", "--python", environment, *found)
        shared.uv(release, "tool", "run", "cowsay", "-t", "hello")
        if release in ("0.5.10", "0.8.5", "0.13.9"):
            reinstall_a_changed_tool(shared, environment, release)
        if release in ("0.8.5", "0.13.9"):
            shared.uv(release, "run", "--no-project", str(script))
            shared.uv(release, "pip", "install", "--python", environment, f"pytz @ {url}")
            if git is not None:
                source = f"gitted @ git+file://{git}"
                shared.uv(release, "pip", "install", "--python", environment, source)
    for release in CONTENT_ADDRESSERS:
        environment = shared.environment(f"preview-{release}", release)
        words = ("pip", "install", "--python", environment, "idna==3.10", "packaging==25.0")
        shared.uv(release, *words, extra_environment={"UV_PREVIEW": "1"})
    return shared


def _file_of(index: Index, project: str) -> str:
    return min(path.name for path in index.folder.glob(f"{project}-*.whl"))


def git_project(folder: Path) -> Path | None:
    """Make a repository that can be cloned offline; None without git."""
    if shutil.which("git") is None:
        return None
    folder.mkdir()
    (folder / f"{folder.name}.py").write_text("")
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"\n'
        f'[project]\nname = "{folder.name}"\nversion = "1.0"\ndescription = "From git."\n'
    )
    who = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "Begin"]):
        subprocess.run(["git", "-C", folder, *words], check=True, env={"PATH": os.environ["PATH"]})
    return folder


def spoiled_copy(cache: Path, folder: Path, seed: int) -> Path:
    """Copy a cache with ``cp -a`` and spoil the copy as the seed says."""
    copy = folder / f"copy-{seed}"
    subprocess.run(["cp", "-a", "--", cache, copy], check=True)
    outside = folder / f"outside-{seed}"
    (outside / "inner").mkdir(parents=True)
    (outside / "inner" / "precious").write_text("x")
    dice = random.Random(seed)
    if seed:
        for spoil in dice.sample(_SPOILS, dice.randint(3, 9)):
            spoil(copy, outside, dice)
    return copy


def deleted_tops(before: set[str], after: set[str]) -> list[str]:
    """Return what is gone, without what lies below something gone."""
    gone = before - after
    return sorted(path for path in gone if os.path.dirname(path) not in gone)


def paths_of(cache: Path) -> set[str]:
    """Return every path in a cache, relative."""
    return names_in(cache)


def _strangers(cache: Path, outside: Path, dice: random.Random) -> None:
    (cache / "notes.txt").write_text("x")
    (cache / "wheels-v99" / "pypi").mkdir(parents=True)
    (cache / "gadgets-v0").mkdir()
    (cache / ".hidden").mkdir()
    (cache / ".git").mkdir(exist_ok=True)


def _python_bucket(cache: Path, outside: Path, dice: random.Random) -> None:
    for version in (0, 1):
        (cache / f"python-v{version}").mkdir(exist_ok=True)
        (cache / f"python-v{version}" / "download").write_text("x")


def _interrupted(cache: Path, outside: Path, dice: random.Random) -> None:
    for place in (cache, cache / "archive-v0", cache / "builds-v0"):
        place.mkdir(exist_ok=True)
        (place / f".tmp{dice.randrange(10**6)}" / "six").mkdir(parents=True)
    (cache / "archive-v0" / "file").write_text("x")


def _links_out(cache: Path, outside: Path, dice: random.Random) -> None:
    for bucket in ("environments-v2", "environments-v1", "archive-v0"):
        if (cache / bucket).is_dir():
            (cache / bucket / "out").symlink_to(outside / "inner")


def _root_links(cache: Path, outside: Path, dice: random.Random) -> None:
    (cache / "link").symlink_to(outside)
    (cache / "osv-v0").symlink_to(outside)


def _pointers_without_link(cache: Path, outside: Path, dice: random.Random) -> None:
    for path in _some(dice, _links(cache), 3):
        path.unlink()


def _links_elsewhere(cache: Path, outside: Path, dice: random.Random) -> None:
    for path in _some(dice, _links(cache), 2):
        path.unlink()
        path.symlink_to(outside / "inner")


def _dotted_names(cache: Path, outside: Path, dice: random.Random) -> None:
    """Names as wheels with several platform tags have them."""
    for path in _some(dice, _links(cache), 4):
        path.rename(path.with_name(f"{path.name}_x86_64.manylinux2014_x86_64"))


def _planted_roots(cache: Path, outside: Path, dice: random.Random) -> None:
    archives = [path for path in (cache / "archive-v0").glob("*") if path.is_dir()]
    for bucket in sorted(cache.glob("sdists-v*")) + sorted(cache.glob("wheels-v*")):
        folder = bucket / "planted"
        folder.mkdir(exist_ok=True)
        for archive in _some(dice, archives, 3):
            name = f"root{dice.randrange(10**6)}-0-py3-none-any"
            (folder / name).symlink_to(f"../../archive-v0/{archive.name}")
            (folder / f"plain{dice.randrange(10**6)}").symlink_to(archive)
            (folder / "src").mkdir(exist_ok=True)
            (folder / "src" / f"{name}1").symlink_to(archive)


def _missing_bucket(cache: Path, outside: Path, dice: random.Random) -> None:
    buckets = [path for path in sorted(cache.glob("*-v*")) if path.is_dir()]
    buckets = [path for path in buckets if not path.name.startswith("sdists")]
    shutil.rmtree(dice.choice(buckets))


def _more_revisions(cache: Path, outside: Path, dice: random.Random) -> None:
    for name in ("revision.http", "revision.rev"):
        for path in sorted(cache.glob(f"sdists-v*/**/{name}"))[:6]:
            (path.parent / "superseded" / "src").mkdir(parents=True, exist_ok=True)
            (path.parent / "left.txt").write_text("x")
            if dice.random() < 0.3:
                path.write_bytes(b"\xc1 no pointer")


def _odd_source_files(cache: Path, outside: Path, dice: random.Random) -> None:
    for path in sorted(cache.glob("sdists-v*/**/metadata.msgpack"))[:6]:
        (path.parent / "odd.WHL").write_text("x")
        (path.parent / ".whl").write_text("x")
        (path.parent / "linked.whl").symlink_to(outside)


def _loose_files(cache: Path, outside: Path, dice: random.Random) -> None:
    """Odd things, and files that lost one of their links, where content is stored by its hash."""
    bucket = cache / "files-v0"
    shutil.rmtree(bucket / "ab", ignore_errors=True)
    bucket.mkdir(exist_ok=True)
    for name in ("plain", ".hidden", ".tmpfile"):
        (bucket / name).write_text("x")
    (bucket / "shared").mkdir()
    (bucket / "shared" / "twin").hardlink_to(bucket / "plain")
    (bucket / "deep" / "er" / "empty").mkdir(parents=True)
    (bucket / "deep" / "er" / "file").write_text("x")
    (bucket / "link").symlink_to(outside)
    (bucket / "odd").mkdir()
    (bucket / "odd" / "nowhere").symlink_to("nothing")
    os.mkfifo(bucket / "odd" / "fifo")
    for path in _some(dice, [p for p in cache.glob("archive-v0/*/*.py") if p.is_file()], 4):
        path.unlink()


def _only_loose_files(cache: Path, outside: Path, dice: random.Random) -> None:
    if (cache / "files-v0" / "plain").exists():
        return
    shutil.rmtree(cache / "files-v0", ignore_errors=True)
    (cache / "files-v0" / "ab").mkdir(parents=True)
    (cache / "files-v0" / "ab" / "loose").write_text("x")


def _dangling_archive(cache: Path, outside: Path, dice: random.Random) -> None:
    """Since 0.11.20 the only thing that makes a prune fail: what goes before it matters."""
    (cache / "builds-v0" / ".tmpBuild").mkdir(parents=True, exist_ok=True)
    if dice.random() < 0.5:
        (cache / "archive-v0").mkdir(exist_ok=True)
        (cache / "archive-v0" / "dangling").symlink_to("nowhere")


def _some(dice: random.Random, paths: list[Path], count: int) -> list[Path]:
    return dice.sample(sorted(paths), min(count, len(paths)))


def _links(cache: Path) -> list[Path]:
    found = [*cache.glob("wheels-v*/**/*"), *cache.glob("sdists-v*/**/*")]
    return [path for path in found if path.is_symlink() and "/src/" not in str(path)]


_SPOILS: tuple[Callable[[Path, Path, random.Random], None], ...] = (
    _strangers,
    _python_bucket,
    _interrupted,
    _links_out,
    _root_links,
    _pointers_without_link,
    _links_elsewhere,
    _dotted_names,
    _planted_roots,
    _missing_bucket,
    _more_revisions,
    _odd_source_files,
    _loose_files,
    _only_loose_files,
    _dangling_archive,
)
