"""What a verifier gave as evidence, executed on a fresh checkout of the landing."""

import asyncio
from collections.abc import Mapping

from activities.services import Services
from activities.verifying import make_verifier
from shiftwork.contracts.activity import JudgeRequest
from shiftwork.contracts.feature import VerificationStep
from shiftwork.repository.files import remove_tree
from shiftwork.store.rows import FeatureRow
from shiftwork.verification.landing import explain
from shiftwork.verification.setup import SetupFailed

_ROUNDS = 1_000
"""More than a session verifies: each moves main, and sessions end."""


async def failing_evidence(
    services: Services,
    request: JudgeRequest,
    feature: FeatureRow,
    evidence: Mapping[int, VerificationStep],
    attempt: int,
) -> tuple[int, str] | None:
    """The first piece of evidence that does not hold, by its step and in words; None if all hold.

    Args:
        attempt: the verifier's that gave it.
    """
    folder, name = services.folder(request.project_id), f"j{request.session}-{attempt}"
    await folder.take_back(name)
    workspace = await folder.workspaces.acquire(name, to_judge=True)
    try:
        async with services.store.transaction() as tx:
            project = await tx.projects.get(request.project_id)
            session = await tx.sessions.get(request.project_id, request.session)
        # Rounds below zero are the verifier's: they never meet those of the commands.
        number = -(_ROUNDS * attempt + request.round)
        verifier = make_verifier(services, project, workspace, session_id=session.id, round_number=number)
        shown = feature.model_copy(update={"verification_steps": _only(feature, evidence)})
        found = await verifier.check(shown, request.landing)
    except SetupFailed as error:
        return min(evidence), str(error)
    finally:
        await workspace.release()
        await asyncio.to_thread(remove_tree, folder.runs / name, ignore_errors=True)
    failed = next((step for step in found if step.failure is not None), None)
    return None if failed is None else (failed.step, explain(shown, failed))


def _only(feature: FeatureRow, evidence: Mapping[int, VerificationStep]) -> tuple[VerificationStep, ...]:
    """The evidence in the places of the steps that it decides; the others, which were run, are left out."""
    nothing = VerificationStep()
    return tuple(evidence.get(index, nothing) for index in range(len(feature.verification_steps)))
