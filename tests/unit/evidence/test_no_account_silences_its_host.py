"""What one account multiplies, or how it calls its folders, keeps no host from telling."""

from __future__ import annotations

import os
from dataclasses import replace

from cacheadmin.evidence.observations import ObservedGap, ObservedUse, Sight
from cacheadmin.evidence.release_trace import ReleaseTrace
from cacheadmin.hosts.documents import MOST_BYTES, decode, encode
from tests.support.fleets import observation

ANA, EVE = 1000, 1002
HERS = ObservedUse("/home/ana/proj/.venv", ANA, ("archive-v0/six", "archive-v0/idna"))
OF_ALL = ReleaseTrace(None, "0.13.8", None, "an installed uv", "/usr/bin/uv", 5, is_program=True)


def many(name: str, number: int) -> str:
    return f"/home/eve/{number}/" + name * 3000


NUMBERS = range(9000)


def test_what_is_too_much_is_told_together_and_loses_no_use() -> None:
    told = replace(
        observation(1, [], 0),
        uses=(
            HERS,
            *(
                ObservedUse(many("e", n), EVE, (f"archive-v0/{n}", "archive-v0/x"))
                for n in range(9000)
            ),
        ),
        gaps=(
            ObservedGap("homes.away", "/home/ana", "the home is away", ANA),
            *(
                ObservedGap("environments.away", many("g", n), many("g", n), EVE)
                for n in range(9000)
            ),
        ),
        releases=(
            OF_ALL,
            *(
                ReleaseTrace(EVE, f"0.5.{n % 3}", None, "made", many("r", n), n)
                for n in range(9000)
            ),
        ),
    )
    document = encode(told)
    assert len(document) < MOST_BYTES
    found = decode(document)
    assert [use for use in found.uses if use.uid == ANA] == [HERS]
    (together,) = (use for use in found.uses if use.uid == EVE)
    assert together.who == "9000 environments and programs"
    assert set(together.entries) == {"archive-v0/x", *(f"archive-v0/{n}" for n in range(9000))}
    assert [(gap.id, gap.uid) for gap in found.gaps] == [
        ("homes.away", ANA),
        ("environments.away", EVE),
    ]
    assert found.gaps[1].detail.endswith("; and 8999 more")
    assert OF_ALL in found.releases
    hers = {(one.version, one.seen_ns) for one in found.releases if one.uid == EVE}
    assert hers == {("0.5.0", 8997), ("0.5.1", 8998), ("0.5.2", 8999)}


def test_what_is_small_enough_is_told_as_it_is() -> None:
    odd = os.fsdecode(b"/home/eve/\xff\xfe%41 50% \xc3\xa9")
    told = replace(
        observation(1, ["archive-v0/a", "archive-v0/b%"], 3),
        uses=(HERS, ObservedUse(odd, EVE, (os.fsdecode(b"archive-v0/\x80"),))),
        releases=(OF_ALL,),
        gaps=(ObservedGap("homes.away", odd, f"{odd} is away", None),),
        sight=Sight(None, 7, True, None, None, ("archive-v0/x%25",)),
    )
    assert decode(encode(told)) == told
