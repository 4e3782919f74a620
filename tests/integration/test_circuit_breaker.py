"""Circuit breakers, with their memory in this process or in a real Redis."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from pydantic import SecretStr

from tests.support.redis_server import RedisServer
from vidintel.application.ports import CircuitState
from vidintel.infrastructure.resilience.circuit_breaker import CircuitBreaker, CircuitBreakers, CircuitOpen
from vidintel.settings.model import CircuitSettings, RedisSettings

PATIENCE_S = 30.0


def is_outage(error: BaseException) -> bool:
    return isinstance(error, ConnectionError)


def fail(breaker: CircuitBreaker, error: Exception | None = None) -> None:
    with pytest.raises(type(error or ConnectionError())), breaker.calling():
        raise error or ConnectionError


def succeed(breaker: CircuitBreaker) -> None:
    with breaker.calling():
        pass


def wait_for(breaker: CircuitBreaker, state: CircuitState) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while breaker.state != state:
        assert time.monotonic() < deadline, breaker.state
        time.sleep(0.005)


class CircuitBreakerContract:
    """``process`` makes what another process would have: breakers of its own on the same memory."""

    @pytest.fixture
    def process(self) -> Callable[..., CircuitBreakers]:
        raise NotImplementedError

    def test_it_opens_after_so_many_outages_in_a_row(self, process: Callable[..., CircuitBreakers]) -> None:
        breaker = process(failures=3).breaker("s3", is_outage)
        fail(breaker)
        fail(breaker)
        succeed(breaker)
        fail(breaker)
        fail(breaker)
        succeed(breaker)
        fail(breaker)
        fail(breaker)
        fail(breaker)

        with pytest.raises(CircuitOpen) as refused:
            succeed(breaker)
        assert breaker.state == "open"
        assert 0 < refused.value.retry_after_s <= 60

    def test_what_is_no_outage_counts_as_an_answer(self, process: Callable[..., CircuitBreakers]) -> None:
        breaker = process(failures=2).breaker("s3", is_outage)
        fail(breaker)
        fail(breaker, LookupError("no such object"))
        fail(breaker)

        assert breaker.state == "closed"

    def test_circuits_do_not_touch_one_another(self, process: Callable[..., CircuitBreakers]) -> None:
        breakers = process(failures=1)
        down, well = breakers.breaker("down", is_outage), breakers.breaker("well", is_outage)
        fail(down)
        succeed(well)

        assert breakers.states() == {"down": "open", "well": "closed"}

    def test_after_the_cool_down_one_may_try_and_a_success_closes_it(
        self, process: Callable[..., CircuitBreakers]
    ) -> None:
        breaker = process(failures=1, cool_down_s=0.05).breaker("s3", is_outage)
        fail(breaker)
        wait_for(breaker, "half-open")

        with breaker.calling(), pytest.raises(CircuitOpen):
            succeed(breaker)

        assert breaker.state == "closed"
        succeed(breaker)

    def test_a_trial_that_fails_opens_it_again(self, process: Callable[..., CircuitBreakers]) -> None:
        breaker = process(failures=2, cool_down_s=0.05).breaker("s3", is_outage)
        fail(breaker)
        fail(breaker)
        wait_for(breaker, "half-open")

        fail(breaker)

        wait_for(breaker, "half-open")
        succeed(breaker)
        assert breaker.state == "closed"

    def test_listeners_hear_of_every_change(self, process: Callable[..., CircuitBreakers]) -> None:
        heard: list[tuple[str, CircuitState]] = []
        breakers = process(failures=1, cool_down_s=0.05)
        breakers.add_listener(lambda name, state: heard.append((name, state)))
        breaker = breakers.breaker("s3", is_outage)

        fail(breaker)
        wait_for(breaker, "half-open")
        succeed(breaker)

        assert heard == [("s3", "open"), ("s3", "half-open"), ("s3", "closed")]

    def test_many_threads_open_it_together(self, process: Callable[..., CircuitBreakers]) -> None:
        breaker = process(failures=8).breaker("s3", is_outage)
        together = threading.Barrier(8)

        def call() -> None:
            with suppress(ConnectionError), breaker.calling():
                together.wait(PATIENCE_S)
                raise ConnectionError

        threads = [threading.Thread(target=call) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # Each may have counted before the others were done; the next one knows of them all.
        with suppress(ConnectionError, CircuitOpen), breaker.calling():
            raise ConnectionError

        assert breaker.state == "open"


class TestInMemory(CircuitBreakerContract):
    @pytest.fixture
    def process(self) -> Callable[..., CircuitBreakers]:
        def make(failures: int, cool_down_s: float = 60.0) -> CircuitBreakers:
            settings = CircuitSettings(failures=failures, cool_down_s=cool_down_s)
            return CircuitBreakers(lambda: settings, RedisSettings())

        return make


@pytest.fixture
def processes() -> Iterator[Callable[..., CircuitBreakers]]:
    made: list[CircuitBreakers] = []

    def make(url: str, failures: int, cool_down_s: float = 60.0) -> CircuitBreakers:
        redis = RedisSettings(url=SecretStr(url), namespace="tests")
        settings = CircuitSettings(failures=failures, cool_down_s=cool_down_s)
        made.append(CircuitBreakers(lambda: settings, redis))
        return made[-1]

    yield make
    for breakers in made:
        breakers.close()


class TestInRedis(CircuitBreakerContract):
    @pytest.fixture
    def process(self, redis_url: str, processes: Callable[..., CircuitBreakers]) -> Callable[..., CircuitBreakers]:
        return lambda **options: processes(redis_url, **options)

    def test_what_one_process_sees_all_know(self, process: Callable[..., CircuitBreakers]) -> None:
        one, other = (process(failures=2).breaker("s3", is_outage) for _ in range(2))
        fail(one)
        fail(other)

        assert (one.state, other.state) == ("open", "open")
        with pytest.raises(CircuitOpen):
            succeed(one)

    def test_only_one_process_tries(self, process: Callable[..., CircuitBreakers]) -> None:
        one, other = (process(failures=1, cool_down_s=0.05).breaker("s3", is_outage) for _ in range(2))
        fail(one)
        wait_for(other, "half-open")

        with one.calling(), pytest.raises(CircuitOpen):
            succeed(other)

        assert other.state == "closed"


def test_without_its_redis_a_process_goes_by_what_it_sees_itself(
    redis_server: RedisServer, processes: Callable[..., CircuitBreakers]
) -> None:
    breaker = processes(redis_server.url, failures=2).breaker("s3", is_outage)
    fail(breaker)
    redis_server.kill()

    succeed(breaker)
    fail(breaker)
    fail(breaker)

    assert breaker.state == "open"
    with pytest.raises(CircuitOpen):
        succeed(breaker)
