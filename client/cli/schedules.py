"""`schedules`: when registered agents run by themselves."""

from argparse import Namespace
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from client.api import Shiftwork
from client.cli.connecting import connected
from client.cli.exits import DONE
from client.cli.folding import folded
from client.cli.opening import tell_unreadable
from client.cli.output import excerpt, pairs, print_json, table
from client.cli.task_pages import moment
from client.schedule_names import schedules_of
from client.schedules import ScheduleInfo
from shiftwork.contracts.agent import Overlap
from shiftwork.errors import InvalidInput, NotFound
from shiftwork.store.agents import AgentRow


def list_schedules(args: Namespace) -> int:
    """Print every agent's schedules."""

    async def command(shiftwork: Shiftwork) -> int:
        agents, unreadable = await shiftwork.readable_agents()
        every = [(agent, name) for agent in agents for name in sorted(schedules_of(agent))]
        found = []
        for agent, name in every:
            with suppress(NotFound):  # it was removed meanwhile, or is being made
                found.append((agent, await shiftwork.schedule(agent.id, name)))
        if args.json:
            print_json([_facts(agent, info) for agent, info in found])
        elif found:
            head = ("agent", "id", "schedule", "time zone", "next", "runs", "remark")
            print(table(head, [_line(agent, info) for agent, info in found], spare=(5, 3)))
        elif not unreadable:
            print("No agent has a schedule; see `shiftwork schedules set --help`.")
        tell_unreadable(unreadable)
        return DONE

    return connected(command)


def show(args: Namespace) -> int:
    """Print a schedule."""
    return connected(lambda shiftwork: _shown(args, shiftwork))


def set_schedule(args: Namespace) -> int:
    """Have an agent run by a schedule."""

    async def command(shiftwork: Shiftwork) -> int:
        await shiftwork.set_schedule(args.agent, args.cron, args.job_id, timezone=args.timezone)
        return await _shown(args, shiftwork)

    return connected(command)


def unset(args: Namespace) -> int:
    """Have an agent run by a schedule no more."""

    async def command(shiftwork: Shiftwork) -> int:
        if args.job_id is not None:
            await shiftwork.schedule(args.agent, args.job_id)  # says so if there is none
        agent = await shiftwork.unset_schedule(args.agent, args.job_id)
        left = sorted(schedules_of(agent))
        if args.json:
            print_json({"agent_id": agent.id, "name": agent.name, "schedules": left})
        else:
            still = f" It still has {', '.join(left)}." if left else ""
            said = f"Agent {excerpt(agent.name)} runs by {'that' if left else 'no'} schedule no more.{still}"
            print(folded(said))
        return DONE

    return connected(command)


def pause(args: Namespace) -> int:
    """Have no occurrence run."""

    async def command(shiftwork: Shiftwork) -> int:
        await shiftwork.pause_schedule(args.agent, args.reason, job_id=args.job_id)
        return await _shown(args, shiftwork)

    return connected(command)


def unpause(args: Namespace) -> int:
    """Have occurrences run again."""

    async def command(shiftwork: Shiftwork) -> int:
        await shiftwork.unpause_schedule(args.agent, args.reason, job_id=args.job_id)
        return await _shown(args, shiftwork)

    return connected(command)


def trigger(args: Namespace) -> int:
    """Have an occurrence run now."""

    async def command(shiftwork: Shiftwork) -> int:
        await shiftwork.trigger_schedule(args.agent, job_id=args.job_id)
        return await _done(args, shiftwork, "An occurrence runs now")

    return connected(command)


def backfill(args: Namespace) -> int:
    """Run the occurrences of a time that has passed."""
    start, end = _time("--from", args.start), _time("--to", args.end)

    async def command(shiftwork: Shiftwork) -> int:
        overlap = Overlap(args.overlap)
        found = await shiftwork.backfill_schedule(args.agent, start, end, overlap, job_id=args.job_id)
        if found or args.json:
            return await _done(args, shiftwork, "Its occurrences of that time run now", occurrences=found)
        print("It has no occurrence in that time, so nothing runs.")
        return DONE

    return connected(command)


def next_runs(args: Namespace) -> int:
    """Print the next moments of a schedule."""

    async def command(shiftwork: Shiftwork) -> int:
        info = await shiftwork.schedule(args.agent, args.job_id)
        due = [] if info.paused else await shiftwork.next_runs(args.agent, args.count, job_id=args.job_id)
        if args.json:
            print_json([at.astimezone(UTC).isoformat() for at in due])
        elif due:
            print("\n".join(moment(at) for at in due))
        else:
            print("It is paused." if info.paused else "It has no further moment.")
        return DONE

    return connected(command)


def _time(option: str, text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"{option}: {text!r} is no moment; write it as 2026-01-01T00:00Z.") from None
    if at.tzinfo is None:
        raise InvalidInput(f"{option}: {text!r} needs a time zone; write it as 2026-01-01T00:00Z.")
    return at


async def _done(args: Namespace, shiftwork: Shiftwork, what: str, **facts: int) -> int:
    agent, _ = await shiftwork.scheduled_agent(args.agent, args.job_id)
    if args.json:
        print_json({"agent_id": agent.id, "name": agent.name, "acknowledged": True, **facts})
    else:
        print(folded(f"{what}: see `shiftwork tasks list --agent {agent.id}`."))
    return DONE


def _facts(agent: AgentRow, info: ScheduleInfo) -> dict[str, Any]:
    found = {**asdict(info), "name": agent.name}
    moments = {name: [at.isoformat() for at in found[name]] for name in ("next_runs", "recent")}
    return {**found, **moments}


def _line(agent: AgentRow, info: ScheduleInfo) -> tuple[object, ...]:
    coming = moment(info.next_runs[0]) if info.next_runs else ""
    remark = f"paused{f': {excerpt(info.note, 80)}' if info.note else ''}" if info.paused else ""
    return agent.name, info.id, info.schedule, info.timezone, coming, info.runs, remark


async def _shown(args: Namespace, shiftwork: Shiftwork) -> int:
    agent, named = await shiftwork.scheduled_agent(args.agent, args.job_id)
    info = await shiftwork.schedule(agent.id, named)
    if args.json:
        print_json(_facts(agent, info))
        return DONE
    rows = (
        ("agent", f"{agent.id}: {agent.name}"),
        ("id", info.id),
        ("schedule", f"{info.schedule} ({info.timezone})"),
        ("paused", "yes" if info.paused else ""),
        ("note", excerpt(info.note)),
        ("next", ", ".join(moment(at) for at in info.next_runs[:3])),
        ("ran", ", ".join(moment(at) for at in info.recent[-3:])),
        ("runs", f"{info.runs}, {info.skipped} skipped, {info.missed} missed"),
    )
    print(pairs(rows))
    return DONE
