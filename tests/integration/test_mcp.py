"""The MCP server as clients meet it: driven by the official client, over pipes and over HTTP."""

import asyncio
import json
import os
import re
import stat
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from mcp import ClientSession, McpError, StdioServerParameters, types
from mcp.client.stdio import stdio_client
from mcp.shared.memory import create_connected_server_and_client_session as connected
from pydantic import AnyUrl

from client.api import Shiftwork
from client.mcp.episode_tools import ROOM_TOOLS
from client.mcp.protocol import make_server
from client.tokens import own_token
from client.tools.desk import Desk
from client.tools.table import DEFINITIONS
from shiftwork.contracts.feature import FeatureSpec
from shiftwork.errors import InvalidInput
from tests.integration.mcp_support import COMMAND, INITIALIZE, LONGEST, bearer, environment, over_http, served
from tests.llm.programs import find_program_or_skip

__all__ = ["served"]

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def piped(state: Path, *arguments: str) -> AsyncIterator[ClientSession]:
    """A client of `shiftwork mcp`, which it started as agents do."""
    server = StdioServerParameters(
        command=sys.executable, args=[*COMMAND, *arguments], env=environment(state)
    )
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        yield session


@pytest.fixture
async def project(stack) -> str:
    """The id of a project with one feature, of which nothing runs."""
    async with Shiftwork(stack) as shiftwork, shiftwork.store.transaction() as tx:
        row = await tx.projects.create(f"m{uuid.uuid4().hex[:8]}")
        await tx.features.adopt(row.id, [FeatureSpec(name="a", verification_steps=("look",))], 1)
    return row.id


async def test_over_pipes_everything_is_there(stack, project: str) -> None:
    """If it failed, an agent that is configured as documented could not use the server."""
    async with piped(stack.state) as session:
        tools = (await session.list_tools()).tools
        assert [tool.name for tool in tools] == [each.name for each in (*DEFINITIONS, *ROOM_TOOLS)]
        assert all(tool.outputSchema and tool.annotations and tool.description for tool in tools)

        answer = await session.call_tool("get_project_status", {"project_id": project})
        assert not answer.isError
        assert answer.structuredContent["total_features"] == 1
        assert json.loads(answer.content[0].text) == answer.structuredContent
        assert answer.structuredContent["notice"].startswith("Quoted data")

        refused = await session.call_tool("get_project_status", {"project_id": "no such"})
        assert refused.isError
        assert refused.content[0].text == (
            "No project has the id or name 'no such'; take one of the list of projects."
        )
        misspelt = await session.call_tool("get_project_status", {"project": project})
        assert misspelt.isError
        assert "project" in misspelt.content[0].text
        assert "Traceback" not in misspelt.content[0].text

        prompt = await session.get_prompt("plan_project", {"goal": "A shelf {for} links."})
        assert "A shelf {for} links." in prompt.messages[0].content.text
        with pytest.raises(McpError, match="goal is missing"):
            await session.get_prompt("plan_project", {"goal": " "})


async def test_report_and_status_are_resources(stack, project: str) -> None:
    """If it failed, a person could not attach a project's report to a conversation."""
    async with connected(make_server(Desk(stack))) as session:
        templates = (await session.list_resource_templates()).resourceTemplates
        assert {each.uriTemplate for each in templates} == {
            "shiftwork://projects/{id}/report",
            "shiftwork://projects/{id}/status",
        }
        listed = {str(each.uri) for each in (await session.list_resources()).resources}
        assert f"shiftwork://projects/{project}/report" in listed

        report = await session.read_resource(AnyUrl(f"shiftwork://projects/{project}/report"))
        assert report.contents[0].mimeType == "text/markdown"
        assert report.contents[0].text.startswith("> Quoted data: ")
        assert "## Features" in report.contents[0].text
        status = await session.read_resource(AnyUrl(f"shiftwork://projects/{project}/status"))
        assert json.loads(status.contents[0].text)["project_id"] == project
        for wrong in ("shiftwork://projects/0000/secret", "file:///etc/passwd"):
            with pytest.raises(McpError, match="There is no resource"):
                await session.read_resource(AnyUrl(wrong))


async def test_what_only_reads_changes_nothing(stack) -> None:
    """If it failed, an agent that may only look could spend money."""
    async with connected(make_server(Desk(stack), read_only=True)) as session:
        tools = (await session.list_tools()).tools
        reading = {each.name for each in DEFINITIONS if each.reads}
        assert {tool.name for tool in tools} == {*reading, "list_environments"}
        assert all(tool.annotations.readOnlyHint for tool in tools)
        refused = await session.call_tool("create_long_running_project", {"name": "x", "description": "y"})
        assert refused.isError
        assert refused.content[0].text.startswith("There is no tool 'create_long_running_project' here")
        assert session.get_server_capabilities().prompts is None


async def test_a_wait_tells_how_far_it_is_and_can_be_cancelled(stack, project: str) -> None:
    """If it failed, a client would give up a wait as hung, or could not end it."""
    told: list[str] = []
    heard = asyncio.Event()

    async def listen(_: float, __: float | None, message: str | None) -> None:
        told.append(message)
        heard.set()

    async def wait(session: ClientSession) -> types.CallToolResult:
        asked = {"project_id": project, "timeout_seconds": 600}
        return await session.call_tool("wait_for_project", asked, progress_callback=listen)

    async with Shiftwork(stack) as shiftwork, connected(make_server(Desk(stack))) as session:
        waiting = asyncio.create_task(wait(session))
        while not heard.is_set():
            async with shiftwork.store.transaction() as tx:
                data = {"commit": "c", "feature": "a"}
                await tx.events.append(project, "steered", data={"text": "Plain SQL.", **data})
            await asyncio.sleep(0.2)
        assert told
        assert all("\n" not in line for line in told)
        cancelled = types.CancelledNotificationParams(requestId=session._request_id - 1)
        await session.send_notification(
            types.ClientNotification(types.CancelledNotification(params=cancelled))
        )
        with pytest.raises(McpError, match="cancelled"):
            await asyncio.wait_for(waiting, 100)
        # The server goes on.
        await session.list_tools()


async def test_a_wait_ends_with_its_time(stack, project: str) -> None:
    """If it failed, a client's own time limit would end the call, and it would learn nothing."""
    async with connected(make_server(Desk(stack))) as session:
        asked = {"project_id": project, "timeout_seconds": 1}
        answer = await session.call_tool("wait_for_project", asked)
    assert answer.structuredContent["at_rest"] is False
    assert "initialize_project_features" in answer.structuredContent["message"]


async def test_without_a_stack_the_answer_is_a_sentence(tmp_path: Path) -> None:
    """If it failed, an agent would be shown a traceback, or its client that the server is broken."""
    async with piped(tmp_path / "nowhere") as session:
        answer = await session.call_tool("list_long_running_projects", {})
        assert answer.isError
        assert "shiftwork dev" in answer.content[0].text
        assert "\n" not in answer.content[0].text.strip()
        with pytest.raises(McpError, match="shiftwork dev"):
            await session.list_resources()


def test_it_ends_with_its_client_and_prints_nothing_else(stack, project: str) -> None:
    """If it failed, servers would pile up behind agents, or a line would break the protocol."""
    asked = {"project_id": project, "timeout_seconds": 600}
    messages = (
        INITIALIZE,
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {
            "jsonrpc": "2.0",
            "id": 2,
            "method": "tools/call",
            "params": {"name": "wait_for_project", "arguments": asked},
        },
    )
    # What goes before the end of the input is read first, so the wait has begun when that comes.
    done = subprocess.run(
        [sys.executable, *COMMAND],
        env=environment(stack.state),
        input="".join(json.dumps(message) + "\n" for message in messages),
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [json.loads(line)["jsonrpc"] for line in done.stdout.splitlines()] == ["2.0"]


async def test_over_http_it_is_the_same(served: dict, project: str) -> None:
    """If it failed, a client that can't start programs could not use the server."""
    assert served["url"].startswith("http://127.0.0.1:")
    assert stat.S_IMODE(Path(served["token_file"]).stat().st_mode) == 0o600
    async with over_http(served) as session:
        assert len((await session.list_tools()).tools) == len(DEFINITIONS) + len(ROOM_TOOLS)
        answer = await session.call_tool("list_project_features", {"project_id": project})
        assert [each["name"] for each in answer.structuredContent["features"]] == ["a"]
        refused = await session.call_tool("list_project_features", {"project_id": project, "limit": 9999})
        assert refused.isError


async def test_over_http_an_answer_may_take_long(served: dict, project: str) -> None:
    """If it failed, a client with the usual 5 s of patience would wait for ever for what takes longer."""
    async with over_http(served, timeout=httpx.Timeout(5)) as session:
        asked = {"project_id": project, "timeout_seconds": 7}
        answer = await session.call_tool("wait_for_project", asked)
    assert answer.structuredContent["at_rest"] is False


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        ({}, "/mcp", 200),
        ({"Authorization": "Bearer wrong"}, "/mcp", 401),
        ({"Authorization": ""}, "/mcp", 401),
        ({"Host": "evil.example"}, "/mcp", 421),
        ({"Host": "127.0.0.1"}, "/mcp", 421),
        ({"Host": "localhost:PORT"}, "/mcp", 421),
        ({"Origin": "http://evil.example"}, "/mcp", 403),
        ({"Origin": "null"}, "/mcp", 403),
        ({"Origin": "http://127.0.0.1:PORT"}, "/mcp", 200),
        ({}, "/", 404),
        ({}, "/mcp/", 404),
    ],
)
async def test_only_who_may_is_let_in(served: dict, headers: dict, path: str, status: int) -> None:
    """If it failed, a web page, or anybody on this machine, could start projects."""
    port = served["url"].rpartition(":")[2].partition("/")[0]
    mine = {name: value.replace("PORT", port) for name, value in headers.items()}
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers=bearer(served), timeout=LONGEST
    ) as http:
        answer = await http.post(path, json=INITIALIZE, headers=mine)
    assert answer.status_code == status
    if status != 200:
        assert answer.text.count("\n") == 1


async def test_the_token_is_kept_and_is_nobody_elses(tmp_path: Path) -> None:
    """If it failed, each start would break every client's settings, or another user's token would hold."""
    file = tmp_path / "mcp-token"
    token = own_token(file)
    assert own_token(file) == token
    assert len(token) > 40
    file.chmod(0o644)
    assert own_token(file) == token
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o666)
    with pytest.raises(InvalidInput, match="Others may write"):
        own_token(file)


def test_a_port_that_is_taken_is_a_sentence(served: dict, stack) -> None:
    """If it failed, a second server would end in a traceback."""
    port = served["url"].rpartition(":")[2].partition("/")[0]
    done = subprocess.run(
        [sys.executable, *COMMAND, "--http", port],
        env=environment(stack.state),
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: Port {port} of 127.0.0.1 can't be used")
    assert done.stderr.count("\n") == 1


def documented(program: str) -> str:
    """The lines that the documentation shows for this program."""
    text = (ROOT / "docs" / "tools.md").read_text().partition("### In agents")[2].partition("\n### ")[0]
    blocks = re.findall(r"^```\w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    head = "{" if program == "opencode" else program
    return next(block for block in blocks if block.startswith(head))


@pytest.mark.parametrize(
    ("program", "shows"),
    [
        ("claude", r"shiftwork: shiftwork mcp .*Connected"),
        ("codex", r"shiftwork +shiftwork +mcp .* enabled"),
        ("gemini", r"shiftwork: shiftwork mcp .*Connected"),
        ("opencode", r"shiftwork .*connected"),
    ],
)
def test_real_agents_find_it_as_documented(program: str, shows: str, tmp_path: Path) -> None:
    """If it failed, what the documentation says to type would not connect an agent to the server."""
    found = find_program_or_skip(program)
    folders = {"HOME": "", "CLAUDE_CONFIG_DIR": "claude", "CODEX_HOME": "codex", "XDG_CONFIG_HOME": "config"}
    home = {name: str(tmp_path / folder) for name, folder in folders.items()}
    for folder in home.values():
        Path(folder).mkdir(exist_ok=True)
    script = documented(program)
    if program == "opencode":
        (tmp_path / "opencode.json").write_text(script)
        script = "opencode mcp list"
    path = os.pathsep.join(
        (str(Path(found).parent), str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))
    )
    quiet = {"OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1"}
    quiet |= {"GEMINI_CLI_TRUST_WORKSPACE": "true", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
    for listing in (script, *[script.splitlines()[-1]] * 2):  # some give a server a few seconds to answer
        done = subprocess.run(
            ["bash", "-euc", listing],
            cwd=tmp_path,
            env={**environment(tmp_path / ".shiftwork"), **home, **quiet, "PATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        said = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
        assert done.returncode == 0, said
        if re.search(shows, said):
            break
    assert re.search(shows, said), said
