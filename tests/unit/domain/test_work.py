"""Leases, fencing tokens and back-off."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidintel.domain.errors import LeaseLost, ValidationError
from vidintel.domain.work import RetryPolicy, Work

NOW = datetime(2026, 5, 1, tzinfo=UTC)
LEASE = timedelta(seconds=15)


def test_a_claim_counts_an_attempt_and_raises_the_token() -> None:
    work = Work(due_at=NOW).claimed("a", NOW, LEASE)

    assert (work.attempts, work.token, work.owner, work.due_at) == (1, 1, "a", NOW + LEASE)


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


@pytest.mark.parametrize("release", [lambda w: w.freed(NOW), lambda w: w.released(NOW), lambda w: w.renewed(NOW)])
def test_whoever_was_released_can_write_no_more(release: object) -> None:
    held = Work(due_at=NOW).claimed("a", NOW, LEASE)

    free = release(held)  # type: ignore[operator]

    assert not free.is_held
    with pytest.raises(LeaseLost):
        free.require(held.token)


def test_handing_back_gives_the_attempt_back() -> None:
    assert Work(due_at=NOW).claimed("a", NOW, LEASE).released(NOW).attempts == 0
    assert Work(due_at=NOW).claimed("a", NOW, LEASE).freed(NOW).attempts == 1


def test_a_holder_known_to_be_gone_counts_as_expired() -> None:
    held = Work(due_at=NOW).claimed("a", NOW, LEASE)

    held.require_expired(NOW, "a")
    for gone in (None, "b"):
        with pytest.raises(LeaseLost):
            held.require_expired(NOW, gone)


@given(attempts=st.integers(1, 10_000), base=st.floats(0, 10), cap=st.floats(10, 1000))
def test_back_off_never_exceeds_its_cap_and_never_shrinks(attempts: int, base: float, cap: float) -> None:
    policy = RetryPolicy(base_s=base, cap_s=cap)

    assert policy.delay(attempts) <= timedelta(seconds=cap)
    assert policy.delay(attempts + 1) >= policy.delay(attempts)


@pytest.mark.parametrize(
    ("attempts", "base", "cap"), [(0, 1.0, 60.0), (3, -1.0, 60.0), (3, 5.0, 1.0)], ids=["attempts", "base", "cap"]
)
def test_a_retry_policy_validates_itself(attempts: int, base: float, cap: float) -> None:
    with pytest.raises(ValidationError):
        RetryPolicy(max_attempts=attempts, base_s=base, cap_s=cap)
