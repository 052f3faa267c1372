"""What programs print is redacted before it is cut, and no argument of a program is a secret."""

import pytest

from shiftwork.contracts.feature import FeatureSpec
from shiftwork.errors import SecretExposed
from shiftwork.runner import AgentConfig, LocalProcessRunner, ProcessRunnerConfig, SpawnFailed
from shiftwork.sandbox.choose import choose_sandbox
from shiftwork.secrets import LazyRedactor
from shiftwork.verification.shell import Shell
from shiftwork.verification.steps import StepRunner
from tests.unit.test_agents_run import end_of

KEY = "s3cr3t-Value-0123456789"
REDACTOR = LazyRedactor({"A_KEY": KEY})
SPLIT = f"{KEY[:5]}''{KEY[5:]}"


@pytest.mark.parametrize("behind", [7_980, 7_990])
async def test_a_step_prints_a_secret_where_its_output_is_cut(tmp_path, behind):
    """If this failed, most of a key would be kept as evidence."""
    (tmp_path / "checkout").mkdir()
    command = f"printf %s {SPLIT}; head -c {behind} /dev/zero | tr '\\0' x"
    feature = FeatureSpec(name="f", verification_steps=({"command": command},))
    shell = Shell(choose_sandbox(), redact=REDACTOR.redact)

    [step] = await StepRunner(shell, 20).run(feature, tmp_path / "checkout", tmp_path / "run" / "scratch")

    assert step.failure is None
    assert "x" * 7_900 in step.output_tail
    assert KEY[-8:] not in step.output_tail


async def test_what_an_agent_says_of_its_end_is_redacted_before_it_is_cut(tmp_path):
    """If this failed, the next brief would repeat most of a key."""
    code = (
        f"import json, sys; key = {KEY[:9]!r} + {KEY[9:]!r}\n"
        "print(key + 15_990 * 'z', file=sys.stderr)\n"
        "text = 'x' * 1_960 + key + 'y' * 200\n"
        "print(json.dumps({'kind': 'finished', 'ok': False, 'text': text}), flush=True)"
    )

    end, _ = await end_of(tmp_path, code, redactor=REDACTOR)

    assert "x" * 1_900 in end.message
    assert "z" * 15_900 in end.stderr_tail
    assert KEY[:8] not in end.message
    assert KEY[-8:] not in end.stderr_tail


async def test_a_secret_is_no_argument(tmp_path):
    """If this failed, whoever lists processes would read the key."""
    with pytest.raises(SecretExposed, match="argument 2"):
        await end_of(tmp_path, f"print({KEY!r})", redactor=REDACTOR)


async def test_the_runner_of_agents_shows_no_secret_of_its_own(tmp_path, monkeypatch):
    """If this failed, a task that quotes a key would be in every list of processes."""
    monkeypatch.setenv("A_KEY", KEY)
    monkeypatch.setenv("PASSWORD", "postgres")
    config = ProcessRunnerConfig(working_dir=tmp_path, commands={"echo": ["/bin/echo", "{task}"]})
    async with LocalProcessRunner.with_config(config) as runner:
        with pytest.raises(SpawnFailed, match="'A_KEY'") as refused:
            await runner.spawn(AgentConfig("a", "echo", f"use {KEY}"))
        await runner.spawn(AgentConfig("b", "echo", "use postgres"))

    assert KEY not in str(refused.value)
