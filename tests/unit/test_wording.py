"""What is wrong with a front matter, as people read it."""

import pytest
from pydantic import ValidationError

from client.specification import read_specification
from client.wording import first_problem
from shiftwork.contracts.feature import VerificationStep
from shiftwork.errors import InvalidInput


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
