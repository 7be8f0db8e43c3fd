"""A few readers, started when they are needed, replaced when they fail.

The process that asks keeps the time: from each reader an answer, or a part of
one, must come within the deadline. One that lets it pass is killed, and so is
one that answers nonsense; the item it was at is `Unreadable`, the others of its
batch are given to another reader.

What one account can multiply must not add up. Each failure leaves what is
that account's a quarter of the time; after three nothing more of it is read.
So a hundred bad environments of one owner cost less than one deadline and a
half. Things of unknown owners count together, as if they were one account's.
"""

from __future__ import annotations

import select
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, Self

from cacheadmin.readers.confinement import load_system_calls
from cacheadmin.readers.owners import OWNER, ask_owners
from cacheadmin.readers.plain_data import decoder
from cacheadmin.readers.questions import Answer, Item, Question, ReaderLimits, Reply, Unreadable
from cacheadmin.readers.strength import Strength, usual_strength
from cacheadmin.readers.worker import BrokenReaderError, Handed, Worker, has_ended
from cacheadmin.rights.acting import ActingAccount, is_called_by_root

if TYPE_CHECKING:
    from types import TracebackType

# Where all is said by then, forking another reader takes longer than it saves.
_START_ANOTHER_AFTER_SECONDS = 0.5

# Where readers wait for storage, others do not take a processor from them.
_START_MANY_AFTER_SECONDS = 0.1

# Failures of one account after which nothing more of it is read.
_FAILURES_OF_ONE = 3

# What each failure leaves of the deadline.
_SHARE = 4

# A pause of this process (Ctrl-Z, a suspended machine) counts as one such slice.
_SLICE_SECONDS = 0.5


class Readers:
    """A pool of readers, for one run; close it, or use it in a ``with``.

    ``keep`` are descriptors that readers need, such as the open cache's. ``workers``:
    so many at once, where all are sure to have enough to do; without, as ``strength``
    says, and the second one late. ``owner``: the account that its readers become.
    ``shares``: they may let files share their blocks.
    """

    def __init__(
        self,
        limits: ReaderLimits | None = None,
        *,
        keep: Iterable[int] = (),
        workers: int | None = None,
        strength: Strength | None = None,
        owner: ActingAccount | None = None,
        shares: bool = False,
    ) -> None:
        self.limits = ReaderLimits() if limits is None else limits
        self._keep = tuple(keep)
        self._owner = owner
        self._shares = shares
        self._questions: list[Question[Any, Any]] = [OWNER]
        self._workers: list[Worker] = []
        self._dying: list[int] = []
        self._failures: Counter[int | None] = Counter()
        self._first_failures: dict[int | None, str] = {}
        self._generation = 0
        self._at_once = workers is not None
        self._strength = strength or usual_strength()
        if workers is not None:
            self._strength = Strength(workers, workers)
        self._they_wait = False
        self._libc = load_system_calls()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pids(self) -> frozenset[int]:
        """The readers there are now: processes of ours, which use nothing."""
        return frozenset(worker.pid for worker in self._workers if worker.pid)

    def learn(self, questions: Iterable[Question[Any, Any]]) -> None:
        """Know these questions and no others from now on; readers are forked again for them.

        Asking a question that is not known adds it in the same way. A caller that asks
        several of them says so first, and pays once.
        """
        self._end_workers()
        self._questions = list(dict.fromkeys((*questions, OWNER)))

    def renew(self) -> None:
        """Have readers forget what they noted: from now on they look at everything again."""
        self._generation += 1

    def ask(
        self, question: Question[Item, Answer], item: Item, *, deadline_seconds: float | None = None
    ) -> Answer | Unreadable:
        """Return the answer for one item."""
        return self.ask_all(question, (item,), deadline_seconds=deadline_seconds)[0]

    def ask_all(
        self,
        question: Question[Item, Answer],
        items: Iterable[Item],
        *,
        deadline_seconds: float | None = None,
        done: Callable[[int], None] | None = None,
    ) -> list[Answer | Unreadable]:
        """Return the answer for each item, in their order: for answers of one part.

        ``done`` is told how many are answered.
        """
        replies = self.replies(question, items, deadline_seconds=deadline_seconds, done=done)
        return [
            reply.failed
            if reply.failed is not None
            else reply.parts[0]
            if reply.parts
            else Unreadable("its reader said nothing")
            for reply in replies
        ]

    def replies(
        self,
        question: Question[Item, Answer],
        items: Iterable[Item],
        *,
        deadline_seconds: float | None = None,
        done: Callable[[int], None] | None = None,
    ) -> list[Reply[Item, Answer]]:
        """Return what was answered for each item, in their order.

        ``deadline_seconds`` is for this time only, if it is less than the limit.
        """
        if question not in self._questions:
            self.learn((*self._questions, question))
        begun = time.monotonic()
        listed = self.first_replies(question, items, deadline_seconds, done)
        if self._owner is None and is_called_by_root():
            left = None if deadline_seconds is None else begun + deadline_seconds
            ask_owners(self, question, listed, left)
        return listed

    def first_replies(
        self,
        question: Question[Item, Answer],
        items: Iterable[Item],
        deadline_seconds: float | None = None,
        done: Callable[[int], None] | None = None,
    ) -> list[Reply[Item, Answer]]:
        """Return what readers answer as they are; no owner is asked for what is closed to them."""
        run = _Run(self, question, tuple(items), deadline_seconds, done)
        try:
            return run.finish()
        except BaseException:
            # Whatever stopped this: answers on their way belong to no later question.
            self._end_workers()
            raise

    def of_owner(self, owner: ActingAccount) -> Readers:
        """Return readers that are an account; what fails of it counts here as well."""
        own = Readers(self.limits, keep=self._keep, workers=1, owner=owner)
        own._failures, own._first_failures = self._failures, self._first_failures
        return own

    def close(self) -> None:
        """End all readers and leave no zombie; one that can't die is left to the kernel."""
        self._end_workers()
        self._dying = [pid for pid in self._dying if not has_ended(pid)]

    def _end_workers(self) -> None:
        for worker in self._workers:
            self._bury(worker)
        self._workers = []

    def _bury(self, worker: Worker) -> None:
        pid = worker.kill()
        self._dying = [one for one in self._dying if not has_ended(one)]
        if pid:
            self._dying.append(pid)

    def _note_failure(self, uid: int | None, why: str) -> None:
        self._failures[uid] += 1
        self._first_failures.setdefault(uid, why)

    def _passed_over(self, uid: int | None) -> Unreadable:
        """Return the answer for what is of an account of which too much could not be read."""
        why = self._first_failures.get(uid, "")
        return Unreadable(f"too much else of the same owner could not be read ({why})", uid)

    @property
    def _most(self) -> int:
        """How many may work at once, by what is known of their storage."""
        return self._strength.most if self._they_wait else self._strength.usual

    def _note_waiting(self) -> None:
        """Look whether readers wait for storage, if that would change anything."""
        if self._they_wait or self._strength.most <= self._strength.usual:
            return
        told = [worker.waiting.is_most() for worker in self._workers if worker.handed]
        self._they_wait = bool(told) and all(told)

    def _start(self) -> Worker:
        worker = Worker(
            self._libc, self._questions, self.limits, self._keep, self._owner, shares=self._shares
        )
        self._workers.append(worker)
        return worker

    def _replace(self, worker: Worker) -> None:
        self._workers.remove(worker)
        self._bury(worker)


class _Run(Generic[Item, Answer]):
    """One question, asked of many items."""

    def __init__(
        self,
        readers: Readers,
        question: Question[Item, Answer],
        items: Sequence[Item],
        deadline_seconds: float | None,
        done: Callable[[int], None] | None,
    ) -> None:
        limit = readers.limits.deadline_seconds
        self._readers = readers
        self._question = question
        self._number = readers._questions.index(question)
        self._deadline = limit if deadline_seconds is None else min(limit, deadline_seconds)
        self._done = done
        decode = decoder(question.answers)
        self._waiting = deque(
            Handed(number, item, question.blame, decode=decode) for number, item in enumerate(items)
        )
        self._replies: list[Reply[Item, Answer] | None] = [None] * len(items)
        self._answered = 0
        self._begun = time.monotonic()
        for worker in readers._workers:
            worker.waiting.begin()

    def finish(self) -> list[Reply[Item, Answer]]:
        while self._hand_out():
            self._collect()
        return [reply for reply in self._replies if reply is not None]

    def _hand_out(self) -> bool:
        """Give every idle reader something to do; return whether there is one at work."""
        for worker in tuple(self._readers._workers):
            self._hand_to(worker)
        while self._waiting and self._may_start():
            try:
                worker = self._readers._start()
            except OSError as error:
                if self._readers._workers:
                    break
                self._fail_all(f"no reader could be started: {error.strerror}")
                return False
            self._hand_to(worker)
        return any(worker.handed for worker in self._readers._workers) or bool(self._waiting)

    def _may_start(self) -> bool:
        """Whether another reader may be started: the first one at once, others where it pays."""
        readers = self._readers
        readers._note_waiting()
        late = time.monotonic() - self._begun > self._patience_seconds
        may_more = len(readers._workers) < readers._most and (late or readers._at_once)
        return not readers._workers or may_more

    @property
    def _patience_seconds(self) -> float:
        many = self._readers._most > usual_strength().usual
        return _START_MANY_AFTER_SECONDS if many else _START_ANOTHER_AFTER_SECONDS

    def _hand_to(self, worker: Worker) -> None:
        if worker.handed:
            return
        batch = self._next_batch()
        if not batch:
            return
        spent = frozenset(
            uid
            for uid, count in self._readers._failures.items()
            if uid is not None and count >= _FAILURES_OF_ONE
        )
        try:
            worker.hand(self._number, batch, spent, self._readers._generation)
        except BrokenReaderError as error:
            self._give_up(worker, str(error))

    def _next_batch(self) -> list[Handed]:
        # A part of what is left: the last ones are not all one reader's.
        size = min(self._question.together, 1 + len(self._waiting) // (2 * self._readers._most))
        batch: list[Handed] = []
        while self._waiting and len(batch) < size:
            one = self._waiting.popleft()
            if self._is_spent(one):
                one.is_passed_over = True
                self._settle(one)
            else:
                batch.append(one)
        return batch

    def _is_spent(self, one: Handed) -> bool:
        failures = self._readers._failures
        # Whose something is may take a while to find out: not where nothing has failed yet.
        return bool(failures) and failures[one.uid] >= _FAILURES_OF_ONE

    def _collect(self) -> None:
        """Wait for a moment, and take what has come."""
        busy = {w.connection.fileno(): w for w in self._readers._workers if w.handed}
        if not busy:
            return
        poll = select.poll()
        for fd in busy:
            poll.register(fd, select.POLLIN)
        left = min(self._deadline_of(worker) - worker.waited_seconds for worker in busy.values())
        slice_seconds = min(_SLICE_SECONDS, max(left, 0.0))
        if self._waiting and len(self._readers._workers) < self._readers._strength.most:
            slice_seconds = min(slice_seconds, _START_MANY_AFTER_SECONDS)
        begun = time.monotonic()
        ready = {fd for fd, _ in poll.poll(slice_seconds * 1000 + 1)}
        passed = min(time.monotonic() - begun, _SLICE_SECONDS)
        for fd, worker in busy.items():
            if fd in ready:
                self._take(worker)
                continue
            worker.waited_seconds += passed
            deadline = self._deadline_of(worker)
            # Neither under a lock, nor for an account of which something could not be read.
            extended = deadline >= self._readers.limits.deadline_seconds
            if worker.is_late(deadline, extended=extended):
                self._give_up(worker, f"it gave no answer within {deadline:.3g} s")

    def _deadline_of(self, worker: Worker) -> float:
        failures = self._readers._failures
        share = min(failures[worker.owner], _FAILURES_OF_ONE) if failures else 0
        return self._deadline / float(_SHARE**share)

    def _take(self, worker: Worker) -> None:
        try:
            worker.take(self._settle)
        except BrokenReaderError as error:
            self._give_up(worker, str(error))

    def _give_up(self, worker: Worker, why: str) -> None:
        """End a reader: the item it was at has failed, those after it are asked again."""
        current, others = worker.culprit()
        worker.handed.clear()
        self._readers._replace(worker)
        self._readers._note_failure(current.uid, why)
        current.failed = Unreadable(why, current.uid)
        self._settle(current)
        self._waiting.extendleft(reversed(others))

    def _fail_all(self, why: str) -> None:
        while self._waiting:
            one = self._waiting.popleft()
            one.failed = Unreadable(why, one.uid, no_reader=True)
            self._settle(one)

    def _settle(self, one: Handed) -> None:
        failed = self._readers._passed_over(one.uid) if one.is_passed_over else one.failed
        self._replies[one.number] = Reply(one.item, tuple(one.parts), failed)
        self._answered += 1
        if self._done is not None:
            self._done(self._answered)
