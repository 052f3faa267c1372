"""The REST interface as programs meet it: a server of its own process, asked over HTTP."""

import json
import signal
import socket
import stat
import subprocess
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from http.client import HTTPConnection

import httpx
import pytest

from client.rest.serve import serve_api
from shiftwork.errors import InvalidInput, StackError
from tests.integration.rest_support import COMMAND, LONGEST, Served, environment, problem, serving

OPTIONS = {"agent": {"backend": "command", "settings": {"argv": ["true"]}}}


@pytest.fixture(scope="module")
def served(stack) -> Iterator[Served]:
    """A server of the shared stack, which has no worker."""
    with serving(stack.state) as server:
        yield server


@pytest.fixture
def http(served) -> Iterator[httpx.Client]:
    """A client that knows the token."""
    with served.client() as client:
        yield client


def new_project(**more) -> dict:
    """What makes a project of which nothing runs."""
    return {"name": f"r{uuid.uuid4().hex[:8]}", "spec": "x", "start": False, "options": OPTIONS, **more}


@pytest.fixture
def project(http) -> str:
    """The id of a project of which nothing runs."""
    made = http.post("/api/projects", json=new_project())
    assert made.status_code == 201, made.text
    return made.json()["project_id"]


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        ({}, "/api/projects", 200),
        ({"Authorization": "Bearer wrong"}, "/api/projects", 401),
        ({"Authorization": ""}, "/api/projects", 401),
        ({"Authorization": "Basic TOKEN"}, "/api/projects", 401),
        ({"Authorization": "bearer TOKEN"}, "/api/projects", 200),
        ({"Authorization": ""}, "/api/health", 200),
        ({"Authorization": ""}, "/api/openapi.json", 401),
        ({"Authorization": ""}, "/no/such", 401),
        ({"Host": "evil.example"}, "/api/projects", 421),
        ({"Host": "evil.example"}, "/api/health", 421),
        ({"Host": "127.0.0.1"}, "/api/projects", 421),
        ({"Host": "localhost:PORT"}, "/api/projects", 421),
        ({"Origin": "http://evil.example"}, "/api/projects", 403),
        ({"Origin": "http://evil.example"}, "/api/health", 403),
        ({"Origin": "null"}, "/api/projects", 403),
        ({"Origin": "http://127.0.0.1:PORT"}, "/api/projects", 200),
        ({}, "/docs", 404),
        ({}, "/redoc", 404),
    ],
)
def test_only_who_may_is_let_in(served, http, headers, path, status) -> None:
    """If it failed, a web page, or anybody on this machine, could command agents."""
    port = served.url.rpartition(":")[2]
    mine = {
        name: value.replace("PORT", port).replace("TOKEN", served.token) for name, value in headers.items()
    }
    answer = http.get(path, headers=mine)
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.status_code == status
    if status != 200:
        problem(answer, status)


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


def test_without_the_token_nothing_but_health_answers(served, http) -> None:
    """If it failed, a route that was added would be open to everybody, or tell what there is."""
    paths = http.get("/api/openapi.json").json()["paths"]
    assert len(paths) > 50
    # Each by a connection of its own: who does not show the token may not keep one for long.
    alone = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=served.url, limits=alone, timeout=LONGEST) as stranger:
        assert stranger.get("/api/health").json() == {"status": "ok", "stack": True}
        for path in (*paths, "/api/openapi.json", "/", "/no/such"):
            for method in METHODS:
                if (method, path) == ("GET", "/api/health"):
                    continue
                answer = stranger.request(method, path.replace("{", "").replace("}", ""))
                assert answer.headers["www-authenticate"] == "Bearer", (method, path)
                if method == "HEAD":  # which has no body
                    assert answer.headers["content-type"] == "application/problem+json"
                    assert answer.status_code == 401, path
                else:
                    problem(answer, 401)


def test_the_token_is_kept_and_is_nobody_elses(served, stack) -> None:
    """If it failed, each start would break every program's settings, or others could read the token."""
    file = stack.state / "api-token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    printed = subprocess.run(
        [*COMMAND, "token"], env=environment(stack.state), capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == served.token == file.read_text().strip()
    assert len(served.token) > 40


@pytest.mark.parametrize(
    ("body", "headers", "status", "names"),
    [
        (b"{", {}, 400, "line 1"),
        (b'{"name": NaN}', {}, 400, "number"),
        (b'{"name": 1e999, "spec": "x"}', {}, 422, "name"),
        (b'{"name": ' + b"9" * 5000 + b"}", {}, 400, "digits"),
        (b"\xff{}", {}, 400, "UTF-8"),
        (b'{"name": "a\\u0000b", "spec": "x"}', {}, 422, "/name"),
        (
            b'{"name": "a", "spec": "x", "options": {"agent": {"settings": {"k": ["\\ud800"]}}}}',
            {},
            422,
            "/k/0",
        ),
        (b'{"na\\u0000me": 1}', {}, 422, "NUL"),
        (b"[" * 100_000, {}, 413, "deeper"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, {}, 413, "deeper"),
        (b'"' + b"x" * (5 * 1024 * 1024) + b'"', {}, 413, "larger"),
        (b"[" + b'",",' * 200_000 + b"0]", {}, 413, "more than 200,000 values"),
        (b'["' + b"," * 200_000 + b'"]', {}, 422, ""),
        (b"{}", {"Content-Type": "text/plain"}, 415, "application/json"),
        (b"{}", {"Content-Encoding": "gzip"}, 415, "Content-Encoding"),
        (b"", {}, 422, ""),
        (b"[]", {}, 422, ""),
        (b'{"name": "a", "spec": ""}', {}, 422, "/spec"),
        (b'{"name": "\\b\\u200b", "spec": "x"}', {}, 422, "can be seen"),
        (b'{"name": "a", "spec": "x", "nmae": 1}', {}, 422, "/nmae"),
        (b'{"name": "a", "spec": "x", "options": {"sandbox": {"hots": []}}}', {}, 422, "hots"),
        (b'{"name": "a", "spec": "x", "repository": "here"}', {}, 422, "absolute"),
        (b'{"name": "a", "spec": "x"}', {"Idempotency-Key": "with space"}, 422, "Idempotency-Key"),
        (b'{"name": "a", "spec": "x"}', {"Idempotency-Key": "x" * 201}, 422, "Idempotency-Key"),
    ],
)
def test_bad_bodies_are_problems(http, body, headers, status, names) -> None:
    """If it failed, a program's mistake would be a server's error, or be stored."""
    sent = {"Content-Type": "application/json", **headers}
    answer = http.post("/api/projects", content=body, headers=sent)
    found = problem(answer, status)
    assert names in found["detail"] + json.dumps(found.get("errors", []))


def test_a_body_without_a_length_is_bounded_too(http) -> None:
    """If it failed, a body that is sent in chunks could fill the memory."""
    answer = http.post(
        "/api/projects",
        content=(b" " * 65536 for _ in range(100)),
        headers={"Content-Type": "application/json"},
    )
    problem(answer, 413)


@pytest.mark.parametrize(("token", "status"), [(True, 413), (False, 401)])
def test_whoever_sends_before_reading_hears_what_is_wrong(served, token, status) -> None:
    """If it failed, who sends too much would see a connection that breaks, and no reason."""
    request = urllib.request.Request(
        f"{served.url}/api/projects",
        b'"' + b"x" * (8 * 1024 * 1024) + b'"',
        {"Content-Type": "application/json", **(served.headers if token else {})},
    )
    for _ in range(5):
        with pytest.raises(urllib.error.HTTPError) as told:
            urllib.request.urlopen(request, timeout=100)
        assert told.value.code == status
        assert json.loads(told.value.read())["status"] == status
        told.value.close()


def test_an_answer_to_what_was_sent_whole_does_not_linger(served) -> None:
    """If it failed, each refused request would hold its connection for seconds."""
    with served.client() as http:
        began = time.monotonic()
        for _ in range(20):
            sent = {"Content-Type": "application/json"}
            problem(http.post("/api/projects", content=b"{", headers=sent), 400)
            problem(http.get("/api/projects", headers={"Authorization": "Bearer x"}), 401)
        assert time.monotonic() - began < 90  # each takes 3 s if it does


@pytest.mark.parametrize(
    "path", ["handoffs/cleanup", "tasks/1/cancel", "projects/x/start", "agents/x/schedules/y/trigger"]
)
def test_a_field_where_none_is_taken_is_refused(http, path) -> None:
    """If it failed, somebody who means one agent's handoffs would have those of all deleted."""
    found = problem(http.post(f"/api/{path}", json={"agent": "nope"}), 422)
    assert found["errors"] == [{"pointer": "/agent", "detail": "is not known: this takes no fields"}]
    assert "agent: is not known" in found["detail"]
    assert problem(http.post(f"/api/{path}", json=[1]), 422)["errors"][0]["pointer"] == ""


def test_an_empty_object_is_no_field(http) -> None:
    """If it failed, clients that always send an object could not clean up."""
    assert http.post("/api/handoffs/cleanup", json={}).status_code == 200
    assert http.post("/api/handoffs/cleanup").status_code == 200


@pytest.mark.parametrize(
    ("asked", "status", "names"),
    [
        ("GET /api/projects?limit=0", 422, "limit"),
        ("GET /api/projects?limit=201", 422, "limit"),
        ("GET /api/projects?offset=99999999999999999999", 422, "offset"),
        ("GET /api/projects?lmit=1", 422, "known are: limit"),
        ("GET /api/projects?status=busy", 422, "status"),
        ("GET /api/projects?name=%00", 400, "NUL"),
        ("GET /api/projects/%00", 400, "NUL"),
        ("GET /api/projects/no-such", 404, "no-such"),
        ("GET /api/projects/%F0%9F%92%A9", 404, ""),
        ("GET /api/projects/", 404, ""),
        ("GET /api", 404, ""),
        ("PUT /api/projects", 405, ""),
        ("TRACE /api/projects", 405, ""),
        ("PUT /api/decisions/99999999999999999999/feedback", 422, "decision"),
        ("GET /api/projects/PROJECT/sessions/99999999999", 422, "number"),
        ("GET /api/projects/PROJECT/sessions/7", 404, "session 7"),
        ("GET /api/projects/PROJECT/features/7", 404, "7"),
        ("GET /api/projects/PROJECT/events?after=-1", 422, "after"),
        ("GET /api/projects/PROJECT/sessions/0/transcript?after=x", 422, "after"),
    ],
)
def test_bad_addresses_are_problems(http, project, asked, status, names) -> None:
    """If it failed, a misspelt parameter would be taken for none, or a wrong one end in an error."""
    method, path = asked.replace("PROJECT", project).split(" ", 1)
    answer = http.request(method, path)
    assert names in problem(answer, status)["detail"]


@pytest.mark.parametrize("spec", ["x" * 1_000_001, "é" * 500_001, "é" * 1_000_001], ids=len)
def test_a_specification_is_counted_in_bytes(http, spec) -> None:
    """If it failed, who shortens what is too long would be told another number than what counts."""
    said = problem(http.post("/api/projects", json=new_project(spec=spec)), 422)
    assert "larger than 1,000,000 bytes; shorten it" in said["detail"]
    assert "characters" not in said["detail"]
    assert said["detail"].endswith("where agents read them.")
    assert not said["detail"].endswith("..")
    assert [each["pointer"] for each in said["errors"]] == ["/spec"]


def test_a_project_is_made_read_and_deleted(http) -> None:
    """If it failed, programs could not do what people do."""
    asked = new_project(description="d")
    made = http.post("/api/projects", json=asked).json()
    path = f"/api/projects/{made['project_id']}"
    assert http.get(path).json()["spec"] == "x"
    assert http.get(f"{path}/status").json()["status"] == "initializing"
    listed = http.get("/api/projects", params={"name": asked["name"], "status": "initializing"}).json()
    assert [each["project_id"] for each in listed["items"]] == [made["project_id"]]
    assert listed["total"] == 1

    assert problem(http.post("/api/projects", json=asked), 409)
    note = {"decision": "SQLite.", "tags": ["database"]}
    decision = http.post(f"{path}/decisions", json=note).json()
    found = http.get(f"{path}/decisions", params={"tag": "database"}).json()
    assert [each["id"] for each in found["items"]] == [decision["id"]]
    http.post(f"{path}/progress", json={"action": "Looked."})
    assert [each["action"] for each in http.get(f"{path}/progress").json()["items"]] == ["Looked."]
    for part in ("features", "sessions", "checkpoints"):
        assert http.get(f"{path}/{part}").json()["items"] == []
    assert http.get(f"{path}/report").json()["project"]["name"] == asked["name"]
    assert http.get(f"{path}/report.md").text.startswith(f"# {asked['name']}")
    events = http.get(f"{path}/events", params={"limit": 1}).json()
    assert [each["kind"] for each in events["items"]] == ["project_created"]

    assert http.delete(path).status_code == 204
    problem(http.get(path), 404)


def test_a_secret_is_neither_stored_nor_told(http, project) -> None:
    """If it failed, a key that a program sends by mistake would be in the database, and in answers."""
    secret = f"sk-ant-api03-{uuid.uuid4().hex}{uuid.uuid4().hex}"
    path = f"/api/projects/{project}"
    for part, body in (
        ("decisions", {"decision": f"The key is {secret}"}),
        ("progress", {"action": f"Used {secret}"}),
        ("pause", {"reason": secret}),
        ("steer", {"text": f"Use {secret}"}),
    ):
        answer = http.post(f"{path}/{part}", json=body)
        assert secret not in answer.text
        problem(answer, 422)
    assert secret not in http.get(f"{path}/report").text


def test_pages_lead_from_one_to_the_next(http, project) -> None:
    """If it failed, a program that reads page by page would miss some, or read some twice."""
    for number in range(5):
        http.post(f"/api/projects/{project}/progress", json={"action": f"step {number}"})
    read, offset = [], 0
    while offset is not None:
        page = http.get(f"/api/projects/{project}/progress", params={"limit": 2, "offset": offset}).json()
        read += [each["action"] for each in page["items"]]
        offset = page["next_offset"]
    assert read == [f"step {number}" for number in reversed(range(5))]


class TestIdempotency:
    """The header `Idempotency-Key`."""

    def test_the_same_key_does_nothing_twice(self, http, project) -> None:
        """If it failed, a program that got no answer would make everything twice."""
        key = {"Idempotency-Key": uuid.uuid4().hex}
        path = f"/api/projects/{project}/decisions"
        first = http.post(path, json={"decision": "a"}, headers=key)
        again = http.post(path, json={"decision": "a"}, headers=key)
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert "idempotency-replayed" not in first.headers
        assert again.headers["idempotency-replayed"] == "true"
        problem(http.post(path, json={"decision": "b"}, headers=key), 422)
        assert len(http.get(path).json()["items"]) == 1

    def test_what_was_refused_leaves_the_key_free(self, http, project) -> None:
        """If it failed, a key would be lost by a mistake that changed nothing."""
        key = {"Idempotency-Key": uuid.uuid4().hex}
        taken = http.get(f"/api/projects/{project}").json()["name"]
        problem(http.post("/api/projects", json=new_project(name=taken), headers=key), 409)
        assert http.post("/api/projects", json=new_project(), headers=key).status_code == 201

    def test_two_at_once_make_one(self, served, stack, project) -> None:
        """If it failed, two servers, or an impatient program, would make a thing twice."""
        key = {"Idempotency-Key": uuid.uuid4().hex}
        path = f"/api/projects/{project}/decisions"
        answers: list[httpx.Response] = []

        def ask(server: Served) -> None:
            with server.client() as http:
                answers.append(http.post(path, json={"decision": "once"}, headers=key))

        with serving(stack.state) as other:
            threads = [threading.Thread(target=ask, args=(each,)) for each in (served, other) * 6]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.json()["id"] for answer in answers}) == 1
        with served.client() as http:
            assert len(http.get(path).json()["items"]) == 1

    def test_it_survives_the_end_of_the_server(self, stack) -> None:
        """If it failed, a restart would have programs do again what was done."""
        key = {"Idempotency-Key": uuid.uuid4().hex}
        asked = new_project()
        with serving(stack.state) as server, server.client() as http:
            first = http.post("/api/projects", json=asked, headers=key)
            server.process.send_signal(signal.SIGKILL)
            server.process.wait(100)
        with serving(stack.state) as server, server.client() as http:
            again = http.post("/api/projects", json=asked, headers=key)
        assert (again.status_code, again.content) == (201, first.content)


def test_without_a_stack_it_answers_that_it_is_away(tmp_path) -> None:
    """If it failed, programs that start with the stack would be told an error of the server."""
    with serving(tmp_path / "state") as server, server.client() as http:
        assert http.get("/api/health").json() == {"status": "ok", "stack": False}
        answer = http.get("/api/projects")
        assert "shiftwork dev" in problem(answer, 503)["detail"]
        assert int(answer.headers["retry-after"]) > 0


async def test_a_port_that_is_taken_is_a_sentence(served, stack) -> None:
    """If it failed, a second server would end in a traceback."""
    port = int(served.url.rpartition(":")[2])
    with pytest.raises(StackError, match=f"Port {port} of 127.0.0.1 can't be used .*--port PORT"):
        await serve_api(stack, lambda *_: None, port=port)


@pytest.mark.parametrize(("address", "said"), [("0.0.0.0", "every address"), ("::", "every"), ("x", "no IP")])
async def test_more_than_the_loopback_needs_to_be_said(stack, address, said) -> None:
    """If it failed, a server would be open to the network by mistake, or under every name."""
    with pytest.raises(InvalidInput, match=said):
        await serve_api(stack, lambda *_: None, address=address)


def test_it_answers_to_the_names_that_were_given(stack) -> None:
    """If it failed, a server behind a proxy would answer nobody, or under every name."""
    with serving(stack.state, "--listen", "0.0.0.0", "--host", "shelf.example") as server:
        port = server.url.rpartition(":")[2]
        for host, status in ((f"shelf.example:{port}", 200), ("shelf.example", 200), ("evil.example", 421)):
            answer = httpx.get(
                f"http://127.0.0.1:{port}/api/projects", headers={**server.headers, "Host": host}
            )
            assert answer.status_code == status


def test_a_connection_is_kept_for_who_asks_every_few_seconds(served) -> None:
    """If it failed, requests of programs that look again now and then would get lost on their way."""
    connection = HTTPConnection(served.host, timeout=100)
    for pause in (5.5, 0):  # uvicorn itself ends it after 5
        connection.request("GET", "/api/projects", headers=served.headers)
        answer = connection.getresponse()
        assert (answer.status, answer.read()[:1]) == (200, b"{")
        time.sleep(pause)
    connection.close()


def test_broken_http_is_no_error_of_ours(served) -> None:
    """If it failed, whoever sends anything at all could end the server, or fill its log."""
    port = int(served.url.rpartition(":")[2])
    for sent in (
        b"\0\0\0\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=100) as raw:
            raw.sendall(sent)
            assert b"500" not in raw.recv(200)
