"""`schedules`: when registered agents run by themselves."""

from argparse import Namespace
from dataclasses import asdict
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from client.agents import definition_of
from client.api import Shiftwork
from client.cli.connecting import connected
from client.cli.exits import DONE
from client.cli.output import excerpt, pairs, print_json, table
from client.cli.task_pages import moment
from client.schedules import ScheduleInfo, schedule_id, schedules_of
from client.wording import first_problem
from shiftwork.contracts.agent import AgentConfiguration, Overlap
from shiftwork.errors import InvalidInput
from shiftwork.store.agents import AgentRow


def list_schedules(args: Namespace) -> int:
    """Print every agent's schedules."""

    async def command(shiftwork: Shiftwork) -> int:
        every = [(agent, name) for agent in await shiftwork.agents() for name in sorted(schedules_of(agent))]
        found = [(agent, await shiftwork.schedule(agent.id, name)) for agent, name in every]
        if args.json:
            print_json([_facts(agent, info) for agent, info in found])
        elif found:
            head = ("agent", "id", "schedule", "time zone", "next", "runs", "remark")
            print(table(head, [_line(agent, info) for agent, info in found], spare=(5, 3)))
        else:
            print("No agent has a schedule; see `shiftwork schedules set --help`.")
        return DONE

    return connected(command)


def show(args: Namespace) -> int:
    """Print a schedule."""

    async def command(shiftwork: Shiftwork) -> int:
        agent = await shiftwork.agent(args.agent)
        return _shown(args, agent, await shiftwork.schedule(agent.id, args.job_id))

    return connected(command)


def set_schedule(args: Namespace) -> int:
    """Have an agent run by a schedule."""

    async def command(shiftwork: Shiftwork) -> int:
        agent = await shiftwork.agent(args.agent)
        config: dict[str, Any] = {**agent.config.model_dump(), "enabled": True}
        if args.job_id in (None, schedule_id(agent.id)):
            config["schedule"] = args.cron
        else:
            config["schedules"] = {**agent.config.schedules, args.job_id: args.cron}
        agent = await _configured(shiftwork, agent, config)
        return _shown(args, agent, await shiftwork.schedule(agent.id, args.job_id))

    return connected(command)


def unset(args: Namespace) -> int:
    """Have an agent run by a schedule no more."""

    async def command(shiftwork: Shiftwork) -> int:
        agent = await shiftwork.agent(args.agent)
        config = agent.config.model_dump()
        if args.job_id in (None, schedule_id(agent.id)):
            config["schedule"] = None
        elif args.job_id not in agent.config.schedules:
            await shiftwork.schedule(agent.id, args.job_id)  # says that there is none
        others = {name: each for name, each in agent.config.schedules.items() if name != args.job_id}
        config["schedules"] = {} if args.job_id is None else others
        agent = await _configured(shiftwork, agent, config)
        left = sorted(schedules_of(agent))
        if args.json:
            print_json({"agent_id": agent.id, "name": agent.name, "schedules": left})
        else:
            still = f" It still has {', '.join(left)}." if left else ""
            print(f"Agent {excerpt(agent.name)} runs by {'that' if left else 'no'} schedule no more.{still}")
        return DONE

    return connected(command)


def pause(args: Namespace) -> int:
    """Have no occurrence run."""

    async def command(shiftwork: Shiftwork) -> int:
        await shiftwork.pause_schedule(args.agent, args.reason, job_id=args.job_id)
        return await _again(args, shiftwork)

    return connected(command)


def unpause(args: Namespace) -> int:
    """Have occurrences run again."""

    async def command(shiftwork: Shiftwork) -> int:
        await shiftwork.unpause_schedule(args.agent, args.reason, job_id=args.job_id)
        return await _again(args, shiftwork)

    return connected(command)


def trigger(args: Namespace) -> int:
    """Have an occurrence run now."""

    async def command(shiftwork: Shiftwork) -> int:
        await shiftwork.trigger_schedule(args.agent, job_id=args.job_id)
        return _done(args, await shiftwork.agent(args.agent), "An occurrence runs now")

    return connected(command)


def backfill(args: Namespace) -> int:
    """Run the occurrences of a time that has passed."""
    start, end = _time("--from", args.start), _time("--to", args.end)

    async def command(shiftwork: Shiftwork) -> int:
        overlap = Overlap(args.overlap)
        await shiftwork.backfill_schedule(args.agent, start, end, overlap, job_id=args.job_id)
        return _done(args, await shiftwork.agent(args.agent), "Its occurrences of that time run now")

    return connected(command)


def next_runs(args: Namespace) -> int:
    """Print the next moments of a schedule."""

    async def command(shiftwork: Shiftwork) -> int:
        info = await shiftwork.schedule(args.agent, args.job_id)
        if args.json:
            print_json([at.isoformat() for at in info.next_runs])
        elif info.next_runs:
            print("\n".join(moment(at) for at in info.next_runs))
        else:
            print("It is paused." if info.paused else "It has no further moment.")
        return DONE

    return connected(command)


async def _configured(shiftwork: Shiftwork, agent: AgentRow, config: dict[str, Any]) -> AgentRow:
    try:
        checked = AgentConfiguration.model_validate(config)
    except ValidationError as error:
        raise InvalidInput(f"{first_problem(error, AgentConfiguration)}.") from error
    return await shiftwork.change_agent(agent.id, definition_of(agent, config=checked))


async def _again(args: Namespace, shiftwork: Shiftwork) -> int:
    agent = await shiftwork.agent(args.agent)
    return _shown(args, agent, await shiftwork.schedule(agent.id, args.job_id))


def _time(option: str, text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"{option}: {text!r} is no moment; write it as 2026-01-01T00:00Z.") from None
    if at.tzinfo is None:
        raise InvalidInput(f"{option}: {text!r} needs a time zone; write it as 2026-01-01T00:00Z.")
    return at


def _done(args: Namespace, agent: AgentRow, what: str) -> int:
    if args.json:
        print_json({"agent_id": agent.id, "name": agent.name, "acknowledged": True})
    else:
        print(f"{what}: see `shiftwork tasks list --agent {agent.id}`.")
    return DONE


def _facts(agent: AgentRow, info: ScheduleInfo) -> dict[str, Any]:
    found = {**asdict(info), "name": agent.name}
    moments = {name: [at.isoformat() for at in found[name]] for name in ("next_runs", "recent")}
    return {**found, **moments}


def _line(agent: AgentRow, info: ScheduleInfo) -> tuple[object, ...]:
    coming = moment(info.next_runs[0]) if info.next_runs else ""
    remark = f"paused{f': {excerpt(info.note, 80)}' if info.note else ''}" if info.paused else ""
    return agent.name, info.id, info.schedule, info.timezone, coming, info.runs, remark


def _shown(args: Namespace, agent: AgentRow, info: ScheduleInfo) -> int:
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
