"""A policy that was checked is recalled by its content, and never from where others can write."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cacheadmin.errors import PolicyInvalid
from cacheadmin.policy.loaded import LoadedPolicy
from cacheadmin.policy.loader import load_policy, read_policy
from cacheadmin.policy.recalled import Recalled
from cacheadmin.rights.acting import act_as
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.uv_releases import REPOSITORY

_PROPERTIES = {"is_set", "lasts", "is_alone", "of_readers", "rules"}

_LONG = """version: 1
name: long
cache: /srv/uv
description: 'colons: and "quotes"'
teams: {ml: {users: [ana], paths: [/srv/ml/*]}}
aliases: [/mnt/uv]
venvs:
  include: [/srv/*/venv]
  discover: [{root: /home, depth: 4, exclude: [node_modules]}]
  keep_missing: 30d
uv: {keep: [0.5.10, 0.8.19]}
prune:
  environments: never
  trial: {for: 40d}
  budget: {max_size: 200GiB, min_free: 12.5%}
  keep: ['six>=1.16', 'torch*']
  limits: {bytes: 5GB}
lock: {timeout: 90s, busy: skip}
hosts: {expect: ['node[001-003]'], only: this}
log: {trail: off, system: syslog}
notify: {file: /etc/cacheadmin/urls, about: [sprung]}
"""


def _write(folder: Path, text: str, name: str = "p") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(f"{text}state: sqlite:///{folder}/state/state.db\n")
    path.chmod(0o644)
    return path


def _recalled(path: Path) -> bool:
    loaded = load_policy(str(path), recall=True)
    return isinstance(loaded.policy, Recalled)


def _values(section: Any) -> Iterator[tuple[str, Any]]:
    """Yield every value of a model's section, and what follows from them."""
    for name in (*type(section).model_fields, *_PROPERTIES):
        if hasattr(section, name):
            yield name, getattr(section, name)


def _assert_alike(model: Any, recalled: Any, where: str = "policy") -> None:
    if hasattr(type(model), "model_fields"):
        for name, value in _values(model):
            _assert_alike(value, getattr(recalled, name), f"{where}.{name}")
    elif isinstance(model, tuple):
        assert len(model) == len(recalled), where
        for one, other in zip(model, recalled, strict=True):
            _assert_alike(one, other, f"{where}[]")
    elif isinstance(model, dict):
        assert list(model) == list(recalled), where
        for key, one in model.items():
            _assert_alike(one, recalled[key], f"{where}.{key}")
    else:
        assert (type(model), model) == (type(recalled), recalled), where


def _examples() -> list[str]:
    found = sorted((REPOSITORY / "policies").glob("*.yaml"))
    return [_LONG, "version: 1\nname: short\ncache: /srv/uv\n", *(p.read_text() for p in found)]


@pytest.mark.parametrize("number", range(len(_examples())))
def test_what_is_recalled_is_what_was_checked(tmp_path: Path, number: int) -> None:
    lines = _examples()[number].splitlines(keepends=True)
    path = _write(tmp_path, "".join(line for line in lines if not line.startswith("state:")))
    checked = load_policy(str(path), recall=True)
    again = load_policy(str(path), recall=True)
    assert not isinstance(checked.policy, Recalled)
    if checked.policy.audit.rules or checked.policy.audit.suppress or checked.policy.run_as:
        assert not isinstance(again.policy, Recalled)
        return
    assert isinstance(again.policy, Recalled)
    _assert_alike(checked.policy, again.policy)
    for name in ("path", "origins", "positions"):
        assert getattr(again, name) == getattr(checked, name)
    with pytest.raises(AttributeError):
        again.policy.name = "other"


def test_another_content_counts_at_once_whatever_the_times_say(tmp_path: Path) -> None:
    path = _write(tmp_path, "version: 1\nname: one\ncache: /srv/uv\n")
    assert [_recalled(path), _recalled(path)] == [False, True]
    before = path.stat()
    with path.open("r+") as file:
        file.write(path.read_text().replace("one", "two"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    loaded = load_policy(str(path), recall=True)
    assert (loaded.policy.name, isinstance(loaded.policy, Recalled)) == ("two", False)
    path.write_text("version: 1\nname: [\n")
    with pytest.raises(PolicyInvalid):
        load_policy(str(path), recall=True)


def _only_file(folder: Path) -> Path:
    (found,) = (folder / "state" / "policies").iterdir()
    return found


def test_what_others_could_have_written_is_not_recalled(tmp_path: Path) -> None:
    path = _write(tmp_path, "version: 1\nname: one\ncache: /srv/uv\n")
    load_policy(str(path), recall=True)
    file = _only_file(tmp_path)
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert _recalled(path)
    file.parent.chmod(0o770)
    assert not _recalled(path)
    file.parent.chmod(0o700)
    # What could not be trusted was replaced by what was checked.
    assert _recalled(path)
    file.chmod(0o666)
    assert not _recalled(path)
    if os.geteuid() == 0:
        os.chown(file, 12345, -1)
        assert not _recalled(path)
    content = file.read_bytes()
    file.unlink()
    (tmp_path / "elsewhere").write_bytes(content)
    file.symlink_to(tmp_path / "elsewhere")
    assert not _recalled(path)


def test_damage_and_what_belongs_to_another_policy_is_not_recalled(tmp_path: Path) -> None:
    path = _write(tmp_path, "version: 1\nname: one\ncache: /srv/uv\n")
    load_policy(str(path), recall=True)
    file = _only_file(tmp_path)
    whole = file.read_bytes()
    for position in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[position] ^= 0x20
        file.write_bytes(damaged)
        assert load_policy(str(path), recall=True).policy.name == "one"
        file.write_bytes(whole[:position])
        assert load_policy(str(path), recall=True).policy.name == "one"
    other = _write(tmp_path, "version: 1\nname: other\ncache: /srv/uv\n", "other")
    load_policy(str(other), recall=True)
    (theirs,) = {*file.parent.iterdir()} - {file}
    theirs.write_bytes(file.read_bytes())
    assert load_policy(str(other), recall=True).policy.name == "other"


def test_secrets_are_written_nowhere(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        "version: 1\nname: one\ncache: /srv/uv\nnotify: {urls: ['json://user:geheim@host/']}\n",
    )
    path.chmod(0o600)
    for _ in range(2):
        loaded = load_policy(str(path), recall=True)
        assert loaded.policy.notify.urls[0].get_secret_value() == "json://user:geheim@host/"
    written = [one.read_bytes() for one in tmp_path.rglob("*") if one.is_file() and one != path]
    assert not any(b"geheim" in content for content in written)


def test_a_policy_accepted_in_spite_of_its_rights_is_checked_each_time(tmp_path: Path) -> None:
    path = _write(tmp_path, "version: 1\nname: one\ncache: /srv/uv\n")
    path.chmod(0o666)
    for _ in range(2):
        loaded = load_policy(str(path), insecure=True, recall=True)
        assert not isinstance(loaded.policy, Recalled)
    with pytest.raises(PolicyInvalid):
        load_policy(str(path), recall=True)
    path.chmod(0o644)
    load_policy(str(path), recall=True)
    path.chmod(0o666)
    with pytest.raises(PolicyInvalid):
        load_policy(str(path), recall=True)


@pytest.mark.root
def test_root_that_acts_as_an_account_recalls_nothing_that_is_that_accounts(tmp_path: Path) -> None:
    own = _write(tmp_path, "version: 1\nname: own\ncache: /srv/uv\nrun_as: nobody\n", "own")
    path = _write(tmp_path, "version: 1\nname: one\ncache: /srv/uv\n")
    assert [_recalled(path), _recalled(path)] == [False, True]
    try:
        load_policy(str(own), recall=True)
        assert os.geteuid() != 0
        assert not isinstance(read_policy(str(path), recall=True).policy, Recalled)
    finally:
        act_as(None)
    assert os.geteuid() == 0


def test_the_own_cache_without_a_policy_is_recalled_for_that_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "cacheadmin.policy.compiled_policies.default_url",
        lambda: f"sqlite:///{tmp_path}/own/state.db",
    )
    seen: list[tuple[str, bool]] = []
    for name in ("a", "a", "b", "a"):
        monkeypatch.setenv("UV_CACHE_DIR", f"/srv/{name}")
        loaded: LoadedPolicy = load_policy(None, recall=True)
        assert loaded.path is None
        seen.append((loaded.policy.cache, isinstance(loaded.policy, Recalled)))
    assert seen == [("/srv/a", False), ("/srv/a", True), ("/srv/b", False), ("/srv/a", True)]


@pytest.mark.parametrize("words", [("preflight",), ("-q", "prune"), ("plan",), ("runs", "list")])
def test_a_plain_call_on_a_known_policy_imports_neither_typer_nor_pydantic(
    cacheadmin: Cacheadmin, tmp_path: Path, words: tuple[str, ...]
) -> None:
    cache = tmp_path / "cache"
    (cache / "archive-v0").mkdir(parents=True)
    (cache / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n")
    cacheadmin.home.mkdir(parents=True, exist_ok=True)
    home = cacheadmin.home
    policy = cacheadmin.policy(cache, f"venvs: {{discover: [{{root: '{home}'}}]}}\n")
    told = (
        "import sys; from cacheadmin.cli.app import run; run(sys.argv[1:]); "
        "print(sorted({'typer', 'pydantic', 'yaml', 'rich', 'sqlalchemy'} & set(sys.modules)))"
    )
    seen = []
    for _ in range(2):
        result = subprocess.run(
            [sys.executable, "-c", told, *words, str(policy)],
            env=cacheadmin.environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        seen.append(result.stdout.splitlines()[-1])
    assert "pydantic" in seen[0]
    assert seen[1] == "[]"


@pytest.mark.parametrize("how", ["a link in its place", "a folder that others can write"])
def test_nothing_is_written_where_others_could_lead_it_elsewhere(tmp_path: Path, how: str) -> None:
    """A member who may write beside the state would choose a folder of root's otherwise."""
    path = _write(tmp_path, "version: 1\nname: p\ncache: /srv/uv\n")
    state, elsewhere = tmp_path / "state", tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    state.mkdir(mode=0o755)
    if how == "a link in its place":
        (state / "policies").symlink_to(elsewhere)
    else:
        state.chmod(0o777)
    assert not _recalled(path)
    assert not _recalled(path)
    assert list(elsewhere.iterdir()) == []
    assert [found for found in state.rglob("*") if found.is_file()] == []
