"""Environments that fail in processes of their own: what becomes of them, and what is said."""

import os
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from activities.players import PlayerFailed, check_kept
from shiftwork.contracts.episode import EpisodeErrorKind
from shiftwork.environments.host import Order, Over
from shiftwork.environments.hosting import MEMORY_MB, EnvironmentHost, PlayFailed
from shiftwork.environments.protocol import Observation
from shiftwork.environments.trajectory import Step
from shiftwork.runner.limits import Limits
from shiftwork.sandbox.choose import cheap_sandbox
from shiftwork.secrets import LazyRedactor

KEY = "sk-ant-api03-" + "Zq7" * 31 + "AA"
PLAIN = "mellon-9d41-speak-friend"
GAME = f"""
import os, sys
from shiftwork.environments import ActionDefinition, ActionResult, BaseHarness, Observation


class Game(BaseHarness):
    def __init__(self, does="nothing"):
        super().__init__("game")
        self.does = does

    async def reset(self):
        if self.does == "leave":
            sys.stderr.write("can't log in with {KEY}\\n")
            sys.stderr.flush()
            os._exit(3)
        if self.does == "raise":
            raise ValueError("can't log in with {KEY}")
        if self.does == "grow":
            kept = bytearray(400_000_000)
            kept[::4096] = b"x" * len(kept[::4096])
            import time
            time.sleep(20)
        told = {{"flood": "x" * 17_000_000, "half": "half of \\ud83d", "tell": "the word is {PLAIN}"}}
        content = told.get(self.does, "")
        return Observation(content=content, available_actions=self.get_action_space())

    async def step(self, action):
        return ActionResult(observation=Observation(done=True))

    def get_action_space(self):
        return [ActionDefinition(name="go")]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    """With a module of somebody's own, which is on this process's PYTHONPATH, named from where it stands."""
    (tmp_path / "game_of_hosts.py").write_text(GAME, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([".", "", os.environ.get("PYTHONPATH", "")]))
    return tmp_path


async def played(
    folder: Path,
    does: str = "nothing",
    limits: Limits | None = None,
    seen: list[Observation] | None = None,
) -> Over:
    """An episode of the game; its process starts elsewhere."""
    seen = [] if seen is None else seen
    (folder / "elsewhere").mkdir()
    host = EnvironmentHost(
        cheap_sandbox(), folder / "elsewhere", redactor=LazyRedactor({"GAME_API_KEY": PLAIN})
    )
    order = Order(environment="game_of_hosts:Game", parameters={"does": does}, seed=1, player="asked")

    async def keep(step, seconds) -> None: ...

    async def stop(observation, last) -> None:
        seen.append(observation)

    return await host.play(order, on_step=keep, on_turn=stop, limits=limits)


async def test_a_class_is_found_where_this_process_finds_it(folder) -> None:
    """If it failed, a worker could not play what lies on its own PYTHONPATH."""
    over = await played(folder)
    assert over.trajectory.environment == "game"


async def test_what_is_to_be_done_about_a_class_that_is_not_found(folder, monkeypatch) -> None:
    """If it failed, people would not know why a worker can't import what they can."""
    here = os.environ["PYTHONPATH"].partition(os.pathsep)[2]
    monkeypatch.setenv("PYTHONPATH", here)
    with pytest.raises(PlayFailed, match=r"No module named 'game_of_hosts'; install it .* on PYTHONPATH"):
        await played(folder)


@pytest.mark.parametrize(
    ("does", "why"),
    [
        ("flood", "tells at once takes 17,.* bytes as JSON, and may take 16,777,216"),
        ("half", "holds a lone surrogate"),
    ],
)
async def test_what_cannot_be_told_is_said_in_a_sentence(folder, does, why) -> None:
    """If it failed, people would be told of a signal, or of a library, and not of what to change."""
    with pytest.raises(PlayFailed, match=why) as failed:
        await played(folder, does)
    assert failed.value.why == "environment"


@pytest.mark.parametrize("does", ["leave", "raise"])
async def test_no_secret_is_among_its_last_words(folder, does) -> None:
    """If it failed, a key that an environment wrote would go to whoever plays, which may be a model."""
    with pytest.raises(PlayFailed, match="can't log in with") as failed:
        await played(folder, does)
    assert "sk-ant" not in str(failed.value)


async def test_no_secret_is_in_what_a_player_perceives(folder) -> None:
    """If it failed, a key that an environment knows would go to the model that plays in it."""
    seen: list[Observation] = []
    over = await played(folder, "tell", seen=seen)
    assert [each.content for each in seen] == ["the word is [redacted:GAME_API_KEY]"]
    assert PLAIN not in over.model_dump_json()


def test_a_secret_that_a_player_chose_is_said_to_be_the_players() -> None:
    """If it failed, people would look for a secret in their own settings that a player had typed."""
    redactor = LazyRedactor({"GAME_API_KEY": KEY})
    harmless = Step(number=1, action="go", parameters={"to": "x"}, success=True, reward=0, observation="")
    check_kept(harmless, redactor)
    with pytest.raises(PlayerFailed, match="The player's action 2 holds the secret") as failed:
        check_kept(harmless.model_copy(update={"number": 2, "parameters": {"to": KEY}}), redactor)
    assert failed.value.kind is EpisodeErrorKind.PLAYER
    assert KEY not in str(failed.value)


@pytest.mark.parametrize("kind", [ValidationError, BrokenPipeError])
async def test_what_a_player_raises_is_not_blamed_on_the_environment(folder, kind) -> None:
    """If it failed, people would look for a player's fault in an environment that has none."""

    async def fail(observation, last) -> None:
        if kind is BrokenPipeError:
            raise BrokenPipeError
        Observation.model_validate({"agent": 3})

    order = Order(environment="game_of_hosts:Game", seed=1, player="asked")
    with pytest.raises(kind):
        await EnvironmentHost(cheap_sandbox(), folder).play(order, on_step=fail, on_turn=fail)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is looked at on Linux")
async def test_an_environment_that_needs_too_much_memory_is_ended(folder) -> None:
    """If it failed, an environment with a leak would take the whole machine."""
    with pytest.raises(PlayFailed, match="The limit memory_mb of 300 was breached"):
        await played(folder, "grow", Limits(memory_mb=300))
    assert MEMORY_MB == 4_000
