"""The conformance suite, held against environments that are sound, and against one for each fault."""

import asyncio
from contextlib import suppress
from types import SimpleNamespace

import pytest

from shiftwork.environments.conformance import RULES, NotConforming, check_harness
from shiftwork.environments.playing import ScriptedPolicy
from shiftwork.errors import InvalidInput
from tests.unit import broken_environments as broken

BEHIND_THE_GUARDS = {
    "get-observation",
    "is-done",
    "stats",
    "refused-actions",
    "failed-actions",
    "ends",
    "shutdown",
}
BREAKS = {
    broken.SaysNothing: {"initialize"},
    broken.CannotBeUsedHere: {"initialize"},
    broken.BeginsOnce: {"reset"},
    broken.ResetsToNothing: {"reset"},
    broken.SmallSeedsOnly: {"reset"},
    broken.OverAtOnce: {"reset"},
    broken.NamesTwice: {"action-space"},
    broken.NoActions: {"action-space"},
    broken.BadSchema: {"action-space"},
    broken.LendsItsActions: {"action-space"},
    broken.LendsItsSchemas: {"action-space"},
    broken.Peeks: {"reading"},
    broken.DrawsWhenAsked: {"reading"},
    broken.RefersElsewhere: {"reading"},
    broken.CannotTell: {"reading"},
    broken.CountsErrors: {"reading"},
    broken.NotJson: {"exceptions"},
    broken.NoImage: {"observations"},
    broken.InfiniteReward: {"exceptions"},
    broken.PaysInfinity: {"rewards"},
    broken.Waits: {"answers"},
    broken.Sleeps: {"blocking"},
    broken.OffersUnknown: {"available-actions"},
    broken.TurnOfNobody: {"agents"},
    broken.TurnOfStrangers: {"agents"},
    broken.PaysStrangers: {"agents"},
    broken.Disagrees: {"get-observation"},
    broken.StaleView: {"get-observation"},
    broken.NeverDone: {"is-done"},
    broken.HalfSuccess: {"reading"},
    broken.StatsOfSomethingElse: {"stats"},
    broken.BehindTheGuards: BEHIND_THE_GUARDS,
    broken.LendsBehindTheGuards: (BEHIND_THE_GUARDS - {"failed-actions"}) | {"fresh-reset", "handed-out"},
    broken.TakesWhatIsUnknown: {"refused-actions"},
    broken.GoesOnAfterTheEnd: {"ends"},
    broken.ChangesWhatWasHandedOut: {"handed-out"},
    broken.Stumbles: {"exceptions"},
    broken.SharesPath: {"separate-instances"},
    broken.CountsForAll: {"separate-instances"},
    broken.SharedRandom: {"separate-instances"},
    broken.DrawsElsewhere: {"same-seed"},
    broken.Clock: {"same-seed"},
    broken.OrderOfASet: {"another-process"},
    broken.Forgets: {"fresh-reset"},
    broken.CountsOn: {"fresh-reset"},
    broken.KeepsElsewhere: {"failed-actions"},
    broken.CannotUndo: {"failed-actions"},
    broken.WontShutDown: {"shutdown"},
    broken.NeedsToHaveBegun: {"shutdown"},
    broken.LeavesTask: {"left-behind"},
}
HOW = {
    broken.Waits: {"call_seconds": 0.3},
    broken.Sleeps: {"steps": 2, "block_seconds": 0.05},
}
"""What of it is not as usual, where it would take long."""

SOUND = [
    broken.Sound,
    broken.TwoPlayers,
    broken.WithoutSeed,
    broken.WithoutChance,
    broken.Uncopyable,
    broken.CountsWrongly,
    broken.RefersBack,
    broken.RefersWeakly,
    broken.ShowsTheNewest,
    broken.ChangesWhatItShowed,  # players have copies
    broken.ShowsItsOwn,
]


def rules_broken(report):
    """Their names; what was said is shown where a test fails."""
    print(*report.faults, *report.skipped, sep="\n")
    for fault in report.faults:
        assert "\n" not in fault.message
        assert "; " in fault.message, "it has to say what to do"
    return {fault.rule for fault in report.faults}


@pytest.mark.parametrize("kind", BREAKS, ids=lambda kind: kind.__name__)
async def test_each_fault_is_found_under_its_rule(kind):
    """An environment with this fault would otherwise be taken for sound, or be mended in the wrong place."""
    report = await check_harness(kind, **{"episodes": 2, "steps": 20, **HOW.get(kind, {})})

    assert rules_broken(report) == BREAKS[kind]
    for task in broken.KEPT:
        task.cancel()
    broken.KEPT.clear()


def test_each_rule_is_broken_alone():
    """A rule that finds nothing would otherwise be taken for one that everybody keeps."""
    alone = {rule for rules in BREAKS.values() if len(rules) == 1 for rule in rules}

    assert alone == {rule.name for rule in RULES}


async def test_what_draws_without_a_seed_has_the_same_verdict_each_time():
    """It is marked as not reproducible: chance would find a fault one time, and nothing to mend it by."""
    for _ in range(4):
        report = await check_harness(broken.ThrowsADie, episodes=1, steps=6)

        assert rules_broken(report) == set()
        told = dict(each.split(": ", 1) for each in report.skipped)
        assert set(told) == {"same-seed", "another-process", "fresh-reset"}
        assert "its reset takes no seed and its episodes differ" in told["same-seed"]


@pytest.mark.parametrize("kind", SOUND, ids=lambda kind: kind.__name__)
async def test_a_sound_environment_has_no_fault(kind):
    """People would otherwise mend what is not broken, and learn to look away."""
    report = await check_harness(kind)

    assert rules_broken(report) == set()
    assert report.ok
    assert report.skipped == ()
    assert report.checked == tuple(rule.name for rule in RULES)
    report.raise_for_faults()


async def test_a_sound_environment_is_sound_with_every_seed():
    """What is found would otherwise be chance."""
    for seed in (1, 2):
        assert rules_broken(await check_harness(broken.TwoPlayers, seed=seed, episodes=1)) == set()


async def test_a_call_without_end_is_a_fault():
    """The suite would otherwise wait for ever."""
    report = await check_harness(broken.Hangs, call_seconds=0.2)

    assert rules_broken(report) == {"reset"}
    assert "did not answer in time" in report.faults[0].message


class StaysAwake(broken.Sound):
    """What an action begins does not end when it is cancelled."""

    undo_seconds = 0.1

    async def step(self, action, **parameters):
        over = asyncio.Event()

        async def stay():
            while not over.is_set():
                with suppress(asyncio.CancelledError):
                    await over.wait()

        broken.KEPT.append(SimpleNamespace(cancel=over.set))
        awake = asyncio.create_task(stay())
        await asyncio.sleep(0.001)
        over.set()
        await awake
        return await super().step(action, **parameters)


class SetsATimer(broken.Sound):
    """What is cut short is made up for later."""

    async def step(self, action, **parameters):
        try:
            await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            asyncio.get_running_loop().call_later(0.01, self.path.append, 1)
            raise
        return await super().step(action, **parameters)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (StaysAwake, "a task or an async generator that it had begun did not end when it was cancelled; let"),
        (SetsATimer, "leave behind no thread or timer (call_later) that changes it"),
    ],
)
async def test_what_failed_actions_leave_behind_is_named(kind, why):
    """People would look for what can't be put back, and find nothing."""
    report = await check_harness(kind, episodes=1, steps=6)
    for each in broken.KEPT:
        each.cancel()
    broken.KEPT.clear()
    await asyncio.sleep(0.01)

    said = {fault.rule: fault.message for fault in report.faults}
    assert why in said["failed-actions"]


async def test_faults_can_be_raised_all_together():
    """A test of somebody's environment would otherwise have to write out what is wrong."""
    report = await check_harness(broken.BehindTheGuards)

    with pytest.raises(NotConforming, match=r"breaks rules: .*stats: .*; ends: .*; shutdown: ") as failure:
        report.raise_for_faults()
    assert failure.value.faults == report.faults


async def test_an_instance_is_checked_and_left_alone():
    """Who checks an environment before playing it would otherwise play a used one."""
    mine = broken.Sound("mine", max_steps=5)

    report = await check_harness(mine)

    assert (report.environment, rules_broken(report)) == ("mine", set())
    assert [told.partition(":")[0] for told in report.skipped] == ["another-process"]
    assert (mine.status, mine.path) == ("idle", [])
    assert rules_broken(await check_harness(broken.Forgets(max_steps=10))) == {"fresh-reset"}


async def test_what_cannot_be_checked_is_told():
    """A rule that was not looked at would otherwise pass for one that is kept."""
    alone = broken.Uncopyable("alone")
    await alone.reset(seed=1)

    report = await check_harness(alone)

    assert rules_broken(report) == set()
    told = "\n".join(report.skipped)
    assert "fresh-reset: the instance can't be copied" in told
    assert "shutdown: the instance can't be copied" in told
    assert "left-behind: the instance can't be copied" in told
    assert {"same-seed", "refused-actions", "failed-actions"} <= set(report.checked)


async def test_an_action_that_cannot_be_drawn_is_told():
    """A checked environment would otherwise hide that an action was never tried."""
    report = await check_harness(broken.AsksForPattern)

    assert rules_broken(report) == set()
    assert len(report.skipped) == 1
    assert "the parameters of action 'spell' can't be drawn" in report.skipped[0]


async def test_a_player_can_be_given_where_chance_gets_nowhere():
    """Episodes that chance never ends would otherwise stay unchecked to the end."""
    endless = broken.Endless()
    win = ScriptedPolicy([("climb", {"amount": 3})] * 30)

    assert any(
        told.startswith("ends: no episode was over") for told in (await check_harness(endless)).skipped
    )
    won = await check_harness(endless, player=win)
    assert rules_broken(won) == set()
    assert [told.partition(":")[0] for told in won.skipped] == []


@pytest.mark.parametrize("given", ["a name", 3, None])
async def test_what_is_no_environment_is_refused(given):
    """People would otherwise be told of an attribute that is missing somewhere."""
    with pytest.raises(InvalidInput, match="is no environment"):
        await check_harness(given)


async def test_nothing_is_left_of_a_check():
    """A check would otherwise cost a worker what its own rules forbid."""
    before = asyncio.all_tasks()

    await check_harness(broken.TwoPlayers)

    assert asyncio.all_tasks() == before


def test_each_rule_says_why_it_matters():
    """People would otherwise not see the point, and leave the fault where it is."""
    assert len({rule.name for rule in RULES}) == len(RULES)
    for rule in RULES:
        demand, _, reason = rule.why.partition("\n\n")
        assert demand.endswith(".")
        assert len(reason) > 60, rule.name
        known = [each.name for each in RULES[: RULES.index(rule)]]
        assert set(rule.after) <= set(known), rule.name
