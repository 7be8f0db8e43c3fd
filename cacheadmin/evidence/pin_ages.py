"""How old pins surely are, by the kernel's clocks, as every prune records. Pure.

A pin's file tells when it was made by the calendar, and its author could write
anything there. What counts for its end is for how long hosts have seen it,
added up over boots (`evidence.idleness`). A lost record begins again: the pin
then keeps for longer. Only pins that can expire have one.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from cacheadmin.evidence.idleness import dumps, loads, observed
from cacheadmin.text.percent import percent_encoded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cacheadmin.evidence.facts import Pin
    from cacheadmin.evidence.idleness import HostTime


def with_known_ages(
    pins: Iterable[Pin], records: Mapping[str, str], now: HostTime
) -> tuple[Pin, ...]:
    """Return the pins with how old (ns) they surely are; 0 for one never recorded."""
    return tuple(replace(pin, known_age_ns=_age_ns(records.get(pin_key(pin)), now)) for pin in pins)


def age_records(pins: Iterable[Pin], records: Mapping[str, str], now: HostTime) -> dict[str, str]:
    """Return the records to keep after a look at ``now``: those of pins that are still there."""
    return {
        pin_key(pin): dumps(observed(loads(records.get(pin_key(pin), "")), now, used=False))
        for pin in pins
        if pin.expires_ns is not None
    }


def pin_key(pin: Pin) -> str:
    """Return what tells a pin from all others, also from a later one in a file of its name."""
    file = percent_encoded(os.fsencode(pin.file))
    return f"{pin.uid}:{pin.created_ns}:{pin.expires_ns}:{file}"


def _age_ns(record: str | None, now: HostTime) -> int:
    found = loads(record) if record is not None else None
    return 0 if found is None else observed(found, now, used=False).idle_ns
