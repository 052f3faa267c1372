"""A whole project with a secret that somebody spills everywhere: it is nowhere afterwards."""

import base64
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from client.api import Shiftwork
from shiftwork.codec.sources import state_keys
from shiftwork.contracts.feature import FeatureEdit, FeatureSpec, FeatureStatus, VerificationStep
from shiftwork.contracts.project import AgentOptions, ProjectOptions
from shiftwork.errors import InvalidInput
from shiftwork.stack.dev import DevStack
from tests.e2e.lab import Lab, Project, no_process_lives
from tests.e2e.support import (
    quick_environment,
    quick_settings,
    simple_attempt,
    simple_feature,
    worker_process,
)

CANARY = "canary-7Q2wXz9LmN4rT8vB"
UNTOLD = {"SHIFTWORK_CODEC": "off"}
"""Without the codec a worker tells clients nothing of what it knows."""

SPILLING = (
    {"say": f"the key is {CANARY}"},
    {"run": {"command": f"echo {CANARY}; echo {CANARY} >&2"}},
    *({"say": letter} for letter in CANARY),
    {"decision": {"context": CANARY, "decision": f"use {CANARY}", "reasoning": CANARY}},
)


@pytest.mark.slow
async def test_a_canary_is_in_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If it failed, a key that an agent, a step or a person repeats would be kept, shown and backed up."""
    monkeypatch.setenv("CANARY_API_KEY", CANARY)
    state = tmp_path / "state"
    settings, folder = quick_settings(state), tmp_path / "work"
    folder.mkdir()
    command = f"echo {CANARY[:9]}''{CANARY[9:]}; grep -qx done a.txt"
    features = [simple_feature("a", command=command), simple_feature("b", "a")]
    leaking = simple_attempt("b", {"write": {"path": "key.txt", "content": CANARY}})
    sessions = {"a": [simple_attempt("a", *SPILLING)], "b": [leaking, simple_attempt("b")]}
    async with DevStack(settings), Shiftwork(settings) as shiftwork:
        with worker_process(quick_environment(state), tmp_path / "worker.log"):
            lab = Lab(shiftwork, settings, folder)
            project = await lab.project(features, sessions, planned=False)
            with pytest.raises(InvalidInput, match="The guidance would hold the secret 'CANARY_API_KEY'"):
                await shiftwork.steer(project.id, f"remember {CANARY}")
            await project.completes()
            ended = [event.data for event in await project.events("attempt_ended")]
            (refused,) = [data for data in ended if data["failure"] == "snapshot_refused"]
            assert "key.txt" in refused["detail"]
            objects = every_object(project.main)
            assert CANARY not in await everything_said(project)
            await no_process_lives(lab)
    assert found_in(state, b"redacted:CANARY_API_KEY")  # the search can find things
    for form in forms(CANARY):
        assert found_in(state, form) == []
        assert found_in(tmp_path / "worker.log", form) == []
        assert found_in(project.repository, form) == []
        assert form not in objects


async def test_a_worker_refuses_what_the_client_did_not_know(tmp_path: Path) -> None:
    """If it failed, a key in a project's settings would be shown by the processes of its agent."""
    settings = quick_settings(tmp_path / "state", **UNTOLD)
    environment = quick_environment(tmp_path / "state", WORKER_API_KEY=CANARY, **UNTOLD)
    agent = AgentOptions(backend="claude", settings={"environment": {"ANTHROPIC_API_KEY": CANARY}})
    async with DevStack(settings), Shiftwork(settings) as shiftwork:
        with worker_process(environment, tmp_path / "worker.log"):
            project = await shiftwork.create("leaky", "x", options=ProjectOptions(agent=agent))
            await shiftwork.open(project.id)
            lab = Lab(shiftwork, settings, tmp_path)
            reason = await Project(lab, project.id, tmp_path, tmp_path).pauses()
    assert "options would hold the secret 'WORKER_API_KEY'" in reason


async def test_what_a_person_sends_is_refused_by_a_worker_that_knows_more(tmp_path: Path) -> None:
    """If it failed, a feature would be verified by a command that nobody wrote, with a mark for a key."""
    settings, folder = quick_settings(tmp_path / "state", **UNTOLD), tmp_path / "work"
    folder.mkdir()
    environment = quick_environment(tmp_path / "state", WORKER_API_KEY=CANARY, **UNTOLD)
    asking = [[{"ask": "Which key?"}]]
    async with DevStack(settings), Shiftwork(settings) as shiftwork:
        with worker_process(environment, tmp_path / "worker.log"):
            project = await Lab(shiftwork, settings, folder).project([simple_feature("a")], {"a": asking})
            assert await project.pauses() == "'a' needs an answer from a person"
            before = await project.features()
            steps = (VerificationStep(command=f"login {CANARY}"),)
            refusals = {
                "The feature 'a' would hold": shiftwork.edit_feature(
                    project.id, FeatureEdit(feature="a", verification_steps=steps)
                ),
                "The description of the feature 'a' would": shiftwork.edit_feature(
                    project.id, FeatureEdit(feature="a", description=CANARY)
                ),
                "The description of the feature 'b' would": shiftwork.add_feature(
                    project.id, FeatureSpec(name="b", description=CANARY)
                ),
                "The answer would hold": shiftwork.answer(project.id, "a", CANARY),
                "The reason would hold": shiftwork.set_feature_status(
                    project.id, "a", FeatureStatus.BLOCKED, CANARY
                ),
                "The note would hold": shiftwork.checkpoint(project.id, CANARY),
            }
            for sentence, refused in refusals.items():
                with pytest.raises(InvalidInput, match=f"^{sentence} .*'WORKER_API_KEY'"):
                    await refused
            assert await project.features() == before
            after = await project.now()
            await shiftwork.steer(project.id, f"remember {CANARY}")
            reason = await project.pauses(after)
            assert reason.startswith("guidance was not taken: The guidance would hold the secret")
            assert await project.events("steer") == []
            after = await project.now()
            other = shutil.copy(project.cassette, tmp_path / f"{CANARY}.yml")
            await shiftwork.resume(project.id, agent_settings={"cassette": str(other)})
            reason = await project.pauses(after)
            assert reason.startswith("other settings were not taken: The agent's settings would hold the ")
            assert await project.events("resumed") == []
            other.unlink()
            after = await project.now()
            await shiftwork.pause(project.id, reason=f"look at {CANARY}")
            assert await project.pauses(after) == "look at [redacted:WORKER_API_KEY]"
    assert found_in(tmp_path / "state/postgres", CANARY.encode()) == []


SPILL = """
import json, os
print("the key is " + os.environ["SWORDFISH"])
print("the codec's is " + json.load(open(os.environ["RING"]))["keys"][0]["key"])
open("key.txt", "w").write(os.environ["SWORDFISH"])
open("a.txt", "w").write("done")
"""


async def of_agent(lab: Lab, agent: AgentOptions, **options: Any) -> Project:
    """A project of one feature that this agent does."""
    repository = lab.folder / "repository"
    row = await lab.shiftwork.create(
        "keyed", "x", repository=repository, options=ProjectOptions(agent=agent, **options)
    )
    async with lab.shiftwork.store.transaction() as tx:
        await tx.features.adopt(row.id, [FeatureSpec.model_validate(simple_feature("a"))], 1)
    await lab.shiftwork.open(row.id)
    return Project(lab, row.id, repository, Path())


async def test_the_key_that_a_setting_names_is_a_secret(tmp_path: Path) -> None:
    """If it failed, a model's key in a variable of any name would land in main when an agent writes it."""
    settings, folder = quick_settings(tmp_path / "state"), tmp_path / "work"
    folder.mkdir()
    environment = quick_environment(tmp_path / "state", SWORDFISH=CANARY)
    own: dict[str, Any] = {"argv": ["python3", "-c", SPILL], "provider": "openai", "api_key": "SWORDFISH"}
    own |= {
        "pass_environment": ["SWORDFISH"],
        "environment": {"RING": str(settings.state / "codec/keys.json")},
    }
    agent = AgentOptions(backend="command", settings=own)
    async with DevStack(settings), Shiftwork(settings) as shiftwork:
        with worker_process(environment, tmp_path / "worker.log"):
            project = await of_agent(
                Lab(shiftwork, settings, folder), agent, sandbox={"profile": "open"}, max_attempts=1
            )
            await project.pauses()
            (ended,) = [event.data for event in await project.events("attempt_ended")]
            assert ended["failure"] == "snapshot_refused"
            assert "'key.txt', line 1 (credential)" in ended["detail"]
            assert project.files() == []
    key = state_keys(settings).ring().active
    for said in ("the key is [redacted:credential]", f"the codec's is [redacted:codec-key:{key.id}]"):
        assert found_in(settings.state / "postgres", said.encode())
    for secret in (CANARY.encode(), base64.b64encode(key.secret)):
        assert found_in(settings.state / "postgres", secret) == []


async def test_a_new_worker_knows_the_keys_of_open_projects(tmp_path: Path) -> None:
    """If it failed, a key would be no secret from a worker's start to its first agent's."""
    settings, folder = quick_settings(tmp_path / "state", **UNTOLD), tmp_path / "work"
    folder.mkdir()
    key = tmp_path / "key"
    key.write_text(CANARY)
    key.chmod(0o600)
    own = {"argv": ["true"], "provider": "openai"}
    gone = AgentOptions(backend="command", settings={**own, "credential": f"file:{key}-gone"})
    agent = AgentOptions(backend="command", settings={**own, "credential": f"file:{key}"}, fallbacks=(gone,))
    log = tmp_path / "worker.log"
    async with DevStack(settings), Shiftwork(settings) as shiftwork:
        with worker_process(quick_environment(settings.state, **UNTOLD), log) as worker:
            project = await of_agent(Lab(shiftwork, settings, folder), agent, autorun=False)
            await project.pauses()
            for _ in range(2):
                with pytest.raises(InvalidInput, match="would hold the secret 'credential'"):
                    await shiftwork.add_feature(project.id, FeatureSpec(name="b", description=CANARY))
                worker.stop()
                worker.start()
    assert "project 'keyed': the key that its setting 'credential' names can't be read" in log.read_text()
    assert CANARY not in log.read_text()


async def test_settings_that_hold_a_secret_are_refused(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """If it failed, a key written into a specification would be stored with the project."""
    monkeypatch.setenv("CANARY_API_KEY", CANARY)
    agent = AgentOptions(backend="claude", settings={"environment": {"ANTHROPIC_API_KEY": CANARY}})
    clean, setup = AgentOptions(backend="claude"), f"login {CANARY}"
    async with Shiftwork(lab.settings) as shiftwork:
        with pytest.raises(InvalidInput, match="pass_environment"):
            await shiftwork.create("leaky", "x", options=ProjectOptions(agent=agent))
        with pytest.raises(InvalidInput, match="name or repository would hold the secret 'CANARY_API_KEY'"):
            await shiftwork.create(f"leaky {CANARY}", "x", options=ProjectOptions(agent=clean))
        with pytest.raises(InvalidInput, match="options would hold the secret 'CANARY_API_KEY'"):
            await shiftwork.create("leaky", "x", options=ProjectOptions(agent=clean, setup=[setup]))
        with pytest.raises(InvalidInput, match="The feature 'a' would hold the secret 'CANARY_API_KEY'"):
            await shiftwork.add_feature("any", FeatureSpec(**simple_feature("a", command=setup)))
        with pytest.raises(InvalidInput, match="The answer would hold the secret 'CANARY_API_KEY'"):
            await shiftwork.answer("any", "a", CANARY)


async def everything_said(project: Project) -> str:
    """What the transcripts of a project hold, put together."""
    async with project.lab.shiftwork.store.transaction() as tx:
        sessions = await tx.sessions.list(project.id)
        said = [await tx.transcript.since(session.id, (0, 0), 10_000) for session in sessions]
    together = "".join(item.payload.get("text", "") for items in said for item in items)
    assert "[redacted:CANARY_API_KEY]" in together
    return together


def forms(secret: str) -> list[bytes]:
    """As it is, and within base64 at each of the three offsets."""
    data = secret.encode()
    encoded = [base64.b64encode(b"\0" * pad + data)[4 if pad else 0 : -4] for pad in range(3)]
    return [data, *encoded]


def every_object(repository: Path) -> bytes:
    """Whatever git keeps there, reachable or not, which its files hold compressed."""
    command = ["git", "-C", repository, "cat-file", "--batch-all-objects", "--batch", "--unordered"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def found_in(place: Path, needle: bytes) -> list[str]:
    """The files in which these bytes are."""
    paths = [place] if place.is_file() else place.rglob("*")
    files = [path for path in paths if path.is_file() and not path.is_symlink()]
    return [str(path) for path in files if needle in path.read_bytes()]
