"""Somebody writes through a link of their environment: everybody has it, and how it is healed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.packages import Index
from tests.support.shared_cache import SharedCache
from tests.support.users import User
from tests.support.uv_releases import NEWEST

RELEASES = ("0.5.10", NEWEST)


def module_of(environment: Path, name: str = "six.py") -> Path:
    (found,) = environment.glob(f"lib/python*/site-packages/{name}")
    return found


def is_evil(environment: Path) -> bool:
    code = "import six; assert six.__version__ == '1.16.0'; print(hasattr(six, 'EVIL'))"
    command = [environment / "bin" / "python", "-B", "-c", code]
    return subprocess.run(command, check=True, capture_output=True).stdout == b"True\n"


def findings_of(cacheadmin: Cacheadmin, policy: Path, code: int) -> list[dict[str, Any]]:
    return list(cacheadmin("verify", policy, "--format", "json", code=code).json["findings"])


def commands_of(fix: str) -> tuple[str, str]:
    """Return what a fix says to run: the removal of pointers, and the install."""
    removal = fix.split("; ", maxsplit=1)[0]
    install = fix.split("`")[1]
    assert removal.startswith("rm -f -- ")
    assert install.startswith("uv pip install ")
    return removal, install


@pytest.mark.root
@pytest.mark.parametrize("release", RELEASES)
def test_one_user_changes_a_wheel_for_all_and_the_fix_heals_it(
    open_folder: Path,
    index: Index,
    cacheadmin: Cacheadmin,
    three_users: list[User],
    release: str,
) -> None:
    ana, ben, eve = three_users
    shared = SharedCache.create(open_folder, index, three_users)
    linked = {
        user: shared.environment("proj", release, "six==1.16.0", user=user) for user in (ana, ben)
    }
    hard = shared.environment("hard", release, "six==1.16.0", user=ana, link_mode="hardlink")
    copied = shared.environment("copied", release, "six==1.16.0", user=eve, link_mode="copy")
    policy = cacheadmin.policy(
        shared.path,
        f"venvs:\n  include: ['{shared.homes}/*/*']\nprune:\n  builds:\n    after: 0d\n",
    )
    assert findings_of(cacheadmin, policy, code=0) == []
    assert cacheadmin("-q", "verify", policy, code=0).stdout == ""

    # As in the story: ben tries something in what he takes for his own copy.
    subprocess.run(
        ["sh", "-c", f"echo 'EVIL = True' >> {module_of(linked[ben])}"],
        check=True,
        **ben.process_arguments(),
    )
    assert [is_evil(one) for one in (linked[ana], linked[ben], hard, copied)] == [
        True,
        True,
        True,
        False,
    ]
    (finding,) = findings_of(cacheadmin, policy, code=8)
    (archive,) = {path.parent for path in shared.path.glob("archive-v0/*/six.py")}
    assert (finding["rule"], finding["severity"]) == ("file-changed", "error")
    assert (finding["subject"], finding["count"]) == (str(archive), 1)
    detail = finding["detail"]
    assert "six.py (34561 bytes, not 34549)" in detail
    assert f"who may write to it: root, uid {ana.uid}, group" in detail
    link_words, hard_words = (
        next(part for part in detail.split("; ") if part.startswith(words))
        for words in ("environments that link to it", "environments that share its files")
    )
    assert str(linked[ana]) in link_words
    assert str(linked[ben]) in link_words
    assert str(hard) in hard_words
    assert f"{copied} " in next(part for part in detail.split("; ") if "copy or clone" in part)

    removal, install = commands_of(finding["fix"])
    subprocess.run(["sh", "-c", removal], check=True, **ana.process_arguments())
    for environment, user in ((linked[ana], ana), (linked[ben], ben), (hard, ana)):
        mode = "hardlink" if environment == hard else "symlink"
        words = install.split()[1:]
        words[words.index("ENVIRONMENT")] = str(environment / "bin" / "python")
        shared.uv(release, *words, user=user, link_mode=mode)
    assert not any(is_evil(one) for one in (linked[ana], linked[ben], hard, copied))
    new = shared.environment("new", release, "six==1.16.0", user=eve)
    assert not is_evil(new)
    # Nobody has the changed one any more, and no release finds it again.
    (finding,) = findings_of(cacheadmin, policy, code=8)
    assert finding["subject"] == str(archive)
    assert "no known environment links to it" in finding["detail"]
    assert finding["fix"].startswith("nothing known has it any more: `cacheadmin prune`")
    document = cacheadmin("explain", policy, archive, "--format", "json", code=0).json
    assert [one["path"] for one in document["entries"]] == [f"archive-v0/{archive.name}"]
    assert document["environments"] == []


@pytest.mark.root
def test_who_replaces_a_file_is_named(
    open_folder: Path, index: Index, cacheadmin: Cacheadmin, three_users: list[User]
) -> None:
    ana, ben, _ = three_users
    shared = SharedCache.create(open_folder, index, three_users)
    environment = shared.environment("proj", NEWEST, "six==1.16.0", user=ana)
    policy = cacheadmin.policy(shared.path, f"venvs:\n  include: ['{shared.homes}/*/*']\n")
    module = module_of(environment).resolve()
    script = f"cp {module} {module}.new && echo 'EVIL = True' >> {module}.new"
    command = ["sh", "-c", f"{script} && mv -f {module}.new {module}"]
    subprocess.run(command, check=True, **ben.process_arguments())
    (finding,) = findings_of(cacheadmin, policy, code=8)
    assert f"it belongs to uid {ben.uid}, the archive to uid {ana.uid}" in finding["detail"]


def test_what_lies_in_an_archive_is_installed_listed_or_not(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    shared.environment("a", NEWEST, "six==1.16.0")
    (archive,) = {path.parent for path in shared.path.glob("archive-v0/*/six.py")}
    (archive / "evil.pth").write_text("import sys; sys.evil = True\n")
    policy = cacheadmin.policy(shared.path)
    (finding,) = findings_of(cacheadmin, policy, code=8)
    assert (finding["rule"], finding["severity"]) == ("file-extra", "error")
    environment = shared.environment("b", NEWEST, "six==1.16.0")
    assert module_of(environment, "evil.pth").exists()


def test_cached_environments_are_checked_and_made_anew(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    policy = cacheadmin.policy(shared.path)
    for mode in ("symlink", "hardlink"):
        shared.uv(NEWEST, "tool", "run", "cowsay", "-t", "hello", link_mode=mode)
    (environment,) = {path.parent for path in shared.path.glob("archive-v0/*/pyvenv.cfg")}
    # As a run of the tool leaves it, with what Python compiled.
    command = [environment / "bin" / "python", "-c", "import cowsay.main"]
    subprocess.run(command, check=True, env={})
    document = cacheadmin("verify", policy, "--format", "json", code=0).json
    assert [(one["rule"], one["severity"]) for one in document["findings"]] == [
        ("file-extra", "info")
    ]
    assert document["checked"]["archives"] == 2

    script = environment / "bin" / "cowsay"
    script.write_text(script.read_text() + "\nprint('EVIL')\n")
    (module,) = environment.glob("lib/python*/site-packages/cowsay/main.py")
    module.unlink()
    module.symlink_to("/etc/passwd")
    found = {one["rule"]: one for one in findings_of(cacheadmin, policy, code=8)}
    assert {"file-changed", "link-in-archive"} <= found.keys()
    assert "bin/cowsay" in found["file-changed"]["detail"]
    assert "leads to /etc/passwd" in found["link-in-archive"]["detail"]
    removal = found["file-changed"]["fix"].split("; ")[0]
    assert removal.startswith("rm -- ")
    subprocess.run(["sh", "-c", removal], check=True)
    again = shared.uv(NEWEST, "tool", "run", "cowsay", "-t", "hello")
    assert "hello" in again.stdout
    assert "EVIL" not in again.stdout


def test_links_of_a_cached_environment_lead_where_uv_led_them(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    shared.uv(NEWEST, "tool", "run", "cowsay", "-t", "hello")
    (environment,) = {path.parent for path in shared.path.glob("archive-v0/*/pyvenv.cfg")}
    policy = cacheadmin.policy(shared.path)
    assert findings_of(cacheadmin, policy, code=0) == []
    (package,) = environment.glob("lib/python*/site-packages/cowsay")
    main, other = package / "main.py", package / "__main__.py"
    wheel = main.readlink().parent
    main.unlink()
    main.symlink_to(other.readlink())
    (wheel / "__main__.py").rename(shared.path / "kept")
    found = {(one["rule"], one["subject"]): one for one in findings_of(cacheadmin, policy, code=8)}
    assert "main.py (leads to another file" in found["link-in-archive", str(environment)]["detail"]
    assert "which is gone" in found["file-missing", str(environment)]["detail"]
    assert "__main__.py (not there)" in found["file-missing", str(wheel.parent)]["detail"]
