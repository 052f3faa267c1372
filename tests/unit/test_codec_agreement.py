"""Whoever speaks to a running stack encrypts as it does, or is told before anything is sent."""

import asyncio
import os
from base64 import b64encode
from dataclasses import replace

import pytest

from shiftwork.codec.agreement import agree
from shiftwork.codec.sources import StateKeys, key_source, state_keys
from shiftwork.errors import CodecError, Conflict, InvalidInput
from shiftwork.settings import Settings
from shiftwork.stack.file import StackFile, write_stack
from shiftwork.temporal import connect

ELSEWHERE = {"TEMPORAL_ADDRESS": "elsewhere:7233"}


def some_keys(*names):
    return "\n".join(f"{name}:{b64encode(os.urandom(32)).decode()}" for name in names)


RINGS = {"MINE": some_keys("a"), "THEIRS": some_keys("b"), "NEWER": some_keys("c", "a")}


@pytest.fixture
def settings(tmp_path):
    return Settings(state=tmp_path)


def runs(settings, *, codec=True, ids=(), address="127.0.0.1:1"):
    """A running stack that says so of itself."""
    stack = StackFile(
        pid=os.getpid(),
        started_at="2026-01-01T00:00:00+00:00",
        namespace="default",
        database_url="postgresql://x@127.0.0.1:1/x",
        temporal_address=address,
        codec=codec,
        codec_key_ids=ids,
    )
    write_stack(settings, stack)


async def refused(settings, environ, told):
    with pytest.raises(InvalidInput, match=told):
        await agree(settings, environ)
    assert not (settings.state / "codec").exists()


async def test_whoever_has_the_same_keys_is_let_through(settings):
    """Nobody could speak to a stack at all."""
    mine = replace(settings, codec_keys="env:MINE")
    runs(settings, ids=("a",))
    await agree(mine, RINGS)
    runs(settings, ids=("b", "a"))
    await refused(replace(settings, codec_keys="env:THEIRS"), {"THEIRS": RINGS["MINE"]}, "other keys")
    off = replace(settings, codec=False)
    runs(settings, codec=False)
    await agree(off, {})
    ids = StateKeys(settings.state / "other").ring().ids
    runs(replace(settings, state=settings.state / "other"), ids=ids)
    await agree(replace(settings, state=settings.state / "other"), {})


@pytest.mark.parametrize("given", [None, "env:THEIRS"], ids=["none", "others"])
async def test_other_keys_are_told_and_none_are_made(settings, given):
    """A project would wait for ever for what its worker can't read, and nobody would be told."""
    runs(settings, ids=("a",))
    await refused(
        replace(settings, codec_keys=given), RINGS, r"with other keys than this .* SHIFTWORK_CODEC_KEYS"
    )


async def test_another_mode_is_told(settings):
    """A worker that does not encrypt would be sent what it has no key to."""
    runs(settings, codec=False)
    await refused(settings, {}, "does not encrypt .* set SHIFTWORK_CODEC=off here")
    runs(settings, ids=("a",))
    await refused(replace(settings, codec=False), {}, "encrypts .* unset SHIFTWORK_CODEC here")


async def test_connecting_asks_first(settings, monkeypatch):
    """The sentence would come after the message."""
    for name in ("TEMPORAL_ADDRESS", "TEMPORAL_PROFILE", "TEMPORAL_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    runs(settings, ids=("a",))
    with pytest.raises(InvalidInput, match="with other keys than this process"):
        await connect(settings)


async def test_a_rotation_is_waited_for(settings):
    """Whoever comes just after `keys rotate` would be sent away."""
    before = StateKeys(settings.state).ring()
    runs(settings, ids=before.ids)
    after = state_keys(settings).rotate()
    waiting = asyncio.create_task(agree(settings, {}))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    runs(settings, ids=after.ids)
    await asyncio.wait_for(waiting, 100)


async def test_a_stack_that_is_not_meant_says_nothing(settings):
    """People with a server of their own, or an older stack, could not go on."""
    await agree(settings, {})
    runs(settings, codec=None)
    await agree(settings, {})
    runs(settings, codec=False)
    await agree(replace(settings, codec=True), ELSEWHERE)
    runs(settings, codec=False, address=None)
    with pytest.raises(InvalidInput, match="does not encrypt"):
        await agree(replace(settings, codec=True), ELSEWHERE)


async def test_lost_keys_are_still_told_as_lost(settings):
    """Somebody would set keys that were never there instead of putting the file back."""
    runs(settings, ids=StateKeys(settings.state).ring().ids)
    (settings.state / "codec" / "keys.json").unlink()
    with pytest.raises(CodecError, match="put the file back"):
        await agree(settings, {})


@pytest.mark.parametrize(("codec", "ids"), [(True, ("a",)), (False, ())])
def test_no_keys_are_made_beside_those_of_a_running_stack(settings, codec, ids):
    """A second ring would lie there, and be used by whoever finds it."""
    runs(settings, codec=codec, ids=ids)
    for make in (key_source(settings, {}).ring, state_keys(settings).rotate):
        with pytest.raises(Conflict, match="No keys are made"):
            make()
    assert not (settings.state / "codec").exists()
