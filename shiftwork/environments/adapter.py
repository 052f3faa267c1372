"""An environment as a tool of LangChain, so that a chat model can play in it."""

import asyncio
import re
import threading
import weakref
from collections.abc import Coroutine, Mapping
from typing import Any, Final, Literal, TypeVar

from langchain_core.tools import BaseTool, ToolException
from pydantic import ConfigDict, Field, PrivateAttr, SkipValidation, ValidationError
from pydantic.v1 import ValidationError as OldValidationError

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.enforcement import play_of
from shiftwork.environments.failures import is_failure, why
from shiftwork.environments.one_by_one import OneByOne
from shiftwork.environments.protocol import ActionDefinition, HarnessStatus, Observation
from shiftwork.environments.redacting import redacted_result
from shiftwork.environments.tool_arguments import TOOL_ACTIONS, arguments_model, invalid_arguments
from shiftwork.environments.tool_result import ToolResult, content_for_model
from shiftwork.errors import InvalidInput, ShiftworkError
from shiftwork.looping import LoopThread
from shiftwork.secrets import own_redactor
from shiftwork.text import one_line, truncate

__all__ = ["HarnessAdapter", "ToolResult"]

_Answer = TypeVar("_Answer")

_MOST_NAME: Final = 64
"""Characters of a tool's name that every provider takes."""
_HOW: Final = (
    "Begin with action 'reset'. Each answer holds an observation and the actions that may be taken then; "
    "take one with action 'step', its name as action_name and what it takes in parameters, until 'done' is "
    "true."
)


class HarnessAdapter(BaseTool):
    """The tool `harness_<name>`; it begins episodes, takes actions, and shows how they go.

    Calls are taken one after the other, in the order in which they come, with or without an event loop; a
    call without one blocks its thread. Where an event loop runs, `await ainvoke(…)`: a call that would block
    the loop while another one that was begun in it goes on is refused, as neither would ever end. The
    environment is initialised before its first episode, once.

    Secrets that this process knows, and tokens of known shapes, are taken out of every answer.

    As a tool of a chat model an error is the answer, in one sentence, with the status `error`, and what was
    done has its `ToolResult` as artifact.

    Args:
        harness: the environment.

    Raises:
        InvalidInput: it is none.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    harness: SkipValidation[BaseHarness] = Field(exclude=True, repr=False)
    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"

    _calls: OneByOne = PrivateAttr(default_factory=OneByOne)
    _thread: LoopThread | None = PrivateAttr(default=None)
    _making: threading.Lock = PrivateAttr(default_factory=threading.Lock)

    def __init__(self, harness: BaseHarness, **options: Any) -> None:
        if not isinstance(harness, BaseHarness):
            raise InvalidInput(
                f"a {type(harness).__name__} was given as an environment; give an instance of a class "
                "derived from BaseHarness"
            )
        chosen = {
            "name": tool_name(harness.name),
            "description": " ".join(filter(None, (own_redactor().redact(harness.description), _HOW))),
            "args_schema": arguments_model(_known_actions(harness)),
            "handle_tool_error": True,
            "handle_validation_error": _refused,
        }
        super().__init__(harness=harness, **{**chosen, **options})

    async def execute(
        self,
        action: str | None = None,
        *,
        action_name: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> ToolResult:
        """Do something with the environment; what goes wrong is a result, and changes nothing.

        Args:
            action: `reset`, `step`, `observe` or `stats`.
            action_name: for `step`: which action to take.
            parameters: what the action takes, or the options of a `reset`.
            more: the same, each by itself; one named as an argument here goes into `parameters`.
        """
        result = await self._outcome(action, action_name, parameters, more)
        return await asyncio.to_thread(redacted_result, result, own_redactor())

    async def shutdown(self) -> None:
        """Shut the environment down, after the calls that came before; it can't be used afterwards."""
        async with self._calls.turn():
            await self.harness.shutdown()

    async def _outcome(
        self,
        action: str | None,
        action_name: str | None,
        parameters: Mapping[str, Any] | None,
        more: Mapping[str, Any],
    ) -> ToolResult:
        try:
            given = _joined(parameters, more)
            _check(action, action_name, given)
            async with self._calls.turn():
                return await self._done(str(action), action_name or "", given)
        except ShiftworkError as error:
            return ToolResult.failed(str(error))
        except BaseException as error:  # whatever the code of an environment raises
            if not is_failure(error):
                raise
            told = one_line(truncate(own_redactor().redact(why(error)), 500))
            return ToolResult.failed(f"environment {self.harness.name!r} failed at {action!r}: {told}")

    async def _done(self, action: str, action_name: str, given: dict[str, Any]) -> ToolResult:
        match action:
            case "reset":
                seen = await self.harness.reset(**given)
                stats = self.harness.get_stats()
                told = {"seed": stats.seed, "reproducible": stats.reproducible}
                return ToolResult(success=True, output=seen, metadata={**self._facts(seen), **told})
            case "step":
                return await self._stepped(action_name, given)
            case "stats":
                stats = self.harness.get_stats()
                done = stats.terminated or stats.truncated
                return ToolResult(
                    success=True, output=stats, metadata={"reward": stats.total_reward, "done": done}
                )
            case _:
                if self.harness.status in (HarnessStatus.IDLE, HarnessStatus.SHUTDOWN):
                    raise InvalidInput(
                        f"no episode of {self.harness.name!r} goes on; call action 'reset' first"
                    )
                seen = await self.harness.get_observation()
                return ToolResult(success=True, output=seen, metadata=self._facts(seen))

    async def _stepped(self, action_name: str, given: dict[str, Any]) -> ToolResult:
        result = await self.harness.step(action_name, **given)
        facts = self._facts(result.observation) | {"reward": result.reward}
        if result.rewards:
            facts["rewards"] = result.rewards
        if result.metadata:
            facts["action_metadata"] = result.metadata
        if not result.success:
            return ToolResult.failed(result.error or "the action was not taken", result.observation, facts)
        return ToolResult(success=True, output=result.observation, metadata=facts)

    def _facts(self, seen: Observation) -> dict[str, Any]:
        return {
            "reward": seen.reward,
            "done": seen.done,
            "terminated": seen.terminated,
            "truncated": seen.truncated,
            "steps": self.harness.current_step,
        }

    async def _arun(self, *action: Any, **given: Any) -> tuple[str | list[str | dict[str, Any]], ToolResult]:
        result = await self.execute(*action, **_given_by_model(given))
        if not result.success:
            raise ToolException(result.error)
        return content_for_model(result), result

    def _run(self, *action: Any, **given: Any) -> tuple[str | list[str | dict[str, Any]], ToolResult]:
        self._check_that_waiting_ends()
        return self._wait(self._arun(*action, **given))

    def _check_that_waiting_ends(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if self._calls.needs(loop) or play_of(self.harness).lock.needs(loop):
            raise ToolException(
                f"{self.name} is busy with a call that was begun in this event loop, and a call that blocks "
                "the loop would wait for it for ever; await ainvoke(…) here"
            )

    def _wait(self, work: Coroutine[Any, Any, _Answer]) -> _Answer:
        """One event loop for all calls without one: an environment may hold what belongs to a loop."""
        with self._making:
            if self._thread is None:
                self._thread = LoopThread(self.name)
                weakref.finalize(self, self._thread.stop, _nothing)
        return self._thread.wait(work)


def tool_name(environment: str) -> str:
    """What the tool of an environment is called: as every provider of models takes it."""
    return "harness_" + re.sub(r"[^A-Za-z0-9_-]", "_", environment)[: _MOST_NAME - len("harness_")]


async def _nothing() -> None:
    """Nothing is left open."""


def _known_actions(harness: BaseHarness) -> list[ActionDefinition]:
    """The actions that it tells before its first episode."""
    try:
        return [each for each in harness.get_action_space() if isinstance(each, ActionDefinition)]
    except Exception:  # noqa: BLE001 - whatever it needs an episode for; the observations tell them
        return []


def _joined(parameters: Mapping[str, Any] | None, more: Mapping[str, Any]) -> dict[str, Any]:
    if parameters is not None and not isinstance(parameters, Mapping):
        raise InvalidInput(f"parameters: must map names to values, and is {truncate(repr(parameters), 100)}")
    given = dict(parameters or {})
    if twice := sorted(given.keys() & more.keys()):
        raise InvalidInput(f"parameter {twice[0]!r} is given twice; leave out one")
    return {**given, **more}


def _check(action: str | None, action_name: str | None, given: Mapping[str, Any]) -> None:
    known = ", ".join(repr(each) for each in TOOL_ACTIONS)
    if action is None:
        raise InvalidInput(f"action is missing; give one of {known}")
    if action not in TOOL_ACTIONS:
        raise InvalidInput(
            f"there is no action {truncate(repr(action), 100)} of this tool; give one of {known}, and with "
            "'step' the environment's action as action_name"
        )
    if action == "step" and not action_name:
        raise InvalidInput("action_name is missing; say which of the available actions to take")
    if action != "step" and action_name:
        raise InvalidInput(f"action_name {truncate(repr(action_name), 100)} goes with action 'step' only")
    if action in ("observe", "stats") and given:
        raise InvalidInput(f"action {action!r} takes no parameters, and {next(iter(given))!r} was given")


def _given_by_model(given: Mapping[str, Any]) -> dict[str, Any]:
    """Without what a model gave as nothing: a `seed` of none is left out, and so no option of a reset."""
    return {name: value for name, value in given.items() if name != "seed" or value is not None}


def _refused(error: ValidationError | OldValidationError) -> str:
    assert isinstance(error, ValidationError), "its arguments are a model of pydantic 2"
    return invalid_arguments(error)
