"""Writing many rows at once, by COPY."""

from collections.abc import Iterable, Sequence

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from vidintel.infrastructure.database.engine import Unreachable


async def copy_rows(
    session: AsyncSession, table: str, columns: Sequence[str], rows: Iterable[tuple[object, ...]]
) -> int:
    """COPY ``rows`` into ``table`` within the session's transaction; returns how many. JSONB is given as text."""
    # The driver opens the transaction with the first statement that passes through SQLAlchemy; COPY does not.
    await session.execute(text("SELECT 1"))
    pooled = await (await session.connection()).get_raw_connection()
    driver = pooled.driver_connection
    assert isinstance(driver, asyncpg.Connection)
    try:
        copied = await driver.copy_records_to_table(table, columns=columns, records=rows)
    except OSError as error:
        raise Unreachable(str(error)) from error
    return int(copied.removeprefix("COPY "))
