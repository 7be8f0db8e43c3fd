"""The table of reasons: every reason is used, and no rule text stands outside of it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import cacheadmin
from cacheadmin.planner import reasons
from cacheadmin.planner.marks import Use
from cacheadmin.planner.reasons import REASONS, Reason
from cacheadmin.planner.users import (
    AccountUser,
    EntryUser,
    EnvironmentUser,
    FileUser,
    HiddenUser,
    HostUser,
    OtherUser,
    PinUser,
    ProcessUser,
    RegisteredUser,
    User,
)
from cacheadmin.planner.words import describe_finding, describe_user, to_let_go

PACKAGE = Path(cacheadmin.__file__).parent


def sources() -> dict[Path, str]:
    paths = [*(PACKAGE / "planner").rglob("*.py"), *(PACKAGE / "evict").rglob("*.py")]
    return {path: path.read_text(encoding="utf-8") for path in paths if path.name != "reasons.py"}


def test_every_reason_is_given_by_some_rule() -> None:
    text = "\n".join(sources().values())
    for name, one in vars(reasons).items():
        if isinstance(one, Reason):
            assert re.search(rf"\b{name}\b", text), name


def test_no_id_of_a_reason_is_spelled_anywhere_else() -> None:
    # A typo in one of them would silently be another rule.
    for path, text in sources().items():
        spelled = {
            node.value
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert spelled.isdisjoint(REASONS), path


def test_each_is_a_sentence_and_what_keeps_can_be_changed() -> None:
    for one in REASONS.values():
        assert re.fullmatch(r"[a-z]+\.[a-z_]+", one.id)
        assert one.means[0].isupper() or one.means.startswith(("prune.", "uv ", "`cacheadmin")), (
            one.id
        )
        assert one.means.endswith("."), one.id
        assert bool(one.change) == one.keeps, one.id


def test_a_user_with_braces_is_named_as_written() -> None:
    use = Use(reasons.ARCHIVE_LINKED, EnvironmentUser("/home/ana/{who}/{0}", "ana"))
    assert to_let_go(use).startswith("/home/ana/{who}/{0} (ana) would have to go")


def test_an_account_that_is_called_policy_or_cache_is_an_account() -> None:
    for name in ("policy", "cache"):
        use = Use(reasons.BUCKET_NEEDED, AccountUser(name), "uses uv 0.5.10")
        assert to_let_go(use).startswith(f"{name} would have to use another release")
    assert "uv.keep" in to_let_go(Use(reasons.BUCKET_NEEDED, OtherUser.POLICY, "names it"))


@pytest.mark.parametrize(
    ("user", "words"),
    [
        (EnvironmentUser("/home/ana/proj (copy)", "ana"), "/home/ana/proj (copy) (ana)"),
        (RegisteredUser("/c/environments-v2/a", ("include",)), "/c/environments-v2/a (include)"),
        (ProcessUser(7, "ana", "uv pip list"), "process 7 of ana: uv pip list"),
        (ProcessUser(7, "ana"), "process 7 of ana"),
        (PinUser("ana"), "pin of ana"),
        (AccountUser("ana"), "ana"),
        (FileUser("/etc/crontab", "root"), "/etc/crontab (root)"),
        (HostUser("/home/ana/.venv", "node3"), "/home/ana/.venv on host node3"),
        (EntryUser("wheels-v5"), "wheels-v5"),
        (HiddenUser("/home/eve"), "/home/eve"),
        (OtherUser.TRIPWIRE, "a user whom no source knows"),
    ],
)
def test_each_sort_of_user_has_its_words(user: User, words: str) -> None:
    assert describe_user(user) == words


def test_what_people_read_makes_no_two_users_one() -> None:
    alike = [AccountUser("wheels-v5"), EntryUser("wheels-v5"), HiddenUser("wheels-v5")]
    assert len({describe_user(user) for user in alike}) == 1
    assert len(set(alike)) == 3


def test_a_detail_with_braces_stands_in_the_sentence_as_written() -> None:
    found = describe_finding(reasons.STRAY_UNKNOWN, AccountUser("ana"), "{who}{detail}")
    assert found.startswith("{who}{detail}: ")
    user = HiddenUser("/home/{detail}/{user.place}")
    assert describe_finding(reasons.ARCHIVE_UNSEEN, user, "x").startswith(f"{user.place} could not")
