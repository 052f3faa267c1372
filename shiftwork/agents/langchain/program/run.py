"""One run of the agent, from its brief to its terminal event."""

import json
import os
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool

from shiftwork.agents import environment
from shiftwork.agents.brief import BRIEF_FILE, REQUEST_FILE
from shiftwork.agents.events import Problem
from shiftwork.agents.langchain.config import CONFIG_VARIABLE, STATE_FILE, TOKEN_VARIABLE, ProgramConfig
from shiftwork.agents.langchain.program.answers import listen_to
from shiftwork.agents.langchain.program.asking import Asker
from shiftwork.agents.langchain.program.building import Parts, build_agent
from shiftwork.agents.langchain.program.endings import Ending, Troubled
from shiftwork.agents.langchain.program.judging import VERDICT_FILE, VerdictDesk, spoken
from shiftwork.agents.langchain.program.leaving import ASKED, Leaving
from shiftwork.agents.langchain.program.memory import Memory, Spending, digest
from shiftwork.agents.langchain.program.models import left_out, make_model
from shiftwork.agents.langchain.program.naming import OWN_NAMES
from shiftwork.agents.langchain.program.others import tools_of_others
from shiftwork.agents.langchain.program.planning import PLAN_FILE, PlanDesk
from shiftwork.agents.langchain.program.statefile import StateFile, UnusableState
from shiftwork.agents.langchain.program.strays import Strays
from shiftwork.agents.langchain.program.tools import ending_tools, note_tools
from shiftwork.agents.langchain.program.voice import Voice
from shiftwork.agents.langchain.program.workspace import Workspace
from shiftwork.contracts.session import Role
from shiftwork.text import truncate

_THREAD = "agent"
_SUMMARY_CHARACTERS = 2_000
_REMINDERS = {Role.INITIALIZER: 2, Role.VERIFIER: 2}
_REMINDERS_OF_OTHERS = 1
_WANTED = {
    Role.INITIALIZER: (PLAN_FILE, "leave the plan (`add_features`, then `finish_plan`)"),
    Role.VERIFIER: (VERDICT_FILE, "give your word on each of your steps (`give_verdict`)"),
}
"""The file without which a role's work is nothing, and how it comes about."""


_OURS = frozenset(
    {
        *(TOKEN_VARIABLE, CONFIG_VARIABLE, "HOME", "SHIFTWORK_BRIEF", "SHIFTWORK_OUTBOX"),
        *(environment.URL_VARIABLE, environment.TOKEN_VARIABLE),
    }
)


@dataclass
class Run:
    """Everything of one run.

    Attributes:
        home: the folder of the state; None outside of sessions, where none is kept.
        brief: the folder of the brief; None outside of sessions.
        outbox: where files are left; None outside of sessions.
        token: what is shown to the gateway in the place of a key; '' where there is none.
        prompt: what the agent is asked.
    """

    config: ProgramConfig
    home: Path | None
    brief: Path | None
    outbox: Path | None
    token: str
    prompt: str
    voice: Voice

    def __post_init__(self) -> None:
        file = StateFile(self.home / STATE_FILE, self.config.conversation) if self.home else None
        self.memory = Memory(file, self._announce)
        self.leaving = Leaving(self.outbox, self.memory)
        self._plan: PlanDesk | None = None
        sys.path.extend(path for path in self.config.python_path if path not in sys.path)
        self.strays = Strays() if self.config.role is Role.VERIFIER else None
        self.home_of_commands = Path(tempfile.mkdtemp(prefix="shiftwork-home-"))
        self.environment = _for_commands(os.environ, self.home_of_commands)
        self.workspace = Workspace(
            Path.cwd(),
            readable=[self.brief] if self.brief else [],
            environment=self.environment,
            command_timeout=self.config.command_timeout,
        )

    async def perform(self) -> int:
        """Work, and say how it ended; the exit status."""
        status: int | None = None
        try:
            async with AsyncExitStack() as stack:
                status = await self._perform(stack)
        except ExceptionGroup as group:
            # What the client of an MCP server that is gone makes of it, perhaps in the middle of the work.
            traceback.print_exc()
            return self._failed(_servers_gone(self.config, group)) if status is None else status
        return status

    def _failed(self, ending: Ending) -> int:
        self.memory.spending = Spending()  # The limits are those of one run, and this one is over.
        self.memory.save(announce=True)
        self._leave_last()
        self.voice.say(ending.kind, **ending.facts)
        return 1

    async def _perform(self, stack: AsyncExitStack) -> int:
        resumed = self._recall()
        self.voice.say(
            "started",
            text="langchain",
            model=self.config.model.name.partition(":")[2] or self.config.model.factory,
            conversation=self.config.conversation or None,
            data={"resumed": resumed},
        )
        ended = await self._ended(stack, resumed=resumed)
        if isinstance(ended, Ending):
            return self._failed(ended)
        self._leave_last()
        if self.config.role is Role.VERIFIER:
            self.voice.say("text", text=spoken(self.memory.outbox.get(VERDICT_FILE, "")))
        if self.memory.over == ASKED:
            self.voice.say("question", text=json.loads(self.memory.outbox["question.json"])["question"])
            return 0
        self.voice.say("finished", ok=True, text=ended)
        return 0

    def _leave_last(self) -> None:
        """Nothing that the agent started has the last word on what it leaves; see `strays`."""
        self.workspace.shell.end_all()
        if self.strays is not None:
            self.strays.end_all()
        self.leaving.leave_last(alone=self.strays is not None)

    async def _ended(self, stack: AsyncExitStack, *, resumed: bool) -> str | Ending:
        """The summary, or why there is none: a stack with MCP servers would wrap what passes through it."""
        try:
            self.leaving.restore()
            return await self._work(stack, resumed=resumed)
        except Ending as ending:
            return ending

    # The loop ----------------------------------------------------------------------------------------

    async def _work(self, stack: AsyncExitStack, *, resumed: bool) -> str:
        request = json.loads((self.brief / REQUEST_FILE).read_text(encoding="utf-8")) if self.brief else {}
        acting = _environment_tools(request)
        taken = {*OWN_NAMES, *(tool.name for tool in acting)}
        others = await tools_of_others(self.config, self.workspace.cwd, self.environment, stack, taken=taken)
        if self.strays is not None:
            self.strays.spare_present()
        model = self._model()
        asker = Asker(self.config, self.memory, self.voice, listen_to(model))
        timeouts = {tool.name: self.config.command_timeout for tool in others}
        told = {Role(role): text for role, text in request.get("prompts", {}).items()}
        parts = Parts(self.config, model, self.workspace, asker, self.memory, self.voice, timeouts, told)
        own = [*self._role_tools(request), *acting, *ending_tools(self.leaving, self._too_early)]
        agent = build_agent(parts, own, [*note_tools(self.leaving), *others])
        config: RunnableConfig = {"configurable": {"thread_id": _THREAD}, "recursion_limit": 1_000_000}
        given = await self._first_input(agent, config) if resumed else _said(self.memory.take_untold())
        while True:
            state = await agent.ainvoke(given, config, durability="sync")
            said = _last_words(state["messages"])
            of_plan = self._plan.take_words(said) if self._plan and not self.memory.over else ""
            if self.memory.over or (reminder := self._reminder()) is None:
                return self._handed_over(said)
            given = _said(f"{of_plan}\n\n{reminder}".strip())

    def _model(self) -> BaseChatModel:
        model = make_model(self.config, self.token)
        if names := left_out(self.config.model, model):
            told = f"{', '.join(names)}: not sent to {self.config.model.name!r}; its package leaves that out."
            self.voice.say("text", text=f"Of the setting 'parameters', {told}")
        return model

    async def _first_input(self, agent: Any, config: RunnableConfig) -> Any:
        """None goes on in the middle of a step; a message begins the next one."""
        if self.memory.over == ASKED or (self.memory.over and self._unaware()):
            self.leaving.take_back("question.json" if self.memory.over == ASKED else "handoff.json")
            self.memory.over = ""
        state = await agent.aget_state(config)
        prompt = "" if state.next or self.memory.over else self.memory.take_untold()
        return _said(prompt) if prompt else None

    def _role_tools(self, request: Any) -> Sequence[BaseTool]:
        match self.config.role:
            case Role.INITIALIZER:
                spec = str(request.get("project", {}).get("spec") or "")
                self._plan = PlanDesk(self.leaving, judged=self.config.judged, spec=spec)
                return self._plan.tools()
            case Role.VERIFIER:
                return VerdictDesk(self.leaving, _steps_to_judge(request)).tools()
            case _:
                return ()

    def _unaware(self) -> bool:
        """Whether the model has yet to be told that its files are gone; a plan is not among them."""
        lost = self.config.files_lost and self.config.role is not Role.INITIALIZER
        return lost and bool(self.memory.untold)

    def _too_early(self) -> str | None:
        """Why the model can't hand over yet; None: it can, or it was told often enough."""
        if self._unaware():
            return "Not handed over: the machine was lost, and the files that you changed with it."
        file, _ = _WANTED.get(self.config.role, (None, ""))
        return None if file is None or self.leaving.left(file) else self._reminder()

    def _reminder(self) -> str | None:
        """What to remind the model of that ended without handing over; None: of nothing any more."""
        file, how = _WANTED.get(self.config.role, (None, ""))
        wanting = file is not None and not self.leaving.left(file)
        if file is not None and not wanting:
            return None
        if self.memory.reminders >= _REMINDERS.get(self.config.role, _REMINDERS_OF_OTHERS):
            return None
        self.memory.reminders += 1
        if wanting:
            return f"You have not done your work yet: {how}, and then call `hand_over`."
        return "You have not handed over. Finish what is left to do, and then call `hand_over`."

    def _handed_over(self, said: str) -> str:
        """The summary; raises `Troubled` if the role's file is missing."""
        file, how = _WANTED.get(self.config.role, (None, ""))
        if file is not None and not self.leaving.left(file) and self.memory.over != ASKED:
            self.memory.over, self.memory.reminders = "", 0  # Another run of the conversation goes on.
            raise Troubled(f"The agent did not {how}.")
        if not self.leaving.left("handoff.json") and self.memory.over != ASKED:
            self.leaving.leave("handoff.json", {"summary": truncate(said, _SUMMARY_CHARACTERS)})
        handoff = json.loads(self.memory.outbox.get("handoff.json", "{}"))
        return str(handoff.get("summary", "")) or said

    # The state ---------------------------------------------------------------------------------------

    def _recall(self) -> bool:
        """Whether there is a conversation to go on with."""
        try:
            found = self.memory.load()
        except (UnusableState, KeyError, TypeError, ValueError) as error:
            self.voice.say("text", text=f"The earlier state can't be gone on with: {error}. Begun anew.")
            found = False
        resumed = found and "" in self.memory.threads
        if not resumed or self.config.files_lost or self.memory.told != digest(self.prompt):
            self.memory.untold = self.prompt
        return resumed

    def _announce(self) -> None:
        self.voice.say("saved", data={"file": STATE_FILE})


def _for_commands(environ: Mapping[str, str], home: Path) -> dict[str, str]:
    """What commands and servers of tools see: neither the token, nor where this program reads and writes."""
    kept = {key: value for key, value in environ.items() if key not in _OURS}
    return kept | {"HOME": str(home)}


def _servers_gone(config: ProgramConfig, group: ExceptionGroup[Exception]) -> Troubled:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    names = ", ".join(map(repr, config.mcp_servers))
    return Troubled(f"One of the MCP servers {names} can't be used: {type(error).__name__}", Problem.INVALID)


def _environment_tools(request: Mapping[str, Any]) -> list[BaseTool]:
    if not request.get("environment"):
        return []
    from shiftwork.agents.langchain.program.playing import environment_tools  # noqa: PLC0415 - few play

    return environment_tools(request, os.environ)


def _steps_to_judge(request: Any) -> set[int]:
    steps = (request.get("feature") or {}).get("verification_steps", ())
    return {number for number, step in enumerate(steps, start=1) if not step.get("command")}


def _said(text: str) -> dict[str, Any]:
    return {"messages": [HumanMessage(text)]}


def _last_words(messages: Sequence[Any]) -> str:
    return next((m.text for m in reversed(messages) if isinstance(m, AIMessage) and m.text.strip()), "")


def read_prompt(brief: Path | None) -> str:
    """What stands on standard input; the brief, if nothing does."""
    told = "" if sys.stdin.isatty() else sys.stdin.read()
    if told.strip() or brief is None:
        return told
    return (brief / BRIEF_FILE).read_text(encoding="utf-8")
