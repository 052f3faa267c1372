"""Long requests become projects, short ones are answered."""

import asyncio
import uuid

import pytest
from langchain_openai import ChatOpenAI

from client import AutoHarnessWrapper, SyncLongRunningHarness, create_auto_wrapper
from shiftwork.errors import InvalidInput
from tests.e2e.support import quick_settings, scripted, simple_attempt, simple_feature, write_cassette
from tests.llm.script import Reply, in_order
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


def test_a_long_request_becomes_a_project(settings, tmp_path) -> None:
    """A task of days that is squeezed into one answer."""
    cassette = write_cassette(tmp_path / "c.yml", [simple_feature("x")], {"x": [simple_attempt("x")]})
    told: list[tuple[str, str, float]] = []
    prompt = LONG.format(uuid.uuid4().hex[:8])
    with SyncLongRunningHarness(
        agent="scripted", agent_settings={"cassette": cassette}, options=scripted(cassette), settings=settings
    ) as harness:
        wrapper = AutoHarnessWrapper(object(), lambda *facts: told.append(facts), harness=harness)
        result = wrapper.wrap_and_execute(prompt, working_directory=tmp_path / "product")
        again = wrapper.wrap_and_execute(prompt)
    assert (result["status"], result["features_passing"], result["task_count"]) == ("completed", 1, 1)
    assert result["task_type"] == "coding_project"
    assert "1 of 1 features" in result["response"]
    assert (tmp_path / "product" / "x.txt").read_text() == "done\n"
    assert wrapper.get_current_project_id() == again["project_id"] != result["project_id"]
    assert told[1] == ("x", "passing", 1.0)


def test_who_can_not_do_it_says_so() -> None:
    """A request that is lost because nobody was there to do it."""
    with pytest.raises(InvalidInput, match="can't do a project in other processes"):
        AutoHarnessWrapper(object()).wrap_and_execute(LONG.format("x"))
    with pytest.raises(InvalidInput, match="which answers nothing"):
        AutoHarnessWrapper(object()).wrap_and_execute("hi")
