"""What an agent is told, as far as it is put together from rows."""

from activities.briefing import Assembled, for_verifier, without_secrets
from shiftwork.agents.brief import BriefRequest, DecisionBrief, ProjectBrief
from shiftwork.contracts.outbox import Handoff
from shiftwork.secrets import LazyRedactor

KEY = "sw0rdf1sh-Val-Zk7Lm2"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def assembled() -> Assembled:
    request = BriefRequest(
        project=ProjectBrief(id="p", name="demo"),
        session=1,
        base=COMMIT,
        handoff=Handoff(summary=f"it opens with {KEY}"),
        decisions=(DecisionBrief(decision=f"use {KEY}", tags=(KEY,)),),
        progress=(f"tried {KEY}",),
        previous_failure="it did not pass",
    )
    return Assembled(request, {"kept.patch": f"+key = {KEY}\n"})


def test_no_brief_tells_a_secret_of_the_worker() -> None:
    """What a client that does not know a secret wrote into the rows would be handed to the next agent."""
    told = without_secrets(assembled(), LazyRedactor({"A_KEY": KEY}))
    assert KEY not in told.request.model_dump_json()
    assert KEY not in str(told.files)
    assert told.request.base == COMMIT
    assert told.request.handoff == Handoff(summary="it opens with [redacted:A_KEY]")
    assert without_secrets(assembled(), LazyRedactor({})) == assembled()


def test_a_verifier_is_told_nothing_by_those_whom_it_judges() -> None:
    """A judge that hears how good the work is would be judging the words."""
    request = for_verifier(assembled(), "no verdict").request
    assert (request.handoff, request.decisions, request.progress) == (None, (), ())
    assert request.previous_failure == "no verdict"
