"""Fuzz every parser of what others write, for minutes each, led by what its code has not done yet.

    python -m tests.fuzz                       # ten minutes of a processor each, hours in all
    python -m tests.fuzz policy --seconds 60   # one of them
    python -m tests.fuzz --json FILE           # go on from these figures, and keep them

The parsers and their first documents are those of
``tests/property/evidence/test_what_others_write.py``.
Inputs that made new lines of ours run are kept in ``.proof/corpus``, from one time to the
next, and those that failed beside them.
"""
