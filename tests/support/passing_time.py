"""Weeks that pass for what is on trial, in the record of a real cache."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from cacheadmin.text.timestamps import NANOSECONDS

_DAY_NS = 86_400 * NANOSECONDS


def let_days_pass(cache: Path, days: int, machine: Literal["ran", "slept", "was off"]) -> None:
    """Write the record of trials as if the last look had been taken so many days ago.

    Meanwhile the machine ran, was suspended, or was switched off, and has booted since.
    """
    ledger = cache / "archive-v0" / "cacheadmin.trial" / ".ledger.json"
    document = json.loads(ledger.read_text())
    passed_ns = days * _DAY_NS
    document["looked_ns"] -= passed_ns
    document["absent"] = {place: at - passed_ns for place, at in document["absent"].items()}
    if document["absent_since_ns"] is not None:
        document["absent_since_ns"] -= passed_ns
    for trial in document["trials"]:
        trial["since_ns"] -= passed_ns
        trial["until_ns"] -= passed_ns
    for spring in document["springs"]:
        spring["at_ns"] -= passed_ns
    for look in document["looks"].values():
        look["at_ns"] -= passed_ns
        if machine == "was off":
            look["boot"] = "an earlier boot"
        else:
            look["uptime_ns"] -= passed_ns
        if machine == "ran":
            look["running_ns"] -= passed_ns
    ledger.write_text(json.dumps(document))
