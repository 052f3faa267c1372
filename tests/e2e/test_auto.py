"""Long requests become projects, short ones are answered."""

import asyncio
import math
import subprocess
import sys
import threading
import uuid
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from langchain_openai import ChatOpenAI

from client import AutoHarnessWrapper, LongRunningHarness, SyncLongRunningHarness, create_auto_wrapper
from client.api import Shiftwork
from client.auto import project_name
from shiftwork.errors import InvalidInput, ModelFailed
from shiftwork.specifications import MOST_BYTES
from tests.e2e.support import (
    quick_environment,
    quick_settings,
    scripted,
    simple_attempt,
    simple_feature,
    write_cassette,
)
from tests.llm.script import Fault, Reply, in_order
from tests.llm.server import LlmServer


@pytest.fixture
def settings(stack, shared_worker):
    """A stack with a worker."""
    return quick_settings(stack.state)


LONG = "Build a command line tool, {}, with import, export, search, tests and documentation"


def test_a_short_request_is_answered_by_the_model() -> None:
    """A question that waits for a project, or for a stack that is not even there."""
    with LlmServer.in_thread(in_order(Reply("Paris."), Reply("Rome."))) as server:
        url = f"{server.url}/v1"
        model = ChatOpenAI(model="m", base_url=url, api_key="k", max_retries=0)
        wrapper = create_auto_wrapper(model)
        assert not wrapper.should_wrap("What is the capital of France?")
        assert wrapper.wrap_and_execute("What is the capital of France?") == {"response": "ok"}
        mapping = {"model": "openai:m", "base_url": url, "parameters": {"api_key": "k"}}
        assert asyncio.run(AutoHarnessWrapper(mapping).awrap_and_execute("And of Italy?")) == {
            "response": "ok"
        }
    assert wrapper.wrap_and_execute("hi", lambda prompt: {"response": prompt * 2}) == {"response": "hihi"}
    assert wrapper.get_current_project_id() is None


def test_short_requests_take_the_settings_of_the_agent(monkeypatch) -> None:
    """A form that does projects, and that a short request stumbles over, or asks with another's key."""
    monkeypatch.setenv("MY_KEY", "the-key-for-this")
    with LlmServer.in_thread(in_order(Reply("Paris."))) as server:
        own = {"provider": "openai", "base_url": f"{server.url}/v1", "model": "qwen3:32b"}
        keyed = {"model": "openai:m", "base_url": f"{server.url}/v1", "api_key": "MY_KEY"}
        for model in (own, keyed, {"backend": "langchain", "settings": keyed}):
            assert AutoHarnessWrapper(model).wrap_and_execute("hi")["response"]
    keys = [request.headers["authorization"] for request in server.requests]
    asked = list(zip([turn.body["model"] for turn in server.turns], keys, strict=True))
    assert asked == [("qwen3:32b", "Bearer none"), *[("m", "Bearer the-key-for-this")] * 2]


def test_what_a_short_request_lacks_is_said_in_one_sentence(monkeypatch) -> None:
    """A traceback of somebody else's package in the place of what to do."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("MY_KEY", "k")
    with pytest.raises(InvalidInput, match="set OPENAI_API_KEY"):
        AutoHarnessWrapper("openai:gpt-5").wrap_and_execute("hi")
    with pytest.raises(InvalidInput, match="the provider 'nope' is not known"):
        AutoHarnessWrapper({"model": "nope:m"}).wrap_and_execute("hi")
    with pytest.raises(InvalidInput, match="no setting 'modle'"):
        AutoHarnessWrapper({"modle": "openai:m"}).wrap_and_execute("hi")
    with pytest.raises(InvalidInput, match="'scripted' brings for itself alone: give execute_fn"):
        AutoHarnessWrapper({"backend": "scripted", "settings": {}}).wrap_and_execute("hi")
    with LlmServer.in_thread(lambda _: Fault(401, "no such key")) as server:
        keyed = {"model": "openai:m", "base_url": f"{server.url}/v1", "api_key": "MY_KEY"}
        with pytest.raises(ModelFailed, match="did not answer: no such key"):
            AutoHarnessWrapper(keyed).wrap_and_execute("hi")


def test_a_model_that_does_not_answer_is_told_by_our_own_error() -> None:
    """An error of a provider's package where a `ShiftworkError` is promised."""
    with LlmServer.in_thread(lambda _: Fault(401, "no such key")) as server:
        model = ChatOpenAI(model="m", base_url=f"{server.url}/v1", api_key="k", max_retries=0)
        with pytest.raises(ModelFailed, match="did not answer: no such key"):
            AutoHarnessWrapper(model).wrap_and_execute("hi")


def test_what_answers_short_requests_may_be_async_or_return_a_text() -> None:
    """A bare error of Python for a function that answers in another of the usual ways."""

    async def answers(prompt: str) -> str:
        await asyncio.sleep(0)
        return prompt * 2

    wrapper = AutoHarnessWrapper(object())
    assert wrapper.wrap_and_execute("hi", lambda prompt: prompt) == {"response": "hi"}
    for function in (answers, lambda prompt: answers(prompt=prompt), lambda prompt: {"response": prompt * 2}):
        assert asyncio.run(wrapper.awrap_and_execute("hi", function)) == {"response": "hihi"}
    with pytest.raises(InvalidInput, match="execute_fn is async: call awrap_and_execute"):
        wrapper.wrap_and_execute("hi", answers)
    with pytest.raises(InvalidInput, match="execute_fn returned an object of type 'int'; return the answer"):
        wrapper.wrap_and_execute("hi", len)
    with pytest.raises(InvalidInput, match="execute_fn is an object of type 'str'; give a function"):
        wrapper.wrap_and_execute("hi", "answer")
    for mapping in ({}, {"answer": "hi"}, {"response": None}):
        with pytest.raises(InvalidInput, match="a mapping without a text under 'response'"):
            wrapper.wrap_and_execute("hi", lambda _, mapping=mapping: mapping)
    for prompt in (None, 5, ["hi"]):
        with pytest.raises(InvalidInput, match=r"prompt is an object of type .*; give the request as a text"):
            wrapper.wrap_and_execute(prompt)
        with pytest.raises(InvalidInput, match="prompt is an object of type"):
            asyncio.run(wrapper.awrap_and_execute(prompt, answers))


@pytest.mark.parametrize(
    ("options", "what"),
    [
        *(({"threshold": value}, "threshold") for value in (None, "x", math.nan, math.inf, -1, 2, True)),
        *(({"max_sessions": value}, "max_sessions") for value in (0, -1, "x", 1.5, True)),
        ({"on_progress": "x"}, "on_progress"),
        *(({"harness": value}, "harness") for value in ("x", 5, LongRunningHarness)),
    ],
    ids=str,
)
def test_a_wrapper_that_could_not_work_is_not_made(options, what) -> None:
    """A project that is made and planned before it shows that its limits can't be used."""
    with pytest.raises(InvalidInput, match=f"^{what} is .*; give a"):
        AutoHarnessWrapper("openai:gpt-5", **options)
    AutoHarnessWrapper("openai:gpt-5", threshold=1, max_sessions=1, on_progress=print)


class Answers:
    async def __call__(self, prompt: str) -> str:
        return prompt


@pytest.mark.parametrize(
    ("function", "why"),
    [
        ("x", "is an object of type 'str'; give a function"),
        (lambda: "x", r"can't be called with the prompt alone: too many positional arguments; give"),
        (
            lambda prompt, more: prompt + more,
            r"can't be called with .*: missing a required argument: 'more'; give",
        ),
        (lambda *, prompt: prompt, "can't be called with the prompt alone: "),
    ],
)
def test_a_function_that_can_not_answer_is_refused_at_once(function, why) -> None:
    """A bare error of Python, or one that shows only once there is a short request to answer."""
    wrapper = AutoHarnessWrapper(object())
    for prompt in ("hi", LONG.format("x")):
        with pytest.raises(InvalidInput, match=f"^execute_fn {why}"):
            wrapper.wrap_and_execute(prompt, function)
        with pytest.raises(InvalidInput, match=f"^execute_fn {why}"):
            asyncio.run(wrapper.awrap_and_execute(prompt, function))


def test_an_async_function_is_not_called_where_nobody_waits_for_it() -> None:
    """Half of an answer: the function was called, and what it gave is thrown away."""
    wrapper = AutoHarnessWrapper(object())
    for prompt in ("hi", LONG.format("x")):
        for function in (Answers(), Answers().__call__, partial(Answers().__call__)):
            with pytest.raises(InvalidInput, match=r"^execute_fn is async: call awrap_and_execute"):
                wrapper.wrap_and_execute(prompt, function)
    for function in (Answers(), partial(Answers().__call__), str):
        assert asyncio.run(wrapper.awrap_and_execute("hi", function)) == {"response": "hi"}


@pytest.mark.parametrize("where", ["a\0b", Path("a\0b"), "\ud800", "~nobody-has-this-name/x"])
def test_a_path_that_none_can_be_is_refused_at_once(where) -> None:
    """A bare error of Python, after a model was asked or a project made."""
    wrapper = AutoHarnessWrapper(object())
    for prompt in ("hi", LONG.format("x")):
        with pytest.raises(
            InvalidInput, match=r"^working_directory (holds|is) .*(remove it|no such home folder)"
        ):
            wrapper.wrap_and_execute(prompt, str, where)
        with pytest.raises(InvalidInput, match=r"^working_directory"):
            asyncio.run(wrapper.awrap_and_execute(prompt, str, where))


@pytest.mark.parametrize("where", [5, "", b"x", ["x"]])
def test_a_folder_that_is_none_is_refused_at_once(where) -> None:
    """A traceback of Python's own, or a project in a folder that nobody named."""
    wrapper = AutoHarnessWrapper(object())
    for prompt in ("hi", LONG.format("x")):
        with pytest.raises(InvalidInput, match=r"^working_directory is .*; give the path of a folder"):
            wrapper.wrap_and_execute(prompt, str, where)
        with pytest.raises(InvalidInput, match=r"^working_directory is"):
            asyncio.run(wrapper.awrap_and_execute(prompt, str, where))


def test_a_long_request_becomes_a_project(settings, tmp_path, caplog) -> None:
    """A task of days that is squeezed into one answer."""
    cassette = write_cassette(tmp_path / "c.yml", [simple_feature("x")], {"x": [simple_attempt("x")]})
    told: list[tuple[str, str, float]] = []

    def tell(*facts: Any) -> None:
        told.append(facts)
        raise ValueError(f"nobody reads {facts[1]}")

    prompt = LONG.format(uuid.uuid4().hex[:8])
    with SyncLongRunningHarness(
        agent="scripted", agent_settings={"cassette": cassette}, options=scripted(cassette), settings=settings
    ) as harness:
        wrapper = AutoHarnessWrapper(object(), tell, harness=harness)
        result = wrapper.wrap_and_execute(prompt, working_directory=tmp_path / "product")
        again = wrapper.wrap_and_execute(prompt)
    assert (result["status"], result["features_passing"], result["task_count"]) == ("completed", 1, 1)
    assert result["task_type"] == "coding_project"
    assert "1 of 1 features" in result["response"]
    assert (tmp_path / "product" / "x.txt").read_text() == "done\n"
    assert wrapper.get_current_project_id() == again["project_id"] != result["project_id"]
    assert told[1] == ("x", "passing", 1.0)
    assert "on_progress failed when told that 'x' is passing." in caplog.text


ASKS = """
import sys
from client import AutoHarnessWrapper, SyncLongRunningHarness
cassette, prompt = sys.argv[1:]
harness = SyncLongRunningHarness(agent="scripted", agent_settings={"cassette": cassette})
wrapper = AutoHarnessWrapper(
    object(), lambda task, status, share: print(status, flush=True), harness=harness, max_sessions=1
)
wrapper.wrap_and_execute(prompt)
"""


def test_a_project_goes_on_when_its_caller_is_killed(settings, stack, tmp_path) -> None:
    """A project that rests for good, not even planned, because whoever asked for it was killed."""
    cassette = write_cassette(
        tmp_path / "c.yml",
        [simple_feature("x"), simple_feature("y", "x")],
        {name: [simple_attempt(name)] for name in "xy"},
    )
    prompt = LONG.format(uuid.uuid4().hex[:8])
    asks = [sys.executable, "-P", "-c", ASKS, str(cassette), prompt]
    environment = quick_environment(stack.state)
    with subprocess.Popen(asks, env=environment, stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdout is not None
        assert caller.stdout.readline() == "created\n"
        caller.kill()
    with SyncLongRunningHarness(settings=settings) as harness:
        name = project_name(prompt)
        first = harness.wait_project(name)
        assert (first["status"], first["features_passing"]) == ("paused", 1)
        assert first["reason"].startswith("max_sessions (1) reached")
        assert harness.run_until_complete(name)["features_passing"] == 2
        assert harness.wait_project(name)["status"] == "completed"


def test_a_project_whose_maker_did_not_start_it_is_started_by_who_waits(settings, tmp_path) -> None:
    """A wait without an end for a project whose maker was killed before it could start it."""
    cassette = write_cassette(tmp_path / "c.yml", [simple_feature("x")], {"x": [simple_attempt("x")]})
    name = uuid.uuid4().hex

    async def only_rows() -> None:
        async with Shiftwork(settings) as shiftwork:
            await shiftwork.create(name, "A program.", options=scripted(cassette))

    asyncio.run(only_rows())
    with SyncLongRunningHarness(settings=settings) as harness:
        assert harness.wait_project(name)["status"] == "completed"


@pytest.mark.parametrize("character", ["x", "é"])
def test_a_request_that_is_too_long_is_refused_in_one_sentence(settings, character) -> None:
    """A database that gives up on an endless request, and blames itself for it."""
    longest = LONG.format(uuid.uuid4().hex[:8]) + " "
    longest += character * ((MOST_BYTES - len(longest)) // len(character.encode()))
    with SyncLongRunningHarness(settings=settings) as harness:
        for more in (character * 2, character * 12_000_000):
            with pytest.raises(
                InvalidInput, match="specification is larger than 1,000,000 bytes; shorten it"
            ):
                AutoHarnessWrapper(object(), harness=harness).wrap_and_execute(longest + more)
            with pytest.raises(InvalidInput, match="specification is larger than 1,000,000 bytes"):
                harness.project_manager.create_project("too long", spec=longest + more)
            with pytest.raises(InvalidInput, match="description is larger than 1,000,000 bytes"):
                harness.project_manager.create_project("too long", longest + more)
        made = harness.project_manager.create_project(uuid.uuid4().hex, spec=longest)
        assert harness.get_project_status(made.id)["name"] == made.name


def test_requests_at_the_same_time_each_get_their_own_project(settings, tmp_path) -> None:
    """An answer that tells what became of somebody else's request."""
    cassette = write_cassette(tmp_path / "c.yml", [simple_feature("x")], {"x": [simple_attempt("x")]})
    prompts = [LONG.format(uuid.uuid4().hex[:8]) for _ in range(3)]
    with SyncLongRunningHarness(
        agent="scripted", agent_settings={"cassette": cassette}, options=scripted(cassette), settings=settings
    ) as harness:
        wrapper = AutoHarnessWrapper(object(), harness=harness)

        async def all_at_once() -> list[dict[str, Any]]:
            return await asyncio.gather(*(wrapper.awrap_and_execute(prompt) for prompt in prompts))

        results = asyncio.run(all_at_once())
        names = [harness.get_project_status(result["project_id"])["name"] for result in results]
    assert names == [project_name(prompt) for prompt in prompts]
    assert [name in result["response"] for name, result in zip(names, results, strict=True)] == [True] * 3
    assert wrapper.get_current_project_id() in [result["project_id"] for result in results]


def test_a_cancelled_request_is_waited_for_no_longer(settings, tmp_path) -> None:
    """A program that can't end until a project of days does."""
    attempt = simple_attempt("x", {"sleep": 15})
    cassette = write_cassette(tmp_path / "c.yml", [simple_feature("x")], {"x": [attempt]})
    created = threading.Event()
    with SyncLongRunningHarness(
        agent="scripted", agent_settings={"cassette": cassette}, options=scripted(cassette), settings=settings
    ) as harness:
        wrapper = AutoHarnessWrapper(object(), lambda *_: created.set(), harness=harness)

        async def gives_up() -> None:
            task = asyncio.create_task(wrapper.awrap_and_execute(LONG.format(uuid.uuid4().hex[:8])))
            assert await asyncio.to_thread(created.wait, 150)
            task.cancel()

        asyncio.run(gives_up())
        project = wrapper.get_current_project_id()
        assert project is not None
        assert harness.get_project_status(project)["status"] != "completed"
        assert "own" not in [thread.name for thread in eventually_ended()]
        assert harness.wait_project(project)["status"] == "completed"


async def test_a_request_that_is_cancelled_while_its_project_starts_tells_its_id(settings, tmp_path) -> None:
    """A project that goes on and spends, and of which its maker does not know."""
    cassette = write_cassette(tmp_path / "c.yml", [simple_feature("x")], {"x": [simple_attempt("x")]})
    prompt = LONG.format(uuid.uuid4().hex[:8])
    with SyncLongRunningHarness(
        agent="scripted", agent_settings={"cassette": cassette}, options=scripted(cassette), settings=settings
    ) as harness:
        wrapper = AutoHarnessWrapper(object(), harness=harness)
        async with Shiftwork(settings) as shiftwork:
            task = asyncio.create_task(wrapper.awrap_and_execute(prompt))
            while (made := await named(shiftwork, project_name(prompt))) is None:
                assert not task.done()
            task.cancel()  # its rows are there, and Temporal may not know of it
            with pytest.raises(asyncio.CancelledError):
                await task
        assert wrapper.get_current_project_id() == made
        waiting = asyncio.to_thread(harness.wait_project, made)
        assert (await waiting)["status"] == "completed"
        with pytest.raises(InvalidInput, match="project's name holds a NUL"):
            harness.start_project("a\0", "x", project_id=str(uuid.uuid4()))
        with pytest.raises(InvalidInput, match="project_id is 'x'; give a UUID"):
            harness.start_project("a", "x", project_id="x")


async def named(shiftwork: Shiftwork, name: str) -> str | None:
    """The id of the project of this name, if there is one."""
    async with shiftwork.store.transaction() as tx:
        row = await tx.projects.by_name(name)
    return None if row is None else row.id


def eventually_ended() -> list[threading.Thread]:
    """The threads that there are, once those of cancelled requests had time to end."""
    for thread in threading.enumerate():
        if thread.name == "own":
            thread.join(150)
    return threading.enumerate()


def test_requests_that_take_long_keep_no_other_from_its_answer() -> None:
    """A short request, and all else that needs a thread, behind so many long ones."""
    wrapper, go = AutoHarnessWrapper(object()), threading.Event()

    def answers(prompt: str) -> str:
        if prompt != "hi":
            go.wait(250)
        return prompt

    async def many() -> list[dict[str, Any]]:
        long = [asyncio.create_task(wrapper.awrap_and_execute(f"{number}?", answers)) for number in range(50)]
        await asyncio.sleep(0)
        async with asyncio.timeout(100):
            assert await wrapper.awrap_and_execute("hi", answers) == {"response": "hi"}
            await asyncio.to_thread(go.set)
            return await asyncio.gather(*long)

    assert [each["response"] for each in asyncio.run(many())] == [f"{number}?" for number in range(50)]


def test_who_can_not_do_it_says_so() -> None:
    """A request that is lost because nobody was there to do it."""
    with pytest.raises(InvalidInput, match="can't do a project in other processes"):
        AutoHarnessWrapper(object()).wrap_and_execute(LONG.format("x"))
    with pytest.raises(InvalidInput, match="which answers nothing"):
        AutoHarnessWrapper(object()).wrap_and_execute("hi")
