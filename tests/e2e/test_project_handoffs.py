"""What sessions hand over: kept among the handoffs, and told to the next."""

from shiftwork.handoffs import HandoffContext, HandoffManager
from tests.e2e.lab import SHOW_BRIEF, Lab
from tests.e2e.support import simple_attempt, simple_feature

TOO_LARGE = {
    "run": {
        "command": """python3 -c 'import json, os; left = {"summary": "b is done", "state": "x" * 300000}; """
        """json.dump(left, open(os.environ["SHIFTWORK_OUTBOX"] + "/handoff.json", "w"))'"""
    }
}


async def test_a_session_s_handoff_is_a_handoff(lab: Lab) -> None:
    """If it failed, what sessions know could not be read where handoffs are, or a large one would be lost."""
    left = {"handoff": {"summary": "a is done", "state": {"port": 8080}, "last_action": "looked"}}
    features = [simple_feature("a"), simple_feature("b", "a"), simple_feature("c", "b")]
    project = await lab.project(
        features,
        {
            "a": [simple_attempt("a", left)],
            "b": [simple_attempt("b", TOO_LARGE)],
            "c": [simple_attempt("c", SHOW_BRIEF)],
        },
    )
    await project.completes()
    found = await HandoffManager(lab.shiftwork.store).load_project_handoffs(project.id)
    assert [(artifact.summary, context) for artifact, context in found] == [
        ("b is done", HandoffContext()),
        ("a is done", HandoffContext(state={"port": 8080}, metadata={"last_action": "looked"})),
    ]
    assert all(artifact.expires_at is not None for artifact, _ in found)
    told = project.request()
    assert told["handoff"]["summary"] == "b is done"
    [problem] = told["outbox_problems"]
    assert "may take 262,144" in problem
