"""The headers `ETag` and `If-Match`: who changes what they have read is told if somebody did so meanwhile."""

import json
import re
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header
from starlette.responses import Response

from shiftwork.errors import Stale
from shiftwork.store.agents import AgentIdentity

_TAG = r'(?:W/)?"[!#-~]*"'
_TAGS = re.compile(_TAG)
_IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        max_length=1_000,
        pattern=rf"^(\*|{_TAG}(\s*,\s*{_TAG})*)$",
        description="Only if it is as it was when it had this `ETag`; without it who comes last wins.",
        examples=['"7.3"'],
    ),
]
TAGGED: dict[int | str, dict[str, Any]] = {
    200: {
        "headers": {
            "ETag": {
                "description": "Of the version of the agent; a change may name it as `If-Match`.",
                "schema": {"type": "string"},
            }
        }
    }
}
"""What a route says in OpenAPI of an answer that has an `ETag`."""


@dataclass(frozen=True, slots=True)
class Matching:
    """Which versions a request is for; None: any."""

    tags: frozenset[str] | None

    def version(self, agent: AgentIdentity) -> int | None:
        """The version that alone may be changed; None: any.

        Raises:
            Stale: the agent is in a version that the request is not for.
        """
        if self.tags is None:
            return None
        if _tag(agent.id, agent.version) not in self.tags:
            raise Stale(
                f"Agent {agent.name!r} is in version {agent.version} by now, and If-Match names another; "
                "nothing was changed: get it again."
            )
        return agent.version


def _matching(if_match: _IfMatch = None) -> Matching:
    if if_match is None or if_match == "*":
        return Matching(None)
    return Matching(frozenset(_TAGS.findall(if_match)))


IfMatch = Annotated[Matching, Depends(_matching)]
"""The header `If-Match`; a weak tag in it matches nothing (RFC 9110)."""


def tag(response: Response, agent_id: int, version: int) -> None:
    """Give an answer the `ETag` of a version of an agent."""
    response.headers["ETag"] = _tag(agent_id, version)


def tag_made(response: Response) -> Response:
    """The same for an answer that was made before, of the agent in its body, if there is one."""
    if response.status_code < 300:
        body = json.loads(bytes(response.body))
        tag(response, body["id"], body["version"])
    return response


def _tag(agent_id: int, version: int) -> str:
    return f'"{agent_id}.{version}"'
