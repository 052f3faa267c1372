"""Arguments that several commands have."""

from client.cli import values
from client.cli.command import Argument, argument, switch

JSON = switch("--json", "print JSON")
YES = switch("--yes", "do it without asking")
NEWEST = argument(
    "project", nargs="?", metavar="PROJECT", help="id, beginning of an id, or name (default: the newest)"
)
OPEN = argument(
    "project",
    nargs="?",
    metavar="PROJECT",
    help="id, beginning of an id, or name; may be left out if exactly one project is open",
)
WAIT = switch(
    "--wait", "wait until the project is at rest, showing progress; the exit status says how it ended"
)
MODEL = argument("--model", metavar="NAME", help="the model, as the agent's program names it")
BASE_URL = argument("--base-url", metavar="URL", help="where the model's API is (default: its provider's)")
AGENT_SETTING = argument(
    "--agent-setting",
    action="append",
    type=values.setting,
    metavar="KEY=VALUE",
    help="a further setting of the agent's backend, as JSON or as text; repeatable",
)
CATEGORIES = ("functional", "ui", "integration", "testing", "documentation", "performance", "security")
STATUSES = ("initializing", "active", "paused", "completed", "abandoned")
PROFILES = ("strict", "networked", "open")
OUTCOMES = ("success", "partial", "failure", "reverted")


def feature_fields(*, new: bool) -> tuple[Argument, ...]:
    """What may be said of a feature on the command line."""
    name = (argument("--name", metavar="NAME", help="its name"),) if new else ()
    return (
        *name,
        argument("--description", metavar="TEXT", help="what it is"),
        argument(
            "--category",
            choices=CATEGORIES,
            metavar="CATEGORY",
            help=f"what kind of work it is: {', '.join(CATEGORIES)}",
        ),
        argument("--priority", type=int, choices=range(1, 11), metavar="1-10", help="10 comes first"),
        argument(
            "--depends-on", action="append", metavar="NAME", help="a feature that must pass first; repeatable"
        ),
        argument(
            "--verify",
            action="append",
            metavar="CMD",
            help="a command that must succeed, run by bash (by sh where there is none); repeatable",
        ),
    )
