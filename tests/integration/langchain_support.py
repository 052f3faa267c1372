"""Running the program of the backend `langchain` by itself, against the scripted model server."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shiftwork.agents.brief import BriefRequest, FeatureBrief, ProjectBrief, write_brief
from shiftwork.agents.langchain.config import CONFIG_FILE, TOKEN_VARIABLE, ModelConfig, ProgramConfig
from shiftwork.contracts.feature import VerificationStep
from shiftwork.contracts.session import Role

WIRES = ("anthropic", "openai")
"""Those that every trouble is tried on."""

_MODELS = {
    "anthropic": ("anthropic:claude-scripted", ""),
    "openai": ("openai:gpt-scripted", "/v1"),
    "gemini": ("google_genai:gemini-scripted", ""),
    "ollama": ("ollama:scripted", ""),
}
"""The names of models, and what their packages expect behind the address."""

HAND_OVER = ("hand_over", {"summary": "all done"})


class Nursery:
    """A process from which the program is forked, see `langchain_nursery`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("langchain_nursery.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )

    @classmethod
    @contextmanager
    def open(cls) -> Iterator["Nursery"]:
        nursery = cls()
        try:
            nursery._heard()
            yield nursery
        finally:
            nursery._process.kill()
            nursery._process.communicate()

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._heard()

    def _heard(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


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
class Running:
    """A program that runs."""

    pid: int
    folder: Path
    nursery: Nursery

    @property
    def events(self) -> list[dict[str, Any]]:
        lines = (self.folder / "stdout").read_text().splitlines(keepends=True)
        assert all(line.startswith('{"kind"') for line in lines), lines
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def until(self, found: Callable[[list[dict[str, Any]]], bool], timeout: float = 150) -> None:
        """Wait until this is true of its events."""
        deadline = time.monotonic() + timeout
        while not found(self.events):
            assert time.monotonic() < deadline, (self.events, (self.folder / "stderr").read_text())
            time.sleep(0.01)

    def signal(self, number: int) -> None:
        """To the whole group."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def kill(self) -> Done:
        self.signal(signal.SIGKILL)
        return self.wait()

    def wait(self) -> Done:
        status = self.nursery.ask(wait=self.pid)["status"]
        return Done(status, self.events, (self.folder / "stderr").read_text())


@dataclass
class Bench:
    """Folders of one agent, and how its program is started."""

    nursery: Nursery
    folder: Path
    url: str
    wire: str = "anthropic"
    role: Role = Role.SESSION
    settings: dict[str, Any] = field(default_factory=dict)
    steps: tuple[VerificationStep, ...] = ()
    spec: str = ""
    prompts: Mapping[Role, str] = field(default_factory=dict)
    prompt: str = "Do the task."

    def __post_init__(self) -> None:
        self.workspace, self.outbox, self.home = (
            self.folder / name for name in ("workspace", "outbox", "home")
        )
        for path in (self.workspace, self.outbox, self.home):
            path.mkdir(exist_ok=True)
        feature = FeatureBrief(id=1, name="a", verification_steps=self.steps)
        asked = None if self.role is Role.INITIALIZER else feature
        project = ProjectBrief(id="p", name="Project", spec=self.spec)
        request = BriefRequest(
            project=project, role=self.role, session=1, feature=asked, prompts=self.prompts
        )
        write_brief(self.folder / "brief", request)

    def config(self) -> ProgramConfig:
        model = ModelConfig(name=_MODELS[self.wire][0], base_url=self.url + _MODELS[self.wire][1])
        given = {"model": model, "retry_seconds": 0.02, "conversation": "c1"} | self.settings
        return ProgramConfig(role=self.role, **given)

    def variables(self) -> dict[str, str]:
        (self.home / CONFIG_FILE).write_text(self.config().model_dump_json())
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "SHIFTWORK_BRIEF": str(self.folder / "brief"),
            "SHIFTWORK_OUTBOX": str(self.outbox),
            TOKEN_VARIABLE: "token",
        }

    def start(self, env: Mapping[str, str] | None = None) -> Running:
        """The program, in a session of its own."""
        (self.folder / "stdin").write_text(self.prompt)
        (self.folder / "stdout").write_text("")
        files = {name: str(self.folder / name) for name in ("stdin", "stdout", "stderr")}
        environment = {**self.variables(), **(env or {})}
        answer = self.nursery.ask(env=environment, cwd=str(self.workspace), **files)
        return Running(answer["pid"], self.folder, self.nursery)

    def run(self, env: Mapping[str, str] | None = None) -> Done:
        """Run it to its end, which comes by itself."""
        return self.start(env).wait()

    def file(self, name: str) -> str:
        """The path of a file in the workspace, as a tool wants it."""
        return str(self.workspace / name)

    def left(self, name: str) -> Any:
        """A file of the outbox: JSON, or a list of JSON lines."""
        text = (self.outbox / name).read_text()
        return [json.loads(line) for line in text.splitlines()] if name.endswith("l") else json.loads(text)
