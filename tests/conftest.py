pytest_plugins = ["tests.postgres", "tests.redis_server"]
