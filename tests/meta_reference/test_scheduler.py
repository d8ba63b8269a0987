"""The scheduler shares steps and slots fairly, whatever comes, ends and is cancelled."""

from collections import Counter
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from hitchpost_meta_reference.engine.scheduler import (
    Advance,
    EndReason,
    FixedSlots,
    Row,
    Scheduler,
    Sequence,
    StepBudget,
)

EOS = 0
WORD = 7


def scheduler(slots: int = 2, beside_decoding: int = 8, alone: int = 16) -> Scheduler:
    return Scheduler(FixedSlots(slots), StepBudget(beside_decoding=beside_decoding, alone=alone))


def sequence(sequence_id: int, prompt_tokens: int = 3, max_new_tokens: int = 5, request: str = "") -> Sequence:
    return Sequence(
        sequence_id, tuple(range(1, prompt_tokens + 1)), max_new_tokens, stop_ids={EOS}, request=request or sequence_id
    )


def step(subject: Scheduler, token: int = WORD) -> list[Advance]:
    """Plans and completes a step in which every sequence gets the same token."""
    rows = subject.plan()
    return subject.complete(rows, [token] * sum(row.samples for row in rows))[0]


def shape(rows: list[Row]) -> list[tuple[int, int, int, bool]]:
    """Sequence, first position, count and whether it samples, per row."""
    return [(row.sequence.sequence_id, row.start, len(row.tokens), row.samples) for row in rows]


def test_prompt_that_fits_the_step_samples_at_once() -> None:
    subject = scheduler()
    subject.submit(sequence(1, prompt_tokens=5))

    assert shape(subject.plan()) == [(1, 0, 5, True)]


def test_token_that_was_sampled_is_computed_in_the_next_step() -> None:
    subject = scheduler()
    subject.submit(sequence(1, prompt_tokens=5))
    step(subject, token=42)

    [row] = subject.plan()

    assert (row.tokens, row.start, row.samples) == ((42,), 5, True)


def test_long_prompt_is_computed_in_chunks_and_samples_after_the_last() -> None:
    subject = scheduler(alone=16)
    subject.submit(sequence(1, prompt_tokens=40))

    shapes = []
    for _ in range(3):
        rows = subject.plan()
        shapes += shape(rows)
        subject.complete(rows, [WORD] * sum(row.samples for row in rows))

    assert shapes == [(1, 0, 16, False), (1, 16, 16, False), (1, 32, 8, True)]


def test_long_prompt_leaves_every_decoding_sequence_its_token_in_each_step() -> None:
    subject = scheduler(slots=3, beside_decoding=8)
    subject.submit(sequence(1))
    subject.submit(sequence(2))
    step(subject)
    subject.submit(sequence(3, prompt_tokens=100))

    assert shape(subject.plan()) == [(1, 3, 1, True), (2, 3, 1, True), (3, 0, 6, False)]


def test_short_prompts_share_a_step_in_the_order_in_which_they_came() -> None:
    subject = scheduler(slots=3, alone=8)
    for number in (1, 2, 3):
        subject.submit(sequence(number, prompt_tokens=3))

    assert shape(subject.plan()) == [(1, 0, 3, True), (2, 0, 3, True), (3, 0, 2, False)]


def test_sequence_without_a_slot_waits_until_one_is_free() -> None:
    subject = scheduler(slots=1)
    subject.submit(sequence(1, max_new_tokens=1))
    subject.submit(sequence(2))
    assert (subject.plan()[0].sequence.sequence_id, subject.waiting) == (1, 1)

    step(subject)

    assert shape(subject.plan()) == [(2, 0, 3, True)]
    assert subject.waiting == 0


@pytest.mark.parametrize(
    ("tokens", "ends"),
    [
        pytest.param([WORD, EOS], [None, EndReason.stopped], id="by a token"),
        pytest.param([WORD, WORD, WORD], [None, None, EndReason.length], id="by its limit"),
        pytest.param([WORD, WORD, EOS], [None, None, EndReason.stopped], id="by a token at its limit"),
    ],
)
def test_sequence_ends(tokens: list[int], ends: list[EndReason | None]) -> None:
    subject = scheduler()
    subject.submit(sequence(1, max_new_tokens=3))

    advances = [advance for token in tokens for advance in step(subject, token)]

    assert [advance.end for advance in advances] == ends
    assert (subject.running, subject.slots_in_use, subject.plan()) == (0, 0, [])


def test_cancelled_sequence_gives_its_slot_to_the_next() -> None:
    subject = scheduler(slots=1)
    subject.submit(sequence(1))
    subject.submit(sequence(2))
    step(subject)

    freed = subject.cancel([1])

    assert freed == [0]
    assert shape(subject.plan()) == [(2, 0, 3, True)]


def test_cancelled_sequence_that_waits_never_runs() -> None:
    subject = scheduler(slots=1)
    for number in (1, 2, 3):
        subject.submit(sequence(number, max_new_tokens=1))
    subject.plan()

    assert subject.cancel([2]) == []
    step(subject)
    assert [row.sequence.sequence_id for row in subject.plan()] == [3]


def test_cancelling_what_has_ended_changes_nothing() -> None:
    subject = scheduler()
    subject.submit(sequence(1, max_new_tokens=1))
    step(subject)

    assert subject.cancel([1, 99]) == []


def test_lowest_free_slot_is_taken_first() -> None:
    slots = FixedSlots(4)
    taken = [slots.find_slot(1) for _ in range(4)]
    for slot in (2, 0, 1):
        slots.release(slot)

    assert (taken, [slots.find_slot(1) for _ in range(4)]) == ([0, 1, 2, 3], [0, 1, 2, None])


# --- fairness between requests ---


def admitted(subject: Scheduler) -> list[str]:
    """The requests of the running sequences, in the order in which they got their slots; all end with this step."""
    rows = subject.plan()
    subject.complete(rows, [EOS] * sum(row.samples for row in rows))
    return [str(row.sequence.request) for row in rows]


def submit(subject: Scheduler, names: str, first_id: int = 0) -> None:
    """A sequence per letter, of the request that is called so."""
    for number, name in enumerate(names):
        subject.submit(sequence(first_id + number, prompt_tokens=1, request=name))


@pytest.mark.parametrize(
    ("slots", "names", "order"),
    [
        pytest.param(2, "aaaaab", ["ab", "aa", "aa"], id="one beside many"),
        pytest.param(1, "aaab", ["a", "b", "a", "a"], id="one slot"),
        pytest.param(3, "aaabbbcc", ["abc", "abc", "ab"], id="as many as slots"),
        pytest.param(2, "aabbccd", ["ab", "cd", "ab", "c"], id="more than slots"),
        pytest.param(4, "aaaaaab", ["abaa", "aaa"], id="what nobody else wants"),
    ],
)
def test_requests_take_turns(slots: int, names: str, order: list[str]) -> None:
    subject = scheduler(slots=slots)
    submit(subject, names)

    assert [admitted(subject) for _ in order] == [list(step) for step in order]
    assert (subject.running, subject.waiting) == (0, 0)


@pytest.mark.parametrize(
    ("slots", "names", "ends", "running"),
    [
        pytest.param(3, "aaaaa", 1, "aab", id="another has all slots"),
        pytest.param(2, "caa", 0, "ab", id="another has one and waits for longer"),
        pytest.param(1, "aa", 0, "b", id="another had the only slot"),
    ],
)
def test_next_slot_that_is_free_goes_to_the_request_that_has_none(
    slots: int, names: str, ends: int, running: str
) -> None:
    subject = scheduler(slots=slots)
    submit(subject, names)
    subject.plan()
    submit(subject, "b", first_id=10)

    subject.cancel([ends])

    assert "".join(str(row.sequence.request) for row in subject.plan()) == running


def test_sequences_of_a_request_run_in_the_order_in_which_they_came() -> None:
    subject = scheduler(slots=1)
    submit(subject, "aaa")

    order = []
    for _ in range(3):
        [row] = rows = subject.plan()
        order.append(row.sequence.sequence_id)
        subject.complete(rows, [EOS])

    assert order == [0, 1, 2]


@given(
    slots=st.integers(1, 4),
    crowd=st.lists(st.integers(1, 12), max_size=5),
    lifetime=st.integers(1, 5),
    arrivals=st.lists(st.integers(0, 2), max_size=40),
)
def test_no_request_starves_whatever_others_ask_for(
    slots: int, crowd: list[int], lifetime: int, arrivals: list[int]
) -> None:
    subject = scheduler(slots=slots, beside_decoding=100, alone=100)
    ids = count()

    def ask(name: str, choices: int) -> None:
        for _ in range(choices):
            subject.submit(sequence(next(ids), prompt_tokens=1, max_new_tokens=lifetime, request=name))

    for number, choices in enumerate(crowd):
        ask(f"crowd {number}", choices)
    step(subject)
    ask("single", 1)
    # Each of those that came before may have its turn first, slots at a time; who comes later may not.
    for newcomer in range(lifetime * (len(crowd) // slots + 1)):
        ask(f"newcomer {newcomer}", arrivals[newcomer] if newcomer < len(arrivals) else 1)
        if "single" in [advance.sequence.request for advance in step(subject)]:
            return
    raise AssertionError("the single choice still waits")


class SchedulerMachine(RuleBasedStateMachine):
    """Any order of submits, cancels and steps; the model is a list of who is where."""

    sequences = Bundle("sequences")

    @initialize(
        slots=st.integers(1, 4),
        room_for_prompts=st.integers(1, 6),
        alone=st.integers(1, 12),
    )
    def begin(self, slots: int, room_for_prompts: int, alone: int) -> None:
        self.slots = slots
        self.budget = StepBudget(beside_decoding=slots + room_for_prompts, alone=alone)
        self.scheduler = Scheduler(FixedSlots(slots), self.budget)
        self.alive: dict[int, Sequence] = {}
        self.order: list[int] = []
        self.started: list[int] = []
        self.ends: Counter[int] = Counter()
        self.next_id = 0

    @rule(
        target=sequences,
        prompt=st.integers(1, 30),
        max_new=st.integers(1, 6),
        count=st.integers(1, 3),
        request=st.sampled_from("abcd"),
    )
    def submit(self, prompt: int, max_new: int, count: int, request: str) -> Any:
        new = [sequence(self.next_id + n, prompt, max_new, request) for n in range(count)]
        self.next_id += count
        for one in new:
            self.scheduler.submit(one)
            self.alive[one.sequence_id] = one
            self.order.append(one.sequence_id)
        return multiple(*(one.sequence_id for one in new))

    @rule(sequence_id=consumes(sequences))
    def cancel(self, sequence_id: int) -> None:
        was_running = sequence_id in self.alive and self.alive[sequence_id].slot is not None
        freed = self.scheduler.cancel([sequence_id])

        assert len(freed) == was_running
        if self.alive.pop(sequence_id, None):
            self.ends[sequence_id] += 1
            self.order.remove(sequence_id)

    @rule(tokens=st.lists(st.sampled_from([EOS, WORD]), min_size=8, max_size=8))
    def step(self, tokens: list[int]) -> None:
        rows = self.scheduler.plan()
        self.check_rows(rows)
        self.finish_step(rows, tokens[: sum(row.samples for row in rows)])

    @rule()
    def drain(self) -> None:
        """Nobody starves: without new work everything ends within as many steps as there are tokens."""
        steps = sum(len(one.prompt) + one.max_new_tokens for one in self.alive.values())
        for _ in range(steps):
            rows = self.scheduler.plan()
            self.finish_step(rows, [WORD] * sum(row.samples for row in rows))

        assert self.alive == {}

    def check_rows(self, rows: list[Row]) -> None:
        assert bool(rows) == bool(self.alive)
        assert len({row.sequence.slot for row in rows}) == len(rows)
        decoding = {key for key, one in self.alive.items() if one.is_decoding}
        assert {row.sequence.sequence_id for row in rows[: len(decoding)]} == decoding
        limit = self.budget.beside_decoding if decoding else self.budget.alone
        assert sum(len(row.tokens) for row in rows) <= limit
        for row in rows:
            assert row.start == row.sequence.computed
            assert row.tokens
        running = [one.sequence_id for one in self.alive.values() if one.slot is not None]
        assert len(running) == min(self.slots, len(self.alive)), "no slot is idle while somebody waits"
        for request in {one.request for one in self.alive.values()}:
            places = [self.alive[key].slot is not None for key in self.order if self.alive[key].request == request]
            assert places == sorted(places, reverse=True), "the oldest of a request run"

    def finish_step(self, rows: list[Row], tokens: list[int]) -> None:
        slots = {row.sequence.sequence_id: row.sequence.slot for row in rows}
        advances, freed = self.scheduler.complete(rows, tokens)
        ended = [advance.sequence for advance in advances if advance.end]
        assert freed == [slots[one.sequence_id] for one in ended]
        for one in ended:
            del self.alive[one.sequence_id]
            self.ends[one.sequence_id] += 1
            self.order.remove(one.sequence_id)
            assert one.generated <= one.max_new_tokens
            assert one.computed == len(one.prompt) + one.generated - 1

    @invariant()
    def no_slot_has_two_owners(self) -> None:
        owned = [one.slot for one in self.alive.values() if one.slot is not None]
        assert len(owned) == len(set(owned)) == self.scheduler.slots_in_use == self.scheduler.running

    @invariant()
    def every_sequence_ends_at_most_once_and_is_alive_until_then(self) -> None:
        assert all(count == 1 for count in self.ends.values())
        assert len(self.ends) + len(self.alive) == self.next_id
        assert self.scheduler.running + self.scheduler.waiting == len(self.alive)


SchedulerMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestSchedulerMachine = SchedulerMachine.TestCase
