"""A host knows its own observation, whatever other hosts call themselves."""

from __future__ import annotations

from dataclasses import replace

from cacheadmin.evidence.observations import Observation, Reach
from cacheadmin.evidence.this_host import ThisHost, this_host

HOUR = 3600 * 10**9
BOOTED = 1000 * HOUR
HERE = ThisHost("web1", "a" * 32, "this boot", BOOTED, BOOTED + 100 * HOUR)
OTHER = replace(HERE, machine="b" * 32, boot="its boot")
# Booted from the same image.
NODE = replace(HERE, boot="its boot", booted_ns=BOOTED - HOUR)


def told_by(host: ThisHost, at_ns: int, name: str = "web1") -> Observation:
    reach = Reach("/c", "nfs4", "srv:/c", "/c", (), False)
    one = Observation(name, host.boot, at_ns, 0, "1", reach, (), (), (), 0)
    return replace(one, machine=host.machine)


def test_what_was_told_in_this_boot_or_before_it_is_its_own() -> None:
    assert HERE.has_told(told_by(HERE, BOOTED + HOUR))
    assert HERE.has_told(told_by(replace(HERE, boot="the one before"), BOOTED - HOUR))
    # Its clock is not set yet: what it told yesterday lies in the future.
    unset = replace(HERE, boot="the next", booted_ns=0, now_ns=HOUR)
    assert unset.has_told(told_by(HERE, BOOTED))
    assert not HERE.has_told(told_by(HERE, BOOTED, "web2"))


def test_another_machine_of_that_name_is_none() -> None:
    for at_ns in (BOOTED - HOUR, BOOTED + HOUR):
        one = told_by(OTHER, at_ns)
        assert not HERE.has_told(one)
        assert HERE.is_called_like(one)
        assert HERE.name_among([one]) == "web1.aaaaaaaa"
    for name in ("web2", "web1.internal", "web1.example.org"):
        assert not HERE.is_called_like(told_by(OTHER, BOOTED, name))


def test_a_node_of_the_same_image_is_known_by_its_boot() -> None:
    first = told_by(HERE, BOOTED + HOUR)
    assert not NODE.has_told(first)
    second = told_by(NODE, BOOTED + HOUR, NODE.name_among([first]))
    assert second.host == "web1.aaaaaaaa"
    assert NODE.has_told(second)
    assert not HERE.has_told(second)
    assert HERE.is_called_like(second)
    third = replace(NODE, boot="a third")
    assert third.name_among([first, second]) == "web1.a third"


def test_each_keeps_its_name() -> None:
    known = [told_by(HERE, BOOTED + HOUR), told_by(OTHER, BOOTED + HOUR, "web1.bbbbbbbb")]
    assert HERE.name_among(known) == "web1"
    assert OTHER.name_among(known) == "web1.bbbbbbbb"
    # Restarted: what the other told lies before this boot, and is still not its own.
    later = replace(OTHER, boot="the next", booted_ns=BOOTED + 50 * HOUR)
    assert later.name_among(known) == "web1.bbbbbbbb"
    assert HERE.name_among([]) == "web1"


def test_this_host_has_told_what_it_tells() -> None:
    here = this_host()
    assert here.has_told(told_by(here, here.now_ns, here.name))
