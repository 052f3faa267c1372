"""Questions to a model's provider, through the gateway."""

import asyncio
import json
import logging

import pytest

from shiftwork.gateway import Outcome, Tokens, Upstream, Wire
from tests.llm.script import Drop, Fault, Reply
from tests.unit.gateway_support import (
    QUESTIONS,
    SECRET,
    played,
    post,
    read_answer,
    request,
    running,
    send,
    until,
    until_end,
)

KINDS = list(QUESTIONS)
COUNTED = Tokens(input=100, output=10, cache_read=7)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_question_is_answered_and_metered(kind, stream):
    """If it failed, agents of this wire could not work, or what they cost would not be known."""
    async with running(QUESTIONS[kind][0]) as run:
        answer = await send(run, request(run, kind, stream=stream))
    assert answer.status == 200
    assert b"hello" in answer.body
    (call,) = run.calls
    assert (call.kind, call.status, call.outcome) == (kind.split()[-1], 200, Outcome.ANSWERED)
    assert call.tokens == (Tokens(input=107, output=10) if "ollama" in kind else COUNTED)
    assert call.model == ("scripted" if kind == "generate" else "m")
    assert 0 < call.first_byte <= call.duration
    assert call.sent == len(answer.body)
    assert call.received > 0


@pytest.mark.parametrize(
    ("kind", "header", "value"),
    [
        ("messages", "x-api-key", SECRET),
        ("chat", "authorization", f"Bearer {SECRET}"),
        ("generate", "x-goog-api-key", SECRET),
        ("ollama chat", "authorization", f"Bearer {SECRET}"),
    ],
)
async def test_the_key_is_the_gateways_and_nothing_of_the_agents_credentials_passes(kind, header, value):
    """If it failed, an agent could ask in another's name, or its token would leave the machine."""
    async with running(QUESTIONS[kind][0]) as run:
        sent = request(
            run,
            kind,
            authorization="Bearer sk-of-an-attacker",
            x_goog_api_key="AIza-of-an-attacker",
            api_key="of-an-attacker",
            cookie="a=b",
            x_forwarded_for="10.0.0.1",
            via="1.1 x",
            openai_organization="org-of-an-attacker",
            connection="close, x-hop",
            x_hop="1",
            te="trailers",
            anthropic_version="2023-06-01",
        )
        assert (await send(run, sent)).status == 200
        (seen,) = run.model.requests
        text = json.dumps([dict(seen.headers), seen.query, seen.path])
    assert seen.headers[header] == value
    assert "attacker" not in text
    assert run.session.token not in text
    names = {"cookie", "x-forwarded-for", "via", "x-hop", "te", "openai-organization", "api-key"}
    assert not names & set(seen.headers)
    assert seen.headers["anthropic-version"] == "2023-06-01"
    assert seen.headers["host"] == run.model.url.removeprefix("http://")


@pytest.mark.parametrize("where", ["x-api-key", "x-goog-api-key", "authorization", "query"])
async def test_the_token_is_taken_where_each_provider_takes_its_key(where):
    """If it failed, some agents could not be given their token."""
    async with running(Wire.GEMINI) as run:
        path, body = QUESTIONS["generate"][1:]
        token = run.session.token
        header = {"x_api_key": ""}
        if where == "query":
            path += f"?key={token}&alt=json"
        else:
            header[where.replace("-", "_")] = f"Bearer {token}" if where == "authorization" else token
        answer = await send(run, post(run, path, json.dumps(body).encode(), **header))
        assert answer.status == 200
        assert run.model.requests[0].query == ("alt=json" if where == "query" else "")


@pytest.mark.parametrize(
    "headers",
    [
        {"x_api_key": ""},
        {"x_api_key": "wrong"},
        {"x_api_key": "", "authorization": "Bearer "},
        {"x_api_key": "", "authorization": "Basic {token}"},
        {"x_api_key": "", "authorization": "{token}"},
        {"x_api_key": "{token}x"},
        {"x_api_key": "", "cookie": "key={token}"},
    ],
)
async def test_without_the_token_nothing_is_forwarded(headers):
    """If it failed, another program on the machine could spend the provider's money."""
    async with running() as run:
        filled = {name: value.format(token=run.session.token) for name, value in headers.items()}
        answer = await send(run, request(run, **filled))
        assert (answer.status, answer.json["error"]["type"]) == (401, "authentication_error")
        assert answer.headers["x-shiftwork-refused"] == "credential"
        assert run.model.requests == []
        assert (await send(run, request(run))).status == 200


@pytest.mark.parametrize(
    ("wire", "path"),
    [
        (Wire.ANTHROPIC, "/"),
        (Wire.ANTHROPIC, "/v1/files"),
        (Wire.ANTHROPIC, "/v1/messages/batches"),
        (Wire.ANTHROPIC, "/v1/chat/completions"),
        (Wire.ANTHROPIC, "/v1/organizations/api_keys"),
        (Wire.OPENAI, "/v1/messages"),
        (Wire.OPENAI, "/v1/files"),
        (Wire.OPENAI, "/v1/embeddings"),
        (Wire.OPENAI, "/v1/responses/resp_1/cancel"),
        (Wire.GEMINI, "/v1beta/files"),
        (Wire.GEMINI, "/v1beta/models/m:embedContent"),
        (Wire.GEMINI, "/v1beta/models/m:generateContentX"),
        (Wire.GEMINI, "/v1beta/models/a/b:generateContent"),
        (Wire.GEMINI, "/upload/v1beta/files"),
        (Wire.OLLAMA, "/api/pull"),
        (Wire.OLLAMA, "/api/delete"),
        (Wire.OLLAMA, "/api/create"),
        (Wire.OLLAMA, "/v1/chat/completions"),
    ],
)
async def test_other_paths_go_nowhere(wire, path):
    """If it failed, an agent could use the provider's storage, keys or batches, which nobody meters."""
    async with running(wire) as run:
        answer = await send(run, post(run, path, b"{}"))
        assert answer.status == 404
        shape = {
            Wire.ANTHROPIC: lambda body: (
                body["type"] == "error" and body["error"]["type"] == "not_found_error"
            ),
            Wire.OPENAI: lambda body: (
                body["error"]["type"] == "invalid_request_error" and "param" in body["error"]
            ),
            Wire.GEMINI: lambda body: (body["error"]["code"], body["error"]["status"]) == (404, "NOT_FOUND"),
            Wire.OLLAMA: lambda body: isinstance(body["error"], str),
        }
        assert shape[wire](answer.json)
        assert run.model.requests == []


@pytest.mark.parametrize(
    ("wire", "path", "status"),
    [
        (Wire.ANTHROPIC, "/v1/messages/count_tokens", 200),
        (Wire.GEMINI, "/v1beta/models/m:countTokens", 200),
    ],
)
async def test_counting_is_forwarded_and_costs_nothing(wire, path, status):
    """If it failed, agents could not measure their context, or counting would be counted."""
    async with running(wire, check_budget=lambda: "all is spent") as run:
        assert (await send(run, post(run, path, b"{}"))).status == status
        assert (run.calls[0].kind, run.calls[0].tokens) == ("count_tokens", Tokens())


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_models_can_be_listed(method):
    """If it failed, programs that first ask which models there are would not start; or HEAD would hang."""

    async def listing(reader, writer, seen):
        seen.received += await reader.readuntil(b"\r\n\r\n")
        body = b"" if seen.received.startswith(b"HEAD") else b'{"data": []}'
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n" + body)
        await until_end(reader, seen)

    async with (
        played(listing) as server,
        running(upstream=Upstream(Wire.ANTHROPIC, server.url, SECRET)) as run,
    ):
        head = f"{method} /v1/models?limit=5 HTTP/1.1\r\nhost: localhost:{run.port}\r\n"
        head += f"x-api-key: {run.session.token}\r\nconnection: close\r\n\r\n"
        answer = await send(run, head.encode(), method=method)
        assert (answer.status, answer.headers["content-length"]) == (200, "12")
        assert server.received.startswith(f"{method} /v1/models?limit=5 ".encode())
        other = await send(run, head.replace(method, "DELETE", 1).encode())
        assert (other.status, other.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("query", ["access_token=x", "%24userProject=x", "quotaUser=x", "callback=x"])
async def test_unknown_parameters_are_refused(query):
    """If it failed, a parameter could change who pays, or carry another's credential."""
    async with running() as run:
        path, body = "/v1/messages", json.dumps(QUESTIONS["messages"][2]).encode()
        assert (await send(run, post(run, f"{path}?{query}", body))).status == 403
        assert run.model.requests == []
        assert (await send(run, post(run, f"{path}?beta=true", body))).status == 200


@pytest.mark.parametrize("form", ["proto", "media", "", "JSON", "%73ql"])
async def test_gemini_answers_in_forms_that_can_be_metered_alone(form):
    """If it failed, an agent could ask for answers in which nobody finds what they cost."""
    async with running(Wire.GEMINI) as run:
        path, body = QUESTIONS["generate"][1], json.dumps(QUESTIONS["generate"][2]).encode()
        assert (await send(run, post(run, f"{path}?alt={form}", body))).status == 403
        proto = {"content_type": "application/x-protobuf"}
        assert (await send(run, post(run, path, body, **proto))).status == 415
        assert run.model.requests == []
        assert (await send(run, post(run, f"{path}?alt=json", body))).status == 200
        assert (
            await send(run, post(run, path, body, content_type="application/json; charset=utf-8"))
        ).status == 200


async def test_headers_that_leave_something_out_of_an_answer_are_not_forwarded():
    """If it failed, an agent could have its tokens left out of Gemini's answers."""
    async with running(Wire.GEMINI) as run:
        odd = {"x_goog_fieldmask": "candidates", "X_Goog_FieldMask": "candidates", "x_goog_user_project": "p"}
        assert (
            await send(run, request(run, "generate", x_goog_api_client="gl-node/22", **odd))
        ).status == 200
        names = [name for name in run.model.requests[0].headers if name.startswith("x-goog")]
        assert sorted(names) == ["x-goog-api-client", "x-goog-api-key"]


@pytest.mark.parametrize("options", [None, {"include_usage": False}, {"include_obfuscation": False}])
async def test_a_streamed_chat_always_tells_its_tokens(options):
    """If it failed, an agent could ask for answers that nobody meters."""
    async with running(Wire.OPENAI) as run:
        body = {**QUESTIONS["chat"][2], "stream": True, "stream_options": options}
        assert (await send(run, post(run, "/v1/chat/completions", json.dumps(body).encode()))).status == 200
        sent = run.model.requests[0].body["stream_options"]
        assert sent == {**(options or {}), "include_usage": True}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/responses", b'{"model": "m", "input": "x", "background": true}'),
        ("/v1/chat/completions", b'{"model": "m", "stream": false, "stream": true}'),
        ("/v1/chat/completions", b"[]"),
        ("/v1/chat/completions", b'{"model": NaN}'),
        ("/v1/chat/completions", '{"model": "m"}'.encode("utf-16")),
        ("/v1/chat/completions", b"[" * 100_000),
        ("/v1/chat/completions", b'{"x": 1e999}'),
    ],
)
async def test_bodies_that_would_escape_the_meter_are_refused(path, body):
    """If it failed, an agent could have answers made that are not metered."""
    async with running(Wire.OPENAI) as run:
        assert (await send(run, post(run, path, body))).status in {400, 403}
        assert run.model.requests == []
        assert (await send(run, request(run, "chat"))).status == 200


@pytest.mark.parametrize("kind", KINDS)
async def test_a_spent_budget_ends_questions_in_words_that_programs_understand(kind):
    """If it failed, an agent would spend more than it may, or the harness could not tell why it stopped."""
    spent = []
    async with running(QUESTIONS[kind][0], check_budget=lambda: spent[0] if spent else None) as run:
        assert (await send(run, request(run, kind))).status == 200
        spent.append("2.00 of 2.00 dollars")
        answer = await send(run, request(run, kind))
        assert answer.status == 402
        error = answer.json["error"]
        assert "2.00 of 2.00 dollars" in (error if "ollama" in kind else error["message"])
        assert answer.headers["x-shiftwork-refused"] == "budget"
        assert run.session.budget_refusals == 1
        assert len(run.model.requests) == 1
    assert [call.outcome for call in run.calls] == [Outcome.ANSWERED, Outcome.BUDGET]


async def test_a_limit_is_remembered_until_the_provider_answers_again():
    """If it failed, the workflow would not know how long to wait, or would wait although it need not."""
    answers = [Fault(429, headers={"retry-after": "120"}), Reply("on", usage=COUNTED)]
    async with running(script=lambda turn: answers.pop(0)) as run:
        answer = await send(run, request(run))
        assert (answer.status, answer.headers["retry-after"]) == (429, "120")
        (call,) = run.calls
        assert (call.outcome, call.until, call.model) == (Outcome.LIMITED, run.session.limited_until, "m")
        assert run.session.limited_until is not None
        assert (await send(run, request(run))).status == 200
        assert run.session.limited_until is None


async def test_a_provider_that_fails_is_told_as_what_it_is():
    """If it failed, an agent would see a dropped connection and nobody would know why."""
    answers = [Fault(500, "internal"), Drop()]
    async with running(script=lambda turn: answers.pop(0)) as run:
        assert (await send(run, request(run))).status == 500
        answer = await send(run, request(run))
        assert (answer.status, answer.json["error"]["type"]) == (502, "api_error")
        assert answer.headers["x-shiftwork-refused"] == "upstream"
    assert [call.outcome for call in run.calls] == [Outcome.ANSWERED, Outcome.FAILED]


async def test_a_provider_out_of_reach_is_told_as_what_it_is():
    """If it failed, a wrong base URL would look like a broken agent."""
    upstream = Upstream(Wire.GEMINI, "http://127.0.0.1:9", SECRET)
    async with running(upstream=upstream) as run:
        answer = await send(run, request(run, "generate"))
        assert (answer.status, answer.json["error"]["status"]) == (502, "UNAVAILABLE")
        assert "Traceback" not in answer.body.decode()


async def test_redirects_are_not_followed_nor_told():
    """If it failed, a provider's redirect would take the key to another host."""

    async def redirect(reader, writer, seen):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 307 Go\r\nlocation: http://evil.example/\r\ncontent-length: 0\r\n\r\n")
        await until_end(reader, seen)

    async with (
        played(redirect) as server,
        running(upstream=Upstream(Wire.ANTHROPIC, server.url, SECRET)) as run,
    ):
        answer = await send(run, request(run))
        assert (answer.status, server.connections) == (502, 1)
        assert "location" not in answer.headers
        assert b"evil" not in answer.body


@pytest.mark.parametrize(
    ("wire", "base", "path", "expected"),
    [
        (Wire.ANTHROPIC, "", "/v1/messages", "/v1/messages"),
        (Wire.ANTHROPIC, "/v1/", "/v1/messages", "/v1/messages"),
        (Wire.ANTHROPIC, "/anthropic", "/v1/messages", "/anthropic/v1/messages"),
        (Wire.OPENAI, "", "/v1/responses", "/v1/responses"),
        (Wire.OPENAI, "/v1", "/v1/responses", "/v1/responses"),
        (Wire.OPENAI, "/openai/v3/", "/v1/responses", "/openai/v3/responses"),
        (Wire.GEMINI, "/v1beta", "/v1beta/models/m:generateContent", "/v1beta/models/m:generateContent"),
        (Wire.OLLAMA, "", "/api/chat", "/api/chat"),
        (Wire.OLLAMA, "/api", "/api/chat", "/api/chat"),
    ],
)
async def test_the_base_url_is_read_as_providers_write_it(wire, base, path, expected):
    """If it failed, a base URL copied from a provider's documentation would lead to a 404."""
    async with running(wire) as run:
        upstream = Upstream(wire, run.model.url + base, SECRET)
        async with running(upstream=upstream) as behind:
            await send(
                behind, post(behind, path, b'{"model": "m", "messages": [], "input": "x", "contents": []}')
            )
        assert run.model.paths == [expected]


async def test_a_connection_serves_many_requests_also_pipelined_ones():
    """If it failed, each question would cost a new connection, or a second one sent early would be lost."""
    async with running() as run:
        reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
        kept = request(run, connection="keep-alive")
        writer.write(kept + kept)
        assert [(await read_answer(reader)).status for _ in range(2)] == [200, 200]
        writer.write(request(run, connection="keep-alive", stream=True)[:-10].replace(b"POST", b"POST"))
        await asyncio.sleep(0.05)
        writer.write(request(run, connection="keep-alive", stream=True)[-10:])
        assert (await read_answer(reader)).status == 200
        writer.close()


async def test_the_log_tells_each_call_and_no_secret(caplog):
    """If it failed, the log would be useless, or would give away keys, tokens and what was said."""
    with caplog.at_level(logging.INFO, "shiftwork.gateway"):
        async with running(label="session-7") as run:
            await send(run, request(run, cookie="c00kie"))
            await send(run, request(run, x_api_key="wr0ng"))
            await send(run, post(run, "/v1/secret-path?key=s3cret-query", b"b0dy"))
    first, second, third = (json.loads(record.message) for record in caplog.records)
    assert (first["session"], first["model"], first["input"], first["status"]) == ("session-7", "m", 100, 200)
    assert (second["outcome"], second["reason"], third["status"]) == ("refused", "credential", 404)
    for secret in (SECRET, run.session.token, "c00kie", "wr0ng", "s3cret", "b0dy", "hello"):
        assert secret not in caplog.text


@pytest.mark.parametrize("kind", QUESTIONS)
async def test_a_question_waits_until_it_may_be_asked(kind):
    """If it failed, a model could be paid for before what it answered last is safe."""
    wire, path, body = QUESTIONS[kind]
    ready, asked = asyncio.Event(), []

    async def before():
        asked.append(kind)
        await ready.wait()
        return "the database is away." if len(asked) > 1 else None

    async with running(wire, before_question=before) as run:
        asking = asyncio.create_task(send(run, post(run, path, json.dumps(body).encode())))
        await until(lambda: asked)
        assert run.model.requests == []
        ready.set()
        assert (await asking).status == 200
        refused = await send(run, post(run, path, json.dumps(body).encode()))
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert b"the database is away." in refused.body
        assert len(run.model.requests) == 1
        assert run.calls[1].tokens == Tokens()
