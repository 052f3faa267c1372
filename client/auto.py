"""Long tasks become projects, short ones are answered at once."""

import inspect
import logging
import re
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from client.chat import ask, ask_model
from client.inputs import kind_of, session_limit
from client.sync import SyncLongRunningHarness
from shiftwork.analysis import THRESHOLD, TaskAnalysis, analyze_task, check_threshold
from shiftwork.contracts.project import AgentOptions
from shiftwork.errors import Conflict, InvalidInput, ShiftworkError, StackError
from shiftwork.looping import in_own_thread
from shiftwork.storable import given_path
from shiftwork.sub_agents import Specification

OnTask = Callable[[str, str, float], None]
"""Is told a task's name, what became of it, and how much of the whole is done, from 0 to 1."""

Execute = Callable[[str], Any]
"""Answers a prompt: by a text, or by a mapping that holds it under `response`.

Where `awrap_and_execute` calls it, it may also be async; else it is called in another thread.
"""

log = logging.getLogger("shiftwork.auto")

_NAME_CHARACTERS = 60
_MOST_NAMES = 100
_ASYNC = "execute_fn is async: call awrap_and_execute, which waits for its answer."


class AutoHarnessWrapper:
    """Answers short requests directly and hands long ones to a project; of any thread, and several at once.

    Args:
        chat_model: what answers short requests, and does long ones: `provider:model`, an import path or a
            mapping (see `shiftwork.sub_agents.agent_options`). Short ones it answers in this process, with
            the keys that are found here. An object of LangChain answers short ones
            alone: it can't cross processes, so long ones need a `harness` that knows its agent.
        on_progress: told of the project's features. What it raises is logged, and the work goes on.
        harness: who runs projects; None: one that works with `chat_model`.
        threshold: the confidence from which on a task is long (see `analyze_task`).
        max_sessions: sessions that one call may take; None: no limit.

    Raises:
        InvalidInput: the threshold, the limit, `on_progress` or `harness` is none that can be used.
    """

    def __init__(
        self,
        chat_model: Any,
        on_progress: OnTask | None = None,
        *,
        harness: SyncLongRunningHarness | None = None,
        threshold: float = THRESHOLD,
        max_sessions: int | None = None,
    ) -> None:
        self._chat_model = chat_model
        self._on_progress = None if on_progress is None else _callable("on_progress", on_progress)
        self._harness = _harness(harness)
        self._threshold = check_threshold(threshold)
        self._max_sessions = session_limit("max_sessions", max_sessions)
        self._project_id: str | None = None

    def should_wrap(self, prompt: str) -> bool:
        """Whether this request becomes a project."""
        return analyze_task(prompt, self._threshold).should_use_harness

    def get_current_project_id(self) -> str | None:
        """The project that the newest long request became, or becomes; None if there was none.

        It is told from before the project is made, so that no interruption loses one that is there: of one
        that came earlier there is none of this id.
        """
        return self._project_id

    def wrap_and_execute(
        self, prompt: str, execute_fn: Execute | None = None, working_directory: str | Path | None = None
    ) -> dict[str, Any]:
        """Do what is asked for, however long it takes.

        A project runs by itself from when it is made: should this program end before it does, `wait_project`
        of a harness goes on waiting, by the name or id of the project.

        Args:
            execute_fn: answers a short request; None: the chat model does.
            working_directory: the git repository that a project delivers to; made if it is missing.

        Returns:
            `response`, a text, and of a long request also `project_id`, `task_count`, `task_type`, `status`,
            `reason`, `features_passing` and `total_features`.

        Raises:
            InvalidInput: there is nobody who could do it, or what was given can't be used.
            ModelFailed: the model did not answer a short one.
        """
        where = _folder("working_directory", working_directory)
        answer = self._answer if execute_fn is None else _of_a_prompt("execute_fn", execute_fn)
        if _is_async(execute_fn):
            raise InvalidInput(_ASYNC)
        analysis = analyze_task(prompt, self._threshold)
        if not analysis.should_use_harness:
            return _answered(answer(prompt))
        if self._harness is not None:
            return self._run(self._harness, prompt, analysis, where)
        with SyncLongRunningHarness(chat_model=self._specification()) as harness:
            return self._run(harness, prompt, analysis, where)

    async def awrap_and_execute(
        self, prompt: str, execute_fn: Execute | None = None, working_directory: str | Path | None = None
    ) -> dict[str, Any]:
        """The same for programs with an event loop, which goes on meanwhile.

        Whatever waits has a thread of its own. Where this is cancelled, it waits no longer, and the project
        goes on, if it was made by then: `get_current_project_id` tells which. A function or model that
        answers is left to itself.
        """
        _folder("working_directory", working_directory)
        if execute_fn is not None:
            _of_a_prompt("execute_fn", execute_fn)
        if execute_fn is None or self.should_wrap(prompt):
            return await in_own_thread(self.wrap_and_execute, prompt, None, working_directory)
        if _is_async(execute_fn):
            return _answered(await execute_fn(prompt))
        given = await in_own_thread(execute_fn, prompt)
        return _answered(await given if inspect.isawaitable(given) else given)

    # A long one -------------------------------------------------------------------------------------------

    def _run(
        self,
        harness: SyncLongRunningHarness,
        prompt: str,
        analysis: TaskAnalysis,
        working_directory: str | Path | None,
    ) -> dict[str, Any]:
        # Not read from the attribute below: other calls may have written theirs there meanwhile.
        name, project_id = self._create(harness, prompt, working_directory)
        self._tell(f"Project {name!r}", "created", 0.0)
        result = harness.wait_project(project_id, after=0)
        report = harness.export_project_report(project_id)
        features = report["features"]
        for feature in features:
            self._tell(feature["name"], feature["status"], _share(result))
        return {
            "response": _summary(name, result, features),
            "project_id": project_id,
            "task_count": len(features),
            "task_type": analysis.task_type.value,
            "status": result["status"],
            "reason": result["reason"],
            "features_passing": result["features_passing"],
            "total_features": result["total_features"],
        }

    def _create(
        self, harness: SyncLongRunningHarness, prompt: str, working_directory: str | Path | None
    ) -> tuple[str, str]:
        """A project under a name that nobody has yet."""
        base, before = project_name(prompt), self._project_id
        for number in range(1, _MOST_NAMES):
            name = base if number == 1 else f"{base} {number}"
            # Known ahead: who is interrupted from now on may have a project that goes on, and spends.
            project_id = self._project_id = str(uuid.uuid4())
            try:
                harness.start_project(
                    name, prompt, working_directory, self._max_sessions, project_id=project_id
                )
            except StackError:  # it may be there by now, and is started later
                raise
            except ShiftworkError as error:  # nothing was made
                if self._project_id == project_id:
                    self._project_id = before
                if not isinstance(error, Conflict):
                    raise
            else:
                return name, project_id
        raise Conflict(f"there are {_MOST_NAMES - 1} projects named {base!r} already; delete some.")

    def _tell(self, task: str, status: str, share: float) -> None:
        if self._on_progress is None:
            return
        try:
            self._on_progress(task, status, share)
        except Exception:  # whatever it is, the project goes on and its answer is waited for
            log.exception("on_progress failed when told that %r is %s.", task, status)

    def _specification(self) -> Specification | AgentOptions:
        if isinstance(self._chat_model, str | Mapping | AgentOptions):
            return self._chat_model
        raise InvalidInput(
            f"chat_model is an object of type {type(self._chat_model).__name__!r}, which can't do a project "
            "in other processes; give 'provider:model', or a harness that knows its agent."
        )

    # A short one ------------------------------------------------------------------------------------------

    def _answer(self, prompt: str) -> str:
        model = self._chat_model
        if isinstance(model, str | Mapping | AgentOptions):
            return ask(model, prompt)
        if not hasattr(model, "invoke"):
            raise InvalidInput(
                f"chat_model is an object of type {type(model).__name__!r}, which answers nothing: give a "
                "LangChain chat model, 'provider:model', or execute_fn."
            )
        return ask_model(model, prompt)


def create_auto_wrapper(
    chat_model: Any, on_progress: OnTask | None = None, **options: Any
) -> AutoHarnessWrapper:
    """An `AutoHarnessWrapper`; the arguments are the same."""
    return AutoHarnessWrapper(chat_model, on_progress, **options)


def project_name(prompt: str) -> str:
    """A name for the project that a request becomes: its first line, cut at a word."""
    line = next((line.strip() for line in prompt.splitlines() if line.strip()), "")
    words = re.sub(r"[^\w .,'()+#/-]+", " ", line).strip(" .,:;-")
    if len(words) > _NAME_CHARACTERS:
        words = words[:_NAME_CHARACTERS].rpartition(" ")[0] or words[:_NAME_CHARACTERS]
    return words or "project"


def _callable(name: str, given: Any) -> Any:
    if callable(given):
        return given
    raise InvalidInput(f"{name} is {kind_of(given)}; give a function.")


def _of_a_prompt(name: str, given: Any) -> Any:
    """A function that can be called with a prompt and nothing else, as far as Python can tell."""
    try:
        signature = inspect.signature(_callable(name, given))
    except (TypeError, ValueError):  # one that is not written in Python may tell nothing
        return given
    try:
        signature.bind("")
    except TypeError as error:
        raise InvalidInput(
            f"{name} can't be called with the prompt alone: {error}; give a function that can."
        ) from error
    return given


def _is_async(given: Any) -> bool:
    """Whether calling it gives something to wait for: a function, or an object that is called as one."""
    return any(inspect.iscoroutinefunction(each) for each in (given, type(given).__call__))


def _harness(given: Any) -> SyncLongRunningHarness | None:
    if given is None or isinstance(given, SyncLongRunningHarness):
        return given
    raise InvalidInput(f"harness is {kind_of(given)}; give a SyncLongRunningHarness, or None.")


def _folder(name: str, given: Any) -> str | Path | None:
    if given is None:
        return None
    if isinstance(given, Path) or (isinstance(given, str) and given.strip()):
        given_path(name, given)
        return given  # as it is: it may also be an address
    said = "empty" if isinstance(given, str) else kind_of(given)
    raise InvalidInput(f"{name} is {said}; give the path of a folder, or None.")


def _answered(given: Any) -> dict[str, Any]:
    """What is returned of a short request."""
    match given:
        case str():
            return {"response": given}
        case Mapping() if isinstance(given.get("response"), str):
            return dict(given)
        case Mapping():
            raise InvalidInput(
                "execute_fn returned a mapping without a text under 'response'; put the answer there."
            )
    if inspect.iscoroutine(given):
        given.close()
    if inspect.isawaitable(given):
        raise InvalidInput(_ASYNC)
    raise InvalidInput(
        f"execute_fn returned an object of type {type(given).__name__!r}; return the answer as a text, or "
        "as a mapping that holds it under 'response'."
    )


def _share(result: Mapping[str, Any]) -> float:
    total = result["total_features"]
    return float(result["features_passing"] / total) if total else 0.0


def _summary(name: str, result: Mapping[str, Any], features: list[dict[str, Any]]) -> str:
    passing, total = result["features_passing"], result["total_features"]
    lines = [f"**{passing} of {total} features of project {name!r} pass** ({result['status']})"]
    if result["reason"]:
        lines.append(f"It rests: {result['reason']}.")
    lines += [f"- {feature['name']}: {feature['status']}" for feature in features]
    return "\n".join(lines)
