"""Fingerprints of the secrets that workers know: each owns one row, and its successor removes it."""

from datetime import timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Select, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert

from shiftwork.store.noun import Noun
from shiftwork.store.tables.secret import FingerprintTable

RENEWAL = timedelta(minutes=1)
"""How often a worker renews its row."""

LAPSE = timedelta(minutes=5)
"""After how long without that its worker is taken for gone, and may be succeeded."""

KEPT = timedelta(days=30)
"""How long the row of a worker stays that nobody succeeds."""

_MOST = 100
"""Rows that a client reads, newest first."""

_MOST_BYTES = 64 << 20
"""Bytes of all their bodies."""


class Published(NamedTuple):
    """What workers publish.

    Attributes:
        contents: each worker's owner, and what tells whether it knows something else by now, newest first.
        left_out: workers whose rows are too many or too large to be read.
    """

    contents: list[tuple[str, str]]
    left_out: int


class FingerprintRows(Noun):
    """The rows of `secret_fingerprints`."""

    async def publish(self, owner: str, place: str, content: str, body: bytes) -> None:
        """Write or renew a worker's row, and remove what it succeeds: see `tidy`."""
        values = {"place": place, "content": content, "body": body}
        statement = insert(FingerprintTable).values(owner=owner, **values)
        statement = statement.on_conflict_do_update(
            index_elements=[FingerprintTable.owner], set_={**values, "renewed_at": func.clock_timestamp()}
        )
        await self._connection.execute(statement)
        await self.tidy(place, content)

    async def tidy(self, place: str, content: str | None = None) -> None:
        """Remove the rows of workers that are gone: from this place, or with this content, or long ago."""
        row = FingerprintTable
        succeeded = or_(row.place == place, row.content == content) if content else row.place == place
        lapsed = row.renewed_at < func.clock_timestamp() - LAPSE
        old = row.renewed_at < func.clock_timestamp() - KEPT
        await self._connection.execute(delete(row).where(or_(succeeded & lapsed, old)))


def published(connection: Connection) -> Published:
    """What is published, in whatever transaction the connection is in; as much of it as is bearable."""
    chosen: list[tuple[str, str]] = []
    total = left_out = 0
    for owner, content, size, _ in connection.execute(_RECENT):
        if len(chosen) < _MOST and total + size <= _MOST_BYTES:
            chosen.append((owner, content))
            total += size
        else:
            left_out += 1
    return Published(chosen, left_out)


def bodies(connection: Connection, owners: list[str]) -> list[tuple[str, bytes]]:
    """The bodies of these, in this order, of those that are still there."""
    row = FingerprintTable
    found = connection.execute(select(row.owner, row.body).where(row.owner.in_(owners)))
    by_owner = {each.owner: each.body for each in found}
    return [(owner, by_owner[owner]) for owner in owners if owner in by_owner]


def _recent() -> Select[Any]:
    row = FingerprintTable.metadata.tables["secret_fingerprints"].c
    return (
        select(row.owner, row.content, func.octet_length(row.body), row.renewed_at)
        .where(row.renewed_at > func.clock_timestamp() - KEPT)
        .order_by(row.renewed_at.desc(), row.owner)
    )


_RECENT: Final = _recent()
"""Made once: it precedes what is written, once a second."""
