"""`notify`: mail, webhook and chat get one message a cause and day, and secrets stay secret."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cacheadmin.operations.delivery import Destination, send
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.message_servers import SECRET, MailServer, Webhook, mail_server, webhook
from tests.support.trial_sites import ENTRY, lay_out, opened_site
from tests.support.users import User
from tests.support.uv_releases import REPOSITORY


@pytest.fixture
def cache(open_folder: Path) -> Path:
    """A cache with one archive that nothing refers to, laid out by hand."""
    cache = open_folder / "cache"
    information = cache / "archive-v0" / "AbCdEfGhIjKlMnOpQrStU" / "old-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Name: old\nVersion: 1.0\n", encoding="utf-8")
    (cache / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55")
    (cache / ".gitignore").write_text("*", encoding="utf-8")
    cache.chmod(0o755)
    return cache


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as hook:
        yield hook


@pytest.fixture
def mails() -> Iterator[MailServer]:
    with mail_server() as mails:
        yield mails


def telling(cacheadmin: Cacheadmin, cache: Path, *urls: str) -> Path:
    """Write a policy that nobody else can read, with these URLs."""
    policy = cacheadmin.policy(cache, f"notify: {{urls: {json.dumps(urls)}}}\n", "ml-team")
    policy.chmod(0o600)
    return policy


@pytest.fixture
def refusing(cache: Path) -> Path:
    """The same cache, whose prunes are refused: its quarantine is a link."""
    cache.with_name("cache.cacheadmin").symlink_to(cache.parent)
    return cache


def test_a_refusal_is_told_by_mail_and_webhook_once_a_day(
    cacheadmin: Cacheadmin, refusing: Path, hook: Webhook, mails: MailServer
) -> None:
    policy = telling(cacheadmin, refusing, hook.url, mails.url)
    first = cacheadmin("-q", "prune", policy, code=5)
    again = cacheadmin("-q", "prune", policy, code=5)
    assert first.stderr == again.stderr
    assert len(hook.messages) == len(mails.messages) == 1
    (message,) = hook.messages
    assert message["title"] == "cacheadmin: prune of ml-team was refused"
    reason = first.stderr.splitlines()[0].removeprefix("cacheadmin: refused: ")
    assert reason in message["message"]
    assert f"see: cacheadmin preflight {policy}" in message["message"]
    assert f"cache: {refusing}" in message["message"]
    headers, text = mails.messages[0]
    assert headers["Subject"] == message["title"]
    assert text.split() == message["message"].split()
    # Losing the state sends once more.
    state = cacheadmin.folder / "state" / "ml-team.sqlite"
    state.unlink()
    cacheadmin("-q", "prune", policy, code=5)
    assert len(hook.messages) == 2


def test_a_dry_run_and_a_prune_without_trouble_tell_nobody(
    cacheadmin: Cacheadmin, cache: Path, hook: Webhook
) -> None:
    policy = telling(cacheadmin, cache, hook.url)
    cacheadmin("prune", "-n", policy, code=0)
    assert cacheadmin("-q", "prune", policy, code=0).stderr == ""
    assert hook.messages == []


def test_only_what_the_policy_names_is_told(
    cacheadmin: Cacheadmin, refusing: Path, hook: Webhook
) -> None:
    policy = telling(cacheadmin, refusing)
    text = policy.read_text().replace("urls: []", f"about: [sprung], urls: ['{hook.url}']")
    policy.write_text(text)
    cacheadmin("prune", policy, code=5)
    assert hook.messages == []


def test_a_notifier_that_fails_is_a_warning_and_the_next_run_tries_again(
    cacheadmin: Cacheadmin, refusing: Path, hook: Webhook
) -> None:
    policy = telling(cacheadmin, refusing, hook.url, "json://127.0.0.1:1/")
    hook.answer = 503
    failed = cacheadmin("-q", "prune", policy, code=5)
    warnings = [line for line in failed.stderr.splitlines() if "warning" in line]
    assert warnings == [
        "cacheadmin: warning: no notification by json:// (notify.urls[0]): "
        "the server answered with 503",
        "cacheadmin: warning: no notification by json:// (notify.urls[1]): "
        "the server can't be reached, or closed the connection",
    ]
    hook.answer = 200
    cacheadmin("-q", "prune", policy, code=5)
    assert len(hook.messages) == 1
    # One of the two took it: that is what is remembered.
    cacheadmin("-q", "prune", policy, code=5)
    assert len(hook.messages) == 1


# apprise warns of what it imports itself.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_server_that_hangs_holds_nobody_up(hook: Webhook) -> None:
    hook.hangs = True
    begun = time.monotonic()
    assert send([Destination(hook.url, "notify.urls[0]")], "a", "b", 1.0) == [
        "no answer within 1 s"
    ]
    assert time.monotonic() - begun < 20


def test_what_came_back_from_trial_is_told_with_its_name(
    cacheadmin: Cacheadmin, open_folder: Path, hook: Webhook
) -> None:
    folder = open_folder / "site"
    lay_out(folder)
    policy = telling(cacheadmin, folder / "cache", hook.url)
    with opened_site(folder) as site:
        site.put_on_trial()
        site.use()
    cacheadmin("-q", "prune", policy, code=0)
    (message,) = hook.messages
    assert message["title"].startswith("cacheadmin: 1 entry of ml-team came back from trial")
    assert f"{ENTRY}: sprung" in message["message"]
    # Another day, nothing new: that it was told is remembered, not only when.
    state = cacheadmin.folder / "state" / "ml-team.sqlite"
    _make_yesterday_of(state)
    cacheadmin("-q", "prune", policy, code=0)
    assert len(hook.messages) == 1
    with opened_site(folder) as site:
        site.put_on_trial()
        site.use()
    cacheadmin("-q", "prune", policy, code=0)
    assert len(hook.messages) == 2


def _make_yesterday_of(state: Path) -> None:
    """Let what was told have been told two days ago."""
    with sqlite3.connect(state) as connection:
        ((record,),) = connection.execute("SELECT record FROM notification").fetchall()
        told_ns, until_ns, also = json.loads(record)
        earlier = json.dumps([told_ns - 2 * 86_400 * 10**9, until_ns, also])
        connection.execute("UPDATE notification SET record = ?", (earlier,))


def test_errors_of_an_audit_and_overdue_runs_are_told_apart(
    cacheadmin: Cacheadmin, cache: Path, hook: Webhook
) -> None:
    policy = telling(cacheadmin, cache, hook.url)
    run = cacheadmin("prune", policy, "--format", "json", code=0).json["run_id"]
    quarantine = cache.with_name("cache.cacheadmin") / "quarantine"
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() - 20 * 86_400))
    (quarantine / run).rename(quarantine / f"{moment}-0a1b2c")
    cache.chmod(0o777)
    # Who tries one rule gets no message.
    cacheadmin("-q", "audit", policy, "--rule", "world-writable", code=8)
    assert hook.messages == []
    cacheadmin("-q", "audit", policy, code=8)
    cacheadmin("-q", "audit", policy, code=8)
    overdue, errors = hook.messages
    assert overdue["title"] == "cacheadmin: pruning ml-team is overdue"
    assert "1 run of up to 20 d ago" in overdue["message"]
    assert re.match(r"cacheadmin: the audit of ml-team has \d+ errors?$", errors["title"])
    assert "world-writable: " in errors["message"]
    assert "quarantine-overdue" not in errors["message"]


def test_without_apprise_there_is_one_clear_line_and_the_command_does_its_work(
    cacheadmin: Cacheadmin, cache: Path, tmp_path: Path
) -> None:
    policy = telling(cacheadmin, cache, f"json://:{SECRET}@127.0.0.1:1")
    # As if it were not installed.
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['apprise'] = None\n")
    without = {"PYTHONPATH": f"{tmp_path}:{REPOSITORY}"}
    line = (
        "cacheadmin: warning: the policy has notify, and apprise is not installed: "
        "pip install 'cacheadmin[notify]', or take notify out\n"
    )
    assert cacheadmin("-q", "prune", policy, code=0, environment=without).stderr == line


def test_no_secret_is_ever_shown(cacheadmin: Cacheadmin, cache: Path, hook: Webhook) -> None:
    policy = telling(cacheadmin, cache, hook.url, f"nosuch://{SECRET}")
    cache.chmod(0o777)
    hook.answer = 500
    said = [
        cacheadmin("policy", "show", policy, code=0),
        cacheadmin("policy", "show", policy, "--format", "json", code=0),
        cacheadmin("policy", "check", policy, code=0),
        cacheadmin("-v", "audit", policy, code=8),
        cacheadmin("policy", "notify", policy, code=7),
    ]
    good = policy.read_text()
    for wrong in (
        f"notify: {{urls: {hook.url}}}",
        f"notify: {hook.url}",
        f"notify: [{hook.url}]",
        f"notify: {{urls: [{SECRET}]}}",
        f"notify: {{urls: ['{hook.url} {SECRET}']}}",
        f"notify: {{'{hook.url}': 1}}",
    ):
        policy.write_text(re.sub("notify: .*", wrong, good))
        said.append(cacheadmin("-v", "policy", "check", policy, code=78))
    for result in said:
        assert SECRET not in result.stdout + result.stderr
    assert '"json://***"' in said[0].stdout
    assert "nosuch:// (notify.urls[1]): apprise knows no such URL" in said[2].stderr
    told = cacheadmin.folder / "state" / "ml-team.sqlite"
    assert not told.exists() or SECRET.encode() not in told.read_bytes()


def test_a_policy_with_urls_must_be_closed_to_others(
    cacheadmin: Cacheadmin, cache: Path, hook: Webhook
) -> None:
    policy = telling(cacheadmin, cache, hook.url)
    policy.chmod(0o644)
    result = cacheadmin("preflight", policy, code=78)
    assert re.search(r"ml-team\.yaml:\d+:\d+: notify\.urls: others can read", result.stderr)
    assert "notify.file" in result.stderr
    policy.chmod(0o640)
    cacheadmin("policy", "check", policy, code=0)


def test_urls_may_stand_in_a_file_that_only_root_reads(
    cacheadmin: Cacheadmin, refusing: Path, hook: Webhook
) -> None:
    file = cacheadmin.folder / "urls"
    file.write_text(f"# our chat\n\n{hook.url}\n")
    file.chmod(0o600)
    policy = cacheadmin.policy(refusing, f"notify: {{file: {file}}}\n", "ml-team")
    cacheadmin("-q", "prune", policy, code=5)
    assert len(hook.messages) == 1
    sent = cacheadmin("policy", "notify", policy, code=0)
    assert sent.stderr == "cacheadmin: 1 of 1 URL took the message\n"
    assert hook.messages[1]["title"] == "cacheadmin: a message about ml-team"
    file.chmod(0o644)
    open_file = cacheadmin("policy", "check", policy, code=0)
    assert f"the file of URLs {file} can be read by others (mode 0644)" in open_file.stderr
    file.unlink()
    missing = cacheadmin("-q", "prune", policy, code=5)
    assert f"warning: no notification: no such file of URLs: {file}" in missing.stderr


@pytest.mark.root
def test_a_user_of_the_sites_policy_is_not_told_about_its_secrets(
    cacheadmin: Cacheadmin, refusing: Path, hook: Webhook, three_users: list[User]
) -> None:
    file = cacheadmin.folder / "urls"
    file.write_text(f"{hook.url}\n")
    file.chmod(0o600)
    policy = cacheadmin.policy(refusing, f"notify: {{file: {file}}}\n", "ml-team")
    result = cacheadmin("audit", policy, "--fail-on", "never", user=three_users[0])
    assert "notif" not in result.stderr
    assert str(file) not in result.stderr


def test_without_a_notifier_there_is_nothing_to_try(cacheadmin: Cacheadmin, cache: Path) -> None:
    policy = cacheadmin.policy(cache)
    result = cacheadmin("policy", "notify", policy, code=2)
    assert "neither notify.urls nor notify.file" in result.stderr
