"""The rate limit of the control side: a runaway script is held up, lowering exposure never is."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from services.control.limits import ALWAYS, CLIENTS_MAX, RateLimit
from services.errors import ApiError


class Clock:
    """Seconds the test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def request(path: str, host: str = "10.0.0.1") -> Request:
    scope = {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b"", "client": (host, 1)}
    return Request({**scope, "server": ("127.0.0.1", 8000), "scheme": "http"})


def test_a_full_bucket_may_be_spent_at_once_and_fills_again_with_time(clock: Clock) -> None:
    limit = RateLimit(60, clock=clock)
    assert [limit.take("a") for _ in range(60)] == [0.0] * 60
    assert limit.take("a") == 1.0, "a call a second: the next in one second"
    clock.now += 0.5
    assert limit.take("a") == pytest.approx(0.5)
    clock.now += 0.5
    assert limit.take("a") == 0.0
    assert limit.take("a") > 0
    clock.now += 3600
    assert [limit.take("a") for _ in range(60)] == [0.0] * 60
    assert limit.take("a") > 0, "an hour of silence saves up one bucket, not more"


def test_one_client_does_not_hold_up_another(clock: Clock) -> None:
    limit = RateLimit(1, clock=clock)
    assert [limit.take("a"), limit.take("b")] == [0.0, 0.0]
    assert limit.take("a") > 0


def test_too_many_calls_are_refused_with_the_time_to_wait(clock: Clock) -> None:
    limit = RateLimit(6, clock=clock)
    for _ in range(6):
        limit.check(request("/plans/generate"))
    with pytest.raises(ApiError) as refused:
        limit.check(request("/plans/generate"))
    assert refused.value.status == 429
    assert refused.value.headers == {"Retry-After": "10"}
    assert refused.value.body == {"detail": "more than 6 calls a minute; try again in 10 s", "retry_after_s": 10}


@pytest.mark.parametrize("path", sorted(ALWAYS))
def test_what_lowers_exposure_is_never_held_up(clock: Clock, path: str) -> None:
    limit = RateLimit(1, clock=clock)
    for _ in range(100):
        limit.check(request(path))
    limit.check(request("/plans/execute"))


def test_clients_remembered_are_bounded(clock: Clock) -> None:
    limit = RateLimit(1, clock=clock)
    for number in range(CLIENTS_MAX + 10):
        limit.take(f"client-{number}")
    assert len(limit._buckets) == CLIENTS_MAX
