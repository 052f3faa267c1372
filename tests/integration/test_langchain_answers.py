"""Answers that are not what they should be: cut off, broken off, empty, or with what can't be written."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from shiftwork.agents.langchain.config import STATE_FILE
from shiftwork.agents.langchain.program.memory import Memory
from shiftwork.agents.langchain.program.statefile import StateFile
from tests.integration.langchain_support import HAND_OVER, WIRES, Bench, Done, Nursery
from tests.llm.rules import broken_rules

Chunks = Sequence[bytes]

TOO_LONG: Chunks = (b'{"error": {"message": "too long", "code": "context_length_exceeded"}}',)


class RawServer(ThreadingHTTPServer):
    """Gives these streams one after the other, the last one for ever; a callable makes it of the question."""

    daemon_threads = True

    def __init__(self, answers: Sequence[Chunks | Callable[[dict[str, Any]], Chunks]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = answers
        self.asked: list[dict[str, Any]] = []
        self.broken: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: RawServer

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append(question)
        wire = "openai_chat" if self.path.endswith("/chat/completions") else "anthropic"
        self.server.broken += broken_rules(wire, question)
        answer = self.server.answers[min(len(self.server.asked), len(self.server.answers)) - 1]
        chunks = answer(question) if callable(answer) else answer
        self.send_response(400 if chunks == TOO_LONG else 200)
        self.send_header("content-type", "application/json" if chunks == TOO_LONG else "text/event-stream")
        self.end_headers()
        for chunk in chunks:
            self.wfile.write(chunk)


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery.open() as nursery:
        yield nursery


@pytest.fixture
def serve(nursery, tmp_path):
    """`serve(*answers, **options)`: a bench with a server of its own."""
    servers = []

    def start(*answers, **options):
        server = RawServer(answers)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        return Bench(nursery, tmp_path, server.url, **options), server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
        assert not server.broken


@pytest.fixture(params=WIRES)
def wire(request):
    return request.param


def answer(wire, *calls, text="", reason="", ids=None) -> Chunks:
    """Calls as (name, arguments); arguments that are text are sent as they are. No reason: it breaks off."""
    written = [(name, a if isinstance(a, str) else json.dumps(a)) for name, a in calls]
    ids = ids or [f"call_{wire}_{abs(hash((n, call)))}" for n, call in enumerate(written)]
    make = _openai if wire == "openai" else _anthropic
    return list(make(list(zip(ids, written, strict=True)), text, reason))


def whole(wire, *calls, **more) -> Chunks:
    return answer(wire, *calls, reason="tool_calls" if wire == "openai" else "tool_use", **more)


def cut(wire, *calls, **more) -> Chunks:
    return answer(wire, *calls, reason="length" if wire == "openai" else "max_tokens", **more)


def counting(chunks: Chunks, usage: dict[str, Any]) -> Chunks:
    """The answer, whose end tells these counts."""
    events = [chunk.partition(b"data: ") for chunk in chunks]
    place = max(n for n, (_, _, data) in enumerate(events) if b'reason"' in data)
    name, mark, data = events[place]
    counted = json.dumps({**json.loads(data), "usage": usage}).encode()
    return [*chunks[:place], name + mark + counted + b"\n\n", *chunks[place + 1 :]]


def _openai(calls, text, reason):
    head = {"id": "x", "created": 1, "model": "m", "object": "chat.completion.chunk"}
    tools = [
        {"index": n, "id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
        for n, (call_id, (name, arguments)) in enumerate(calls)
    ]
    delta = {"role": "assistant", "content": text or None} | ({"tool_calls": tools} if tools else {})
    yield _event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    if reason:
        yield _event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
        yield b"data: [DONE]\n\n"


def _anthropic(calls, text, reason):
    message = {"id": "m", "type": "message", "role": "assistant", "model": "c", "content": []}
    usage = {"input_tokens": 10, "output_tokens": 1}
    yield _event({"type": "message_start", "message": {**message, "usage": usage}})
    blocks = [({"type": "text", "text": ""}, {"type": "text_delta", "text": text})] if text else []
    for call_id, (name, arguments) in calls:
        block = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
        blocks.append((block, {"type": "input_json_delta", "partial_json": arguments}))
    for index, (block, delta) in enumerate(blocks):
        yield _event({"type": "content_block_start", "index": index, "content_block": block})
        yield _event({"type": "content_block_delta", "index": index, "delta": delta})
        yield _event({"type": "content_block_stop", "index": index})
    if reason:
        end = {"stop_reason": reason, "stop_sequence": None}
        yield _event({"type": "message_delta", "delta": end, "usage": {"output_tokens": 5}})
        yield _event({"type": "message_stop"})


def _event(data: dict[str, Any]) -> bytes:
    name = f"event: {data['type']}\n" if "type" in data else ""
    return f"{name}data: {json.dumps(data)}\n\n".encode()


def results(question: dict[str, Any]) -> list[str]:
    """What the model is told of its calls."""
    told = []
    for message in question["messages"]:
        if message["role"] == "tool":
            told.append(message["content"])
        elif message["role"] == "user" and isinstance(message["content"], list):
            told += [block["content"] for block in message["content"] if block["type"] == "tool_result"]
    return [each if isinstance(each, str) else "".join(part["text"] for part in each) for each in told]


def used(done: Done) -> list[str]:
    return [event["text"] for event in done.of("tool_use")]


PART_OF_A_COMMAND = '{"command": "touch made; rm -rf build'


def test_a_call_that_was_cut_off_is_not_made_and_the_model_is_told(serve, wire):
    """Otherwise half a command would be run, and half a file written, as if that were all."""
    whole_call = ("execute", {"command": "echo 1 >> log"})
    last_one_readable = ("execute", {"command": "echo 2 >> log"})
    bench, server = serve(
        cut(wire, ("execute", PART_OF_A_COMMAND)),
        cut(wire, whole_call, ("write_file", '{"file_path": "/big.py", "content": "x = (1,')),
        cut(wire, whole_call, last_one_readable),
        whole(wire, HAND_OVER),
        wire=wire,
    )
    done = bench.run()
    assert done.last["ok"], done.errors
    assert [path.name for path in bench.workspace.iterdir()] == ["log"]
    assert (bench.workspace / "log").read_text() == "1\n1\n"
    told = results(server.asked[3])
    assert ["cut off" in each for each in told].count(True) == 3, told
    assert used(done) == ["execute", "execute", "hand_over"]


def test_calls_without_an_end_are_not_made_whatever_reason_is_given(serve, wire):
    """Otherwise a server that gives a wrong reason would have half a command run."""
    bench, server = serve(whole(wire, ("execute", PART_OF_A_COMMAND)), whole(wire, HAND_OVER), wire=wire)
    done = bench.run()
    assert done.last["ok"], done.errors
    assert not list(bench.workspace.iterdir())
    assert "not valid JSON" in results(server.asked[1])[0]


def test_an_answer_that_breaks_off_is_asked_for_again(serve, wire):
    """Otherwise what a cut connection leaves of an answer would be taken for all of it."""
    bench, server = serve(
        answer(wire, ("execute", PART_OF_A_COMMAND)),
        answer(wire, text="I will now wri"),
        answer(wire, ("execute", {"command": "touch made"})),
        whole(wire, HAND_OVER),
        wire=wire,
    )
    done = bench.run()
    assert done.last["ok"], done.errors
    assert not list(bench.workspace.iterdir())
    assert [len(question["messages"]) for question in server.asked] == [len(server.asked[0]["messages"])] * 4
    assert len(done.of("usage")) == 4


def test_one_that_always_breaks_off_is_no_answer(serve, wire):
    """Otherwise the agent would ask for ever, or take half a sentence for its handover."""
    bench, server = serve(answer(wire, text="I will now wri"), wire=wire, settings={"max_retries": 2})
    done = bench.run()
    assert (done.last["ok"], done.last.get("problem")) == (False, "unavailable"), done.errors
    assert len(server.asked) == 3


def test_prose_that_was_cut_off_is_not_the_end(serve, wire):
    """Otherwise a long thought would end the work in its middle."""
    bench, server = serve(cut(wire, text="First I"), cut(wire), whole(wire, HAND_OVER), wire=wire)
    done = bench.run()
    assert done.last == {"kind": "finished", "ok": True, "text": "all done"}, done.errors
    said = json.dumps(server.asked[2]["messages"])
    assert "First I" in said
    assert said.count("Your answer was cut off") == 2


def test_answers_that_are_always_cut_off_are_a_limit(serve, wire):
    """Otherwise a model with too little room to answer would be asked until its turns are used."""
    bench, server = serve(cut(wire, ("execute", PART_OF_A_COMMAND)), wire=wire)
    done = bench.run()
    assert (done.last["ok"], done.last.get("problem")) == (False, "limit"), done.errors
    assert "max_tokens" in done.last["text"]
    assert len(server.asked) == 6


def test_anthropics_unknown_models_get_room_for_a_file(serve):
    """Otherwise answers of a model newer than its package would be cut off at 4,096 tokens."""
    bench, server = serve(whole("anthropic", HAND_OVER))
    assert bench.run().last["ok"]
    assert server.asked[0]["max_tokens"] == 32_000


def test_calls_with_the_same_id_or_none_are_all_made(serve):
    """Otherwise the second would never be made, and be told to have been interrupted."""
    calls = [("execute", {"command": f"echo {n} >> log"}) for n in range(2)]
    bench, server = serve(
        whole("openai", *calls, ids=["a", "a"]),
        whole("openai", *calls, ids=[None, None]),
        whole("openai", HAND_OVER),
        wire="openai",
    )
    done = bench.run()
    assert done.last["ok"], done.errors
    assert sorted((bench.workspace / "log").read_text().split()) == ["0", "0", "1", "1"]
    assert all("succeeded" in each for each in results(server.asked[2]))


def calls_sent_back(question: dict[str, Any]) -> list[tuple[str, str]]:
    """The (name, id) of each call that the question tells of."""
    sent = []
    for message in question["messages"]:
        blocks = message["content"] if isinstance(message["content"], list) else ()
        sent += [(call["function"]["name"], call["id"]) for call in message.get("tool_calls") or ()]
        sent += [(block["name"], block["id"]) for block in blocks if block["type"] == "tool_use"]
    return sent


NO_NAMES = ("multi_tool_use.parallel", "functions.execute", "", "x" * 300, "é ü")


def test_a_call_by_a_name_that_no_provider_takes_back_is_told_and_renamed(serve, wire):
    """Otherwise one such call makes every later question a 400, and its feature can never be done."""
    makes = {"command": "touch made"}
    bench, server = serve(
        whole(wire, *[(name, makes) for name in NO_NAMES], ("ls", {"path": "."})),
        whole(wire, HAND_OVER),
        wire=wire,
    )
    done = bench.run()
    assert done.last["ok"], done.errors
    assert not list(bench.workspace.iterdir())
    told = "\n".join(results(server.asked[1]))
    assert told.count("There is no tool named") == len(NO_NAMES)
    assert "'functions.execute'. Call one of your tools, by its name" in told
    names = sorted(name for name, _ in calls_sent_back(server.asked[1]))
    expected = ["multi_tool_use_parallel", "functions_execute", "unknown", "x" * 64, "_", "ls"]
    assert names == sorted(expected)


def test_a_model_that_knows_no_names_is_a_limit(serve, wire):
    """Otherwise it would be told of its tools until its turns are used."""
    bench, server = serve(whole(wire, ("multi_tool_use.parallel", {})), wire=wire)
    done = bench.run()
    assert (done.last["ok"], done.last.get("problem")) == (False, "limit"), done.errors
    assert len(server.asked) == 6


def test_a_kept_conversation_with_such_a_name_goes_on(serve, wire):
    """Otherwise a conversation that was kept before names were mended would be refused for ever."""
    bench, server = serve(
        whole(wire, ("ls", {"path": "."})), whole(wire, HAND_OVER), wire=wire, settings={"max_turns": 1}
    )
    assert bench.run().last["problem"] == "limit"
    memory = Memory(StateFile(bench.home / STATE_FILE, "c1"), lambda: None)
    assert memory.load()
    serializer, kept = JsonPlusSerializer(), memory.threads[""]
    checkpoint = serializer.loads_typed(tuple(kept["checkpoint"]))
    for message in checkpoint["channel_values"]["messages"]:
        for call in (*getattr(message, "tool_calls", ()), *message.content):
            if isinstance(call, dict) and call.get("name") == "ls":
                call["name"] = "functions.ls"
        message.name = message.name and "functions.ls"
    kept["checkpoint"] = serializer.dumps_typed(checkpoint)
    memory.save()
    done = bench.run()
    assert done.last["ok"], done.errors
    assert [name for name, _ in calls_sent_back(server.asked[-1])] == ["functions_ls"]


def test_calls_with_the_same_id_are_sent_back_as_they_were_made(serve, wire):
    """Otherwise the model would be told of one call twice and of the other never, or the question refused."""
    calls = [("execute", {"command": f"echo {n} >> log"}) for n in range(3)]
    bench, server = serve(
        whole(wire, *calls[:2], ids=["call_0", "call_0"]),
        whole(wire, calls[2], ids=["call_0"]),
        whole(wire, HAND_OVER, ids=["call_0"]),
        wire=wire,
    )
    done = bench.run()
    assert done.last["ok"], done.errors
    assert sorted((bench.workspace / "log").read_text().split()) == ["0", "1", "2"]
    sent = json.dumps(server.asked[2]["messages"])
    assert [sent.count(call["command"]) for _, call in calls] == [1, 1, 1]
    assert len({call_id for _, call_id in calls_sent_back(server.asked[2])}) == 3


@pytest.mark.parametrize(
    "body", [b"<html>Sign in</html>", b"data: [DONE]\n\n", b'{"error": {"message": "boom"}}', b""]
)
def test_what_is_no_answer_at_all_is_trouble_that_passes(serve, wire, body):
    """Otherwise a proxy's page in the place of an answer would end the program with a traceback."""
    bench, server = serve([body], wire=wire, settings={"max_retries": 1})
    done = bench.run()
    assert (done.last["ok"], done.last.get("problem")) == (False, "unavailable"), done.errors
    assert len(server.asked) == 2
    server.answers = [[body], whole(wire, HAND_OVER)]
    server.asked.clear()
    assert bench.run().last["ok"]


def test_text_that_can_not_be_written_is_replaced(serve, wire):
    """Otherwise one broken emoji would end the program, and every later run of the conversation."""
    bench, server = serve(
        whole(wire, ("write_file", '{"file_path": "/a", "content": "x\\ud800y"}'), text="so \ud83d"),
        whole(wire, ("execute", {"command": "touch $'\\xff'"}), ("ls", {"path": "/"})),
        whole(wire, ("glob", {"pattern": "*"})),
        whole(wire, ("record_decision", '{"decision": "\\udc00"}'), ("hand_over", '{"summary": "b\\udc00"}')),
        wire=wire,
    )
    done = bench.run()
    assert done.last == {"kind": "finished", "ok": True, "text": "b\ufffd"}, done.errors
    assert (bench.workspace / "a").read_text() == "x\ufffdy"
    assert len(server.asked) == 4
    assert "a" in results(server.asked[3])[-1]
    assert bench.run().last["ok"]


@pytest.mark.parametrize("number", [str(10**30), f"-{10**30}", "1e999", "-1e999"])
@pytest.mark.parametrize(
    "arguments", ['{"command": "touch made", "timeout": N}', '{"command": "touch made", "x": [{"y": N}]}']
)
def test_a_call_with_a_number_out_of_bounds_is_not_made_and_the_model_is_told(serve, wire, number, arguments):
    """Otherwise one such number would end the run, or every later question of the conversation."""
    call = ("execute", arguments.replace("N", number))
    bench, server = serve(
        whole(wire, call, ("execute", {"command": "touch other"})), whole(wire, HAND_OVER), wire=wire
    )
    done = bench.run()
    assert done.last["ok"], done.errors
    assert [path.name for path in bench.workspace.iterdir()] == ["other"]
    assert any("a number in them is too large" in told for told in results(server.asked[1]))
    assert len(server.asked) == 2


@pytest.mark.parametrize("count", [10**30, -5])
def test_counts_that_are_none_count_as_not_said(serve, wire, count):
    """Otherwise a server that miscounts would end the run, and what was spent would be nonsense."""
    usage = {"prompt_tokens": count, "completion_tokens": count, "total_tokens": count}
    told = [("output_tokens", count)] if wire == "anthropic" else list(usage.items())
    bench, _ = serve(
        counting(whole(wire, ("execute", {"command": "touch made"})), dict(told)),
        whole(wire, HAND_OVER),
        wire=wire,
    )
    done = bench.run()
    assert done.last["ok"], done.errors
    assert done.of("usage")[0]["output_tokens"] == 0
    assert [path.name for path in bench.workspace.iterdir()] == ["made"]


def test_an_empty_summary_does_not_wipe_the_conversation(serve):
    """Otherwise the agent would begin anew in the middle of its work, and not know what it has done."""

    numbers = iter(range(100))

    def script(question):
        if "tools" not in question:
            return answer("openai", reason="stop")
        if (number := next(numbers)) == 9:
            return whole("openai", HAND_OVER)
        return whole(
            "openai", ("execute", {"command": f"echo fact-{number}; seq 1 2500"}), ids=[f"c{number}"]
        )

    bench, server = serve(script, wire="openai", settings={"context_tokens": 20_000})
    done = bench.run()
    assert done.last["ok"], done.errors
    assert sum("tools" not in question for question in server.asked) % 2 == 0
    said = [m["content"] for m in server.asked[-1]["messages"] if m["role"] == "user"]
    assert any("fact-0" in str(each) for each in said[1:]), said


def test_a_short_conversation_that_is_too_long_is_summed_up_too(serve):
    """Otherwise one large result would end a sub-agent, and the run with it."""
    calls = iter(range(1000))

    def script(question):
        if "tools" not in question:
            return whole("openai", text="SUMMARY")
        if any(tool["function"]["name"] == "task" for tool in question["tools"]):
            sub = ("task", {"description": "Look.", "subagent_type": "code"})
            return whole("openai", HAND_OVER if results(question) else sub)
        if results(question):
            return TOO_LONG
        if "SUMMARY" in json.dumps(question["messages"]):
            return answer("openai", text="I looked.", reason="stop")
        return whole("openai", ("execute", {"command": "seq 100"}), ids=[f"call_{next(calls)}"])

    bench, server = serve(script, wire="openai")
    done = bench.run()
    assert done.last["ok"], done.errors
    assert results(server.asked[-1]) == ["I looked."]


def test_sub_agents_at_the_same_time_don_t_pass_the_limit_of_turns(serve):
    """Otherwise each of many sub-agents could ask once more when there is nothing left."""

    def script(question):
        if any(tool["function"]["name"] == "task" for tool in question["tools"]):
            subs = [("task", {"description": f"Do {n}.", "subagent_type": "code"}) for n in range(6)]
            return whole("openai", *subs)
        return whole("openai", ("execute", {"command": "true"}))

    bench, server = serve(script, wire="openai", settings={"max_turns": 4})
    done = bench.run()
    assert done.last.get("problem") == "limit", done.errors
    assert len(server.asked) <= 4
