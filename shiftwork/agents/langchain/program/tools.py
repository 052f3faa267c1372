"""The tools by which an agent leaves things for the harness: decisions, progress, questions, its handover."""

from collections.abc import Callable
from typing import Any

from langchain_core.tools import BaseTool, StructuredTool
from pydantic import BaseModel, ValidationError

from shiftwork.agents.langchain.program.leaving import ASKED, HANDED_OVER, Leaving
from shiftwork.contracts.outbox import DecisionNote, Handoff, ProgressNote, Question
from shiftwork.text import one_line


def note_tools(leaving: Leaving) -> list[BaseTool]:
    """Tools of every agent, sub-agents too."""

    def record_decision(**decision: Any) -> str:
        leaving.leave_line("decisions.jsonl", _plain(DecisionNote.model_validate(decision)))
        return "Recorded."

    def log_progress(**progress: Any) -> str:
        leaving.leave_line("progress.jsonl", _plain(ProgressNote.model_validate(progress)))
        return "Logged."

    return [
        _tool(
            record_decision,
            DecisionNote,
            "Write down a choice that somebody might make differently: what you decided, in which situation "
            "(`context`), why (`reasoning`). Later sessions are told of it, and of what became of it.",
        ),
        _tool(
            log_progress,
            ProgressNote,
            "Report a step of work that is done: what you did, what came of it, which files changed.",
        ),
    ]


def ending_tools(leaving: Leaving, too_early: Callable[[], str | None]) -> list[BaseTool]:
    """Tools that end the run; only the agent itself has them. `too_early`: why it can't hand over yet."""

    def ask_person(**question: Any) -> str:
        leaving.leave("question.json", _plain(Question.model_validate(question)), over=ASKED)
        return "Asked. You end here; you are started again with the answer."

    def hand_over(**handoff: Any) -> str:
        if reason := too_early():
            return reason
        leaving.leave("handoff.json", _plain(Handoff.model_validate(handoff)), over=HANDED_OVER)
        return "Handed over."

    return [
        _tool(
            ask_person,
            Question,
            "Ask a person what only a person can tell you, and end. Not for what you can find out or decide.",
        ),
        _tool(
            hand_over,
            Handoff,
            "Hand over to the next session, which remembers nothing, and end. In `summary` (at most 2000 "
            "characters) say what you did, what you found out, and what is not done. Call it last, alone.",
        ),
    ]


def sentences(error: ValidationError) -> list[str]:
    """What is wrong with a document, one sentence a place."""
    return [f"{_place(problem['loc'])}: {one_line(problem['msg'])}" for problem in error.errors()]


def make_tool(function: Any, schema: type[BaseModel], description: str) -> BaseTool:
    """A tool whose mistakes in arguments the model is told of."""
    return _tool(function, schema, description)


def _tool(function: Any, schema: type[BaseModel], description: str) -> BaseTool:
    return StructuredTool.from_function(
        function, name=function.__name__, description=description, args_schema=schema, infer_schema=False
    )


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "the whole"


def _plain(document: BaseModel) -> dict[str, Any]:
    return document.model_dump(mode="json", exclude_defaults=True)
