"""What the tests of the Redis engine build upon: a server that keeps its data over a kill, and can lose it."""

from tests.support.redis_server import RedisServer, redis_client


def test_each_test_finds_an_empty_database(redis_url: str) -> None:
    with redis_client(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left behind", "by a test")


def test_a_killed_server_keeps_its_data_unless_told_to_forget(redis_server: RedisServer) -> None:
    with redis_client(redis_server.url) as client:
        client.set("kept", "1")
        redis_server.kill()
        redis_server.start()
        assert client.get("kept") == b"1"

        redis_server.forget()
        redis_server.start()
        assert client.dbsize() == 0
