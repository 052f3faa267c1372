"""Tools that make projects, have them planned, and steer them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from client.resting import at_rest
from client.tools import arguments as asks
from client.tools.call import Call
from client.tools.results import (
    ITEMS,
    CreatedProject,
    Done,
    ProjectLine,
    Projects,
    Status,
    line,
)
from client.tools.standing import status_of, wait_until_rest
from shiftwork.agents.events import AgentEvent, AgentEventKind
from shiftwork.agents.prices import cost
from shiftwork.agents.registry import backends
from shiftwork.contracts.project import AgentOptions, PauseMode, ProjectOptions, ProjectStatus
from shiftwork.errors import InvalidInput
from shiftwork.storable import given_path

_ONE_TOKEN = AgentEvent(kind=AgentEventKind.USAGE, input_tokens=1)


async def create_long_running_project(call: Call, asked: asks.CreateProject) -> CreatedProject:
    """Make a project of which nothing runs yet."""
    options = options_for(call.options, asked)
    project = await call.shiftwork.create(
        asked.name,
        asked.description,
        repository=_folder(asked.working_directory),
        description=asked.description[:2000],
        options=options,
    )
    return CreatedProject(
        message="The project is made; nothing of it runs yet. initialize_project_features has it planned."
        + _lowered(options, asked),
        project_id=project.id,
        name=project.name,
        agent=options.agent.backend,
        repository=project.repository,
    )


def _lowered(options: ProjectOptions, asked: asks.CreateProject) -> str:
    """Whoever asked for more money than these tools give is told what the project has."""
    if asked.budget_usd is None or options.budget_usd is None or asked.budget_usd <= options.budget_usd:
        return ""
    return f" Its budget is ${options.budget_usd:.2f}, the most that these tools give a project."


class Choosing(Protocol):
    """What chooses an agent, its model, and how much it may cost."""

    @property
    def agent(self) -> str | None: ...
    @property
    def model(self) -> str | None: ...
    @property
    def budget_usd(self) -> float | None: ...


def options_for(base: ProjectOptions, asked: Choosing) -> ProjectOptions:
    """The options of what is to be done: a model may choose an agent, and less money than it was given.

    Raises:
        InvalidInput: it may not, or no agent is named.
    """
    agent = base.agent
    if asked.agent is not None and asked.agent != agent.backend:
        if agent.settings.get("models"):
            raise InvalidInput(
                f"agent is {asked.agent!r}; it stays {agent.backend!r}, for which the models are chosen."
            )
        agent = AgentOptions(backend=asked.agent)
    if agent.backend == "scripted" and not agent.settings:
        known = ", ".join(sorted(set(backends()) - {"scripted"}))
        raise InvalidInput(f"agent is missing: say which one is to do the work; known are: {known}.")
    if asked.model is not None:
        # Prices are those of the model that was given: they would let another one cost more than is counted.
        agent = agent.model_copy(
            update={"settings": {**agent.settings, "model": asked.model}, "prices": None}
        )
        _check_price(base, agent, asked.model)
    budgets = [each for each in (base.budget_usd, asked.budget_usd) if each is not None]
    return base.model_copy(
        update={"agent": agent, "autorun": False, "budget_usd": min(budgets, default=None)}
    )


def _check_price(base: ProjectOptions, agent: AgentOptions, model: str) -> None:
    """Refuse a model whose price nobody knows where a budget is to hold: it would count as free."""
    if base.budget_usd is None or agent.backend == "scripted":
        return
    if cost(_ONE_TOKEN, model=model) is None:
        raise InvalidInput(
            f"model is {model!r}, whose price is not known, so that the budget could not be kept; "
            "choose one of a known price, or have a person make the project."
        )


def _folder(path: str | None) -> Path | None:
    if path is None:
        return None
    folder = given_path("working_directory", path)
    if not folder.is_absolute():
        raise InvalidInput(
            f"working_directory is {path!r}; give an absolute path: nobody knows what it is relative to."
        )
    return folder


async def initialize_project_features(call: Call, asked: asks.InitializeFeatures) -> Status:
    """Have the initializer agent plan the project, once."""
    project = await call.shiftwork.find(asked.project_id)
    status = await call.shiftwork.status(project.id)
    if status["total_features"]:
        return status_of(status, "The project is planned already; list_project_features lists its features.")
    if project.status is ProjectStatus.INITIALIZING:
        await call.shiftwork.open(project.id)
    elif project.status is ProjectStatus.PAUSED:
        await call.shiftwork.resume(project.id, autorun=False)
        await call.shiftwork.acknowledged(project, "resumed")
    status = await wait_until_rest(call, project.id, asked.wait_seconds, planned=True)
    if status["total_features"]:
        text = "It is planned: list_project_features lists its features, resume_project begins the work."
    elif at_rest(status):
        text = "No plan came of it; `reason` says why."
    else:
        text = "The planning goes on: call wait_for_project, or this again."
    return status_of(status, text)


async def list_long_running_projects(call: Call, asked: asks.ListProjects) -> Projects:
    """The projects of the stack, newest first."""
    async with call.shiftwork.store.transaction() as tx:
        readable, unreadable = await tx.projects.readable(asked.status_filter)
        rows = readable[::-1]
        page = rows[asked.offset : asked.offset + asked.limit]
        found = [await tx.projects.status(row.id) for row in page]
    shown = [_line(status) for status in found]
    said = [line(str(each), 1_000) for each in unreadable[:ITEMS]]
    return Projects(projects=shown, unreadable=said, **Projects.rest(asked.offset, len(shown), len(rows)))


async def pause_project(call: Call, asked: asks.PauseProject) -> Status:
    """Pause, after the running sessions or at once."""
    project = await call.shiftwork.find(asked.project_id)
    mode: PauseMode = "at_once" if asked.at_once else "after_session"
    await call.shiftwork.pause(project.id, mode=mode, reason=asked.reason)
    taken = await call.shiftwork.acknowledged(project, "paused")
    return status_of(await call.shiftwork.status(project.id), _taken(taken, "The project pauses."))


async def resume_project(call: Call, asked: asks.ResumeProject) -> Status:
    """Begin or go on, from session to session."""
    project = await call.shiftwork.find(asked.project_id)
    await call.shiftwork.resume(project.id, max_sessions=asked.max_sessions, autorun=True)
    # The first start of a project is told as nothing that was resumed.
    taken = project.status is ProjectStatus.INITIALIZING or await call.shiftwork.acknowledged(
        project, "resumed"
    )
    text = "The project goes on; wait_for_project waits until it is at rest."
    return status_of(await call.shiftwork.status(project.id), _taken(taken, text))


async def steer_project(call: Call, asked: asks.SteerProject) -> Done:
    """Give guidance to the sessions to come."""
    await call.shiftwork.steer(asked.project_id, asked.text, feature=asked.feature)
    return Done(message="The sessions to come are told; those that run already are not.")


async def answer_question(call: Call, asked: asks.AnswerQuestion) -> Done:
    """Answer what a feature's agent asked."""
    feature = await call.shiftwork.answer(asked.project_id, asked.feature, asked.text)
    return Done(message=f"Feature {feature} has its answer, and is tried again.")


def _taken(taken: object, message: str) -> str:
    """The message, unless no worker has taken it yet."""
    return message if taken else "It is kept until a worker takes it; none has so far: is one running?"


def _line(status: Mapping[str, Any]) -> ProjectLine:
    plain = {name: status[name] for name in ProjectLine.model_fields}
    return ProjectLine.model_validate({**plain, "reason": line(status["reason"])})
