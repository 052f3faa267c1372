"""`init` and `start`: from nothing to a project that runs."""

import asyncio
import json
import shlex
import sys
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from client.api import Shiftwork
from client.cli.connecting import connected
from client.cli.exits import DONE, of_status
from client.cli.output import excerpt, pairs, print_json
from client.cli.starter import CASSETTE, SPECIFICATION
from client.cli.status import product
from client.cli.watching import show
from client.specification import Specification, first_problem, read_specification
from client.watch import NO_WORKER
from shiftwork.agents.registry import backends
from shiftwork.contracts.project import AgentOptions, ProjectOptions
from shiftwork.errors import InvalidInput
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
        for problem in await asyncio.to_thread(missing, options.agent):
            sys.stderr.write(f"warning: {problem}\n")
        project_id = await shiftwork.start(
            args.name or specification.name,
            specification.text,
            repository=_repository(args.repo),
            options=options,
            allow_dirty=args.allow_dirty,
        )
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


def project_options(specification: Specification, args: Namespace) -> ProjectOptions:
    """The options of a project: those of the command line, else the front matter's, else the defaults.

    Raises:
        InvalidInput: an option does not fit.
    """
    head = specification.head.model_dump(exclude={"name", "agent"}, exclude_unset=True)
    given = {
        "max_sessions": args.max_sessions,
        "max_attempts": args.max_attempts,
        "max_parallel": args.max_parallel,
        "budget_usd": args.budget,
        "verification_timeout": args.verification_timeout,
        "session_timeout": args.session_timeout,
        "setup": args.setup,
        "autorun": False if args.no_autorun else None,
    }
    fields: dict[str, Any] = {**head, **{name: value for name, value in given.items() if value is not None}}
    try:
        return ProjectOptions(agent=agent_options(specification.head.agent, args), **fields)
    except ValidationError as error:
        raise InvalidInput(f"{first_problem(error)}.") from error


def agent_options(head: AgentOptions | None, args: Namespace) -> AgentOptions:
    """Who does the work: what the command line says, over what the front matter says.

    Settings of another backend than the front matter's are not mixed with its own.

    Raises:
        InvalidInput: a setting that it needs is missing, or can't be what it is.
    """
    base = head or AgentOptions()
    if args.agent is not None and args.agent != base.backend:
        base = AgentOptions(backend=args.agent, prices=base.prices)
    given = {"model": args.model, "base_url": args.base_url}
    settings = {**base.settings, **{name: value for name, value in given.items() if value is not None}}
    settings |= dict(args.agent_setting or ())
    if args.cassette:
        settings["cassette"] = str(Path(args.cassette).absolute())
    _check_agent(base.backend, settings)
    return base.model_copy(update={"settings": settings})


def _check_agent(backend: str, settings: Mapping[str, Any]) -> None:
    """What the backends can't say in the words of the command line."""
    if backend == "scripted" and "cassette" not in settings:
        raise InvalidInput(
            "The scripted agent needs a cassette: give --cassette FILE, or another agent with --agent."
        )
    url = settings.get("base_url")
    if url is not None:
        parts = urlsplit(str(url))
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise InvalidInput(f"base_url: {url!r} is no address; write it as https://HOST/PATH.")


def missing(agent: AgentOptions) -> list[str]:
    """What this agent lacks, as far as that can be seen from here; nothing of an agent that is not known.

    Raises:
        InvalidInput: its settings can't work.
    """
    backend = backends().get(agent.backend)
    problems = backend.diagnose(agent.settings).problems if backend else ()
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
    }


def _told(started: dict[str, Any], product: str) -> str:
    head = f"Started {excerpt(started['name'])}."
    rows = (
        ("project", started["project_id"]),
        ("repository", started["repository"]),
        ("product", None if started["repository"] else product),
        ("branch", started["branch"]),
        ("temporal", started["temporal_ui"]),
    )
    return f"{head}\n{pairs(rows)}"
