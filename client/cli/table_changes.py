"""The commands that change a project, and those of its memory."""

from client.cli import values
from client.cli.arguments import (
    AGENT_SETTING,
    BASE_URL,
    CATEGORIES,
    JSON,
    MODEL,
    NEWEST,
    OPEN,
    OUTCOMES,
    WAIT,
    YES,
    feature_fields,
)
from client.cli.command import Command, argument, number, switch

CHANGES = (
    Command(
        "pause",
        "pause a project after its running sessions, or at once",
        "client.cli.directing:pause",
        "shiftwork pause linkshelf --now --reason 'looking at the plan'",
        (
            OPEN,
            switch("--now", "interrupt running sessions; their work is kept"),
            argument("--reason", default="", metavar="TEXT", help="kept and shown"),
            switch("--wait", "wait until nothing runs any more"),
            JSON,
        ),
        "A project that is paused already keeps its reason, unless another is given.",
    ),
    Command(
        "resume",
        "go on after a pause; also brings a project back whose workflow was lost",
        "client.cli.directing:resume",
        "shiftwork resume linkshelf --max-sessions 5 --wait\nshiftwork resume linkshelf --model gpt-5 "
        "--agent-setting max_tokens=8000\n"
        "shiftwork resume linkshelf --category ui --fallback 1 --model gpt-5",
        (
            OPEN,
            number("--max-sessions", "pause again after so many sessions", values.count),
            argument(
                "--autorun", action="store_true", default=None, help="go from session to session from now on"
            ),
            argument(
                "--no-autorun", dest="autorun", action="store_false", help="one session at a time from now on"
            ),
            MODEL,
            BASE_URL,
            AGENT_SETTING,
            argument(
                "--role",
                choices=values.ROLES,
                metavar="ROLE",
                help="whose model and settings these are, where a role has an agent of its own "
                "(default: the project's agent)",
            ),
            argument(
                "--category",
                choices=CATEGORIES,
                metavar="CATEGORY",
                help="the same, where a category has an agent of its own",
            ),
            number("--fallback", "the Nth fallback of that agent is meant, the first is 1", values.count),
            WAIT,
            JSON,
        ),
        "Settings replace those of the same name; the value `null` takes one away. Agent and profile stay.",
    ),
    Command(
        "abandon",
        "end a project for good",
        "client.cli.directing:abandon",
        "shiftwork abandon linkshelf 'we bought one'",
        (
            OPEN,
            argument("text", nargs="?", metavar="REASON", help="kept and shown"),
            argument("--reason", metavar="TEXT", help="the same"),
            YES,
            JSON,
        ),
        "Running sessions are interrupted; everything that landed stays. Where PROJECT is left out, it asks.",
    ),
    Command(
        "steer",
        "give guidance to the sessions to come",
        "client.cli.directing:steer",
        "shiftwork steer linkshelf 'Prefer plain SQL to an ORM' --feature 'bookmark storage'",
        (
            OPEN,
            argument("text", metavar="TEXT", help="the guidance"),
            argument("--feature", metavar="F", help="name or id of the one feature it is for (default: all)"),
            JSON,
        ),
        "It can't be taken back; what is told later may say otherwise.",
    ),
    Command(
        "answer",
        "answer a feature's question",
        "client.cli.directing:answer",
        "shiftwork answer linkshelf 'access token' 'Yes, one token for everybody'",
        (
            OPEN,
            argument("feature", metavar="FEATURE", help="name or id"),
            argument("text", metavar="TEXT", help="the answer"),
            JSON,
        ),
        "`shiftwork status` shows the questions that are open.",
    ),
    Command(
        "run-session",
        "run one session now",
        "client.cli.directing:run_session",
        "shiftwork run-session linkshelf 'web page' --wait",
        (
            OPEN,
            argument("feature", nargs="?", metavar="FEATURE", help="name or id (default: the next one)"),
            switch("--wait", "wait for its end; exit status 5 unless it passed"),
            JSON,
        ),
    ),
    Command(
        "add-feature",
        "add a feature to a project",
        "client.cli.editing:add_feature",
        "shiftwork add-feature linkshelf --name 'dark mode' --category ui --verify 'grep -q dark style.css'\n"
        "shiftwork add-feature linkshelf feature.yml",
        (
            OPEN,
            argument(
                "file", nargs="?", metavar="FILE", completes="file", help="the feature in YAML, as in a plan"
            ),
            *feature_fields(new=True),
            JSON,
        ),
        "Options replace what the file says. A completed project is opened again.",
    ),
    Command(
        "edit-feature",
        "change a feature; lifts `blocked`",
        "client.cli.editing:edit_feature",
        "shiftwork edit-feature linkshelf 'web page' --priority 9 --verify 'python3 -m unittest -q'",
        (
            OPEN,
            argument("feature", metavar="FEATURE", help="name or id"),
            argument("--file", metavar="FILE", completes="file", help="the fields to change, in YAML"),
            *feature_fields(new=False),
            switch("--no-dependencies", "it depends on no other feature any more"),
            JSON,
        ),
        "Steps given by --verify or a file replace those it has.",
    ),
    Command(
        "revert",
        "take main back to a checkpoint, by a commit that undoes what came after",
        "client.cli.directing:revert",
        "shiftwork revert linkshelf 4f2a91c",
        (
            OPEN,
            argument("commit", metavar="COMMIT", help="a landing, as `shiftwork logs` shows it"),
            switch("--yes", "also undo commits of people"),
            JSON,
        ),
        "Commits of people that it would undo are listed; nothing happens then without --yes.",
    ),
    Command(
        "budget",
        "change what a project may cost",
        "client.cli.directing:budget",
        "shiftwork budget linkshelf 25\nshiftwork budget linkshelf none",
        (
            OPEN,
            argument(
                "usd", type=values.dollars_or_none, metavar="USD", help="US dollars, or `none` for no limit"
            ),
            JSON,
        ),
        "A higher one lifts the pause that the old one caused.",
    ),
    Command(
        "delete",
        "delete a project that is closed, or was never started: its rows and its private repository",
        "client.cli.directing:delete",
        "shiftwork delete linkshelf --yes",
        (argument("project", metavar="PROJECT", help="id, beginning of an id, or name"), YES, JSON),
        "Your own repository is left as it is.",
    ),
)

MEMORY = (
    Command(
        "decisions",
        "list what was decided, why, and what came of it",
        "client.cli.reading:decisions",
        "shiftwork decisions linkshelf --last 5",
        (NEWEST, number("--last", "only the newest N (default: 100)", values.count), JSON),
    ),
    Command(
        "feedback",
        "say what became of a decision; later sessions read it",
        "client.cli.directing:feedback",
        "shiftwork feedback 7 partial --score 0.3 --lesson 'Measure before adding an index'",
        (
            argument(
                "decision", type=values.count, metavar="DECISION_ID", help="as `shiftwork decisions` shows it"
            ),
            argument("outcome", choices=OUTCOMES, metavar="OUTCOME", help=", ".join(OUTCOMES)),
            number("--score", "from -1 (bad) to 1 (good)", values.score, "X"),
            argument("--lesson", default="", metavar="TEXT", help="what to do, or not, another time"),
            JSON,
        ),
    ),
    Command(
        "completion",
        "print the completion script of a shell",
        "client.cli.completion:completion",
        'eval "$(shiftwork completion bash)"',
        (argument("shell", choices=("bash", "zsh"), metavar="SHELL", help="bash or zsh"),),
    ),
)
