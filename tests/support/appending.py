"""``python -m tests.support.appending SETTINGS UPLOAD``: append to an upload until killed.

``SETTINGS`` is JSON for `Settings`: which storage it is. Sends `SENT_BYTES` of `content`, and then waits for ever.
"""

import asyncio
import random
import sys
from collections.abc import AsyncIterator

from vidintel.application.ports import UploadId
from vidintel.infrastructure.resilience.circuit_breaker import CircuitBreakers
from vidintel.infrastructure.storage.factory import create_storage
from vidintel.settings.model import Settings

MIB = 1024**2
SENT_BYTES = 44 * MIB


def content(size: int) -> bytes:
    """The first ``size`` bytes of what is uploaded; no two places are alike."""
    return random.Random(7).randbytes(size)


async def _chunks() -> AsyncIterator[bytes]:
    sent = content(SENT_BYTES)
    for start in range(0, SENT_BYTES, MIB):
        yield sent[start : start + MIB]
    await asyncio.Event().wait()


async def main(settings_json: str, upload: str) -> None:
    settings = Settings.model_validate_json(settings_json)
    storage = create_storage(settings, CircuitBreakers(lambda: settings.circuit, settings.redis))
    await storage.append(UploadId(upload), 0, _chunks(), max_bytes=2 * SENT_BYTES)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
