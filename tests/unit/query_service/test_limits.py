"""How many requests a minute may have."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_service.access import Caller, Role
from query_service.limits import RateLimit
from query_service.problems import Problem

ANNA = Caller("store-1", "anna", Role.CASHIER, None)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give the hands of the clock: the last of the list is the time, in seconds."""
    hands = [1000.0]
    monkeypatch.setattr("query_service.limits.time.monotonic_ns", lambda: int(hands[-1] * 10**9))
    return hands


def allowed(rate: RateLimit, caller: Caller = ANNA) -> bool:
    try:
        rate.count(caller.tenant, caller.actor)
    except Problem:
        return False
    return True


def test_a_minutes_requests_may_come_at_once_and_then_again_as_it_passes(clock: list[float]) -> None:
    """One too many is told when the next is let in; it does not count itself. After a rest all is as new."""
    rate = RateLimit(2)
    assert [allowed(rate) for _ in range(3)] == [True, True, False]
    clock.append(clock[0] + 20.5)
    with pytest.raises(Problem) as caught:
        rate.count(ANNA.tenant, ANNA.actor)
    assert caught.value.headers == {"Retry-After": "10"}
    clock.append(clock[0] + 30)
    assert [allowed(rate) for _ in range(2)] == [True, False]
    clock.append(clock[0] + 600)
    assert [allowed(rate) for _ in range(3)] == [True, True, False]


def test_each_actor_of_each_tenant_counts_alone() -> None:
    """Nobody waits for what somebody else asked, of another tenant under the same name either."""
    rate = RateLimit(1)
    others = [ANNA._replace(actor="ben"), ANNA._replace(tenant="store-2")]
    assert all(allowed(rate, caller) for caller in (ANNA, *others))
    assert not any(allowed(rate, caller) for caller in (ANNA, *others))


# Whole seconds and rates that divide a minute, so that the two ways of counting don't differ by a rounding.
@given(st.lists(st.integers(0, 40), max_size=60), st.sampled_from([1, 2, 3, 4, 5, 60]))
def test_requests_are_let_in_as_by_a_bucket_that_a_minute_fills(waits: list[int], limit: int) -> None:
    """A request is let in if, and only if, the bucket of a minute's requests, refilled evenly, has one."""
    rate, now, bucket = RateLimit(limit), 0, Fraction(limit)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("query_service.limits.time.monotonic_ns", lambda: now * 10**9)
        for wait in waits:
            now += wait
            bucket = min(Fraction(limit), bucket + Fraction(wait * limit, 60))
            assert allowed(rate) == (bucket >= 1)
            bucket -= bucket >= 1


def test_what_is_kept_of_callers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One number is kept of a caller, and so many callers: who has not asked for longest goes first."""
    monkeypatch.setattr("query_service.limits.REMEMBERED_CALLERS", 2)
    rate = RateLimit(1)
    assert all(allowed(rate, ANNA._replace(actor=actor)) for actor in ("anna", "ben", "cleo"))
    assert {type(kept) for kept in rate._even_until.values()} == {int}
    assert [actor for _, actor in rate._even_until] == ["ben", "cleo"]
