"""The scripted model server itself."""

import http.client
import json
from urllib.parse import urlsplit

import pytest

from tests.llm.rules import broken_rules
from tests.llm.script import Drop, Fault, Reply, Usage, in_order
from tests.llm.server import LlmServer

QUESTION = {
    "model": "m",
    "system": "be brief",
    "messages": [{"role": "user", "content": "hello"}],
    "tools": [{"name": "Write", "input_schema": {}}],
}


def ask(server: LlmServer, body: dict, path: str = "/v1/messages?beta=true"):
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=100)
    try:
        connection.request("POST", path, json.dumps(body), {"X-Api-Key": "key"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_a_question_is_answered_by_the_script_and_recorded():
    """Otherwise tests of real programs could not say what the model does, nor see what it was asked."""
    reply = Reply("hi", (("Write", {"a": 1}),), Usage(5, 6, 7))
    with LlmServer.in_thread(lambda _: reply) as server:
        status, text = ask(server, QUESTION)
        _, stream = ask(server, {**QUESTION, "stream": True})
    answer = json.loads(text)
    assert status == 200
    assert [block["type"] for block in answer["content"]] == ["text", "tool_use"]
    assert (answer["stop_reason"], answer["usage"]["cache_read_input_tokens"]) == ("tool_use", 7)
    assert stream.count("event: ") == stream.count("data: ") == 9
    turn = server.turns[0]
    assert (turn.system_text, turn.user_text, turn.tools) == ("be brief", "hello", ("Write",))
    assert server.requests[0].headers["x-api-key"] == "key"
    assert server.requests[0].query == "beta=true"


def test_faults_and_dropped_connections():
    """Otherwise what a program does about them could not be tested."""
    script = in_order(Fault(429, "slow", {"retry-after": "1"}), Drop(Reply("cut")), Drop(), Reply("done"))
    with LlmServer.in_thread(script) as server:
        status, text = ask(server, QUESTION)
        assert (status, json.loads(text)["error"]["type"]) == (429, "rate_limit_error")
        for body in ({**QUESTION, "stream": True}, QUESTION):
            with pytest.raises((http.client.HTTPException, ConnectionError)):
                ask(server, body)
        assert ask(server, QUESTION)[0] == 200
        assert ask(server, {}, "/nothing")[0] == 404


def test_a_script_that_fails_fails_the_test():
    """Otherwise a mistake in a script would look like a failure of the program under test."""
    with pytest.raises(ZeroDivisionError), LlmServer.in_thread(lambda turn: 1 // 0) as server:
        assert ask(server, QUESTION)[0] == 400


CALL = {"type": "tool_use", "id": "c", "name": "Write", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "c", "content": "done"}


def conversation(*calls: dict, results: tuple[dict, ...] = (RESULT,)) -> dict:
    return {
        "messages": [
            *QUESTION["messages"],
            {"role": "assistant", "content": list(calls)},
            {"role": "user", "content": list(results)},
        ]
    }


@pytest.mark.parametrize(
    "body",
    [
        conversation({**CALL, "name": "functions.Write"}),
        conversation({**CALL, "name": ""}),
        conversation({**CALL, "id": ""}, results=({**RESULT, "tool_use_id": ""},)),
        conversation(CALL, CALL, results=(RESULT, RESULT)),
        conversation(CALL, results=()),
        conversation(CALL, results=({"type": "text", "text": "go on"},)),
        conversation(CALL, results=(RESULT, {"type": "text", "text": " "})),
        conversation(CALL, results=({**RESULT, "content": [{"type": "text", "text": ""}]},)),
    ],
)
def test_a_question_that_a_provider_refuses_is_refused_and_fails_the_test(body):
    """Otherwise a program could send what no provider takes, and every test of it would pass."""
    statuses = []
    with pytest.raises(AssertionError, match="question 2"), LlmServer.in_thread(lambda _: Reply()) as server:
        statuses += [ask(server, QUESTION | each)[0] for each in (conversation(CALL), body)]
    assert statuses == [200, 400]


def chat(*messages: dict) -> dict:
    return {"messages": [{"role": "user", "content": "hello"}, *messages]}


def called(name: str = "Write", call: str = "c", arguments: str = "{}") -> dict:
    function = {"name": name, "arguments": arguments}
    return {"role": "assistant", "tool_calls": [{"id": call, "type": "function", "function": function}]}


def function(name: str) -> dict:
    return {"type": "function", "function": {"name": name}}


ANSWER = {"role": "tool", "tool_call_id": "c", "content": ""}


@pytest.mark.parametrize(
    ("wire", "body", "refused"),
    [
        ("openai_chat", chat(called(), ANSWER), False),
        ("openai_chat", chat(called("a.b"), ANSWER), True),
        ("openai_chat", chat(called(arguments="{"), ANSWER), True),
        ("openai_chat", chat(called(arguments="[]"), ANSWER), True),
        ("openai_chat", chat(called(), {"role": "user", "content": "and?"}), True),
        ("openai_chat", chat(called(call="d"), ANSWER), True),
        ("openai_chat", chat({"role": "assistant", "content": ""}), True),
        ("openai_responses", {"input": "hello"}, False),
        ("openai_responses", {"input": [{"type": "function_call", "call_id": "c", "name": "a"}]}, True),
        ("openai_responses", {"input": [{"type": "function_call_output", "call_id": "c"}]}, True),
        ("gemini", {"contents": [{"role": "model", "parts": [{"functionCall": {"name": "a.b"}}]}]}, True),
        ("gemini", {"contents": [{"role": "user", "parts": []}]}, True),
        ("ollama", {"messages": [called("a"), ANSWER]}, False),
        ("ollama", {"messages": [called("")]}, True),
        ("openai_chat", {"tools": [function("a"), function("b")]}, False),
        ("openai_chat", {"tools": [function("a.b")]}, True),
        ("openai_chat", {"tools": [function("a" * 65)]}, True),
        ("openai_chat", {"tools": [function("a"), function("a")]}, True),
        ("openai_responses", {"tools": [{"type": "function", "name": "a.b"}]}, True),
        ("openai_responses", {"tools": [{"type": "web_search"}, {"type": "web_search"}]}, False),
        ("anthropic", {"tools": [{"name": "a" * 128}, {"name": "b"}]}, False),
        ("anthropic", {"tools": [{"name": "a b"}]}, True),
        ("anthropic", {"tools": [{"name": "a"}, {"name": "a"}]}, True),
        ("gemini", {"tools": [{"functionDeclarations": [{"name": "a.b"}]}, {"googleSearch": {}}]}, False),
        ("gemini", {"tools": [{"functionDeclarations": [{"name": "1a"}]}]}, True),
        ("gemini", {"tools": [{"functionDeclarations": [{"name": "a"}, {"name": "a"}]}]}, True),
        ("ollama", {"tools": [function("a.b")]}, True),
    ],
)
def test_each_wire_has_its_rules(wire, body, refused):
    """Otherwise what one provider refuses would be seen by no test."""
    assert bool(broken_rules(wire, body)) is refused
