import hypothesis

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

pytest_plugins = ["tests.support.postgres", "tests.support.redis_server", "tests.support.s3_server"]
