"""Projects directed over HTTP, with a worker that carries it out."""

import asyncio
import json
import subprocess
import time
import uuid
from collections.abc import Iterator
from itertools import pairwise

import httpx
import pytest
from sqlalchemy import text

from client.api import Shiftwork
from shiftwork.settings import Settings
from tests.e2e.support import quick_environment, worker_process
from tests.integration.rest_support import COMMAND as CLI
from tests.integration.rest_support import Served, environment, problem, serving, wait_for_worker

COMMAND = {"backend": "command", "settings": {"argv": ["true"]}}


@pytest.fixture(scope="module")
def served(stack) -> Iterator[Served]:
    """A server of the shared stack, with a worker."""
    log = stack.state / "rest-directing-worker.log"
    with worker_process(quick_environment(stack.state), log), serving(stack.state) as server:
        wait_for_worker(stack)
        yield server


@pytest.fixture(scope="module")
def http(served) -> Iterator[httpx.Client]:
    """A client that knows the token."""
    with served.client() as client:
        yield client


def make(http: httpx.Client, **options) -> str:
    """The path of a new project that takes a session only when it is asked to."""
    options = {"agent": COMMAND, "autorun": False, **options}
    asked = {"name": f"d{uuid.uuid4().hex[:8]}", "spec": "x", "start": False, "options": options}
    made = http.post("/api/projects", json=asked)
    assert made.status_code == 201, made.text
    return f"/api/projects/{made.json()['project_id']}"


def until(found, what: str) -> None:
    """Wait for what the worker does."""
    deadline = time.monotonic() + 100
    while not found():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def test_the_agent_of_a_category_and_its_fallback_get_other_settings(http) -> None:
    """If it failed, only the command line could mend a fallback, or the agent of a category."""
    agent = {**COMMAND, "fallbacks": [COMMAND, COMMAND]}
    path = make(http, categories={"ui": {"agent": agent}})
    known = http.get(path).json()["options"]
    for asked, names in (
        ({"category": "ui", "fallback": 3, "agent_settings": {"a": 1}}, "no fallback 3"),
        ({"category": "testing", "agent_settings": {"a": 1}}, "testing"),
        ({"category": "ui", "role": "testing", "agent_settings": {"a": 1}}, "one of them"),
        ({"category": "ui", "fallback": 2}, "give some"),
        ({"category": "nothing"}, "nothing"),
        ({"fallback": 0}, "fallback"),
    ):
        assert names in problem(http.post(f"{path}/resume", json=asked), 422)["detail"]
    assert http.get(path).json()["options"] == known

    settings = {"argv": ["false"]}
    asked = {"category": "ui", "fallback": 2, "agent_settings": settings, "autorun": False}
    assert http.post(f"{path}/resume", json=asked).status_code == 202

    def mended() -> bool:
        fallbacks = http.get(path).json()["options"]["categories"]["ui"]["agent"]["fallbacks"]
        return [each["settings"] for each in fallbacks] == [COMMAND["settings"], settings]

    until(mended, "the second fallback has other settings")
    http.post(f"{path}/abandon", json={})


async def test_the_newest_of_a_history_can_be_had_alone(http, stack) -> None:
    """If it failed, a program would read a whole history for its end, as no person has to."""
    path = make(http)
    async with Shiftwork(stack) as shiftwork, shiftwork.store.transaction() as tx:
        for _ in range(210):
            await tx.events.append(path.rpartition("/")[2], "steered", data={"text": "x"})
    every = http.get(f"{path}/events", params={"limit": 200}).json()
    rest = http.get(f"{path}/events", params={"after": every["next_after"]}).json()
    known = [each["sequence"] for each in every["items"] + rest["items"]]
    assert len(known) > 210

    def newest(**query) -> list[int]:
        page = http.get(f"{path}/events", params=query).json()
        assert not page["more"]
        assert page["next_after"] == known[-1]
        return [each["sequence"] for each in page["items"]]

    assert newest(last=3) == known[-3:]
    assert newest(last=1_000, after=known[-2]) == known[-1:]
    assert newest(last=2, session=7) == []
    assert len(http.get(f"{path}/events", params={"last": 205}).json()["items"]) == 200
    problem(http.get(f"{path}/events", params={"last": 0}), 422)


async def spoil(settings: Settings, handoff: int) -> None:
    """Have a handoff be what no version of ours writes."""
    statement = text("UPDATE handoff_artifacts SET context_data = '[]' WHERE id = :handoff")
    async with Shiftwork(settings) as shiftwork, shiftwork.store.transaction() as tx:
        await tx.connection.execute(statement, {"handoff": handoff})


def test_what_agents_say_is_heard_and_what_they_left_is_read(http, stack) -> None:
    """If it failed, only people at a terminal could follow an agent, or read what a session handed over."""
    left = '{"summary": "It was planned.", "state": {"port": 8080}}'
    plan = '{"features": [{"name": "a", "verification_steps": [{"command": "test -f done"}]}]}'
    # Braces are places of the command's own.
    plan, written = (each.replace("{", r"\173").replace("}", r"\175") for each in (plan, left))
    files = f"printf '{plan}' > plan.json; printf '{written}' > handoff.json"
    script = f"echo told; touch done; cd $SHIFTWORK_OUTBOX; {files}; sleep 1"
    agent = {"backend": "command", "settings": {"argv": ["sh", "-c", script]}}
    path = make(http, agent=agent, autorun=True)
    assert http.post(f"{path}/start").status_code == 202
    query = {"agents": True, "until_rest": True}
    with http.stream("GET", f"{path}/events/stream", params=query) as answer:
        lines = list(answer.iter_lines())
    said = [
        json.loads(data.removeprefix("data: ")) for kind, data in pairwise(lines) if kind == "event: said"
    ]
    assert any("told" in json.dumps(each["payload"]) for each in said), said
    transcript = http.get(f"{path}/sessions/0/transcript").json()["items"]
    newest = http.get(f"{path}/sessions/0/transcript", params={"last": 1}).json()
    assert newest["items"] == transcript[-1:]
    assert http.get(f"{path}/sessions/0/transcript", params={"last": 1_000}).json()["items"] == transcript

    page = http.get(f"{path}/handoffs").json()
    handoffs = page["items"]
    assert (page["total"], page["next_offset"], page["unreadable"]) == (len(handoffs), None, [])
    assert http.get(f"{path}/handoffs", params={"offset": len(handoffs)}).json()["items"] == []
    assert handoffs[0]["summary"] == "It was planned."
    assert handoffs[0]["context"]["state"] == {"port": 8080}
    assert handoffs[0]["session_id"] is not None
    shown = typed(stack, "handoffs", "project", path.rpartition("/")[2], "--json")
    assert [each["id"] for each in json.loads(shown)] == [each["id"] for each in handoffs]
    assert "It was planned." in typed(stack, "handoffs", "project", path.rpartition("/")[2], "--last", "1")
    asyncio.run(spoil(stack, handoffs[0]["id"]))
    page = http.get(f"{path}/handoffs").json()
    assert ([each["id"] for each in page["items"]], page["total"]) == (
        [each["id"] for each in handoffs[1:]],
        len(handoffs),
    )
    assert [f"handoff {handoffs[0]['id']} can't be read" in each for each in page["unreadable"]] == [True]
    other = make(http)
    assert http.get(f"{other}/handoffs").json()["items"] == []
    assert "left anything" in typed(stack, "handoffs", "project", other.rpartition("/")[2])


def typed(stack, *arguments: str) -> str:
    """What a command prints."""
    done = subprocess.run(
        [*CLI, *arguments], env=environment(stack.state), capture_output=True, text=True, check=True
    )
    return done.stdout


def test_all_schedules_of_an_agent_are_removed_at_once(http) -> None:
    """If it failed, a program would leave an agent running by a schedule that it does not know of."""
    name = f"d{uuid.uuid4().hex[:8]}"
    never = "0 0 29 2 *"
    config = {"schedule": never, "schedules": {f"{name}-more": never}}
    agent = http.post("/api/agents", json={"name": name, "code": "pass", "config": config}).json()
    path = f"/api/agents/{name}"
    assert len(http.get(f"{path}/schedules").json()) == 2
    stale = {"If-Match": '"other"'}
    problem(http.delete(f"{path}/schedules", headers=stale), 412)
    assert http.delete(f"{path}/schedules").status_code == 204
    assert http.get(f"{path}/schedules").json() == []
    assert http.delete(f"{path}/schedules").status_code == 204
    assert http.get(path).json()["version"] == agent["version"] + 1


def test_the_command_line_says_of_handoffs_and_tasks_what_programs_say(http, stack, tmp_path) -> None:
    """If it failed, a handoff for ever, or the tasks of one user, could be had over HTTP alone."""
    name = f"d{uuid.uuid4().hex[:8]}"
    http.post("/api/agents", json={"name": name, "code": "pass"})
    task = http.post("/api/tasks", json={"agent": name, "user_id": name}).json()
    file = tmp_path / "left.json"
    file.write_text('{"state": {"n": 1}}')
    given = ("--ttl-days", "none", "--task", str(task["id"]), "--json")
    saved = json.loads(typed(stack, "handoffs", "save", name, str(file), *given))
    assert (saved["expires_at"], saved["task_id"]) == (None, task["id"])
    listed = json.loads(typed(stack, "tasks", "list", "--user", name, "--json"))
    assert [each["id"] for each in listed] == [task["id"]]
    assert json.loads(typed(stack, "tasks", "list", "--user", f"{name}x", "--json")) == []
