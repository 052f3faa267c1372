"""Schedules as Temporal keeps them: made and changed without undoing what a person does meanwhile."""

import hashlib
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from temporalio.api.workflowservice.v1 import UpdateScheduleRequest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleDescription,
)
from temporalio.common import TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

from shiftwork.errors import StackError

Check = Callable[[ScheduleDescription], Awaitable[None]]
"""Raises for a schedule that must stay as it is."""

_MARK = "configured"
"""Where a schedule's action says what the schedule was made from, which Temporal tells in another form."""

_TRIES = 20


async def write_schedule(
    client: Client,
    named: str,
    wanted: Schedule,
    *,
    memo: Mapping[str, Any] | None = None,
    attributes: TypedSearchAttributes | None = None,
    check: Check | None = None,
) -> None:
    """Have a schedule be like this, but for its state, once there is one: a pause is a person's, and stays.

    Any number of us may do so at once.

    Args:
        memo, attributes: of the schedule, if it is made.
        check: is asked before it is changed.

    Raises:
        StackError: others change it all the time.
        RPCError: Temporal refused, or did not answer.
    """
    marked = _marked(wanted)
    for _ in range(_TRIES):
        if await change_schedule(client, named, wanted, check=check):
            return
        try:
            await client.create_schedule(named, marked, memo=memo, search_attributes=attributes)
        except ScheduleAlreadyRunningError:
            continue
        return
    raise _unsettled(named)


async def change_schedule(
    client: Client, named: str, wanted: Schedule, *, check: Check | None = None
) -> bool:
    """The same of a schedule that there is; False if there is none."""
    marked, handle = _marked(wanted), client.get_schedule_handle(named)
    for _ in range(_TRIES):
        try:
            description = await handle.describe()
            if check is not None:
                await check(description)
            # Looked at again after an update: Temporal does not say that it ignored one which came too late.
            if await _is_made_from(client, description, marked):
                return True
            await _update(client, description, marked)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return False
    raise _unsettled(named)


@contextmanager
def suppress_missing() -> Iterator[None]:
    """Of what Temporal does not know, nothing need be done."""
    try:
        yield
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


async def _update(client: Client, description: ScheduleDescription, marked: Schedule) -> None:
    changed = replace(marked, state=description.schedule.state)
    request = UpdateScheduleRequest(
        namespace=client.namespace,
        schedule_id=description.id,
        # The SDK's own update has no way to say of which state it knows, and undoes a pause made meanwhile.
        schedule=await changed._to_proto(client),  # noqa: SLF001 - what that update sends
        conflict_token=description.raw_description.conflict_token,
        identity=client.identity,
        request_id=str(uuid.uuid4()),
    )
    await client.workflow_service.update_schedule(request, retry=True)


async def _is_made_from(client: Client, description: ScheduleDescription, marked: Schedule) -> bool:
    """Whether it was made from the same, and encoded with the key that is used now."""
    fields = description.raw_description.schedule.action.start_workflow.memo.fields
    if _MARK not in fields:
        return False
    assert isinstance(marked.action, ScheduleActionStartWorkflow)
    mark = (marked.action.memo or {})[_MARK]
    converter, stored = client.data_converter, fields[_MARK]
    (now,) = await converter.encode([mark])
    return dict(now.metadata) == dict(stored.metadata) and await converter.decode([stored], [str]) == [mark]


def _marked(wanted: Schedule) -> Schedule:
    action = wanted.action
    assert isinstance(action, ScheduleActionStartWorkflow)
    # Every one of these is a dataclass, or a model, that shows all of itself.
    digest = hashlib.sha256(repr((wanted.spec, wanted.policy, action)).encode()).hexdigest()
    return replace(wanted, action=replace(action, memo={_MARK: digest}))


def _unsettled(named: str) -> StackError:
    return StackError(f"The schedule {named!r} is being changed by others all the time; try again.")
