"""`doctor`: what this machine can run, and what is missing."""

import platform
import shutil
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from client.cli.exits import DONE, ERROR
from client.cli.folding import folded
from client.cli.found import NEEDS, Found, find_all
from client.cli.host import look_at_host
from client.cli.output import pairs, print_json, table
from client.cli.running import Running, look_at_running
from shiftwork.agents.registry import backends
from shiftwork.contracts.sandbox import Profile
from shiftwork.sandbox.choose import best_sandbox, too_weak
from shiftwork.sandbox.landlock import Landlock
from shiftwork.sandbox.levels import Level, default_minimum, level_named
from shiftwork.sandbox.obstacles import Kernel, obstacles
from shiftwork.settings import Settings
from shiftwork.shells import find_shell
from shiftwork.tasks.registry import FoundProcessors, find_processors

_GIT_SECONDS = 5.0
_USABLE = {0: "no", 1: "in open", len(Profile): "yes"}
"""By the number of profiles that an agent can be used in."""

_WHOSE = "Programs and keys are those of this shell; what counts is the environment of the worker."
_PYTHON = (3, 11)
_GIT = (2, 38)


@dataclass(frozen=True, slots=True)
class Confining:
    """How far programs are confined here.

    Attributes:
        level: of the strongest sandbox that works.
        minimum: what is asked for.
        leaves: what that level does not confine, by name, with a sentence on each.
        obstacles: a sentence on everything that keeps a stronger one from working.
        apparmor: the profile that we run under; empty where there is no AppArmor.
        problem: why the minimum is not reached, and what to do; None if it is.
    """

    level: str
    minimum: str
    leaves: Mapping[str, str]
    obstacles: tuple[str, ...]
    apparmor: str
    problem: str | None


@dataclass(frozen=True, slots=True)
class Machine:
    """What projects need of this machine, whoever their agent is.

    Attributes:
        git: its version; None if there is none.
        shell: the path of what runs projects' commands.
        sandbox: how far agents and verifications are confined here.
        state: the state folder.
        host: what is used of it, and whether another agent would begin.
        running: the stack and the worker.
        processors: what processes tasks here.
        problems: one sentence each: what is missing, and what to do.
    """

    python: str
    git: str | None
    shell: str
    sandbox: Confining
    state: str
    host: str
    running: Running
    processors: FoundProcessors
    problems: tuple[str, ...]


def doctor(args: Namespace) -> int:
    """Look at the machine and at every backend, and tell."""
    machine = look_at_machine(Settings.from_environment())
    agents = find_all(backends())
    if args.json:
        print_json(_facts(machine, agents))
    else:
        print(_page(machine, agents))
    return ERROR if machine.problems else DONE


def look_at_machine(settings: Settings) -> Machine:
    """See `Machine`; starts nothing but version queries and a probe of the sandbox."""
    problems = []
    if sys.version_info < _PYTHON:
        problems.append("Shiftwork needs Python 3.11 or newer: run it with one.")
    git = git_version()
    if git is None or _numbers(git) < _GIT:
        problems.append("Shiftwork needs git 2.38 or newer: install it first.")
    running = look_at_running(settings)
    problems += running.problems
    sandbox = look_at_sandbox(settings.sandbox_minimum)
    if sandbox.problem is not None:
        problems.append(sandbox.problem)
    return Machine(
        platform.python_version(),
        git,
        find_shell(),
        sandbox,
        str(settings.state),
        look_at_host(settings),
        running,
        find_processors(),
        tuple(problems),
    )


def look_at_sandbox(minimum: Level | None = None) -> Confining:
    """See `Confining`; tries the sandboxes of this machine, strongest first."""
    least = default_minimum() if minimum is None else minimum
    sandbox = best_sandbox()
    level = level_named(sandbox.level)
    leaves = dict(level.leaves)
    if isinstance(sandbox, Landlock) and sandbox.abi.gaps:
        leaves["kernel"] = " ".join(sandbox.abi.gaps)
    return Confining(
        sandbox.level,
        least.label,
        leaves,
        tuple(one.reason for one in obstacles() if max(one.levels) > level),
        Kernel().apparmor,
        str(too_weak(least)) if level < least else None,
    )


def git_version() -> str | None:
    """The version of the git on `PATH`; None if there is none that works."""
    program = shutil.which("git")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=_GIT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.removeprefix("git version").strip() or None


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version such as `2.39.2 (Apple Git-143)`."""
    parts = version.split(maxsplit=1)[0].split(".")
    return tuple(int(part) for part in parts if part.isdigit())


def _facts(machine: Machine, agents: Iterable[Found]) -> dict[str, Any]:
    return {
        "usable": not machine.problems,
        "python": machine.python,
        "git": machine.git,
        "shell": machine.shell,
        "sandbox": machine.sandbox.level,
        "sandbox_minimum": machine.sandbox.minimum,
        "sandbox_leaves": dict(machine.sandbox.leaves),
        "sandbox_obstacles": list(machine.sandbox.obstacles),
        "apparmor": machine.sandbox.apparmor or None,
        "state": machine.state,
        "host": machine.host,
        "stack": machine.running.stack,
        "worker": {
            "running": machine.running.worker,
            "sandboxes": list(filter(None, machine.running.levels)),
        },
        "providers": {
            "known": list(machine.processors.names),
            "problems": list(machine.processors.problems),
        },
        "problems": list(machine.problems),
        "backends": [
            {
                "name": agent.report.name,
                "found": agent.report.program,
                "version": agent.report.version,
                "usable": Profile.STRICT in agent.usable_in,
                "usable_in": list(agent.usable_in),
                "missing": list(agent.missing),
                "needs_in_strict": NEEDS[agent.report.name],
            }
            for agent in agents
        ],
    }


def _page(machine: Machine, agents: Iterable[Found]) -> str:
    sandbox, agents = machine.sandbox, tuple(agents)
    facts = pairs(
        (
            ("Python", machine.python),
            ("git", machine.git or "not found"),
            ("shell", f"{machine.shell} runs projects' commands"),
            ("state", machine.state),
            ("host", machine.host),
            ("stack", machine.running.stack or "none is running: start one with `shiftwork dev`"),
            ("worker", machine.running.worker_line),
            ("tasks", f"of the providers {', '.join(machine.processors.names)}"),
            ("sandbox", f"{sandbox.level} in this shell (at least {sandbox.minimum} is asked for)"),
            ("AppArmor", sandbox.apparmor or "none"),
        )
    )
    rows = [
        (
            agent.report.name,
            _USABLE[len(agent.usable_in)],
            agent.report.version,
            " ".join(agent.missing) or agent.report.program or "any program: name it in the setting 'argv'",
        )
        for agent in agents
    ]
    listed = table(("agent", "usable", "version", "found in this shell, or what is missing here"), rows)
    needs = table(
        ("agent", "in strict and networked it needs"),
        [(agent.report.name, NEEDS[agent.report.name]) for agent in agents],
    )
    return "\n\n".join(
        [
            facts,
            *_on_sandbox(sandbox),
            listed,
            needs,
            *map(_plain, (_WHOSE, *machine.processors.problems, *machine.problems)),
        ]
    )


def _plain(sentence: str) -> str:
    return folded(sentence, hang=0)


def _on_sandbox(sandbox: Confining) -> Iterable[str]:
    """What is left open, and why there is no stronger sandbox; nothing where nothing is."""
    if sandbox.leaves:
        yield table(("not confined", "that is"), tuple(sandbox.leaves.items()))
    # What is in the way of the minimum stands in its problem.
    if sandbox.obstacles and sandbox.problem is None:
        yield "\n".join(["A stronger sandbox does not work:", *map(_plain, sandbox.obstacles)])
