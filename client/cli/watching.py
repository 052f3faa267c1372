"""`watch`, and how every waiting command shows what it waits for."""

import os
import sys
from argparse import Namespace
from datetime import UTC, datetime
from typing import Any

from client.cli.exits import of_status
from client.cli.opening import newest, reading
from client.cli.output import print_json_line
from client.cli.status import headline
from client.delivery import undelivered
from client.patience import PatientStore
from client.telling import as_json
from client.watch import Listener, moments, watch_plainly
from shiftwork.store.rows import ProjectRow

_BEFORE = 10


def watch(args: Namespace) -> int:
    """Show what happens until the project is at rest; the exit status says how it rests."""

    async def command(store: PatientStore) -> int:
        project = await newest(store, args.project)
        if args.json:
            status = await _watch_json(store, project, agents=args.agents)
        else:
            # The last few events say what the display goes on from.
            after = max(0, project.event_sequence - _BEFORE)
            status = await show(store, project, after=after, plain=args.plain, agents=args.agents)
        return of_status(status["status"])

    return reading(command)


async def show(
    store: PatientStore,
    project: ProjectRow,
    *,
    after: int = 0,
    rest_after: int | None = None,
    plain: bool = False,
    agents: bool = False,
) -> dict[str, Any]:
    """Show people what happens until the project is at rest; returns its status."""
    if plain or not _live():
        status = await watch_plainly(store, project, after=after, rest_after=rest_after, agents=agents)
        print(f"\n{headline(status, datetime.now(UTC))}", flush=True)
    else:
        # Only here: rich takes a while to import, and most commands never need it.
        from rich.console import Console  # noqa: PLC0415

        from client.watch_live import watch_live  # noqa: PLC0415

        status = await watch_live(store, project, console=Console(), after=after, rest_after=rest_after)
    if left := undelivered(status):
        print(f"\n{left}", flush=True)
    return status


def _live() -> bool:
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wanted and sys.stdout.isatty()


async def _watch_json(store: PatientStore, project: ProjectRow, *, agents: bool) -> dict[str, Any]:
    status: dict[str, Any] = {}
    async for moment in moments(store, project.id, listener=Listener() if agents else None):
        status = moment.status
        for number, item in moment.said:
            print_json_line({"session": number, **item.model_dump(mode="json")})
        for event in moment.events:
            print_json_line(as_json(event))
    return status
