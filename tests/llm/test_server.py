"""The scripted model server itself."""

import http.client
import json
from urllib.parse import urlsplit

import pytest

from tests.llm.script import Drop, Fault, Reply, Usage, in_order
from tests.llm.server import LlmServer

QUESTION = {
    "model": "m",
    "system": "be brief",
    "messages": [{"role": "user", "content": "hello"}],
    "tools": [{"name": "Write", "input_schema": {}}],
}


def ask(server: LlmServer, body: dict, path: str = "/v1/messages?beta=true"):
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=5)
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
