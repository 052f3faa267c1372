"""The program of the backend `langchain`, as a real process against the scripted model server."""

import pytest

from tests.integration.langchain_support import HAND_OVER, WIRES, Bench
from tests.llm.script import Reply, in_order
from tests.llm.server import LlmServer


@pytest.mark.parametrize("wire", WIRES)
def test_a_small_task_is_done_with_files_and_shell(tmp_path, wire):
    """Otherwise the agent could not work at all on this wire."""
    hello = str(tmp_path / "workspace" / "hello.py")
    script = in_order(
        Reply("I write it.", (("write_file", {"file_path": hello, "content": "print('hi')\n"}),)),
        Reply("I run it.", (("execute", {"command": "python3 hello.py; pwd"}),)),
        Reply("", (("log_progress", {"action": "wrote hello.py"}),)),
        Reply("Done.", (HAND_OVER,)),
    )
    with LlmServer.in_thread(script) as server:
        bench = Bench(tmp_path, server.url, wire)
        done = bench.run()
    assert done.last == {"kind": "finished", "ok": True, "text": "all done"}, done.errors
    assert done.status == 0
    assert (tmp_path / "workspace" / "hello.py").read_text() == "print('hi')\n"
    assert "hi" in server.turns[2].tool_results[1]
    assert bench.left("handoff.json") == {"summary": "all done"}
    assert bench.left("progress.jsonl") == [{"action": "wrote hello.py"}]
    usage = done.of("usage")
    assert [(u["input_tokens"], u["output_tokens"]) for u in usage] == [(100, 10)] * 4
    assert len(server.turns) == 4
    assert all(turn.body.get("stream") for turn in server.turns)
    assert {event["data"]["file"] for event in done.of("saved")} == {"langchain.state"}
