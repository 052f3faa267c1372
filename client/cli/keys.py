"""`keys`: the keys that encrypt what Temporal stores, without ever showing one."""

from argparse import Namespace

from client.cli.exits import DONE
from client.cli.output import print_json, table
from shiftwork.codec.keys import KeyRing
from shiftwork.codec.sources import encodes, key_source, state_keys
from shiftwork.errors import NotFound
from shiftwork.settings import Settings


def keys(args: Namespace) -> int:
    """List the keys, or add one that is used from now on."""
    settings = Settings.from_environment()
    ring = state_keys(settings).rotate() if args.action == "rotate" else _ring(settings)
    rows = [
        {
            "id": key.id,
            "created_at": key.created_at,
            "use": "encodes" if key is ring.active and encodes(settings) else "decodes",
        }
        for key in ring.keys
    ]
    if args.json:
        print_json({"origin": ring.origin, "keys": rows})
    else:
        print(table(("id", "created at", "use"), [tuple(row.values()) for row in rows]))
    return DONE


def _ring(settings: Settings) -> KeyRing:
    source = key_source(settings)
    if source is None:
        raise NotFound("Nothing is encoded here, so there are no keys: see SHIFTWORK_CODEC.")
    return source.ring()
