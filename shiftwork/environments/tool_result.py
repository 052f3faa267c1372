"""What an agent's tool answers, for programs and in words for models."""

import binascii
from base64 import b64decode
from dataclasses import dataclass, field
from typing import Any, Final

from shiftwork.environments.protocol import EpisodeStats, Observation
from shiftwork.environments.shown import (
    MOST_IMAGE,
    as_json,
    bounded,
    bounded_actions,
    bounded_mapping,
)

_KINDS: Final = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What came of a call of a tool; errors are results too.

    Attributes:
        success: whether what was asked for was done; if not, nothing was changed.
        output: an `Observation`, an `EpisodeStats`, or what another tool answers; None where there is nothing
            to show.
        metadata: of an observation `reward`, `done`, `terminated`, `truncated`, `steps`; of a reset also
            `seed` and `reproducible`; where several play, `rewards` of an action.
        error: one sentence on why it was not done.
    """

    success: bool
    output: Any = None
    metadata: dict[str, Any] = field(default_factory=dict)
    error: str | None = None

    @classmethod
    def failed(cls, why: str, output: Any = None, metadata: dict[str, Any] | None = None) -> "ToolResult":
        """What was not done, and why."""
        return cls(success=False, output=output, metadata=metadata or {}, error=why)


def content_for_model(result: ToolResult) -> str | list[str | dict[str, Any]]:
    """What a model is told of a result: JSON, and the image where the observation is one.

    Of what is very long the beginning is shown, and how much more there is.
    """
    output = result.output
    if isinstance(output, EpisodeStats):
        return as_json(output.model_dump(mode="json"))
    if not isinstance(output, Observation):
        return output if isinstance(output, str) else as_json(output)
    told = {
        "content": bounded(output.content),
        **bounded_actions([each.model_dump(mode="json") for each in output.available_actions]),
        "metadata": bounded_mapping(output.metadata),
        **({} if output.agent is None else {"turn_of": output.agent}),
        **bounded_mapping(result.metadata),
    }
    if output.content_type == "image" and (image := image_of(str(output.content))) is not None:
        if len(image[0]) > MOST_IMAGE:
            return as_json(
                {**told, "content": f"(an image of {len(image[0])} characters, too large to show)"}
            )
        told["content"] = "(the image)"
        return [
            {"type": "text", "text": as_json(told)},
            {"type": "image", "base64": image[0], "mime_type": image[1]},
        ]
    return as_json(told)


def image_of(content: str) -> tuple[str, str] | None:
    """An image in base64 and its media type; None for what is no PNG or JPEG."""
    data = content.partition(",")[2] if content.startswith("data:") else content
    try:
        begins = b64decode(data[:16])
    except (binascii.Error, ValueError):
        return None
    for mark, kind in _KINDS.items():
        if begins.startswith(mark):
            return data, kind
    return None
