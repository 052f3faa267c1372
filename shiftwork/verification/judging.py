"""What a verifier's word is worth: a veto as it stands, consent only with evidence that can be executed."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from shiftwork.contracts.feature import VerificationStep
from shiftwork.contracts.outbox import StepVerdict, Verdict
from shiftwork.text import truncate
from shiftwork.verification.steps import HasSteps
from shiftwork.verification.trivial import is_trivial
from shiftwork.verification.word import CONSENT, Word

_REASON_CHARACTERS = 4_000


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, held against what was asked. Steps are counted from 0.

    Attributes:
        vetoes: why a step is not fulfilled.
        evidence: what has to pass for a step to count as fulfilled.
        problems: why this is no verdict that can be followed, one sentence each.
    """

    vetoes: Mapping[int, str] = field(default_factory=dict)
    evidence: Mapping[int, VerificationStep] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def to_judge(feature: HasSteps) -> dict[int, VerificationStep]:
    """The steps that no command decides."""
    return {index: step for index, step in enumerate(feature.verification_steps) if not step.command}


def judge(feature: HasSteps, verdict: Verdict | None) -> Judgement:
    """Hold a verdict against the steps that were to be judged.

    A step that is said to be fulfilled needs a command that shows it. What is said of other steps counts
    for nothing.
    """
    asked = to_judge(feature)
    if verdict is None:
        return Judgement(problems=("The outbox holds no valid verdict.json.",))
    said = {one.step - 1: one for one in verdict.steps}
    if len(said) < len(verdict.steps):
        return Judgement(problems=("verdict.json speaks twice of one step.",))
    vetoes = {index: _veto(said[index]) for index in asked if index in said and not said[index].met}
    evidence = {
        index: _evidence(asked[index], one)
        for index, one in said.items()
        if index in asked and one.met and one.command and not _shows_nothing(one)
    }
    problems = [
        _problem(index, said.get(index)) for index in asked if index not in vetoes and index not in evidence
    ]
    return Judgement(vetoes, evidence, tuple(problems))


def _shows_nothing(said: StepVerdict) -> bool:
    return is_trivial(said.command or "", output=said.expect_output is not None)


def weigh(feature: HasSteps, verdict: Verdict | None, word: Word) -> Judgement:
    """Hold what a verifier left against what it said: any veto stands, consent only if both are the same.

    What it left lies where code of the landing can write, too; what it said does not.
    """
    left, said = judge(feature, verdict), judge(feature, word.verdict)
    first = min(to_judge(feature), default=0)
    spoken = {first: _REASONS.join(word.vetoes)} if word.vetoes and not (left.vetoes or said.vetoes) else {}
    problems = [*left.problems, *word.doubts]
    if not word.consents:
        problems.append(f"The last message does not end with the line {CONSENT!r}, nor did any line veto.")
    elif said.evidence != left.evidence:
        problems.append("The last message does not repeat what verdict.json holds.")
    vetoes = {index: truncate(why, _REASON_CHARACTERS) for index, why in spoken.items()}
    return Judgement({**left.vetoes, **said.vetoes, **vetoes}, left.evidence, tuple(problems))


_REASONS = "\n"


def _problem(index: int, said: StepVerdict | None) -> str:
    if said is None:
        return f"Of step {index + 1} nothing is said."
    if not said.command or not said.command.strip():
        return f"Step {index + 1} is said to be fulfilled, without a command that shows it."
    return f"Step {index + 1}: {said.command!r} comes out alike whatever the project holds."


def _veto(said: StepVerdict) -> str:
    return truncate(said.reason, _REASON_CHARACTERS) or "The verifier gave no reason."


def _evidence(asked: VerificationStep, said: StepVerdict) -> VerificationStep:
    """The command as a step, beside the files of the step that it decides."""
    return asked.model_copy(
        update={
            "command": said.command,
            "expect_status": said.expect_status,
            "expect_output": said.expect_output,
        }
    )
