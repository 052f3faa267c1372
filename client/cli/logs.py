"""`logs`: what happened to a project, and what its agents said."""

import asyncio
import re
from argparse import Namespace
from collections.abc import AsyncIterator, Iterable
from functools import partial
from typing import TypeVar

from client.cli.exits import DONE
from client.cli.folding import folded
from client.cli.opening import newest, reading
from client.cli.output import excerpt, money, print_json_line
from client.patience import PatientStore
from client.telling import as_json, tell
from client.watch import moments
from shiftwork.errors import NotFound
from shiftwork.store.rows import EventRow, SessionRow, TranscriptRow
from shiftwork.store.store import Store, Transaction
from shiftwork.text import printable

Item = TypeVar("Item")

_PAGE = 500
_POLL_SECONDS = 0.2
_BEGINNING = (-1, -1)
_DATED, _TIMED = len("2026-01-01 00:00:00  "), len("00:00:00  ")
"""Characters before what a line tells."""
_NEW_LINES = re.compile("[\n\u0085\u2028\u2029]")


def logs(args: Namespace) -> int:
    """Print events, or the transcript of a session."""

    async def command(store: PatientStore) -> int:
        project = await newest(store, args.project)
        if args.transcript:
            session = await _session(store, project.id, args.session)
            if not args.json:
                print(await _title(store, session), flush=True)
            async for item in _transcript(store, session, args.last, follow=args.follow):
                print_json_line(item.model_dump(mode="json")) if args.json else print(_said(item), flush=True)
            return DONE
        async for event in _events(store, project.id, args):
            print_json_line(as_json(event)) if args.json else print(_line(event), flush=True)
        return DONE

    return reading(command)


def _line(event: EventRow) -> str:
    """The event as the terminal has room for it."""
    return folded(line(event), hang=_DATED)


def _said(item: TranscriptRow) -> str:
    first, *rest = said(item).split("\n")
    return "\n".join([folded(first, hang=_TIMED), *map(folded, rest)])


def line(event: EventRow) -> str:
    """An event with its local time."""
    return f"{event.at.astimezone():%Y-%m-%d %H:%M:%S}  {tell(event)}"


def said(item: TranscriptRow) -> str:
    """What an agent said or did; its lines stay lines, indented under the first."""
    facts = {**item.payload, **item.payload.get("data", {})}
    facts = {name: value for name, value in facts.items() if name not in {"text", "ok", "data"} and value}
    told = _indented(str(item.payload.get("text", "")))
    if item.kind == "finished":
        told = f"{'success' if item.payload.get('ok') else 'failure'} {told}".strip()
    spent = item.payload.get("cost_usd")
    if isinstance(spent, int | float) and spent:
        facts = {name: value for name, value in facts.items() if name != "cost_usd"} | {"cost": money(spent)}
    more = _indented(", ".join(f"{name} {value}" for name, value in facts.items()))
    return f"{item.at.astimezone():%H:%M:%S}  {item.kind}: {' '.join(filter(None, (told, more)))}"


def _indented(text: str) -> str:
    # Otherwise a line of an agent's could look like one of ours.
    return _NEW_LINES.sub("\n    ", printable(text).strip())


async def _events(store: PatientStore, project_id: str, args: Namespace) -> AsyncIterator[EventRow]:
    """The events that were asked for: those there are, then those that come."""
    known = [event async for event in _known(store, project_id)]
    last = known[-1].sequence if known else 0
    chosen = _of_session(known, args.session)
    if args.session is not None and not chosen and not args.follow:
        await _session(store, project_id, args.session)  # raises what is wrong with the number
    for event in _newest(chosen, args.last):
        yield event
    if not args.follow:
        return
    async for moment in moments(store, project_id, after=last):
        for event in _of_session(moment.events, args.session):
            yield event


async def _known(store: Store, project_id: str) -> AsyncIterator[EventRow]:
    after, full = 0, True
    while full:
        async with store.transaction() as tx:
            page = await tx.events.after(project_id, after, _PAGE)
        for event in page:
            after = event.sequence
            yield event
        full = len(page) == _PAGE


def _of_session(events: Iterable[EventRow], number: int | None) -> list[EventRow]:
    reference = f"session:{number}"
    return [
        e for e in events if number is None or reference == e.reference or e.data.get("session") == number
    ]


def _newest(items: list[Item], last: int | None) -> list[Item]:
    return items if last is None else items[-last:]


async def _title(store: Store, session: SessionRow) -> str:
    async with store.transaction() as tx:
        feature = (
            "planning" if session.feature_id is None else (await tx.features.get(session.feature_id)).name
        )
    return f"session {session.number}: {excerpt(feature)}: {session.outcome or 'running'}"


async def _session(store: Store, project_id: str, number: int | None) -> SessionRow:
    async with store.transaction() as tx:
        if number is not None:
            return await tx.sessions.get(project_id, number)
        newest_first = await tx.sessions.list(project_id, limit=1)
    if not newest_first:
        raise NotFound("The project has no session yet.")
    return newest_first[0]


async def _transcript(
    store: PatientStore, session: SessionRow, last: int | None, *, follow: bool
) -> AsyncIterator[TranscriptRow]:
    """What was said in all attempts of a session, by the page; with `follow`, until it has ended."""
    heard = _BEGINNING
    if last is not None:
        heard = await store.read(lambda tx: tx.transcript.before_last(session.id, last))
    while True:
        # Looked up before the items: whatever was said is there once the session has ended.
        ended = (await store.read(lambda tx: tx.sessions.by_id(session.id))).ended_at is not None
        page = await store.read(partial(_page, session_id=session.id, heard=heard))
        for item in page:
            heard = (item.attempt, item.sequence)
            yield item
        if len(page) == _PAGE:
            continue
        if ended or not follow:
            return
        await asyncio.sleep(_POLL_SECONDS)


async def _page(tx: Transaction, *, session_id: int, heard: tuple[int, int]) -> list[TranscriptRow]:
    return await tx.transcript.since(session_id, heard, _PAGE)
