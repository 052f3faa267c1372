"""`init` and `start`: from nothing to a project that runs."""

import asyncio
import json
import shlex
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from client.api import Shiftwork
from client.cli.connecting import connected
from client.cli.exits import DONE, of_status
from client.cli.found import unconfinable
from client.cli.options import project_options
from client.cli.output import excerpt, pairs, print_json
from client.cli.starter import CASSETTE, SPECIFICATION
from client.cli.status import product
from client.cli.values import WALL_TIME
from client.cli.watching import show
from client.specification import read_specification
from client.watch import NO_WORKER
from shiftwork.agents.registry import backends
from shiftwork.contracts.project import AgentOptions, ProjectOptions
from shiftwork.contracts.sandbox import Profile
from shiftwork.errors import InvalidInput
from shiftwork.planning.casting import everybody
from shiftwork.settings import Settings
from shiftwork.stack.file import read_stack
from shiftwork.store.rows import ProjectRow
from shiftwork.temporal import project_workflow_id
from shiftwork.text import one_line


def init(args: Namespace) -> int:
    """Write the starter files; nothing is written if one of them exists."""
    folder = Path(args.folder)
    name = one_line(folder.absolute().name)[:120] or "greet"
    files = {
        "spec.md": SPECIFICATION.format(name=name, quoted=json.dumps(name, ensure_ascii=False)),
        "cassette.yml": CASSETTE,
    }
    for each in files:
        if (folder / each).exists():
            raise InvalidInput(
                f"{str(folder / each)!r} exists already; choose another folder, or remove it first."
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for each, text in files.items():
            with (folder / each).open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise InvalidInput(f"{str(folder)!r} can't be written to: {error.strerror}.") from error
    written = [str(folder / each) for each in files]
    if args.json:
        print_json({"folder": str(folder), "files": written})
    else:
        print(f"Wrote {' and '.join(written)}.\n\nNext:\n  shiftwork dev   # in a terminal of its own")
        spec, cassette, repository = map(shlex.quote, (*written, str(folder / "repository")))
        print(f"  shiftwork start {spec} --cassette {cassette} --repo {repository} --wait")
    return DONE


def start(args: Namespace) -> int:
    """Start a project; with `--wait`, follow it until it is at rest."""
    specification = read_specification(Path(args.spec))
    options = project_options(specification, args)

    async def command(shiftwork: Shiftwork) -> int:
        problems = await asyncio.to_thread(all_missing, options)
        project_id = await shiftwork.start(
            args.name or specification.name,
            specification.text,
            repository=_repository(args.repo),
            options=options,
            allow_dirty=args.allow_dirty,
        )
        # Afterwards: what keeps it from being started is said once, and by the error.
        for problem in problems:
            sys.stderr.write(f"warning: {problem}\n")
        project = await shiftwork.find(project_id)
        started = _started(project, shiftwork.settings)
        told = _told(started, product(shiftwork.settings, project.id))
        if not args.wait:
            print_json(started) if args.json else print(told, flush=True)
            if not await shiftwork.has_worker():
                sys.stderr.write(f"warning: {NO_WORKER}\n")
            return DONE
        if args.json:
            status = await shiftwork.wait(project_id)
            print_json({**started, **status})
        else:
            print(f"{told}\n", flush=True)
            status = await show(shiftwork.store, project, rest_after=0)
        return of_status(status["status"])

    return connected(command)


def all_missing(options: ProjectOptions) -> list[str]:
    """What the project's agents lack, of every role, category and fallback; each sentence once."""
    found = (missing(agent, options.sandbox.profile) for agent in everybody(options))
    return list(dict.fromkeys(problem for problems in found for problem in problems))


def missing(agent: AgentOptions, profile: Profile = Profile.STRICT) -> list[str]:
    """What this agent lacks, as far as that can be seen from here; nothing of an agent that is not known.

    Raises:
        InvalidInput: its settings can't work.
    """
    backend = backends().get(agent.backend)
    problems = backend.diagnose(agent.settings).problems if backend else ()
    if backend and not problems and profile is not Profile.OPEN:
        problems = tuple(filter(None, (unconfinable(backend, agent.settings),)))
    where = "that is what this shell says; what counts is the worker's environment"
    return [f"agent {agent.backend!r}: {problem} ({where})" for problem in problems]


def _repository(where: str | None) -> str | None:
    """A folder as an absolute path; addresses (`https://…`, `host:path`) stay as they are."""
    if where is None or ":" in where:
        return where
    return str(Path(where).expanduser().absolute())


def _started(project: ProjectRow, settings: Settings) -> dict[str, Any]:
    workflow_id = project_workflow_id(project.id)
    stack = read_stack(settings)
    ui = None
    if stack is not None and stack.temporal_ui is not None:
        ui = f"{stack.temporal_ui.rstrip('/')}/namespaces/{stack.namespace}/workflows/{workflow_id}"
    return {
        "project_id": project.id,
        "name": project.name,
        "repository": project.repository,
        "branch": project.branch,
        "workflow_id": workflow_id,
        "temporal_ui": ui,
        "sandbox": project.options.sandbox.model_dump(mode="json"),
        "limits": {**project.options.limits.model_dump(), WALL_TIME: project.options.session_timeout},
    }


def _told(started: dict[str, Any], product: str) -> str:
    head = f"Started {excerpt(started['name'])}."
    rows = (
        ("project", started["project_id"]),
        ("repository", started["repository"]),
        ("product", None if started["repository"] else product),
        ("branch", started["branch"]),
        ("profile", _profile(started["sandbox"])),
        ("temporal", started["temporal_ui"]),
    )
    return f"{head}\n{pairs(rows)}"


def _profile(sandbox: dict[str, Any]) -> str:
    """What agents may reach."""
    hosts = sandbox["hosts"] if sandbox["profile"] == Profile.NETWORKED else ()
    return f"{sandbox['profile']}: {', '.join(hosts)}" if hosts else str(sandbox["profile"])
