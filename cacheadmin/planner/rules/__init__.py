"""One module a kind of entry: what happens to it, by which rule, and why.

Each rule is a function ``(case, live) -> iterator of Decision``. ``RULES`` lists
them in the order in which removals are carried out: what points goes before
what it points to (facts section 0, rule 5). Adding a rule is adding a module
and a line here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.planner.rules.archives import archives
from cacheadmin.planner.rules.buckets import buckets
from cacheadmin.planner.rules.builds import builds
from cacheadmin.planner.rules.environments import environments
from cacheadmin.planner.rules.files import files
from cacheadmin.planner.rules.git_sources import git_sources
from cacheadmin.planner.rules.revisions import revisions
from cacheadmin.planner.rules.strays import strays
from cacheadmin.planner.rules.wheels import wheels

if TYPE_CHECKING:
    from cacheadmin.planner.rules.interface import Rule

RULES: tuple[Rule, ...] = (
    buckets,
    wheels,
    environments,
    revisions,
    git_sources,
    archives,
    files,
    builds,
    strays,
)

__all__ = ["RULES"]
