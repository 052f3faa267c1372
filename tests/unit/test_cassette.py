"""Cassettes: what is accepted, and how what is wrong is refused."""

import re
from pathlib import Path

import pytest
from agents_support import steps

from shiftwork.agents.cassette import load_cassette
from shiftwork.agents.steps import KINDS
from shiftwork.errors import CassetteError

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(tmp_path: Path, text: str | bytes):
    path = tmp_path / "demo.yml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_cassette(path)


def refusal(tmp_path: Path, text: str | bytes) -> str:
    with pytest.raises(CassetteError) as caught:
        load(tmp_path, text)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(f"{tmp_path}/")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "demo.yml:1: the file is empty."),
        ("- a\n", "demo.yml:1: must be a mapping, not a list"),
        ("plan: {features: []}", "demo.yml:1: plan.features: Tuple should have at least 1 item"),
        ("sessions: {}\n", "demo.yml:1: plan is missing"),
        ("plan: x\n", "demo.yml:1: plan: must be a mapping with `features`, or a list of features"),
        ("sesions: {}\n", "demo.yml:1: sesions: key 'sesions' is not known; known are plan, setup, sessions"),
        ("plan:\n  - nam: x\n", "demo.yml:2: plan[0]: name is missing"),
        (
            "plan:\n  features:\n    - name: x\n      priority: 11\n",
            "demo.yml:4: plan.features[0].priority: Input should be less than or equal to 10",
        ),
        (
            "plan:\n  features:\n    - name: x\n      verification_steps:\n        - comand: ls\n",
            "demo.yml:5: plan.features[0].verification_steps[0].comand: key 'comand' is not known here",
        ),
        (
            "plan:\n  features:\n    - name: x\n    - name: x\n",
            "demo.yml:2: plan: two features are named 'x'; give each its own name",
        ),
        ("plan: [{name: x}]\nsetup: [{inputs: [a]}]\n", "demo.yml:2: setup: run is missing"),
        ("a: [1\n", "demo.yml:2: this is not YAML:"),
        ("a: 1\n\tb: 2\n", "demo.yml:2: this is not YAML:"),
        (b"a: \xff\n", "demo.yml:1: the file is not UTF-8"),
        ("a: \0\n", "demo.yml:1: this is not YAML:"),
        ("sessions:\n  a: []\n", "demo.yml:2: sessions.a: holds no attempt"),
        ("sessions:\n  a:\n  - say: x\n", "demo.yml:3: sessions.a[0]: an attempt must be a list of steps"),
        ("sessions:\n  a: [[]]\n  a: [[]]\n", "demo.yml:3: sessions: 'a' appears twice"),
        (
            "sessions:\n  a: [[{say: x, run: y}]]\n",
            "demo.yml:2: sessions.a[0][0]: a step has exactly one key",
        ),
        ("sessions:\n  a: [[say]]\n", "demo.yml:2: sessions.a[0][0]: say says nothing; write `say: …`"),
        ("sessions:\n  a: [[[]]]\n", "demo.yml:2: sessions.a[0][0]: step '' is not known"),
        ("sessions:\n  a: &x [*x]\n", "demo.yml:2: sessions.a[0][0]: step '' is not known"),
        (
            "plan:\n  - name: x\n    description: &x [*x]\n",
            "demo.yml:3: plan[0].description[0]",
        ),
        (
            "sessions:\n  Add notes:\n    - - say: x\n      - say: y\n      - write:\n          path: a\n",
            'demo.yml:6: sessions."Add notes"[0][2].write: content is missing',
        ),
    ],
)
def test_a_broken_cassette_is_refused_with_file_line_and_field(tmp_path, text, message):
    """Otherwise people would search a long file for a mistake, or find it in the middle of a demo."""
    assert refusal(tmp_path, text).startswith(message)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("wirte: {path: a, content: b}", "step 'wirte' is not known; known are write, append, "),
        (
            "write: {path: a, content: b, text: c}",
            "write.text: key 'text' is not known here; known are path,",
        ),
        ("write: {path: a, content: }", "write: content is missing"),
        ("write: hello", "write: must be a mapping with path, content"),
        ("write:", "write: path is missing"),
        ("write: {path: ../a, content: b}", "write.path: path '../a' must be relative and stay inside"),
        ("write: {path: /etc/passwd, content: b}", "write.path: path '/etc/passwd' must be relative"),
        ("delete: a/../../b", "delete: path 'a/../../b' must be relative"),
        ("write: {path: a, content: [b]}", "write.content: must be text, not a list"),
        ("write: {path: a, content: b, mode: 0999}", "write.mode: mode must be octal"),
        ("write: {path: a, content: b, executable: maybe}", "write.executable: must be true or false"),
        ('replace: {path: a, old: "", new: b}', "replace.old: must not be empty"),
        ("sleep: soon", "sleep: must be a number that is not negative, not 'soon'"),
        ("sleep: -1", "sleep: must be a number that is not negative, not '-1'"),
        ("sleep: .inf", "sleep: must be a number that is not negative"),
        ("exit: 256", "exit: status must be between 0 and 255, not 256"),
        ("exit: 1.5", "exit: must be a whole number, not 1.5"),
        ("exit:", "exit: status is missing"),
        ("usage: 5", "usage: must be a mapping with input_tokens"),
        ("usage: {input_tokens: -5}", "usage.input_tokens: must be a number that is not negative"),
        ("decision: {context: x}", "decision: decision is missing"),
        ('decision: ""', "decision: String should have at least 1 character"),
        (
            "decision: {decision: x, tags: [" + "t, " * 21 + "t]}",
            "decision.tags: Tuple should have at most 20",
        ),
        ("handoff: {summary: " + "x" * 2001 + "}", "handoff.summary: String should have at most 2000"),
        ("handoff: {sumary: x}", "handoff.sumary: key 'sumary' is not known here"),
        ('ask: " "', "ask: String should have at least 1 character"),
    ],
)
def test_a_broken_step_is_refused(tmp_path, step, message):
    """Otherwise a mistake in a step would show as a failed session, hours later."""
    said = refusal(tmp_path, steps(f"say: x\n{step}"))
    assert said.startswith("demo.yml:5: sessions.a[0][1]")
    assert said.removeprefix("demo.yml:5: sessions.a[0][1]").lstrip(".: ").startswith(message)


def test_everything_that_is_allowed(tmp_path):
    """Otherwise cassettes written to the documentation would be refused."""
    cassette = load(
        tmp_path,
        """
        plan:
          features:
            - name: x
              verification_steps: [it works, {description: d, command: "true"}]
          setup: make deps
        setup: [{run: npm ci, inputs: [package.json]}]
        sessions:
          x: &again
            - [hang, {hang: }, {sleep: 0.5}, {sleep: {seconds: 1}}, {flood: 1}, {exit: 0}]
            -
            - []
            - steps: [{handoff: all done}, {progress: it}, {delete: {path: a}}, {ask: {question: q}}]
          y: *again
          z:
            - - write: &file {path: a, content: 1.0}
              - write: {<<: *file, content: no}
        """,
    )
    assert [command.run for command in cassette.plan.setup] == ["make deps", "npm ci"]
    assert [len(attempt) for attempt in cassette.sessions["y"]] == [6, 0, 0, 4]
    first, second = cassette.sessions["z"][0]
    assert first.values == {"path": "a", "content": "1.0"}
    assert second.values == {"path": "a", "content": "no"}
    assert cassette.sessions["x"][3][0].values == {"summary": "all done"}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/*.yml")), ids=lambda path: path.parent.name)
def test_the_examples_are_valid(path):
    """Otherwise the demo would be refused before it starts."""
    assert load_cassette(path).plan is not None


def test_the_documentation_is_executed(tmp_path):
    """Otherwise the format could drift away from its description."""
    text = (EXAMPLES.parent / "docs" / "scripted-agent.md").read_text()
    cassette = load(tmp_path, text.split("```yaml\n")[1].split("```")[0])
    assert {feature.name for feature in cassette.plan.features} == set(cassette.sessions)
    documented = re.findall(r"^\| `(\w+)` \|([^|]*)\|", text, re.MULTILINE)
    keys = {kind: set(re.findall(r"`([a-z_]+)`|`([a-z_]+):", fields)) for kind, fields in documented}
    assert set(keys) == set(KINDS)
    for kind, found in keys.items():
        assert {one or other for one, other in found} == set(KINDS[kind].fields), kind
