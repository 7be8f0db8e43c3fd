"""Pins and leases: what users asked to be kept."""

from __future__ import annotations

import os

from cacheadmin.evidence.look import Facts, Look
from cacheadmin.evidence.pins import read_pins


class Pins:
    """Pins of the administrators, and leases in the registry."""

    id = "pin"

    def collect(self, look: Look) -> Facts:
        """Return every pin; the age of none is known here (``evidence.pin_ages``)."""
        trusted = frozenset({0, os.geteuid(), os.fstat(look.cache.fd).st_uid})
        policy = look.policy
        pins, unseen = read_pins(
            look.cache.identity,
            policy.venvs.registry,
            policy.aliases,
            trusted,
            readers=look.readers,
            deadline_seconds=look.deadline_seconds,
        )
        return Facts(pins=pins, unseen=unseen)

    def changed(self, look: Look, before: Facts) -> Facts:
        """Return the pins that have come since."""
        now = self.collect(look)
        return Facts(
            pins=tuple(pin for pin in now.pins if pin not in before.pins),
            unseen=tuple(one for one in now.unseen if one not in before.unseen),
        )
