"""The program of the backend `langchain`, as a real process against the scripted model server."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest

from shiftwork.agents.events import Problem
from shiftwork.agents.langchain.config import ModelConfig
from shiftwork.agents.langchain.program.helpers import HELPERS
from shiftwork.agents.langchain.program.naming import OWN_NAMES
from shiftwork.agents.roles import prompt_for
from shiftwork.contracts.feature import VerificationStep
from shiftwork.contracts.session import Role
from shiftwork.verification.word import vetoes_in
from tests.integration.langchain_support import HAND_OVER, WIRES, Bench, Nursery
from tests.llm.script import Drop, Fault, Hang, Reply, Usage, in_order
from tests.llm.server import LlmServer
from tests.unit.docs_support import ROOT, table

DOCUMENT = ROOT / "docs" / "langchain.md"


@pytest.fixture(scope="module")
def nursery():
    with Nursery.open() as nursery:
        yield nursery


@pytest.fixture(params=WIRES)
def wire(request):
    return request.param


@pytest.fixture
def serve(nursery, tmp_path):
    """`serve(script, folder, **options)`: a bench with a server of its own."""
    servers = []

    def start(script, folder=tmp_path, **options):
        context = LlmServer.in_thread(script)
        servers.append(context)
        server = context.__enter__()
        return Bench(nursery, folder, server.url, **options), server

    yield start
    for context in servers:
        context.__exit__(None, None, None)


@pytest.mark.parametrize("wire", [*WIRES, "gemini", "ollama"])
def test_a_small_task_is_done_with_files_and_shell(serve, wire):
    """Otherwise the agent could not work at all on this wire."""
    script = in_order(
        Reply("I write it.", (("write_file", {"file_path": "/hello.py", "content": "print('hi')\n"}),)),
        Reply("I run it.", (("execute", {"command": "python3 hello.py; echo $SHIFTWORK_MODEL_TOKEN-"}),)),
        Reply("", (("log_progress", {"action": "wrote hello.py"}),), Usage(50, 5, 40)),
        Reply("Done.", (HAND_OVER,)),
    )
    bench, server = serve(script, wire=wire)
    done = bench.run()
    assert done.last == {"kind": "finished", "ok": True, "text": "all done"}, done.errors
    assert done.status == 0
    assert (bench.workspace / "hello.py").read_text() == "print('hi')\n"
    assert server.turns[2].tool_results[1].replace("\\n", "\n").find("hi\n-\n") >= 0
    assert bench.left("handoff.json") == {"summary": "all done"}
    assert bench.left("progress.jsonl") == [{"action": "wrote hello.py"}]
    usage = done.of("usage")
    assert [u["input_tokens"] + u["cache_read_tokens"] for u in usage] == [100, 100, 90, 100]
    assert [u["output_tokens"] for u in usage] == [10, 10, 5, 10]
    assert usage[2]["cache_read_tokens"] == (0 if wire == "ollama" else 40)  # It has none.
    assert len(server.turns) == 4
    assert all(request.body.get("stream") or "stream" in request.path for request in server.requests)
    assert {event["data"]["file"] for event in done.of("saved")} == {"langchain.state"}
    assert [path.name for path in bench.workspace.iterdir()] == ["hello.py"]


@pytest.mark.parametrize(("name", "sent"), [("gpt-5-mini", False), ("gpt-scripted", True)])
def test_a_parameter_that_is_not_sent_is_told(serve, name, sent):
    """Otherwise people would believe in a temperature that no model was ever asked with."""
    bench, server = serve(in_order(Reply("", (HAND_OVER,))), wire="openai")
    parameters = {"temperature": 0.2, "use_responses_api": False}
    model = ModelConfig(name=f"openai:{name}", base_url=f"{server.url}/v1", parameters=parameters)
    bench.settings = {"model": model}
    done = bench.run()
    assert done.last["ok"], done.errors
    told = [each["text"] for each in done.of("text")]
    sentence = (
        f"Of the setting 'parameters', temperature: not sent to 'openai:{name}'; its package leaves that out."
    )
    assert (server.requests[0].body.get("temperature"), told) == ((0.2, []) if sent else (None, [sentence]))


# Errors -----------------------------------------------------------------------------------------------


NO_MONEY = {
    "message": "You exceeded your current quota, please check your plan and billing details.",
    "type": "insufficient_quota",
    "param": None,
    "code": "insufficient_quota",
}
STAYING = (
    (Fault(401, "bad key"), "authentication", 1),
    (Fault(403, "no access"), "authentication", 1),
    (Fault(429, NO_MONEY["message"], body={"error": NO_MONEY}), "authentication", 1),
    (Fault(402, "pay first"), "authentication", 1),
    (Fault(400, "Your credit balance is too low to access the API."), "authentication", 1),
    (Fault(404, "no such model"), "invalid", 1),
    (Fault(400, "odd"), "invalid", 1),
    (Fault(408, "too slow"), "unavailable", 2),
    (Fault(409, "busy"), "unavailable", 2),
    (Fault(500, "broken"), "unavailable", 2),
    (Fault(529, "overloaded"), "unavailable", 2),
    (Drop(), "unavailable", 2),
    (Drop(Reply("half of an answer")), "unavailable", 2),
    (Reply("I won't.", refused=True), "refused", 1),
    (Fault(402, "spent", {"x-shiftwork-refused": "budget"}), None, 1),
    (Fault(403, "not this one", {"x-shiftwork-refused": "model"}), "invalid", 1),
)
"""What a server answers again and again, the kind of problem that it is, and how often it is asked.

That is once, or once more where asking again may help; the SDKs, if they asked again too, would ask more.
"""


def test_every_trouble_that_stays_is_documented():
    """Otherwise people could not look up what becomes of their project when a provider fails."""
    rows = table(DOCUMENT, "Trouble")
    ends = {end for _, how in rows for end in re.findall(r"`(\w+)`", f"`{how}`")}
    assert {problem.value for problem in Problem} | {"rate_limited"} <= ends
    for trouble, problem, _ in STAYING:
        if isinstance(trouble, Fault) and not trouble.headers:
            status = "5xx" if trouble.status >= 500 else str(trouble.status)
            said = NO_MONEY["code"] if trouble.body else status
            assert [what for what, how in rows if said in what and str(problem) in how], trouble


def test_trouble_that_stays_ends_the_run_and_says_of_which_kind(serve, wire, tmp_path):
    """Otherwise a wrong key would cost attempts, or an outage would block a feature."""
    started = []
    for number, (trouble, problem, times) in enumerate(STAYING):
        folder = tmp_path / str(number)
        folder.mkdir()
        bench, server = serve(in_order(trouble), folder, wire=wire, settings={"max_retries": 1})
        started.append((trouble, problem, times, server, bench.start()))
    for trouble, problem, times, server, running in started:
        done = running.wait()
        assert (done.last["kind"], done.last["ok"], done.status) == ("finished", False, 1), done.errors
        assert done.last.get("problem") == problem, (trouble, done.last)
        assert getattr(trouble, "message", "") in done.last["text"]
        assert len(server.requests) == times, f"{trouble}: one layer asks again, and no other"


def test_trouble_that_passes_is_borne(serve, wire):
    """Otherwise every hiccup of a provider would end a session."""
    script = in_order(
        Fault(429, "slow down", {"retry-after": "0"}),
        Fault(500),
        Drop(),
        Drop(Reply("half of an ans")),
        Fault(529, "overloaded"),
        Reply("", (HAND_OVER,)),
    )
    bench, server = serve(script, wire=wire)
    done = bench.run()
    assert done.last["ok"], done.errors
    assert len(server.turns) == 6


@pytest.mark.parametrize("streaming", [True, False])
def test_an_answer_at_which_its_provider_failed_is_none(serve, streaming):
    """Otherwise a tool would be called with what a provider that broke down had got to."""
    failed = Reply("half", (("execute", {"command": "touch made"}),), failed=True)
    bench, server = serve(
        in_order(failed, Reply("", (HAND_OVER,))), wire="openai", settings={"streaming": streaming}
    )
    done = bench.run()
    assert done.last["ok"], done.errors
    assert [turn.tool_results for turn in server.turns] == [(), ()]


def test_a_long_limit_is_handed_to_the_harness(serve, wire):
    """Otherwise an agent would sleep for hours in a slot that others could use."""
    bench, server = serve(in_order(Fault(429, "tomorrow", {"retry-after": "7200"})), wire=wire)
    done = bench.run()
    assert done.last["kind"] == "rate_limited"
    until = datetime.fromisoformat(done.last["until"])
    assert 7000 < (until - datetime.now(UTC)).total_seconds() < 7300
    assert len(server.requests) == 1


LATER = {"retry-after": "7200"}
NEVER = {"retry-after": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}


@pytest.mark.parametrize(
    ("headers", "told"),
    [(LATER | {"retry-after-ms": "soon"}, True), (NEVER, False)],
    ids=["half readable", "beyond all years"],
)
def test_a_limit_is_one_however_its_end_is_written(serve, wire, headers, told):
    """Otherwise a header that nobody can read would end the agent, or hide the one that says when."""
    settings = {"max_retries": 1, "longest_wait": 1}
    bench, _ = serve(lambda _turn: Fault(429, "tomorrow", headers), wire=wire, settings=settings)
    done = bench.run()
    assert (done.last["kind"], "until" in done.last) == ("rate_limited", told), done.errors


def overflowing(wire):
    message = "prompt is too long: 210000 tokens > 200000 maximum"
    if wire == "openai":
        error = {"message": message, "type": "invalid_request_error", "code": "context_length_exceeded"}
        return Fault(400, body={"error": error})
    return Fault(400, message)


def test_a_conversation_that_is_too_long_is_summed_up(serve, wire):
    """Otherwise long work would end at the model's context."""
    answers = [
        *(Reply("", (("execute", {"command": f"echo step {number}"}),)) for number in range(6)),
        overflowing(wire),
        Reply("SUMMARY of six steps"),
        Reply("", (HAND_OVER,)),
    ]
    bench, server = serve(lambda turn: answers[turn.number - 1], wire=wire)
    done = bench.run()
    assert done.last["ok"], done.errors
    assert "step 0" in server.turns[7].user_text
    assert not server.turns[7].tools
    assert "SUMMARY of six steps" in server.turns[8].user_text
    assert "Do the task." in server.turns[8].user_text
    assert len(server.turns[8].tool_results) < 6


def test_what_can_not_be_shortened_is_a_limit(serve, wire):
    """Otherwise the agent would ask the same too long question for ever."""
    bench, server = serve(in_order(overflowing(wire)), wire=wire)
    done = bench.run()
    assert (done.last["ok"], done.last["problem"]) == (False, "limit"), done.errors
    assert len(server.turns) <= 6


def test_limits_of_turns_and_tokens(serve):
    """Otherwise a model that goes in circles would do so until the session's time is over."""
    script = in_order(Reply("", (("execute", {"command": "true"}),), Usage(100, 10)))
    bench, server = serve(script, settings={"max_turns": 3})
    done = bench.run()
    assert (done.last["problem"], len(server.turns)) == ("limit", 3), done.errors
    bench.settings = {"max_tokens": 150, "conversation": "c2"}
    done = bench.run()
    assert (done.last["problem"], len(server.turns)) == ("limit", 5), done.errors


# Tools ------------------------------------------------------------------------------------------------


def test_several_calls_at_once(serve, wire):
    """Otherwise models that call tools in parallel would get wrong or missing results."""
    calls = tuple(("execute", {"command": f"sleep 0.2; echo number {n}"}) for n in range(3))
    bench, server = serve(in_order(Reply("", calls), Reply("", (HAND_OVER,))), wire=wire)
    done = bench.run()
    assert done.last["ok"], done.errors
    results = server.turns[1].tool_results
    assert [f"number {n}" in result for n, result in enumerate(results)] == [True] * 3


def test_unknown_tools_and_wrong_arguments_are_told_and_end_at_last(serve, wire):
    """Otherwise one malformed call would end a session, or a confused model would go on for ever."""
    script = in_order(
        Reply("", (("no_such_tool", {"a": 1}),)),
        Reply("", (("read_file", {"wrong": 1}),)),
        Reply("", (("execute", {"command": "echo fine"}),)),
        Reply("", (("no_such_tool", {}),)),
    )
    bench, server = serve(script, wire=wire)
    done = bench.run()
    assert (done.last["ok"], done.last["problem"]) == (False, "limit"), done.errors
    assert "no_such_tool is not a valid tool" in server.turns[1].tool_results[0]
    assert "file_path" in server.turns[2].tool_results[1]
    assert len(server.turns) == 3 + 6


def test_a_sub_agent_does_a_part_of_the_work(serve, wire):
    """Otherwise the agent could not delegate, or its sub-agents would do as they like."""

    def script(turn):
        if "You are a helper" in turn.system_text:
            if turn.tool_results:
                return Reply("The answer is 42.")
            return Reply("", (("execute", {"command": "echo 42 > answer"}),))
        if turn.tool_results:
            return Reply("", (HAND_OVER,))
        return Reply("", (("task", {"description": "Find out.", "subagent_type": "research"}),))

    bench, server = serve(script, wire=wire)
    done = bench.run()
    assert done.last["ok"], done.errors
    assert (bench.workspace / "answer").read_text() == "42\n"
    assert "The answer is 42." in server.turns[3].tool_results[0]
    assert len(done.of("usage")) == 4
    helper = server.turns[1]
    assert "hand_over" not in helper.tools
    assert "record_decision" in helper.tools
    assert helper.user_text == "Find out."


def test_each_sub_agent_is_told_of_its_kind(serve, wire):
    """Otherwise what a project tells its specialists would not reach those that an agent calls for help."""
    kinds = {name: role for name, (_, role) in HELPERS.items()}
    assert set(kinds.values()) == {None, Role.SESSION, Role.RESEARCH, Role.TESTING, Role.DOCUMENTATION}
    todos = [{"content": f"ask {kind}", "status": "pending"} for kind in kinds]
    tasks = tuple(("task", {"description": kind, "subagent_type": kind}) for kind in kinds)
    calls = ((("write_todos", {"todos": todos}),), tasks, (HAND_OVER,))

    def script(turn):
        if "You are a helper" in turn.system_text:
            return Reply(f"{turn.user_text} is done.")
        return Reply("", calls[min(len(turn.tool_results), 2)])

    own = {Role.TESTING: "Write property tests only.", Role.SESSION: "Write everything in C."}
    bench, server = serve(script, wire=wire, prompts=own)
    done = bench.run()
    assert done.last["ok"], done.errors
    helpers = [turn for turn in server.turns if "You are a helper" in turn.system_text]
    assert {frozenset(turn.tools) for turn in helpers} == {frozenset(documented_tools("all"))}
    told = {turn.user_text: turn.system_text for turn in helpers}
    assert told.keys() == kinds.keys()
    for kind, role in kinds.items():
        wanted = prompt_for(role, own).text if role else "Find out what is asked"
        assert wanted in told[kind], kind
    assert "Write property tests only." in told["testing"]
    assert prompt_for(Role.TESTING, {}).text not in told["testing"]
    results = server.turns[-1].tool_results
    assert all(f"ask {kind}" in results[0] for kind in kinds)
    assert list(results[1:]) == [f"{kind} is done." for kind in kinds]


def test_arguments_that_are_no_json_are_told(serve):
    """Otherwise a cut-off call would be taken for the end of the work, or break the next question."""
    call = {"id": "c1", "type": "function", "function": {"name": "execute", "arguments": '{"comm'}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    body = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    script = in_order(Fault(200, body=body), Reply("", (HAND_OVER,)))
    bench, server = serve(script, wire="openai", settings={"streaming": False})
    done = bench.run()
    assert done.last["ok"], done.errors
    assert "not valid JSON" in server.turns[1].tool_results[0]
    assert len(server.turns) == 2


TOOLS = '''
from langchain_core.tools import tool

@tool
def double(number: int) -> str:
    """Double a number."""
    print("noise on standard output")
    return str(2 * number)

def several():
    return [double]

def broken():
    raise ValueError("no database")
'''

MCP_SERVER = '''
from mcp.server.fastmcp import FastMCP

server = FastMCP("shop")

@server.tool()
def price(thing: str) -> str:
    """What a thing costs."""
    return f"{thing}: 7"

server.run()
'''


def test_tools_of_a_person_and_of_an_mcp_server(serve, tmp_path):
    """Otherwise an agent could have no tools but ours."""
    (tmp_path / "mine.py").write_text(TOOLS)
    (tmp_path / "shop.py").write_text(MCP_SERVER)
    calls = (("double", {"number": 21}), ("price", {"thing": "tea"}))
    bench, server = serve(
        in_order(Reply("", calls), Fault(401), Reply("", (HAND_OVER,))),
        settings={
            "python_path": [str(tmp_path)],
            "tools": ["mine:several"],
            "mcp_servers": {"shop": {"command": sys.executable, "args": [str(tmp_path / "shop.py")]}},
        },
    )
    done = bench.run()
    assert done.last["problem"] == "authentication", done.errors
    assert server.turns[1].tool_results == ("42", "tea: 7")
    assert "noise on standard output" in done.errors
    assert bench.run().last["ok"]


CLASHING = """
from langchain_core.tools import StructuredTool

buy = StructuredTool.from_function(lambda: "bought", name="shop.buy", description="Buy.")
ls = StructuredTool.from_function(lambda: "nothing", name="ls", description="List nothing.")
"""

CLASHING_SERVER = """
import sys
from mcp.server.fastmcp import FastMCP

server = FastMCP(sys.argv[1])

@server.tool()
def search() -> str:
    return sys.argv[1] + " searched"

@server.tool()
def read_file() -> str:
    return sys.argv[1] + " read"

server.run()
"""


def test_tools_of_others_have_names_that_are_taken_and_their_own(serve, wire, tmp_path):
    """Otherwise one name would have every question refused, or another's tool called in its place."""
    (tmp_path / "clashing.py").write_text(CLASHING)
    (tmp_path / "server.py").write_text(CLASHING_SERVER)
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "own.txt").write_text("the agent's own")
    calls = (
        ("shop_buy", {}),
        ("one_search", {}),
        ("two_search", {}),
        ("two_read_file", {}),
        ("read_file", {"file_path": "own.txt"}),
    )
    servers = {
        name: {"command": sys.executable, "args": [str(tmp_path / "server.py"), name]}
        for name in ("one", "two")
    }
    bench, server = serve(
        in_order(Reply("", calls), Reply("", (HAND_OVER,))),
        wire=wire,
        settings={"python_path": [str(tmp_path)], "tools": ["clashing:buy"], "mcp_servers": servers},
    )
    done = bench.run()
    assert done.last["ok"], done.errors
    *others, own = server.turns[1].tool_results
    assert others == ["bought", "one searched", "two searched", "two read"]
    assert "the agent's own" in own


def documented_tools(*audiences):
    """The names of the tools that these have, as the document says."""
    rows = table(DOCUMENT, "Tools")
    return {name for names, of, _ in rows if of in audiences for name in re.findall(r"[\w]+", names)}


@pytest.mark.parametrize("role", [Role.SESSION, Role.INITIALIZER, Role.VERIFIER])
def test_the_names_of_our_own_tools_are_known(serve, role):
    """Otherwise a tool of somebody else's could take the place of one that we forgot."""
    bench, server = serve(in_order(Fault(401)), role=role)
    bench.run()
    assert {"read_file", "task", "hand_over"} <= set(server.turns[0].tools) <= OWN_NAMES
    assert set(server.turns[0].tools) == documented_tools("all", "all but sub-agents", role.value)


LARGE = """
import time
from langchain_core.tools import tool

@tool
def blocks() -> list:
    'Two blocks.'
    return [{"type": "text", "text": "first " + "y" * 600000}, {"type": "text", "text": "last"}]

@tool
def hang() -> str:
    'Never ends.'
    time.sleep(30)
    return ""
"""

HANGING = MCP_SERVER.replace('return f"{thing}: 7"', "import time; time.sleep(30)")


def test_results_of_parts_are_shortened_and_tools_that_hang_given_up(serve, tmp_path):
    """Otherwise one call of somebody's tool could fill the model's context, or hold the agent for ever."""
    (tmp_path / "large.py").write_text(LARGE)
    (tmp_path / "shop.py").write_text(HANGING)
    calls = (("blocks", {}), ("hang", {}), ("price", {"thing": "tea"}))
    bench, server = serve(
        in_order(Reply("", calls), Reply("", (HAND_OVER,))),
        settings={
            "python_path": [str(tmp_path)],
            "tools": ["large:blocks", "large:hang"],
            "mcp_servers": {"shop": {"command": sys.executable, "args": [str(tmp_path / "shop.py")]}},
            "command_timeout": 0.5,
        },
    )
    done = bench.run()
    assert done.last["ok"], done.errors
    blocks, *given_up = server.turns[1].tool_results
    assert len(blocks) < 50_000
    assert "first" in blocks
    assert blocks.endswith("last")
    assert ["too long" in each for each in given_up] == [True, True]


def test_a_tool_that_can_not_be_used_is_named(serve, tmp_path):
    """Otherwise the agent would work without it, and nobody would know."""
    (tmp_path / "mine.py").write_text(TOOLS)
    (tmp_path / "clashing.py").write_text(CLASHING)
    bench, server = serve(in_order(Reply("")))
    for settings, sentence in (
        ({"tools": ["mine:absent"]}, "'mine:absent' can't be used"),
        ({"tools": ["mine:broken"]}, "no database"),
        ({"tools": ["clashing:ls"]}, "'clashing:ls' is called 'ls', as one of the agent's own is"),
        ({"mcp_servers": {"shop": {"command": "/no/such"}}}, "'shop' can't be used"),
        ({"mcp_servers": {"shop": {"command": "false"}}}, "'shop' can't be used"),
    ):
        bench.settings = {"python_path": [str(tmp_path)], **settings}
        done = bench.run()
        assert (done.last["ok"], done.last.get("problem")) == (False, "invalid"), done.errors
        assert sentence in done.last["text"]
    assert not server.turns


# The outbox -------------------------------------------------------------------------------------------


def feature(name, **more):
    step = {"description": "it works", "command": "test -e made"}
    return {"name": name, "category": "functional", "priority": 5, "verification_steps": [step], **more}


def test_a_plan_is_mended_until_it_is_right(serve, wire):
    """Otherwise a plan with a mistake would cost the whole planning session."""
    bad = [
        feature("one", depends_on=["three"]),
        feature("two", verification_steps=["it looks nice"]),
        feature("x", priority=11),
    ]
    script = in_order(
        Reply("", (("add_features", {"features": bad}),)),
        Reply("", (("finish_plan", {}),)),
        Reply("", (("add_features", {"features": [feature("two"), feature("three", depends_on=["one"])]}),)),
        Reply("", (("finish_plan", {}),)),
        Reply("", (("add_features", {"features": [feature("three")]}),)),
        Reply("", (("finish_plan", {}),)),
        Reply("", (("hand_over", {"summary": "planned"}),)),
    )
    bench, server = serve(script, wire=wire, role=Role.INITIALIZER, spec="Make three things.")
    done = bench.run()
    assert done.last["ok"], done.errors
    told = server.turns[6].tool_results
    assert "feature 'two', step 1 has no command" in told[0]
    assert "feature 'x': priority: Input should be less than or equal to 10" in told[0]
    assert "feature 'one' depends on 'three', which is not in the plan" in told[1]
    assert "one → three → one" in told[3] or "three → one → three" in told[3]
    assert [f["name"] for f in bench.left("plan.json")["features"]] == ["one", "two", "three"]


def test_a_plan_is_made_of_what_the_code_says(serve, wire):
    """Otherwise plans for existing code would be made without having seen any of it."""

    def script(turn):
        match turn.tool_results:
            case []:
                return Reply("", (("ls", {"path": "."}), ("read_file", {"file_path": "README.md"})))
            case [listed, told]:
                assert "check.sh" in listed
                [how] = re.findall(r"Check it by `(.*?)`", told)
                step = {"description": "as the README says", "command": how}
                planned = {"features": [feature("more", verification_steps=[step])]}
                return Reply("", (("add_features", planned),))
            case [_, _, _]:
                return Reply("", (("finish_plan", {}),))
            case _:
                return Reply("", (HAND_OVER,))

    bench, _ = serve(script, wire=wire, role=Role.INITIALIZER, spec="Go on with it.")
    (bench.workspace / "README.md").write_text("# Old code\n\nCheck it by `sh check.sh --all`.\n")
    (bench.workspace / "check.sh").write_text("exit 1\n")
    done = bench.run()
    assert done.last["ok"], done.errors
    [planned] = bench.left("plan.json")["features"]
    assert planned["verification_steps"][0]["command"] == "sh check.sh --all"


def test_an_initializer_without_a_plan_fails_after_two_reminders(serve):
    """Otherwise planning would seem done without a plan."""
    bench, server = serve(in_order(Reply("I planned it.")), role=Role.INITIALIZER, spec="x")
    done = bench.run()
    assert (done.last["ok"], len(server.turns)) == (False, 3), done.errors
    assert "did not leave the plan" in done.last["text"]


@pytest.mark.parametrize("form", ["{}", "Here is the plan:\n\n```json\n{}\n```\nIt is small."])
def test_a_plan_in_prose_is_taken_in_and_mended(serve, wire, form):
    """Otherwise a small model that writes its plan, and calls no tool, could never plan anything."""
    bad = {"features": [feature("one"), feature("two", verification_steps=[])]}
    replies = [Reply(form.format(json.dumps(part))) for part in (bad, {"features": [feature("two")]})]
    bench, server = serve(in_order(*replies), wire=wire, role=Role.INITIALIZER, spec="Make two things.")
    done = bench.run()
    assert (done.last["ok"], len(server.turns)) == (True, 2), done.errors
    assert "feature 'two' has no verification steps" in server.turns[1].user_text
    assert [f["name"] for f in bench.left("plan.json")["features"]] == ["one", "two"]


def test_one_can_not_hand_over_without_what_the_role_is_for(serve, wire):
    """Otherwise a verifier that hands over too early would cost a session, and each later run of it too."""
    verdict = ("give_verdict", {"step": 1, "met": False, "reason": "no"})
    script = in_order(*[Reply("", (HAND_OVER,))] * 4, Reply("", (verdict,)), Reply("", (HAND_OVER,)))
    steps = (VerificationStep(description="it is pretty"),)
    bench, server = serve(script, wire=wire, role=Role.VERIFIER, steps=steps)
    done = bench.run()
    assert (done.last["ok"], len(server.turns)) == (False, 3), done.errors
    assert "not done your work" in server.turns[1].tool_results[0]
    done = bench.run()
    assert (done.last["ok"], len(server.turns)) == (True, 6), done.errors
    assert bench.left("verdict.json")["steps"][0]["reason"] == "no"


def test_the_last_words_become_the_handover(serve):
    """Otherwise a model that forgets to hand over would leave the next session nothing."""
    bench, server = serve(in_order(Reply("I made the thing.")))
    done = bench.run()
    assert (done.last["ok"], len(server.turns)) == (True, 2), done.errors
    assert bench.left("handoff.json") == {"summary": "I made the thing."}


def test_a_person_is_asked(serve, wire):
    """Otherwise the agent would guess where only a person knows."""
    bench, server = serve(in_order(Reply("", (("ask_person", {"question": "Which?"}),))), wire=wire)
    done = bench.run()
    assert done.last == {"kind": "question", "text": "Which?"}, done.errors
    assert bench.left("question.json") == {"question": "Which?"}
    assert len(server.turns) == 1


def test_a_verifier_gives_its_word_on_its_own_steps(serve, wire):
    """Otherwise a verdict could speak of steps that the harness checks, or be given without evidence."""
    steps = (
        VerificationStep(description="by command", command="true"),
        VerificationStep(description="it is pretty"),
        VerificationStep(description="it is quick"),
    )
    evidence = {"command": "grep -q pretty page.html", "expect_status": 0}
    script = in_order(
        Reply("", (("give_verdict", {"step": 1, "met": True, **evidence}),)),
        Reply("", (("give_verdict", {"step": 2, "met": True}),)),
        Reply("", (("give_verdict", {"step": 2, "met": True, **evidence, "expect_status": 256}),)),
        Reply("", (("give_verdict", {"step": 2, "met": True, **evidence}),)),
        Reply("", (("give_verdict", {"step": 3, "met": False, "reason": "it takes a minute"}),)),
        Reply("", (HAND_OVER,)),
    )
    bench, server = serve(script, wire=wire, role=Role.VERIFIER, steps=steps)
    done = bench.run()
    assert done.last["ok"], done.errors
    told = server.turns[5].tool_results
    assert ["not yours" in told[0], "needs a `command`" in told[1]] == [True, True]
    assert "no command ends with the exit status 256" in told[2]
    assert "Still to judge: 3" in told[3]
    verdict = bench.left("verdict.json")["steps"]
    assert [(step["step"], step["met"]) for step in verdict] == [(2, True), (3, False)]


STRAY = """
import os, sys, time
end = time.time() + 20
while time.time() < end:
    with open(sys.argv[1] + "/x", "w") as file:
        file.write("bought")
    try:
        os.replace(sys.argv[1] + "/x", sys.argv[1] + "/verdict.json")
    except OSError:
        pass
"""


def test_what_a_verifiers_commands_leave_running_does_not_write_its_verdict(serve, tmp_path):
    """Otherwise judged code could judge itself, from a process that outlives the command it came with."""
    steps = (VerificationStep(description="it is pretty"),)
    (tmp_path / "stray.py").write_text(STRAY)
    verdict = f"{tmp_path}/outbox/verdict.json"
    command = f"python3 {tmp_path}/stray.py {tmp_path}/outbox & until test -e {verdict}; do sleep 0.1; done"
    (tmp_path / "start.sh").write_text(f"setsid {command}")
    script = in_order(
        Reply("", (("execute", {"command": f"bash {tmp_path}/start.sh"}),)),
        Reply("", (("give_verdict", {"step": 1, "met": False, "reason": "it is not"}),)),
        Reply("", (HAND_OVER,)),
    )
    bench, server = serve(script, role=Role.VERIFIER, steps=steps)
    done = bench.run()
    time.sleep(0.1)
    assert done.last["ok"], done.errors
    assert "succeeded" in server.turns[1].tool_results[0]
    assert [step["met"] for step in bench.left("verdict.json")["steps"]] == [False]
    assert vetoes_in(done.of("text")[-1]["text"]) == ("step 1: it is not",)
    assert sorted(path.name for path in bench.outbox.iterdir()) == ["handoff.json", "verdict.json"]


def test_commands_are_not_told_where_the_program_reads_and_writes(serve):
    """Otherwise any script that a command starts could write the outbox or the state by an accident."""
    show = 'env | grep -E "^(SHIFTWORK_|HOME=)"; touch "$HOME/x" && echo writable'
    bench, server = serve(in_order(Reply("", (("execute", {"command": show}),)), Reply("", (HAND_OVER,))))
    assert bench.run().last["ok"]
    told = server.turns[1].tool_results[0]
    assert "SHIFTWORK_" not in told
    assert str(bench.home) not in told
    assert "writable" in told
    home = told.partition("HOME=")[2].split()[0]
    assert not os.path.exists(home)  # noqa: PTH110 - a name out of a text


@pytest.mark.parametrize("command", ["true", "exit 0", "echo 'all is well'"])
def test_evidence_that_can_not_fail_is_refused(serve, command):
    """Otherwise a verifier could say anything of a step, and the harness would find it shown."""
    said = {"step": 1, "met": True, "command": command}
    bench, server = serve(
        in_order(Reply("", (("give_verdict", said),)), Reply("Done.")),
        role=Role.VERIFIER,
        steps=(VerificationStep(description="it is pretty"),),
    )
    assert not bench.run().last["ok"]
    assert "comes out alike" in server.turns[1].tool_results[0]
    assert not list(bench.outbox.iterdir())


# Kills ------------------------------------------------------------------------------------------------


def test_a_run_killed_at_any_answer_goes_on_without_asking_twice(serve, wire):
    """Otherwise each crash would pay for the whole conversation again."""
    work = [
        Reply("", (("execute", {"command": "echo 1 >> log"}),)),
        Reply("", (("record_decision", {"decision": "use tabs"}),)),
        Reply("", (("task", {"description": "sub", "subagent_type": "code"}),)),
        Reply("", (("execute", {"command": "echo 2 >> log"}),)),  # of the sub-agent
        Reply("", (("execute", {"command": "echo 3 >> log"}),)),  # of the sub-agent
        Reply("sub done"),
        Reply("", (HAND_OVER,)),
    ]
    hanging = dict.fromkeys(range(len(work)), True)
    position = {"next": 0}

    def script(turn):
        number = position["next"]
        if hanging.pop(number, False):
            return Hang()
        position["next"] += 1
        return work[number]

    bench, server = serve(script, wire=wire)
    for number in range(len(work)):
        running = bench.start()
        asked = 2 * number + 1
        deadline = time.monotonic() + 100
        while len(server.turns) < asked:
            assert time.monotonic() < deadline, running.kill()
            time.sleep(0.01)
        done = running.kill()
        assert not done.of("finished"), done.events
        assert len(server.turns) == asked
        if number == 2:
            (bench.outbox / "decisions.jsonl").unlink()  # Each attempt has an outbox of its own.
    done = bench.run()
    assert done.last == {"kind": "finished", "ok": True, "text": "all done"}, done.errors
    assert done.events[0]["data"] == {"resumed": True}
    assert len(server.turns) == 2 * len(work)
    assert (bench.workspace / "log").read_text() == "1\n2\n3\n"
    assert bench.left("decisions.jsonl") == [{"decision": "use tabs"}]


def test_a_call_that_was_interrupted_is_not_repeated(serve, wire):
    """Otherwise a command that had its effect before a crash would have it twice."""
    calls = (
        ("execute", {"command": "echo quick >> log"}),
        ("execute", {"command": "echo slow >> log; echo $$ > begun; exec sleep 60"}),
    )
    bench, server = serve(in_order(Reply("", calls), Reply("", (HAND_OVER,))), wire=wire)
    running = bench.start()
    running.until(lambda events: len([e for e in events if e["kind"] == "tool_result"]) == 1)
    deadline = time.monotonic() + 100
    while not (bench.workspace / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.1)
    running.kill()
    os.kill(int((bench.workspace / "begun").read_text()), signal.SIGKILL)  # A sandbox ends it with the rest.
    done = bench.run()
    assert done.last["ok"], done.errors
    results = server.turns[1].tool_results
    assert "interrupted" in results[1]
    assert "interrupted" not in results[0]
    assert sorted((bench.workspace / "log").read_text().split()) == ["quick", "slow"]
    assert len(server.turns) == 2


@pytest.mark.parametrize("when", ["answered", "handed over"])
def test_what_was_handed_over_without_its_files_is_not(serve, wire, when):
    """Otherwise the loss of a machine would cost a feature one of its attempts."""
    made = ("execute", {"command": "echo done > a.txt"})
    slow = ("execute", {"command": "sleep 60"})
    last = (slow, HAND_OVER) if when == "answered" else (HAND_OVER,)
    answers = [Reply("", (made,)), Reply("", last), Reply("", (made,)), Reply("", (HAND_OVER,))]
    bench, server = serve(in_order(*answers), wire=wire)
    running = bench.start()
    if when == "answered":
        running.until(lambda events: len([e for e in events if e["kind"] == "tool_use"]) > 1)
        running.kill()
    else:
        assert running.wait().last["ok"]
        (bench.outbox / "handoff.json").unlink()
    (bench.workspace / "a.txt").unlink()
    bench.settings["files_lost"], bench.prompt = True, "Your files were lost."
    done = bench.run()
    assert done.last["ok"], done.errors
    assert len(server.turns) == 4
    assert server.turns[2].user_text.count("Your files were lost.") == 1
    assert (bench.workspace / "a.txt").read_text() == "done\n"
    assert bench.left("handoff.json")["summary"] == "all done"


def test_a_run_that_goes_on_is_told_what_is_new(serve, wire):
    """Otherwise the agent would not know that its files were lost, or what a person answered."""
    answers = [
        Reply("", (("execute", {"command": "echo 1"}),)),
        Hang(),
        Reply("", (("ask_person", {"question": "Which?"}),)),
        Reply("", (HAND_OVER,)),
    ]
    bench, server = serve(lambda turn: answers[turn.number - 1], wire=wire)
    running = bench.start()
    deadline = time.monotonic() + 100
    while len(server.turns) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    running.kill()
    bench.prompt = "Your files are lost."
    assert bench.run().last["kind"] == "question"
    assert server.turns[2].user_text.count("Your files are lost.") == 1
    bench.prompt = "The answer is: this one."
    done = bench.run()
    assert done.last["ok"], done.errors
    assert server.turns[3].user_text.endswith("The answer is: this one.")
    assert len(server.turns) == 4
    assert not (bench.outbox / "question.json").exists()


def test_a_state_that_can_not_be_used_is_told_and_left(serve):
    """Otherwise a damaged file, or one of another conversation, would end or confuse every later attempt."""
    bench, server = serve(in_order(Reply("", (HAND_OVER,))))
    state = bench.home / "langchain.state"
    for damage in (b"\x00nonsense", b""):
        state.write_bytes(damage)
        done = bench.run()
        assert done.last["ok"], done.errors
        assert "Begun anew" in done.of("text")[0]["text"]
    bench.settings = {"conversation": "another"}
    done = bench.run()
    assert done.last["ok"], done.errors
    assert "another conversation" in done.of("text")[0]["text"]
    assert len(server.turns) == 3


def test_it_ends_when_told_to(serve):
    """Otherwise stopping a worker would lose what its agents did."""
    script = in_order(Reply("", (("execute", {"command": "touch begun; sleep 250 & sleep 250"}),)))
    bench, _ = serve(script)
    running = bench.start()
    running.until(lambda events: any(event["kind"] == "tool_use" for event in events))
    while not (bench.workspace / "begun").exists():
        time.sleep(0.01)
    began = time.monotonic()
    os.kill(running.pid, signal.SIGTERM)
    done = running.wait()
    assert time.monotonic() - began < 200
    assert done.status == 128 + signal.SIGTERM
    assert not done.of("finished")
    ours = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    assert str(bench.workspace) not in ours
    assert json.dumps(done.events)


def test_the_program_starts_as_the_backend_starts_it(serve):
    """Otherwise it would only work where its packages are loaded already."""
    bench, _ = serve(in_order(Reply("", (HAND_OVER,))))
    argv = [sys.executable, "-P", "-m", "shiftwork.agents.langchain"]
    began = time.monotonic()
    done = subprocess.run(
        argv,
        cwd=bench.workspace,
        env=bench.variables(),
        input="Do.",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["ok"]
    print(f"a whole run, from a cold start: {time.monotonic() - began:.1f} s")
