"""The commands of environments, of what is played in them, and by whom."""

from argparse import BooleanOptionalAction
from pathlib import Path

from client.cli import values
from client.cli.arguments import AGENT_SETTING, BASE_URL, JSON, MODEL, PROFILES
from client.cli.command import Command, argument, number
from client.cli.table_agents import PARAMETER

ENVIRONMENTS_HELP = {"env": "play in environments, have agents play, and see what they score"}

ENVIRONMENT = argument(
    "environment", metavar="NAME", help="as `env list` shows it, or any class as module:Class"
)
PARAMETERS = (
    argument("--parameters", type=values.mapping, metavar="JSON", help="what the environment is made with"),
    PARAMETER,
)
EVALUATION = argument("evaluation", type=values.count, metavar="EVALUATION", help="its number")
ENVIRONMENTS = (
    Command(
        "env list",
        "list the environments that are installed here",
        "client.cli.env:list_environments",
        "shiftwork env list",
        (JSON,),
    ),
    Command(
        "env show",
        "show what an environment is, what it is made with, and what can be done in it",
        "client.cli.env:show",
        "shiftwork env show maze\nshiftwork env show maze --parameter rows=12",
        (ENVIRONMENT, *PARAMETERS, JSON),
    ),
    Command(
        "env check",
        "hold an environment against the rules that players rely on",
        "client.cli.env:check",
        "shiftwork env check maze\nshiftwork env check my_game:MyGameHarness",
        (
            ENVIRONMENT,
            *PARAMETERS,
            number("--seed", "of the episodes (default: 0)", values.seed),
            number("--episodes", "how many are watched closely (default: 3)", values.count),
            JSON,
        ),
        "It is played in a process of its own, which is ended if a call does not return. module:Class is "
        "also looked for in the folder where you are. Exit "
        "status 5 if it breaks a rule.",
    ),
    Command(
        "env play",
        "play in the terminal",
        "client.cli.env_play:play",
        "shiftwork env play text_adventure --seed 7\nshiftwork env play connect_four --parameter "
        "opponent=minimax",
        (
            ENVIRONMENT,
            *PARAMETERS,
            number("--seed", "from which the episode is made (default: another each time)", values.seed),
            JSON,
        ),
        "Type an action and what it takes: `guess 50`, `move north`, or JSON. `help` shows the actions, "
        "Ctrl-D ends. With --json: one JSON object a line.",
    ),
    Command(
        "env run",
        "have an environment played, once or many times, and see what comes of it",
        "client.cli.env_run:run",
        "shiftwork env run maze --episodes 20 --seed 5 --parallel 2\n"
        'shiftwork env run number_guess --agent "command:python3 $PWD/player.py" --readable player.py\n'
        "shiftwork env run text_adventure --agent claude --model haiku --episodes 5 --max-cost 0.50",
        (
            ENVIRONMENT,
            *PARAMETERS,
            argument(
                "--agent",
                default="random",
                metavar="PLAYER",
                help="who plays: random, scripted:FILE, command:CMD, or an agent's backend (default: random)",
            ),
            MODEL,
            BASE_URL,
            AGENT_SETTING,
            argument("--instruction", metavar="TEXT", help="what an agent is told beyond how to play"),
            number("--max-cost", "US dollars that an agent may spend in one episode", values.price, "USD"),
            number("--episodes", "how many (default: 1)", values.count),
            number("--seed", "of the first; each further one has the next (default: 0)", values.seed),
            number("--parallel", "how many are played at once (default: 1)", values.count),
            number("--max-steps", "after so many actions the player is stopped", values.count),
            number("--timeout", "seconds of play that an episode has (default: 3600)", values.seconds, "S"),
            argument(
                "--profile",
                choices=PROFILES,
                help="what agents and commands may reach (default: strict)",
            ),
            argument(
                "--allow-host",
                action="append",
                type=values.host,
                metavar="HOST",
                help="a host that the profile networked may reach; repeatable",
            ),
            argument(
                "--readable",
                action="append",
                type=Path,
                metavar="PATH",
                completes="file",
                help="a file or folder that the player may read, such as its program; repeatable",
            ),
            number(
                "--answer-timeout", "seconds for each answer of a command (default: 60)", values.seconds, "S"
            ),
            number(
                "--environment-memory",
                "millions of bytes that the environment may use (default: 4000)",
                values.count,
                "MB",
            ),
            argument(
                "--key",
                type=values.key,
                metavar="KEY",
                help="the same one again finds the same evaluation",
            ),
            argument(
                "--wait",
                action=BooleanOptionalAction,
                default=True,
                help="wait for the end, and show what it came to (default); Ctrl-C does not end it",
            ),
            JSON,
        ),
        "A worker plays it: module:Class has to be importable there. Exit status 5 if an episode could not "
        "be played; how it was played does not matter.",
    ),
    Command(
        "env stats",
        "show what evaluations came to: success, reward and steps",
        "client.cli.env_results:stats",
        "shiftwork env stats\nshiftwork env stats 3 4\nshiftwork env stats 3 --curve curve.svg",
        (
            argument(
                "evaluation",
                nargs="*",
                type=values.count,
                metavar="EVALUATION",
                help="their numbers (default: the newest)",
            ),
            argument("--environment", metavar="NAME", help="only those of this environment"),
            number("--last", "only the newest N (default: 20)", values.count),
            argument(
                "--curve",
                type=Path,
                metavar="FILE",
                completes="file",
                help="draw the rewards of one evaluation, episode by episode, as SVG",
            ),
            JSON,
        ),
    ),
    Command(
        "env episodes",
        "list the episodes of an evaluation",
        "client.cli.env_results:episodes",
        "shiftwork env episodes 3",
        (EVALUATION, JSON),
    ),
    Command(
        "env steps",
        "list what was done in an episode",
        "client.cli.env_results:steps",
        "shiftwork env steps 12 --json",
        (
            argument(
                "episode", type=values.count, metavar="EPISODE", help="its id, as `env episodes` shows it"
            ),
            number("--after", "only those after step N", values.index),
            number("--limit", "at most N", values.count),
            JSON,
        ),
        "What --json prints is a script for `env run --agent scripted:FILE`.",
    ),
    Command(
        "env watch",
        "follow an evaluation to its end; exit status 5 if an episode could not be played",
        "client.cli.env_watch:watch",
        "shiftwork env watch 3",
        (EVALUATION, JSON),
    ),
    Command(
        "env cancel",
        "end an evaluation; what was played stays",
        "client.cli.env_watch:cancel",
        "shiftwork env cancel 3",
        (EVALUATION, JSON),
    ),
)
