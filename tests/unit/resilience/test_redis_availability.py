"""Redis is left alone for a while after it did not answer."""

from structlog.testing import capture_logs

from vidintel.infrastructure.resilience.redis_availability import RedisAvailability

RETRY_AFTER_S = 5.0


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_redis_is_asked_until_it_fails_and_again_after_the_pause() -> None:
    clock = Clock()
    redis = RedisAvailability("cache", retry_after_s=RETRY_AFTER_S, time_s=clock)
    states = [redis.is_available]

    redis.failed(ConnectionError("refused"))
    for clock.now_s in (0.0, RETRY_AFTER_S - 0.1, RETRY_AFTER_S):
        states.append(redis.is_available)

    assert states == [True, False, False, True]


def test_failures_at_the_same_time_are_logged_once_and_the_last_one_counts() -> None:
    clock = Clock()
    redis = RedisAvailability("cache", retry_after_s=RETRY_AFTER_S, time_s=clock)

    with capture_logs() as logs:
        redis.failed(ConnectionError("refused"))
        clock.now_s = 1.0
        redis.failed(ConnectionError("refused"))
    assert logs == [
        {
            "event": "redis.unavailable",
            "log_level": "warning",
            "used_for": "cache",
            "error": "ConnectionError('refused')",
            "retry_in_s": RETRY_AFTER_S,
        }
    ]
    clock.now_s = RETRY_AFTER_S
    assert not redis.is_available

    clock.now_s += 1.0
    with capture_logs() as logs:
        redis.failed(ConnectionError("refused"))
    assert len(logs) == 1
