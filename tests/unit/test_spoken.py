"""What is heard of a verifier: from its events, and from its model's answers."""

import json
import time

import pytest

from shiftwork.agents.events import AgentEvent, AgentEventKind
from shiftwork.agents.spoken import Spoken
from shiftwork.contracts.feature import FeatureSpec
from shiftwork.contracts.outbox import StepVerdict, Verdict
from shiftwork.verification.judging import weigh
from shiftwork.verification.word import CONSENT, Word

FEATURE = FeatureSpec(name="a", verification_steps=("it reads well",))
MET = Verdict(steps=(StepVerdict(step=1, met=True, command="grep -q x a.txt", expect_output="x"),))
SAID = f"I looked.\n```json\n{json.dumps(MET.model_dump(mode='json'), indent=2)}\n```\n\n{CONSENT}"
VETO = "VERDICT: veto: it is grey"


def text(said: str) -> AgentEvent:
    return AgentEvent(kind=AgentEventKind.TEXT, text=said)


def part(said: str) -> AgentEvent:
    return AgentEvent(kind=AgentEventKind.TEXT, text=said, part=True)


TOOL = AgentEvent(kind=AgentEventKind.TOOL_USE, text="Bash")
THOUGHT = AgentEvent(kind=AgentEventKind.THINKING, text="Is it?")
USAGE = AgentEvent(kind=AgentEventKind.USAGE, output_tokens=9)
OVER = AgentEvent(kind=AgentEventKind.FINISHED, ok=True)


def word(
    *events: AgentEvent, quotes: bool = True, answers: tuple[str, ...] = (SAID,), well: bool = True
) -> Word:
    """What these events and answers say."""
    spoken = Spoken(quotes_model=quotes)
    for event in events:
        spoken.hear(event)
    for answer in answers:
        spoken.answer(answer)
    return spoken.word(by_itself=well, gateway=True)


@pytest.mark.parametrize(
    "message",
    [
        (text(SAID),),
        tuple(map(text, filter(None, SAID.split("\n")))),
        tuple(text(SAID[at : at + 7]) for at in range(0, len(SAID), 7)),
        tuple(part(SAID[at : at + 7]) for at in range(0, len(SAID), 7)),
        (text("I looked."), USAGE, text(SAID.removeprefix("I looked.\n"))),
        (part("I looked."), THOUGHT, part(SAID.removeprefix("I looked.\n"))),
    ],
    ids=["whole", "line by line", "in pieces", "in parts", "in two messages", "in two texts"],
)
def test_consent_is_heard_however_a_program_prints(message: tuple[AgentEvent, ...]) -> None:
    """A verifier whose consent never counts, only because of how its program prints."""
    heard = word(text("I begin."), TOOL, *message, OVER)
    assert heard == Word(consents=True, verdict=MET)
    judgement = weigh(FEATURE, MET, heard)
    assert (judgement.vetoes, judgement.problems) == ({}, ())
    assert judgement.evidence[0].command == "grep -q x a.txt"


@pytest.mark.parametrize(
    ("events", "answers"),
    [
        ((text(VETO), TOOL, text(SAID), OVER), (SAID,)),
        ((text(f"Hm.\n{VETO}\n{SAID}"), OVER), (SAID,)),
        ((text(SAID), OVER, text(VETO)), (SAID,)),
        ((text("VERDICT: ve"), text("to: it is grey"), TOOL, text(SAID), OVER), (SAID,)),
        ((part("VERDICT: ve"), USAGE, part("to: it is grey"), TOOL, text(SAID), OVER), (SAID,)),
        ((text("```"), text(VETO), text("```"), text(SAID), OVER), (SAID,)),
        ((part("So:"), text(VETO), text(SAID), OVER), (SAID,)),
        ((text(VETO), text("because of its colour"), text(SAID), OVER), (SAID,)),
        ((text(SAID), OVER), (VETO, SAID)),
        ((text(VETO + "\n" + "x" * 1_000_000), text(SAID), OVER), (SAID,)),
        ((text("```\n" + "x" * 1_000_000), text(VETO), text("```"), text(SAID), OVER), (SAID,)),
    ],
    ids=[
        "before",
        "in one message",
        "after its end",
        "in pieces",
        "in parts",
        "between fences of others",
        "after a part",
        "in lines",
        "only by its model",
        "in a flood",
        "after a flood",
    ],
)
def test_a_veto_binds_wherever_it_was_said(events: tuple[AgentEvent, ...], answers: tuple[str, ...]) -> None:
    """A landing that gets its verifier to say something else afterwards, or in its name."""
    heard = word(*events, answers=answers)
    assert weigh(FEATURE, MET, heard).vetoes == {0: "it is grey"}


def test_a_part_of_a_line_is_no_line() -> None:
    """Good work that is thrown away because its verifier's program passed a sentence on in two parts."""
    said = ("I have no reason to say ", "VERDICT: veto: anything here.\n", SAID)
    assert word(*map(part, said), OVER) == Word(consents=True, verdict=MET)
    assert word(part("I can't say "), part(CONSENT), OVER, quotes=False) == Word()


def test_each_reason_is_told_once() -> None:
    """A brief that says the same thing twice, the second time with another sentence grown to its end."""
    said = (text(VETO), text("VERDICT: veto: it is grey, and cold"), text("That was all."))
    assert word(*said, OVER).vetoes == ("it is grey", "it is grey, and cold")


def test_the_time_grows_with_what_is_said_alone() -> None:
    """A verifier that is made to print much in little pieces would hold up the worker."""

    def seconds(count: int) -> float:
        times = []
        for _ in range(3):
            spoken = Spoken(quotes_model=False)
            started = time.process_time()
            for event in (text(VETO), *[text("```x"), part("``")] * count, OVER):
                spoken.hear(event)
            times.append(time.process_time() - started)
        return min(times)

    assert seconds(16_000) < 24 * seconds(2_000)


@pytest.mark.parametrize(
    ("heard", "problem"),
    [
        (word(text(SAID), TOOL, OVER), "does not end with the line"),
        (word(text("Done."), OVER), "does not end with the line"),
        (word(text(CONSENT), OVER), "does not repeat what verdict.json holds"),
        (word(text(SAID.replace("grep", "echo")), OVER), "does not repeat"),
        (word(text(SAID.replace('"x"', "null")), OVER), "does not repeat"),
        (word(text(SAID), OVER, OVER), "went on after it had said that it was over"),
        (word(text(SAID), OVER, TOOL), "went on after"),
        (word(text(SAID), OVER, well=False), "did not end by itself"),
        (word(text(SAID), OVER, answers=()), "as the gateway heard them"),
        (word(text(SAID), OVER, answers=("Let me look.",)), "as the gateway heard them"),
    ],
)
def test_consent_that_somebody_else_may_have_given_does_not_count(heard: Word, problem: str) -> None:
    """A landing that consents to itself."""
    judgement = weigh(FEATURE, MET, heard)
    assert problem in " ".join(judgement.problems)
    assert judgement.vetoes == {}


def test_a_program_that_speaks_for_itself_needs_no_answer_that_says_so() -> None:
    """A verifier whose model calls a tool for its verdict, and could never consent."""
    assert word(text(SAID), OVER, quotes=False, answers=("Let me look.",)).doubts == ()


def test_a_said_verdict_that_is_not_met_is_a_veto() -> None:
    """A file that was replaced by another, which consents."""
    said = SAID.replace('"met": true', '"met": false').replace('"reason": ""', '"reason": "grey"')
    assert weigh(FEATURE, MET, word(text(said), OVER)).vetoes == {0: "grey"}
