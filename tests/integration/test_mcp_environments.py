"""Environments as tools of the MCP server: played by the official client, over pipes and over HTTP."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.shared.memory import create_connected_server_and_client_session as connected

from client.mcp import room
from client.mcp.episode_tools import ROOM_TOOLS, Seen, shown
from client.mcp.protocol import make_server
from client.tools.desk import Desk
from shiftwork.settings import Settings
from tests.integration.mcp_support import COMMAND, LONGEST, environment, over_http, served
from tests.unit.docs_support import table

__all__ = ["served"]

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def hosts(of: psutil.Process | None = None) -> list[int]:
    """The processes of environments below this one, or another."""
    found = []
    for each in (of or psutil.Process()).children(recursive=True):
        try:
            if "shiftwork.environments.host" in each.cmdline():
                found.append(each.pid)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONGEST):
        while not condition():  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.02)


@asynccontextmanager
async def without_a_stack(tmp_path: Path, **more: Any) -> AsyncIterator[ClientSession]:
    """A client of a server in this process; no stack is there."""
    desk = Desk(Settings(state=tmp_path / "none"))
    async with connected(make_server(desk, **more)) as session:
        yield session


async def answer(session: ClientSession, name: str, **given: Any) -> dict[str, Any]:
    told = await session.call_tool(name, given)
    assert not told.isError, told.content
    return told.structuredContent


async def refusal(session: ClientSession, name: str, **given: Any) -> str:
    told = await session.call_tool(name, given)
    assert told.isError
    return told.content[0].text


async def win(session: ClientSession, seed: int) -> dict[str, Any]:
    """Guess the number; the newest answer."""
    seen = await answer(session, "start_episode", environment="number_guess", seed=seed)
    while not seen["done"]:
        number = (seen["metadata"]["least"] + seen["metadata"]["most"]) // 2
        seen = await answer(
            session,
            "harness_step",
            session_id=seen["session_id"],
            action="guess",
            parameters={"number": number},
        )
    return seen


async def test_over_pipes_an_episode_is_played_and_nothing_is_left(tmp_path: Path) -> None:
    """If it failed, an agent could not play without a stack, or would leave processes behind."""
    server = StdioServerParameters(command=sys.executable, args=COMMAND, env=environment(tmp_path / "none"))
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        seen = await win(session, seed=3)
        assert seen["ending"] == "terminated"
        assert "is right" in seen["content"]
        assert seen["available_actions"] == []
        told = await answer(session, "harness_stats", session_id=seen["session_id"])
        assert (told["stats"]["success"], told["stats"]["seed"]) == (True, 3)
        assert told["stats"]["total_steps"] == seen["steps"]

        await answer(session, "start_episode", environment="maze", parameters={"rows": 5, "columns": 5})
        left = hosts()
        assert len(left) == 1
    await until(lambda: not any(psutil.pid_exists(pid) for pid in left))


async def test_over_http_each_client_has_its_own(served: dict) -> None:
    """If it failed, one client could play, or end, the episode of another one."""
    async with over_http(served) as one:
        seen = await win(one, seed=4)
        async with over_http(served) as other:
            assert "There is no episode" in await refusal(
                other, "harness_observe", session_id=seen["session_id"]
            )
            again = await win(other, seed=4)
            assert again["content"] == seen["content"]
            await answer(other, "start_episode", environment="maze")
            assert len(hosts()) == 1
        await until(lambda: not hosts())  # it went with its client
        assert (await answer(one, "harness_observe", session_id=seen["session_id"]))["done"]


async def test_what_can_be_played_is_listed(tmp_path: Path) -> None:
    """If it failed, an agent would have to guess what there is, and what it takes."""
    async with without_a_stack(tmp_path) as session:
        listed = {each["name"]: each for each in (await answer(session, "list_environments"))["environments"]}
        assert {"number_guess", "maze", "text_adventure", "coding_challenge"} <= set(listed)
        assert [each["name"] for each in listed["number_guess"]["parameters"]] == ["low", "high", "max_steps"]
        assert listed["number_guess"]["actions"][0]["name"] == "guess"
        assert listed["maze"]["description"]
    async with without_a_stack(tmp_path, read_only=True) as session:
        names = [tool.name for tool in (await session.list_tools()).tools]
        assert [name for name in names if name in {each.name for each in ROOM_TOOLS}] == ["list_environments"]
        assert "There is no tool 'start_episode' here" in await refusal(
            session, "start_episode", environment="maze"
        )


async def test_what_is_wrong_is_a_sentence_and_changes_nothing(tmp_path: Path) -> None:
    """If it failed, a model's mistake would cost it the episode, or have foreign code imported."""
    async with without_a_stack(tmp_path) as session:
        for given, sentence in (
            ({}, "environment: is missing."),
            ({"environment": "chess"}, "there is no environment 'chess'"),
            (
                {"environment": "os:abort"},
                "environment: must be the name of an installed environment, not the",
            ),
            ({"environment": "maze", "seed": -1}, "seed: must be 0 or more."),
            (
                {"environment": "maze", "parameters": {"high": 3}},
                "environment 'maze' does not take these parameters",
            ),
        ):
            assert (await refusal(session, "start_episode", **given)).startswith(sentence)
        seen = await answer(session, "start_episode", environment="number_guess", seed=1)
        episode = {"session_id": seen["session_id"]}
        for given, sentence in (
            ({"action": "fly"}, "there is no action 'fly' now; there is: 'guess'"),
            ({"action": "guess"}, "action 'guess': 'number' is a required property"),
            ({"action": "guess", "parameters": {"number": "x"}}, "parameter 'number' of action 'guess'"),
            ({"action": "guess", "number": 1}, "number: is not known; known are: action, parameters"),
        ):
            assert (await refusal(session, "harness_step", **episode, **given)).startswith(sentence)
        assert await answer(session, "harness_observe", **episode) == seen
        stats = (await answer(session, "harness_stats", **episode))["stats"]
        assert (stats["total_steps"], stats["refused_actions"]) == (0, 3)
        assert "There is no episode 'nope'" in await refusal(session, "harness_stats", session_id="nope")
        assert "module:Class" not in await refusal(session, "start_episode", environment="nowhere")
        for name, parameter in (("coding_challenge", "path"), ("gymnasium/Ant-v5", "xml_file")):
            given = {"environment": name, "parameters": {parameter: "/etc/passwd"}}
            assert "names a file of the worker's machine" in await refusal(session, "start_episode", **given)
        await answer(session, "end_episode", **episode)
        assert "There is no episode" in await refusal(session, "harness_observe", **episode)
    assert not hosts()


async def test_episodes_are_bounded(tmp_path: Path) -> None:
    """If it failed, an agent that forgets to end its episodes would fill the machine."""
    async with without_a_stack(tmp_path) as session:
        begun = [await answer(session, "start_episode", environment="maze") for _ in range(room.MOST_PLAYED)]
        assert len(hosts()) == room.MOST_PLAYED
        told = await refusal(session, "start_episode", environment="maze")
        assert told.startswith(f"{room.MOST_PLAYED} episodes are played by this server")
        await answer(session, "end_episode", session_id=begun[0]["session_id"])
        await answer(session, "start_episode", environment="maze")
    assert not hosts()


def test_an_image_is_shown_as_one() -> None:
    """If it failed, a model would be shown a picture as a hundred thousand letters."""
    facts = dict.fromkeys(Seen.model_fields, None) | {"session_id": "1", "steps": 0, "metadata": {}}
    flags = {"done": False, "terminated": False, "truncated": False, "rewards": {}, "notice": ""}
    seen = Seen.model_validate(
        {**facts, **flags, "content": PNG, "content_type": "image", "available_actions": []}
    )
    told = shown(seen)
    assert [block.type for block in told.content] == ["text", "image"]
    assert (told.content[1].data, told.content[1].mimeType) == (PNG, "image/png")
    assert PNG not in told.content[0].text
    assert told.structuredContent["content"] == "(the image)"


def test_every_tool_is_documented() -> None:
    """If it failed, a person could not see what an agent may do."""
    docs = Path(__file__).parents[2] / "docs" / "tools.md"
    rows = {row[0]: row[2] for row in table(docs, "The MCP server")}
    assert rows == {
        each.name: ", ".join(f"`{name}`" for name in each.arguments.model_fields).strip("`")
        for each in ROOM_TOOLS
    }
