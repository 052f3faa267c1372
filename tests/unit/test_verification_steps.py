"""Verification steps: what passes, what is kept of it, and what is left of it."""

import time
from pathlib import Path

import pytest

from shiftwork.contracts.feature import FeatureSpec, VerificationStep
from shiftwork.contracts.session import FailureKind
from shiftwork.sandbox.choose import choose_sandbox
from shiftwork.verification.landing import first_failure, harness_files
from shiftwork.verification.shell import Shell
from shiftwork.verification.steps import StepEvidence, StepRunner
from tests.unit.process_support import token, wait_until_dead


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    return folder


async def run(checkout: Path, *steps: dict, timeout: float = 20) -> list[StepEvidence]:
    feature = FeatureSpec(name="f", verification_steps=steps)
    runner = StepRunner(Shell(choose_sandbox()), timeout)
    return await runner.run(feature, checkout, checkout.parent / "run" / "scratch")


@pytest.mark.parametrize(
    ("step", "failure"),
    [
        ({"command": "true"}, None),
        ({"command": "exit 2"}, FailureKind.STEP_FAILED),
        ({"command": "exit 2", "expect_status": 2}, None),
        ({"command": "true", "expect_status": 2}, FailureKind.STEP_FAILED),
        ({"command": "echo abc", "expect_output": "b"}, None),
        ({"command": "echo abc >&2", "expect_output": "b"}, FailureKind.STEP_FAILED),
        ({"command": "kill -9 $$"}, FailureKind.STEP_FAILED),
        ({"command": "no-such-program"}, FailureKind.STEP_FAILED),
        ({"description": "looks nice"}, FailureKind.NO_COMMAND),
    ],
)
async def test_what_passes(checkout, step, failure) -> None:
    """A step that counts as passed, or as failed, against what it yielded."""
    [evidence] = await run(checkout, step)
    assert evidence.failure is failure


async def test_output_is_found_however_much_there_is(checkout) -> None:
    """An expected line that is missed because a lot was printed after or before it."""
    noise = "seq 1 900000"
    first, last = await run(
        checkout,
        {"command": f"echo needle; {noise}", "expect_output": "needle"},
        {"command": f"{noise}; echo needle", "expect_output": "needle"},
    )
    assert (first.failure, last.failure) == (None, None)
    assert len(last.output_tail) < 20_000


async def test_steps_run_in_order_in_one_checkout(checkout) -> None:
    """A step that does not find what the one before it made, or is skipped after a failure."""
    steps = await run(
        checkout,
        {"command": "echo 1 > made; exit 1"},
        {"command": "cat made"},
        {"command": 'test "$PWD" = "$(pwd -P)" && test -n "$TMPDIR" && test "$HOME" != "$PWD"'},
    )
    assert [step.failure for step in steps] == [FailureKind.STEP_FAILED, None, None]
    assert first_failure(steps) is steps[0]


async def test_a_timeout_ends_the_whole_tree(checkout) -> None:
    """A step whose children run on after its time is over, or that outlasts it by ignoring TERM."""
    mark = token()
    began = time.monotonic()
    [evidence] = await run(
        checkout, {"command": f"trap '' TERM; setsid sleep {mark} & sleep {mark}"}, timeout=0.3
    )
    assert evidence.failure is FailureKind.STEP_TIMEOUT
    assert time.monotonic() - began < 60
    assert wait_until_dead(mark) == []


async def test_nothing_of_a_step_outlives_it(checkout) -> None:
    """A server that a step started answers the next one's questions."""
    mark = token()
    [evidence] = await run(checkout, {"command": f"setsid sleep {mark} & exit 0"})
    assert evidence.failure is None
    assert wait_until_dead(mark) == []


async def test_a_step_reads_no_input(checkout) -> None:
    """A step that waits for somebody to type."""
    [evidence] = await run(checkout, {"command": "cat; read -r line; exit 0"})
    assert evidence.failure is None


def test_no_steps_prove_nothing() -> None:
    """A feature without steps that passes because none of them failed."""
    nothing = first_failure([])
    assert nothing is not None
    assert nothing.failure is FailureKind.NO_COMMAND


def test_the_sessions_own_files_win(tmp_path) -> None:
    """An older feature's copy of a file that takes the place of what is being verified."""

    def feature(text: str) -> FeatureSpec:
        step = VerificationStep(command="true", files={"check.sh": text, f"{text}.sh": text})
        return FeatureSpec(name=text, verification_steps=(step,))

    files = harness_files(feature("new"), [feature("old")])
    assert files == {"check.sh": "new", "old.sh": "old", "new.sh": "new"}
