"""`agents`: registered agents, made, changed and run."""

import asyncio
import json
import shlex
import sys
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from client.agents import checked_configuration, patched_configuration
from client.api import Shiftwork
from client.cli.connecting import connected
from client.cli.exits import DONE
from client.cli.opening import reading, tell_unreadable
from client.cli.output import excerpt, pairs, print_json, table
from client.cli.task_pages import end, moment, shown
from client.cli.values import WALL_TIME
from client.json_types import check_json
from shiftwork.contracts.agent import PYTHON, AgentConfiguration, WorkspaceMode
from shiftwork.errors import Conflict, InvalidInput
from shiftwork.settings import Settings
from shiftwork.store.agents import AgentDefinition, AgentIdentity, AgentRow
from shiftwork.store.store import Store
from shiftwork.text import printable

_LARGEST_CODE = 4_000_000


def list_agents(args: Namespace) -> int:
    """Print every agent."""

    async def command(store: Store) -> int:
        async with store.transaction() as tx:
            found, unreadable = await tx.agents.readable()
        if args.json:
            print_json([_facts(row) for row in found])
        elif found:
            head = ("id", "name", "kind", "version", "schedule", "description")
            print(table(head, [_line(row) for row in found], spare=(3, 5)))
        elif not unreadable:
            print("No agent is registered yet; see `shiftwork agents register --help`.")
        tell_unreadable(unreadable)
        return DONE

    return reading(command)


def show(args: Namespace) -> int:
    """Print an agent, or its code alone."""

    async def command(store: Store) -> int:
        async with store.transaction() as tx:
            row = await tx.agents.find(args.agent)
            if args.version is not None:
                row = await tx.agents.get(row.id, args.version)
        if args.json:
            print_json({**_facts(row), "folder": _folder(row)})
        elif args.code:
            print(printable(row.code or ""), end="" if (row.code or "").endswith("\n") else "\n")
        else:
            print(_page(row))
        return DONE

    return reading(command)


def versions(args: Namespace) -> int:
    """Print every version of an agent, newest first."""

    async def command(store: Store) -> int:
        async with store.transaction() as tx:
            agent_id = (await tx.agents.identify(args.agent)).id
            found, unreadable = await tx.agents.readable_versions(agent_id)
        if args.json:
            print_json([_facts(row) for row in found])
        elif found:
            head = ("version", "kind", "schedule", "code", "description")
            rows = [(r.version, r.kind, _schedule(r), _size(r), excerpt(r.description, 80)) for r in found]
            print(table(head, rows, spare=(4,)))
        tell_unreadable(unreadable)
        return DONE

    return reading(command)


def register(args: Namespace) -> int:
    """Register an agent."""
    definition = _definition(AgentDefinition(kind=args.kind or PYTHON), args)

    async def command(shiftwork: Shiftwork) -> int:
        status = _told(args, await shiftwork.register_agent(args.agent, definition), "Registered")
        if definition.kind == PYTHON and definition.code is None and not args.json:
            agent = shlex.quote(args.agent)
            print(f"It has no code to run yet: `shiftwork agents edit {agent} --code FILE` gives it some.")
        return status

    return connected(command)


def edit(args: Namespace) -> int:
    """Give an agent a new version."""

    async def command(shiftwork: Shiftwork) -> int:
        before = await shiftwork.agent(args.agent)
        definition = _definition(before, args)
        if definition == AgentDefinition.model_validate(before.model_dump()):
            raise InvalidInput("Nothing to change; see `shiftwork agents edit --help`.")
        return _told(args, await shiftwork.change_agent(before.id, definition), "Changed")

    return connected(command)


def delete(args: Namespace) -> int:
    """Delete an agent."""

    async def command(shiftwork: Shiftwork) -> int:
        row = await shiftwork.agent_identity(args.agent)
        if not args.yes:
            await _consent(row)
        return _told(args, await shiftwork.delete_agent(row.id), "Deleted")

    return connected(command)


def run(args: Namespace) -> int:
    """Run an agent now."""

    async def command(shiftwork: Shiftwork) -> int:
        task = await shiftwork.run_agent(
            args.agent,
            parameters=dict(args.parameter or ()),
            instruction=args.instruction,
            timeout=args.timeout,
        )
        if args.no_wait:
            return shown(args, task)
        return await end(args, shiftwork, task.id)

    return connected(command)


async def _consent(row: AgentIdentity) -> None:
    if sys.stdin.isatty():
        question = f"Delete agent {printable(row.name)!r}? Its tasks and handoffs stay. [y/N] "
        if (await asyncio.to_thread(input, question)).strip().lower() in {"y", "yes"}:
            return
    raise Conflict(f"Agent {row.name!r} was not deleted; repeat the command with --yes.")


def _definition(base: AgentDefinition, args: Namespace) -> AgentDefinition:
    """What is given, over what there was."""
    given: dict[str, Any] = {"description": args.description, "kind": args.kind}
    if args.code is not None:
        given["code"] = _code(args.code)
    if args.setting:
        given["settings"] = _merged(base.settings, dict(args.setting))
    said = _config(args.config)
    changes = isinstance(base, AgentRow)
    config = patched_configuration(base.config, said) if changes else {**base.config.model_dump(), **said}
    simple = ("timezone", "timeout", "overlap", "enabled")
    config |= {name: getattr(args, name) for name in simple if getattr(args, name) is not None}
    if args.schedule is not None:
        config["schedule"] = None if args.schedule == "none" else args.schedule
    if args.parameter:
        config["parameters"] = _merged(config.get("parameters") or {}, dict(args.parameter))
    if args.limit:
        limits = dict(args.limit)
        if WALL_TIME in limits:
            raise InvalidInput(
                f"The time of an agent's run is given by --timeout, not by --limit {WALL_TIME}."
            )
        config["limits"] = {**(config.get("limits") or {}), **limits}
    checked = checked_configuration(config)
    kept = {name: value for name, value in given.items() if value is not None}
    fields = {name: getattr(base, name) for name in AgentDefinition.model_fields}
    if args.kind is not None and (args.kind == PYTHON) != (base.kind == PYTHON):
        fields |= {"code": None, "settings": {}}  # what its new kind can't have; the version before keeps it
    return AgentDefinition.model_validate({**fields, **kept, "config": checked})


def _merged(before: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**before, **given}.items() if value is not None}


def _config(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    where = f"{text[1:]!r}" if text.startswith("@") else "--config"
    try:
        found = json.loads(_read(text[1:], "configuration") if text.startswith("@") else text)
    except ValueError as error:
        raise InvalidInput(f"{where} holds no JSON: {error}.") from error
    if not isinstance(found, dict):
        raise InvalidInput(f"{where} has to be an object, such as " + '{"timeout": 60}.')
    check_json(found, AgentConfiguration)
    return found


def _code(file: str) -> str:
    return sys.stdin.read(_LARGEST_CODE) if file == "-" else _read(file, "code")


def _read(file: str, what: str) -> str:
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        raise InvalidInput(f"The {what} can't be read from {file!r}: {error.strerror}.") from error
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"The {what} in {file!r} is not UTF-8 (byte {error.start}).") from error


def _told(args: Namespace, row: AgentIdentity, what: str) -> int:
    if args.json:
        print_json(_facts(row))
    else:
        print(f"{what} agent {row.id}: {excerpt(row.name)}, version {row.version}.")
    return DONE


def _facts(row: AgentIdentity) -> dict[str, Any]:
    return row.model_dump(mode="json")


def _line(row: AgentRow) -> tuple[object, ...]:
    return row.id, row.name, row.kind, row.version, _schedule(row), excerpt(row.description, 80)


def _schedule(row: AgentRow) -> str:
    every = [*filter(None, (row.config.schedule,)), *row.config.schedules.values()]
    return f"{', '.join(every)}{'' if row.config.enabled else ' (disabled)'}" if every else ""


def _size(row: AgentRow) -> str:
    return "" if row.code is None else f"{len(row.code.encode()):,} bytes"


def _folder(row: AgentRow) -> str | None:
    """What it keeps from run to run, if this is the host that it runs on."""
    if row.config.workspace is WorkspaceMode.FRESH:
        return None
    return str(Settings.from_environment().agent_folder(row.id, row.created_at) / "workspace")


def _page(row: AgentRow) -> str:
    config = row.config.model_dump(mode="json", exclude_defaults=True)
    return pairs(
        (
            ("agent", f"{row.id}: {row.name}"),
            ("kind", row.kind),
            ("version", row.version),
            ("description", row.description),
            ("schedule", _schedule(row)),
            ("settings", json.dumps(row.settings) if row.settings else ""),
            ("configured", json.dumps(config) if config else "by default"),
            ("code", _size(row)),
            ("keeps", _folder(row) or ""),
            ("changed", moment(row.updated_at)),
            ("deleted", moment(row.deleted_at)),
        )
    )
