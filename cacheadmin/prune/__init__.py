"""Removing as a transaction: everything moved under the lock, checked, undoable.

``running`` is the whole of one run; ``transaction`` the moves under uv's
lock, ``last_look`` the last look before and after them, ``verification`` the look after;
``quarantine`` and ``journal`` hold what was moved and what was meant;
``recovery`` ends what a killed run began; ``runs`` lists past runs, undoes one
(``putting_back``), and deletes for good.
"""
