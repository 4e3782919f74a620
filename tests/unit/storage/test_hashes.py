"""The hash of an upload: free where one process wrote it all, right where several did."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contracts.content import KEY, NO_LIMIT, stream
from vidintel.application.ports import UploadId
from vidintel.infrastructure.storage.hashes import UploadHashes
from vidintel.infrastructure.storage.local_disk import LocalDiskObjectStorage

UPLOAD = UploadId(f"{'0' * 32}/{KEY}")


class Counting(LocalDiskObjectStorage):
    """Counts how often objects are read."""

    reads = 0

    def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        self.reads += 1
        return super().read(key, start, end)


@pytest.mark.parametrize(("writers", "reads"), [("aaa", 0), ("aba", 1), ("abb", 1), ("bba", 1), ("bbb", 1)])
async def test_an_object_is_read_for_its_hash_only_when_others_wrote_to_it(
    tmp_path: Path, writers: str, reads: int
) -> None:
    a, b = (Counting(tmp_path, min_free_bytes=0) for _ in range(2))
    upload = await a.begin_upload(KEY)
    for offset, writer in enumerate(writers):
        await {"a": a, "b": b}[writer].append(upload, offset, stream(b"x"), max_bytes=NO_LIMIT)

    stored = await a.finish_upload(upload)

    assert (stored.sha256, a.reads) == (hashlib.sha256(b"xxx").hexdigest(), reads)


async def test_a_break_does_not_disturb_the_hash(tmp_path: Path) -> None:
    storage = Counting(tmp_path, min_free_bytes=0)
    upload = await storage.begin_upload(KEY)
    await storage.append(upload, 0, stream(b"kept"), max_bytes=NO_LIMIT)
    for atomic in (True, False):
        broken = stream(b"half", then=ConnectionResetError())
        with pytest.raises(ConnectionResetError):
            await storage.append(upload, 4, broken, max_bytes=NO_LIMIT, atomic=atomic)

    stored = await storage.finish_upload(upload)

    assert (stored.sha256, storage.reads) == (hashlib.sha256(b"kepthalf").hexdigest(), 0)


def test_what_was_kept_stays_as_it_was() -> None:
    hashes, sha256 = UploadHashes(), hashlib.sha256(b"a")
    hashes.keep(UPLOAD, 1, sha256)
    sha256.update(b"b")
    for _ in range(2):
        found = hashes.get(UPLOAD, 1, 1)
        assert found is not None
        found.update(b"c")
        assert found.hexdigest() == hashlib.sha256(b"ac").hexdigest()

    assert hashes.get(UPLOAD, 2, 1) is None
    hashes.forget(UPLOAD)
    assert hashes.get(UPLOAD, 1, 1) is None


def test_the_latest_uploads_are_kept() -> None:
    hashes = UploadHashes()
    uploads = [UploadId(f"{number:032x}/{KEY}") for number in range(2_000)]
    for upload in uploads:
        hashes.keep(upload, 1, hashlib.sha256(b"a"))

    kept = [upload for upload in uploads if hashes.get(upload, 1, 1) is not None]

    assert kept == uploads[-1024:]
