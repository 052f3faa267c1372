"""Which models a project's agents may ask, through the gateway of the worker."""

from pathlib import Path
from typing import Any

import pytest

from shiftwork.contracts.feature import FeatureCategory, FeatureSpec
from shiftwork.contracts.project import AgentOptions, CategoryOptions, ProjectOptions
from shiftwork.contracts.session import Role
from shiftwork.errors import InvalidInput
from tests.e2e.lab import Lab, Project
from tests.e2e.support import simple_feature
from tests.llm.script import Reply, Turn
from tests.llm.server import LlmServer

ASK = """
import json, os, sys, urllib.error, urllib.request
for model in sys.argv[1:]:
    request = urllib.request.Request(
        os.environ["OPENAI_BASE_URL"] + "/chat/completions",
        json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]}).encode(),
        {"authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "content-type": "application/json"},
    )
    try:
        urllib.request.urlopen(request).read()
    except urllib.error.HTTPError as error:
        print(error.code, error.read().decode())
        status = 1
    else:
        status = 0
open("a.txt", "w").write("done\\n" if status == 0 else "")
sys.exit(status)
"""
"""Asks one model after the other; the last one's answer decides."""


async def asking(lab: Lab, server: LlmServer, *models: str, planned: bool = True, **options: Any) -> Project:
    """A project whose program asks these models, and may ask those that begin with `good-`."""
    lab.folder.chmod(0o777)
    agent = options.pop("agent", None) or asker(server, *models)
    row = await lab.shiftwork.create(
        f"models-{lab.folder.name}",
        "Write files.",
        repository=lab.folder / "repository",
        options=ProjectOptions(agent=agent, **options),
    )
    if planned:
        async with lab.shiftwork.store.transaction() as tx:
            await tx.features.adopt(row.id, [FeatureSpec.model_validate(simple_feature("a"))], 1)
    await lab.shiftwork.open(row.id)
    return Project(lab, row.id, lab.folder / "repository", Path())


def asker(server: LlmServer, *models: str) -> AgentOptions:
    """The program that asks these models."""
    settings = {
        "argv": ["python3", "-c", ASK.replace("{", "{{").replace("}", "}}"), *models],
        "provider": "openai",
        "base_url": f"{server.url}/v1",
        "environment": {"OPENAI_API_KEY": "no-secret"},
        "models": ["good-*"],
    }
    return AgentOptions(backend="command", settings=settings)


def answer(_: Turn) -> Reply:
    return Reply("yes")


async def test_a_model_that_is_not_allowed_pauses_the_project(lab: Lab) -> None:
    """If it failed, every attempt of every feature would be lost on a setting, and nobody told which."""
    with LlmServer.in_thread(answer) as server:
        project = await asking(lab, server, "dear-1")
        assert "rejects its requests" in await project.pauses()
        assert server.turns == []
        [ended] = await project.events("attempt_ended")
        assert (ended.data["status"], ended.data["reason"]) == ("interrupted", "rejected")
        assert ended.data["detail"].startswith(
            "The agent asked the model 'dear-1', which its setting 'models' does not allow: "
        )
        assert (await project.features())["a"].attempts == 0


async def test_a_planner_that_was_interrupted_is_not_asked_for_its_plan(lab: Lab) -> None:
    """If it failed, the provider's own words would be followed by a complaint about a missing plan."""
    with LlmServer.in_thread(answer) as server:
        project = await asking(lab, server, "dear-1", planned=False)
        assert "rejects its requests" in await project.pauses()
        [ended] = await project.events("attempt_ended")
        assert ended.data["detail"].startswith("The agent asked the model 'dear-1'")
        assert "outbox" not in ended.data["detail"]


async def test_settings_that_are_given_to_resume_mend_a_project(lab: Lab) -> None:
    """If it failed, a project with a wrong model could never go on: it would have to be made anew."""
    with LlmServer.in_thread(answer) as server:
        project = await asking(lab, server, "dear-1")
        await project.pauses()
        with pytest.raises(InvalidInput, match="'models'"):
            await lab.shiftwork.resume(project.id, agent_settings={"models": 5})
        with pytest.raises(InvalidInput, match="no agent of its own plays the role 'verifier'"):
            await lab.shiftwork.resume(project.id, agent_settings={"models": ["*"]}, role=Role.VERIFIER)
        after = await project.now()
        await lab.shiftwork.resume(project.id, agent_settings={"models": ["dear-*"]})
        await project.completes(after)
        assert [turn.body["model"] for turn in server.turns] == ["dear-1"]
        row = await lab.shiftwork.find(project.id)
        assert row.options.agent.backend == "command"
        assert row.options.agent.settings["models"] == ["dear-*"]
        assert row.options.agent.settings["provider"] == "openai"
        [resumed] = await project.events("resumed")
        assert resumed.data == {"agent_settings": {"models": ["dear-*"]}}


async def test_settings_given_to_resume_mend_a_fallback_of_a_category(lab: Lab) -> None:
    """If it failed, who stands in for a category's agent could never be given another model."""
    with LlmServer.in_thread(answer) as server:
        first, second = asker(server, "dear-1"), asker(server, "dear-2")
        agent = first.model_copy(update={"fallbacks": (second,)})
        functional = {FeatureCategory.FUNCTIONAL: CategoryOptions(agent=agent)}
        project = await asking(lab, server, "good-1", categories=functional)
        await project.pauses()
        assert server.turns == []
        given = {"agent_settings": {"models": ["dear-*"]}, "category": FeatureCategory.FUNCTIONAL}
        with pytest.raises(InvalidInput, match="no fallback 2 of the agent of 'functional', which has 1"):
            await lab.shiftwork.resume(project.id, **given, fallback=2)
        with pytest.raises(InvalidInput, match="category, fallback: says whose settings to change"):
            await lab.shiftwork.resume(project.id, category=FeatureCategory.FUNCTIONAL, fallback=1)
        after = await project.now()
        await lab.shiftwork.resume(project.id, **given, fallback=1)
        await project.completes(after)
        assert [turn.body["model"] for turn in server.turns] == ["dear-2"]
        chosen = (await lab.shiftwork.find(project.id)).options.categories[FeatureCategory.FUNCTIONAL].agent
        assert chosen.settings == first.settings
        assert chosen.fallbacks[0].settings == second.settings | {"models": ["dear-*"]}
        [resumed] = await project.events("resumed")
        told = {"agent_settings": {"models": ["dear-*"]}, "category": "functional", "fallback": 1}
        assert resumed.data == told


async def test_an_allowed_model_is_asked_whatever_else_was_refused(lab: Lab) -> None:
    """If it failed, a list of models would stop agents whose titles are made by another one."""
    with LlmServer.in_thread(answer) as server:
        project = await asking(lab, server, "dear-1", "good-2")
        await project.completes()
        assert [turn.body["model"] for turn in server.turns] == ["good-2"]


async def test_a_list_of_models_that_nothing_keeps_is_refused(lab: Lab) -> None:
    """If it failed, people would believe in a list that no gateway stands for."""
    with LlmServer.in_thread(answer) as server:
        project = await asking(lab, server, "dear-1", sandbox={"profile": "open"})
        assert "'models' can't be kept" in await project.pauses()
        assert server.requests == []
