"""The command line as people type it: what it accepts, what it refuses, what it costs to ask for help."""

import os
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from pydantic import ValidationError

from client.cli.arguments import CATEGORIES, OUTCOMES, PROFILES, STATUSES
from client.cli.exits import MEANINGS
from client.cli.parser import build_parser
from client.cli.table import COMMANDS, GROUPS
from client.cli.values import LIMITS, MOST_MOMENTS, WALL_TIME
from client.due import MOST_RUNS
from shiftwork.contracts.decision import DecisionOutcome
from shiftwork.contracts.feature import FeatureCategory
from shiftwork.contracts.limits import AgentLimits
from shiftwork.contracts.project import ProjectOptions, ProjectStatus
from shiftwork.contracts.sandbox import Profile

DOCS = Path(__file__).parents[2] / "docs" / "cli.md"
OWN = {"client", "shiftwork"}
HEAVY = {
    "asyncio",
    "concurrent",
    "email",
    "http",
    "logging",
    "multiprocessing",
    "sqlite3",
    "ssl",
    "subprocess",
}
HEAVY |= {"tempfile", "unittest", "urllib", "uuid", "xml"}
"""Of the standard library, what takes as long to import as an interpreter takes to start, or brings it."""


def parse(*argv):
    return build_parser().parse_args(argv)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_leads_somewhere(command):
    """If it failed, a command that `--help` lists would end in a traceback."""
    module, _, function = command.handler.partition(":")
    assert callable(getattr(import_module(module), function))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_examples_can_be_typed(command):
    """If it failed, the example in a command's help would be refused."""
    typed = set()
    for line in command.example.splitlines():
        words = shlex.split(line, comments=True)
        if words[0] == "eval":
            words = shlex.split(words[1].removeprefix("$(").removesuffix(")"))
        assert words[0] == "shiftwork"
        parsed = parse(*words[1:])
        assert parsed.handler
        action = getattr(parsed, "action", None) if parsed.command in GROUPS else None
        typed.add(" ".join(filter(None, (parsed.command, action))))
    assert command.name in typed


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["steer", "TEXT"], {"project": None, "text": "TEXT", "feature": None}),
        (["steer", "p", "TEXT"], {"project": "p", "text": "TEXT"}),
        (["steer", "p", "--feature", "f", "TEXT"], {"project": "p", "text": "TEXT", "feature": "f"}),
        (["steer", "p", "--", "-TEXT"], {"project": "p", "text": "-TEXT"}),
        (["answer", "f", "TEXT"], {"project": None, "feature": "f", "text": "TEXT"}),
        (["answer", "p", "f", "TEXT"], {"project": "p", "feature": "f", "text": "TEXT"}),
        (["run-session"], {"project": None, "feature": None, "wait": False}),
        (["run-session", "p", "--wait", "f"], {"project": "p", "feature": "f", "wait": True}),
        (["revert", "c"], {"project": None, "commit": "c", "yes": False}),
        (["revert", "--yes", "p", "c"], {"project": "p", "commit": "c", "yes": True}),
        (["abandon", "p"], {"project": "p", "text": None, "reason": None}),
        (["abandon", "p", "why"], {"project": "p", "text": "why"}),
        (["budget", "none"], {"project": None, "usd": None}),
        (["budget", "p", "2.5"], {"project": "p", "usd": 2.5}),
        (["edit-feature", "p", "f", "--priority", "9"], {"project": "p", "feature": "f", "priority": 9}),
        (["resume"], {"autorun": None, "max_sessions": None}),
        (["resume", "p", "--no-autorun"], {"autorun": False}),
        (
            ["feedback", "3", "success", "--score", "-0.5"],
            {"decision": 3, "outcome": "success", "score": -0.5},
        ),
        (["temporal", "list", "--json", "--", "-q"], {"rest": ["list", "--json", "--", "-q"]}),
        (["temporal"], {"rest": []}),
        (["keys", "rotate", "--json"], {"action": "rotate", "json": True}),
        (["agents", "show", "--json", "a", "--version", "2"], {"agent": "a", "version": 2, "json": True}),
        (
            ["agents", "register", "--code", "-", "a", "--disable"],
            {"agent": "a", "code": "-", "enabled": False},
        ),
        (["tasks", "create", "--provider", "noop", "x"], {"instruction": "x", "agent": None}),
        (["tasks", "run", "--loop", "--interval", "2.5"], {"task": None, "loop": True, "interval": 2.5}),
        (["tasks", "run", "--once", "--db-path", "d"], {"once": True, "state": "d"}),
        (
            ["schedules", "set", "a", "--id", "x", "0 * * * *"],
            {"agent": "a", "job_id": "x", "cron": "0 * * * *"},
        ),
        (["start", "s.md", "--setup", "a", "--setup", "b"], {"setup": ["a", "b"], "agent": None}),
        (["start", "s.md"], {"profile": None, "allow_host": None, "limit": None}),
        (
            [
                "start",
                "s.md",
                "--profile",
                "networked",
                "--allow-host",
                "a.example",
                "--allow-host",
                "*.b.example",
            ],
            {"profile": "networked", "allow_host": ["a.example", "*.b.example"]},
        ),
        (
            [
                "start",
                "s.md",
                "--limit",
                "memory_mb=1.5",
                "--limit",
                "processes=9",
                "--limit",
                "disk_mb=none",
            ],
            {"limit": [("memory_mb", 1.5), ("processes", 9), ("disk_mb", None)]},
        ),
        (
            ["start", "s.md", "--role", "verifier=claude", "--role", "session=langchain:openai:m"],
            {"role": [("verifier", "claude", None), ("session", "langchain", "openai:m")]},
        ),
        (["prompts"], {"role": None}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_words_find_their_places(argv, expected):
    """If it failed, a project's name would be taken for a text, or the other way round."""
    parsed = vars(parse(*argv))
    assert expected == {name: parsed[name] for name in expected}


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        ([], "required: COMMAND"),
        (["stauts"], "there is no command 'stauts'; did you mean `shiftwork status`?"),
        (["xyzzy"], "there is no command 'xyzzy'; see `shiftwork --help`."),
        (["version"], "did you mean `shiftwork --version`?"),
        (["tasks"], "required: ACTION"),
        (["tasks", "lst"], "argument ACTION: invalid choice: 'lst'"),
        (["agents", "show"], "required: AGENT"),
        (["tasks", "list", "--status", "done"], "invalid choice: 'done'"),
        (["start"], "required: SPEC"),
        (["start", "s.md", "--max-sessions", "0"], "'0' is not a whole number from 1 up"),
        (["start", "s.md", "--budget", "nan"], "'nan' is not a finite number"),
        (["start", "s.md", "--session-timeout", "0"], "seconds above 0"),
        (["handoffs", "save", "a", "f", "--ttl-days", "0"], "'0' is not a number of days above 0, nor none"),
        (["start", "s.md", "--profile", "loose"], "argument --profile: invalid choice: 'loose' (choose from"),
        (["start", "s.md", "--allow-host", "https://a.example"], "give HOST, HOST:PORT or *.DOMAIN"),
        (["start", "s.md", "--allow-host", "127.0.0.1"], "argument --allow-host: '127.0.0.1' is not a host"),
        (["start", "s.md", "--limit", "ram=3"], "argument --limit: 'ram=3' is not NAME=VALUE with one of"),
        (["start", "s.md", "--limit", "memory_mb"], "one of the names memory_mb, cpu_seconds, processes"),
        (["start", "s.md", "--limit", "memory_mb=0"], "memory_mb is '0'; give a number above 0, or none"),
        (["start", "s.md", "--limit", "open_files=3"], "give a whole number from 16 up, or none"),
        (["start", "s.md", "--limit", "processes=1.5"], "give a whole number from 1 up, or none"),
        (["start", "s.md", "--limit", "session_timeout=none"], "'none'; give a number above 0;"),
        (["start", "s.md", "--role", "verifier"], "'verifier' is not ROLE=AGENT or ROLE=AGENT:MODEL"),
        (["start", "s.md", "--role", "boss=claude"], "'boss' is no role; they are initializer, session"),
        (["start", "s.md", "--prompt", "session"], "'session' is not ROLE=FILE"),
        (["budget", "-3"], "US dollars from 0 up"),
        (["feedback", "1", "great"], "invalid choice: 'great'"),
        (["feedback", "1", "success", "--score", "2"], "from -1 (bad) to 1 (good)"),
        (["env", "run", "maze", "--key", ""], "argument --key: it is empty; write any text, or leave it out"),
        (["steer", "a", "b", "c"], "unrecognized arguments: c"),
        (["status", "--jso"], "unrecognized arguments: --jso"),
        (["list", "--status", "gone"], "invalid choice: 'gone'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_named(argv, complaint, capsys):
    """If it failed, a typing mistake would be carried out, or answered with the wrong status."""
    with pytest.raises(SystemExit) as ended:
        parse(*argv)
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert complaint in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_choices_are_those_of_the_domain():
    """If it failed, the command line would refuse a category, an outcome or a status that exists."""
    assert set(FeatureCategory) == set(CATEGORIES)
    assert set(DecisionOutcome) == set(OUTCOMES)
    assert set(ProjectStatus) == set(STATUSES)
    assert tuple(Profile) == PROFILES


def test_limits_are_those_of_the_domain():
    """If it failed, a limit that a specification may set could not be typed, or would be refused later."""
    assert set(LIMITS) == {*AgentLimits.model_fields, WALL_TIME}
    for name, least in LIMITS.items():
        good, bad = (least, least - 1) if least is not None else (0.001, 0)
        model = ProjectOptions if name == WALL_TIME else AgentLimits
        model.model_validate({name: good})
        with pytest.raises(ValidationError):
            model.model_validate({name: bad})


@pytest.mark.parametrize("argv", [["--help"], ["start", "--help"]], ids=" ".join)
def test_help_imports_nothing(argv):
    """If it failed, every question about how to type something would take as long as an answer.

    How long it takes beside a bare interpreter is a figure of `benchmarks/bench_startup.py`.
    """
    code = (
        "import sys\nbefore = {*sys.modules}\nfrom client.__main__ import main\n"
        f"try: main({argv})\n"
        "finally: print('\\n' + ' '.join({m.partition('.')[0] for m in {*sys.modules} - before}))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    imported = {*done.stdout.splitlines()[-1].split()}
    assert imported >= OWN
    assert imported - sys.stdlib_module_names == OWN
    assert imported & HEAVY == set()


def test_help_tells_what_exit_statuses_mean(capsys):
    """If it failed, a script's author would have to look for them elsewhere."""
    with pytest.raises(SystemExit):
        parse("--help")
    told = " ".join(capsys.readouterr().out.split())
    for number, meaning in MEANINGS:
        assert f"{number} {' '.join(meaning.split())}" in told


def test_the_version_is_that_of_the_package(capsys):
    """If it failed, a bug report would name the wrong version."""
    with pytest.raises(SystemExit) as ended:
        parse("--version")
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("shiftwork 0.")


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_is_a_script_of_that_shell(shell, capsys):
    """If it failed, the line in a person's shell profile would break the shell."""
    from client.__main__ import main

    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "run-session" in script
    assert "price-watcher" not in script
    assert "backfill" in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_everything_is_documented():
    """If it failed, the documentation would lack a command, an option or an exit status."""
    text = DOCS.read_text(encoding="utf-8")
    for command in COMMANDS:
        assert f"### {command.name}\n" in text, command.name
        section = text.split(f"### {command.name}\n")[1].split("\n### ")[0]
        for argument in command.arguments:
            name = argument.names[0] if argument.names[0].startswith("-") else argument.options["metavar"]
            assert f"`{name}" in section, f"{command.name}: {name}"
    for number, _ in MEANINGS:
        assert f"| {number} |" in text


def test_both_ways_to_start_it_work():
    """If it failed, `python -m client` or the installed script would not be there."""
    script = Path(sys.executable).with_name("shiftwork")
    for argv in ([str(script)], [sys.executable, "-P", "-m", "client"]):
        done = subprocess.run(
            [*argv, "--help"], capture_output=True, text=True, check=True, cwd="/", env=dict(os.environ)
        )
        assert done.stdout.startswith("usage: shiftwork")


def test_as_many_moments_can_be_asked_for_as_are_told():
    """If it failed, a number would be refused that is good, or one taken that is not."""
    assert MOST_MOMENTS == MOST_RUNS
