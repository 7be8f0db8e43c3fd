"""What reading a record of ours can raise when it is damaged, or not ours.

JSON nests as deep as its writer likes, and has numbers without end: each is
damage like a word in the wrong place.
"""

from __future__ import annotations

DAMAGE = (ValueError, TypeError, LookupError, AttributeError, RecursionError, OverflowError)
