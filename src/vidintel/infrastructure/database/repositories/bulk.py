"""Writing many rows at once, by COPY."""

import asyncio
from collections.abc import Iterable, Sequence

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from vidintel.infrastructure.database.engine import ANSWER_S, Unreachable


async def copy_rows(
    session: AsyncSession, table: str, columns: Sequence[str], rows: Iterable[tuple[object, ...]]
) -> int:
    """COPY ``rows`` into ``table`` within the session's transaction; returns how many. JSONB is given as text."""
    # The driver opens the transaction with the first statement that passes through SQLAlchemy; COPY does not.
    await session.execute(text("SELECT 1"))
    connection = await session.connection()
    pooled = await connection.get_raw_connection()
    driver = pooled.driver_connection
    assert isinstance(driver, asyncpg.Connection)
    limit_s: float = session.get_bind().get_execution_options()[ANSWER_S]
    # The driver waits without a limit until it can send, even when the connection is lost meanwhile.
    lost = asyncio.get_running_loop().create_future()
    copying = asyncio.ensure_future(driver.copy_records_to_table(table, columns=columns, records=rows))

    def note_loss(_connection: object) -> None:
        if not lost.done():
            lost.set_result(None)

    driver.add_termination_listener(note_loss)
    try:
        await asyncio.wait({copying, lost}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        if not copying.done():
            raise Unreachable("The connection was lost, or stopped responding, while rows were copied.")
        return int(copying.result().removeprefix("COPY "))
    except OSError as error:
        raise Unreachable(str(error)) from error
    finally:
        driver.remove_termination_listener(note_loss)
        if not copying.done():
            driver.terminate()
            copying.cancel()
            await asyncio.gather(copying, return_exceptions=True)
