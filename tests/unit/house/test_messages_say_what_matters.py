"""What people get a message about, and when it is due again."""

from __future__ import annotations

import pytest

from cacheadmin.errors import RolledBack
from cacheadmin.operations.account import Account
from cacheadmin.operations.notices import (
    Notice,
    message_of,
    notices_of_end,
    notices_of_findings,
    notices_of_uses,
)
from cacheadmin.policy.loaded import LoadedPolicy
from cacheadmin.policy.parser import parse_policy
from cacheadmin.state.notifications import Told
from cacheadmin.trial.ledger import Spring

DAY_NS = 86_400 * 10**9
NOON_NS = 20_000 * DAY_NS + DAY_NS // 2


@pytest.fixture
def loaded() -> LoadedPolicy:
    text = "version: 1\nname: ml\ncache: /srv/uv\ncontact: ops@site.test\n"
    return parse_policy(text.encode(), "/etc/cacheadmin/policies.d/ml.yaml")


def ended(loaded: LoadedPolicy, command: str) -> list[Notice]:
    account = Account(command, "ml")
    account.loaded = loaded
    account.end(RolledBack("2 links led nowhere", details=("/home/ana/.venv/lib/six.py",)))
    return list(notices_of_end(account))


def test_a_prune_that_was_undone_is_told_with_what_broke(loaded: LoadedPolicy) -> None:
    (notice,) = ended(loaded, "prune")
    assert notice.cause == "rolled_back"
    title, text = message_of(notice, loaded)
    assert title == "cacheadmin: prune of ml was undone: links led nowhere after it"
    lines = text.splitlines()
    assert lines[:2] == ["2 links led nowhere", "/home/ana/.venv/lib/six.py"]
    assert "contact: ops@site.test" in lines
    assert lines[-1] == "see: cacheadmin runs list /etc/cacheadmin/policies.d/ml.yaml"


def test_what_a_person_did_by_hand_is_told_to_nobody(loaded: LoadedPolicy) -> None:
    assert ended(loaded, "pin add") == []


def test_a_message_is_bounded_and_holds_nothing_that_moves_a_cursor(loaded: LoadedPolicy) -> None:
    lines = ("a\x1b[2Jb\nc", "x" * 10_000, *(f"line {n}" for n in range(500)), "\udcff")
    title, text = message_of(Notice("refused", "t\r\nBcc: x", lines, "\udcff", Told(0)), loaded)
    assert "\x1b" not in text
    assert "\r" not in title
    assert "\n" not in title
    assert len(text.splitlines()) < 20
    assert max(map(len, text.splitlines())) <= 300
    assert "and 493 more" in text
    text.encode()


def use(at_ns: int, entry: str = "archive-v0/a") -> Spring:
    return Spring(entry, "run", at_ns, "sprung", ("python of ana",))


def test_each_use_is_told_once_however_late_it_is_noticed(loaded: LoadedPolicy) -> None:
    uses = [use(100), use(250, "archive-v0/b")]
    # The look was at 200: the second one came while the run was at work.
    (first,) = notices_of_uses(loaded, uses, 200, {}, 300)
    assert "2 entries" in first.title
    assert first.lines[0] == "archive-v0/a: sprung, perhaps by python of ana"
    told = {"sprung": first.told}
    assert list(notices_of_uses(loaded, uses, 400, told, 400)) == []
    # Used before the end of that run, and noticed by the next.
    late = use(220, "archive-v0/c")
    (second,) = notices_of_uses(loaded, [*uses, late], 400, told, 400)
    assert second.lines == ("archive-v0/c: sprung, perhaps by python of ana",)
    # A reader that looked at nothing itself takes nothing for seen.
    (third,) = notices_of_uses(loaded, [*uses, late], 0, told, 400)
    assert third.told.until_ns == 200


def test_no_findings_are_no_message(loaded: LoadedPolicy) -> None:
    assert list(notices_of_findings(loaded, (), NOON_NS)) == []


@pytest.mark.parametrize(
    ("later_ns", "same_day"),
    [(0, True), (DAY_NS // 2 - 1, True), (DAY_NS // 2, False), (-DAY_NS, False)],
)
def test_a_day_is_a_day_of_the_calendar(later_ns: int, same_day: bool) -> None:
    assert Told(NOON_NS).is_of_the_day_of(NOON_NS + later_ns) is same_day
