"""docker/create_bucket.py, which both compose files run before anything needs the bucket."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

from vidintel.infrastructure.storage.s3_calls import connect
from vidintel.settings.model import S3Settings

SCRIPT = Path(__file__).parents[3] / "docker" / "create_bucket.py"


def test_a_bucket_is_created_once(s3_settings: S3Settings, tmp_path: Path) -> None:
    assert s3_settings.endpoint_url is not None
    assert s3_settings.access_key_id is not None
    assert s3_settings.secret_access_key is not None
    bucket = f"vidintel-test-{uuid4().hex}"
    environment = {
        **os.environ,
        "VIDINTEL_S3__BUCKET": bucket,
        "VIDINTEL_S3__ENDPOINT_URL": s3_settings.endpoint_url,
        "VIDINTEL_S3__ACCESS_KEY_ID": s3_settings.access_key_id.get_secret_value(),
        "VIDINTEL_S3__SECRET_ACCESS_KEY": s3_settings.secret_access_key.get_secret_value(),
        "VIDINTEL_S3__PATH_STYLE": "true",
    }

    for _ in range(2):
        done = subprocess.run(
            [sys.executable, str(SCRIPT)], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    client: Any = connect(s3_settings)
    client.head_bucket(Bucket=bucket)
    client.close()
