"""Environments over HTTP: what there is, what is played, and what comes of it."""

import json
import sys
import uuid
from collections.abc import Iterator

import httpx
import pytest

from client.rest.catalogue import Catalogue
from shiftwork.store.episodes import EpisodeRow
from tests.e2e.support import quick_environment, worker_process
from tests.integration.rest_support import Served, problem, serving, wait_for_worker


@pytest.fixture(scope="module")
def served(stack) -> Iterator[Served]:
    """A server of the shared stack, with a worker."""
    log = stack.state / "rest-environments-worker.log"
    with worker_process(quick_environment(stack.state), log), serving(stack.state) as server:
        wait_for_worker(stack)
        yield server


@pytest.fixture
def client(served) -> Iterator[httpx.Client]:
    """A client that knows the token."""
    with served.client() as client:
        yield client


def followed(client: httpx.Client, evaluation: int) -> list[dict]:
    """Every change of an evaluation, to its end."""
    with client.stream("GET", f"/api/evaluations/{evaluation}/events/stream") as stream:
        data = [line.removeprefix("data: ") for line in stream.iter_lines() if line.startswith("data: ")]
    return [json.loads(each) for each in data]


def test_what_there_is_to_play(client) -> None:
    """A program could not find out what environments there are, or what they take."""
    page = client.get("/api/environments", params={"limit": 3}).json()
    names = [each["name"] for each in page["items"]]
    assert names[:2] == ["coding_challenge", "connect_four"]
    assert (page["next_offset"], page["problems"]) == (3, [])
    maze = client.get("/api/environments/maze").json()
    assert (maze["parameters"][0]["name"], maze["actions"][0]["name"]) == ("rows", "move")
    problem(client.get("/api/environments/nowhere"), 404)
    assert "'a/b'" in problem(client.get("/api/environments/a/b"), 404)["detail"]


def test_an_environment_of_another_package_is_shown_by_its_name(client) -> None:
    """A program could have it played, and not find out what it takes."""
    pytest.importorskip("gymnasium")
    pole = client.get("/api/environments/gymnasium/CartPole-v1").json()
    assert (pole["name"], pole["max_steps"]) == ("gymnasium/CartPole-v1", 500)
    assert client.get("/api/environments/gymnasium%2FCartPole-v1").json() == pole
    unknown = problem(client.get("/api/environments/gymnasium/Nothing-v0"), 404)["detail"]
    assert "'gymnasium/Nothing-v0'" in unknown
    for path in (
        "os:getcwd",
        "gymnasium/os:Nothing-v0",
        "gymnasium/a%7Fb",
        "textworld/../game.z8",
        "textworld//etc/x",
    ):
        told = problem(client.get(f"/api/environments/{path.replace('/', '%2F')}"), 404)["detail"]
        assert "that can be shown" not in told, "it was looked for, and not refused"


def test_an_evaluation_from_its_beginning_to_its_steps(client) -> None:
    """A program could not have an environment played, follow it, or read what came of it."""
    asked = {"environment": "maze", "parameters": {"rows": 4, "columns": 4}, "episodes": 2, "seed": 9}
    key = {"Idempotency-Key": uuid.uuid4().hex}
    made = client.post("/api/evaluations", json=asked, headers=key)
    assert made.status_code == 201, made.text
    assert client.post("/api/evaluations", json=asked, headers=key).json()["id"] == made.json()["id"]
    evaluation = made.json()["id"]
    *changes, end = followed(client, evaluation)
    assert end == "completed"
    last = changes[-1]
    assert last["episodes"] == {"created": 0, "running": 0, "completed": 2, "failed": 0}
    assert last["success"]["low"] <= last["success"]["value"] <= last["success"]["high"]
    assert client.get(f"/api/evaluations/{evaluation}").json() == last
    listed = client.get("/api/evaluations", params={"environment": "maze", "limit": 1}).json()
    assert listed["items"][0]["episodes"]["completed"] == 2
    page = client.get(f"/api/evaluations/{evaluation}/episodes", params={"limit": 1}).json()
    assert (page["total"], page["next_offset"], page["items"][0]["seed"]) == (2, 1, 9)
    episode = page["items"][0]["id"]
    assert set(page["items"][0]) == set(EpisodeRow.model_fields) - {"token"}
    assert client.get(f"/api/episodes/{episode}").json() == page["items"][0]
    steps = client.get(f"/api/episodes/{episode}/steps", params={"limit": 2, "offset": 1}).json()
    assert [each["number"] for each in steps["items"]] == [2, 3]
    assert steps["total"] == page["items"][0]["total_steps"] + page["items"][0]["refused_actions"]
    problem(client.post(f"/api/evaluations/{evaluation}/cancel"), 409)
    again = client.get(f"/api/evaluations/{evaluation}/events/stream", headers={"Last-Event-ID": "ended"})
    assert again.status_code == 204


def test_what_one_episode_can_not_tell_is_null(client, served) -> None:
    """A program made from the description would break at the first evaluation of one episode."""
    asked = {"environment": "maze", "parameters": {"rows": 4, "columns": 4}}
    evaluation = client.post("/api/evaluations", json=asked).json()["id"]
    told = followed(client, evaluation)[-2]
    assert told == client.get(f"/api/evaluations/{evaluation}").json()
    for figure in ("reward", "steps"):
        assert isinstance(told[figure]["value"], float)
        assert (told[figure]["low"], told[figure]["high"]) == (None, None)
    assert told["success"]["low"] < told["success"]["high"]
    schemas = client.get("/api/openapi.json").json()["components"]["schemas"]
    for end in ("low", "high"):
        assert {"type": "null"} in schemas["Interval"]["properties"][end]["anyOf"]
    unplayed = {"environment": "maze", "parameters": {"colour": 1}}
    evaluation = client.post("/api/evaluations", json=unplayed).json()["id"]
    told = followed(client, evaluation)[-2]
    assert [told[figure] for figure in ("success", "reward", "steps", "truncated", "usage")] == [None] * 5
    assert {"type": "null"} in schemas["Evaluation"]["properties"]["reward"]["anyOf"]


@pytest.mark.skipif(sys.platform != "linux", reason="memory is looked at on Linux")
def test_an_environment_uses_no_more_than_was_asked_for(client) -> None:
    """What people allow an environment would be taken, told back, and not held."""
    asked = {
        "environment": "maze",
        "parameters": {"rows": 30, "columns": 30},
        "environment_limits": {"memory_mb": 5},
    }
    made = client.post("/api/evaluations", json=asked).json()
    assert made["spec"]["environment_limits"]["memory_mb"] == 5
    assert followed(client, made["id"])[-1] == "completed"
    (episode,) = client.get(f"/api/evaluations/{made['id']}/episodes").json()["items"]
    assert (episode["status"], episode["error_kind"]) == ("failed", "environment")
    assert "The limit memory_mb of 5 was breached" in episode["error"]


def test_an_evaluation_is_ended(client) -> None:
    """A program that began too much could not end it."""
    asked = {"environment": "maze", "parameters": {"rows": 30, "columns": 30}, "episodes": 300}
    evaluation = client.post("/api/evaluations", json=asked).json()["id"]
    ended = client.post(f"/api/evaluations/{evaluation}/cancel")
    assert ended.status_code == 200, ended.text
    assert ended.json()["status"] == "failed"


@pytest.mark.parametrize(
    "environment",
    ["os:abort", "shiftwork.environments.examples.maze:MazeHarness", ":", "textworld//tmp/a.z8"],
)
def test_no_path_of_a_class_is_taken(client, environment) -> None:
    """Whoever has the token could have the worker call any function, outside every sandbox."""
    assert (
        "environment"
        in problem(client.post("/api/evaluations", json={"environment": environment}), 422)["detail"]
    )


@pytest.mark.parametrize(
    ("asked", "status", "why"),
    [
        ({"environment": "nowhere"}, 404, "there is no environment 'nowhere'"),
        ({"environment": "maze", "player": {"kind": "scripted"}}, 422, "needs 'script'"),
        ({"environment": "maze", "player": {"kind": "random", "colour": 1}}, 422, "colour"),
        (
            {"environment": "maze", "player": {"kind": "agent", "agent": {"backend": "clod"}}},
            422,
            "Agent backend 'clod' is not known",
        ),
        ({"environment": "maze", "episodes": 0}, 422, "episodes"),
        ({"environment": "maze", "episodes": True}, 422, "episodes"),
        ({"environment": "maze", "seed": "7"}, 422, "seed"),
        ({"environment": "maze", "environment_limits": {"memory_mb": "5"}}, 422, "memory_mb"),
        ({"environment": "maze", "environment_limits": {"memory_mb": 10**12}}, 422, "memory_mb"),
        ({"environment": "maze", "limits": {"processes": True}}, 422, "processes"),
        ({"environment": "maze", "limits": {"open_files": 10**12}}, 422, "open_files"),
        (
            {"environment": "maze", "player": {"kind": "random", "answer_timeout": "60"}},
            422,
            "answer_timeout",
        ),
        ({"environment": "maze", "sandbox": {"scratch_mb": "5"}}, 422, "scratch_mb"),
        ({"environment": "maze", "seed": 2**31 - 2, "episodes": 3}, 422, "seeds go up to 2147483647"),
        ({"environment": "coding_challenge", "parameters": {"path": "/etc/passwd"}}, 422, "names a file"),
        (
            {"environment": "gymnasium/Ant-v5", "parameters": {"xml_file": "/etc/passwd"}},
            422,
            "the parameter 'xml_file' of 'gymnasium/Ant-v5' names a file",
        ),
        ({"environment": "maze", "sandbox": {"hosts": ["a.example"]}}, 422, "has no effect"),
    ],
)
def test_what_is_wrong_begins_nothing(client, asked, status, why) -> None:
    """Episodes would fail one by one for what could be seen before."""
    before = client.get("/api/evaluations").json()["total"]
    said = problem(client.post("/api/evaluations", json=asked), status)["detail"]
    assert why in said
    assert "module:Class" not in said
    assert "it: " not in said
    assert client.get("/api/evaluations").json()["total"] == before


async def test_the_list_is_made_once_a_minute() -> None:
    """Each look at the list would start an interpreter."""
    catalogue = Catalogue()
    assert await catalogue.get() is await catalogue.get()
