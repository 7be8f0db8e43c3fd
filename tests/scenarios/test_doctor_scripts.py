"""`doctor --fix-script`: quoting that holds, nobody else's commands, and repairs that happen."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cacheadmin.doctor.damage import Damaged, Examination
from cacheadmin.doctor.diagnosis import Diagnosis
from cacheadmin.doctor.repairs import Repair, repair_of
from cacheadmin.doctor.script_files import script_name, write_scripts
from cacheadmin.doctor.scripts import script_for
from cacheadmin.doctor.sources import requirement_of
from cacheadmin.doctor.trust import why_source_unsafe, why_unsafe
from cacheadmin.errors import Refused
from cacheadmin.evidence.facts import (
    Environment,
    EnvironmentKind,
    EnvironmentStatus,
    LinkMode,
)
from cacheadmin.text.escapes import printable
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.packages import Index
from tests.support.running_uv import binary_for, uv_environment
from tests.support.shared_cache import SharedCache, dangling_links
from tests.support.users import User, open_temporary_folder
from tests.support.uv_releases import NEWEST

_RECORDER = """#!/bin/sh
printf '%s\\0' "$PWD" "$UV_LINK_MODE" "$#" "$@" >> "$RECORDED"
case $1 in fail) exit 3 ;; esac
"""

# Any bytes a file name can have, as Python carries them.
_NAMES = st.binary(min_size=1, max_size=24).map(
    lambda raw: os.fsdecode(raw.replace(b"\0", b"'").replace(b"/", b"$"))
)
_NASTY = st.sampled_from(
    ["-rf", "$(touch hit)", "`touch hit`", "a\nb", "'", "*", "\\", "\x1b[2J", "ü", "!x", "x\n"]
)
_WORDS = st.one_of(_NAMES, _NASTY, st.text(max_size=12).map(lambda text: text.replace("\0", "")))


@pytest.fixture(scope="module")
def ground() -> Iterator[Path]:
    """A folder that everybody can enter, with a uv that records how it was called."""
    folder = open_temporary_folder("cacheadmin-script-")
    recorder = folder / "uv"
    recorder.write_text(_RECORDER)
    recorder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def diagnosis(
    path: str, folder: str, *commands: tuple[str, ...], uid: int | None = None, unsafe: str = ""
) -> Diagnosis:
    environment = Environment(path, EnvironmentKind.VENV, EnvironmentStatus.BROKEN)
    owner = os.geteuid() if uid is None else uid
    lost = Damaged("six", "1.16.0", path, (f"{path}/six.py",), (), ("archive-v0/x",))
    found = Examination(environment, path, owner, (lost,), LinkMode.SYMLINK)
    return Diagnosis(found, Repair(commands, folder), "ana", None, "", (), unsafe, ())


def run_script(
    text: str, ground: Path, *, user: User | None = None, uv: Path | None = None
) -> tuple[subprocess.CompletedProcess[bytes], list[str]]:
    """Run a script as the report says, from stdin; return what the uv in it was told."""
    recorded = ground / "recorded"
    recorded.unlink(missing_ok=True)
    recorded.touch(mode=0o666)
    recorded.chmod(0o666)
    done = subprocess.run(
        ["/bin/sh", "-c", "exec sh -s"],
        input=os.fsencode(text),
        env={"PATH": "/usr/bin:/bin", "UV": str(uv or ground / "uv"), "RECORDED": str(recorded)},
        cwd="/",
        capture_output=True,
        check=False,
        **(user.process_arguments() if user else {}),
    )
    return done, [os.fsdecode(word) for word in recorded.read_bytes().split(b"\0")[:-1]]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(names=st.tuples(_NAMES, _NAMES), words=st.lists(_WORDS, max_size=5), cache=_WORDS)
def test_a_shell_reads_back_exactly_the_command(
    ground: Path, names: tuple[str, str], words: list[str], cache: str
) -> None:
    folder = f"{ground}/p-{names[0]}"
    path = f"{folder}/e-{names[1]}"
    os.makedirs(path, exist_ok=True)
    text = script_for(os.geteuid(), f"/{cache}", [diagnosis(path, folder, ("uv", "do", *words))])
    done, recorded = run_script(text, ground)
    assert done.stderr == b""
    assert done.returncode == 0
    assert recorded == [folder, "symlink", str(len(words) + 1), "do", *words]
    # Nothing in a name reaches a terminal as it is.
    assert all(printable(line) == line for line in done.stdout.decode().split("\n"))
    shutil.rmtree(folder)


def test_a_repair_that_fails_is_counted_and_the_next_is_tried(ground: Path) -> None:
    ill, well = ground / "ill", ground / "well"
    ill.mkdir()
    well.mkdir()
    sick = diagnosis(str(ill), str(ground), ("uv", "fail"), ("uv", "never"))
    script = script_for(os.geteuid(), "/c", [sick, diagnosis(str(well), str(ground), ("uv", "do"))])
    done, recorded = run_script(script, ground)
    assert done.returncode == 1
    assert b"1 repaired, 1 still broken" in done.stdout
    assert "STILL BROKEN" in done.stderr.decode()
    assert [word for word in recorded if word in ("fail", "never", "do")] == ["fail", "do"]


def test_a_repair_that_leaves_links_to_nothing_has_not_helped(ground: Path) -> None:
    path = ground / "dead"
    path.mkdir()
    (path / "six.py").symlink_to("/gone/archive-v0/abc/six.py")
    script = script_for(os.geteuid(), "/c", [diagnosis(str(path), str(ground), ("uv", "do"))])
    done, _ = run_script(script, ground)
    assert done.returncode == 1


def test_scripts_please_shellcheck(ground: Path, tmp_path: Path) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    odd = diagnosis(f"{ground}/it's $(odd)", str(ground), ("uv", "pip", "a b"), ("rm", "-f", "x"))
    left = diagnosis("/x", "/", ("uv",), unsafe="everybody may\nwrite")
    file = tmp_path / "fix.sh"
    file.write_text(script_for(os.geteuid(), "/a cache", [odd, left]))
    done = subprocess.run(["shellcheck", file], capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert done.returncode == 0


@pytest.mark.root
def test_a_script_refuses_to_run_as_anybody_else(ground: Path, three_users: list[User]) -> None:
    ana, ben, _ = three_users
    path = ground / "hers"
    path.mkdir()
    os.chown(path, ana.uid, ana.gid)
    script = script_for(ana.uid, "/c", [diagnosis(str(path), "/", ("uv", "do"), uid=ana.uid)])
    for user, code in ((ben, 77), (None, 77), (ana, 0)):
        done, recorded = run_script(script, ground, user=user)
        assert done.returncode == code
        assert bool(recorded) == (code == 0)


@pytest.mark.root
def test_settings_that_a_stranger_put_above_stop_a_repair(
    ground: Path, three_users: list[User]
) -> None:
    ana, _, eve = three_users
    path = ground / "open" / "env"
    path.mkdir(parents=True)
    os.chown(path, ana.uid, ana.gid)
    text = script_for(
        ana.uid, "/c", [diagnosis(str(path), str(path.parent), ("uv", "do"), uid=ana.uid)]
    )
    (ground / "open" / "uv.toml").write_text("")
    os.chown(ground / "open" / "uv.toml", eve.uid, eve.gid)
    done, recorded = run_script(text, ground, user=ana)
    assert (done.returncode, recorded) == (1, [])
    assert b"left alone" in done.stderr
    os.chown(ground / "open" / "uv.toml", ana.uid, ana.gid)
    assert run_script(text, ground, user=ana)[0].returncode == 0
    # Somebody else's environment by now: it was replaced since.
    os.chown(path, eve.uid, eve.gid)
    assert run_script(text, ground, user=ana)[1] == []


@pytest.mark.root
def test_what_somebody_else_rules_ends_in_no_script(
    open_folder: Path, three_users: list[User]
) -> None:
    ana, _, eve = three_users
    path = open_folder / "project" / ".venv"
    path.mkdir(parents=True)
    for place in (path, path.parent):
        os.chown(place, ana.uid, ana.gid)
    folder = str(path.parent)
    assert why_unsafe(str(path), folder, ana.uid) == ""
    os.chown(path.parent, eve.uid, eve.gid)
    assert "belongs to uid" in why_unsafe(str(path), folder, ana.uid)
    assert why_unsafe(str(path), folder, ana.uid, trusted=(eve.uid,)) == ""
    os.chown(path.parent, ana.uid, ana.gid)
    path.parent.chmod(0o777)
    assert "every user may write" in why_unsafe(str(path), folder, ana.uid)
    path.parent.chmod(0o755)
    (path.parent / "pyproject.toml").write_text("")
    os.chown(path.parent / "pyproject.toml", eve.uid, eve.gid)
    assert "pyproject.toml belongs to" in why_unsafe(str(path), folder, ana.uid)


@pytest.mark.parametrize(
    ("name", "version", "origin"),
    [
        ("--index-url=http://evil", "1", None),
        ("six", "1.0 ; --extra", None),
        ("six", "1.16.0", {}),
        ("six", "1.16.0", {"url": "http://x/a b"}),
        ("six", "1.16.0", {"url": "ext::sh -c evil"}),
        ("six", "1.16.0", {"url": "https://x/y", "vcs_info": {"vcs": "git", "commit_id": "--x"}}),
        ("six", "1.16.0", {"url": "https://x/y", "subdirectory": "a b"}),
        ("six", "1.16.0", {"url": ["https://x/y"]}),
    ],
)
def test_metadata_that_is_no_requirement_never_becomes_a_word_of_a_command(
    name: str, version: str, origin: dict[str, object] | None
) -> None:
    assert requirement_of(Damaged(name, version, "/s", origin=origin)) == ()


def test_a_url_can_name_no_variable_of_the_shell_or_of_uv() -> None:
    origin = {"url": "https://host/${SECRET}/six.whl", "archive_info": {}}
    (word,) = requirement_of(Damaged("six", "1.16.0", "/s", origin=origin))
    assert word == "six @ https://host/%24{SECRET}/six.whl"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://ana:secret@host/x.whl", "six @ https://host/x.whl"),
        ("https://secret@host:8443/x.whl", "six @ https://host:8443/x.whl"),
        ("ssh://git:secret@host/x", "six @ ssh://git@host/x"),
        ("https://host/x.whl?token=secret", None),
        ("https://host/x.whl#secret", None),
        ("https://ana:secret@host/x.whl#sha256=0a", "six @ https://host/x.whl#sha256=0a"),
    ],
)
def test_no_secret_of_a_url_gets_into_a_command(url: str, words: str | None) -> None:
    one = Damaged("six", "1.16.0", "/s", ("/s/six.py",), origin={"url": url}, uids=frozenset({7}))
    assert requirement_of(one) == (() if words is None else (words,))
    environment = Environment("/e", EnvironmentKind.VENV, EnvironmentStatus.BROKEN)
    repair = repair_of(
        Examination(environment, "/e", 7, (one,), LinkMode.SYMLINK), past_the_cache=False
    )
    assert "secret" not in str(repair)
    assert ("netrc" in repair.note) == ("@host" in url and words is not None)


def test_two_versions_of_a_package_keep_no_other_from_being_repaired() -> None:
    damaged = tuple(
        Damaged(name, version, "/e/s", (f"/e/s/{name}",), uids=frozenset({7}))
        for name, version in (("pytz", "2024.1"), ("six", "1.15.0"), ("six", "1.16.0"))
    )
    environment = Environment("/e", EnvironmentKind.VENV, EnvironmentStatus.BROKEN)
    repair = repair_of(
        Examination(environment, "/e", 7, damaged, LinkMode.SYMLINK), past_the_cache=False
    )
    (command,) = repair.commands
    assert command[-2:] == ("--no-deps", "pytz==2024.1")
    assert "six 1.15.0, six 1.16.0" in repair.note


def test_scripts_are_written_only_where_nobody_else_can_change_them(tmp_path: Path) -> None:
    folder = tmp_path / "fixes"
    for text in ("one", "two"):
        (path,) = write_scripts(str(folder), {"fix-ana.sh": text})
        assert Path(path).read_text() == text
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o700
    assert os.stat(path).st_uid == os.geteuid()
    precious = tmp_path / "precious"
    precious.write_text("mine")
    Path(path).unlink()
    Path(path).symlink_to(precious)
    with pytest.raises(Refused):
        write_scripts(str(folder), {"fix-ana.sh": "x"})
    assert precious.read_text() == "mine"
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(Refused):
        write_scripts(str(tmp_path / "link"), {"fix-ben.sh": "x"})
    folder.chmod(0o777)
    with pytest.raises(Refused):
        write_scripts(str(folder), {"fix-ben.sh": "x"})


def test_an_account_name_that_is_no_file_name_gives_its_uid() -> None:
    assert script_name("ana", 1001) == "fix-ana.sh"
    assert script_name("../../etc/x", 1001) == "fix-1001.sh"
    assert script_name("uid 1001", 1001) == "fix-1001.sh"


def break_all(shared: SharedCache) -> None:
    """Lose all wheels, as when somebody's prune of another release took them."""
    for archive in (shared.path / "archive-v0").iterdir():
        shutil.rmtree(archive)
    for bucket in shared.path.glob("wheels-v*"):
        shutil.rmtree(bucket)


@pytest.mark.root
def test_each_user_runs_one_script_and_everything_imports_again(
    open_folder: Path, index: Index, cacheadmin: Cacheadmin, three_users: list[User]
) -> None:
    ana, ben, eve = three_users
    shared = SharedCache.create(open_folder, index, (ana, ben, eve))
    made = {
        user: shared.environment(f"of $(touch {user.name})", NEWEST, "pytz==2024.1", user=user)
        for user in (ana, ben)
    }
    break_all(shared)
    override = open_folder / "override.txt"
    override.write_text("pytz==2025.2\n")
    # Eve wants Ana to run what lies in her folder.
    trap = shared.home(eve) / ".venv"
    trap.symlink_to(made[ana])
    (shared.home(eve) / "pyproject.toml").write_text("[project]\n")
    lines = "".join(f'    - "{path}"\n' for path in (*made.values(), trap))
    policy = cacheadmin.policy(shared.path, f"venvs:\n  include:\n{lines}")
    fixes = open_folder / "fixes"
    said = cacheadmin("doctor", policy, "--fix-script", fixes, code=8)
    assert "$(touch" in said.stdout
    assert sorted(path.name for path in fixes.iterdir()) == [f"fix-{u.uid}.sh" for u in made]
    for user, environment in made.items():
        script = fixes / f"fix-{user.uid}.sh"
        assert str(shared.home(eve)) not in script.read_text()
        variables = uv_environment(
            cache="/nowhere", home=shared.home(user), index=index, user=user
        ) | {"UV": str(binary_for(NEWEST, user)), "VIRTUAL_ENV": "/somewhere"}
        # Settings of the user that would install something else, or elsewhere.
        variables |= {"UV_OVERRIDE": str(override), "UV_WORKING_DIR": "/nowhere"}
        with script.open("rb") as opened:
            done = subprocess.run(
                ["/bin/sh", "-s"],
                stdin=opened,
                env=variables,
                cwd="/",
                capture_output=True,
                text=True,
                check=False,
                **user.process_arguments(),
            )
        assert done.returncode == 0, done.stderr
        assert "1 repaired, 0 still broken" in done.stdout
        assert dangling_links(environment) == {}
        assert [*environment.glob("lib/*/site-packages/pytz-2024.1.dist-info")]
        subprocess.run(
            [environment / "bin/python", "-c", "import pytz.tzinfo"],
            check=True,
            cwd="/",
            **user.process_arguments(),
        )
    assert cacheadmin("-q", "doctor", policy, code=0).stdout == ""


@pytest.mark.root
def test_what_was_installed_from_a_folder_open_to_everybody_ends_in_no_script(
    open_folder: Path, index: Index, cacheadmin: Cacheadmin, three_users: list[User]
) -> None:
    ana, _, eve = three_users
    shared = SharedCache.create(open_folder, index, (ana, eve))
    (wheel,) = index.folder.glob("six-1.16.0-*.whl")
    everybodys = open_folder / "like-tmp"
    everybodys.mkdir()
    everybodys.chmod(0o1777)
    hers = everybodys / wheel.name
    shutil.copy(wheel, hers)
    os.chown(hers, ana.uid, ana.gid)
    link = shared.home(ana) / wheel.name
    link.symlink_to(hers)
    os.chown(link, ana.uid, ana.gid, follow_symlinks=False)
    environment = shared.environment("env", NEWEST, str(link), user=ana)
    break_all(shared)
    policy = cacheadmin.policy(shared.path, f'venvs:\n  include: ["{environment}"]\n')

    def doubt() -> str | None:
        (row,) = cacheadmin("doctor", policy, "--format", "json", code=8).json["findings"]
        found: str | None = row["not_in_script"]
        return found

    # In a sticky folder nobody can replace what is hers; what is gone, anybody can put there.
    assert doubt() is None
    hers.unlink()
    assert "every user may put it there" in str(doubt())
    shutil.copy(wheel, hers)
    os.chown(hers, eve.uid, eve.gid)
    assert f"belongs to uid {eve.uid}" in str(doubt())
    shouted = {"url": hers.as_uri().replace("file", "FILE", 1)}
    assert f"belongs to uid {eve.uid}" in why_source_unsafe(shouted, ana.uid)


def test_a_script_on_stdout_is_only_a_script(shared: SharedCache, cacheadmin: Cacheadmin) -> None:
    environment = shared.environment("env", NEWEST, "six==1.16.0")
    break_all(shared)
    policy = cacheadmin.policy(shared.path, f'venvs:\n  include: ["{environment}"]\n')
    said = cacheadmin("doctor", policy, "--fix-script", "-", code=8)
    assert said.stdout.startswith("#!/bin/sh\n")
    assert "six==1.16.0" in said.stdout
    assert cacheadmin("doctor", policy, "--fix-script", "-", "--format", "json").code == 2
