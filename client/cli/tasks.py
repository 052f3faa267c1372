"""`tasks`: made, shown, waited for and ended."""

import asyncio
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from client.api import Shiftwork
from client.cli.connecting import connected
from client.cli.exits import DONE
from client.cli.opening import reading, tell_unreadable
from client.cli.output import excerpt, part_of, print_json, print_json_line, table
from client.cli.task_pages import as_text, end, moment, shown
from client.patience import PatientStore
from client.task_refs import find_task
from client.tasks import AGENT_PROVIDER
from shiftwork.contracts.task import TaskStatus
from shiftwork.errors import InvalidInput
from shiftwork.store.task_rows import TaskFilter, TaskRow
from shiftwork.text import printable

_LOOK_SECONDS = 0.3
_LAST = 50


def list_tasks(args: Namespace) -> int:
    """Print tasks, newest first."""

    async def command(store: PatientStore) -> int:
        async with store.transaction() as tx:
            agent_id = None if args.agent is None else (await tx.agents.identify(args.agent)).id
            limit = args.last or _LAST
            statuses = [TaskStatus(args.status)] if args.status else []
            wanted = TaskFilter(statuses, agent_id, args.provider, args.user)
            found, unreadable = await tx.tasks.readable(wanted, before=args.before, limit=limit)
            total = await tx.tasks.count(wanted)
        tell_unreadable(unreadable)
        if args.json:
            print_json([task.model_dump(mode="json", exclude={"token"}) for task in found])
        elif found:
            head = ("id", "status", "of", "created", "took", "instruction, or what came of it")
            print(table(head, [_line(task) for task in found], spare=(3, 4)))
            if len(found) + len(unreadable) == limit:
                print(part_of(limit, total, f"`--before {found[-1].id}` shows older ones"), end="")
        elif not unreadable:
            print("There is no such task.")
        return DONE

    return reading(command)


def show(args: Namespace) -> int:
    """Print a task."""

    async def command(store: PatientStore) -> int:
        return shown(args, await find_task(store, args.task))

    return reading(command)


def create(args: Namespace) -> int:
    """Make a task."""
    if bool(args.provider) == bool(args.agent):
        raise InvalidInput("Who is to do it? Give either --provider or --agent.")

    async def command(shiftwork: Shiftwork) -> int:
        task = await shiftwork.create_task(
            args.provider or AGENT_PROVIDER,
            args.instruction,
            agent=args.agent,
            user_id=args.user,
            parameters=dict(args.parameter or ()),
            request_key=args.key,
        )
        if args.json:
            return shown(args, task)
        print(f"Created task {task.id} ({task.uuid}), which is {task.status}.")
        return DONE

    return connected(command)


def cancel(args: Namespace) -> int:
    """End a task."""

    async def command(shiftwork: Shiftwork) -> int:
        before = await find_task(shiftwork.store, args.task)
        task = await shiftwork.cancel_task(before.id)
        if args.json:
            return shown(args, task)
        print(f"Task {task.id} {'had' if before.status.ended else 'has'} {task.status}.")
        return DONE

    return connected(command)


def wait(args: Namespace) -> int:
    """Wait for the end of a task."""

    async def command(shiftwork: Shiftwork) -> int:
        return await end(args, shiftwork, (await find_task(shiftwork.store, args.task)).id)

    return connected(command)


def logs(args: Namespace) -> int:
    """Print what happened to a task."""

    async def command(store: PatientStore) -> int:
        task_id = (await find_task(store, args.task)).id
        told: dict[str, Any] = {}
        while True:
            task = await store.read(lambda tx: tx.tasks.get(task_id))
            for entry in new_entries(task, told):
                _tell(entry, as_json=args.json)
            if task.status.ended or not args.follow:
                return DONE
            await asyncio.sleep(_LOOK_SECONDS)

    return reading(command)


def new_entries(task: TaskRow, told: dict[str, Any]) -> list[dict[str, Any]]:
    """What happened since `told`, which is what was told last of each kind, and is brought up to date.

    What is new may stand anywhere, as the trace is ordered by its names; what is again as it was once is new.
    """
    new = [entry for entry in _entries(task) if entry["text"] != told.get(entry["kind"])]
    told.update((entry["kind"], entry["text"]) for entry in new)
    return new


def _entries(task: TaskRow) -> Iterator[dict[str, Any]]:
    """What happened so far."""
    yield {"task_id": task.id, "kind": "created", "text": moment(task.created_at)}
    for name, value in task.trace.items():
        if name != "stderr":
            yield {"task_id": task.id, "kind": name, "text": value}
    if task.status.ended:
        outputs = {"stdout": task.result, "stderr": task.trace.get("stderr"), "error": task.error}
        for name, text in outputs.items():
            if text:
                yield {"task_id": task.id, "kind": name, "text": text}


def _tell(entry: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json_line(entry)
        return
    text = printable(as_text(entry["text"])).rstrip("\n")
    if "\n" in text:
        print(f"{entry['kind']}:", *text.split("\n"), sep="\n  ", flush=True)
    else:
        print(f"{entry['kind']}: {text}", flush=True)


def _line(task: Any) -> tuple[object, ...]:
    return (
        task.id,
        task.status.value,
        task.provider if task.agent_id is None else f"agent {task.agent_id}",
        moment(task.created_at),
        "" if task.duration is None else f"{task.duration:.1f} s",
        excerpt(task.error or task.result or task.instruction, 120),
    )
