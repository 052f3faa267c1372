"""Evidence: what came of executing verification steps."""

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from shiftwork.store.noun import Noun
from shiftwork.store.rows import EvidenceRow
from shiftwork.store.tables import EvidenceTable


class Evidence(Noun):
    """The rows of `evidence`."""

    async def add(
        self,
        session_id: int | None,
        round_number: int,
        feature_id: int,
        step: int,
        *,
        commit: str,
        verdict: str,
        command: str | None = None,
        exit_status: int | None = None,
        output_digest: str = "",
        output_tail: str = "",
        duration_seconds: float = 0.0,
    ) -> bool:
        """Add what came of one step on one commit; False if that session has it for this round already."""
        values = {
            "session_id": session_id,
            "round": round_number,
            "feature_id": feature_id,
            "step": step,
            "commit": commit,
            "command": command,
            "exit_status": exit_status,
            "output_digest": output_digest,
            "output_tail": output_tail,
            "duration_seconds": duration_seconds,
            "verdict": verdict,
        }
        statement = insert(EvidenceTable).values(values).on_conflict_do_nothing()
        return await self._hits(statement.returning(EvidenceTable.id))

    async def for_session(self, session_id: int) -> list[EvidenceRow]:
        """All evidence of a session, in the order it was gathered."""
        statement = select(EvidenceTable).where(EvidenceTable.session_id == session_id)
        return await self._all(statement.order_by(EvidenceTable.id), EvidenceRow)

    async def latest(self, feature_id: int) -> list[EvidenceRow]:
        """The newest evidence of each of a feature's steps, in the order of the steps."""
        newest = (
            select(func.max(EvidenceTable.id))
            .where(EvidenceTable.feature_id == feature_id)
            .group_by(EvidenceTable.step)
        )
        statement = select(EvidenceTable).where(EvidenceTable.id.in_(newest)).order_by(EvidenceTable.step)
        return await self._all(statement, EvidenceRow)
