"""The lease of what a worker started: it is fed by the worker's event loop, and ends with that."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from landlock_support import open_place
from process_support import living, shell, token, wait_until_dead

from shiftwork.agents.command import CommandBackend
from shiftwork.agents.protocol import AgentRequest
from shiftwork.agents.run import run_agent_process
from shiftwork.contracts.session import InterruptionReason, RunStatus
from shiftwork.errors import LeaseLost
from shiftwork.runner import AgentConfig, AgentStatus, LocalProcessRunner, ProcessRunnerConfig, Timeout
from shiftwork.runner.supervisor import run
from shiftwork.sandbox.choose import candidates, cheap_sandbox, choose_sandbox, works
from shiftwork.sandbox.levels import Level
from shiftwork.verification.shell import Shell

SANDBOXES = [number for number, sandbox in enumerate(candidates()) if works(sandbox)]
LEVELS = [candidates()[number].level for number in SANDBOXES]
GUARDED = [number for number, level in zip(SANDBOXES, LEVELS, strict=True) if level in {"bwrap", "unshare"}]
"""Where a process of the same user inside reads the lease."""

# Has one agent at each level, confined where the level can, and says how each of them ended.
WORKER = textwrap.dedent("""
    import asyncio, json, os, sys, time
    from pathlib import Path
    from shiftwork.runner.supervisor import ProcessSpec, run
    from shiftwork.sandbox.choose import candidates
    from shiftwork.sandbox.confinement import Bind, Confinement
    from shiftwork.sandbox.levels import level_named
    from shiftwork.sandbox.user import choose_user

    order = json.loads(sys.argv[1])
    work = Path(order["folder"])

    waiting = len(order["sandboxes"])

    def hear(stream, line):
        global waiting
        print(line.decode(), flush=True)
        waiting -= 1
        if waiting == 0 and order["hangs"]:
            time.sleep(order["hangs"])

    async def one(sandbox):
        confines = "files" in level_named(sandbox.level).confines
        user = choose_user(work, namespaces=sandbox.own_network) if confines else None
        held = Confinement((Bind(work, work, writable=True),), user=user) if confines else None
        argv = ("/bin/sh", "-c", order["command"], sandbox.level)
        spec = ProcessSpec(argv, work, {"PATH": os.defpath}, confinement=held, lease=order["lease"])
        result = await run(spec, sandbox=sandbox, on_line=hear)
        return result.exit_status, result.lapsed

    async def main():
        sandboxes = [candidates()[number] for number in order["sandboxes"]]
        ends = await asyncio.gather(*map(one, sandboxes))
        print(json.dumps(ends), flush=True)

    asyncio.run(main())
""")


@contextmanager
def worker(command: str, *, lease: float, hangs: float = 0):
    """A worker whose agents have all said that they run."""
    with open_place() as place:
        order = {"sandboxes": SANDBOXES, "folder": str(place / "work"), "command": command}
        argv = [sys.executable, "-c", WORKER, json.dumps({**order, "lease": lease, "hangs": hangs})]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
            try:
                for _ in SANDBOXES:
                    assert process.stdout.readline() == "ready\n"
                yield process
            finally:
                process.kill()


def ends_of(process) -> dict[str, list]:
    return dict(zip(LEVELS, json.loads(process.stdout.readline()), strict=True))


def deaf(word: str) -> str:
    """Two processes that ignore TERM, one of them in a session of its own."""
    return f"trap '' TERM HUP; setsid sleep {word} & echo ready; sleep {word}"


def test_agents_of_a_stopped_worker_end(tmp_path):
    """Otherwise agents of a worker that was stopped, and not killed, would go on for ever."""
    word = token()
    with worker(deaf(word), lease=2) as process:
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(0.5)
        assert len(living(word)) >= 2 * len(LEVELS)
        assert wait_until_dead(word) == []
        os.kill(process.pid, signal.SIGCONT)
        assert ends_of(process) == {level: [137, True] for level in LEVELS}
        assert process.wait(100) == 0


def test_agents_of_a_worker_whose_event_loop_hangs_end(tmp_path):
    """Otherwise agents would go on that nobody watches, limits or pays attention to."""
    word = token()
    with worker(deaf(word), lease=1.5, hangs=3) as process:
        assert ends_of(process) == {level: [137, True] for level in LEVELS}
        assert living(word) == []
        assert process.wait(100) == 0


def test_a_worker_that_was_stopped_for_less_than_the_lease_goes_on(tmp_path):
    """Otherwise a moment's pause of a worker would cost it all of its agents."""
    with worker("echo ready; sleep 4; exit 3", lease=2.5) as process:
        for _ in range(2):
            time.sleep(0.2)
            os.kill(process.pid, signal.SIGSTOP)
            time.sleep(1.1)
            os.kill(process.pid, signal.SIGCONT)
        assert ends_of(process) == {level: [3, False] for level in LEVELS}
        assert process.wait(100) == 0


async def test_a_lease_lasts_as_long_as_it_is_fed(tmp_path):
    """Otherwise agents would end by themselves, and more of them on a busy machine."""
    result = await run(shell("sleep 3; exit 3", tmp_path, lease=1.2), sandbox=choose_sandbox(Level.NONE))
    assert (result.exit_status, result.lapsed) == (3, False)


@pytest.mark.parametrize("number", {SANDBOXES[0], SANDBOXES[-1]})
async def test_what_ended_by_itself_did_not_lapse(number, tmp_path):
    """Otherwise failures of an agent would be taken for those of its worker."""
    asyncio.get_running_loop().call_later(0.2, time.sleep, 1.5)
    result = await run(shell("sleep 0.4; exit 4", tmp_path, lease=1), sandbox=candidates()[number])
    assert (result.exit_status, result.lapsed) == (4, False)
    killed = await run(shell("kill -KILL $$", tmp_path), sandbox=candidates()[number])
    assert (killed.exit_status, killed.lapsed) == (137, False)


@pytest.mark.parametrize("word", ["KILL", "STOP"])
async def test_an_agent_that_disarmed_its_guardian_ends_once_the_worker_goes_on(word, tmp_path):
    """Otherwise an agent that is the worker's own user could outlive a pause of it, unseen and uncharged."""
    mark = token()
    # Unconfined it is the same user here, whoever runs this.
    spec = shell(f"kill -{word} 2; sleep {mark}; exit 137", tmp_path, lease=1, timeout=100)
    asyncio.get_running_loop().call_later(0.7, time.sleep, 1.8)
    results = await asyncio.gather(*(run(spec, sandbox=candidates()[number]) for number in GUARDED))
    ends = [(each.exit_status, each.lapsed, each.timed_out) for each in results]
    assert ends == [(137, True, False)] * len(GUARDED)
    assert living(mark) == []


class Impatient:
    """A sandbox whose leases are short."""

    def __init__(self, sandbox) -> None:
        self._sandbox = sandbox
        self.level = sandbox.level
        self.moves_binds = sandbox.moves_binds
        self.own_network = sandbox.own_network

    def works(self) -> bool:
        return self._sandbox.works()

    def start(self, launch):
        return self._sandbox.start(replace(launch, lease=1.0))


def hang() -> None:
    """Have the event loop that runs us hang for longer than an impatient lease, in a moment."""
    asyncio.get_running_loop().call_later(0.3, time.sleep, 1.8)


async def test_an_agent_whose_lease_lapsed_has_not_failed(tmp_path):
    """Otherwise a pause of the worker would cost the session an attempt."""
    request = AgentRequest(tmp_path, "go", settings={"argv": ["/bin/sleep", "100"]})
    hang()
    end = await run_agent_process(
        CommandBackend(),
        request,
        env={},
        sandbox=Impatient(choose_sandbox()),
        timeout=60,
        on_event=lambda _: asyncio.sleep(0),
    )
    assert (end.status, end.reason) == (RunStatus.INTERRUPTED, InterruptionReason.INFRASTRUCTURE)
    assert (end.failure, end.stopped) == (None, False)
    assert "lease" in end.message


async def test_a_command_whose_lease_lapsed_has_no_result(tmp_path):
    """Otherwise a feature would fail its verification because of a pause of the worker."""
    (tmp_path / "work").mkdir()
    hang()
    with pytest.raises(LeaseLost, match="run again"):
        await Shell(Impatient(choose_sandbox())).run(
            "sleep 100", cwd=tmp_path / "work", scratch=tmp_path / "scratch" / "home", timeout=60
        )


async def test_a_runner_says_that_a_lease_lapsed(tmp_path):
    """Otherwise whoever blocks his event loop would not learn why his agents are killed."""
    commands = {"sh": ["/bin/sh", "-c", "{task}"]}
    config = ProcessRunnerConfig(tmp_path, commands=commands, sandbox=cheap_sandbox(), lease=1)
    async with LocalProcessRunner(config) as runner:
        handle = await runner.spawn(AgentConfig("sleeper", "sh", "sleep 100"))
        hang()
        assert (await handle.wait(100)).code == 137
        assert handle.status() is AgentStatus.TERMINATED
        with pytest.raises(Timeout, match="lease of 1 s") as raised:
            handle.raise_for_status()
    assert raised.value.limit == "lease"


def test_a_lease_has_a_length():
    """Otherwise a lease of no length would be one for ever, or end all agents at once."""
    with pytest.raises(Exception, match="'lease' is 0"):
        ProcessRunnerConfig(Path(), lease=0)
