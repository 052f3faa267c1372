"""What became of decisions, as far as the harness can tell by itself; what people say of them wins."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from shiftwork.contracts.decision import FAILED_SCORE, LANDED_SCORE, DecisionOutcome, Judgement
from shiftwork.contracts.feature import FeatureStatus
from shiftwork.contracts.state import FeatureState
from shiftwork.contracts.workflow import SessionResult, SessionStatus
from shiftwork.planning.choose import is_blocked_by_dependency
from shiftwork.planning.outcome import describe
from shiftwork.store.rows import SessionRow
from shiftwork.store.store import Transaction
from shiftwork.text import one_line, truncate
from shiftwork.verification.words import headline

LESSON_CHARACTERS = 300
"""A lesson of the harness is at most so long: what failed, and the line that tells most of it."""


async def judge_session(tx: Transaction, session: SessionRow, result: SessionResult, detail: str) -> None:
    """Judge what was decided in a session that came to an end of its own; repeated, it changes nothing.

    Args:
        detail: what the failed attempt or verification said of itself.
    """
    names = await broken_names(tx, session.project_id, result)
    judgement = judgement_of(result, detail, names)
    # A plan that was taken has proved nothing yet: it is judged only if it failed.
    if judgement is not None and (session.feature_id is not None or result.failure is not None):
        await tx.decisions.judge_session(session.id, judgement)


async def judge_blocked(tx: Transaction, features: Iterable[FeatureState]) -> None:
    """What was decided for a feature that is blocked now, and not for another's sake, has failed."""
    for feature in features:
        if feature.status is FeatureStatus.BLOCKED and not is_blocked_by_dependency(feature):
            lesson = _lesson(f"the feature was blocked: {feature.blocked_reason or 'no reason was given'}")
            await tx.decisions.judge_feature(feature.id, _failure(lesson))


async def broken_names(tx: Transaction, project_id: str, result: SessionResult) -> Mapping[int, str]:
    """The names of the features that a session broke, by id; people know those, not the ids."""
    if result.failure is None or not result.failure.features:
        return {}
    return {row.id: row.name for row in await tx.features.list(project_id)}


def judgement_of(
    result: SessionResult, detail: str, names: Mapping[int, str] = MappingProxyType({})
) -> Judgement | None:
    """What a session's end says of its decisions; None if it was interrupted: then nobody knows yet."""
    if result.status is SessionStatus.PASSED:
        return Judgement(outcome=DecisionOutcome.SUCCESS, score=LANDED_SCORE)
    if result.failure is None:
        return None
    told = headline(detail)
    return _failure(_lesson(f"{describe(result.failure, names)}{f': {told}' if told else ''}"))


def _failure(lesson: str) -> Judgement:
    return Judgement(outcome=DecisionOutcome.FAILURE, score=FAILED_SCORE, lesson=lesson)


def _lesson(text: str) -> str:
    return truncate(one_line(text), LESSON_CHARACTERS)
