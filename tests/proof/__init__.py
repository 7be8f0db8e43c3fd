"""All proofs, one after the other, and the page that says what they found.

    python -m tests.proof                   # `make proof`; hours, as root
    python -m tests.proof soak faults       # some of them
    python -m tests.proof --write           # only write the page again, of what is in .proof

Each leaves its figures in ``.proof``; the first table of ``docs/reliability.md`` is made
of them. What was found and mended stands below it, written by people.
"""
