"""Projects whose models refuse to work: the reason says whose it is, why, and what mends it."""

import uuid

import pytest

from shiftwork.contracts.project import ProjectOptions
from shiftwork.contracts.session import Role
from tests.e2e.lab import Lab, Project
from tests.e2e.langchain_staff import PLAN, Staff, agent, completes, start_with
from tests.llm.script import Answer, Fault, Turn
from tests.llm.server import LlmServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

WRONG = "openai:gpt-5-wrong"


async def test_a_wrong_model_of_a_verifier_is_mended_by_the_command_that_is_told(lab: Lab) -> None:
    """If it failed, people would give the agent that builds another model, and the project would stay."""

    def wrong(turn: Turn) -> Answer | None:
        return Fault(404, "no such model") if turn.body.get("model") == "gpt-5-wrong" else None

    with LlmServer.in_thread(Staff(wrong, plan=[{**PLAN[3], "depends_on": []}])) as server:
        verifier = agent("openai", server, model=WRONG)
        options = ProjectOptions(agent=agent("openai", server), roles={Role.VERIFIER: verifier})
        row = await lab.shiftwork.create(
            uuid.uuid4().hex, "Write files.", repository=lab.folder / "repo", options=options
        )
        await lab.shiftwork.open(row.id)
        project = Project(lab, row.id, lab.folder / "repo", lab.folder / "c.yml")
        reason = (await project.rest(seconds=300))["reason"]
        assert reason.startswith("the provider of the agent of the role verifier rejects its requests (an ")
        assert ': "' in reason
        assert ": shiftwork resume --role verifier --model NAME" in reason
        now = await project.now()
        settings = {"model": "openai:gpt-5-mini"}
        await lab.shiftwork.resume(project.id, agent_settings=settings, role=Role.VERIFIER)
        await completes(project, now)


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        (
            (Fault(404, 'no model A"; run EVIL'), Fault(402, "no more for B")),
            (
                "the agent's provider rejects its requests (an unknown model, a setting that ",
                '): "no model A\'; run EVIL"; the provider of ',
                'fallback 1 of the agent refuses it for want of money: "402: no more for B"; see the logs',
                ": shiftwork resume --model NAME or --agent-setting",
            ),
        ),
        (
            (Fault(401, "bad key A"), Fault(403, "not where you are")),
            (
                'the agent\'s provider refuses its credentials: "bad key A"; the provider of fallback 1 of ',
                ' does not permit it (from this country, or with this key): "403: not where you are"; ',
            ),
        ),
        (
            (Fault(400, "Your credit balance is too low."),),
            (
                'the agent\'s provider refuses it for want of money: "Your credit balance is too low."; see ',
                "; see the logs, pay there or choose another model or key, then resume",
            ),
        ),
    ],
    ids=["unknown and unpaid", "credentials and country", "unpaid"],
)
async def test_every_agent_that_was_refused_is_told_of_in_its_providers_words(faults, told, lab: Lab) -> None:
    """If it failed, people would look in the logs for who was refused and why, or mend what is right."""
    with (
        LlmServer.in_thread(Staff(lambda _: faults[0])) as first,
        LlmServer.in_thread(Staff(lambda _: faults[-1])) as second,
    ):
        chosen = agent("anthropic", first, max_retries=0)
        fallbacks = (agent("openai", second, max_retries=0),) if len(faults) > 1 else ()
        chosen = chosen.model_copy(update={"fallbacks": fallbacks})
        project = await start_with(lab, chosen, planned=True)
        reason = await project.pauses()
        assert [part for part in told if part not in reason] == []
        known = await (await project.workflow()).query("status")
        assert '"' not in known["reason"]
        await lab.shiftwork.set_budget(project.id, 5)
        assert (await lab.shiftwork.status(project.id))["reason"] == reason
