"""The agent backends by name."""

from collections.abc import Mapping

from shiftwork.agents.acp import AcpBackend
from shiftwork.agents.claude import ClaudeBackend
from shiftwork.agents.codex import CodexBackend
from shiftwork.agents.command import CommandBackend
from shiftwork.agents.gemini import GeminiBackend
from shiftwork.agents.langchain.backend import LangchainBackend
from shiftwork.agents.langchain.providers import PROVIDERS
from shiftwork.agents.opencode import OpencodeBackend
from shiftwork.agents.protocol import AgentBackend
from shiftwork.agents.python.backend import PythonBackend
from shiftwork.agents.scripted import ScriptedBackend
from shiftwork.errors import InvalidInput


def backends() -> Mapping[str, AgentBackend]:
    """Every backend, by the name that a project's options give."""
    return {
        backend.name: backend
        for backend in (
            ScriptedBackend(),
            AcpBackend(),
            ClaudeBackend(),
            CodexBackend(),
            CommandBackend(),
            GeminiBackend(),
            LangchainBackend(),
            OpencodeBackend(),
            PythonBackend(),
        )
    }


def find_backend(name: str) -> AgentBackend:
    """The backend of that name; raises `InvalidInput` naming the known ones."""
    known = backends()
    if name not in known:
        sentence = f"Agent backend {name!r} is not known; known are: {', '.join(sorted(known))}."
        raise InvalidInput(sentence + _hint(name))
    return known[name]


def _hint(name: str) -> str:
    """What to write, for somebody who names a provider of models where an agent belongs; else nothing."""
    if name not in PROVIDERS:
        return ""
    return f" For a model of {name}, the agent is 'langchain', with the model '{name}:MODEL'."
