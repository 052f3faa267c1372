"""What is in the histories: little, and nothing that an agent wrote."""

from importlib.metadata import version

import pytest
from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowExecutionStatus

from shiftwork.codec.choose import choose_codec
from shiftwork.codec.payloads import EncryptionCodec
from shiftwork.contracts.feature import FeatureSpec
from shiftwork.temporal import project_workflow_id
from tests.e2e.lab import Lab
from tests.e2e.support import simple_attempt, simple_feature
from workflows.build import build_id

MOST_EVENTS = 40
MOST_BYTES = 10 * 1024
"""Of a project and its sessions together, per session; encryption adds some 90 bytes to each payload."""


@pytest.mark.parametrize("parallel", [1, 3])
async def test_a_session_costs_few_events(lab: Lab, capsys, parallel: int) -> None:
    """Long projects that grow slow, or end at the server's limits, because sessions fill histories."""
    notes = [
        {"decision": {"decision": "use files", "reasoning": "simple"}},
        {"progress": {"action": "wrote a file"}},
        {"handoff": {"summary": "all is well"}},
        {"usage": {"input_tokens": 100, "output_tokens": 10, "cost_usd": 0.01}},
    ]
    features = [simple_feature(f"feature-{n}") for n in range(4)]
    sessions = {f["name"]: [simple_attempt(f["name"], *notes)] for f in features}
    project = await lab.project(features, sessions, planned=False, max_parallel=parallel)
    await project.completes()
    await (await project.workflow()).result()
    found = await project.histories()
    assert len(found) == 1 + len(features) + 1
    events = sum(len(h.events) for h in found) / (len(features) + 1)
    size = sum(event.ByteSize() for h in found for event in h.events) / (len(features) + 1)
    with capsys.disabled():
        print(f"\n{parallel} at once: {events:.1f} history events and {size:.0f} bytes per session")
    assert events <= MOST_EVENTS
    # In parallel, a landing that another overtook is verified again: that many bytes more.
    assert size <= MOST_BYTES * (1 if parallel == 1 else 1.5)


async def test_no_history_holds_what_an_agent_wrote(lab: Lab) -> None:
    """Transcripts, hand-overs or step output that end up on a server which is not for them."""
    word = "CANARY"
    first = [
        {"say": f"{word} said"},
        {"decision": {"decision": f"{word} decided", "reasoning": f"{word} reasoned", "tags": [word]}},
        {"progress": {"action": f"{word} did", "outcome": f"{word} happened", "files_changed": [word]}},
        {"handoff": {"summary": f"{word} handed over", "state": {word: word}, "last_action": word}},
        {"run": {"command": f"echo {word} printed; echo {word} failed >&2; echo {word} > out.txt"}},
    ]
    attempts = [
        [*first, {"ask": f"{word} asked?"}],
        [*first, {"run": {"command": f"echo '{{\"{word}\"' > $SHIFTWORK_OUTBOX/handoff.json"}}],
        [*first, {"rate_limit": 0.2}],
        [*first, {"replace": {"path": "out.txt", "old": "nothing", "new": word}}],
        simple_attempt("a", *first, {"write": {"path": f"{word}.txt", "content": word}}),
    ]
    described = {"description": f"{word} described", "command": "cat out.txt; grep -qx done a.txt"}
    feature = simple_feature("a", description=f"{word} described")
    feature["verification_steps"] = [{**described, "files": {"check.txt": word}}]
    project = await lab.project([feature], {"a": attempts}, planned=False)
    await project.pauses()
    after = await project.now()
    await lab.shiftwork.answer(project.id, "a", "Go on.")
    await project.completes(after)
    outcomes = [e.data["outcome"] for e in await project.events("session_ended")]
    assert len(outcomes) == 6  # it went through all of them
    codec = choose_codec(lab.settings)
    assert codec is not None
    for history in await project.histories():
        for event in history.events:
            assert word.encode() not in (await decoded(event, codec)).SerializeToString()


async def test_a_history_says_which_code_decided(lab: Lab) -> None:
    """Workers that read all their code again at each start, to give it a name that tells nobody anything."""
    project = await lab.project([simple_feature("a")], {"a": [simple_attempt("a")]}, planned=False)
    await project.completes()
    steps = [
        event.workflow_task_completed_event_attributes
        for history in await project.histories()
        for event in history.events
        if event.HasField("workflow_task_completed_event_attributes")
    ]
    assert {step.worker_version.build_id for step in steps} == {build_id()}
    assert build_id().startswith(f"{version('shiftwork')}-")


async def decoded(message: Message, codec: EncryptionCodec) -> Message:
    """A message whose payloads are all plain; the message itself is changed."""
    if isinstance(message, Payload):
        message.CopyFrom((await codec.decode([message]))[0])
        return message
    for field, value in message.ListFields():
        if field.message_type and field.message_type.GetOptions().map_entry:
            found = value.values()
        else:
            found = value if hasattr(value, "append") or hasattr(value, "add") else [value]
        for each in found:
            if isinstance(each, Message):
                await decoded(each, codec)
    return message


async def test_a_project_goes_on_in_a_new_history(lab: Lab) -> None:
    """A long project that ends at the server's limits, or loses state on its way to a new history."""
    features = [simple_feature(n) for n in "abcd"]
    flaky = {"b": [[{"exit": 3}], simple_attempt("b")]}
    project = await lab.project(features, flaky, start=False, max_parallel=2)
    await project.start(history_limit=20)
    await project.event("attempt_started")
    await lab.shiftwork.steer(project.id, "Go on.")
    await lab.shiftwork.add_feature(project.id, FeatureSpec.model_validate(simple_feature("late", "d")))
    status = await project.pauses()  # the cassette has nothing for the late one
    assert "'late'" in status
    assert sorted(project.landings()) == list("abcd")
    assert len(await project.events("session_started")) == 4 + 1 + 5
    runs = await runs_of(lab, project.id)
    assert len(runs) >= 3
    assert {run.status for run in runs[:-1]} == {WorkflowExecutionStatus.CONTINUED_AS_NEW}
    assert {name: f.attempts for name, f in (await project.control()).items()} == {
        **dict.fromkeys("acd", 0),
        "b": 1,
        "late": 5,
    }
    await lab.shiftwork.abandon(project.id)


async def test_promises_travel_to_the_new_history(lab: Lab) -> None:
    """Sessions that people were promised and that a new history forgets."""
    project = await lab.project(
        [simple_feature(n) for n in "abc"],
        {"a": [simple_attempt("a", {"sleep": 0.5})]},
        start=False,
        autorun=False,
    )
    await project.start(history_limit=10)
    await project.pauses()
    after = await project.now()
    numbers = [await lab.shiftwork.run_session(project.id, name) for name in "abc"]
    assert numbers == [0, 1, 2]
    await project.completes(after)
    assert project.landings() == ["a", "b", "c"]
    assert len(await runs_of(lab, project.id)) >= 2


async def runs_of(lab: Lab, project_id: str) -> list:
    client = await lab.shiftwork.temporal()
    mine = f"WorkflowId = '{project_workflow_id(project_id)}'"
    return sorted([w async for w in client.list_workflows(mine)], key=lambda w: w.start_time)
