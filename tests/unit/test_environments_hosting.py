"""Environments that fail in processes of their own: what becomes of them, and what is said."""

import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from pydantic import ValidationError

from activities.players import PlayerFailed, check_kept
from shiftwork.contracts.episode import EpisodeErrorKind
from shiftwork.environments.host import Begun, Order, Over
from shiftwork.environments.hosting import MEMORY_MB, EnvironmentHost, PlayFailed
from shiftwork.environments.lasting import MOST_LOST
from shiftwork.environments.protocol import Observation
from shiftwork.environments.trajectory import Choice, Ending, Step
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
            with open("grown", "a") as file:
                print("grows", file=file)
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


DYING = """
import os, signal
from shiftwork.environments import ActionDefinition, ActionResult, BaseHarness, Observation


class Dying(BaseHarness):
    # Pays what is drawn for each of five steps; some of its processes are ended by a signal.

    def __init__(self, log, dies=(), always=False):
        super().__init__("dying")
        self.log, self.dies, self.always = log, dies, always
        self.note("begun")

    def note(self, what):
        with open(self.log, "a") as file:
            print(what, file=file)

    async def reset(self):
        self.at = 0
        return self.seen()

    async def step(self, action, number):
        if self.at in self.dies:
            with open(self.log) as file:
                said = file.read()
            if self.always or f"died {self.at}" not in said:
                self.note(f"died {self.at}")
                os.kill(os.getpid(), signal.SIGKILL)
        self.at += 1
        return ActionResult(observation=self.seen(), reward=self.random.random() + number)

    def seen(self):
        actions = self.get_action_space()
        return Observation(content=f"at {self.at}", available_actions=actions, done=self.at == 5)

    def get_action_space(self):
        return [ActionDefinition(name="go", parameters={"number": {"type": "integer"}})]
"""


@dataclass
class Told:
    """What a player of it was told and asked, and what became of the episode."""

    over: Over | None = None
    failed: PlayFailed | None = None
    begun: int = 0
    turns: list[tuple[str, int]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    processes: int = 0


@pytest.fixture
def dying(folder):
    """Plays it, on from what is recorded."""
    (folder / "dying_game.py").write_text(DYING, encoding="utf-8")

    async def play(name: str, recorded=(), **parameters) -> Told:
        log = folder / f"{name}.log"
        order = Order(
            environment="dying_game:Dying",
            parameters={"log": str(log), **parameters},
            seed=7,
            recorded=recorded,
            player="asked",
        )
        told = Told()

        async def keep(step, seconds) -> None:
            told.steps.append(step)

        async def choose(observation, last) -> Choice:
            told.turns.append((observation.content, last.number if last else 0))
            return Choice(action="go", parameters={"number": len(told.turns)})

        def begin(_: Begun) -> None:
            told.begun += 1

        host = EnvironmentHost(cheap_sandbox(), folder)
        try:
            told.over = await host.play(order, on_step=keep, on_turn=choose, on_begin=begin)
        except PlayFailed as error:
            told.failed = error
        told.processes = log.read_text().count("begun")
        return told

    return play


async def test_a_play_outlives_the_processes_of_its_environment(dying) -> None:
    """If it failed, whatever the system kills would lose an episode, or play it otherwise."""
    expected, told = await dying("undisturbed"), await dying("disturbed", dies=[0, 2, 3, 4])
    assert (told.failed, told.processes) == (None, 5)
    assert (told.begun, told.turns, told.steps) == (1, expected.turns, expected.steps)
    assert told.over.observation == expected.over.observation
    assert told.over.trajectory.stats.total_reward == expected.over.trajectory.stats.total_reward


async def test_an_environment_whose_processes_die_again_and_again_is_given_up(dying) -> None:
    """If it failed, one that can't be played would be tried for ever, or nobody would know why."""
    told = await dying("always", dies=[2], always=True)
    assert told.processes == MOST_LOST == 3
    assert len(told.steps) == 2
    assert [number for _, number in told.turns] == [0, 1, 2]
    assert told.failed.why == "environment"
    assert str(told.failed) == (
        "Environment 'dying_game:Dying' failed: its process ended with status 137 (SIGKILL): it does not say "
        "why; 3 in a row were ended by a signal without a step in between: look for what ends them, such as "
        "a machine with too little memory."
    )


TORN = """
from shiftwork.environments import ActionDefinition, ActionResult, BaseHarness, Observation


class Torn(BaseHarness):
    # It holds what can't be put back, and no seed makes it again.

    def __init__(self):
        super().__init__("torn")

    async def reset(self):
        self.words = iter("abcdefgh")
        return Observation(content="")

    async def step(self, action):
        word = next(self.words)
        if action == "trap":
            raise OSError("the floor is gone")
        return ActionResult(observation=Observation(content=word), reward=1.0)

    def get_action_space(self):
        return [ActionDefinition(name="go"), ActionDefinition(name="trap")]
"""


@pytest.mark.parametrize("killed", [False, True])
async def test_a_step_that_broke_its_environment_is_the_end_whatever_is_killed(folder, killed) -> None:
    """If it failed, a signal would have a player earn more than it would have without."""
    (folder / "torn_game.py").write_text(TORN, encoding="utf-8")
    script = tuple(Choice(action=action) for action in ("go", "trap", "go", "go"))
    order = Order(environment="torn_game:Torn", seed=1, player="scripted", script=script)
    taken = []

    async def keep(step, seconds) -> None:
        taken.append((step.action, step.reward))
        if killed and step.action == "trap":
            processes = psutil.Process().children(recursive=True)
            hosts = [each for each in processes if "shiftwork.environments.host" in each.cmdline()]
            assert hosts, "none could be killed"
            for each in hosts:
                os.kill(each.pid, signal.SIGKILL)

    over = await EnvironmentHost(cheap_sandbox(), folder).play(order, on_step=keep)
    assert taken == [("go", 1.0), ("trap", 0.0)]
    assert over.trajectory.ending is Ending.BROKEN
    assert "OSError: the floor is gone" in over.fault


async def test_the_end_is_shown_to_who_goes_on_after_the_last_step(dying) -> None:
    """If it failed, a player whose worker was lost in the last moment would see an empty end."""
    first = await dying("first")
    again = await dying("again", tuple(first.steps))
    assert (again.turns, again.steps) == ([], [])
    assert again.over.observation.content == first.over.observation.content == "at 5"


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
    assert (folder / "elsewhere" / "grown").read_text() == "grows\n"
    assert MEMORY_MB == 4_000
