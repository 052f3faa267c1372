"""What decides whether a candidate may land: the merged tree, verified feature by feature."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shiftwork.contracts.plan import SetupCommand
from shiftwork.contracts.session import Failure, FailureKind
from shiftwork.errors import MergeConflict
from shiftwork.repository import LandingInfo, PrivateRepository, Workspace
from shiftwork.repository.files import remove_tree
from shiftwork.store.rows import FeatureRow
from shiftwork.text import truncate
from shiftwork.verification.setup import SetupCache, SetupFailed
from shiftwork.verification.steps import StepEvidence, StepRunner

Record = Callable[[FeatureRow, str, StepEvidence, int], Awaitable[None]]
"""Keeps the evidence of one step of one feature at one commit; last comes which check it was."""

LANDING, BASE, AGAIN = range(3)
"""Why a feature is checked: on what would land, on what it would land on, and again to tell flaky ones."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a candidate may land.

    Attributes:
        base: the tip of main it was merged onto.
        landing: the commit that may become main, or None.
        failure: why not, in identifiers.
        detail: why not, in words for the next brief; may hold what a step printed.
        regressed: features that fail on `base` too.
        flaky: features that failed once and passed when run again.
        restored: files of the harness that the session had changed; they were laid back.
    """

    base: str
    landing: str | None = None
    failure: Failure | None = None
    detail: str = ""
    regressed: tuple[int, ...] = ()
    flaky: tuple[int, ...] = ()
    restored: tuple[str, ...] = ()


class LandingVerifier:
    """Verifies in one workspace to judge in, a new folder for every feature; each check has a home, too.

    Args:
        scratch: beside it the homes are made.
        owner: the user that commands run as, if that is another than ours.
    """

    def __init__(
        self,
        *,
        repository: PrivateRepository,
        workspace: Workspace,
        scratch: Path,
        setup: SetupCache,
        setup_commands: Sequence[SetupCommand],
        steps: StepRunner,
        record: Record,
        owner: int | None = None,
    ) -> None:
        self._repository = repository
        self._workspace = workspace
        self._scratch = scratch
        self._setup = setup
        self._setup_commands = setup_commands
        self._steps = steps
        self._record = record
        self._owner = owner
        self._checks = 0

    async def verify(
        self,
        base: str,
        candidate: str,
        feature: FeatureRow | None,
        passing: Sequence[FeatureRow],
        info: LandingInfo,
    ) -> Verdict:
        """Merge `candidate` onto `base`, a tip of main; verify `feature`, then everything in `passing`."""
        repository = self._repository
        try:
            tree = await repository.merge(base, candidate)
        except MergeConflict as conflict:
            paths = ", ".join(conflict.paths[:20])
            return Verdict(
                base, failure=Failure(kind=FailureKind.MERGE_CONFLICT), detail=f"Merge conflict in {paths}."
            )
        overlay = await repository.overlay(tree, harness_files(feature, passing))
        landing = await repository.make_landing(overlay.tree, base, info)
        try:
            verdict = await self._judge(base, landing, feature, passing)
        finally:
            await self._setup.forget(landing)
        return Verdict(
            base=base,
            landing=landing if verdict.failure is None else None,
            failure=verdict.failure,
            detail=verdict.detail,
            regressed=verdict.regressed,
            flaky=verdict.flaky,
            restored=overlay.replaced,
        )

    async def check(self, feature: FeatureRow, commit: str, why: int = LANDING) -> list[StepEvidence]:
        """Run a feature's steps on a fresh checkout of `commit`, and keep the evidence."""
        await self._workspace.prepare(self._repository, commit, with_git=False, owner=self._owner)
        unlanded = "" if why == BASE else commit
        # Homes of their own: what one check leaves there must not decide another.
        setting_up, home = self._fresh_scratch(), self._fresh_scratch()
        try:
            await self._setup.prepare(
                self._setup_commands, self._workspace.path, setting_up, unlanded=unlanded
            )
            evidence = await self._steps.run(feature, self._workspace.path, home)
        finally:
            for folder in (setting_up, home):
                await asyncio.to_thread(remove_tree, folder, ignore_errors=True)
        for step in evidence:
            await self._record(feature, commit, step, why)
        return evidence

    def _fresh_scratch(self) -> Path:
        self._checks += 1
        return self._scratch.with_name(f"{self._scratch.name}-{self._checks}")

    async def _judge(
        self, base: str, landing: str, feature: FeatureRow | None, passing: Sequence[FeatureRow]
    ) -> Verdict:
        try:
            if feature is not None:
                failed = first_failure(await self.check(feature, landing))
                if failed is not None:
                    return Verdict(base, failure=_failure(failed), detail=explain(feature, failed))
            return await self._judge_passing(base, landing, passing)
        except SetupFailed as error:
            return Verdict(
                base, failure=Failure(kind=FailureKind.SETUP_FAILED), detail=truncate(str(error), 4000)
            )

    async def _judge_passing(self, base: str, landing: str, passing: Sequence[FeatureRow]) -> Verdict:
        broken: list[int] = []
        regressed: list[int] = []
        flaky: list[int] = []
        details: list[str] = []
        for other in passing:
            failed = first_failure(await self.check(other, landing))
            if failed is None:
                continue
            if first_failure(await self.check(other, base, BASE)) is not None:
                # Broken by people, or by time: not by this candidate.
                regressed.append(other.id)
            elif first_failure(await self.check(other, landing, AGAIN)) is None:
                flaky.append(other.id)
            else:
                broken.append(other.id)
                details.append(explain(other, failed))
        failure = Failure(kind=FailureKind.BROKE_FEATURE, features=tuple(broken)) if broken else None
        detail = "\n\n".join(["This work breaks features that passed before.", *details]) if broken else ""
        return Verdict(base, failure=failure, detail=detail, regressed=tuple(regressed), flaky=tuple(flaky))


def harness_files(feature: FeatureRow | None, passing: Sequence[FeatureRow]) -> Mapping[str, str]:
    """The files that belong to the harness, of what passes and of the session's own feature (which wins)."""
    files: dict[str, str] = {}
    for one in (*passing, *([feature] if feature else [])):
        for step in one.verification_steps:
            files.update(step.files)
    return files


def first_failure(evidence: Sequence[StepEvidence]) -> StepEvidence | None:
    """The first step that failed; None when every step passed."""
    if not evidence:
        # A feature without steps has shown nothing.
        return StepEvidence(0, None, FailureKind.NO_COMMAND, None, "", "", 0.0)
    return next((step for step in evidence if step.failure is not None), None)


def _failure(step: StepEvidence) -> Failure:
    assert step.failure is not None
    return Failure(kind=step.failure, step=step.step, exit_status=step.exit_status)


def explain(feature: FeatureRow, failed: StepEvidence) -> str:
    """A failed step in words, with what it printed, for the next brief."""
    played = failed.command is not None and feature.verification_steps[failed.step].environment is not None
    match failed.failure:
        case FailureKind.NO_COMMAND:
            what = "has no command, so nothing can execute it"
        case FailureKind.STEP_TIMEOUT:
            what = f"ran out of time after {failed.duration:.1f} s"
        case FailureKind.STEP_FAILED if played:
            what = "did not earn what it has to"
        case _:
            what = f"ended with exit status {failed.exit_status}"
    lines = [f"Verification step {failed.step + 1} of {feature.name!r} {what}."]
    if failed.command:
        lines.append(f"Command: {truncate(failed.command, 2000)}")
    if played:  # how it ended comes first
        lines.append(f"Played:\n{failed.output_tail[:4000]}")
    elif failed.output_tail:
        lines.append(f"Output:\n{failed.output_tail[-4000:]}")
    return "\n".join(lines)
