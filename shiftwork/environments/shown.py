"""How much of what an environment tells a model is shown: what does not fit is left out, and that is said."""

import json
from collections.abc import Mapping
from typing import Any, Final

from shiftwork.text import truncate

MOST_TEXT: Final = 50_000
"""Characters of an observation's content that a model is shown; programs get all of it."""
MOST_BESIDE: Final = 20_000
"""Characters of its metadata, and of its actions."""
MOST_IMAGE: Final = 5_000_000
"""Characters of an image in base64; providers take no larger ones."""

_MOST_VALUE: Final = 4_000


def as_json(told: Any) -> str:
    """As it is written for a model."""
    return json.dumps(told, ensure_ascii=False, default=str)


def bounded(value: Any, most: int = MOST_TEXT) -> Any:
    """A value as it is, or its beginning as a text that says how much more there is."""
    written = value if isinstance(value, str) else as_json(value)
    return value if len(written) <= most else truncate(written, most)


def bounded_mapping(told: Mapping[str, Any], most: int = MOST_BESIDE) -> dict[str, Any]:
    """As much of a mapping as fits: long values are cut first, then what is last is left out."""
    if len(as_json(told)) <= most:
        return dict(told)
    shown: dict[str, Any] = {}
    for name, value in told.items():
        part = bounded(value, _MOST_VALUE)
        most -= len(as_json({truncate(name, _MOST_VALUE): part}))
        if most < 0:
            return {**shown, "left out": f"{len(told) - len(shown)} more, as there are too many to show"}
        shown[name] = part
    return shown


def bounded_actions(actions: list[dict[str, Any]], most: int = MOST_BESIDE) -> dict[str, Any]:
    """`available_actions`, as many as fit, and `actions_left_out`, where there are more."""
    shown = []
    for action in actions:
        written = len(as_json(action))
        if written > most:
            break
        most -= written
        shown.append(action)
    left = len(actions) - len(shown)
    more = {"actions_left_out": f"{left} more, as there are too many to show"} if left else {}
    return {"available_actions": shown, **more}
