"""Uploads to a bucket: parts of a multipart upload, and a state object that lists the committed parts.

The state object of an upload lies at ``.uploads/<upload id>``. It has a line of JSON, and after it the tail: bytes that
are too few for a part yet. Putting it is what commits an append; parts that it does not name never count. The object
carries the upload's id in its metadata, so that a finished upload is known as such when its state object is gone.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import Lock
from typing import Any
from uuid import uuid4

from vidintel.application.ports import UploadId
from vidintel.domain.errors import DomainError, StorageError, UploadInUse, UploadNotFound, UploadOffsetMismatch
from vidintel.infrastructure.storage.hashes import Sha256, UploadHashes
from vidintel.infrastructure.storage.keys import new_upload_id, parts_of
from vidintel.infrastructure.storage.s3_bucket import S3Bucket, says_no_multipart
from vidintel.infrastructure.storage.s3_upload import joined

PARTS_MAX = 10_000
CHECKPOINT_BYTES = 32 * 1024**2
_PART_BYTES_MIN = 5 * 1024**2
_STATES = ".uploads/"  # no key can name it: keys have no dots
_VERSION = 1


@dataclass(frozen=True, slots=True)
class UploadState:
    """What counts of an upload: ``parts`` of ``multipart``, as `S3Bucket.upload_part` gave them, and ``tail``."""

    offset: int = 0
    multipart: str | None = None
    parts: tuple[dict[str, Any], ...] = ()
    tail: bytes = field(default=b"", repr=False)

    def encoded(self) -> bytes:
        """With a nonce, so that no two commits have the same ETag."""
        head = {
            "version": _VERSION,
            "offset": self.offset,
            "multipart": self.multipart,
            "parts": self.parts,
            "nonce": uuid4().hex,
        }
        return json.dumps(head).encode() + b"\n" + self.tail

    @classmethod
    def decoded(cls, content: bytes) -> "UploadState":
        line, _, tail = content.partition(b"\n")
        head = json.loads(line)
        if head["version"] != _VERSION:
            raise StorageError("Another version of this software started this upload. Start a new one.")
        return cls(head["offset"], head["multipart"], tuple(head["parts"]), tail)


class S3Uploads:
    """The uploads of a bucket. Its methods block."""

    def __init__(self, bucket: S3Bucket) -> None:
        self._bucket = bucket
        self._hashes = UploadHashes()

    def begin(self, key: str) -> UploadId:
        upload = new_upload_id(key)
        _put_state(self._bucket, upload, UploadState())
        return upload

    def appending(self, upload: UploadId, offset: int, *, max_bytes: int, atomic: bool) -> "S3Append":
        parts_of(upload)
        return S3Append(self._bucket, self._hashes, upload, offset, max_bytes, atomic)

    def offset(self, upload: UploadId) -> int:
        """Raises `UploadNotFound`."""
        state = self._bucket.head(_state_key(upload))
        return self._finished_size(upload) if state is None else int(state.metadata["offset"])

    def publish(self, upload: UploadId) -> tuple[str, int] | None:
        """Make the object appear; returns its SHA-256 and size, or ``None`` when the object has to be read for them.

        Call `forget` afterwards. Raises `UploadNotFound`.
        """
        found = _get_state(self._bucket, upload)
        if found is None:
            self._finished_size(upload)
            return None
        state, etag = found
        unique, key = parts_of(upload)
        if state.multipart is None:
            self._bucket.put(key, state.tail, {"upload": unique})
        else:
            self._complete(upload, key, state, state.multipart)
        sha256 = self._hashes.get(upload, etag, state.offset)
        return None if sha256 is None else (sha256.hexdigest(), state.offset)

    def forget(self, upload: UploadId) -> None:
        """Remove what is known of the upload beside the object."""
        self._hashes.forget(upload)
        self._bucket.delete(_state_key(upload))

    def abort(self, upload: UploadId) -> None:
        found = _get_state(self._bucket, upload)
        if found is not None and found[0].multipart is not None:
            self._bucket.abort_multipart(parts_of(upload)[1], found[0].multipart)
        self.forget(upload)

    def purge(self, newest: datetime) -> int:
        """Remove multipart uploads and state objects last changed at ``newest`` or before; returns how many uploads.

        A multipart upload whose key has a newer state object is spared, however long ago it was started.
        """
        states = list(self._bucket.objects(_STATES))
        active = {_key_of(state) for state, changed in states if changed > newest}
        aborted = [
            key
            for key, multipart, started in self._bucket.multiparts()
            if started <= newest and key not in active and self._bucket.abort_multipart(key, multipart)
        ]
        removed = len(aborted)
        for state, changed in states:
            if changed <= newest:
                self._bucket.delete(state)
                removed += _key_of(state) not in aborted
        return removed

    def _complete(self, upload: UploadId, key: str, state: UploadState, multipart: str) -> None:
        parts = list(state.parts)
        try:
            if state.tail:
                parts.append(self._bucket.upload_part(key, multipart, len(parts) + 1, state.tail))
            self._bucket.complete_multipart(key, multipart, parts)
        except StorageError as error:
            if not says_no_multipart(error):
                raise
            self._finished_size(upload)  # it was completed before, or is gone

    def _finished_size(self, upload: UploadId) -> int:
        """The size of the object that ``upload`` has become. Raises `UploadNotFound` when it has become none."""
        unique, key = parts_of(upload)
        found = self._bucket.head(key)
        if found is None or found.metadata.get("upload") != unique:
            raise UploadNotFound
        return found.size


class S3Append:
    """A `BlockWriter` for one append; `finish` returns how many bytes the upload holds then."""

    def __init__(
        self, bucket: S3Bucket, hashes: UploadHashes, upload: UploadId, offset: int, max_bytes: int, atomic: bool
    ) -> None:
        self._bucket = bucket
        self._hashes = hashes
        self._upload = upload
        self._unique, self._key = parts_of(upload)
        self._given = offset
        self._max_bytes = max_bytes
        self._atomic = atomic
        self._lock = Lock()
        self._state: UploadState | None = None  # with what is not committed yet
        self._sha256: Sha256 | None = None
        self._committed = offset
        self._etag = ""
        self._started: str | None = None  # the multipart upload, when it was started here and no state names it
        self._is_whole = True  # the state has all that was given to `write`

    def open(self) -> None:
        with self._lock:
            found = _get_state(self._bucket, self._upload)
            if found is None:
                raise UploadNotFound
            state, self._etag = found
            if state.offset != self._given:
                raise UploadOffsetMismatch(self._given, state.offset)
            self._sha256 = self._hashes.get(self._upload, self._etag, state.offset)
            self._state = state

    def write(self, block: list[bytes]) -> None:
        with self._lock:
            if self._state is not None:
                state = self._append(self._state, block)
                if not self._atomic and state.offset - self._committed >= CHECKPOINT_BYTES:
                    self._commit(state)

    def finish(self, block: list[bytes]) -> int:
        with self._lock:
            if self._state is not None:
                self._commit(self._append(self._state, block))
                self._state = None
            return self._committed

    def abort(self, block: list[bytes]) -> None:
        """Commit the received bytes, or with ``atomic`` none. If the commit fails, earlier commits still hold."""
        with self._lock:
            if self._state is not None and self._is_whole and not self._atomic:
                with suppress(DomainError):
                    self._commit(self._append(self._state, block))
            self._state = None
            if self._started is not None:
                with suppress(DomainError):  # `purge_unfinished` tries again
                    self._bucket.abort_multipart(self._key, self._started)

    def _append(self, state: UploadState, block: list[bytes]) -> UploadState:
        with self._whole_afterwards():
            if self._sha256 is not None:
                for chunk in block:
                    self._sha256.update(chunk)
            offset = state.offset + sum(map(len, block))
            block.insert(0, state.tail)
            state = replace(state, offset=offset, tail=joined(block))
            if len(state.tail) >= self._part_bytes(state):
                state = self._with_part(state)
            self._state = state
        return state

    def _with_part(self, state: UploadState) -> UploadState:
        """The state after its tail was sent as a part."""
        self._require_unchanged()
        multipart = state.multipart
        if multipart is None:
            multipart = self._started = self._bucket.create_multipart(self._key, {"upload": self._unique})
        try:
            part = self._bucket.upload_part(self._key, multipart, len(state.parts) + 1, state.tail)
        except StorageError as error:
            if says_no_multipart(error):  # aborted, finished or purged meanwhile
                raise UploadNotFound from error
            raise
        return replace(state, multipart=multipart, parts=(*state.parts, part), tail=b"")

    def _part_bytes(self, state: UploadState) -> int:
        """The least that the next part may have: S3 takes 10,000 parts, each but the last of 5 MiB at least."""
        left = self._max_bytes - state.offset + len(state.tail)
        return max(_PART_BYTES_MIN, -(-left // (PARTS_MAX - len(state.parts))))

    def _commit(self, state: UploadState) -> None:
        if state.offset == self._committed:
            return
        with self._whole_afterwards():
            self._require_unchanged()
            self._started = None
            self._etag = _put_state(self._bucket, self._upload, state)
            self._committed = state.offset
            self._hashes.keep(self._upload, self._etag, self._sha256)

    def _require_unchanged(self) -> None:
        """Raises `UploadInUse` when another append was committed since this one began."""
        found = self._bucket.head(_state_key(self._upload))
        if found is None:
            raise UploadNotFound
        if found.etag != self._etag:
            raise UploadInUse

    @contextmanager
    def _whole_afterwards(self) -> Iterator[None]:
        self._is_whole = False
        yield
        self._is_whole = True


def _state_key(upload: UploadId) -> str:
    parts_of(upload)
    return _STATES + upload


def _key_of(state_key: str) -> str:
    """The key of the object that a state object's upload is to become."""
    return state_key.removeprefix(_STATES).partition("/")[2]


def _get_state(bucket: S3Bucket, upload: UploadId) -> tuple[UploadState, str] | None:
    """The state and its ETag; ``None`` when there is none."""
    found = bucket.get(_state_key(upload))
    return None if found is None else (UploadState.decoded(found[0]), found[1])


def _put_state(bucket: S3Bucket, upload: UploadId, state: UploadState) -> str:
    """Returns the ETag."""
    return bucket.put(_state_key(upload), state.encoded(), {"offset": str(state.offset)})
