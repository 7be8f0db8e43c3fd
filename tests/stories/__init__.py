"""Stories of a site, by chance: what users and an administrator do in any order, on a real disk.

    python -m tests.stories               # a hundred of each sort
    python -m tests.stories --json FILE   # go on from these figures, and keep them

What may happen and what must hold is in ``tests/property/sites/test_a_site_over_time.py``.
"""
