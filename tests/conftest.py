pytest_plugins = ["tests.support.postgres", "tests.support.redis_server", "tests.support.s3_server"]
