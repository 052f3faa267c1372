"""The commands that start projects and show them."""

from client.cli import values
from client.cli.arguments import AGENT_SETTING, BASE_URL, JSON, MODEL, NEWEST, PROFILES, STATUSES, WAIT
from client.cli.command import Command, argument, number, switch

STACK = (
    Command(
        "init",
        "write a starter specification and a cassette that plays it",
        "client.cli.beginning:init",
        "shiftwork init my-project\nshiftwork start my-project/spec.md --cassette my-project/cassette.yml "
        "--repo my-project/repository --wait",
        (
            argument(
                "folder",
                nargs="?",
                default=".",
                metavar="DIR",
                completes="directory",
                help="where (default: here)",
            ),
            JSON,
        ),
        "Files that exist are never overwritten.",
    ),
    Command(
        "dev",
        "run PostgreSQL, Temporal and a worker until Ctrl-C",
        "client.cli.stack:dev",
        "shiftwork dev\nshiftwork dev --no-worker   # and `shiftwork worker` elsewhere",
        (switch("--no-worker", "the servers alone, without the REST interface too"), JSON),
        "Everything lives in one state folder (SHIFTWORK_STATE), and is there again at the next start.",
    ),
    Command(
        "worker", "run one more worker for the running stack", "client.cli.stack:worker", "shiftwork worker"
    ),
    Command(
        "temporal",
        "run Temporal's own command line on the running stack",
        "client.cli.temporal:temporal",
        "shiftwork temporal workflow list\nshiftwork temporal workflow show --workflow-id project-ID",
        (argument("rest", nargs="*", metavar="ARGUMENT", help="what `temporal` takes"),),
        "It is given the address, the namespace and what decodes payloads. The exit status is its own.",
        passes_on=True,
    ),
    Command(
        "keys",
        "list or rotate the keys that encrypt what Temporal stores",
        "client.cli.keys:keys",
        "shiftwork keys list\nshiftwork keys rotate",
        (
            argument(
                "action",
                metavar="ACTION",
                choices=("list", "rotate"),
                help="list: ids, the one in use first; rotate: add a key that is used from now on",
            ),
            JSON,
        ),
        "No key is ever shown. Old ones stay, because histories were encoded with them.",
    ),
    Command(
        "mcp",
        "offer all this to any agent, as a server of the Model Context Protocol",
        "client.cli.mcp:mcp",
        "shiftwork mcp --agent claude --budget 20\nshiftwork mcp --http --read-only",
        (
            argument(
                "--http",
                nargs="?",
                type=values.port,
                const=0,
                metavar="PORT",
                help="on this machine's loopback, with a token; without PORT: on a free one "
                "(default: standard input and output)",
            ),
            switch("--read-only", "only tools that change nothing"),
            argument("--agent", metavar="NAME", help="who does the work of projects that are made by it"),
            MODEL,
            BASE_URL,
            AGENT_SETTING,
            argument("--cassette", metavar="FILE", completes="file", help="what the scripted agent plays"),
            number(
                "--budget", "the most that each such project may cost, in US dollars", values.dollars, "USD"
            ),
            JSON,
        ),
        "It ends with its client, or with --http at Ctrl-C. It needs the extra `mcp`.",
    ),
    Command(
        "api",
        "offer all this to programs, over HTTP",
        "client.cli.api:api",
        "shiftwork api --port 8480\nshiftwork api --schema",
        (
            number("--port", "(default: a free one)", values.port, "PORT"),
            argument(
                "--listen",
                metavar="ADDRESS",
                help="another address than the loopback: whoever reaches it and has the token commands "
                "agents on this machine, and what passes is not encrypted",
            ),
            argument(
                "--host",
                action="append",
                metavar="NAME",
                help="what clients may call it besides its address: HOST or HOST:PORT; repeatable",
            ),
            switch("--schema", "print its description as OpenAPI, and serve nothing"),
            JSON,
        ),
        "`shiftwork dev` runs it already; `shiftwork token` prints what requests must bear.",
    ),
    Command(
        "token",
        "print the token of the REST interface",
        "client.cli.api:token",
        "shiftwork token",
        (JSON,),
        "It is made at the first start, and kept in a file that nobody else may read. "
        'For curl: --header "Authorization: Bearer $(shiftwork token)".',
    ),
    Command(
        "doctor",
        "say what this machine can run, and what is missing",
        "client.cli.doctor:doctor",
        "shiftwork doctor\nshiftwork doctor --json",
        (JSON,),
        "Exit status 0 if projects can run here; agents that are missing do not change it.",
    ),
)

PROJECTS = (
    Command(
        "start",
        "start a project from a specification",
        "client.cli.beginning:start",
        "shiftwork start spec.md --repo ./product --agent scripted --cassette cassette.yml --wait\n"
        "shiftwork start spec.md --agent claude --profile networked --allow-host packages.example "
        "--limit memory_mb=4000",
        (
            argument("spec", metavar="SPEC", completes="file", help="what is to be built, in Markdown"),
            argument(
                "--repo",
                metavar="DIR",
                completes="directory",
                help="your git repository, where the work is delivered; made if it is missing",
            ),
            argument("--agent", metavar="NAME", help="who does the work: see `doctor` (default: scripted)"),
            MODEL,
            BASE_URL,
            AGENT_SETTING,
            argument("--cassette", metavar="FILE", completes="file", help="what the scripted agent plays"),
            argument(
                "--role",
                action="append",
                type=values.role_agent,
                metavar="ROLE=AGENT[:MODEL]",
                help=f"another agent for one role: {', '.join(values.ROLES)}; repeatable",
            ),
            argument(
                "--prompt",
                action="append",
                type=values.role_file,
                metavar="ROLE=FILE",
                help="what the agent of a role is told; `shiftwork prompts` prints ours; repeatable",
            ),
            argument("--name", metavar="NAME", help="the project's name (default: the specification's)"),
            number("--max-sessions", "pause after so many sessions", values.count),
            number("--max-attempts", "attempts before a feature is blocked (default: 5)", values.count),
            number("--max-parallel", "sessions at once (default: 1)", values.count),
            number("--budget", "what it may cost, in US dollars", values.dollars, "USD"),
            number("--verification-timeout", "seconds a step may take (default: 120)", values.seconds, "S"),
            number("--session-timeout", "seconds an agent may run (default: 3600)", values.seconds, "S"),
            argument(
                "--profile",
                choices=PROFILES,
                help="what agents and commands may reach: their own folders and the model, listed hosts too, "
                "or everything (default: strict)",
            ),
            argument(
                "--allow-host",
                action="append",
                type=values.host,
                metavar="HOST",
                help="a host that the profile networked may reach: HOST, HOST:PORT or *.DOMAIN; repeatable",
            ),
            argument(
                "--limit",
                action="append",
                type=values.limit,
                metavar="NAME=VALUE",
                help=f"what an agent may use: {', '.join(values.LIMITS)}; `none` is no limit; repeatable",
            ),
            argument(
                "--setup",
                action="append",
                metavar="CMD",
                help="prepares every checkout, run by bash (by sh where there is none); repeatable",
            ),
            switch("--no-autorun", "one session at a time, each asked for by `run-session`"),
            switch("--allow-dirty", "start from the last commit of a repository with uncommitted changes"),
            WAIT,
            JSON,
        ),
        "What the front matter of the specification says holds unless an option says otherwise.",
    ),
    Command(
        "prompts",
        "print what agents are told of their roles",
        "client.cli.prompts:prompts",
        "shiftwork prompts session",
        (
            argument("role", metavar="ROLE", nargs="?", choices=values.ROLES, help="only this one"),
            JSON,
        ),
    ),
    Command(
        "list",
        "list the projects",
        "client.cli.reading:projects",
        "shiftwork list --status active",
        (
            argument(
                "--status",
                choices=STATUSES,
                metavar="STATUS",
                help=f"only those: {', '.join(STATUSES)}",
            ),
            JSON,
        ),
    ),
    Command(
        "status",
        "show where a project stands",
        "client.cli.status:status",
        "shiftwork status --json",
        (NEWEST, JSON),
    ),
    Command(
        "features",
        "list a project's features",
        "client.cli.reading:features",
        "shiftwork features linkshelf",
        (NEWEST, JSON),
    ),
    Command(
        "watch",
        "show live what happens, until the project is at rest",
        "client.cli.watching:watch",
        "shiftwork watch\nshiftwork watch linkshelf --json   # one event a line",
        (
            NEWEST,
            switch("--plain", "lines instead of a live display"),
            switch("--agents", "with --plain or --json: also what agents say and do"),
            JSON,
        ),
    ),
    Command(
        "logs",
        "print what happened, or what an agent said",
        "client.cli.logs:logs",
        "shiftwork logs --follow\nshiftwork logs linkshelf --session 3 --transcript",
        (
            NEWEST,
            switch("--follow", "go on until the project is at rest"),
            number("--session", "only this session", values.index),
            number("--last", "only the newest N", values.count),
            switch("--transcript", "what the agent said and did (default: of the newest session)"),
            JSON,
        ),
        "With --json: one JSON object a line.",
    ),
    Command(
        "report",
        "write a report of the whole project",
        "client.cli.reading:report",
        "shiftwork report linkshelf --output report.md",
        (
            NEWEST,
            argument(
                "--format",
                choices=("markdown", "json"),
                help="default: markdown, which a terminal shows laid out",
            ),
            argument("--output", metavar="FILE", completes="file", help="write it to a file"),
            switch("--json", "the same as --format json"),
        ),
    ),
)
