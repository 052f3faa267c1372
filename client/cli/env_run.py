"""`env run`: have an environment played by whoever is named."""

import json
from argparse import Namespace
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from client.api import Shiftwork
from client.cli.connecting import connected
from client.cli.env import parameters_of
from client.cli.env_watch import follow
from client.cli.exits import DONE
from client.cli.options import agent_settings, sandbox_options
from client.cli.output import counted, print_json
from client.wording import first_problem
from shiftwork.contracts.episode import EvaluationSpec, Player, PlayerKind, ScriptedAction
from shiftwork.contracts.project import AgentOptions
from shiftwork.contracts.sandbox import SandboxOptions
from shiftwork.environments.registry import check_name
from shiftwork.errors import InvalidInput

ANSWER_SECONDS: Final = 60.0


def run(args: Namespace) -> int:
    """Have episodes played; shows how it goes, and what they come to."""
    spec = specification(args)
    check_name(spec.environment)

    async def command(shiftwork: Shiftwork) -> int:
        row = await shiftwork.evaluate(spec, request_key=args.key)
        if args.wait:
            if not args.json:
                print(f"Evaluation {row.id}: {counted(spec.episodes, 'episode')} of {spec.environment}.")
            look = shiftwork.settle_evaluation
            return await follow(args, shiftwork.store, row.id, look, worker=shiftwork.has_worker)
        if args.json:
            print_json((await shiftwork.evaluation_result(row.id)).facts())
        else:
            print(f"Evaluation {row.id} began; `shiftwork env watch {row.id}` follows it.")
        return DONE

    return connected(command)


def specification(args: Namespace) -> EvaluationSpec:
    """What is asked for; raises `InvalidInput`."""
    given: dict[str, Any] = {
        "environment": args.environment,
        "parameters": parameters_of(args),
        "episodes": args.episodes,
        "seed": args.seed,
        "parallel": args.parallel,
        "max_steps": args.max_steps,
        "timeout": args.timeout,
    }
    told = {name: value for name, value in given.items() if value is not None}
    if args.environment_memory is not None:
        told["environment_limits"] = {"memory_mb": args.environment_memory}
    readable = tuple(str(path.absolute()) for path in args.readable or ())
    base = sandbox_options(None, args)
    try:
        sandbox = SandboxOptions(**{**dict(base), "readable": readable})
        return EvaluationSpec(**told, player=player(args), sandbox=sandbox)
    except ValidationError as error:
        raise InvalidInput(f"{first_problem(error)}.") from error


def player(args: Namespace) -> Player:
    """Who plays; raises `InvalidInput`."""
    kind, colon, rest = args.agent.partition(":")
    settings = agent_settings(args)
    named = {"--instruction": args.instruction, "--max-cost": args.max_cost}
    extra = [name for name, value in named.items() if value is not None]
    extra += ["--model, --base-url or --agent-setting"] if settings else []
    backend = kind in ("scripted", "command") and not colon and bool(settings)  # those that are named so
    if extra and not backend and kind in ("random", "scripted", "command"):
        raise InvalidInput(f"{extra[0]} is for agents, and {kind!r} is none; leave it out.")
    if args.answer_timeout is not None and (kind != "command" or backend):
        raise InvalidInput(
            f"--answer-timeout is for --agent command:CMD, and {args.agent!r} is none; leave it out."
        )
    match kind:
        case "random" if not colon:
            return Player()
        case "scripted" if rest:
            return Player(kind=PlayerKind.SCRIPTED, script=_script(Path(rest)))
        case "command" if rest:
            return Player(
                kind=PlayerKind.COMMAND, command=rest, answer_timeout=args.answer_timeout or ANSWER_SECONDS
            )
        case "random" | "scripted" | "command" if not backend:
            raise InvalidInput(
                f"--agent {args.agent!r} is no player; write random, scripted:FILE or command:CMD, or for "
                "the backends of these names --agent scripted --agent-setting cassette=/FILE or --agent "
                "command --agent-setting 'argv=[PROGRAM, …]'."
            )
    if colon:
        raise InvalidInput(f"--agent {args.agent!r}: name the model of {kind!r} by --model instead.")
    return Player(
        kind=PlayerKind.AGENT,
        agent=AgentOptions(backend=kind, settings=settings),
        instruction=args.instruction or "",
        max_cost_usd=args.max_cost,
    )


def _script(file: Path) -> tuple[ScriptedAction, ...]:
    """The actions in a file: a JSON array, or an object a line; what `env steps --json` prints is one."""
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InvalidInput(f"{str(file)!r} is no text in UTF-8; name a file of actions in JSON.") from None
    try:
        told = json.loads(text) if text.lstrip().startswith("[") else list(map(json.loads, text.splitlines()))
        return tuple(_action(each) for each in told)
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidInput(
            f"{str(file)!r} holds no actions ({' '.join(str(error).split())[:200]}); write "
            '{"action": NAME, "parameters": {…}} on each line.'
        ) from None


def _action(told: Any) -> ScriptedAction:
    if isinstance(told, str):
        return ScriptedAction(action=told)
    return ScriptedAction(action=told["action"], parameters=told.get("parameters") or {})
