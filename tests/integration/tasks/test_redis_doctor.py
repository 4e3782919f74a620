"""What `vidintel doctor` tells about Redis."""

import pytest

from vidintel.entrypoints.doctor import check_redis, redis_version


def test_a_server_that_answers_tells_its_version(redis_url: str) -> None:
    check = check_redis(lambda: redis_version(redis_url))

    assert check.ok
    assert check.detail[0].isdigit()


@pytest.mark.parametrize("url", ["redis://:hidden@127.0.0.1:1/0", "rubbish:hidden"])
def test_a_server_that_does_not_is_wrong_and_its_password_stays_unsaid(url: str) -> None:
    check = check_redis(lambda: redis_version(url))

    assert not check.ok
    assert "VIDINTEL_REDIS__URL" in check.fix
    assert "hidden" not in check.detail + check.fix
