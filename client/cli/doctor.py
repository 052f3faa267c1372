"""`doctor`: what this machine can run, and what is missing."""

import platform
import shutil
import subprocess
import sys
import threading
from argparse import Namespace
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from queue import Empty, Queue
from time import monotonic
from typing import Any

from client.cli.exits import DONE, ERROR
from client.cli.output import pairs, print_json, table
from shiftwork.agents.protocol import AgentBackend, BackendReport
from shiftwork.agents.registry import backends
from shiftwork.errors import ShiftworkError
from shiftwork.sandbox.choose import best_sandbox, too_weak
from shiftwork.sandbox.landlock import Landlock
from shiftwork.sandbox.levels import Level, default_minimum, level_named
from shiftwork.sandbox.obstacles import Kernel, obstacles
from shiftwork.settings import Settings
from shiftwork.stack.file import read_stack

_BACKEND_SECONDS = 10.0
"""How long all backends together may take to be looked at; they are looked at side by side."""

_GIT_SECONDS = 5.0
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
        sandbox: how far agents and verifications are confined here.
        state: the state folder.
        stack: where a running stack's Web UI is, or that one runs; None if none does.
        problems: one sentence each: what is missing, and what to do.
    """

    python: str
    git: str | None
    sandbox: Confining
    state: str
    stack: str | None
    problems: tuple[str, ...]


def doctor(args: Namespace) -> int:
    """Look at the machine and at every backend, and tell."""
    machine = look_at_machine(Settings.from_environment())
    reports = diagnose_all(backends())
    if args.json:
        print_json(_facts(machine, reports))
    else:
        print(_page(machine, reports))
    return ERROR if machine.problems else DONE


def look_at_machine(settings: Settings) -> Machine:
    """See `Machine`; starts nothing but version queries and a probe of the sandbox."""
    problems = []
    if sys.version_info < _PYTHON:
        problems.append("Shiftwork needs Python 3.11 or newer: run it with one.")
    git = git_version()
    if git is None or _numbers(git) < _GIT:
        problems.append("Shiftwork needs git 2.38 or newer: install it first.")
    stack = None
    try:
        running = read_stack(settings)
        stack = (running.ui_address or "running") if running else None
    except ShiftworkError as error:
        problems.append(str(error))
    sandbox = look_at_sandbox(settings.sandbox_minimum)
    if sandbox.problem is not None:
        problems.append(sandbox.problem)
    return Machine(platform.python_version(), git, sandbox, str(settings.state), stack, tuple(problems))


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


def diagnose_all(
    known: Mapping[str, AgentBackend], seconds: float = _BACKEND_SECONDS
) -> tuple[BackendReport, ...]:
    """The reports of these backends, by name; one that takes longer, or breaks, is reported as a problem."""
    answers: Queue[BackendReport] = Queue()
    for backend in known.values():
        # A daemon, so that a program that never answers does not keep the command from ending.
        threading.Thread(target=lambda one=backend: answers.put(_diagnose(one)), daemon=True).start()
    late = f"It did not answer within {seconds:g} s: run its program by hand to see why."
    reports = {name: BackendReport(name, problems=(late,)) for name in known}
    deadline = monotonic() + seconds
    for _ in known:
        try:
            report = answers.get(timeout=max(0.0, deadline - monotonic()))
        except Empty:
            break
        reports[report.name] = report
    return tuple(reports[name] for name in sorted(reports))


def _diagnose(backend: AgentBackend) -> BackendReport:
    try:
        return backend.diagnose({})
    except Exception as error:  # noqa: BLE001 - one backend that breaks must not hide the others
        return BackendReport(backend.name, problems=(f"Looking for it failed: {error}",))


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version such as `2.39.2 (Apple Git-143)`."""
    parts = version.split(maxsplit=1)[0].split(".")
    return tuple(int(part) for part in parts if part.isdigit())


def _facts(machine: Machine, reports: Iterable[BackendReport]) -> dict[str, Any]:
    return {
        "usable": not machine.problems,
        "python": machine.python,
        "git": machine.git,
        "sandbox": machine.sandbox.level,
        "sandbox_minimum": machine.sandbox.minimum,
        "sandbox_leaves": dict(machine.sandbox.leaves),
        "sandbox_obstacles": list(machine.sandbox.obstacles),
        "apparmor": machine.sandbox.apparmor or None,
        "state": machine.state,
        "stack": machine.stack,
        "problems": list(machine.problems),
        "backends": [
            {
                "name": report.name,
                "found": report.program,
                "version": report.version,
                "usable": report.usable,
                "missing": list(report.problems),
            }
            for report in reports
        ],
    }


def _page(machine: Machine, reports: Iterable[BackendReport]) -> str:
    facts = pairs(
        (
            ("Python", machine.python),
            ("git", machine.git or "not found"),
            ("sandbox", f"{machine.sandbox.level} (at least {machine.sandbox.minimum} is asked for)"),
            ("AppArmor", machine.sandbox.apparmor or "none"),
            ("state", machine.state),
            ("stack", machine.stack or "none is running: start one with `shiftwork dev`"),
        )
    )
    rows = [
        (
            report.name,
            "yes" if report.usable else "no",
            report.version,
            " ".join(report.problems) or report.program or "any program: name it in the setting 'argv'",
        )
        for report in reports
    ]
    listed = table(("agent", "usable", "version", "found, or what is missing"), rows)
    return "\n\n".join([facts, *_on_sandbox(machine.sandbox), listed, *machine.problems])


def _on_sandbox(sandbox: Confining) -> Iterable[str]:
    """What is left open, and why there is no stronger sandbox; nothing where nothing is."""
    if sandbox.leaves:
        yield table(("not confined", "that is"), tuple(sandbox.leaves.items()))
    # What is in the way of the minimum stands in its problem.
    if sandbox.obstacles and sandbox.problem is None:
        yield "\n".join(["A stronger sandbox does not work:", *sandbox.obstacles])
