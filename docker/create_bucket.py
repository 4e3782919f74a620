"""Creates the bucket of the settings, unless it is there already."""

import sys
from typing import Any

from botocore.exceptions import ClientError

from vidintel.infrastructure.storage.s3_calls import connect
from vidintel.settings.sources import load

_ALREADY_THERE = ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")


def main() -> None:
    settings = load().settings.s3
    if settings.bucket is None:
        sys.exit("VIDINTEL_S3__BUCKET is not set.")
    client: Any = connect(settings)
    try:
        client.create_bucket(Bucket=settings.bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] not in _ALREADY_THERE:
            raise
    finally:
        client.close()


if __name__ == "__main__":
    main()
