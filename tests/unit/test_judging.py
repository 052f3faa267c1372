"""What a verifier's word is worth."""

import pytest

from shiftwork.contracts.feature import FeatureSpec, VerificationStep
from shiftwork.contracts.outbox import StepVerdict, Verdict
from shiftwork.verification.judging import judge, to_judge

FEATURE = FeatureSpec(
    name="a",
    verification_steps=(
        VerificationStep(description="looks right", files={"data.txt": "1"}),
        VerificationStep(command="true"),
        VerificationStep(description="is easy to read"),
    ),
)
MET = StepVerdict(step=1, met=True, command="test -s page.html", expect_output="x")
ALSO_MET = StepVerdict(step=3, met=True, command="grep -q words page.html")


def test_only_steps_without_a_command_are_judged() -> None:
    """A verifier that could overrule an executed step would mark somebody's homework."""
    assert list(to_judge(FEATURE)) == [0, 2]
    judgement = judge(FEATURE, Verdict(steps=(MET, StepVerdict(step=2, met=False), ALSO_MET)))
    assert (judgement.vetoes, judgement.problems) == ({}, ())


def test_consent_becomes_steps() -> None:
    """Consent that is not executed would be a pass on somebody's word."""
    judgement = judge(FEATURE, Verdict(steps=(MET, ALSO_MET)))
    assert {index: step.command for index, step in judgement.evidence.items()} == {
        0: "test -s page.html",
        2: "grep -q words page.html",
    }
    assert judgement.evidence[0].expect_output == "x"
    assert judgement.evidence[0].files == {"data.txt": "1"}


def test_a_veto_stands_whatever_else_is_said() -> None:
    """A step that is not fulfilled must stop the feature, with its reason for the next brief."""
    judgement = judge(FEATURE, Verdict(steps=(MET, StepVerdict(step=3, met=False, reason="It is grey."))))
    assert judgement.vetoes == {2: "It is grey."}


@pytest.mark.parametrize(
    ("verdict", "problem"),
    [
        (None, "no valid verdict.json"),
        (Verdict(steps=(MET,)), "Of step 3 nothing is said."),
        (Verdict(steps=(MET, MET, ALSO_MET)), "speaks twice of one step"),
        (Verdict(steps=(MET, StepVerdict(step=3, met=True))), "Step 3 is said to be fulfilled, without"),
        (Verdict(steps=(MET, StepVerdict(step=3, met=True, command=" "))), "without a command"),
        (Verdict(steps=(MET, StepVerdict(step=3, met=True, command="exit 0"))), "'exit 0' comes out alike"),
        (Verdict(steps=(MET, StepVerdict(step=9, met=True, command="true"))), "Of step 3 nothing"),
    ],
)
def test_what_is_no_verdict_is_told(verdict: Verdict | None, problem: str) -> None:
    """Silence, or a yes without evidence, must not pass for consent."""
    judgement = judge(FEATURE, verdict)
    assert problem in " ".join(judgement.problems)
    assert judgement.vetoes == {}
