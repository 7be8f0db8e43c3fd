"""Readers: worker processes that open and parse what users control.

This program runs as root over files whose owners may be broken or hostile, so
whatever opens, follows or parses such a file does it in a reader: a forked
process with few rights and little memory, CPU time and patience. A reader that
hangs, grows or dies costs one answer, which is then `Unreadable`, with whose
it was; the next one takes over. What may be hidden by that is kept.

``pool`` has the parent's side, ``serving`` the reader's, ``confinement`` what
a reader gives up, ``plain_data`` the form of its answers, ``owners`` the readers
that become the owner of what is closed to root.
"""

from cacheadmin.readers.pool import Readers
from cacheadmin.readers.questions import Question, ReaderLimits, Reply, Unreadable
from cacheadmin.readers.server import note_owner, note_step

__all__ = ["Question", "ReaderLimits", "Readers", "Reply", "Unreadable", "note_owner", "note_step"]
