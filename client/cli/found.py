"""Which agents can be used here, and what each needs where it is confined."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from queue import Empty, Queue
from time import monotonic
from types import MappingProxyType
from typing import Final

from shiftwork.agents.protocol import AgentBackend, BackendReport, Settings
from shiftwork.contracts.sandbox import Profile
from shiftwork.errors import InvalidInput

_SECONDS = 10.0
"""How long all backends together may take to be looked at; they are looked at side by side."""

_OWN_PROGRAM = (
    "'argv'; to reach a model also 'provider', and its key: ANTHROPIC_API_KEY, OPENAI_API_KEY or "
    "GEMINI_API_KEY in the worker's environment, or 'credential'"
)
NEEDS: Final = MappingProxyType(
    {
        "acp": _OWN_PROGRAM,
        "claude": (
            "ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN or CLAUDE_CODE_OAUTH_TOKEN (made by "
            "`claude setup-token`) in the worker's environment, or 'credential'; a stored login is not used"
        ),
        "codex": (
            "CODEX_API_KEY or OPENAI_API_KEY in the worker's environment, or 'credential'; a stored "
            "`codex login` works in the profile open alone"
        ),
        "command": _OWN_PROGRAM,
        "gemini": "GEMINI_API_KEY or GOOGLE_API_KEY in the worker's environment, or 'credential'",
        "langchain": (
            "'model' as provider:model; and the key: ANTHROPIC_API_KEY, OPENAI_API_KEY, … of its provider in "
            "the worker's environment, or 'credential'; Ollama's models need none"
        ),
        "opencode": (
            "'model' as anthropic/…, openai/… or google/…, or 'base_url'; and the key, as a variable of the "
            "worker's that 'pass_environment' names, or 'credential'"
        ),
        "python": "'code' or 'file'; to reach a model the same as `command`",
        "scripted": "nothing but its cassette",
    }
)
"""By backend, what it needs in the profiles `strict` and `networked`; words in quotes are its settings."""

_BY_SETTINGS = frozenset({"acp", "command", "langchain", "opencode", "python"})
"""Backends of which nothing can be said without a project's settings."""


@dataclass(frozen=True, slots=True)
class Found:
    """One backend on this machine.

    Attributes:
        unconfinable: why it can't be used in `strict` and `networked`, though nothing is missing for `open`.
    """

    report: BackendReport
    unconfinable: str | None = None

    @property
    def usable_in(self) -> tuple[Profile, ...]:
        """The profiles in which nothing is missing, as far as this shell knows."""
        if not self.report.usable:
            return ()
        return tuple(Profile) if self.unconfinable is None else (Profile.OPEN,)

    @property
    def missing(self) -> tuple[str, ...]:
        """One sentence each."""
        return tuple(filter(None, (*self.report.problems, self.unconfinable)))


def unconfinable(backend: AgentBackend, settings: Settings) -> str | None:
    """Why the gateway can't stand in for the provider of a backend's model; None if it can."""
    try:
        backend.provider(settings)
    except InvalidInput as error:
        return str(error)
    return None


def find_all(known: Mapping[str, AgentBackend], seconds: float = _SECONDS) -> tuple[Found, ...]:
    """What is found of these backends, by name; one that takes longer, or breaks, is a problem."""
    answers: Queue[Found] = Queue()
    for backend in known.values():
        # A daemon, so that a program that never answers does not keep the command from ending.
        threading.Thread(target=lambda one=backend: answers.put(_find(one)), daemon=True).start()
    late = f"It did not answer within {seconds:g} s: run its program by hand to see why."
    found = {name: Found(BackendReport(name, problems=(late,))) for name in known}
    deadline = monotonic() + seconds
    for _ in known:
        try:
            one = answers.get(timeout=max(0.0, deadline - monotonic()))
        except Empty:
            break
        found[one.report.name] = one
    return tuple(found[name] for name in sorted(found))


def _find(backend: AgentBackend) -> Found:
    try:
        report = backend.diagnose({})
        by_settings = not report.usable or backend.name in _BY_SETTINGS
        return Found(report, None if by_settings else unconfinable(backend, {}))
    except Exception as error:  # noqa: BLE001 - one backend that breaks must not hide the others
        return Found(BackendReport(backend.name, problems=(f"Looking for it failed: {error}",)))
