"""What a client can read without a tool: the report and the status of each project."""

import logging

from mcp import types
from mcp.server.lowlevel.helper_types import ReadResourceContents
from pydantic import AnyUrl

from client.api import Shiftwork
from client.mcp.addresses import BASE, KINDS, URI
from client.report import project_report, render_markdown
from client.tools.results import ReportPart, line
from client.tools.standing import status_of
from shiftwork.errors import NotFound
from shiftwork.store.rows import ProjectRow
from shiftwork.text import printable, printable_json, truncate

log = logging.getLogger("shiftwork.mcp")

_NEWEST = 50
_LONGEST = 1_000_000


async def of_projects(shiftwork: Shiftwork) -> list[types.Resource]:
    """The resources of the newest projects; of one that can't be read there is nothing to read."""
    async with shiftwork.store.transaction() as tx:
        rows, unreadable = await tx.projects.readable()
    for each in unreadable:
        log.warning("it has no resources: %s", each)
    return [_resource(row, kind) for row in reversed(rows[-_NEWEST:]) for kind in KINDS]


def _resource(row: ProjectRow, kind: str) -> types.Resource:
    mime, text = KINDS[kind]
    return types.Resource(
        name=f"{line(row.name)}: {kind}",
        uri=AnyUrl(f"{BASE}{row.id}/{kind}"),
        mimeType=mime,
        description=text,
    )


async def read(shiftwork: Shiftwork, uri: str) -> ReadResourceContents:
    """A resource; raises `NotFound`."""
    found = URI.fullmatch(uri)
    if found is None:
        raise NotFound(f"There is no resource {uri!r}; there are {BASE}ID/report and {BASE}ID/status.")
    project = await shiftwork.find(found[1])
    mime, _ = KINDS[found[2]]
    if found[2] == "status":
        status = status_of(await shiftwork.status(project.id))
        return ReadResourceContents(printable_json(status.model_dump(mode="json"), indent=2), mime)
    report = render_markdown(await project_report(shiftwork.store, project.id))
    notice = ReportPart(markdown="").notice
    return ReadResourceContents(f"> {notice}\n\n{truncate(printable(report), _LONGEST)}", mime)
