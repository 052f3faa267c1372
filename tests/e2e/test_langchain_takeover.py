"""Hosts that are lost: others take their sessions over, and pay for nothing that was answered again."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio

from client.api import Shiftwork
from shiftwork.codec.keys import Key, KeyRing
from shiftwork.contracts.session import Role
from shiftwork.settings import Settings
from shiftwork.stack.dev import DevStack
from tests.e2e.lab import Lab, Project, eventually
from tests.e2e.langchain_staff import FEATURES, HAND_OVER, Staff, agent
from tests.e2e.support import (
    WorkerProcess,
    processes_of,
    quick_environment,
    quick_settings,
    simple_feature,
)
from tests.llm.script import Answer, Fault, Hang, Reply, Turn
from tests.llm.server import LlmServer

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

LOST = "was lost with the machine"
"""What an agent is told that goes on without its files."""


@dataclass
class Host:
    """A machine with a worker; nothing of its state folder but the private repositories is anybody else's."""

    state: Path
    worker: WorkerProcess

    @property
    def log(self) -> str:
        return self.state.with_suffix(".log").read_text()

    async def is_ready(self) -> None:
        async def look() -> bool:
            return "worker ready" in self.log

        await eventually(look)

    async def is_lost(self) -> None:
        """After its worker was killed: nothing of it runs, and nobody finds its files."""

        async def look() -> bool:
            return not processes_of(self.state)

        await eventually(look, every=0.2)
        gone = self.state.with_name(f"{self.state.name}-gone")
        self.state.rename(gone)
        gone.chmod(0)


@dataclass
class Hosts:
    """The servers, a client, and hosts that share the database, the codec's keys and the repositories."""

    settings: Settings
    environment: dict[str, str]
    folder: Path
    shiftwork: Shiftwork
    linked: list[Path] = field(default_factory=list)

    @contextmanager
    def host(self, name: str, project: Project) -> Iterator[Host]:
        """A machine whose worker can be started, and is ended with the block."""
        state = self.folder / name
        self._link(state, project.id)
        environment = quick_environment(state, **self.environment)
        worker = WorkerProcess(environment, state.with_suffix(".log"))
        try:
            yield Host(state, worker)
        finally:
            worker.kill()

    def _link(self, state: Path, project_id: str) -> None:
        state.mkdir(mode=0o700, exist_ok=True)
        own = state / "projects" / project_id
        shared = self.folder / "repositories" / project_id
        for folder in (own.parent, own, shared):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (own / "repository.git").symlink_to(shared)

    async def project(self, wire: str, server: LlmServer, *, planned: bool) -> Project:
        """A project with our agent in every role, which is not started yet."""
        lab = Lab(self.shiftwork, self.settings, self.folder)
        project = await lab.project(
            [simple_feature("a")] if planned else FEATURES, planned=planned, start=False
        )
        self._link(self.settings.state, project.id)
        chosen = agent(wire, server)
        everybody = {"agent": chosen, **({} if planned else {"roles": {Role.VERIFIER: chosen}})}
        async with self.shiftwork.store.transaction() as tx:
            row = await tx.projects.get(project.id)
            options = row.options.model_copy(update=everybody)
            await tx.projects.save(project.id, row.revision + 1, options=options)
        return project


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers(tmp_path_factory) -> AsyncIterator[tuple[Settings, dict[str, str]]]:
    """Servers of this module's own, and what else its hosts are told."""
    folder = tmp_path_factory.mktemp("servers")
    keys = folder / "keys.json"
    keys.write_text(KeyRing((Key.generate(),), "a test").dumps())
    keys.chmod(0o600)
    codec = {"SHIFTWORK_CODEC": "on", "SHIFTWORK_CODEC_KEYS": f"file:{keys}"}
    settings = quick_settings(folder / "state", **codec)
    async with DevStack(settings) as stack:
        assert stack.temporal_address is not None
        where = {
            "SHIFTWORK_DATABASE_URL": stack.database_url,
            "TEMPORAL_ADDRESS": stack.temporal_address,
            "TEMPORAL_NAMESPACE": stack.namespace,
        }
        yield settings, codec | where


@pytest_asyncio.fixture(loop_scope="module")
async def hosts(servers, tmp_path: Path) -> AsyncIterator[Hosts]:
    settings, environment = servers
    async with Shiftwork(settings) as shiftwork:
        yield Hosts(settings, environment, tmp_path, shiftwork)


def working(turn: Turn, waits: str) -> Answer | None:
    """A session on `a` that makes two files, waits, and makes the first again if it was lost."""
    if "hand_over" not in turn.tools or "Your one feature: a" not in turn.user_text:
        return None
    calls = [
        ("record_decision", {"decision": "write a", "reasoning": "it is asked for"}),
        ("execute", {"command": "echo once >> log.txt"}),
        ("execute", {"command": f"{waits}; echo done > a.txt"}),
    ]
    if len(turn.tool_results) < len(calls):
        return Reply("now", (calls[len(turn.tool_results)],))
    if LOST in turn.user_text and "made again" not in turn.tool_results[-1]:
        again = "echo once >> log.txt; echo done > a.txt; echo made again"
        return Reply("again", (("execute", {"command": again}),))
    return Reply("over", (HAND_OVER,))


@pytest.mark.parametrize("moment", ["in a command", "in a question"])
async def test_another_host_goes_on_with_a_session(moment: str, hosts: Hosts) -> None:
    """If it failed, the loss of a machine would have answers paid for twice, or a feature fail for it."""
    here, first = hosts.folder / "here", {}
    in_question = moment == "in a question"

    def script(turn: Turn) -> Answer | None:
        asked = len(turn.tool_results) == 2 and "Your one feature: a" in turn.user_text
        if in_question and asked and "host" in first:
            # At this moment all that was answered before is in the database, however quick this was.
            first.pop("host").worker.kill()
            here.touch()
            return Hang()
        return working(turn, "true" if in_question else f"touch {here}; sleep 5")

    staff = Staff(script)
    with LlmServer.in_thread(staff) as server:
        project = await hosts.project("openai" if in_question else "anthropic", server, planned=False)
        with hosts.host("one", project) as one, hosts.host("two", project) as two:
            first["host"] = one
            one.worker.start()
            await hosts.shiftwork.open(project.id)
            await _reached(here)
            two.worker.start()
            if not in_question:
                await asyncio.sleep(1)  # the call's own beginning is copied
                one.worker.kill()
            await one.is_lost()
            await two.is_ready()
            status = await project.rest(seconds=200)
            assert (status["status"], status["reason"]) == ("completed", "")
            started = [event.data for event in await project.events("attempt_started")]
            assert [s["attempt"] for s in started if s["role"] == "session"] == [1, 2]
            await _no_process_lives(two)
    # Nothing that was answered is asked again but the question that was in flight.
    assert set(staff.asked.values()) == {1}
    on_a = [turn for turn in server.turns if "Your one feature: a" in turn.user_text and turn.tools]
    asked = Counter(len(turn.tool_results) for turn in on_a)
    assert asked == {0: 1, 1: 1, 2: 1 + in_question, 3: 1, 4: 1}
    assert any(LOST in turn.user_text for turn in server.turns)
    names = [feature["name"] for feature in FEATURES]
    assert project.landings() == names
    assert project.read("log.txt").splitlines() == ["once"]
    assert (await project.features())["a"].attempts == 0
    async with hosts.shiftwork.store.transaction() as tx:
        decisions = [each.decision for each in await tx.decisions.history(project.id)]
        assert sorted(decisions) == sorted(f"write {name}" for name in names)
        for session in await tx.sessions.list(project.id):
            assert await tx.conversations.find(session.id) is None


async def test_the_next_session_goes_on_elsewhere(hosts: Hosts) -> None:
    """If it failed, a limit of a provider and then a lost machine would cost all that was paid for before."""
    limit: list[Answer] = [Fault(429, headers={"retry-after": "7200"})]
    staff = Staff(lambda turn: limit.pop() if len(turn.tool_results) == 2 and limit else None)
    with LlmServer.in_thread(staff) as server:
        project = await hosts.project("anthropic", server, planned=True)
        with hosts.host("one", project) as one:
            one.worker.start()
            await hosts.shiftwork.open(project.id)
            await eventually(lambda: _waits(project))
            await project.control()  # answered once the workflow, not its rows alone, knows of the limit
            one.worker.kill()
            await one.is_lost()
        now = await project.now()
        with hosts.host("two", project) as two:
            two.worker.start()
            await hosts.shiftwork.resume(project.id)
            status = await project.rest(now, seconds=200)
            assert (status["status"], status["reason"]) == ("completed", "")
            await _no_process_lives(two)
    assert sorted(staff.asked.values()) == [1, 1, 2], "only what was refused is asked again"
    assert not any(LOST in turn.user_text for turn in server.turns), "what was kept is in the repository"
    assert len(await project.events("session_started")) == 2
    assert (await project.features())["a"].attempts == 0
    assert project.read("a.txt") == "done"
    async with hosts.shiftwork.store.transaction() as tx:
        assert len(await tx.decisions.history(project.id)) == 1
        for session in await tx.sessions.list(project.id):
            assert await tx.conversations.find(session.id) is None


async def _waits(project: Project) -> bool:
    """Whether it is written that the limit's end is waited for."""
    status = await project.lab.shiftwork.status(project.id)
    return status["not_before"] is not None and not status["current_sessions"]


async def _reached(path: Path) -> None:
    async def look() -> bool:
        return path.exists()

    await eventually(look, 120)


async def _no_process_lives(host: Host) -> None:
    async def look() -> bool:
        return not processes_of(host.state)

    await eventually(look, every=0.2)
