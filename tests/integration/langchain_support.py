"""Running the program of the backend `langchain` by itself, against the scripted model server."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shiftwork.agents.brief import BriefRequest, FeatureBrief, ProjectBrief, write_brief
from shiftwork.agents.langchain.config import CONFIG_FILE, TOKEN_VARIABLE, ModelConfig, ProgramConfig
from shiftwork.contracts.feature import VerificationStep
from shiftwork.contracts.session import Role

WIRES = ("anthropic", "openai")
HAND_OVER = ("hand_over", {"summary": "all done"})


@dataclass
class Done:
    """What came of a run."""

    status: int
    events: list[dict[str, Any]]
    errors: str

    @property
    def last(self) -> dict[str, Any]:
        return self.events[-1]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["kind"] == kind]


@dataclass
class Bench:
    """Folders of one agent, and how its program is started."""

    folder: Path
    url: str
    wire: str = "anthropic"
    role: Role = Role.SESSION
    settings: dict[str, Any] = field(default_factory=dict)
    steps: tuple[VerificationStep, ...] = ()
    spec: str = ""
    prompt: str = "Do the task."

    def __post_init__(self) -> None:
        for name in ("workspace", "outbox", "home"):
            (self.folder / name).mkdir(exist_ok=True)
        self.workspace, self.outbox, self.home = (self.folder / n for n in ("workspace", "outbox", "home"))
        feature = FeatureBrief(id=1, name="a", verification_steps=self.steps)
        asked = None if self.role is Role.INITIALIZER else feature
        project = ProjectBrief(id="p", name="Project", spec=self.spec)
        write_brief(
            self.folder / "brief", BriefRequest(project=project, role=self.role, session=1, feature=asked)
        )

    def config(self) -> ProgramConfig:
        base = self.url if self.wire == "anthropic" else f"{self.url}/v1"
        name = {"anthropic": "anthropic:claude-scripted", "openai": "openai:gpt-scripted"}[self.wire]
        model = self.settings.pop("model", ModelConfig(name=name, base_url=base))
        given = {"retry_seconds": 0.05, "conversation": "c1"} | self.settings
        return ProgramConfig(model=model, role=self.role, **given)

    def start(self, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """The program, in a process group of its own."""
        path = self.home / CONFIG_FILE
        path.write_text(self.config().model_dump_json())
        variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "SHIFTWORK_BRIEF": str(self.folder / "brief"),
            "SHIFTWORK_OUTBOX": str(self.outbox),
            TOKEN_VARIABLE: "token",
            **(env or {}),
        }
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "shiftwork.agents.langchain"],
            cwd=self.workspace,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert process.stdin is not None
        process.stdin.write(self.prompt)
        process.stdin.close()
        process.stdin = None
        return process

    def run(self, env: Mapping[str, str] | None = None, timeout: float = 60) -> Done:
        """Run it to its end."""
        process = self.start(env)
        try:
            output, errors = process.communicate(timeout=timeout)
        finally:
            kill(process)
        lines = output.splitlines()
        assert all(line.startswith('{"kind"') for line in lines), output
        return Done(process.returncode, [json.loads(line) for line in lines], errors)

    def left(self, name: str) -> Any:
        text = (self.outbox / name).read_text()
        return [json.loads(line) for line in text.splitlines()] if name.endswith("l") else json.loads(text)


def kill(process: subprocess.Popen[str]) -> None:
    """Kill the whole group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def lines(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """Its events, as they come."""
    assert process.stdout is not None
    for line in process.stdout:
        yield json.loads(line)
