"""How the values of arguments are read; what is wrong is a usage error that names the argument."""

import json
import math
from argparse import ArgumentTypeError
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from shiftwork.errors import InvalidInput

WALL_TIME: Final = "session_timeout"
"""The one limit that a project has elsewhere than among those of its agents."""

MOST_SEED: Final = 2**31 - 1
"""`MOST_SEED` in contracts, which costs an import."""

MOST_MOMENTS: Final = 1_000
"""`MOST_RUNS` of schedules, which costs an import."""

LIMITS: Final = MappingProxyType(
    {
        "memory_mb": None,
        "cpu_seconds": None,
        "processes": 1,
        "open_files": 16,
        "file_size_mb": None,
        "disk_mb": None,
        WALL_TIME: None,
    }
)
"""The limits by name. Whole numbers have the least that they may be; the others are numbers above 0."""


def count(text: str) -> int:
    """A whole number from 1 up."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return value


def moments(text: str) -> int:
    """How many moments of a schedule are told."""
    value = count(text)
    if value > MOST_MOMENTS:
        raise ArgumentTypeError(f"{text!r} is more than {MOST_MOMENTS:,}")
    return value


def index(text: str) -> int:
    """A whole number from 0 up."""
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 0 up")
    return value


def seed(text: str) -> int:
    """A number from which an episode is made."""
    value = index(text)
    if value > MOST_SEED:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 0 to {MOST_SEED}")
    return value


def key(text: str) -> str:
    """The key of a request, by which it is found again."""
    if not text:
        raise ArgumentTypeError("it is empty; write any text, or leave it out")
    return text


def port(text: str) -> int:
    """A TCP port; 0: any that is free."""
    value = index(text)
    if value > 65535:
        raise ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return value


def seconds(text: str) -> float:
    """A number of seconds above 0."""
    value = _number(text)
    if value <= 0:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def dollars(text: str) -> float:
    """An amount of US dollars, 0 or more."""
    value = _number(text.removeprefix("$"))
    if value < 0:
        raise ArgumentTypeError(f"{text!r} is not an amount of US dollars from 0 up")
    return value


def price(text: str) -> float:
    """An amount of US dollars above 0."""
    value = dollars(text)
    if value == 0:
        raise ArgumentTypeError(f"{text!r} is not an amount of US dollars above 0")
    return value


def dollars_or_none(text: str) -> float | None:
    """An amount of US dollars, or `none` for no limit."""
    return None if text.lower() == "none" else dollars(text)


def days_or_none(text: str) -> float | None:
    """A number of days above 0, or `none`: for ever."""
    if text == "none":
        return None
    value = _number(text)
    if value <= 0:
        raise ArgumentTypeError(f"{text!r} is not a number of days above 0, nor none")
    return value


def score(text: str) -> float:
    """A number from -1 to 1."""
    value = _number(text)
    if not -1 <= value <= 1:
        raise ArgumentTypeError(f"{text!r} is not a number from -1 (bad) to 1 (good)")
    return value


def setting(text: str) -> tuple[str, Any]:
    """`KEY=VALUE`; the value is JSON if it can be read as such, else text."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def mapping(text: str) -> dict[str, Any]:
    """A JSON object."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ArgumentTypeError(f"{text!r} is not a JSON object, such as '{{\"rows\": 12}}'")
    return value


ROLES: Final = ("initializer", "session", "research", "testing", "documentation", "verifier")
"""What an agent may be asked to be; `Role` in contracts, which costs an import."""


def role_agent(text: str) -> tuple[str, str, str | None]:
    """`ROLE=AGENT` or `ROLE=AGENT:MODEL`: who plays a role."""
    name, _, agent = text.partition("=")
    backend, colon, model = agent.partition(":")
    if not backend or (colon and not model):
        raise ArgumentTypeError(f"{text!r} is not ROLE=AGENT or ROLE=AGENT:MODEL")
    return _role(name), backend, model or None


def role_file(text: str) -> tuple[str, Path]:
    """`ROLE=FILE`: what the agent of a role is told."""
    name, _, path = text.partition("=")
    if not path:
        raise ArgumentTypeError(f"{text!r} is not ROLE=FILE")
    return _role(name), Path(path)


def _role(name: str) -> str:
    if name not in ROLES:
        raise ArgumentTypeError(f"{name!r} is no role; they are {', '.join(ROLES)}")
    return name


def host(text: str) -> str:
    """A host that programs may reach: `host`, `host:port` or `*.domain`."""
    from shiftwork.gateway.hosts import HostPattern  # noqa: PLC0415 - heavy, and only this needs it

    try:
        HostPattern.parse(text)
    except InvalidInput:
        raise ArgumentTypeError(
            f"{text!r} is not a host: give HOST, HOST:PORT or *.DOMAIN, no address and no URL"
        ) from None
    return text


def limit(text: str) -> tuple[str, float | None]:
    """`NAME=VALUE` of a limit; the value `none` is None, no limit."""
    name, equals, value = text.partition("=")
    if not equals or name not in LIMITS:
        raise ArgumentTypeError(f"{text!r} is not NAME=VALUE with one of the names {', '.join(LIMITS)}")
    if value.lower() == "none" and name != WALL_TIME:
        return name, None
    least = LIMITS[name]
    try:
        amount = float(value) if least is None else int(value)
    except ValueError:
        amount = math.nan
    if not (math.isfinite(amount) and (amount > 0 if least is None else amount >= least)):
        wanted = "a number above 0" if least is None else f"a whole number from {least} up"
        raise ArgumentTypeError(
            f"{name} is {value!r}; give {wanted}{'' if name == WALL_TIME else ', or none'}"
        )
    return name, amount


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a number") from None
    if not math.isfinite(value):
        raise ArgumentTypeError(f"{text!r} is not a finite number")
    return value
