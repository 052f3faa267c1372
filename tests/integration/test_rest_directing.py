"""Projects directed over HTTP, with a worker that carries it out."""

import time
import uuid
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.support import quick_environment, worker_process
from tests.integration.rest_support import Served, problem, serving, wait_for_worker

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
    deadline = time.monotonic() + 60
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
