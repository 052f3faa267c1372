"""What no client should send: each request gets one answer, and the server lives on."""

import json
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest
from mcp import types

from tests.integration.mcp_support import COMMAND, INITIALIZE, LONGEST, bearer, environment, served

__all__ = ["served"]


def call(given: bytes) -> bytes:
    """A call of a tool with these arguments."""
    params = b'{"name":"get_project_status","arguments":{"project_id":%b}}' % given
    return b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":%b}' % params


UNREADABLE = {
    "half a character": call(rb'"\ud800"'),
    "half a character in a name": rb'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"\udfff":1}}',
    "half a character in a method": rb'{"jsonrpc":"2.0","method":"\ud800x","id":7}',
    "no UTF-8": call(b'"\xff\xfe"'),
    "a control character": call(b'"\x00"'),
    "too many digits": call(b"9" * 5_000),
    "too many levels": call(b"[" * 100_000 + b"]" * 100_000),
    "an end that is missing": call(rb'"{\"id\":8}"')[:-1],
    "a text that never ends": call(rb'"' + rb"\"" * 200_000)[:-3],
    "something after it": call(b"1") + b" x",
    "a byte order mark": b"\xef\xbb\xbf" + call(b"1"),
}
WRONG = {
    "another version": (b'{"jsonrpc":"1.0","id":7,"method":"ping"}', types.INVALID_REQUEST, 7),
    "an unknown method": (b'{"jsonrpc":"2.0","id":7,"method":"nope"}', types.METHOD_NOT_FOUND, 7),
    "a method that is none": (b'{"jsonrpc":"2.0","id":7,"method":[]}', types.METHOD_NOT_FOUND, 7),
    "wrong parameters": (b'{"jsonrpc":"2.0","id":7,"method":"ping","params":[]}', types.INVALID_PARAMS, 7),
    "no number": (call(b"NaN"), types.INVALID_PARAMS, 7),
    "more than all": (call(b"1e999"), types.INVALID_PARAMS, 7),
    "less than all, deep within": (call(b'[{"x":-Infinity}]'), types.INVALID_PARAMS, 7),
    "no whole number": (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', types.INVALID_REQUEST, None),
    "no id": (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', types.INVALID_REQUEST, None),
    "several at once": (b'[{"jsonrpc":"2.0","id":7,"method":"ping"}]', types.INVALID_REQUEST, None),
    "half a character as id": (rb'{"jsonrpc":"2.0","id":"\ud800","method":1}', types.PARSE_ERROR, "\ud800"),
    "words": (b"ping", types.PARSE_ERROR, None),
}
CASES = {name: (data, types.PARSE_ERROR, 7) for name, data in UNREADABLE.items()} | WRONG
BEARABLE = {"a long text": b'"' + b"x" * 2_000_000 + b'"'}
PING = b'{"jsonrpc":"2.0","id":"p","method":"ping"}'
PONG = {"jsonrpc": "2.0", "id": "p", "result": {}}


@pytest.fixture(scope="module")
def pipes(stack) -> Iterator[subprocess.Popen]:
    """A server that was greeted."""
    process = subprocess.Popen(
        [sys.executable, *COMMAND],
        env=environment(stack.state),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    asked(process, json.dumps(INITIALIZE).encode())
    process.stdin.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n\n')
    yield process
    rest, said = process.communicate(timeout=LONGEST)
    assert (process.returncode, rest, said) == (0, b"", b"")


def asked(process: subprocess.Popen, message: bytes) -> dict:
    """The next line that the server says to this one."""
    process.stdin.write(message + b"\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


@pytest.mark.parametrize(("message", "code", "request_id"), CASES.values(), ids=CASES)
def test_over_pipes_what_is_odd_is_answered_once(pipes, message: bytes, code: int, request_id) -> None:
    """If it failed, an agent would wait for ever for the answer to what it wrote wrong."""
    answer = asked(pipes, message)

    assert (answer["id"], answer["error"]["code"]) == (request_id, code)
    assert answer["error"]["message"].isprintable()
    assert asked(pipes, PING) == PONG


@pytest.mark.parametrize("given", BEARABLE.values(), ids=BEARABLE)
def test_over_pipes_what_a_tool_can_refuse_reaches_it(pipes, given: bytes) -> None:
    """If it failed, a model would be told of the protocol, and not of its argument."""
    answer = asked(pipes, call(given))

    assert answer["id"] == 7
    assert answer["result"]["isError"]
    assert answer["result"]["content"][0]["text"].startswith("project_id: must ")
    assert asked(pipes, PING) == PONG


async def test_over_http_what_is_odd_is_answered_once(served: dict) -> None:
    """If it failed, a client over HTTP would wait for ever, or be told of an error of ours."""
    headers = bearer(served) | {"Content-Type": "application/json"}
    async with httpx.AsyncClient(headers=headers, timeout=LONGEST) as http:
        greeted = await http.post(served["url"], json=INITIALIZE)
        http.headers["Mcp-Session-Id"] = greeted.headers["mcp-session-id"]
        for name, (message, code, request_id) in CASES.items():
            answer = await http.post(served["url"], content=message)
            assert answer.status_code == 400, name
            assert (answer.json()["id"], answer.json()["error"]["code"]) == (request_id, code), name
        for given in BEARABLE.values():
            answer = await http.post(served["url"], content=call(given))
            assert "project_id: must " in answer.text
        large = await http.post(served["url"], content=call(b'"' + b"x" * (16 << 20) + b'"'))
        assert (large.status_code, large.json()["id"]) == (413, 7)
        assert json.loads((await http.post(served["url"], content=PING)).text.partition("data: ")[2]) == PONG


@pytest.mark.parametrize("number", ["1e999", "Infinity", "-Infinity", "NaN"])
def test_a_budget_without_a_bound_makes_no_project(pipes, number: str) -> None:
    """If it failed, a project would cost without a limit, for somebody who gave a strange one."""
    arguments = f'{{"name":"without a bound","description":"x","budget_usd":{number}}}'
    params = f'{{"name":"create_long_running_project","arguments":{arguments}}}'
    answer = asked(pipes, f'{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{params}}}'.encode())
    assert answer["error"]["message"].startswith("budget_usd: must be a number that JSON has")
    listing = b'{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"list_long_running_projects"}}'
    assert "without a bound" not in json.dumps(asked(pipes, listing))
