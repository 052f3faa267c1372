"""`api` and `token`: the REST interface, and what opens it."""

import asyncio
import json
import logging
import os
import sys
from argparse import Namespace
from pathlib import Path

from client.cli.exits import DONE
from client.cli.output import pairs, print_json, print_json_line
from client.tokens import api_token
from shiftwork.importing import uncollected
from shiftwork.secrets import LazyRedactor, protect_handler
from shiftwork.settings import Settings
from shiftwork.stack.private import deny_others_writing
from shiftwork.stack.sockets import LOOPBACK


def api(args: Namespace) -> int:
    """Serve until it is told to end; with `--schema`, print what is served."""
    with uncollected():
        from client.rest.serve import serve_api  # noqa: PLC0415 - heavy, and `token` needs none of it

    deny_others_writing()
    settings = Settings.from_environment()
    if args.schema:
        return _print_schema(settings)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(message)s")
    # It warns of every broken request, which anybody can send who has no token.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    redactor = LazyRedactor(os.environ, [])
    for handler in logging.getLogger().handlers:
        protect_handler(handler, redactor)

    def ready(url: str, token_file: Path) -> None:
        told = {"url": url, "token_file": str(token_file)}
        if args.json:
            print_json_line(told)
        else:
            print(f"The REST interface is up; Ctrl-C stops it.\n{pairs(told.items())}", flush=True)

    address = args.listen or LOOPBACK
    try:
        asyncio.run(serve_api(settings, ready, port=args.port or 0, address=address, names=args.host or ()))
    except KeyboardInterrupt:
        # That is how it is told to end.
        return DONE
    return DONE


def _print_schema(settings: Settings) -> int:
    from client.rest.app import make_application  # noqa: PLC0415 - as above
    from client.rest.streams import Streams  # noqa: PLC0415 - as above

    print(json.dumps(make_application(settings, Streams()).openapi(), indent=2))
    return DONE


def token(args: Namespace) -> int:
    """Print the token, made if it is missing."""
    file, secret = api_token(Settings.from_environment())
    if args.json:
        print_json({"token": secret, "token_file": str(file)})
    else:
        print(secret)
    return DONE
