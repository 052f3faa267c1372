"""What this version can't read keeps nobody from the rest: lists tell of it, and it can be deleted."""

import asyncio
import json
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from sqlalchemy import text

from client.api import Shiftwork
from client.mcp.resources import of_projects
from client.tools.arguments import ListProjects
from client.tools.call import Call
from client.tools.projects import list_long_running_projects
from shiftwork.contracts.project import ProjectOptions
from shiftwork.settings import Settings
from tests.e2e.lab import eventually
from tests.integration.rest_support import COMMAND, environment, problem, serving

SPOIL = (
    """UPDATE agent_versions SET config = jsonb_set(config::jsonb, '{timeout}', '"soon"')
    WHERE agent_id = :agent""",
    """UPDATE projects SET options = '{"max_parallel": "many"}' WHERE id = :project""",
)
MEND = (
    "UPDATE agent_versions SET config = '{}' WHERE agent_id = :agent",
    "UPDATE projects SET options = '{}' WHERE id = :project",
)
OPTIONS = {"agent": {"backend": "command", "settings": {"argv": ["true"]}}}
NEVER = "0 0 29 2 *"
LISTS = "/api/agents", "/api/schedules", "/api/projects"


@dataclass(frozen=True)
class Spoiled:
    """Two agents and two projects, the first of each unreadable; by their ids, the schedules by theirs.

    `before` has how many each list had without them: other tests may have left some.
    """

    settings: Settings
    http: httpx.Client
    agents: tuple[int, int]
    schedules: tuple[str, str]
    projects: tuple[str, str]
    whys: tuple[str, str]
    before: dict[str, int]

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        env = environment(self.settings.state)
        command = [*COMMAND, *arguments]
        return subprocess.run(command, check=False, env=env, capture_output=True, text=True, timeout=100)

    def listed(self, path: str) -> dict:
        answer = self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()


def change(settings: Settings, statements: tuple[str, ...], agent: int, project: str) -> None:
    async def write() -> None:
        async with Shiftwork(settings) as shiftwork, shiftwork.store.transaction() as tx:
            for statement in statements:
                named = {"agent": agent} if ":agent" in statement else {"project": project}
                await tx.connection.execute(text(statement), named)

    asyncio.run(write())


@pytest.fixture
def spoiled(stack) -> Iterator[Spoiled]:
    """What was made by REST, and changed in the database."""
    mark = uuid.uuid4().hex[:8]
    with serving(stack.state) as server, server.client() as http:
        agents, projects = [], []
        before = {path: http.get(path).json()["total"] for path in LISTS}
        for name in (f"spoiled-{mark}", f"sound-{mark}"):
            config = {"schedules": {f"of-{name}": NEVER}}
            made = http.post("/api/agents", json={"name": name, "code": "pass", "config": config}).json()
            agents.append(made["id"])
            asked = {"name": name, "spec": "x", "start": False, "options": OPTIONS}
            projects.append(http.post("/api/projects", json=asked).json()["project_id"])
        change(stack, SPOIL, agents[0], projects[0])
        why = f"('spoiled-{mark}') can't be read by this version of Shiftwork ("
        whys = f"What is stored of agent {agents[0]} {why}", f"What is stored of project {projects[0]} {why}"
        schedules = f"of-spoiled-{mark}", f"of-sound-{mark}"
        yield Spoiled(stack, http, tuple(agents), schedules, tuple(projects), whys, before)
        change(stack, MEND, agents[0], projects[0])
        for agent in agents:
            http.delete(f"/api/agents/{agent}")
        for project in projects:
            assert http.delete(f"/api/projects/{project}").status_code == 204


def test_lists_over_rest_tell_of_what_can_not_be_read(spoiled: Spoiled) -> None:
    """If it failed, one row of a newer version would hide all agents, schedules and projects."""
    of_each = (0, "id", spoiled.agents), (0, "id", spoiled.schedules), (1, "project_id", spoiled.projects)
    for path, (kind, field, there) in zip(LISTS, of_each, strict=True):
        page = spoiled.listed(f"{path}?limit=200")
        found = [each[field] for each in page["items"]]
        assert (there[0] in found, there[1] in found) == (False, True)
        assert page["total"] == spoiled.before[path] + 1
        assert [spoiled.whys[kind] in each for each in page["unreadable"]] == [True]
        assert len(spoiled.listed(f"{path}?limit=1")["unreadable"]) == 1


def test_one_that_can_not_be_read_is_a_fault_of_the_server(spoiled: Spoiled) -> None:
    """If it failed, a GET would answer with a status that its description does not have."""
    described = spoiled.listed("/api/openapi.json")["paths"]["/api/agents/{agent}"]["get"]["responses"]
    answer = spoiled.http.get(f"/api/agents/{spoiled.agents[0]}")
    assert spoiled.whys[0] in problem(answer, 500)["detail"]
    assert "500" in described
    assert spoiled.whys[1] in problem(spoiled.http.get(f"/api/projects/{spoiled.projects[0]}"), 500)["detail"]


def test_lists_of_commands_tell_of_what_can_not_be_read(spoiled: Spoiled) -> None:
    """If it failed, nobody could look at any agent until the row was put right."""
    for command, kind, there in (
        (("agents", "list"), 0, spoiled.agents[1]),
        (("schedules", "list"), 0, spoiled.schedules[1]),
        (("list",), 1, spoiled.projects[1]),
    ):
        for more in ((), ("--json",)):
            done = spoiled.cli(*command, *more)
            assert done.returncode == 0, done.stderr
            assert str(there)[:8] in done.stdout
            assert done.stderr.startswith(f"warning: {spoiled.whys[kind]}")
            assert done.stderr.count("\n") == 1
    shown = spoiled.cli("schedules", "show", spoiled.schedules[1])
    assert (shown.returncode, shown.stderr) == (0, "")
    shown = spoiled.cli("schedules", "show", spoiled.schedules[0])
    assert (shown.returncode, spoiled.whys[0] in shown.stderr) == (1, True)


def test_a_command_without_a_project_reads_the_one_it_means(spoiled: Spoiled) -> None:
    """If it failed, one unreadable project would stop every command that names none."""
    shown = spoiled.cli("features", "--json")
    assert (shown.returncode, json.loads(shown.stdout), shown.stderr) == (0, [], "")


def test_tools_and_resources_leave_out_what_can_not_be_read(spoiled: Spoiled) -> None:
    """If it failed, a model could look at no project at all."""

    async def look() -> None:
        async with Shiftwork(spoiled.settings) as shiftwork:
            found = await list_long_running_projects(
                Call(shiftwork, ProjectOptions()), ListProjects(limit=50)
            )
            ids = [each.project_id for each in found.projects]
            assert (spoiled.projects[0] in ids, spoiled.projects[1] in ids) == (False, True)
            assert [spoiled.whys[1] in each for each in found.unreadable] == [True]
            addresses = [str(each.uri) for each in await of_projects(shiftwork)]
            assert any(spoiled.projects[1] in each for each in addresses)
            assert not any(spoiled.projects[0] in each for each in addresses)

    asyncio.run(look())


def test_lists_of_tasks_tell_of_what_can_not_be_read(spoiled: Spoiled, caplog) -> None:
    """If it failed, one row of a newer version would hide all tasks, or those of an agent."""
    user = uuid.uuid4().hex
    asked = {"provider": "noop", "user_id": user}
    ids = [spoiled.http.post("/api/tasks", json=asked).json()["id"] for _ in range(3)]
    of = "FROM tasks WHERE user_id = :user"

    async def listed(*statements: str) -> list[int]:
        async with Shiftwork(spoiled.settings) as shiftwork:
            async with shiftwork.store.transaction() as tx:
                for statement in statements:
                    await tx.connection.execute(text(statement), {"user": user})
            return [task.id for task in await shiftwork.tasks(provider="noop") if task.id in ids]

    spoil = f"UPDATE tasks SET error_kind = 'of a newer version' WHERE id = (SELECT min(id) + 1 {of})"
    why = f"What is stored of task {ids[1]} can't be read by this version of Shiftwork (error_kind: "
    try:
        assert asyncio.run(listed(spoil)) == [ids[2], ids[0]]
        assert f"left out of a list: {why}" in caplog.text
        page = spoiled.listed(f"/api/tasks?user={user}&limit=2")
        assert [task["id"] for task in page["items"]] == [ids[2]]
        assert [why in each for each in page["unreadable"]] == [True]
        assert (page["total"], page["next_offset"]) == (3, 2)
        page = spoiled.listed(f"/api/tasks?user={user}&limit=2&offset=2")
        assert ([task["id"] for task in page["items"]], page["unreadable"]) == ([ids[0]], [])
        page = spoiled.listed(f"/api/tasks/agents/{spoiled.agents[0]}/tasks")
        assert (page["items"], page["unreadable"]) == ([], [])
        done = spoiled.cli("tasks", "list", "--agent", str(spoiled.agents[0]))
        assert (done.returncode, done.stderr) == (0, "")
    finally:
        asyncio.run(listed(f"DELETE {of}"))


def test_lists_of_versions_tell_of_what_can_not_be_read(spoiled: Spoiled) -> None:
    """If it failed, nobody could look at what the agent was before."""
    agent = spoiled.agents[1]
    changed = spoiled.http.patch(f"/api/agents/{agent}", json={"code": "print(2)"})
    assert changed.json()["version"] == 2
    change(spoiled.settings, (f"{SPOIL[0]} AND version = 1",), agent, "")
    why = f"What is stored of agent {agent} ("
    try:
        page = spoiled.listed(f"/api/agents/{agent}/versions")
        assert ([each["version"] for each in page["items"]], page["total"]) == ([2], 1)
        assert [why in each for each in page["unreadable"]] == [True]
        for more in ((), ("--json",)):
            done = spoiled.cli("agents", "versions", str(agent), *more)
            assert (done.returncode, done.stderr.startswith(f"warning: {why}")) == (0, True)
        assert [each["version"] for each in json.loads(done.stdout)] == [2]
        done = spoiled.cli("agents", "versions", str(spoiled.agents[0]))
        assert (done.returncode, done.stdout) == (0, "")
        assert done.stderr.startswith(f"warning: {spoiled.whys[0]}")
    finally:
        change(spoiled.settings, (MEND[0],), agent, "")


def test_lists_of_handoffs_tell_of_what_can_not_be_read(spoiled: Spoiled) -> None:
    """If it failed, one handoff would hide all others, and be an error that nobody can act on."""
    agent = spoiled.agents[1]
    path = f"/api/agents/{agent}/handoffs"
    sound, bad = [spoiled.http.post(path, json={"state": {"n": n}}).json()["id"] for n in range(2)]
    for written in ("no JSON", "[]"):
        spoil = (
            f"UPDATE handoff_artifacts SET context_data = '{written}' WHERE id = {bad} AND agent_id = :agent"
        )
        change(spoiled.settings, (spoil,), agent, "")
        why = (
            f"What is stored of handoff {bad} can't be read by this version of Shiftwork (context_data: must"
        )
        page = spoiled.listed(path)
        assert ([each["id"] for each in page["items"]], page["total"]) == ([sound], 2)
        assert [why in each for each in page["unreadable"]] == [True]
        for one in ("latest", bad):
            assert why in problem(spoiled.http.get(f"{path}/{one}"), 500)["detail"]
    done = spoiled.cli("handoffs", "list", str(agent), "--json")
    assert (done.returncode, [each["id"] for each in json.loads(done.stdout)]) == (0, [sound])
    assert done.stderr.startswith(f"warning: {why}")
    done = spoiled.cli("handoffs", "show", str(agent), str(bad))
    assert (done.returncode, why in done.stderr) == (1, True)


@pytest.mark.parametrize("way", ["rest", "cli"])
def test_an_agent_that_can_not_be_read_can_be_deleted(spoiled: Spoiled, way: str) -> None:
    """If it failed, it would stay until somebody put it right, and its schedule would go on to be due."""

    async def known() -> set[str]:
        async with Shiftwork(spoiled.settings) as shiftwork:
            return {each.id async for each in await (await shiftwork.temporal()).list_schedules()}

    async def listed() -> bool:
        return spoiled.schedules[0] in await known()

    async def gone() -> bool:
        return not await listed()

    asyncio.run(eventually(listed))
    refused = spoiled.http.delete(f"/api/agents/{spoiled.agents[0]}", headers={"If-Match": '"1.9"'})
    assert problem(refused, 412)
    if way == "rest":
        assert spoiled.http.delete(f"/api/agents/{spoiled.agents[0]}").status_code == 204
    else:
        done = spoiled.cli("agents", "delete", str(spoiled.agents[0]), "--yes")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"Deleted agent {spoiled.agents[0]}: spoiled-")
    asyncio.run(eventually(gone))
    assert spoiled.schedules[1] in asyncio.run(known())
    problem(spoiled.http.get(f"/api/agents/{spoiled.agents[0]}"), 404)
    assert spoiled.listed("/api/agents")["unreadable"] == []
