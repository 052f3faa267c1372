"""Running the steps of one feature in one checkout."""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from shiftwork.contracts.feature import VerificationStep
from shiftwork.contracts.session import FailureKind
from shiftwork.runner.supervisor import ProcessResult
from shiftwork.text import tail, truncate
from shiftwork.verification.arena import Arena
from shiftwork.verification.shell import Shell

_TAIL_BYTES = 8_000
"""How much of a step's output becomes evidence; its digest covers all of it."""


@dataclass(frozen=True, slots=True)
class StepEvidence:
    """What came of one step; `failure` None: it passed, or nothing was run. `duration` in seconds.

    Without an `exit_status` a reward decided; the output then says what was earned.
    """

    step: int
    command: str | None
    failure: FailureKind | None
    exit_status: int | None
    output_digest: str
    output_tail: str
    duration: float


class HasSteps(Protocol):
    """A feature, as far as verification is concerned."""

    @property
    def verification_steps(self) -> tuple[VerificationStep, ...]: ...


class StepRunner:
    """Runs steps as supervised, confined processes; nothing of a step outlives it.

    Args:
        default_timeout: seconds a step may take, unless it says otherwise.
        arena: where commands play environments; needed for steps that ask for that.
        judged: somebody else judges steps that have no command; otherwise these fail.
    """

    def __init__(
        self, shell: Shell, default_timeout: float, *, arena: Arena | None = None, judged: bool = False
    ) -> None:
        self._shell = shell
        self._timeout = default_timeout
        self._arena = arena
        self._judged = judged

    async def run(self, feature: HasSteps, checkout: Path, scratch: Path) -> list[StepEvidence]:
        """Run every step in order in `checkout`; `scratch` is their home and temporary folder.

        All steps run, also after a failure: the next attempt learns more from all of them.
        """
        return [
            await self._run_step(index, step, checkout, scratch)
            for index, step in enumerate(feature.verification_steps)
        ]

    async def _run_step(
        self, index: int, step: VerificationStep, checkout: Path, scratch: Path
    ) -> StepEvidence:
        if step.command is None:
            failure = None if self._judged else FailureKind.NO_COMMAND
            return StepEvidence(index, None, failure, None, "", "", 0.0)
        if step.environment is not None:
            return await self._play(index, step, checkout, scratch)
        result = await self._shell.run(
            step.command,
            cwd=checkout,
            scratch=scratch,
            timeout=step.timeout or self._timeout,
            look_for=step.expect_output or "",
        )
        return StepEvidence(
            step=index,
            command=step.command,
            failure=_verdict(step, result),
            exit_status=result.exit_status,
            output_digest=result.output_digest,
            output_tail=_output(step, result),
            duration=result.duration,
        )

    async def _play(self, index: int, step: VerificationStep, checkout: Path, scratch: Path) -> StepEvidence:
        check, command = step.environment, step.command
        assert check is not None, "asked above"
        assert command is not None, "asked above"
        assert self._arena is not None, "who runs the steps of projects gives one"
        began = time.monotonic()
        played = await self._arena.judge(
            check, command, cwd=checkout, scratch=scratch, timeout=step.timeout or self._timeout
        )
        return StepEvidence(
            step=index,
            command=command,
            failure=played.failure,
            exit_status=None,
            output_digest=hashlib.sha256(played.text.encode()).hexdigest(),
            output_tail=truncate(played.text, _TAIL_BYTES),
            duration=time.monotonic() - began,
        )


def _verdict(step: VerificationStep, result: ProcessResult) -> FailureKind | None:
    if result.timed_out:
        return FailureKind.STEP_TIMEOUT
    if result.exit_status != step.expect_status:
        return FailureKind.STEP_FAILED
    if not result.stdout.found:
        return FailureKind.STEP_FAILED
    return None


def _output(step: VerificationStep, result: ProcessResult) -> str:
    parts = [tail(result.stdout_tail, _TAIL_BYTES), tail(result.stderr_tail, _TAIL_BYTES)]
    if not result.stdout.found:
        parts.append(f"(standard output lacks {step.expect_output!r})")
    return "\n".join(part.rstrip("\n") for part in parts if part.strip())
