"""Settings that no process can be started with are refused before anything is tried."""

import pytest

from shiftwork.agents.protocol import AgentCommand, AgentRequest
from shiftwork.agents.registry import backends
from shiftwork.agents.run import run_agent_process
from shiftwork.errors import InvalidInput
from shiftwork.sandbox.choose import choose_sandbox
from tests.unit.test_agents_run import DONE, ProgramBackend, says

BASE = {"command": {"argv": ["true"]}, "acp": {"argv": ["true"]}, "langchain": {"model": "openai:m"}}
BASE["python"] = {"code": "pass"}
WITHOUT_GATEWAY = ("command", "acp", "python")
BACKENDS = {name: backend for name, backend in backends().items() if name != "scripted"}
HALF = "\ud83d"
WRONG = [
    {"environment": {"A=B": "x"}},
    {"environment": {"": "x"}},
    {"environment": {"A\0": "x"}},
    {"environment": {"A B": "x"}},
    {"environment": {HALF: "x"}},
    {"environment": {"A": "x\0y"}},
    {"environment": {"A": HALF}},
    {"environment": {"A": "x" * 130_000}},
    {"arguments": ["a\0b"]},
    {"arguments": [HALF]},
    {"arguments": ["x" * 130_000]},
    {"model": "p/" + "m" * 200_000},
    {"model": "p/m\0"},
    {"base_url": "http://x\0"},
    {"program": "a\0b"},
    {"tools": ["a\0"]},
    {"models": []},
    {"models": [""]},
    {"models": ["two words"]},
    {"models": "claude-*"},
]


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: repr(wrong)[:40])
def test_what_no_process_can_be_given_is_refused(name, wrong):
    """Otherwise the attempt would fail at its start, and be tried again for ever."""
    with pytest.raises(InvalidInput, match=next(iter(wrong))) as refused:
        BACKENDS[name].check({**BASE.get(name, {}), **wrong})
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("name", BACKENDS)
def test_ordinary_settings_are_taken(name):
    """Otherwise the check would refuse what people need."""
    given = {
        "environment": {"npm_config_@a:registry": "https://é.example/", "A.B": ""},
        "arguments": ["--x=ü"],
    }
    if name in ("langchain", "python"):
        del given["arguments"]  # its program is ours
    BACKENDS[name].check({**BASE.get(name, {}), **given})


@pytest.mark.parametrize("name", BACKENDS)
def test_models_are_listed_for_a_gateway(name):
    """Otherwise a list of models could not be given, or would be one that nothing keeps."""
    own = {"models": ["gpt-*", "o3"]}
    if name in WITHOUT_GATEWAY:
        with pytest.raises(InvalidInput, match="'models' needs 'provider'"):
            BACKENDS[name].check({**BASE[name], **own})
        own["provider"] = "openai"
    BACKENDS[name].check({**BASE.get(name, {}), **own})


def test_other_numbers_than_json_has_are_refused():
    """Otherwise opencode would get a configuration that it can't read."""
    settings = {"model": "m", "base_url": "http://x/v1", "model_options": {"limit": float("nan")}}
    with pytest.raises(InvalidInput, match="model_options"):
        BACKENDS["opencode"].check(settings)


def test_what_does_not_fit_together_is_said_without_a_settings_name():
    """Otherwise people would look for a setting called 'the settings'."""
    with pytest.raises(InvalidInput, match=r"^Backend 'command': 'argv' has to begin with a program\.$"):
        BACKENDS["command"].check({"argv": [""]})


@pytest.mark.parametrize("name", ["claude", "codex", "opencode", "gemini"])
def test_a_home_of_nobody(name):
    """Otherwise a user that does not exist would be an error of ours, repeated for ever."""
    report = BACKENDS[name].diagnose({"program": "~nobody-of-that-name/x"})
    assert "not found" in report.problems[0]


class Starts(ProgramBackend):
    """Starts `true` with these arguments."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments

    def command(self, request: AgentRequest) -> AgentCommand:
        return AgentCommand(("/bin/true", *self._arguments))


async def run(tmp_path, backend, on_event=None):
    async def listen(event):
        if on_event:
            on_event(event)

    return await run_agent_process(
        backend, AgentRequest(tmp_path), env={}, sandbox=choose_sandbox(), timeout=10, on_event=listen
    )


@pytest.mark.parametrize("wrong", ["x" * 3_000_000, "a\0b", HALF], ids=["long", "nul", "half"])
async def test_what_can_not_be_started_is_one_sentence(tmp_path, wrong):
    """Otherwise an error of the system's would be taken for one that passes."""
    with pytest.raises(InvalidInput, match="was not started"):
        await run(tmp_path, Starts(wrong))


async def test_an_error_of_the_listener_stays_what_it_is(tmp_path):
    """Otherwise trouble with a disk would pause a project for wrong settings."""

    def fail(event):
        raise FileNotFoundError(2, "the disk is away")

    with pytest.raises(FileNotFoundError):
        await run(tmp_path, ProgramBackend(says(DONE)), fail)
