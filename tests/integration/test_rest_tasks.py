"""Tasks, registered agents, their schedules and handoffs, as programs reach them over HTTP."""

import asyncio
import json
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from client.api import Shiftwork
from client.rest.streams import Streams
from client.rest.task_stream import TaskStream
from shiftwork.settings import Settings
from shiftwork.stack.file import read_stack, write_stack
from shiftwork.stack.temporal_server import EmbeddedTemporal
from shiftwork.temporal import search_attribute_types
from tests.e2e.support import quick_environment, worker_process
from tests.integration.rest_support import COMMAND, Served, environment, problem, serving, wait_for_worker

HUGE = 10**30
NEVER = {"schedule": "0 0 29 2 *", "timezone": "Europe/Berlin"}
SLOW = "import time\nprint('began', flush=True)\ntime.sleep(60)"
COUNTER = """
count = (handoff.state["count"] if handoff else 0) + parameters["step"]
print(f"{instruction} {count}")
save_handoff(state={"count": count}, summary=f"counted to {count}")
"""


@pytest.fixture(scope="module")
def served(stack) -> Iterator[Served]:
    """A server of the shared stack, with a worker."""
    log = stack.state / "rest-tasks-worker.log"
    with worker_process(quick_environment(stack.state), log), serving(stack.state) as server:
        wait_for_worker(stack)
        yield server


@pytest.fixture(scope="module")
def http(served) -> Iterator[httpx.Client]:
    """A client that knows the token."""
    with served.client() as client:
        yield client


def register(http: httpx.Client, code: str | None = "print('ran')", **config) -> dict:
    """A new agent."""
    asked = {"name": f"a{uuid.uuid4().hex[:8]}", "code": code, "config": config}
    made = http.post("/api/agents", json=asked)
    assert made.status_code == 201, made.text
    return made.json()


def execute(http: httpx.Client, agent: str | int, **more) -> httpx.Response:
    """Run an agent, and wait for its end."""
    return http.post("/api/tasks/execute", json={"agent": agent, "wait": 60, **more})


def events(http: httpx.Client, task: int | str) -> list[dict]:
    """What the stream of a task tells, until it ends."""
    answer = http.get(f"/api/tasks/{task}/events/stream")
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = []
    for part in answer.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in part.splitlines())
        if "data" in fields:
            told.append({**fields, "data": json.loads(fields["data"])})
    return told


def test_an_agent_runs_and_goes_on_from_its_last_run(http) -> None:
    """If it failed, a program could not run an agent, or its next run would begin from nothing."""
    agent = register(http, COUNTER, parameters={"step": 2})
    first = execute(http, agent["name"], instruction="count")
    assert first.status_code == 200
    assert (first.json()["status"], first.json()["result"]) == ("completed", "count 2\n")
    second = execute(http, agent["id"], parameters={"step": 40}).json()
    assert second["result"] == " 42\n"
    assert second["agent_version"] == 1
    assert "token" not in second
    assert {name: second["trace"][name] for name in ("worker", "attempts")} == {
        "worker": second["worker"],
        "attempts": 1,
    }
    assert second["worker"]

    assert http.get(f"/api/tasks/{second['id']}").json() == second
    assert http.get(f"/api/tasks/{second['uuid'].upper()}").json() == second
    handoffs = http.get(f"/api/agents/{agent['name']}/handoffs").json()["items"]
    assert [each["task_id"] for each in handoffs] == [second["id"], first.json()["id"]]
    latest = http.get(f"/api/agents/{agent['id']}/handoffs/latest").json()
    assert (latest["context"]["state"], latest["summary"]) == ({"count": 42}, "counted to 42")


def test_what_an_agent_is_told_over_http_its_next_run_knows(http) -> None:
    """If it failed, a handoff could be read, but not corrected."""
    agent = register(http, "print(handoff.state['since'].year, handoff.state['n'])")
    path = f"/api/agents/{agent['id']}/handoffs"
    problem(http.get(f"{path}/latest"), 404)
    key = {"Idempotency-Key": uuid.uuid4().hex}
    since = {"$datetime": "2026-01-05T00:00:00+00:00"}
    asked = {"state": {"since": since, "n": 1}, "summary": "by hand", "ttl_days": None}
    saved = http.post(path, json=asked, headers=key)
    assert saved.status_code == 201
    assert http.post(path, json=asked, headers=key).json() == saved.json()
    assert saved.json()["expires_at"] is None
    assert saved.json()["context"]["state"]["since"] == since
    assert execute(http, agent["id"]).json()["result"] == "2026 1\n"
    assert http.get(f"{path}/{saved.json()['id']}").json() == saved.json()
    problem(http.get(f"{path}/{2**63 - 1}"), 404)
    other = register(http)["id"]
    problem(http.get(f"/api/agents/{other}/handoffs/{saved.json()['id']}"), 404)
    page = http.get(path, params={"limit": 1}).json()
    assert [each["id"] for each in page["items"]] == [saved.json()["id"]]
    assert (page["next_offset"], page["total"]) == (None, 1)


def test_what_has_expired_is_found_no_more(http) -> None:
    """If it failed, an agent would go on from what it was not to know any more."""
    agent = register(http)["id"]
    path = f"/api/agents/{agent}/handoffs"
    saved = http.post(path, json={"ttl_days": 1e-9}).json()["id"]
    problem(http.get(f"{path}/latest"), 404)
    problem(http.get(f"{path}/{saved}"), 404)
    assert http.post("/api/handoffs/cleanup").json()["deleted"] >= 1


@pytest.mark.parametrize(
    ("asked", "status", "names"),
    [
        ({"state": {"n": HUGE}}, 422, "63 bits"),
        ({"state": {"text": "x" * 300_000}}, 422, "262,144"),
        ({"state": {"m": {"$datetime": 5}}}, 422, "moment"),
        ({"summary": "x" * 2001}, 422, "/summary"),
        ({"task_id": HUGE}, 422, "/task_id"),
        ({"task_id": 2**63 - 1}, 404, "no task"),
        ({"task_id": 1}, 422, "no run of agent"),
        ({"ttl_days": 0}, 422, "/ttl_days"),
        ({"actions": ["x"]}, 422, "/actions/0"),
        ({"stat": {}}, 422, "/stat"),
    ],
)
def test_a_handoff_that_can_not_be_is_refused(http, asked, status, names) -> None:
    """If it failed, an agent's next run would meet what it can't read."""
    agent = register(http)
    execute(http, register(http)["id"])  # so that there is a task of another agent
    found = problem(http.post(f"/api/agents/{agent['id']}/handoffs", json=asked), status)
    assert names in json.dumps(found)
    assert http.get(f"/api/agents/{agent['id']}/handoffs").json()["items"] == []


def test_a_busy_agent_says_what_runs_and_can_be_stopped(http) -> None:
    """If it failed, an agent would run twice at a time, or nobody could end what runs."""
    agent = register(http, SLOW)
    answer = execute(http, agent["id"], wait=0.2)
    assert answer.status_code == 202
    task = answer.json()
    assert task["status"] in ("created", "running")
    busy = problem(execute(http, agent["id"]), 409)
    assert f"task {task['id']}" in busy["detail"]
    listed = http.get("/api/tasks", params={"agent": agent["name"]}).json()["items"]
    assert [each["id"] for each in listed] == [task["id"]]
    until_running(http, task["id"])
    assert http.get("/api/resources").json()["running_tasks"] >= 1
    ended = http.post(f"/api/tasks/{task['id']}/cancel").json()
    assert (ended["status"], ended["error_kind"]) == ("failed", "cancelled")
    assert http.post(f"/api/tasks/{task['uuid']}/cancel").json() == ended


def until_running(http: httpx.Client, task: int) -> None:
    """Wait until a worker has begun a task."""
    deadline = time.monotonic() + 100
    while http.get(f"/api/tasks/{task}").json()["status"] == "created":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_task_is_made_and_started_later(http) -> None:
    """If it failed, whoever plans work could not have it done later, or would have it done twice."""
    agent = register(http)
    user = uuid.uuid4().hex
    key = {"Idempotency-Key": uuid.uuid4().hex}
    asked = {"agent": agent["name"], "user_id": user, "parameters": {"n": HUGE}}
    made = http.post("/api/tasks", json=asked, headers=key)
    assert made.status_code == 201, made.text
    assert http.post("/api/tasks", json=asked, headers=key).json() == made.json()
    assert (made.json()["status"], made.json()["parameters"]["n"]) == ("created", HUGE)

    path = f"/api/tasks/{made.json()['id']}"
    start = {"Idempotency-Key": uuid.uuid4().hex}
    ended = http.post(f"{path}/start", json={"wait": 60}, headers=start)
    assert (ended.status_code, ended.json()["status"]) == (200, "completed")
    again = http.post(f"{path}/start", json={"wait": 60}, headers=start)
    assert (again.json(), again.headers["idempotency-replayed"]) == (ended.json(), "true")
    assert "already" in problem(http.post(f"{path}/start", json={}), 409)["detail"]
    assert [each["id"] for each in http.get("/api/tasks", params={"user": user}).json()["items"]] == [
        made.json()["id"]
    ]

    waiting = http.post("/api/tasks", json={"provider": "noop", "user_id": user}).json()
    cancelled = http.post(f"/api/tasks/{waiting['id']}/cancel").json()
    assert (cancelled["status"], cancelled["error_kind"]) == ("failed", "cancelled")
    of_noop = http.get("/api/tasks", params={"user": user, "provider": "noop", "status": "failed"}).json()
    assert [each["id"] for each in of_noop["items"]] == [waiting["id"]]


def test_the_same_key_runs_an_agent_once(http) -> None:
    """If it failed, a program that got no answer would have an agent run again."""
    agent = register(http)
    key = {"Idempotency-Key": uuid.uuid4().hex}
    asked = {"agent": agent["id"], "wait": 60}
    answers = [http.post("/api/tasks/execute", json=asked, headers=key).json() for _ in range(3)]
    assert answers[0]["status"] == "completed"
    assert answers[1:] == answers[:2]
    page = http.get(f"/api/tasks/agents/{agent['id']}/tasks").json()
    assert len(page["items"]) == 1


def test_pages_lead_from_one_to_the_next(http) -> None:
    """If it failed, a program that reads page by page would miss some, or read some twice."""
    agent = register(http)
    for _ in range(5):
        http.post("/api/tasks", json={"agent": agent["id"], "instruction": "x" * 5_000})
    assert http.delete(f"/api/agents/{agent['id']}").status_code == 204
    problem(http.get(f"/api/agents/{agent['id']}"), 404)
    found, offset = [], 0
    while offset is not None:
        query = {"limit": 2, "offset": offset}
        page = http.get(f"/api/tasks/agents/{agent['id']}/tasks", params=query).json()
        assert all(len(each["instruction"]) == 1_000 for each in page["items"])
        found += [each["id"] for each in page["items"]]
        offset = page["next_offset"]
        assert page["total"] == 5
    assert (len(found), found) == (5, sorted(found, reverse=True))


class TestStream:
    """The events of a task."""

    def test_it_tells_each_change_and_ends(self, http) -> None:
        """If it failed, a program that follows a task would wait for ever, or not see it begin."""
        agent = register(http, "import time\ntime.sleep(0.5)\nprint('two\\nlines')")
        task = execute(http, agent["id"], wait=0).json()["id"]
        *told, end = events(http, task)
        statuses = [each["data"]["status"] for each in told]
        assert statuses[-2:] == ["running", "completed"]
        assert (end["event"], end["data"]) == ("end", "completed")
        assert "completed_at" in told[-1]["data"]["trace"]

        # Whoever comes later hears how it stands, and who has heard it does not come again.
        assert [each.get("event", "message") for each in events(http, task)] == ["message", "end"]
        path = f"/api/tasks/{task}/events/stream"
        assert http.get(path, headers={"Last-Event-ID": end["id"]}).status_code == 204
        problem(http.get("/api/tasks/999999999/events/stream"), 404)

    async def test_silence_is_filled_and_a_removed_task_ends_it(self, stack) -> None:
        """If it failed, proxies would cut the stream of a long task, or it would go on for none."""
        async with Shiftwork(stack) as shiftwork:
            task = await shiftwork.create_task("noop")
            parts = TaskStream(shiftwork, task.id, heartbeat=0.1).parts(Client(), Streams())
            assert (await anext(parts)).startswith("retry: ")
            assert '"created"' in await anext(parts)
            assert await anext(parts) == ": still here\n\n"
            async with shiftwork.store.transaction() as tx:
                await tx.tasks.remove_unbegun(task.id)
            async with asyncio.timeout(100):
                assert {part async for part in parts} <= {": still here\n\n"}


class Client:
    """A request of a client that stays."""

    async def is_disconnected(self) -> bool:
        """It has not gone."""
        return False


class TestAgents:
    """Agents as they are registered and changed."""

    def test_an_agent_is_changed_by_new_versions(self, http) -> None:
        """If it failed, a change would lose what it does not name, or what was before."""
        agent = register(http, timeout=30, parameters={"a": 1})
        path = f"/api/agents/{agent['name']}"
        assert http.get(path).json() == agent
        changed = http.patch(path, json={"code": "print('new')", "config": {"timeout": 60}}).json()
        assert (changed["version"], changed["code"]) == (2, "print('new')")
        assert changed["config"] == {**agent["config"], "timeout": 60}
        assert http.get(path, params={"version": 1}).json()["code"] == agent["code"]
        versions = http.get(f"{path}/versions").json()["items"]
        assert [each["version"] for each in versions] == [2, 1]
        listed = http.get("/api/agents", params={"limit": 200}).json()["items"]
        assert changed["id"] in [each["id"] for each in listed]
        assert problem(http.post("/api/agents", json={"name": agent["name"]}), 409)
        assert execute(http, agent["id"]).json()["result"] == "new\n"

    def test_a_change_is_merged_at_every_depth(self, http) -> None:
        """If it failed, who changes one limit would silently lift the others."""
        name = f"s{uuid.uuid4().hex[:8]}"
        agent = register(
            http,
            timeout=30,
            parameters={"a": {"x": 1, "y": 2}, "b": None, "c": 3},
            limits={"memory_mb": 400, "processes": 50},
            sandbox={"profile": "networked", "hosts": ["a.example"]},
            schedules={name: NEVER["schedule"], f"{name}-2": NEVER["schedule"]},
        )
        path = f"/api/agents/{agent['id']}"
        before = agent["config"]

        def changed(**config) -> dict:
            answer = http.patch(path, json={"config": config})
            assert answer.status_code == 200, answer.text
            return answer.json()["config"]

        limits = {**before["limits"], "processes": 60}
        assert changed(limits={"processes": 60}) == {**before, "limits": limits}
        parameters = {"a": {"x": 1, "y": 4, "z": {}}, "b": None}
        patch = {"a": {"y": 4, "z": {"none": None}}, "c": None, "d": None}
        assert changed(parameters=patch)["parameters"] == parameters
        assert list(changed(schedules={name: None})["schedules"]) == [f"{name}-2"]
        sandbox = changed(sandbox={"readable": ["/usr/share"], "hosts": ["b.example"]})["sandbox"]
        assert (sandbox["profile"], sandbox["hosts"]) == ("networked", ["b.example"])
        # Null is no limit, and elsewhere what there was before somebody said anything.
        assert changed(limits={"processes": None, "memory_mb": None})["limits"]["processes"] is None
        assert changed(timeout=None, limits=None)["timeout"] == 300
        assert http.get(path).json()["config"]["limits"]["processes"] == 1_000
        assert changed(parameters=None)["parameters"] == {}
        http.patch(path, json={"description": "d"})
        assert http.patch(path, json={"description": None}).json()["description"] == ""
        assert http.get(path).json()["code"] == agent["code"]

    def test_settings_are_merged_too(self, http) -> None:
        """If it failed, who chooses another model would lose what else its backend was told."""
        asked = {"name": f"a{uuid.uuid4().hex[:8]}", "kind": "command"}
        settings = {"argv": ["true"], "pass_environment": ["LANG"]}
        assert http.post("/api/agents", json={**asked, "settings": settings}).status_code == 201
        path = f"/api/agents/{asked['name']}"
        changed = http.patch(path, json={"settings": {"argv": ["false"]}}).json()
        assert changed["settings"] == {**settings, "argv": ["false"]}
        changed = http.patch(path, json={"settings": {"pass_environment": None}}).json()
        assert changed["settings"] == {"argv": ["false"]}
        assert "argv" in problem(http.patch(path, json={"settings": None}), 422)["detail"]

    @pytest.mark.parametrize(
        ("config", "pointer", "names"),
        [
            ({"tiemout": 1}, "/config/tiemout", "not known"),
            ({"limits": {"memory": 1}}, "/config/limits/memory", "not known"),
            ({"limits": {"processes": HUGE}}, "/config/limits/processes", "or less"),
            ({"timeout": "x"}, "/config/timeout", "number"),
            ({"schedules": {"!": None}}, "/config/schedules/!", "form"),
            ({"sandbox": {"hosts": ["a.example"]}}, "/config/sandbox/hosts", "networked"),
            ({"workspace": "keep", "overlap": "allow_all"}, "/config", "kept"),
            ({"prices": {"input": -1}}, "/config/prices/input", "0 or more"),
        ],
    )
    def test_a_change_that_can_not_be_is_refused(self, http, config, pointer, names) -> None:
        """If it failed, a mistake would be stored, and found when the agent runs."""
        agent = register(http)
        found = problem(http.patch(f"/api/agents/{agent['id']}", json={"config": config}), 422)
        assert names in found["detail"]
        assert [each["pointer"] for each in found.get("errors", [])] == [pointer]
        assert http.get(f"/api/agents/{agent['id']}").json() == agent

    def test_who_names_what_they_have_read_undoes_nothing(self, http) -> None:
        """If it failed, one of two people who change an agent would undo what the other did meanwhile."""
        agent = register(http, schedules={f"s{uuid.uuid4().hex[:8]}": NEVER["schedule"]})
        path = f"/api/agents/{agent['id']}"
        [named] = agent["config"]["schedules"]
        read = {"If-Match": http.get(path).headers["ETag"]}
        assert http.get(f"{path}/schedules/{named}").headers["ETag"] == read["If-Match"]
        first = http.patch(path, json={"description": "first"}, headers=read)
        assert first.status_code == 200
        assert first.headers["ETag"] == http.get(path).headers["ETag"] != read["If-Match"]
        assert http.get(path, params={"version": 1}).headers["ETag"] == read["If-Match"]
        for stale in (read, {"If-Match": f"W/{first.headers['ETag']}"}, {"If-Match": '"other"'}):
            for answer in (
                http.patch(path, json={"description": "second"}, headers=stale),
                http.put(f"{path}/schedule", json=NEVER, headers=stale),
                http.put(f"{path}/schedules/{named}", json=NEVER, headers=stale),
                http.delete(f"{path}/schedules/{named}", headers=stale),
                http.delete(path, headers=stale),
            ):
                assert "is in version 2 by now" in problem(answer, 412)["detail"]
        assert http.get(path).json() == first.json()
        problem(http.patch(path, json={"description": "x"}, headers={"If-Match": "2"}), 422)
        either = {"If-Match": f'"other", {first.headers["ETag"]}'}
        changed = http.put(f"{path}/schedule", json=NEVER, headers=either)
        assert (changed.status_code, changed.json()["agent_version"]) == (200, 3)
        assert changed.headers["ETag"] == http.get(path).headers["ETag"]
        assert http.patch(path, json={"description": "3"}, headers={"If-Match": "*"}).status_code == 200
        assert http.patch(path, json={"description": "4"}).json()["version"] == 5
        assert http.delete(path).status_code == 204

    def test_a_new_agent_has_its_tag_at_once(self, http) -> None:
        """If it failed, who registers an agent would have to ask for it once more before they change it."""
        asked = {"name": f"a{uuid.uuid4().hex[:8]}", "code": "pass"}
        key = {"Idempotency-Key": uuid.uuid4().hex}
        tags = [http.post("/api/agents", json=asked, headers=key).headers["ETag"] for _ in range(2)]
        assert tags == [http.get(f"/api/agents/{asked['name']}").headers["ETag"]] * 2
        assert "ETag" not in http.post("/api/agents", json=asked).headers

    @pytest.mark.parametrize(
        ("asked", "names"),
        [
            ({"name": "12"}, "taken for an id"),
            ({"name": "\u200b"}, "/name"),
            ({"name": "a", "code": "def"}, "no Python"),
            ({"name": "a", "code": "\ud800"}, "surrogate"),
            ({"name": "a", "kind": "claude", "code": "x"}, "no code"),
            ({"name": "a", "kind": "Ünknown"}, "/kind"),
            ({"name": "a", "config": {"tiemout": 1}}, "tiemout"),
            ({"name": "a", "config": {"limits": {"memory": 1}}}, "memory"),
            ({"name": "a", "config": {"limits": {"processes": HUGE}}}, "processes"),
            ({"name": "a", "config": {"retries": HUGE}}, "retries"),
            ({"name": "a", "config": {"schedule": "never"}}, "five"),
            ({"name": "a", "config": {"schedule": "* * * * *", "timezone": "Mars"}}, "Mars"),
        ],
    )
    def test_one_that_can_not_be_is_refused(self, http, asked, names) -> None:
        """If it failed, a mistake would be stored, and found when the agent runs."""
        body = json.dumps(asked).encode()
        answer = http.post("/api/agents", content=body, headers={"Content-Type": "application/json"})
        assert names in json.dumps(problem(answer, 422), ensure_ascii=False)

    def test_numbers_beyond_measure_are_refused(self, http) -> None:
        """If it failed, a limit would silently be none."""
        for number, status in ((b"1e999", 422), (b"NaN", 400), (b"-Infinity", 400)):
            body = b'{"name": "a", "config": {"limits": {"memory_mb": ' + number + b"}}}"
            problem(http.post("/api/agents", content=body, headers=JSON), status)


JSON = {"Content-Type": "application/json"}


class TestSchedules:
    """When agents run by themselves."""

    def test_a_schedule_is_set_paused_triggered_and_removed(self, http) -> None:
        """If it failed, a program could not say when an agent runs."""
        agent = register(http)
        path = f"/api/agents/{agent['name']}"
        problem(http.get(f"{path}/schedule"), 404)
        own = http.put(f"{path}/schedule", json=NEVER).json()
        assert (own["id"], own["schedule"], own["paused"]) == (f"agent_{agent['id']}", "0 0 29 2 *", False)
        of_own = f"{path}/schedules/{own['id']}"
        due = http.get(f"{of_own}/runs", params={"number": 2}).json()["next_runs"]
        assert [each[4:10] for each in due] == ["-02-29", "-02-29"]
        other = f"{agent['name']}-nightly"
        assert http.put(f"{path}/schedules/{other}", json=NEVER).status_code == 200
        assert [each["id"] for each in http.get(f"{path}/schedules").json()] == [own["id"], other]

        paused = http.post(f"{of_own}/pause", json={"note": "wait"}).json()
        assert (paused["paused"], paused["note"], paused["next_runs"]) == (True, "wait", [])
        assert http.post(f"{of_own}/unpause", json={}).json()["paused"] is False
        key = {"Idempotency-Key": uuid.uuid4().hex}
        for _ in range(2):
            assert http.post(f"{of_own}/trigger", headers=key).status_code == 202
        backfill = {"start": "2020-02-01T00:00:00Z", "end": "2020-03-01T00:00:00+01:00"}
        assert http.post(f"{path}/schedules/{other}/backfill", json=backfill).status_code == 202
        tasks = until_ended(http, agent["id"], 2)
        assert "2020-02-28T23:00:00Z" in [each["scheduled_at"] for each in tasks]

        assert http.delete(f"{path}/schedules/{other}").status_code == 204
        assert http.delete(f"{path}/schedule").status_code == 204
        problem(http.delete(f"{path}/schedule"), 404)
        assert http.get(f"{path}/schedules").json() == []
        assert http.get(path).json()["version"] == 5
        assert len(http.get(f"/api/tasks/agents/{agent['id']}/tasks").json()["items"]) == 2

    def test_the_schedule_of_another_agent_is_none_of_this_ones(self, http) -> None:
        """If it failed, whoever mistakes an id would pause another agent, and be told that it is done."""
        mine, other = register(http, **NEVER), register(http, **NEVER)
        for path in (f"agent_{other['id']}", "shiftwork-maintenance"):
            answer = http.post(f"/api/agents/{mine['id']}/schedules/{path}/pause", json={})
            assert path in problem(answer, 404)["detail"]
        shown = http.get(f"/api/agents/{other['id']}/schedule").json()
        assert shown["paused"] is False
        listed = http.get("/api/schedules", params={"limit": 200}).json()["items"]
        assert {f"agent_{agent['id']}" for agent in (mine, other)} <= {each["id"] for each in listed}

        # Nor can it take another's over, now or before that one is made.
        own = http.put(f"/api/agents/{mine['id']}/schedules/{mine['name']}", json=NEVER).json()["id"]
        for taken in (f"agent_{mine['id']}", f"agent_{other['id'] + 1_000_000}", own):
            answer = http.put(f"/api/agents/{other['id']}/schedules/{taken}", json=NEVER)
            assert taken in problem(answer, 409)["detail"]
            asked = {"name": f"a{uuid.uuid4().hex[:8]}", "config": {"schedules": {taken: "@every 1d"}}}
            problem(http.post("/api/agents", json=asked), 409)
            problem(http.get(f"/api/agents/{asked['name']}"), 404)
        assert http.get(f"/api/agents/{other['id']}").json()["version"] == 1

    @pytest.mark.parametrize(
        ("asked", "names"),
        [
            ({"start": "2020-01-01T00:00:00", "end": "2020-01-02T00:00:00Z"}, "/start"),
            ({"start": "0001-01-01T00:00:00Z", "end": "9999-12-31T23:59:59Z"}, "1970"),
            ({"start": "2020-01-02T00:00:00Z", "end": "2020-01-01T00:00:00Z"}, "no time"),
            ({"start": "2020-01-01T00:00:00Z", "end": "2021-01-01T00:00:00Z"}, "More than 1000 occurrences"),
            ({"start": "2020-01-01T00:00:00Z", "end": "2999-01-01T00:00:00Z"}, "still to come"),
            ({"start": HUGE, "end": HUGE}, "/start"),
            ({"start": "0", "end": "1700000000"}, "written out"),
            ({"start": 1_700_000_000, "end": 1_700_090_000}, "must be text"),
        ],
    )
    def test_a_backfill_that_can_not_be_is_refused(self, http, asked, names) -> None:
        """If it failed, some occurrences would be left out without a word."""
        agent = register(http, schedule="0 * * * *", enabled=True)
        path = f"/api/agents/{agent['id']}/schedules/agent_{agent['id']}/backfill"
        assert names in json.dumps(problem(http.post(path, json=asked), 422))


def test_a_backfill_without_occurrences_says_so(stack, http) -> None:
    """If it failed, somebody would wait for runs of a time in which none was due."""
    agent = register(http, **NEVER)
    named = [*COMMAND, "schedules", "backfill", str(agent["id"])]
    env = environment(stack.state)
    told = []
    for start, end in (("2021-01-01", "2021-03-01"), ("2020-02-01", "2020-03-01")):
        times = ("--from", f"{start}T00:00Z", "--to", f"{end}T00:00Z")
        done = subprocess.run([*named, *times], check=True, env=env, capture_output=True, text=True)
        told.append(done.stdout)
    assert told[0] == "It has no occurrence in that time, so nothing runs.\n"
    assert told[1].startswith("Its occurrences of that time run now")
    until_ended(http, agent["id"], 1)


def test_what_a_change_makes_is_refused_by_its_field(http) -> None:
    """If it failed, a program could not say which field of the form is wrong."""
    agent = register(http, sandbox={"profile": "networked", "hosts": ["a.example"]})
    change = {"config": {"sandbox": {"profile": None}}}
    found = problem(http.patch(f"/api/agents/{agent['id']}", json=change), 422)
    assert [each["pointer"] for each in found["errors"]] == ["/config/sandbox/hosts"]
    assert found["detail"] == f"config.sandbox.hosts: {found['errors'][0]['detail']}."


@pytest.mark.parametrize(
    ("config", "field"),
    [({"timeout": True}, "timeout"), ({"timeout": "30"}, "timeout"), ({"enabled": "yes"}, "enabled")],
)
def test_a_value_of_another_type_is_refused(http, config, field) -> None:
    """If it failed, `true` would be a timeout of one second over REST, and nowhere else."""
    asked = {"name": f"a{uuid.uuid4().hex[:8]}", "config": config}
    found = problem(http.post("/api/agents", json=asked), 422)
    assert [each["pointer"] for each in found["errors"]] == [f"/config/{field}"]
    assert f"config.{field}: must be" in found["detail"]
    agent = register(http)
    problem(http.patch(f"/api/agents/{agent['id']}", json={"config": config}), 422)
    assert http.get(f"/api/agents/{agent['id']}").json()["version"] == 1


def until_ended(http: httpx.Client, agent: int, number: int) -> list[dict]:
    """The agent's tasks, once so many have ended."""
    deadline = time.monotonic() + 100
    while True:
        tasks = http.get(f"/api/tasks/agents/{agent}/tasks").json()["items"]
        if len([each for each in tasks if each["ended_at"]]) >= number:
            return tasks
        assert time.monotonic() < deadline, tasks
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("asked", "body", "status", "names"),
    [
        ("GET /api/tasks/0", None, 404, "task 0"),
        ("GET /api/tasks/9999999999999999999", None, 404, "9999999999999999999"),
        ("GET /api/tasks/99999999999999999999", None, 422, "task"),
        ("GET /api/tasks/0b6b7d9e-5d0b-4b0a-9d4e-1f2a3b4c5d6e", None, 404, ""),
        ("GET /api/tasks/execute", None, 422, "task"),
        ("GET /api/tasks?status=busy", None, 422, "status"),
        ("GET /api/tasks?agent=no-such", None, 404, "no-such"),
        ("GET /api/tasks?agent=%00", None, 400, "NUL"),
        ("GET /api/tasks?user=%ED%A0%80", None, 200, ""),
        ("GET /api/tasks/agents/99999999999999999999/tasks", None, 404, ""),
        ("GET /api/agents/99999999999999999999", None, 404, ""),
        ("GET /api/agents/no-such/handoffs", None, 404, "no-such"),
        ("GET /api/agents/no-such/versions", None, 404, "no-such"),
        ("PATCH /api/agents/no-such", {"description": "x"}, 404, "no-such"),
        ("PATCH /api/agents/no-such", {}, 422, "Nothing to change"),
        ("PATCH /api/agents/no-such", {"name": "x"}, 422, "/name"),
        ("PUT /api/agents/no-such/schedule", NEVER, 404, "no-such"),
        ("POST /api/tasks", {"agent": "no-such"}, 404, "no-such"),
        ("POST /api/tasks", {"agent": ""}, 422, "/agent"),
        ("POST /api/tasks", {"agent": HUGE}, 422, "/agent"),
        ("POST /api/tasks", {}, 422, "names an agent"),
        ("POST /api/tasks", {"agent": "a", "provider": "noop"}, 422, "names an agent"),
        ("POST /api/tasks", {"provider": "noop", "parameters": {"a": "\0"}}, 422, "/parameters/a"),
        ("POST /api/tasks/execute", {"agent": "no-such"}, 404, "no-such"),
        ("POST /api/tasks/execute", {"agent": "a", "timeout": 0}, 422, "/timeout"),
        ("POST /api/tasks/execute", {"agent": "a", "wait": 301}, 422, "/wait"),
        ("POST /api/tasks/execute", {"agent": True}, 422, "/agent"),
        ("POST /api/tasks/1/cancel?force=1", None, 422, "force"),
    ],
)
def test_bad_requests_are_problems(http, asked, body, status, names) -> None:
    """If it failed, a mistake would be an error of the server, or do something else than was meant."""
    answer = http.request(*asked.split(" "), json=body)
    if status == 200:
        assert answer.status_code == 200
    else:
        assert names in json.dumps(problem(answer, status), ensure_ascii=False)


@pytest.mark.parametrize(
    ("asked", "body", "pointers"),
    [
        ("/api/tasks", {"agent": True}, {"/agent"}),
        ("/api/tasks", {"agent": ""}, {"/agent"}),
        ("/api/agents", {"config": {}}, {"/name"}),
        ("/api/agents", {"name": "a", "config": {"tiemout": 1}}, {"/config/tiemout"}),
        ("/api/agents", {"name": "a", "config": {"limits": {"memory": 1}}}, {"/config/limits/memory"}),
        (
            "/api/agents",
            {"name": "a", "config": {"limits": {"processes": HUGE}}},
            {"/config/limits/processes"},
        ),
        ("/api/agents", {"name": "a", "config": {"timeout": "x"}}, {"/config/timeout"}),
    ],
)
def test_a_problem_points_into_the_body(http, asked, body, pointers) -> None:
    """If it failed, a program could not find the field that its user has to mend."""
    errors = problem(http.post(asked, json=body), 422)["errors"]
    assert {each["pointer"] for each in errors} == pointers


def test_a_path_says_each_of_its_methods(http) -> None:
    """If it failed, a program would take what there is for what there is not."""
    for path, methods in (
        ("/api/tasks", "GET, POST"),
        ("/api/agents/7", "DELETE, GET, PATCH"),
        ("/api/agents/7/schedules/agent_7", "DELETE, GET, PUT"),
        ("/api/tasks/7/start", "POST"),
    ):
        answer = http.request("LOCK", path)
        assert (answer.status_code, answer.headers["Allow"]) == (405, methods)


def test_an_agent_without_code_is_told_so(http) -> None:
    """If it failed, a task would be made that can only fail."""
    agent = register(http, code=None)
    assert "no code" in problem(execute(http, agent["id"]), 422)["detail"]
    assert http.get("/api/tasks", params={"agent": agent["name"]}).json()["items"] == []


def test_the_machine_says_what_is_used(http) -> None:
    """If it failed, whoever starts agents could not know whether there is room."""
    used = http.get("/api/resources").json()
    assert 0 < used["memory_percent"] <= 100
    assert 0 <= used["cpu_percent"] <= 100
    assert used["memory_mb"] > 0
    assert used["free"]["memory_mb"] > 0


async def test_without_a_worker_nothing_is_begun(stack, tmp_path) -> None:
    """If it failed, a program would be told that an agent runs which nobody runs."""
    alone = EmbeddedTemporal(tmp_path / "temporal", search_attributes=search_attribute_types())
    await alone.start()
    (tmp_path / "state").mkdir()
    known = replace(read_stack(stack), temporal_address=alone.address)
    write_stack(Settings(state=tmp_path / "state"), known)
    try:
        await asyncio.to_thread(refused_without_a_worker, tmp_path / "state")
    finally:
        await alone.stop()


def refused_without_a_worker(state: Path) -> None:
    """What needs a worker is refused, and what does not is done."""
    with serving(state) as server, server.client() as http:
        agent = register(http)
        assert "No worker" in problem(execute(http, agent["id"]), 503)["detail"]
        assert http.get(f"/api/tasks/agents/{agent['id']}/tasks").json()["items"] == []
        task = http.post("/api/tasks", json={"agent": agent["id"]}).json()["id"]
        problem(http.post(f"/api/tasks/{task}/start", json={}), 503)
        assert http.post(f"/api/tasks/{task}/cancel").json()["status"] == "failed"
