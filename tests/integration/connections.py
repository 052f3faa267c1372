"""What a PostgreSQL server says of those who are connected to it."""

import asyncpg


async def blocked(connection: asyncpg.Connection) -> set[int]:
    """Those that wait for a lock of somebody else."""
    rows = await connection.fetch(
        "SELECT pid FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0"
    )
    return {row["pid"] for row in rows}


async def connected(connection: asyncpg.Connection) -> set[int]:
    """All who are connected to the server."""
    return {row["pid"] for row in await connection.fetch("SELECT pid FROM pg_stat_activity")}
