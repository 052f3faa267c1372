"""The tools by which a LangChain agent leaves things for the harness."""

import json

import pytest
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests

from shiftwork.agents.langchain.program.judging import VerdictDesk
from shiftwork.agents.langchain.program.leaving import Leaving
from shiftwork.agents.langchain.program.memory import Memory
from shiftwork.agents.langchain.program.planning import PlanDesk
from shiftwork.agents.langchain.program.statefile import StateFile, UnusableState
from shiftwork.agents.langchain.program.tools import ending_tools, note_tools
from shiftwork.agents.outbox import read_outbox
from shiftwork.contracts.plan import SHORT_SPECIFICATION
from shiftwork.contracts.session import Role

RUNS = {"description": "it runs", "command": "./run"}
FEATURE = {"name": "one", "category": "functional", "priority": 5, "verification_steps": [RUNS]}
EXAMPLES = {
    "record_decision": {"decision": "use tabs", "reasoning": "they are wide", "tags": ["style"]},
    "log_progress": {"action": "wrote it", "files_changed": ["a.py"]},
    "ask_person": {"question": "Which?"},
    "hand_over": {"summary": "done", "observations": {"tests": 3}},
    "add_features": {"features": [FEATURE]},
    "remove_features": {"names": ["one"]},
    "finish_plan": {},
    "submit_plan": {"features": [FEATURE], "setup": ["make install"]},
    "give_verdict": {"step": 1, "met": True, "reason": "I ran it", "command": "./run", "expect_output": "ok"},
}


def leaving(folder=None):
    return Leaving(folder, Memory(None, lambda: None))


def all_tools(desk):
    plan = PlanDesk(desk, judged=False, spec="")
    tools = [
        *note_tools(desk),
        *ending_tools(desk, lambda: None),
        *plan.tools(),
        *VerdictDesk(desk, {1}).tools(),
    ]
    return {tool.name: tool for tool in tools}


@pytest.fixture(params=EXAMPLES)
def name(request):
    return request.param


class Subject:
    """Each of our tools, with arguments as a model gives them."""

    @property
    def tool_constructor(self):
        return all_tools(leaving())[self.name]

    @property
    def tool_invoke_params_example(self):
        return EXAMPLES[self.name]


def suites(name):
    """LangChain's own suites for one of our tools."""
    subject = type("Subject", (Subject,), {"name": name})
    unit = type(f"TestUnit_{name}", (subject, ToolsUnitTests), {})
    return unit, type(f"TestIntegration_{name}", (subject, ToolsIntegrationTests), {})


for _name in EXAMPLES:
    for _suite in suites(_name):
        globals()[_suite.__name__] = _suite


def test_every_tool_goes_through_the_suites():
    """Otherwise a new tool could be of a shape that some provider refuses."""
    assert set(all_tools(leaving())) == set(EXAMPLES)


def test_what_is_left_can_be_read_by_the_harness(tmp_path):
    """Otherwise agents would leave what the harness throws away."""
    tools = all_tools(leaving(tmp_path))
    for name in ("record_decision", "record_decision", "log_progress", "ask_person", "hand_over"):
        tools[name].invoke(EXAMPLES[name])
    assert "Hand over" in tools["submit_plan"].invoke(EXAMPLES["submit_plan"])
    assert "All are judged" in tools["give_verdict"].invoke(EXAMPLES["give_verdict"])
    outbox = read_outbox(tmp_path, Role.INITIALIZER)
    assert (len(outbox.decisions), len(outbox.progress), outbox.problems) == (2, 1, ())
    assert outbox.plan.features[0].verification_steps[0].command == "./run"
    assert outbox.plan.setup[0].run == "make install"
    assert outbox.handoff.observations == {"tests": 3}
    assert outbox.question.question == "Which?"
    verdict = read_outbox(tmp_path, Role.VERIFIER).verdict
    assert (verdict.steps[0].step, verdict.steps[0].expect_output) == (1, "ok")


def test_what_was_left_is_left_again(tmp_path):
    """Otherwise an attempt that goes on would lose the decisions of the one before."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    state = StateFile(tmp_path / "state", "c")
    before = Memory(state, lambda: None)
    all_tools(Leaving(first, before))["record_decision"].invoke(EXAMPLES["record_decision"])
    after = Memory(state, lambda: None)
    assert after.load()
    again = Leaving(second, after)
    again.restore()
    all_tools(again)["record_decision"].invoke({"decision": "and spaces"})
    decisions = [
        json.loads(line)["decision"] for line in (second / "decisions.jsonl").read_text().splitlines()
    ]
    assert decisions == ["use tabs", "and spaces"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\xc1", "can't be read"),
        (b"", "can't be read"),
        (b"\x80", "another version"),
        (b"\x82\xa7version\x01\xacconversation\xa1x", "another conversation"),
        (b"\x82\xa7version\x01\xacconversation\xa1c", "incomplete"),
    ],
)
def test_a_damaged_state_is_named(tmp_path, content, sentence):
    """Otherwise a broken file would break every later attempt, or nobody would know why it began anew."""
    (tmp_path / "state").write_bytes(content)
    with pytest.raises(UnusableState, match=sentence):
        StateFile(tmp_path / "state", "c").read()


def features(count, **more):
    return [FEATURE | {"name": f"f{number}"} | more for number in range(count)]


def test_a_plan_comes_in_parts():
    """Otherwise two hundred features would have to fit into one answer."""
    desk = leaving()
    plan = PlanDesk(desk, judged=False, spec="s")
    for start in range(0, 200, 50):
        told = plan.add_features([FEATURE | {"name": f"f{start + n}"} for n in range(50)])
    assert "the plan has 200" in told
    assert "199" in plan.remove_features(["f7"])
    assert "no feature 'f7'" in plan.remove_features(["f7"])
    assert "right" in plan.finish_plan()
    assert len(json.loads(desk.memory.outbox["plan.json"])["features"]) == 199


@pytest.mark.parametrize(
    ("feature", "sentence"),
    [
        (FEATURE | {"verification_steps": []}, "feature 'one' has no verification steps"),
        (FEATURE | {"verification_steps": ["looks good"]}, "feature 'one', step 1 has no command"),
        ({"name": "a", "priority": 5, "verification_steps": [RUNS]}, "feature 'a': category: Field required"),
        ({"name": "a", "category": "ui", "verification_steps": [RUNS]}, "'a': priority: Field required"),
        (FEATURE | {"category": "magic"}, "feature 'one': category: Input should be"),
        (FEATURE | {"colour": "red"}, "feature 'one': colour: Extra inputs are not permitted"),
        (FEATURE | {"verification_steps": [{"command": "true"}]}, "checks nothing"),
        (
            FEATURE | {"verification_steps": [{"command": "make", "expect_status": 256}]},
            "step 1 can't pass: no command ends with the exit status 256; they are from 0 to 255",
        ),
        (FEATURE | {"verification_steps": [{"command": "if ./app"}]}, "can't read 'if ./app' ("),
        ("just a name", "feature 1 of this call: the whole: Input should be"),
        (FEATURE | {"verification_steps": [{"command": "a", "files": {"../x": ""}}]}, "must be relative"),
    ],
)
def test_what_is_wrong_with_a_feature_is_said_exactly(feature, sentence):
    """Otherwise a model could not repair its plan."""
    plan = PlanDesk(leaving(), judged=False, spec="")
    assert sentence in plan.add_features([feature])
    assert "has no features" in plan.finish_plan()


def test_rules_of_the_whole_plan():
    """Otherwise plans would be left that the harness refuses, or that forget half of the specification."""
    plan = PlanDesk(leaving(), judged=False, spec="x" * 10_000)
    assert "two features are named 'one'" in plan.submit_plan([FEATURE, FEATURE])
    assert "depends on 'z', which is not in the plan" in plan.submit_plan(features(2, depends_on=["z"]))
    circle = [FEATURE | {"depends_on": ["two"]}, FEATURE | {"name": "two", "depends_on": ["one"]}]
    assert "cycle" in plan.submit_plan(circle)
    assert "few for a specification" in plan.submit_plan(features(3))
    assert "right" in plan.finish_plan()
    big = {"command": "./run", "files": {"data": "x" * 400_000}}
    assert "bytes" in plan.submit_plan(features(3, verification_steps=[big]))
    plan = PlanDesk(leaving(), judged=False, spec="x" * 10_000)
    assert "1 feature is few for a specification" in plan.submit_plan(features(1))
    plan = PlanDesk(leaving(), judged=False, spec="")
    assert "right" in plan.submit_plan(features(200))
    assert "201 features are many; plans have 200 at most. Join" in plan.submit_plan(features(201))
    assert "right" in plan.finish_plan()
    assert "1000 are the most" in plan.submit_plan(features(1001))


def test_a_plan_without_edge_cases_is_questioned_once():
    """Otherwise features would pass that only work where nothing goes wrong."""
    plan = PlanDesk(leaving(), judged=False, spec="x" * SHORT_SPECIFICATION)
    told = plan.submit_plan(features(20))
    assert "20 features have a single verification step: 'f0', 'f1'" in told
    assert "few" not in told
    assert "right" in plan.finish_plan()
    for spec, steps in (("x" * SHORT_SPECIFICATION, [RUNS, RUNS]), ("x", [RUNS])):
        plan = PlanDesk(leaving(), judged=False, spec=spec)
        assert "right" in plan.submit_plan(features(20, verification_steps=steps))


@pytest.mark.parametrize("tool", ["add_features", "submit_plan"])
def test_a_model_is_told_what_each_feature_needs(tool):
    """Otherwise it would leave out what decides who builds a feature, and when."""
    schema = convert_to_openai_tool(all_tools(leaving())[tool])["function"]["parameters"]
    assert set(schema["properties"]["features"]["items"]["required"]) == {"name", "category", "priority"}


def test_a_plan_that_grows_from_few_to_many_is_questioned_for_both():
    """Otherwise a plan that was questioned for being small could grow without anybody asking."""
    plan = PlanDesk(leaving(), judged=False, spec="x" * 10_000)
    assert "few for a specification" in plan.submit_plan(features(3))
    assert "500 features are many" in plan.submit_plan(features(500))
    assert "few" not in plan.submit_plan(features(3))
    assert "right" in plan.submit_plan(features(500))


def test_a_step_without_a_command_needs_a_verifier():
    """Otherwise plans would be made of steps that nobody can check."""
    step = FEATURE | {"verification_steps": ["it is pretty"]}
    assert "right" in PlanDesk(leaving(), judged=True, spec="").submit_plan([step])
