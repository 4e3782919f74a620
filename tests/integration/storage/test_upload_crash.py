"""A process that is killed while it appends: the upload keeps its checkpoints, and another process goes on."""

import asyncio
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.contracts.content import KEY, NO_LIMIT, content_of, stream
from tests.support.appending import MIB, SENT_BYTES, content
from vidintel.application.ports import ObjectStorage, UploadId
from vidintel.infrastructure.storage.local_disk import LocalDiskObjectStorage
from vidintel.infrastructure.storage.s3 import S3ObjectStorage
from vidintel.settings.model import S3Settings

PATIENCE_S = 120.0


@contextmanager
def appending(settings: Mapping[str, object], upload: UploadId) -> Iterator[subprocess.Popen[bytes]]:
    arguments = [sys.executable, "-m", "tests.support.appending", json.dumps(settings), upload]
    with subprocess.Popen(arguments, stdin=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


async def killed_and_resumed(storage: ObjectStorage, settings: Mapping[str, object]) -> None:
    upload = await storage.begin_upload(KEY)
    with appending(settings, upload) as process:
        async with asyncio.timeout(PATIENCE_S):
            while await storage.upload_offset(upload) < 32 * MIB:
                assert process.poll() is None
                await asyncio.sleep(0.05)
    whole = content(SENT_BYTES + MIB)

    offset = await storage.upload_offset(upload)
    assert 32 * MIB <= offset < SENT_BYTES
    assert await storage.append(upload, offset, stream(whole[offset:]), max_bytes=NO_LIMIT) == len(whole)
    stored = await storage.finish_upload(upload)

    assert (stored.size_bytes, stored.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())
    assert hashlib.sha256(await content_of(storage)).hexdigest() == stored.sha256


async def test_on_the_disk(tmp_path: Path) -> None:
    storage = LocalDiskObjectStorage(tmp_path, min_free_bytes=0)

    await killed_and_resumed(storage, {"storage": {"root": str(tmp_path), "min_free_bytes": 0}})


async def test_on_s3(s3_storage: S3ObjectStorage, s3_settings: S3Settings) -> None:
    secrets = ("access_key_id", "secret_access_key")
    plain = {name: secret.get_secret_value() for name in secrets if (secret := getattr(s3_settings, name)) is not None}
    given = s3_settings.model_dump(mode="json", exclude=set(secrets)) | plain

    await killed_and_resumed(s3_storage, {"s3": given})
