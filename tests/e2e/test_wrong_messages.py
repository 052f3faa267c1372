"""Messages that people send with Temporal's own tools, and that don't fit."""

import asyncio

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from tests.e2e.support import simple_feature

MESSAGE = {"feature": "a", "status": "passing"}


async def test_a_message_that_does_not_fit_stops_no_project(lab):
    """If it failed, one wrong click in the Web UI would stop a project until it is terminated."""
    project = await lab.project([simple_feature("a")], autorun=False)
    await project.rest()
    handle = await project.workflow()

    await handle.signal("steer")
    await handle.signal("pause", args=["a", "b"])
    await handle.signal("resume", args=[{"max_sessions": 0}])
    await handle.signal("nonsense", "x")
    updates = ("set_budget", "add_decision_feedback", "revert_to_checkpoint", "set_feature_status", "answer")
    for update, arguments in [*((name, []) for name in updates), ("checkpoint", [MESSAGE, MESSAGE])]:
        with pytest.raises(WorkflowUpdateFailedError) as caught:
            await handle.execute_update(update, args=arguments)
        assert isinstance(caught.value.cause, ApplicationError)
        assert caught.value.cause.type == "InvalidInput"
        assert f"update {update} takes one argument" in str(caught.value.cause)
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update("set_budget", {"budget_usd": -1})

    async with asyncio.timeout(150):
        status = await handle.query("status")
    assert status["reason"].startswith("one session at a time")
