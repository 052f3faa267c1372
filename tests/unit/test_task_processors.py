"""Processors as plug-ins: found, made, and kept from doing harm to their worker."""

import asyncio
import logging
import sys
from importlib.metadata import EntryPoint, entry_points

import pytest

from activities.processors import Processors
from shiftwork.contracts.task import TaskErrorKind
from shiftwork.errors import InvalidInput, StackError
from shiftwork.tasks.contained import ContainedProcessor
from shiftwork.tasks.noop import NoopProcessor
from shiftwork.tasks.processing import Processed
from shiftwork.tasks.registry import GROUP, OURS, find_processors, make_processors
from tests.unit.task_support import Told, assignment, equipment

PLUGIN = '''
"""A package of somebody else's."""
import asyncio
from shiftwork.tasks.processing import Processed


class Greeter:
    name = "greeter"
    outward = False

    def __init__(self, equipment):
        self.state = equipment.settings.state

    async def process(self, assignment):
        match assignment.task.instruction:
            case "raise":
                raise KeyError("price")
            case "exit":
                raise TimeoutError
            case "sleep":
                await asyncio.sleep(60)
            case "nothing":
                return None
        await assignment.tell({"progress": "half"})
        return Processed(success=True, result=f"Hello, {assignment.task.instruction}.")


class Poster(Greeter):
    name = "poster"
    outward = True


class Blocking(Greeter):
    def process(self, assignment):
        return None


class Mute(Greeter):
    name = "mute"
    outward = "no"


class Failing(Greeter):
    def __init__(self, equipment):
        raise SystemExit(3)


NUMBER = 7
'''


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A module of another package, on the path."""
    (tmp_path / "their_processors.py").write_text(PLUGIN)
    (tmp_path / "their_broken.py").write_text("import no_such_package_at_all\n")
    (tmp_path / "their_leaving.py").write_text("raise SystemExit('no')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in ("their_processors", "their_broken", "their_leaving"):
        sys.modules.pop(name, None)


def entry(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, GROUP)


def test_ours_are_there_with_and_without_an_installation():
    """If it failed, a worker of a checkout that was not installed anew would not know a provider."""
    assert set(find_processors([]).names) == {"agent", "noop", "github", "llm"}
    assert find_processors(OURS).problems == ()
    assert find_processors(entry_points(group=GROUP)).problems == ()


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        (
            "broken",
            "their_broken:Thing",
            "'broken' (their_broken:Thing) can't be loaded: ModuleNotFoundError",
        ),
        ("leaving", "their_leaving:Thing", "can't be loaded: SystemExit: no."),
        ("missing", "their_processors:Nothing", "AttributeError"),
        ("number", "their_processors:NUMBER", "neither a class nor a function"),
        ("noop", "their_processors:Greeter", "its name is taken"),
        ("agent", "their_processors:Greeter", "its name is taken"),
    ],
)
def test_what_can_not_be_loaded_is_named(plugin, name, value, says):
    """If it failed, one broken package would stop every worker, or be missing without a word."""
    found = find_processors([entry(name, value), entry("greeter", "their_processors:Greeter")])
    (problem,) = found.problems
    assert says in problem
    assert "greeter" in found.names


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("blocking", "their_processors:Blocking", "'name' is 'greeter'"),
        ("greeter", "their_processors:Blocking", "has to be an 'async def'"),
        ("mute", "their_processors:Mute", "'outward' has to be True or False"),
        ("greeter", "their_processors:Failing", "SystemExit: 3"),
    ],
)
async def test_what_can_not_be_made_is_logged(plugin, tmp_path, caplog, *, name, value, says):
    """If it failed, a worker would end because of somebody else's mistake, or go on without telling."""
    caplog.set_level(logging.WARNING)
    async with equipment(tmp_path) as lent:
        made = make_processors(lent, find_processors([entry(name, value)]))
    assert {processor.name for processor in made} == {"noop", "github", "llm"}
    assert says in caplog.text


async def test_what_takes_its_time_tells_how_far_it_is():
    """If it failed, nobody could try out, without a plug-in of their own, how progress is shown."""
    told = Told()
    done = await NoopProcessor().process(assignment(told, "so far", seconds=1))
    assert (done.success, done.result) == (True, "so far")
    assert told.facts == [{"progress": 0.5}, {"progress": 1}]
    assert (await NoopProcessor().process(assignment(told))).success
    assert len(told.facts) == 2


@pytest.mark.parametrize("seconds", ["soon", -1, True])
async def test_a_time_that_is_none_fails_the_task(seconds):
    """If it failed, a slip of the pen would be passed over, and the task seem to be done as asked."""
    done = await NoopProcessor().process(assignment(seconds=seconds))
    assert (done.success, done.error_kind) == (False, TaskErrorKind.INVALID)
    assert f"'seconds' is {seconds!r}; it must be a number, 0 or more" in done.error


async def test_a_plug_in_processes_its_tasks(plugin, tmp_path):
    """If it failed, nobody could add a provider of their own."""
    async with equipment(tmp_path) as lent:
        found = find_processors([entry("greeter", "their_processors:Greeter")])
        processors = Processors({each.name: each for each in make_processors(lent, found)})
    told = Told()
    done = await processors.of("greeter").process(assignment(told, "Ada"))
    assert (done.success, done.result) == (True, "Hello, Ada.")
    assert told.facts == [{"progress": "half"}]
    with pytest.raises(InvalidInput, match="'nope' is not known; known are: github, greeter, llm, noop"):
        processors.of("nope")


@pytest.mark.parametrize(
    ("instruction", "kind", "says"),
    [
        ("raise", TaskErrorKind.FAILED, "The processor of 'greeter' failed: KeyError: 'price'."),
        ("exit", TaskErrorKind.FAILED, "TimeoutError"),
        ("nothing", TaskErrorKind.FAILED, "it gave NoneType instead of Processed"),
        ("sleep", TaskErrorKind.TIMEOUT, "It was ended after 0.2 s"),
    ],
)
async def test_a_mistake_of_a_plug_in_fails_its_task_alone(plugin, tmp_path, instruction, kind, says):
    """If it failed, the task would be begun again and again, or hold its worker for ever."""
    async with equipment(tmp_path) as lent:
        found = find_processors([entry("greeter", "their_processors:Greeter")])
        (greeter,) = (each for each in make_processors(lent, found) if each.name == "greeter")
        done = await greeter.process(assignment(None, instruction, timeout=0.2))
    assert (done.success, done.error_kind) == (False, kind)
    assert says in done.error


async def test_what_a_retry_helps_stays_an_error(plugin):
    """If it failed, a task would fail for good because the database was away for a moment."""

    class Telling:
        name = "telling"
        outward = False

        async def process(self, assignment):
            await assignment.tell({"progress": 1})
            return Processed(success=True)

    with pytest.raises(StackError):
        await ContainedProcessor(Telling()).process(assignment(Told(refuse=StackError("away"))))


async def test_a_cancelled_task_ends_its_processor():
    """If it failed, what a person cancelled would go on, or count as a mistake of the plug-in."""
    ended = asyncio.Event()

    class Waiting:
        name = "waiting"
        outward = False

        async def process(self, assignment):
            try:
                await asyncio.sleep(60)
            finally:
                ended.set()
            return Processed(success=True)

    work = asyncio.create_task(ContainedProcessor(Waiting()).process(assignment()))
    await asyncio.sleep(0.05)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert ended.is_set()


async def test_nothing_acts_outwards_unless_a_setting_says_so(plugin, tmp_path):
    """If it failed, a task could write to the world where nobody allowed that."""
    async with equipment(tmp_path, SHIFTWORK_OUTWARD_PROVIDERS="mailer, poster") as lent:
        found = find_processors([entry("poster", "their_processors:Poster")])
        made = {each.name: each for each in make_processors(lent, found)}
        allowed = frozenset(lent.settings.outward_providers or ())
    with pytest.raises(InvalidInput, match=r"'poster' act beyond this machine.*SHIFTWORK_OUTWARD_PROVIDERS"):
        Processors(made).of("poster")
    assert Processors(made, allowed).of("poster").name == "poster"
    assert allowed == {"mailer", "poster"}
