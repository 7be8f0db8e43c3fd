"""What `uv cache prune` of any release would delete, without deleting anything.

``behaviours`` is the table of what differs by release, ``tree`` a view of the
disk in which removals are only noted, ``steps/`` the steps of uv's prune, one
a file, ``simulating`` puts them in order, ``breakage`` says whom it would hit.
"""
