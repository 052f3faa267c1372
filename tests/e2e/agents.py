"""Projects done by real agent programs, whose model is a script."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shiftwork.contracts.feature import FeatureSpec
from shiftwork.contracts.project import AgentOptions, ProjectOptions
from tests.e2e.lab import Lab, Project
from tests.e2e.support import simple_feature
from tests.llm.programs import find_program_or_skip
from tests.llm.script import Answer, Reply, Turn
from tests.llm.server import LlmServer

MODELS = {
    "claude": "claude-sonnet-4-5",
    "codex": "gpt-5-codex",
    "gemini": "gemini-2.5-pro",
    "opencode": "test/gpt-5-mini",
}
KEYS = {
    "claude": "ANTHROPIC_API_KEY",
    "codex": "OPENAI_API_KEY",
    "gemini": "GEMINI_API_KEY",
    "opencode": "OPENAI_API_KEY",
}
PATHS = {"claude": "", "codex": "/v1", "gemini": "", "opencode": "/v1"}
FEATURE = re.compile(r"Your one feature: (\w+)")


def shell(turn: Turn, command: str) -> Reply:
    """Have the program run a command, by whatever tool it has for that."""
    if "Bash" in turn.tools:
        return Reply(tool_calls=(("Bash", {"command": command, "description": "work"}),))
    if "bash" in turn.tools:
        return Reply(tool_calls=(("bash", {"command": command, "description": "work"}),))
    if "run_shell_command" in turn.tools:
        return Reply(tool_calls=(("run_shell_command", {"command": command}),))
    if "exec_command" in turn.tools:
        return Reply(tool_calls=(("exec_command", {"cmd": command}),))
    if "shell_command" in turn.tools:
        return Reply(tool_calls=(("shell_command", {"command": command}),))
    return Reply(tool_calls=(("shell", {"command": ["sh", "-c", command]}),))


@dataclass
class Model:
    """The scripted model: does each feature with one command, unless told otherwise.

    Attributes:
        instead: is asked first; None leaves the turn to the script.
        commands: what is run for a feature, by its name.
    """

    features: list[dict[str, Any]]
    instead: Callable[[Turn], Answer | None] = lambda _: None
    commands: dict[str, str] = field(default_factory=dict)

    def __call__(self, turn: Turn) -> Answer:
        """The answer to one turn."""
        if not turn.tools:
            return Reply("ok")
        if (answer := self.instead(turn)) is not None:
            return answer
        if turn.tool_results:
            return Reply("All done.")
        found = FEATURE.findall(turn.user_text)
        return shell(turn, self._command(found[-1]) if found else self._plan(turn.user_text))

    def _command(self, feature: str) -> str:
        return self.commands.get(feature, f"echo done > {feature}.txt")

    def _plan(self, told: str) -> str:
        """By its path as the prompt tells it: some programs give tools an environment of their own."""
        outbox = re.findall(r"is the folder `([^`]*/outbox)`", told)[-1]
        return f"cat > {outbox}/plan.json <<'END'\n{json.dumps({'features': self.features})}\nEND"


@dataclass(frozen=True)
class Bench:
    """A program, its model's server, and a lab to make projects in."""

    program: str
    lab: Lab
    server: LlmServer
    model: Model

    async def project(
        self,
        *,
        planned: bool = True,
        credentials: Mapping[str, str] | None = None,
        settings: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Project:
        """A project that this program does."""
        given = {
            "program": find_program_or_skip(self.program),
            "model": MODELS[self.program],
            "base_url": self.server.url + PATHS[self.program],
            "environment": dict(credentials or {KEYS[self.program]: "no-secret"}),
        }
        agent = AgentOptions(backend=self.program, settings={**given, **(settings or {})})
        shiftwork, folder = self.lab.shiftwork, self.lab.folder
        folder.chmod(0o777)
        row = await shiftwork.create(
            f"{self.program}-{folder.name}",
            "Write files.",
            repository=folder / "repository",
            options=ProjectOptions(agent=agent, sandbox={"writable": [str(folder)]}, **options),
        )
        if planned:
            specs = [FeatureSpec.model_validate(f) for f in self.model.features]
            async with shiftwork.store.transaction() as tx:
                await tx.features.adopt(row.id, specs, 1)
        await shiftwork.open(row.id)
        return Project(self.lab, row.id, Path(folder / "repository"), Path())


@contextmanager
def bench(program: str, lab: Lab, *names: str) -> Iterator[Bench]:
    """A scripted model for this program, and simple features of these names."""
    find_program_or_skip(program)
    model = Model([simple_feature(name) for name in names])
    with LlmServer.in_thread(model) as server:
        yield Bench(program, lab, server, model)
