"""What an environment of Gymnasium's kind shows, as an observation tells it."""

import re
from typing import Any, Final, Literal

import numpy as np

from shiftwork.environments.bridges.png import is_picture, png
from shiftwork.environments.bridges.spaces import to_json

Content = tuple[Any, Literal["text", "image", "json"]]
"""The content of an observation, and its type."""

_MARKED: Final = re.compile(r"\x1b\[[0-9;]*m([^\x1b]*)\x1b\[0m")
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")


def content_of(value: Any) -> Content:
    """An observation: text as text, pictures as PNG, all else as JSON.

    Raises:
        TypeError: it holds what can't be written as JSON.
    """
    if isinstance(value, str):
        return value, "text"
    if isinstance(value, np.ndarray) and is_picture(value):
        return png(value), "image"
    return to_json(value), "json"


def content_of_frame(frame: Any) -> Content:
    """What `render` returned: a picture, or text, where what was coloured stands in brackets.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(frame, str):
        return _COLOURS.sub("", _MARKED.sub(r"[\1]", frame)).strip("\n"), "text"
    if isinstance(frame, np.ndarray) and is_picture(frame):
        return png(frame), "image"
    raise TypeError(f"render() returned {type(frame).__name__}, which is neither text nor a picture")
