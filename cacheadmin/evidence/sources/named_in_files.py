"""Jupyter kernels, systemd units and crontabs that name the cache or an environment."""

from __future__ import annotations

from cacheadmin.evidence.look import Facts, Look, Moment, new_candidates
from cacheadmin.evidence.named_in_files import unread, usual_places
from cacheadmin.evidence.traces import homes_of_accounts
from cacheadmin.readers import Unreadable


class NamedInFiles:
    """What files in the usual places will start one day, although nothing runs from it now."""

    id = "file"

    def collect(self, look: Look) -> Facts:
        """Return what the files of the system, and of accounts with a home, name."""
        places = usual_places(sorted(homes_of_accounts(look)))
        listed = tuple(places)
        answers = look.readers.ask_all(look.questions.files, listed)
        found = [
            unread(place, answer) if isinstance(answer, Unreadable) else answer
            for place, answer in zip(listed, answers, strict=True)
        ]
        return Facts(
            candidates=tuple(one for there in found for one in there.environments),
            named=tuple(one for there in found for one in there.entries),
            unseen=tuple(one for there in found for one in there.unseen),
        )

    def changed(self, look: Look, before: Facts) -> Facts:
        """Return what files name since; nothing under the lock: users write them."""
        if look.moment is Moment.UNDER_LOCK:
            return Facts()
        return new_candidates(self.collect(look), before)
