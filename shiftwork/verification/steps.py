"""Running the steps of one feature in one checkout."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from shiftwork.contracts.feature import VerificationStep
from shiftwork.contracts.session import FailureKind
from shiftwork.runner.environment import child_environment
from shiftwork.runner.supervisor import ProcessResult, ProcessSpec, run
from shiftwork.sandbox.base import Sandbox
from shiftwork.text import tail

_TAIL_BYTES = 8_000
"""How much of a step's output becomes evidence; its digest covers all of it."""

_GRACE = 1.0
"""Seconds from TERM to KILL when time is over: its checkout is thrown away, there is nothing to save."""


@dataclass(frozen=True, slots=True)
class StepEvidence:
    """What came of one step; `failure` None means that it passed. `duration` in seconds."""

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
    """Runs steps as supervised processes; nothing of a step outlives it."""

    def __init__(self, sandbox: Sandbox, default_timeout: float) -> None:
        self._sandbox = sandbox
        self._timeout = default_timeout

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
            return StepEvidence(index, None, FailureKind.NO_COMMAND, None, "", "", 0.0)
        result = await run_shell(
            step.command,
            cwd=checkout,
            scratch=scratch,
            timeout=step.timeout or self._timeout,
            sandbox=self._sandbox,
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


async def run_shell(
    command: str,
    *,
    cwd: Path,
    scratch: Path,
    timeout: float,
    sandbox: Sandbox,
    env: Mapping[str, str] | None = None,
    look_for: str = "",
) -> ProcessResult:
    """Run a shell command in `cwd` with `scratch` as home and temporary folder.

    Args:
        timeout: in seconds.
        look_for: text whose presence in the output the result tells.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    folders = {"HOME": str(scratch), "TMPDIR": str(scratch)}
    spec = ProcessSpec(
        argv=("/bin/sh", "-c", command),
        cwd=cwd,
        env=child_environment(os.environ, {**folders, **(env or {})}),
        timeout=timeout,
        grace=_GRACE,
        look_for=look_for.encode(),
        # Beside the scratch folder: whoever finds this run after its worker was lost can end what is left.
        lock_file=scratch.with_name("steps.lock"),
    )
    return await run(spec, sandbox=sandbox)


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
