pytest_plugins = ["tests.postgres", "tests.redis_server", "tests.s3_server"]
