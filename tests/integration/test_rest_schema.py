"""The server holds to its own description, whatever it is asked: requests drawn from its OpenAPI document.

They are others each time: a failure says by which `REST_SEED` they come again. `REST_EXAMPLES` makes it a
long run: so many requests for each operation, well formed and not. `REST_ONLY` has it ask only the paths that
hold this text.
"""

import os
import secrets
import time
import uuid
from collections.abc import Callable, Iterator

import hypothesis
import pytest
import requests
import schemathesis
from schemathesis import checks

from tests.e2e.support import quick_environment, worker_process
from tests.integration.rest_support import Served, serving, wait_for_worker

EXAMPLES = int(os.environ.get("REST_EXAMPLES", "3"))
SEED = int(os.environ.get("REST_SEED") or secrets.randbits(32))
ONLY = os.environ.get("REST_ONLY", "")
PATIENCE = 150
"""Seconds that an answer may take: Schemathesis itself gives up after ten."""
TRIES = 3
"""How often something is asked of a stack that does not answer, as on a machine that stood still just now."""
STREAM = "/events/stream"
"""The end of the paths of streams, which have tests of their own: some end with their clients alone."""
OPTIONS = {"agent": {"backend": "command", "settings": {"argv": ["true"]}}}


@pytest.fixture(scope="module")
def served(stack) -> Iterator[Served]:
    """A server of the shared stack, with a worker."""
    log = stack.state / "rest-worker.log"
    with worker_process(quick_environment(stack.state), log), serving(stack.state) as server:
        wait_for_worker(stack)
        yield server


@pytest.fixture(scope="module")
def session(served) -> Iterator[requests.Session]:
    """Connections that bear the token."""
    with requests.Session() as session:
        session.headers.update(served.headers)
        yield session


@pytest.fixture(scope="module")
def schema(served, session) -> schemathesis.BaseSchema:
    """What the server says of itself."""
    return schemathesis.openapi.from_dict(session.get(f"{served.url}/api/openapi.json").json())


def new_project(served: Served, session: requests.Session) -> str:
    """The id of a project of which nothing runs, with something to be read."""
    asked = {"name": f"s{uuid.uuid4().hex[:8]}", "spec": "x", "start": False, "options": OPTIONS}
    made = session.post(f"{served.url}/api/projects", json=asked).json()["project_id"]
    session.post(f"{served.url}/api/projects/{made}/decisions", json={"decision": "x"})
    session.post(f"{served.url}/api/projects/{made}/progress", json={"action": "x"})
    return made


def new_agent(served: Served, session: requests.Session) -> dict[str, str]:
    """What paths name of a new agent: itself, a schedule that is never due, a task and a handoff."""
    config = {"schedule": "0 0 29 2 *"}
    asked = {"name": f"s{uuid.uuid4().hex[:8]}", "code": "pass", "config": config}
    agent = session.post(f"{served.url}/api/agents", json=asked).json()["id"]
    task = session.post(f"{served.url}/api/tasks", json={"agent": agent}).json()["uuid"]
    handoff = session.post(f"{served.url}/api/agents/{agent}/handoffs", json={}).json()["id"]
    return {"agent": str(agent), "schedule": f"agent_{agent}", "task": task, "handoff": str(handoff)}


def new_evaluation(served: Served, session: requests.Session) -> dict[str, str]:
    """What paths name of an evaluation: itself, and its one episode."""
    asked = {"environment": "number_guess", "max_steps": 2}
    made = session.post(f"{served.url}/api/evaluations", json=asked).json()["id"]
    episodes = session.get(f"{served.url}/api/evaluations/{made}/episodes").json()["items"]
    return {"evaluation": str(made), "episode": str(episodes[0]["id"])}


def conformance() -> list[Callable[..., bool | None]]:
    """What each answer is held to."""
    checks.load_all_checks()
    names = ("status_code", "content_type", "response_schema", "response_headers")
    return [checks.not_a_server_error, *(checks.CHECKS.get_one(f"{name}_conformance") for name in names)]


def harmless(case: schemathesis.Case) -> None:
    """Make no repository anywhere on this machine, and run nothing outside a sandbox."""
    if isinstance(case.body, dict) and case.body.get("repository"):
        case.body["repository"] = "relative"
    if not isinstance(case.body, dict):
        return
    if case.path == "/api/projects":
        case.body["start"] = False
    if case.path == "/api/evaluations":
        least = {"episodes": 1, "player": {"kind": "random"}, "sandbox": {}, "timeout": 60}
        case.body |= {name: value for name, value in least.items() if name in case.body}
        if case.body.get("environment"):
            case.body["environment"] = "number_guess"
    if "provider" in case.body:
        case.body["provider"] = "noop"
    if isinstance(config := case.body.get("config"), dict):
        config["enabled"] = False
    for name in ("schedule", "wait"):
        if name in case.body:
            case.body[name] = {"schedule": "0 0 29 2 *", "wait": 0}[name]


def named_in(path: str, served: Served, session: requests.Session) -> dict[str, str]:
    """What this path names, of things that there are."""
    if "{project}" in path:
        return {"project": new_project(served, session)}
    if "{evaluation}" in path or "{episode}" in path:
        return new_evaluation(served, session)
    if "{environment}" in path:
        return {"environment": "maze"}
    if "{agent}" not in path and "{task}" not in path:
        return {}
    return {name: value for name, value in new_agent(served, session).items() if f"{{{name}}}" in path}


def ask(served: Served, session: requests.Session, operation: schemathesis.APIOperation, mode) -> None:
    """Make requests of one operation, of a project that there is and of others."""
    held_to = conformance()
    there_is = named_in(operation.path, served, session)

    @hypothesis.seed(SEED)
    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(operation.as_strategy(generation_mode=mode), hypothesis.strategies.booleans())
    def once(case: schemathesis.Case, there: bool) -> None:  # noqa: FBT001 - drawn
        harmless(case)
        if there:
            case.path_parameters.update(there_is)
        case.validate_response(answer(served, session, case), checks=held_to)

    once()


def answer(served: Served, session: requests.Session, case: schemathesis.Case) -> schemathesis.Response:
    """The answer to this request, or to one of its repetitions if the stack seems to be away."""
    for _ in range(TRIES):
        given = case.call(base_url=served.url, session=session, timeout=PATIENCE)
        if given.status_code != requests.codes.unavailable:
            break
        time.sleep(float(given.headers["retry-after"][0]))
    return given


@pytest.mark.slow
@pytest.mark.timeout(300 + 20 * EXAMPLES)
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
def test_every_answer_is_as_described(served, session, schema, mode) -> None:
    """If it failed, some request would end in an error of the server, or in an answer nobody was told of."""
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path.endswith(STREAM) or ONLY not in operation.path:
            continue
        try:
            ask(served, session, operation, mode)
        except hypothesis.errors.Unsatisfiable:
            # Nothing of this operation can be wrong.
            continue
        except BaseException as error:
            again = f"REST_SEED={SEED} REST_EXAMPLES={EXAMPLES} REST_ONLY='{operation.path}'"
            error.add_note(f"{operation.method.upper()} {operation.path}, asked again by {again}")
            raise
