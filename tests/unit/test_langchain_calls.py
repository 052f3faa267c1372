"""Names and ids of calls, as providers take them back."""

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool

from shiftwork.agents.langchain.program.answers import mend
from shiftwork.agents.langchain.program.calls import Asked, sendable


@tool("files.read")
def odd(path: str) -> str:
    """A tool whose name a local server takes."""
    return path


def message(*names, ids=None, kind="tool_use", **more):
    ids = ids or [f"c{number}" for number in range(len(names))]
    key = "id" if kind == "tool_use" else "call_id"
    content = [{"type": kind, key: call, "name": name} for call, name in zip(ids, names, strict=True)]
    calls = [{"id": call, "name": name, "args": {}} for call, name in zip(ids, names, strict=True)]
    return AIMessage([{"type": "text", "text": "now"}, *content], tool_calls=calls, **more)


def test_the_responses_wire_tells_calls_in_the_content_too():
    """Broken, OpenAI's newer wire would be sent the name and the id that it refuses."""
    answer = message("a.b", "ls", ids=["same", "same"], kind="function_call")
    mend(answer, (), Asked())
    [broken], [call] = answer.invalid_tool_calls, answer.tool_calls
    told = [(part["call_id"], part["name"]) for part in answer.content[1:]]
    assert told == [(broken["id"], "a_b"), (call["id"], "ls")]
    assert broken["id"] != call["id"]


def test_a_name_that_the_question_offered_is_one():
    """Broken, tools of an MCP server could not be called by models whose servers take their names."""
    answer = message("files.read")
    mend(answer, (), Asked.of([odd, {"type": "function", "function": {"name": "ls"}}], []))
    assert [call["name"] for call in answer.tool_calls] == ["files.read"]
    assert Asked.of([{"name": "a.b"}, odd], []).tools == {"a.b", "files.read"}


def test_an_id_of_an_earlier_turn_is_not_used_again():
    """Broken, a server that numbers from call_0 in each answer would have a conversation refused."""
    answer = message("ls", ids=["call_0"])
    mend(answer, (), Asked.of([], [message("ls", ids=["call_0"])]))
    assert answer.tool_calls[0]["id"] == answer.content[1]["id"] != "call_0"


def test_ids_that_servers_made_stay():
    """Broken, a server that keeps in an id what it needs to know again would not find it."""
    answer = message("ls", ids=["call_1__thought__" + "A/+=" * 100])
    mend(answer, (), Asked())
    assert answer.tool_calls[0]["id"].startswith("call_1__thought__A/+=")


def test_a_conversation_that_can_be_sent_is_sent_as_it_is():
    """Broken, each question would copy its conversation, or change what a provider has cached."""
    messages = [HumanMessage("do it"), message("ls"), ToolMessage("a", name="ls", tool_call_id="c0")]
    assert all(a is b for a, b in zip(messages, sendable(messages, Asked()), strict=True))


def test_kept_calls_whose_content_says_something_else_agree_when_sent():
    """Broken, a conversation kept with ids that differ would be refused."""
    kept = message("a.b", "ls", ids=["old", "old"])
    kept.tool_calls[1]["id"] = "new"
    result = ToolMessage("none", name="a.b", tool_call_id="old")
    sent, told = sendable([kept, result], Asked())
    assert [(part["id"], part["name"]) for part in sent.content[1:]] == [("old", "a_b"), ("new", "ls")]
    assert [call["name"] for call in sent.tool_calls] == ["a_b", "ls"]
    assert told.name == "a_b"
    assert kept.tool_calls[0]["name"] == "a.b"
