"""Check many archives at once.

One archive is one piece of work; its largest files are pieces of their own, so
that one huge wheel does not leave all but one core idle.

Hashing leaves Python's lock alone, but opening and reading a small file is
mostly Python: with threads, a cache of small files is checked *slower* than by
one (`make bench ARGS=verifying`). So the work is done by forked processes. They
inherit the cache's descriptor and read nothing else of ours; they say what
they found through a pipe. Where the system has no shared memory to set that up
(``/dev/shm``), or for a handful of archives, threads do it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cacheadmin.errors import CacheadminError
from cacheadmin.evidence.locating import Place
from cacheadmin.values import frozen
from cacheadmin.verify.checking import Checked, check_archive, check_deferred

if TYPE_CHECKING:
    from cacheadmin.evidence.locating import CacheLocator
    from cacheadmin.inventory.entries import Archive
    from cacheadmin.verify.problems import Problem
    from cacheadmin.verify.records import Line

# Work handed out ahead, for each worker: enough to keep it busy, little to hold.
_AHEAD = 4

# Forking a worker takes as long as checking a few wheels.
_FEW = 16


@frozen
class Workplace:
    """What every worker needs: the open cache, its path, and where links lead."""

    cache_fd: int
    cache_path: str
    locator: CacheLocator

    def check(self, archive: Archive) -> Checked:
        """Check one archive, but for its largest files."""
        return check_archive(self.cache_fd, self.cache_path, archive, self._where_in_cache)

    def check_later(self, archive: Archive, path: str, line: Line) -> list[Problem]:
        """Check one large file of an archive."""
        return check_deferred(self.cache_fd, archive, path, line)

    def _where_in_cache(self, text: str, folder: str) -> str | None:
        located = self.locator.locate(text, folder)
        return located.path if located.place is Place.INSIDE else None


# A forked worker's own; nothing of it can be sent through a pipe.
_places: list[Workplace] = []


def check_all(
    place: Workplace,
    archives: Sequence[Archive],
    jobs: int,
    done: Callable[[int], None],
) -> list[Checked]:
    """Return each archive checked, with its large files, by so many workers.

    ``done`` is told how many archives are finished.
    """
    if jobs == 1:
        return _one_by_one(place, archives, done)
    if len(archives) > _FEW:
        try:
            pool = _processes(place, min(jobs, len(archives)))
        except (ImportError, OSError):
            # No semaphores here: a container without /dev/shm.
            pool = None
        if pool is not None:
            try:
                with pool, _given_up_on_error(pool):
                    return _results(pool, _check_here, _check_later_here, archives, jobs, done)
            except BrokenProcessPool:
                message = "a worker was killed, by somebody or because memory ran out"
                raise CacheadminError(message, hint="try again with --jobs 1") from None
    with ThreadPoolExecutor(jobs) as threads, _given_up_on_error(threads):
        return _results(threads, place.check, place.check_later, archives, jobs, done)


def _one_by_one(
    place: Workplace, archives: Sequence[Archive], done: Callable[[int], None]
) -> list[Checked]:
    results = []
    for archive in archives:
        checked = place.check(archive)
        for path, line in checked.deferred:
            for problem in place.check_later(archive, path, line):
                checked.add(problem)
        results.append(checked)
        done(len(results))
    return results


def _processes(place: Workplace, workers: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("fork")
    return ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(place,))


def _begin(place: Workplace) -> None:
    # Ctrl-C reaches every process of the terminal; the first one says so for all.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    _places[:] = [place]


def _leave_with_parent() -> None:
    # A worker waits for work forever, also for that of a process that was killed.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _check_here(archive: Archive) -> Checked:
    return _places[0].check(archive)


def _check_later_here(archive: Archive, path: str, line: Line) -> list[Problem]:
    return _places[0].check_later(archive, path, line)


@contextmanager
def _given_up_on_error(pool: Executor) -> Iterator[None]:
    """Cancel what was not begun when the results are not wanted any more.

    Forked workers are ended, for they only read: who pressed Ctrl-C doesn't
    wait for the end of a file of gigabytes.
    """
    try:
        yield
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in multiprocessing.active_children():
            worker.kill()
        raise


def _results(
    pool: Executor,
    check: Callable[[Archive], Checked],
    check_later: Callable[[Archive, str, Line], list[Problem]],
    archives: Sequence[Archive],
    jobs: int,
    done: Callable[[int], None],
) -> list[Checked]:
    waiting = deque(archives)
    results: list[Checked] = []
    # Large files by the archive they belong to; archives by None.
    running: dict[Future[Any], Checked | None] = {}
    while waiting or running:
        while waiting and len(running) < jobs * _AHEAD:
            running[pool.submit(check, waiting.popleft())] = None
        finished, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in finished:
            owner = running.pop(future)
            if owner is None:
                checked: Checked = future.result()
                results.append(checked)
                for path, line in checked.deferred:
                    running[pool.submit(check_later, checked.archive, path, line)] = checked
                continue
            for problem in future.result():
                owner.add(problem)
        done(len(results))
    return results
