"""`handoffs`: what runs of agents left for the next ones."""

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from client.cli.exits import DONE
from client.cli.opening import newest, reading, tell_unreadable
from client.cli.output import counted, excerpt, pairs, part_of, print_json, table
from client.cli.task_pages import moment
from client.patience import PatientStore
from shiftwork.errors import InvalidInput, NotFound
from shiftwork.handoffs import HandoffContext, HandoffManager
from shiftwork.store.handoffs import HandoffArtifact, readable

_LAST = 10


def list_handoffs(args: Namespace) -> int:
    """Print what an agent's runs left."""

    async def command(store: PatientStore) -> int:
        async with store.transaction() as tx:
            agent = await tx.agents.find(args.agent)
            found = await tx.handoffs.history(agent.id, args.last or _LAST)
            total = await tx.handoffs.count(agent.id)
        if not found and not args.json:
            print("None of its runs left anything that has not expired.")
            return DONE
        _listed(args, found, "task")
        if found and not args.json:
            print(part_of(len(found), total, "`--last N` shows more"), end="")
        return DONE

    return reading(command)


def list_of_project(args: Namespace) -> int:
    """Print what a project's sessions left."""

    async def command(store: PatientStore) -> int:
        project = await newest(store, args.project)
        async with store.transaction() as tx:
            found = await tx.handoffs.of_project(project.id, args.last or _LAST)
        if found or args.json:
            _listed(args, found, "session")
        else:
            print(f"No session of {excerpt(project.name)} left anything that has not expired.")
        return DONE

    return reading(command)


def _listed(args: Namespace, found: Sequence[HandoffArtifact], left_by: str) -> None:
    if args.json:
        told, unreadable = readable(found, _facts)
        print_json(told)
        tell_unreadable(unreadable)
        return
    rows = [
        (
            each.id,
            getattr(each, f"{left_by}_id"),
            moment(each.created_at),
            moment(each.expires_at),
            excerpt(each.summary, 160),
        )
        for each in found
    ]
    print(table(("id", left_by, "left", "expires", "summary"), rows, spare=(3, 1)))


def show(args: Namespace) -> int:
    """Print one handoff."""

    async def command(store: PatientStore) -> int:
        async with store.transaction() as tx:
            one = await tx.handoffs.get((await tx.agents.find(args.agent)).id, args.handoff)
        return _shown(args, one)

    return reading(command)


def latest(args: Namespace) -> int:
    """Print what an agent's next run will be given."""

    async def command(store: PatientStore) -> int:
        async with store.transaction() as tx:
            found = await tx.handoffs.latest((await tx.agents.find(args.agent)).id)
        if found is None:
            raise NotFound(
                f"Agent {args.agent!r} has no handoff that has not expired; a run of it leaves one."
            )
        return _shown(args, found)

    return reading(command)


def save(args: Namespace) -> int:
    """Leave a handoff for an agent's next run."""
    context = HandoffContext.from_json(_read(args.file))

    async def command(store: PatientStore) -> int:
        async with store.transaction() as tx:
            agent = await tx.agents.find(args.agent)
        saved = await HandoffManager(store).save_handoff(
            agent.id, args.task, context, args.summary, ttl_days=args.ttl_days
        )
        if args.json:
            print_json(_facts(saved))
        else:
            print(f"Saved handoff {saved.id} of {excerpt(agent.name)}.")
        return DONE

    return reading(command)


def cleanup(args: Namespace) -> int:
    """Delete what has expired."""

    async def command(store: PatientStore) -> int:
        number = await HandoffManager(store).cleanup_expired()
        if args.json:
            print_json({"deleted": number})
        else:
            print(f"Deleted {counted(number, 'handoff')}.")
        return DONE

    return reading(command)


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_bytes().decode()
    except OSError as error:
        raise InvalidInput(f"The handoff can't be read from {file!r}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"The handoff in {file!r} is not UTF-8 (byte {error.start}).") from error


def _facts(artifact: HandoffArtifact) -> dict[str, Any]:
    found = artifact.model_dump(mode="json", exclude={"context_data"})
    return {**found, "context": artifact.parts()}


def _shown(args: Namespace, artifact: HandoffArtifact) -> int:
    facts = _facts(artifact)
    if args.json:
        print_json(facts)
        return DONE
    head = (
        ("handoff", artifact.id),
        ("agent", artifact.agent_id),
        ("task", artifact.task_id),
        ("left", moment(artifact.created_at)),
        ("expires", moment(artifact.expires_at)),
        ("summary", excerpt(artifact.summary, 2_000)),
    )
    parts = ((name, json.dumps(part, ensure_ascii=False)) for name, part in facts["context"].items() if part)
    print(pairs([*head, *parts]))
    return DONE
