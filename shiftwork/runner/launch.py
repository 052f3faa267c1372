"""From an agent's description to a program and what understands its output."""

import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shiftwork.agents.events import AgentEvent, AgentEventKind
from shiftwork.agents.langchain.providers import as_settings_of
from shiftwork.agents.protocol import AgentBackend, AgentCommand, AgentRequest, Reader
from shiftwork.agents.registry import backends
from shiftwork.errors import ShiftworkError
from shiftwork.runner.config import AgentConfig, ProcessRunnerConfig
from shiftwork.runner.environment import child_environment
from shiftwork.runner.failures import InvalidContext, ProviderError, SpawnFailed
from shiftwork.runner.limits import Limits
from shiftwork.runner.process import Program, working_folder
from shiftwork.secrets import known_secrets
from shiftwork.secrets.forms import is_weak
from shiftwork.text import printable

_MODELS = frozenset({"openai", "ollama"})
"""Providers of models, which are no agents by themselves: an agent of LangChain asks them."""

_AGENT_OF_MODELS = "langchain"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be started.

    Attributes:
        stdin: what it reads first; its standard input is closed after that, and stays open without it.
        interrupt_first: it ends most cleanly when it is interrupted before TERM.
    """

    program: Program
    stdin: bytes = field(repr=False)
    reader: Reader
    interrupt_first: bool


class PlainLines:
    """Understands programs that speak no protocol: each line is text, and the exit status decides."""

    def read(self, line: bytes) -> Iterable[AgentEvent]:
        """See `Reader.read`."""
        text = printable(line.decode("utf-8", "replace"))
        return (AgentEvent(kind=AgentEventKind.TEXT, text=text),)

    def end(self, exit_status: int) -> Iterable[AgentEvent]:
        """See `Reader.end`."""
        text = "" if exit_status == 0 else f"The program ended with status {exit_status}."
        return (AgentEvent(kind=AgentEventKind.FINISHED, ok=exit_status == 0, text=text),)


def plan(agent: AgentConfig, config: ProcessRunnerConfig) -> Plan:
    """What to start for this agent; blocks for a few file look-ups.

    Raises:
        ProviderError: its backend is no agent, or its settings can't work.
        SpawnFailed: its program or its folder does not exist, or an argument would show a secret.
        InvalidContext: its prompt can't be written down.
    """
    folder = working_folder(config.working_dir)
    if not folder.is_dir():
        raise SpawnFailed(
            f"Agent {agent.name!r} was not started: its folder {str(folder)!r} does not exist.",
            hint="Make it, or name another one as working_dir.",
        )
    name, known = agent.model_backend, backends()
    of_model = _AGENT_OF_MODELS if name in _MODELS else name
    backend = None if name in config.commands else known.get(of_model)
    if backend is not None:
        command, reader = _through(backend, _request(agent, folder, config), name)
    else:
        command, reader = _bare_command(agent, config), PlainLines()
    _check_arguments(agent, command.argv)
    env = child_environment(os.environ, {**command.env, **agent.environment})
    return Plan(
        Program(
            argv=(_find(command.argv[0], folder, env, agent, backend), *command.argv[1:]),
            cwd=folder,
            env=env,
            limits=config.limits or Limits(),
            stall_timeout=config.stall_timeout,
            keep=config.max_output_size,
            wait=config.output == "wait",
            lease=config.lease,
        ),
        command.stdin,
        reader if config.enable_json_streaming else PlainLines(),
        interrupt_first=backend is not None and backend.interrupt_first,
    )


def _request(agent: AgentConfig, folder: Path, config: ProcessRunnerConfig) -> AgentRequest:
    name = agent.model_backend
    settings = config.settings.get(name, {})
    return AgentRequest(
        workspace=folder,
        prompt="\n\n".join(part for part in (agent.task, agent.context) if part),
        system_prompt=agent.system_prompt or "",
        settings=as_settings_of(name, settings) if name in _MODELS else settings,
    )


def _through(backend: AgentBackend, request: AgentRequest, name: str) -> tuple[AgentCommand, Reader]:
    try:
        backend.check(request.settings)
        return backend.command(request), backend.reader(request)
    except ShiftworkError as error:
        raise ProviderError(str(error), provider=name) from error
    except UnicodeEncodeError as error:
        raise InvalidContext(f"The agent's prompt is no text: {error}.", field="task") from error


def _bare_command(agent: AgentConfig, config: ProcessRunnerConfig) -> AgentCommand:
    prompt = "\n\n".join(part for part in (agent.system_prompt, agent.task, agent.context) if part)
    name = agent.model_backend
    if name in config.commands:
        return AgentCommand(tuple(word.replace("{task}", prompt) for word in config.commands[name]))
    path = os.environ.get("PATH", os.defpath)
    short = name.removesuffix("-cli")
    if shutil.which(short, path=path) and not shutil.which(name, path=path):
        name = short
    return AgentCommand((name, prompt))


def _check_arguments(agent: AgentConfig, argv: Sequence[str]) -> None:
    for secret in known_secrets(os.environ):
        value = secret.reveal()
        if not is_weak(value) and any(value in argument for argument in argv):
            raise SpawnFailed(
                f"Agent {agent.name!r} was not started: an argument would show the secret {secret.name!r} "
                "in the list of processes.",
                hint="Give it in a variable of AgentConfig.environment instead.",
            )


def _find(
    name: str, folder: Path, env: dict[str, str], agent: AgentConfig, backend: AgentBackend | None
) -> str:
    """The absolute path of a program; links stay, because environments depend on them."""
    path = env.get("PATH", os.defpath)
    found = shutil.which(str(folder / name) if "/" in name else name, path=path)
    if found is not None:
        return os.path.abspath(found)  # noqa: PTH100 - see above
    looked_in = (str((folder / name).parent),) if "/" in name else tuple(path.split(os.pathsep))
    hint = f"Install it, or give a command for {agent.model_backend!r} in ProcessRunnerConfig.commands."
    if backend is not None:
        hint = " ".join(backend.diagnose({}).problems) or hint
    raise SpawnFailed(
        f"Agent {agent.name!r} was not started: the program {name!r} is not in {', '.join(looked_in)}.",
        program=name,
        looked_in=looked_in,
        hint=hint,
    )
