"""The commands of tasks, and of what they leave for each other."""

from client.cli import values
from client.cli.arguments import JSON, NEWEST
from client.cli.command import Command, argument, number, switch
from client.cli.table_agents import AGENT, PARAMETER

TASKS_HELP = {
    "tasks": "make tasks, run them and see what came of them",
    "handoffs": "see what runs of agents left for the next ones",
}

TASK = argument("task", metavar="TASK", help="its number or its UUID")
TASK_STATUSES = ("created", "running", "completed", "failed")

TASKS = (
    Command(
        "tasks list",
        "list the tasks, newest first",
        "client.cli.tasks:list_tasks",
        "shiftwork tasks list --status failed --agent price-watcher",
        (
            argument("--status", choices=TASK_STATUSES, metavar="STATUS", help=", ".join(TASK_STATUSES)),
            argument("--agent", metavar="AGENT", help="only of this agent, by name or id"),
            argument("--provider", metavar="NAME", help="only of this provider"),
            argument("--user", metavar="NAME", help="only those for this user"),
            number("--last", "only the newest N (default: 50)", values.count),
            number("--before", "only those with smaller numbers: the next page", values.count),
            JSON,
        ),
    ),
    Command(
        "tasks show", "show a task", "client.cli.tasks:show", "shiftwork tasks show 12 --json", (TASK, JSON)
    ),
    Command(
        "tasks create",
        "make a task that nothing runs yet",
        "client.cli.tasks:create",
        "shiftwork tasks create --provider github octo/hello#7\n"
        "shiftwork tasks create --agent price-watcher --parameter symbol=ACME",
        (
            argument("instruction", nargs="?", default="", metavar="INSTRUCTION", help="what is to be done"),
            argument("--provider", metavar="NAME", help="who does it: see `doctor`"),
            argument("--agent", metavar="AGENT", help="or a registered agent, by name or id"),
            PARAMETER,
            argument("--user", default="", metavar="NAME", help="for whom; kept and shown"),
            argument("--key", metavar="KEY", help="the same one again finds the same task"),
            JSON,
        ),
    ),
    Command(
        "tasks run",
        "run one task, or whatever is pending",
        "client.cli.task_runs:run",
        "shiftwork tasks run 12\nshiftwork tasks run --once\nshiftwork tasks run --loop --interval 10",
        (
            argument("task", nargs="?", metavar="TASK", help="run this one, and wait for its end"),
            switch("--once", "run what is pending, and end"),
            switch("--loop", "go on until Ctrl-C or SIGTERM"),
            number("--interval", "with --loop: seconds between two looks (default: 5)", values.seconds, "S"),
            argument(
                "--state",
                "--db-path",
                metavar="DIR",
                completes="directory",
                help="the state folder of another stack than the environment says",
            ),
            JSON,
        ),
        "--once and --loop need SHIFTWORK_AGENT_RUNNER_ENABLED=true; LOG_LEVEL says how much is logged on "
        "standard error. A task that fails does not end them. Exit status 5 if TASK failed.",
    ),
    Command(
        "tasks cancel",
        "end a task; it fails as cancelled",
        "client.cli.tasks:cancel",
        "shiftwork tasks cancel 12",
        (TASK, JSON),
    ),
    Command(
        "tasks wait",
        "wait for the end of a task; exit status 5 if it failed",
        "client.cli.tasks:wait",
        "shiftwork tasks wait 12",
        (TASK, JSON),
    ),
    Command(
        "tasks logs",
        "print what happened to a task, and what it put out",
        "client.cli.tasks:logs",
        "shiftwork tasks logs 12 --follow",
        (TASK, switch("--follow", "go on until it has ended"), JSON),
        "With --json: one JSON object a line.",
    ),
    Command(
        "handoffs list",
        "list what an agent's runs left, newest first",
        "client.cli.handoffs:list_handoffs",
        "shiftwork handoffs list price-watcher --last 5",
        (AGENT, number("--last", "only the newest N (default: 10)", values.count), JSON),
    ),
    Command(
        "handoffs project",
        "list what a project's sessions left, newest first",
        "client.cli.handoffs:list_of_project",
        "shiftwork handoffs project linkshelf --last 5",
        (NEWEST, number("--last", "only the newest N (default: 10)", values.count), JSON),
    ),
    Command(
        "handoffs show",
        "show a handoff",
        "client.cli.handoffs:show",
        "shiftwork handoffs show price-watcher 3",
        (
            AGENT,
            argument("handoff", type=values.count, metavar="HANDOFF_ID", help="as the list shows it"),
            JSON,
        ),
    ),
    Command(
        "handoffs latest",
        "show what an agent's next run will be given",
        "client.cli.handoffs:latest",
        "shiftwork handoffs latest price-watcher",
        (AGENT, JSON),
    ),
    Command(
        "handoffs save",
        "leave a handoff for an agent's next run",
        "client.cli.handoffs:save",
        "shiftwork handoffs save price-watcher handoff.json --summary 'set by hand'",
        (
            AGENT,
            argument(
                "file", metavar="FILE", completes="file", help="the context as JSON; - is standard input"
            ),
            argument("--summary", default="", metavar="TEXT", help="for people"),
            argument(
                "--ttl-days",
                type=values.days_or_none,
                default=30.0,
                metavar="N",
                help="days until it expires, or `none`: never (default: 30)",
            ),
            number("--task", "the run of this agent that leaves it", values.count, "TASK"),
            JSON,
        ),
        "Its keys are `observations`, `actions`, `state` and `metadata`.",
    ),
    Command(
        "handoffs cleanup",
        "delete the handoffs that have expired",
        "client.cli.handoffs:cleanup",
        "shiftwork handoffs cleanup",
        (JSON,),
    ),
)
