"""`mcp`: the tools as a server of the Model Context Protocol."""

import asyncio
import importlib.util
import logging
import sys
from argparse import Namespace
from pathlib import Path

from client.cli.exits import DONE
from client.cli.output import pairs, print_json_line
from shiftwork.contracts.project import ProjectOptions
from shiftwork.errors import InvalidInput
from shiftwork.importing import uncollected
from shiftwork.settings import Settings
from shiftwork.stack.private import deny_others_writing


def mcp(args: Namespace) -> int:
    """Serve until the client goes, or with `--http` until it is told to end."""
    if importlib.util.find_spec("mcp") is None:
        raise InvalidInput("The package `mcp` is missing: install the extra 'mcp' of Shiftwork.")
    with uncollected():
        from client.mcp.protocol import make_server  # noqa: PLC0415 - it needs the package
        from client.tools.desk import Desk  # noqa: PLC0415 - heavy, and only for this command

    deny_others_writing()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(message)s")
    _quieten()
    settings = Settings.from_environment()
    server = make_server(Desk(settings, _options(args)), read_only=args.read_only)
    if args.http is None:
        from client.mcp.pipes import serve_pipes  # noqa: PLC0415 - as above

        asyncio.run(serve_pipes(server))
        return DONE
    from client.mcp.web import serve_http  # noqa: PLC0415 - as above

    def ready(url: str, token_file: Path) -> None:
        told = {"url": url, "token_file": str(token_file)}
        if args.json:
            print_json_line(told)
        else:
            print(f"The MCP server is up; Ctrl-C stops it.\n{pairs(told.items())}", flush=True)

    try:
        asyncio.run(serve_http(server, settings, args.http, ready))
    except KeyboardInterrupt:
        # That is how it is told to end.
        return DONE
    return DONE


def _quieten() -> None:
    """Leave out what the protocol's package tells, and nobody can do anything about."""
    # It warns of every wrong name that a client says, which the client is told too.
    logging.getLogger("mcp").setLevel(logging.ERROR)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_is_worth_telling)


def _is_worth_telling(record: logging.LogRecord) -> bool:
    """Not what it says by the root logger of messages that it does not know, nor its own and our ends."""
    ended = record.exc_info is not None and _is_an_end(record.exc_info[1])
    unknown = record.name == "root" and "/mcp/shared/" in record.pathname.replace("\\", "/")
    return not ended and not unknown and record.msg != _CUT_OFF


_CUT_OFF = "ASGI callable returned without completing response."
"""What Uvicorn says of an answer whose session, or server, was ended; of a failure there is more to read."""


def _is_an_end(error: BaseException | None) -> bool:
    """Whether somebody ended what was going on, in however many places at once."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_an_end, error.exceptions))
    return type(error).__name__ in {"CancelledError", "ClosedResourceError"}


def _options(args: Namespace) -> ProjectOptions:
    """What projects made by tools begin with; who does their work may be left to the model."""
    named = (args.agent, args.model, args.base_url, args.agent_setting, args.cassette)
    if all(each is None for each in named):
        return ProjectOptions(budget_usd=args.budget)
    from client.cli.options import agent_options  # noqa: PLC0415 - heavy, and only for who names an agent
    from shiftwork.agents.registry import find_backend  # noqa: PLC0415 - as above

    agent = agent_options(None, args)
    find_backend(agent.backend).check(agent.settings)
    return ProjectOptions(agent=agent, budget_usd=args.budget)
