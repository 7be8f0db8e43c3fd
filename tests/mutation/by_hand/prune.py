"""Of the check after the moves: links that were broken, or uses of what is on trial, unseen."""

from __future__ import annotations

_VERIFICATION = "tests/integration/prune/test_verification_follows_every_link.py"
_TRANSACTION = "tests/integration/prune/test_transaction_puts_back_what_it_broke.py"
_NO_JOURNAL = (
    "tests/integration/prune/test_interrupted_and_restored_runs.py"
    "::test_a_run_without_a_journal_is_left_with_what_it_moved"
)
_RESTORING = "tests/scenarios/test_restoring_a_run.py"

#: (module, what stands there, what does instead, the test that must notice).
CHANGES: tuple[tuple[str, str, str, str], ...] = (
    (
        "cacheadmin/prune/verification.py",
        "        and not _is_removed(environment, cache, gone)\n",
        "",
        _VERIFICATION,
    ),
    (
        "cacheadmin/prune/verification.py",
        "            if self._in_quarantine(inside):\n",
        "            if True:\n",
        _VERIFICATION,
    ),
    (
        "cacheadmin/prune/verification.py",
        "                self._used.setdefault(entry, place)\n        for",
        "        for",
        _VERIFICATION,
    ),
    (
        "cacheadmin/prune/verification.py",
        "        if is_link:\n            self._resolve(one.path)\n",
        "",
        _VERIFICATION,
    ),
    (
        "cacheadmin/prune/verification.py",
        'if found is None or ".." in text:',
        "if found is None:",
        _VERIFICATION,
    ),
    ("cacheadmin/prune/verification.py", " or found[1] in self.gone or", " or", _VERIFICATION),
    (
        "cacheadmin/prune/verification.py",
        "touched = entry in self.gone or found[1]",
        "touched = found[1]",
        _VERIFICATION,
    ),
    (
        "cacheadmin/prune/verification.py",
        "not touched and os.path.isdir(prefix) and not os.path.islink(prefix[:-1])",
        "not touched and not os.path.islink(prefix[:-1])",
        _VERIFICATION,
    ),
    (
        "cacheadmin/prune/verification.py",
        "not touched and os.path.isdir(prefix) and not os.path.islink(prefix[:-1])",
        "not touched and os.path.isdir(prefix)",
        _VERIFICATION,
    ),
    (
        "cacheadmin/prune/verification.py",
        "            self._note_use(inside.removeprefix(_ON_TRIAL), place)\n",
        "            pass\n",
        _VERIFICATION,
    ),
    (
        "cacheadmin/prune/verification.py",
        "                if behind is not None:\n                    tree.follow(behind)\n",
        "                pass\n",
        _VERIFICATION,
    ),
    (
        "cacheadmin/prune/verification.py",
        "            if one.identity not in (None, (status.st_dev, status.st_ino)):",
        "            if False:",
        _VERIFICATION,
    ),
    (
        "cacheadmin/prune/verification.py",
        "return (status.st_dev, status.st_ino) == (self.cache.device, self.cache.inode)",
        "return folder == self.cache.path",
        _VERIFICATION,
    ),
    (
        "cacheadmin/prune/transaction.py",
        "    if not result.failed:\n",
        "    if True:\n",
        _TRANSACTION,
    ),
    (
        "cacheadmin/prune/transaction.py",
        "    if moves.crossed:\n        raise",
        "    if False:\n        raise",
        _TRANSACTION,
    ),
    (
        "cacheadmin/prune/dangling_links.py",
        "        if environment.archive is not None and environment.archive in gone:\n",
        "        if False:\n",
        _RESTORING,
    ),
    (
        "cacheadmin/prune/recovery.py",
        "            if os.listdir(entries_fd):\n",
        "            if False:\n",
        _NO_JOURNAL,
    ),
)
