"""What a soak found, as a page and as JSON; what counts as well is said here alone."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from tests.soak.administrators import Administrators, GuardOfSoak
from tests.soak.ending import LEAST_SHARE, Ending
from tests.soak.oracle import Oracle
from tests.soak.site import Site

#: Growth of the guard, and of a prune, that is noise (KiB).
_FLAT_KIB = 16 * 1024

_SETTLED_SECONDS = 30.0


def _growth(sizes: list[int]) -> int:
    third = len(sizes) // 3
    return max(0, max(sizes[-third:]) - max(sizes[:third])) if third else 0


@dataclass
class Figures:
    """All that is told of a soak."""

    site: Site
    oracle: Oracle
    administrators: Administrators
    guard: GuardOfSoak
    ending: Ending

    @property
    def guard_growth_kib(self) -> int:
        """How much larger the guard was late in its life than once it had settled."""
        sizes = [size for age, size in self.guard.sizes_kib if age > _SETTLED_SECONDS]
        return max(0, max(sizes) - min(sizes)) if sizes else 0

    @property
    def command_growth_kib(self) -> int:
        """How much larger the last third of a command's measured calls was than the first."""
        return max(map(_growth, self.administrators.sizes_kib.values()), default=0)

    @property
    def claims(self) -> tuple[tuple[str, bool], ...]:
        """What is claimed, and whether it holds."""
        return (
            ("no command, link or import failed", not self.site.failures),
            ("nothing of ours is left", not self.ending.leftovers),
            ("memory stays flat", max(self.guard_growth_kib, self.command_growth_kib) < _FLAT_KIB),
            ("what nobody uses is gone", self.ending.share >= LEAST_SHARE),
        )

    @property
    def all_is_well(self) -> bool:
        """Whether all claims hold."""
        return all(holds for _, holds in self.claims)

    def values(self) -> dict[str, Any]:
        """Return everything that was counted."""
        return {
            **dict(sorted(self.site.counts.items())),
            "outcomes": self.administrators.outcomes,
            "looks of the oracle": self.oracle.looks,
            "guard growth (KiB)": self.guard_growth_kib,
            "guard at most (KiB)": max((size for _, size in self.guard.sizes_kib), default=0),
            "commands' growth (KiB)": self.command_growth_kib,
            "commands at most (KiB)": {
                name: max(sizes) for name, sizes in self.administrators.sizes_kib.items()
            },
            "reclaimed share": round(self.ending.share, 3),
            "bytes before, used, after": [
                self.ending.before,
                self.ending.used,
                self.ending.after,
            ],
        }

    def text(self) -> str:
        """Return it for people."""
        lines = [f"  {name}: {value}" for name, value in self.values().items()]
        lines += [f"  LEFT: {one}" for one in self.ending.leftovers[:20]]
        lines += [f"{'true ' if holds else 'FALSE'}: {words}" for words, holds in self.claims]
        return "\n".join(lines)

    def json(self) -> str:
        """Return it for other programs."""
        content = {
            "seed": self.site.seed,
            "until": time.strftime("%Y-%m-%d", time.gmtime()),
            "claims": dict(self.claims),
            "failures": self.site.failures,
            "leftovers": self.ending.leftovers,
            **self.values(),
        }
        return json.dumps(content, indent=1) + "\n"
