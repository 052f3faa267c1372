"""Environments as tools: of programs, of LangChain, and side by side."""

import asyncio
import base64
import gc
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.tools import BaseTool, tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests

from shiftwork.environments import ActionDefinition, ActionResult, BaseHarness, EpisodeStats, Observation
from shiftwork.environments.adapter import HarnessAdapter, ToolResult
from shiftwork.environments.examples import EXAMPLES, ConnectFourHarness, NumberGuessHarness
from shiftwork.environments.runtime import AgentRuntime
from shiftwork.errors import Conflict, InvalidInput

NAME = "harness_number_guess"


class Suite:
    """LangChain's own suites ask for a tool, and for what it may be called with."""

    environment = ""

    @property
    def tool_constructor(self) -> BaseTool:
        return HarnessAdapter(EXAMPLES[self.environment]())

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"action": "reset", "seed": 1}


for _name in EXAMPLES:
    for _kind in (ToolsUnitTests, ToolsIntegrationTests):
        _suite = f"Test{_kind.__name__}_{_name}"
        globals()[_suite] = type(_suite, (Suite, _kind), {"environment": _name})


class Odd(BaseHarness):
    """Notes when it is begun and stepped, and does what its action says."""

    name = "odd one/é"

    def __init__(self) -> None:
        super().__init__(self.name, "An odd one.")
        self.notes = []
        self.inside = 0

    async def initialize(self) -> bool:
        self.notes.append("initialize")
        return True

    async def reset(self, seed: int | None = None, level: int = 1) -> Observation:
        return Observation(content=f"level {level}", available_actions=self.get_action_space())

    async def step(self, action: str, **parameters: Any) -> ActionResult:
        match action:
            case "wait":
                self.inside += 1
                await asyncio.sleep(parameters["seconds"])
                told = f"{self.inside} inside"
                self.inside -= 1
                return ActionResult(observation=Observation(content=told))
            case "image":
                content = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(20)).decode()
                return ActionResult(observation=Observation(content=content, content_type="image"))
            case "long":
                return ActionResult(observation=Observation(content="x" * 200_000))
            case _:
                return ActionResult(observation=Observation(content=str(parameters)))

    def get_action_space(self) -> list[ActionDefinition]:
        seconds = {"seconds": {"type": "number"}}
        named = {"seed": {"type": "integer"}, "action_name": {"type": "string", "default": "-"}}
        rest = [ActionDefinition(name=name) for name in ("image", "long")]
        return [
            ActionDefinition(name="wait", parameters=seconds),
            ActionDefinition(name="named", parameters=named),
            ActionDefinition(name="again", parameters={"seconds": {"type": "integer"}}),
            *rest,
        ]


KEY = "sk-ant-api03-" + "Zq7" * 31 + "AA"


class Telling(BaseHarness):
    """Knows a key, and tells it wherever it can."""

    name = "telling"

    def __init__(self) -> None:
        super().__init__(self.name, f"Made with {KEY}.")

    async def reset(self) -> Observation:
        return Observation(
            content=f"the key is {KEY}",
            metadata={"keys": [KEY]},
            available_actions=self.get_action_space(),
        )

    async def step(self, action: str) -> ActionResult:
        if action == "raise":
            raise RuntimeError(f"can't log in with {KEY}")
        return ActionResult(
            success=action == "go", observation=Observation(content=KEY), error=KEY, metadata={"with": KEY}
        )

    def get_action_space(self) -> list[ActionDefinition]:
        return [ActionDefinition(name=name, description=KEY) for name in ("go", "refuse", "raise")]


class Raising(BaseHarness):
    """Nothing of it works but its beginning."""

    name = "raising"

    async def reset(self) -> Observation:
        return Observation(content="here")

    async def step(self, action: str, **parameters: Any) -> ActionResult:
        raise RuntimeError("step")

    def get_action_space(self) -> list[ActionDefinition]:
        if not self.status == "active":
            raise RuntimeError("no actions yet")
        return [ActionDefinition(name="go")]

    async def get_observation(self) -> Observation:
        raise KeyError("observation")

    def get_stats(self) -> EpisodeStats:
        if self.current_step == 0 and self.status == "active" and getattr(self, "told", False):
            raise SystemExit("stats")
        self.told = True
        return EpisodeStats()


def called(adapter: BaseTool, **given: Any) -> dict[str, Any]:
    """As a model calls a tool."""
    return {"name": adapter.name, "args": given, "id": "1", "type": "tool_call"}


async def test_no_answer_holds_a_secret() -> None:
    """If it failed, a key that an environment reads would go to a model's provider, and into its traces."""
    adapter = HarnessAdapter(Telling())
    assert "sk-ant" not in adapter.description
    begun = await adapter.ainvoke(called(adapter, action="reset"))
    assert json.loads(begun.content)["content"] == "the key is [redacted:anthropic-key]"
    for action in ("go", "refuse", "raise"):
        done = await adapter.ainvoke(called(adapter, action="step", action_name=action))
        assert done.status == ("success" if action == "go" else "error")
        assert "[redacted:anthropic-key]" in done.content
        assert "sk-ant" not in repr((begun, done))
    direct = await adapter.execute("observe")
    assert direct.output.metadata == {}
    assert "sk-ant" not in repr(direct)


async def test_a_runtime_plays_an_episode() -> None:
    """If it failed, a program that plays through tools could not tell what it sees or earns."""
    agent = AgentRuntime()
    agent.register_tool(HarnessAdapter(NumberGuessHarness()))
    assert [each.name for each in agent.tools] == [NAME]

    begun = await agent.execute_tool(tool_name=NAME, action="reset", seed=4)
    assert isinstance(begun.output, Observation)
    assert (begun.success, begun.error) == (True, None)
    assert begun.metadata["seed"] == 4
    assert begun.metadata["reproducible"] is True
    low, high, done, total = 1, 100, False, 0.0
    while not done:
        number = (low + high) // 2
        result = await agent.execute_tool(tool_name=NAME, action="step", action_name="guess", number=number)
        done, total = result.metadata["done"], total + result.metadata["reward"]
        low, high = result.output.metadata["least"], result.output.metadata["most"]
    assert "is right" in result.output.content
    seen = await agent.execute_tool(tool_name=NAME, action="observe")
    assert seen.output.content == result.output.content
    assert seen.metadata["done"]
    stats = await agent.execute_tool(tool_name=NAME, action="stats")
    assert isinstance(stats.output, EpisodeStats)
    assert stats.output.success
    assert stats.output.total_reward == pytest.approx(total)
    assert stats.metadata == {"reward": pytest.approx(total), "done": True}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        pytest.param({}, "action is missing; give one of 'reset', 'step', 'observe', 'stats'", id="nothing"),
        pytest.param({"action": "guess"}, "there is no action 'guess' of this tool", id="not of the tool"),
        pytest.param({"action": "step"}, "action_name is missing", id="no name"),
        pytest.param({"action": "step", "action_name": "fly"}, "there is no action 'fly' now", id="unknown"),
        pytest.param({"action": "step", "action_name": "guess"}, "'number' is a required", id="missing"),
        pytest.param(
            {"action": "step", "action_name": "guess", "number": "five"}, "'five' is not of", id="ill-typed"
        ),
        pytest.param(
            {"action": "step", "action_name": "guess", "number": 1, "parameters": {"number": 1}},
            "parameter 'number' is given twice",
            id="twice",
        ),
        pytest.param({"action": "step", "action_name": "guess", "parameters": [1]}, "must map", id="a list"),
        pytest.param({"action": "reset", "action_name": "guess"}, "goes with action 'step' only", id="name"),
        pytest.param({"action": "observe", "number": 1}, "takes no parameters, and 'number'", id="too many"),
        pytest.param({"action": "reset", "seed": -1}, "give an integer of at least 0", id="seed"),
        pytest.param({"action": "reset", "level": 3}, "unexpected keyword argument 'level'", id="option"),
    ],
)
async def test_what_is_wrong_is_a_sentence_and_changes_nothing(given: dict, sentence: str) -> None:
    """If it failed, an agent's mistake would end its run, or its episode."""
    agent = AgentRuntime(tools=[HarnessAdapter(NumberGuessHarness())])
    await agent.execute_tool(NAME, action="reset", seed=1)
    await agent.execute_tool(NAME, action="step", action_name="guess", number=50)
    before = await agent.execute_tool(NAME, action="observe")

    refused = await agent.execute_tool(NAME, **given)

    assert not refused.success
    assert sentence in refused.error
    assert "\n" not in refused.error
    assert await agent.execute_tool(NAME, action="observe") == before
    stats = (await agent.execute_tool(NAME, action="stats")).output
    assert (stats.total_steps, stats.episode) == (1, 1)


async def test_before_the_first_episode_and_after_the_last() -> None:
    """If it failed, an agent that forgets to begin would be shown an empty world, or a traceback."""
    adapter = HarnessAdapter(NumberGuessHarness())
    for action in ("observe", "step"):
        early = await adapter.execute(action=action, action_name="guess" if action == "step" else None)
        assert "reset" in early.error
    assert (await adapter.execute(action="stats")).output == EpisodeStats()
    await adapter.shutdown()
    for action in ("reset", "observe"):
        late = await adapter.execute(action=action)
        assert not late.success
        assert late.error


async def test_unknown_tools_and_tools_twice() -> None:
    """If it failed, a wrong name would be an exception, or one environment would take another's place."""
    agent = AgentRuntime(tools=[HarnessAdapter(NumberGuessHarness())])
    unknown = await agent.execute_tool(tool_name="harness_chess", action="reset")
    assert unknown == ToolResult.failed(f"there is no tool 'harness_chess' here; there is: '{NAME}'")
    with pytest.raises(Conflict, match=f"'{NAME}' already"):
        agent.register_tool(HarnessAdapter(NumberGuessHarness()))
    with pytest.raises(InvalidInput, match="wrap an environment as HarnessAdapter"):
        agent.register_tool(NumberGuessHarness())
    with pytest.raises(InvalidInput, match="class derived from BaseHarness"):
        HarnessAdapter("number_guess")


async def test_other_tools_are_carried_out_too() -> None:
    """If it failed, an agent could have environments, or tools, but not both."""

    @tool
    def half(number: int) -> int:
        """Half of a number."""
        return 10 // number

    agent = AgentRuntime(tools=[half])
    assert (await agent.execute_tool("half", number=2)).output == "5"
    failed = await agent.execute_tool("half", number=0)
    assert not failed.success
    assert failed.error.startswith("Tool 'half' failed: ZeroDivisionError")


async def test_what_an_environment_raises_is_a_result() -> None:
    """If it failed, one bug in an environment would end the agent that plays in it."""
    adapter = HarnessAdapter(Raising("raising"))
    assert (await adapter.execute("reset")).success
    for asked in ({"action": "step", "action_name": "go"}, {"action": "observe"}, {"action": "stats"}):
        result = await adapter.execute(**asked)
        assert not result.success
        assert "'raising'" in result.error
        assert "\n" not in result.error


async def test_it_is_initialised_once() -> None:
    """If it failed, what an environment opens would be opened for each episode, or never."""
    odd = Odd()
    adapter = HarnessAdapter(odd)
    for level in (1, 2):
        begun = await adapter.execute(action="reset", level=level)
        assert begun.output.content == f"level {level}"
    assert odd.notes == ["initialize"]
    ready = Odd()
    await ready.initialize()
    await HarnessAdapter(ready).execute(action="reset")
    assert ready.notes == ["initialize"]


async def test_parameters_may_have_any_name() -> None:
    """If it failed, an action that takes a `seed` could not be taken through a tool."""
    adapter = HarnessAdapter(Odd())
    await adapter.execute(action="reset")
    flat = await adapter.execute(action="step", action_name="named", seed=3)
    assert flat.output.content == "{'seed': 3, 'action_name': '-'}"
    deep = await adapter.execute("step", action_name="named", parameters={"seed": 3, "action_name": "x"})
    assert deep.output.content == "{'seed': 3, 'action_name': 'x'}"
    model = await adapter.ainvoke(called(adapter, action="step", action_name="named", seed=3))
    assert model.artifact.output.content == flat.output.content


async def test_calls_at_once_are_taken_in_order() -> None:
    """If it failed, a model that calls a tool twice in one answer would play a mixed-up game."""
    adapter = HarnessAdapter(Odd())
    await adapter.execute("reset")
    asked = [
        adapter.ainvoke(called(adapter, action="step", action_name="wait", parameters={"seconds": seconds}))
        for seconds in (0.05, 0.0, 0.02)
    ]
    answers = await asyncio.gather(*asked)
    assert [each.artifact.metadata["steps"] for each in answers] == [1, 2, 3]
    assert {each.artifact.output.content for each in answers} == {"1 inside"}


async def test_a_call_that_is_given_up_holds_nobody_up() -> None:
    """If it failed, one cancelled call would let two in at once, or block all that come after it."""
    adapter = HarnessAdapter(Odd())
    await adapter.execute("reset")

    def wait(seconds: float) -> asyncio.Task:
        return asyncio.create_task(adapter.execute("step", action_name="wait", seconds=seconds))

    first, second, third = wait(0.2), wait(0.0), wait(0.0)
    await asyncio.sleep(0.05)
    second.cancel()
    await asyncio.sleep(0)
    assert not third.done()
    assert (await first).metadata["steps"] == 1
    assert (await third).output.content == "1 inside"
    running = wait(5)
    await asyncio.sleep(0.05)
    running.cancel()
    assert (await adapter.execute("stats")).output.total_steps == 2


def test_without_a_loop_and_from_several_threads() -> None:
    """If it failed, an agent that is run synchronously, its tools in threads, could not play."""
    adapter = HarnessAdapter(Odd())
    assert "level 1" in adapter.invoke({"action": "reset"})
    call = called(adapter, action="step", action_name="wait", parameters={"seconds": 0.01})
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(adapter.invoke, [call] * 6))
        # and in event loops of their own
        answers += pool.map(asyncio.run, [adapter.ainvoke(call) for _ in range(4)])
    assert {each.artifact.output.content for each in answers} == {"1 inside"}
    assert {each.artifact.metadata["steps"] for each in answers} == set(range(1, 11))
    del adapter, answers
    gc.collect()
    assert not [each for each in threading.enumerate() if each.name.startswith("harness_odd")]


async def test_a_model_is_told_in_json_or_sees_the_image() -> None:
    """If it failed, a model would be shown our objects, a picture as letters, or more than it can read."""
    adapter = HarnessAdapter(Odd())
    await adapter.ainvoke({"action": "reset"})
    image = await adapter.ainvoke(called(adapter, action="step", action_name="image"))
    assert [block["type"] for block in image.content] == ["text", "image"]
    assert image.content[1]["mime_type"] == "image/png"
    assert base64.b64decode(image.content[1]["base64"]).startswith(b"\x89PNG")
    long = json.loads(await adapter.ainvoke({"action": "step", "action_name": "long"}))
    assert len(long["content"]) < 60_000
    stats = json.loads(await adapter.ainvoke({"action": "stats"}))
    assert stats["total_steps"] == 2
    two = HarnessAdapter(ConnectFourHarness())
    begun = json.loads(await two.ainvoke({"action": "reset", "seed": 1}))
    assert begun["turn_of"]
    assert begun["available_actions"][0]["parameters"]


@pytest.mark.parametrize("asked", ["ainvoke", "invoke"])
async def test_a_model_is_told_what_was_wrong(asked: str) -> None:
    """If it failed, a model's mistake would look like an answer, or end its run."""
    adapter = HarnessAdapter(NumberGuessHarness())

    async def answer(**given: Any) -> Any:
        done = getattr(adapter, asked)(called(adapter, **given))
        return await done if asked == "ainvoke" else done

    for given, sentence in (
        (
            {"action": "jump"},
            "action: Input should be 'reset', 'step', 'observe' or 'stats', and was 'jump'.",
        ),
        ({}, "action: Field required."),
        ({"action": "step"}, "action_name is missing; say which of the available actions to take"),
        ({"action": "step", "action_name": "guess", "number": 1}, "no episode of 'number_guess' was begun; "),
    ):
        told = await answer(**given)
        assert told.status == "error"
        assert told.content.startswith(sentence)


def test_what_a_model_is_offered() -> None:
    """If it failed, a model would have to guess what an action takes, or be refused by its provider."""
    told = convert_to_openai_tool(HarnessAdapter(Odd()))["function"]
    assert told["name"] == "harness_odd_one__"
    properties = told["parameters"]["properties"]
    assert told["parameters"]["required"] == ["action"]
    assert all(each["description"] for each in properties.values())
    assert "`wait` (seconds), `named` (seed, action_name)" in properties["action_name"]["description"]
    either = [{"type": "number"}, {"type": "integer"}]
    assert properties["parameters"]["properties"]["seconds"] == {"anyOf": either}
    assert HarnessAdapter(Raising("raising")).name == "harness_raising"


def test_tools_are_imported_only_where_they_are_wanted() -> None:
    """If it failed, each process of an environment would load LangChain before it begins."""
    code = "import sys, shiftwork.environments.host; sys.exit('langchain_core' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=100).returncode == 0


class Pausing(Odd):
    """Each step waits."""

    async def step(self, action, /, **parameters):
        await asyncio.sleep(0.2)
        return await super().step(action, **parameters)


@pytest.mark.parametrize("begin", ["adapter", "harness"])
async def test_a_call_that_would_wait_for_its_own_loop_is_refused(begin: str) -> None:
    """A tool that is called without `await` in the middle of another call would stop the program for good."""
    adapter = HarnessAdapter(Pausing())
    await adapter.ainvoke({"action": "reset"})
    stepping = asyncio.create_task(
        adapter.ainvoke({"action": "step", "action_name": "image"})
        if begin == "adapter"
        else adapter.harness.step("image")
    )
    await asyncio.sleep(0.05)

    assert "await ainvoke(…) here" in adapter.invoke({"action": "observe"})
    await stepping
    assert "await ainvoke" not in adapter.invoke({"action": "observe"})


async def test_a_call_that_was_given_up_is_forgotten() -> None:
    """Blocking calls would be refused for ever after one that was cancelled while it waited."""
    adapter = HarnessAdapter(Pausing())
    await adapter.ainvoke({"action": "reset"})
    calls = [
        asyncio.create_task(adapter.ainvoke({"action": "step", "action_name": "image"})) for _ in range(3)
    ]
    await asyncio.sleep(0.05)
    for call in calls[:2]:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)

    assert "await ainvoke" not in adapter.invoke({"action": "observe"})


async def test_one_word_is_what_to_do() -> None:
    """LangChain passes on a text as it is, and the answer would be a traceback."""
    adapter = HarnessAdapter(NumberGuessHarness())
    assert "Guesses left" in adapter.invoke("reset")
    assert "Guesses left" in await adapter.ainvoke("observe")


@pytest.mark.parametrize("name", ["inner", "environment"])
async def test_an_option_of_a_reset_may_have_any_name(name: str) -> None:
    """A model would be told of the insides of the base class."""
    answer = await HarnessAdapter(NumberGuessHarness()).execute("reset", **{name: 1})
    assert not answer.success
    assert "multiple values" not in str(answer.error)


class Verbose(Odd):
    """Tells more than a model can read."""

    async def reset(self):
        return Observation(
            content=["x" * 100] * 100_000,
            content_type="json",
            metadata={"score": 1, "log": "y" * 10**6, **{f"cell {n}": n for n in range(50_000)}},
            available_actions=[
                ActionDefinition(name=f"go {n}", description="z" * 100) for n in range(10_000)
            ],
        )


async def test_a_model_is_not_shown_more_than_it_can_read() -> None:
    """One observation would fill a model's memory, and cost as much as a whole episode."""
    adapter = HarnessAdapter(Verbose())
    said = await adapter.ainvoke({"action": "reset"})

    assert len(said) < 120_000
    told = json.loads(said)
    assert told["content"].endswith("more characters)")
    assert told["metadata"]["score"] == 1
    assert told["metadata"]["log"].endswith("more characters)")
    assert "more, as there are too many to show" in told["metadata"]["left out"]
    assert "more, as there are too many to show" in told["actions_left_out"]
    assert told["available_actions"][0]["name"] == "go 0"
    assert len((await adapter.execute("observe")).output.content) == 100_000
