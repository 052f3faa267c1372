"""What is wrong with a front matter, as people read it."""

import pytest
from pydantic import ValidationError

from client.specification import read_specification
from client.wording import first_problem
from shiftwork.agents.langchain.settings import LangchainSettings
from shiftwork.contracts.feature import VerificationStep
from shiftwork.contracts.project import ProjectOptions
from shiftwork.contracts.sandbox import SandboxOptions
from shiftwork.errors import InvalidInput
from shiftwork.tasks.github import GitHubJob


@pytest.mark.parametrize(
    ("head", "sentence"),
    [
        ("roles: {verifer: {backend: claude}}", "roles: 'verifer' is not known; known are 'initializer', "),
        (
            "roles: {verifier: codex}",
            "roles.verifier: must have the fields of an agent: write {backend: codex}.",
        ),
        (
            "roles: {verifier: {model: x}}",
            "roles.verifier.model: is not known; known are: backend, fallbacks",
        ),
        ("roles: claude", "roles: must be a mapping of names to values."),
        ("categories: {uii: {}}", "categories: 'uii' is not known; known are 'functional', 'ui'"),
        ("categories: {ui: {role: tester}}", "categories.ui.role: 'tester' is not known; known are "),
        ("agent: {fallbacks: {backend: codex}}", "agent.fallbacks: must be a list."),
        ("agent: {fallbacks: [codex]}", "agent.fallbacks.0: must have the fields of an agent"),
        (
            "agent: {fallbacks: [{fallbacks: [{}]}]}",
            "agent.fallbacks: a fallback has no fallbacks of its own",
        ),
        ("max_sessions: lots", "max_sessions: must be a whole number."),
        ("budget_usd: -1", "budget_usd: must be 0 or more."),
        ("limits: {memory_mb: x}", "limits.memory_mb: must be a number."),
        ("sandbox: {profile: opne}", "sandbox.profile: 'opne' is not known; known are 'strict', "),
        ("prompts: {verifier: 5}", "prompts.verifier: must be text."),
        ("agent: {backend: ok, nonsense: 1}", "agent.nonsense: is not known; known are: backend"),
        ("nonsense: 1", "nonsense: is not known; known are: agent, "),
    ],
)
def test_a_wrong_front_matter_is_told_in_plain_words(tmp_path, head, sentence):
    """If it failed, people would read the names of classes where they want to know what to write."""
    path = tmp_path / "spec.md"
    path.write_text(f"---\n{head}\n---\n# A thing\n")
    with pytest.raises(InvalidInput) as raised:
        read_specification(path)
    assert f": {sentence}" in str(raised.value)


@pytest.mark.parametrize(("given", "said"), [("nan", "must be a number"), ("1e9", "must be 86400 or less")])
def test_what_is_no_number_is_told_so(given, said):
    """If it failed, people would be told to give less of what is not even a number."""
    with pytest.raises(ValidationError) as raised:
        VerificationStep(timeout=float(given))
    assert first_problem(raised.value) == f"timeout: {said}"


@pytest.mark.parametrize(
    "given",
    [
        {"profile": "x" * 100_000},
        {"profile": ["x" * 100_000]},
        {"hosts": "x" * 100_000},
    ],
)
def test_what_was_given_is_shown_in_part(given):
    """If it failed, an error would repeat whatever was sent, and nobody would find what it says."""
    with pytest.raises(ValidationError) as raised:
        SandboxOptions.model_validate(given)
    assert len(first_problem(raised.value, SandboxOptions)) < 1_500


@pytest.mark.parametrize("kind", ["string", "identifier"])
def test_a_long_name_of_an_agent_is_shown_in_part(kind):
    """If it failed, a text in the place of an agent would come back as an example of one."""
    given = ("x" if kind == "identifier" else "x ") * 50_000
    with pytest.raises(ValidationError) as raised:
        ProjectOptions.model_validate({"agent": given})
    assert first_problem(raised.value).endswith("write {backend: claude}")


@pytest.mark.parametrize("settings", [{"x" * 100_000: 1}, {"chat_model": "x" * 100_000}])
def test_settings_of_an_agent_are_shown_in_part(settings):
    """If it failed, a mistake in settings would be told with all of what is in them."""
    with pytest.raises(InvalidInput) as raised:
        LangchainSettings.read("langchain", settings)
    assert len(str(raised.value)) < 1_500


def test_a_task_of_github_shows_values_in_part():
    """If it failed, a task's error would repeat whatever its parameters hold."""
    with pytest.raises(InvalidInput) as raised:
        GitHubJob.read({"action": "x" * 100_000, "repository": "a/b"}, "")
    assert len(str(raised.value)) < 1_500


def test_unknown_names_are_shown_in_part():
    """If it failed, a document in the place of a name would come back as a whole."""
    with pytest.raises(ValidationError) as raised:
        GitHubJob.model_validate({"action": "read_issue", "repository": "a/b", "number": 1, "x" * 100_000: 1})
    assert len(first_problem(raised.value, GitHubJob)) < 500
