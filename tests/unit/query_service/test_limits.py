"""How many requests a minute may have."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_service.access import Caller, Role
from query_service.limits import RateLimit
from query_service.problems import Problem

ANNA = Caller("store-1", "anna", Role.CASHIER, None)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give the hands of the clock: the last of the list is the time."""
    hands = [1000.0]
    monkeypatch.setattr("query_service.limits.time.monotonic", lambda: hands[-1])
    return hands


def allowed(rate: RateLimit, caller: Caller = ANNA) -> bool:
    try:
        rate.count(caller)
    except Problem:
        return False
    return True


def test_a_minute_has_so_many_requests_and_no_more(clock: list[float]) -> None:
    """One too many is told when the first of the minute has passed, and is let in then; it does not count."""
    rate = RateLimit(2)
    assert [allowed(rate) for _ in range(3)] == [True, True, False]
    clock.append(clock[0] + 20.5)
    with pytest.raises(Problem) as caught:
        rate.count(ANNA)
    assert caught.value.headers == {"Retry-After": "40"}
    clock.append(clock[0] + 60)
    assert [allowed(rate) for _ in range(3)] == [True, True, False]


def test_each_actor_of_each_tenant_counts_alone() -> None:
    """Nobody waits for what somebody else asked, of another tenant under the same name either."""
    rate = RateLimit(1)
    others = [ANNA._replace(actor="ben"), ANNA._replace(tenant="store-2")]
    assert all(allowed(rate, caller) for caller in (ANNA, *others))
    assert not any(allowed(rate, caller) for caller in (ANNA, *others))


@given(st.lists(st.floats(0, 40), max_size=60), st.integers(1, 5))
def test_no_minute_has_more_and_no_request_is_refused_for_nothing(waits: list[float], limit: int) -> None:
    """A request is let in if, and only if, fewer than the limit were let in during the minute before it."""
    rate, now, let_in = RateLimit(limit), 0.0, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("query_service.limits.time.monotonic", lambda: now)
        for wait in waits:
            now += wait
            due = sum(now < at + 60.0 for at in let_in) < limit
            assert allowed(rate) == due
            let_in += [now] if due else []
