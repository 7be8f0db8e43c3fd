"""One look at a cache for people: everything that a report shows, gathered once.

``facts`` says what there is to show, ``gathering`` makes it from a snapshot.
How it looks is for ``report`` to say.
"""
