"""The commands of registered agents, and of their schedules."""

from client.cli import values
from client.cli.arguments import JSON, YES
from client.cli.command import Argument, Command, argument, number, switch

AGENTS_HELP = {
    "agents": "register agents that run by themselves, change and run them",
    "schedules": "have registered agents run by schedules",
}

AGENT = argument("agent", metavar="AGENT", help="its name or id")
SCHEDULED = argument("agent", metavar="AGENT", help="its name or id, or a schedule's id")
PARAMETER = argument(
    "--parameter",
    action="append",
    type=values.setting,
    metavar="KEY=VALUE",
    help="what it is given, as JSON or as text; repeatable",
)
TIMEOUT = number("--timeout", "seconds that a run may take (default: 300)", values.seconds, "S")
JOB = argument("--id", dest="job_id", metavar="ID", help="which of its schedules (default: agent_ID)")
OVERLAPS = ("skip", "buffer_one", "buffer_all", "allow_all")


def _definition(*, new: bool) -> tuple[Argument, ...]:
    """What may be said of an agent."""
    kept = "" if new else " (default: as it is)"
    return (
        argument("--code", metavar="FILE", completes="file", help="its Python code; - is standard input"),
        argument("--kind", metavar="KIND", help=f"python, or a backend: see `doctor`{kept}"),
        argument("--description", metavar="TEXT", help="what it is for"),
        argument(
            "--setting",
            action="append",
            type=values.setting,
            metavar="KEY=VALUE",
            help="a setting of its backend, as JSON or as text; repeatable",
        ),
        argument("--config", metavar="JSON", help="its configuration, as JSON or as @FILE"),
        argument("--schedule", metavar="CRON", help="when it runs by itself; `none`: not by itself"),
        argument("--timezone", metavar="NAME", help="whose clock that is read by (default: UTC)"),
        TIMEOUT,
        argument(
            "--limit",
            action="append",
            type=values.limit,
            metavar="NAME=VALUE",
            help="what its processes may use, as for `start`; repeatable",
        ),
        PARAMETER,
        argument(
            "--overlap",
            choices=OVERLAPS,
            metavar="POLICY",
            help=f"what becomes of an occurrence during a run: {', '.join(OVERLAPS)} (default: skip)",
        ),
        argument(
            "--enable", dest="enabled", action="store_true", default=None, help="have its schedule run it"
        ),
        argument("--disable", dest="enabled", action="store_false", help="keep its schedule from running it"),
    )


AGENTS = (
    Command(
        "agents list", "list the agents", "client.cli.agents:list_agents", "shiftwork agents list", (JSON,)
    ),
    Command(
        "agents show",
        "show an agent",
        "client.cli.agents:show",
        "shiftwork agents show price-watcher\nshiftwork agents show price-watcher --code",
        (
            AGENT,
            number("--version", "as it was in this version", values.count),
            switch("--code", "print its code alone"),
            JSON,
        ),
    ),
    Command(
        "agents register",
        "register an agent",
        "client.cli.agents:register",
        "shiftwork agents register price-watcher --code watcher.py --schedule '0 * * * *'\n"
        "shiftwork agents register reviewer --kind claude --setting model=opus --timeout 3600",
        (argument("agent", metavar="NAME", help="its name"), *_definition(new=True), JSON),
        "Options go before --config.",
    ),
    Command(
        "agents edit",
        "give an agent a new version, which its next runs take",
        "client.cli.agents:edit",
        "shiftwork agents edit price-watcher --timeout 60\n"
        "shiftwork agents edit price-watcher --code watcher.py",
        (AGENT, *_definition(new=False), JSON),
        "What is not given stays. Settings, limits and parameters replace those of the same name; the value "
        "`null` takes one away. --config is a JSON merge patch: what it does not name stays, too. An agent "
        "that becomes a program leaves its code, one that becomes Python its settings.",
    ),
    Command(
        "agents delete",
        "delete an agent; its tasks and handoffs stay",
        "client.cli.agents:delete",
        "shiftwork agents delete price-watcher --yes",
        (AGENT, YES, JSON),
    ),
    Command(
        "agents versions",
        "list the versions of an agent",
        "client.cli.agents:versions",
        "shiftwork agents versions price-watcher",
        (AGENT, JSON),
    ),
    Command(
        "agents run",
        "run an agent now, and wait for its end",
        "client.cli.agents:run",
        "shiftwork agents run price-watcher --parameter symbol=ACME",
        (
            AGENT,
            argument("--instruction", default="", metavar="TEXT", help="what it is told to do"),
            PARAMETER,
            number(
                "--timeout", "seconds that it may take (default: as it is configured)", values.seconds, "S"
            ),
            switch("--no-wait", "print its task, which runs on"),
            JSON,
        ),
        "Prints what it printed; exit status 5 if it failed.",
    ),
    Command(
        "schedules list",
        "list the schedules",
        "client.cli.schedules:list_schedules",
        "shiftwork schedules list",
        (JSON,),
    ),
    Command(
        "schedules show",
        "show a schedule of an agent",
        "client.cli.schedules:show",
        "shiftwork schedules show price-watcher",
        (SCHEDULED, JOB, JSON),
    ),
    Command(
        "schedules set",
        "have an agent run by a schedule",
        "client.cli.schedules:set_schedule",
        "shiftwork schedules set price-watcher '0 9 * * 1-5'\n"
        "shiftwork schedules set price-watcher '@every 90s' --id quick\n"
        "shiftwork schedules set price-watcher '0 9 * * 1-5' --timezone Europe/Berlin",
        (
            SCHEDULED,
            argument("cron", metavar="CRON", help="five fields of cron, or `@every 90s`"),
            JOB,
            argument(
                "--timezone",
                metavar="ZONE",
                help="whose clock all schedules of the agent are read by (default: as it is)",
            ),
            JSON,
        ),
        "Its configuration says so too, as a new version.",
    ),
    Command(
        "schedules unset",
        "have an agent run by a schedule no more",
        "client.cli.schedules:unset",
        "shiftwork schedules unset price-watcher",
        (
            SCHEDULED,
            argument("--id", dest="job_id", metavar="ID", help="only by this one (default: by none)"),
            JSON,
        ),
    ),
    Command(
        "schedules pause",
        "have no occurrence run until it is unpaused",
        "client.cli.schedules:pause",
        "shiftwork schedules pause price-watcher --reason 'the exchange is closed'",
        (SCHEDULED, JOB, argument("--reason", default="", metavar="TEXT", help="kept and shown"), JSON),
        "What runs goes on; those that wait for its end are dropped, too: see `schedules backfill`.",
    ),
    Command(
        "schedules unpause",
        "have occurrences run again",
        "client.cli.schedules:unpause",
        "shiftwork schedules unpause price-watcher",
        (SCHEDULED, JOB, argument("--reason", default="", metavar="TEXT", help="kept and shown"), JSON),
        "Those of the pause are not made up for: see `schedules backfill`.",
    ),
    Command(
        "schedules trigger",
        "have an occurrence run now",
        "client.cli.schedules:trigger",
        "shiftwork schedules trigger price-watcher",
        (SCHEDULED, JOB, JSON),
    ),
    Command(
        "schedules backfill",
        "run the occurrences of a time that has passed; those that ran don't again",
        "client.cli.schedules:backfill",
        "shiftwork schedules backfill price-watcher --from 2026-01-01T00:00Z --to 2026-01-02T00:00Z",
        (
            SCHEDULED,
            argument("--from", dest="start", required=True, metavar="TIME", help="such as 2026-01-01T00:00Z"),
            argument("--to", dest="end", required=True, metavar="TIME", help="the same"),
            argument(
                "--overlap",
                choices=OVERLAPS,
                default="buffer_all",
                metavar="POLICY",
                help=f"how they follow each other: {', '.join(OVERLAPS)} (default: buffer_all, one after the "
                "other)",
            ),
            JOB,
            JSON,
        ),
    ),
    Command(
        "schedules next",
        "print the next moments of a schedule",
        "client.cli.schedules:next_runs",
        "shiftwork schedules next price-watcher --count 3",
        (
            SCHEDULED,
            JOB,
            argument(
                "--count",
                type=values.moments,
                default=10,
                metavar="N",
                help=f"how many, at most {values.MOST_MOMENTS:,} (default: 10)",
            ),
            JSON,
        ),
    ),
)
