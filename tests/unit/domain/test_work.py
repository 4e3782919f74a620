"""Leases, fencing tokens and back-off."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.factories import make_item
from vidintel.domain.errors import LeaseLost, ValidationError
from vidintel.domain.work import RetryPolicy, Setback, Work, WorkItem

NOW = datetime(2026, 5, 1, tzinfo=UTC)
LEASE = timedelta(seconds=15)


def test_a_claim_raises_the_token_and_counts_nothing() -> None:
    work = Work(due_at=NOW).claimed("a", NOW, LEASE)

    assert (work.token, work.owner, work.due_at) == (1, "a", NOW + LEASE)
    assert (work.attempts, work.deaths, work.interruptions, work.is_suspect) == (0, 0, 0, False)


def test_a_good_lease_cannot_be_taken() -> None:
    work = Work(due_at=NOW).claimed("a", NOW, LEASE)

    with pytest.raises(LeaseLost):
        work.claimed("b", NOW + LEASE - timedelta(seconds=1), LEASE)


def test_a_lease_that_ran_out_can_be_taken_and_fences_the_former_holder_off() -> None:
    first = Work(due_at=NOW).claimed("a", NOW, LEASE)
    second = first.claimed("b", NOW + LEASE, LEASE)

    second.require(second.token)
    with pytest.raises(LeaseLost):
        second.require(first.token)


def set_back(setback: Setback, item: WorkItem, token: int) -> bool:
    return item.set_back(token, setback, NOW, RetryPolicy())


ENDS: dict[str, Callable[[WorkItem, int], object]] = {
    "release": lambda item, token: item.release(token, NOW),
    "succeed": lambda item, token: item.succeed(token, NOW),
    **{setback: partial(set_back, setback) for setback in Setback},
}


@pytest.mark.parametrize("end", ENDS)
def test_a_former_holder_can_write_no_more(end: str) -> None:
    item = make_item(created_at=NOW)
    token = item.claim("a", NOW, LEASE)

    ENDS[end](item, token)

    assert not item.work.is_held
    for other in ENDS.values():
        with pytest.raises(LeaseLost):
            other(item, token)


def test_a_release_counts_nothing() -> None:
    item = make_item(created_at=NOW)
    item.release(item.claim("a", NOW, LEASE), NOW + LEASE)

    assert (item.work.due_at, item.work.attempts, item.work.is_suspect) == (NOW + LEASE, 0, False)


@pytest.mark.parametrize(
    ("setback", "budget", "is_suspect"),
    [(Setback.ERROR, 2, False), (Setback.DIED_ALONE, 3, True), (Setback.INTERRUPTED, 4, True)],
)
def test_each_kind_of_setback_has_a_budget_of_its_own(setback: Setback, budget: int, is_suspect: bool) -> None:
    policy = RetryPolicy(max_attempts=2, max_deaths=3, max_interruptions=4)
    item, now, lives = make_item(created_at=NOW), NOW, [True]
    for other in Setback:  # one of each of the others takes nothing from this budget
        if other is not setback:
            assert item.set_back(item.claim("a", now, LEASE), other, now, policy)
            now = max(now, item.work.due_at)
    before = item.work.is_suspect

    lives = []
    for _ in range(budget):
        lives.append(item.set_back(item.claim("a", now, LEASE), setback, now, policy))
        now = max(now, item.work.due_at)

    assert lives == [True] * (budget - 1) + [False]
    assert item.work.is_suspect is (before or is_suspect)


def test_an_error_and_a_death_wait_for_the_back_off_and_an_interruption_does_not() -> None:
    policy = RetryPolicy(base_s=4.0)
    waits = {}
    for setback in Setback:
        item = make_item(created_at=NOW)
        item.set_back(item.claim("a", NOW, LEASE), setback, NOW, policy)
        waits[setback] = (item.work.due_at - NOW).total_seconds()

    assert waits == {Setback.ERROR: 4.0, Setback.DIED_ALONE: 4.0, Setback.INTERRUPTED: 0.0}


def test_work_that_recurs_forgets_its_setbacks_when_it_succeeds() -> None:
    item = make_item(created_at=NOW)
    item.set_back(item.claim("a", NOW, LEASE), Setback.INTERRUPTED, NOW, RetryPolicy())
    token = item.claim("a", NOW, LEASE)

    item.succeed(token, NOW + LEASE)

    assert item.work == Work(due_at=NOW + LEASE, token=token + 1)


@given(steps=st.lists(st.sampled_from(sorted(ENDS)), max_size=30))
def test_a_token_never_comes_back(steps: list[str]) -> None:
    item, now = make_item(created_at=NOW), NOW
    tokens: list[int] = []
    for step in steps:
        now = max(now, item.work.due_at)
        tokens.append(item.claim("a", now, LEASE))
        ENDS[step](item, tokens[-1])
        if item.work.is_held:  # its budget is used up: it would be removed
            break

    assert tokens == sorted(set(tokens))


@given(attempts=st.integers(1, 10_000), base=st.floats(0, 10), cap=st.floats(10, 1000))
def test_back_off_never_exceeds_its_cap_and_never_shrinks(attempts: int, base: float, cap: float) -> None:
    policy = RetryPolicy(base_s=base, cap_s=cap)

    assert policy.delay(attempts) <= timedelta(seconds=cap)
    assert policy.delay(attempts + 1) >= policy.delay(attempts)


@pytest.mark.parametrize(
    "wrong",
    [{"max_attempts": 0}, {"max_deaths": 0}, {"max_interruptions": 0}, {"base_s": -1.0}, {"base_s": 5.0, "cap_s": 1.0}],
    ids=str,
)
def test_a_retry_policy_validates_itself(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RetryPolicy(**wrong)
