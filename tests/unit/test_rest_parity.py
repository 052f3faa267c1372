"""What the command line can say, and what the REST interface can: the same, but for what is named here."""

from argparse import ArgumentParser
from collections.abc import Iterator

import pytest

from client.cli.parser import add_argument
from client.cli.table import COMMANDS
from client.rest.app import make_application
from client.rest.streams import Streams
from shiftwork.settings import Settings
from tests.unit.docs_support import ROOT, table

ROUTES = dict(table(ROOT / "docs" / "rest.md", "Routes"))

TERMINAL = {
    "json": "how it is printed",
    "plain": "how it is printed",
    "format": "how it is printed: the report in Markdown has a path of its own",
    "output": "where it is printed to",
    "curve": "drawn from what the episodes say",
    "yes": "a program is not asked whether it means it",
    "follow": "the stream follows",
    "wait": "the stream tells of the end",
    "no_wait": "a request waits only where it says so",
    "code": "a part of the answer",
    "transcript": "has a path of its own",
}
"""Options that are the terminal's own, in whichever command they are, and why."""

OWN = {
    ("start", "cassette"): "a setting of the scripted agent",
    ("env show", "parameters"): "code of the environment would run in the server; the document says so",
    ("env show", "parameter"): "the same",
    ("tasks run", "once"): "they run in the process that is asked; the document says so",
    ("tasks run", "loop"): "the same",
    ("tasks run", "interval"): "the same",
    ("tasks run", "state"): "a server is of one stack",
    ("tasks list", "before"): "pages go by `offset`",
    ("env steps", "after"): "pages go by `offset`",
    ("add-feature", "file"): "the body",
    ("edit-feature", "file"): "the body",
    ("handoffs save", "file"): "the body",
}
"""The same of single commands."""

SAME = {
    "agent_setting": "agent_settings",
    "cron": "schedule",
    "job_id": "schedule",
    "key": "Idempotency-Key",
    "last": "limit",
    "parameter": "parameters",
    "reason": "note",
    "usd": "budget_usd",
    "verify": "verification_steps",
}
"""Fields and parameters by the options that say them, where a command has none of the option's name."""

PLACES = {
    "start": {
        "spec": "spec",
        "repo": "repository",
        "agent": "options.agent.backend",
        "model": "options.agent.settings",
        "base_url": "options.agent.settings",
        "agent_setting": "options.agent.settings",
        "role": "options.roles",
        "prompt": "options.prompts",
        "budget": "options.budget_usd",
        "profile": "options.sandbox.profile",
        "allow_host": "options.sandbox.hosts",
        "limit": "options.limits",
        "setup": "options.setup",
        "no_autorun": "options.autorun",
    },
    "pause": {"now": "mode"},
    "resume": {"model": "agent_settings", "base_url": "agent_settings"},
    "abandon": {"text": "reason"},
    "revert": {"yes": "consent"},
    "edit-feature": {"no_dependencies": "depends_on"},
    "agents register": {"agent": "name"},
    "tasks create": {"user": "user_id"},
    "schedules next": {"count": "number"},
    "handoffs save": {"task": "task_id"},
    "env run": {
        "agent": "player.kind",
        "model": "player.agent.settings",
        "base_url": "player.agent.settings",
        "agent_setting": "player.agent.settings",
        "instruction": "player.instruction",
        "max_cost": "player.max_cost_usd",
        "answer_timeout": "player.answer_timeout",
        "readable": "sandbox.readable",
        "profile": "sandbox.profile",
        "allow_host": "sandbox.hosts",
        "environment_memory": "environment_limits.memory_mb",
    },
}
"""Where the options of single commands are said; a dot leads into an object."""
for _name in ("agents register", "agents edit"):
    PLACES.setdefault(_name, {}).update(
        {"setting": "settings", "limit": "config.limits", "parameter": "config.parameters"}
    )

PROGRAMS = {
    "Idempotency-Key": "a person sees whether it was done",
    "If-Match": "a person has just seen it",
    "Last-Event-ID": "a terminal that lost its stream begins anew",
    "limit": "a terminal shows what there is",
    "offset": "the same",
    "after": "the same",
    "until_rest": "`watch` always ends so",
    "wait": "the command waits by itself",
    "start": "a command of its own would be `start` again",
    "options": "said option by option",
    "config": "the same",
    "player": "the same",
    "sandbox": "the same",
    "limits": "the same",
    "environment_limits": "the same",
}
"""Fields and parameters that no option says, in whichever command, and why."""

MORE = {
    "start": {"description": "the specification says it", "project": "what was made and not started"},
    "list": {"name": "a list is looked through by other means there"},
    "features": {"status": "the same", "category": "the same", "feature": "one of them"},
    "decisions": {"tag": "the same", "text": "the same"},
    "logs": {"number": "`--session` of a transcript"},
    "schedules list": {"agent": "those of one agent"},
    "env episodes": {"episode": "one of them"},
    "tasks run": {"timeout": "the agent's own holds"},
    "schedules next": {"number": "as many as are shown"},
    "handoffs save": dict.fromkeys(("observations", "actions", "state", "metadata"), "the file"),
}
"""The same of single commands."""


@pytest.fixture(scope="module")
def document(tmp_path_factory) -> dict:
    """The OpenAPI document."""
    return make_application(Settings(state=tmp_path_factory.mktemp("state")), Streams()).openapi()


def said_by(document: dict, route: str) -> set[str]:
    """Every parameter of an operation, and every field of its body, those within others by a path of dots."""
    method, path = route.split(" ")
    operation = document["paths"][path][method.lower()]
    found = {each["name"] for each in operation.get("parameters", ())}
    if "requestBody" in operation:
        found |= set(fields(document, operation["requestBody"]["content"]["application/json"]["schema"], 3))
    return found


def fields(document: dict, schema: dict, depth: int) -> Iterator[str]:
    """The fields of an object, and of those in it."""
    for one in schema.get("anyOf", [schema]):
        known = document["components"]["schemas"]
        model = known[one["$ref"].rpartition("/")[2]] if "$ref" in one else one
        for name, inner in model.get("properties", {}).items() if depth else ():
            yield name
            yield from (f"{name}.{each}" for each in fields(document, inner, depth - 1))


def options_of(command) -> set[str]:
    """What a command takes, as the parser names it."""
    parser = ArgumentParser(add_help=False)
    return {add_argument(parser, each).dest for each in command.arguments}


OVER_HTTP = [command for command in COMMANDS if ROUTES[command.name] != "on this machine only"]


def place_of(command: str, option: str, said: set[str]) -> str | None:
    """Which field or parameter says what an option says; None: none does."""
    inner = ("options.", "config.")
    wanted = PLACES.get(command, {}).get(option)
    if wanted is not None:
        return wanted if wanted in said else None
    named = [option, *(f"{place}{option}" for place in inner), *filter(None, (SAME.get(option),))]
    return next((name for name in named if name in said), None)


@pytest.mark.parametrize("command", OVER_HTTP, ids=lambda command: command.name)
def test_what_the_command_line_can_say_is_said_over_http_too(document, command) -> None:
    """If it failed, people could say what no program could, or programs what no person could."""
    routes = [route.strip("` ") for route in ROUTES[command.name].split(",")]
    said = set().union(*(said_by(document, route) for route in routes))
    options = options_of(command)
    places = {option: place_of(command.name, option, said) for option in options}
    own = TERMINAL.keys() | {option for name, option in OWN if name == command.name}
    assert {option for option, place in places.items() if place is None} - own == set()
    covered = {place.partition(".")[0] for place in places.values() if place is not None}
    programs = PROGRAMS.keys() | MORE.get(command.name, {}).keys()
    assert {name for name in said if "." not in name} - covered - programs == set()


def test_what_is_left_out_is_there(document) -> None:
    """If it failed, a list would excuse what is no more, and hide what takes its name."""
    known = {command.name: options_of(command) for command in COMMANDS}
    assert {name for name, option in OWN if option not in known[name]} == set()
    assert set(TERMINAL) <= set().union(*known.values())
    for name in (*MORE, *PLACES):
        assert ROUTES[name] != "on this machine only", name
