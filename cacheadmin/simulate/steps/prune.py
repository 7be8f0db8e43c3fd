"""What every step needs to know of a release, and how a prune fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.simulate.behaviours import Behaviour
    from cacheadmin.simulate.tree import Tree


class PruneFails(Exception):
    """The release itself would end with an error here."""


@frozen
class PrunedRelease:
    """A release whose prune is simulated."""

    version: str
    """Its number."""
    behaviour: Behaviour
    """How it prunes."""
    buckets: dict[str, str]
    """Its bucket names, by kind (``wheels``: ``wheels-v6``)."""

    def path(self, tree: Tree, *kinds: str) -> str | None:
        """Return the path of the release's bucket of the first kind it has."""
        for kind in kinds:
            if kind in self.buckets:
                return f"{tree.root}/{self.buckets[kind]}"
        return None

    def sources(self, tree: Tree) -> str | None:
        """Return its source-distribution bucket (``built-wheels`` before 0.4.13)."""
        return self.path(tree, "sdists", "built-wheels")


def extension(name: str) -> str:
    """Return what follows the last dot, in lower case, as Rust's ``Path::extension``."""
    stem, dot, ending = name.rpartition(".")
    return ending.lower() if dot and stem else ""
