"""The chat model that a specification names, made and asked in this process: short requests need no other."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from shiftwork.agents.langchain.backend import LangchainBackend
from shiftwork.contracts.project import AgentOptions
from shiftwork.errors import InvalidInput, ModelFailed
from shiftwork.sub_agents import BACKEND, Specification, agent_options


def ask(specification: Specification | AgentOptions, prompt: str) -> str:
    """The model's answer; settings that only agents have, as `max_turns`, are of no account.

    Raises:
        InvalidInput: it is no chat model, a setting of it is wrong, or what it needs is missing.
        ModelFailed: the model did not answer.
    """
    options = agent_options(specification)
    if options.backend != BACKEND:
        raise InvalidInput(
            f"short requests need a chat model, which the backend {options.backend!r} brings for itself "
            "alone: give execute_fn."
        )
    return ask_model(_made(options.settings), prompt)


def ask_model(model: Any, prompt: str) -> str:
    """What a chat model of LangChain answers.

    Raises:
        ModelFailed: it did not answer.
    """
    try:
        return text_of(model.invoke(prompt))
    except Exception as error:  # a provider's package raises its own; diagnosed, or raised again
        if sentence := _diagnosed(error):
            raise ModelFailed(f"The model did not answer: {sentence}") from error
        raise


def text_of(answer: Any) -> str:
    """What a chat model said; older versions of LangChain have a method for it."""
    text = getattr(answer, "text", answer)
    return str(text() if callable(text) and not isinstance(text, str) else text)


def _made(settings: Mapping[str, Any]) -> Any:
    backend = LangchainBackend()
    backend.check(settings)  # before LangChain is imported, which may not be installed
    from shiftwork.agents.langchain.program.endings import Troubled  # noqa: PLC0415 - heavy, and an extra
    from shiftwork.agents.langchain.program.models import model_of  # noqa: PLC0415

    model, key = backend.here(settings)
    try:
        return model_of(model, key)
    except Troubled as error:
        raise InvalidInput(error.sentence) from error


def _diagnosed(error: Exception) -> str:
    """What went wrong with the model; '' if it was something else."""
    try:
        from shiftwork.agents.langchain.program.troubles import (  # noqa: PLC0415 - heavy, and an extra
            diagnose,
            diagnose_unreadable,
        )
    except ImportError:  # what was asked is no model of LangChain
        return ""
    found = diagnose(error, datetime.now(UTC)) or diagnose_unreadable(error)
    return found.sentence if found else ""
