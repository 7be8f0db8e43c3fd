"""Change one thing in planner, transaction or trial: some test must notice.

    python -m tests.mutation --sample 60 --seed 1

``mutants`` makes the changes, ``__main__`` runs the tests that belong to each module.
Whoever survives is looked at: a test is missing, or the change changes nothing
(``docs/reliability.md`` says which).
"""
