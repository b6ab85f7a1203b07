"""What waits is bounded, and everything that was offered is accounted for at every moment."""

import time

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from driftwarden_client.waiting import OVERHEAD_BYTES, Copy, Dropped, Waiting

MOST, MOST_BYTES = 4, 6 * OVERHEAD_BYTES
SIZES = st.integers(0, 3 * OVERHEAD_BYTES)


def copy_of(size: int) -> Copy:
    return Copy("/", {}, [bytes(size)], 0.0)


class Accounting(RuleBasedStateMachine):
    """Whatever an application offers and a sidecar answers, in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = Waiting(MOST, MOST_BYTES)
        self.expected = list[Copy]()
        self.offered = 0
        self.reserved = 0
        self.old_terms = list[int]()

    @rule(sizes=st.lists(SIZES, min_size=1, max_size=3))
    def offer(self, sizes: list[int]) -> None:
        copies = [copy_of(size) for size in sizes]
        self.offered += len(copies)
        if self.waiting.offer(copies):
            self.expected += copies

    @rule(size=SIZES)
    def offer_what_was_reserved(self, size: int) -> None:
        self.offered += 1
        if not self.waiting.reserve(size):
            self.waiting.drop(Dropped.FULL)
        elif self.waiting.offer([copy_of(size)], size):
            self.expected.append(copy_of(size))

    @rule(size=SIZES)
    def reserve(self, size: int) -> None:
        if self.waiting.reserve(size):
            self.reserved += size

    @precondition(lambda self: self.reserved)
    @rule()
    def give_back(self) -> None:
        self.waiting.give_back(self.reserved)
        self.reserved = 0

    @precondition(lambda self: self.expected)
    @rule(dropped=st.none() | st.sampled_from(Dropped), again=st.booleans())
    def answer(self, dropped: Dropped | None, again: bool) -> None:
        first = self.waiting.next(self.waiting.term)
        assert first == self.expected.pop(0)
        assert self.waiting.begin(self.waiting.term, again=again)
        self.waiting.settle(self.waiting.term, dropped)

    @rule(reason=st.sampled_from(Dropped))
    def drop(self, reason: Dropped) -> None:
        self.offered += 1
        self.waiting.drop(reason)

    @rule()
    def close(self) -> None:
        self.old_terms.append(self.waiting.term)
        self.waiting.finish(time.monotonic())
        assert not self.waiting.begin(self.waiting.term, again=False)
        self.waiting.abandon()
        self.expected.clear()

    @precondition(lambda self: self.old_terms)
    @rule()
    def a_sender_of_before_comes_back(self) -> None:
        term = self.old_terms[0]
        self.waiting.settle(term, None)
        assert not self.waiting.begin(term, again=True)
        assert self.waiting.next(term) is None

    @invariant()
    def everything_is_accounted_for(self) -> None:
        counters = self.waiting.counters()
        assert counters.offered == self.offered
        assert counters.offered == counters.accepted + sum(counters.dropped.values()) + counters.waiting
        assert counters.waiting == len(self.expected) <= MOST
        assert counters.held_bytes == self.reserved + sum(copy.cost for copy in self.expected) <= MOST_BYTES


TestAccounting = Accounting.TestCase
