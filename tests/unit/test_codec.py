"""The payload codec: what it hides, what it refuses, and its keys."""

import asyncio
import os
import shutil
import stat
import subprocess
import sys
from base64 import b64encode, urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.exceptions import ApplicationError

from shiftwork.codec.choose import choose_codec
from shiftwork.codec.keys import Key, KeyRing, parse
from shiftwork.codec.payloads import KEY_ID, EncryptionCodec
from shiftwork.codec.sources import GivenKeys, StateKeys, key_source, state_keys
from shiftwork.errors import CodecError, Conflict, InvalidInput, StackError
from shiftwork.secrets import LazyRedactor
from shiftwork.settings import Settings
from shiftwork.stack.private import write_private
from shiftwork.temporal import plugin

CANARY = "CANARY-7f3a"
PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=f'"{CANARY}"'.encode())


@pytest.fixture
def settings(tmp_path):
    """Of a state folder without keys."""
    return Settings(state=tmp_path / "state")


def hides(data: bytes) -> bool:
    """Whether the canary is in there neither as it is nor as base64, at whichever offset."""
    forms = [CANARY.encode()] + [b64encode(b" " * n + CANARY.encode())[4:-4] for n in range(3)]
    return not any(form in data for form in forms)


async def test_what_is_encoded_says_nothing(settings):
    """Whoever reads the server's files would read what people said."""
    codec = choose_codec(settings, {})
    first, second = await codec.encode([PLAIN, PLAIN])
    assert hides(first.SerializeToString())
    assert first.metadata["encoding"] == b"binary/encrypted"
    assert first.data != second.data
    assert await codec.decode([first, second]) == [PLAIN, PLAIN]


async def test_plain_payloads_pass(settings):
    """People who type JSON into Temporal's own tools, and projects from before, would not be understood."""
    odd = Payload(metadata={"encoding": b"binary/plain"}, data=b"x" * 40)
    assert await choose_codec(settings, {}).decode([PLAIN, odd, Payload()]) == [PLAIN, odd, Payload()]


@pytest.mark.parametrize("part", ["data", "nonce", "key", "version", "short", "empty"])
async def test_what_was_changed_is_refused(part):
    """Whoever can write to the server could change what people said."""
    keys = [Key.generate(), Key("other", os.urandom(32))]
    codec = EncryptionCodec(GivenKeys(KeyRing(tuple(keys), "a test")))
    [payload] = await codec.encode([PLAIN])
    if part == "key":
        payload.metadata[KEY_ID] = b"other"
    elif part == "version":
        payload.data = b"\x02" + payload.data[1:]
    elif part in ("short", "empty"):
        payload.data = payload.data[: 5 if part == "short" else 0]
    else:
        index = 1 if part == "nonce" else 20
        payload.data = payload.data[:index] + bytes([payload.data[index] ^ 1]) + payload.data[index + 1 :]
    with pytest.raises(CodecError, match=r"^Something that Temporal stores was .*\.$"):
        await codec.decode([payload])


async def test_an_unknown_key_is_named(settings, tmp_path):
    """Somebody whose keys are lost would not know which."""
    [payload] = await choose_codec(Settings(state=tmp_path / "other"), {}).encode([PLAIN])
    key_id = payload.metadata[KEY_ID].decode()
    with pytest.raises(CodecError, match=f"the key '{key_id}', which is not among those of .*keys.json"):
        await choose_codec(settings, {}).decode([payload])


async def test_after_a_rotation_old_and_new_are_read(settings):
    """A rotation would lose what was encoded before it, or need every worker to be started again."""
    running, later = choose_codec(settings, {}), choose_codec(settings, {})
    [before] = await running.encode([PLAIN])
    ring = state_keys(settings).rotate()
    [after] = await later.encode([PLAIN])
    assert len(ring.keys) == 2
    assert after.metadata[KEY_ID].decode() == ring.active.id != before.metadata[KEY_ID].decode()
    assert await running.decode([before, after]) == await later.decode([before, after]) == [PLAIN, PLAIN]
    [again] = await running.encode([PLAIN])
    assert again.metadata[KEY_ID] == after.metadata[KEY_ID]


def test_the_key_file_is_its_owners_alone(settings):
    """Any local user could read the keys."""
    keys = StateKeys(settings.state)
    keys.ring()
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(keys.path.parent.stat().st_mode) == 0o700
    keys.path.chmod(0o640)
    for use in (keys.ring, keys.rotate):
        with pytest.raises(StackError, match="Others may read the codec's keys: run `chmod 600 "):
            use()


def test_first_starts_at_once_agree_on_one_key(settings):
    """A worker and a client that start together would each make a key that the other does not know."""
    with ThreadPoolExecutor(8) as pool:
        rings = list(pool.map(lambda _: StateKeys(settings.state).ring(), range(8)))
    assert len({ring.active.id for ring in rings}) == 1


async def test_lost_keys_are_not_silently_made_anew(settings):
    """Running projects could not be read any more, and nobody would be told why."""
    running = choose_codec(settings, {})
    [payload] = await running.encode([PLAIN])
    file = settings.state / "codec" / "keys.json"
    kept = file.read_text()
    file.unlink()
    for use in (
        lambda: choose_codec(settings, {}),
        lambda: state_keys(settings).rotate(),
        StateKeys(settings.state).check_kept,
    ):
        with pytest.raises(CodecError, match=r"keys\.json are gone, .*: put the file back; if it is lost"):
            use()
    with pytest.raises(CodecError, match="are gone"):
        await running.encode([PLAIN])
    assert not file.exists()
    write_private(file, kept)
    assert await running.decode([payload]) == await choose_codec(settings, {}).decode([payload]) == [PLAIN]


@pytest.mark.parametrize(
    ("environ", "store"), [({}, "temporal"), ({"TEMPORAL_ADDRESS": "elsewhere:7233"}, "codec")]
)
def test_without_what_was_encoded_there_may_be_new_keys(settings, environ, store):
    """A person who gave up old histories could never start again."""
    on = replace(settings, codec=True)
    choose_codec(on, environ)
    (settings.state / "codec" / "keys.json").unlink()
    with pytest.raises(CodecError, match=f"remove .*/{store}, "):
        choose_codec(on, environ)
    shutil.rmtree(settings.state / store)
    assert choose_codec(on, environ)


def test_keys_of_an_older_version_are_noted(settings):
    """Only new installations would be told that their keys are gone."""
    StateKeys(settings.state).ring()
    shutil.rmtree(settings.state / "temporal")
    StateKeys(settings.state).ring()
    (settings.state / "codec" / "keys.json").unlink()
    with pytest.raises(CodecError, match="are gone"):
        StateKeys(settings.state).ring()


def test_no_key_is_ever_shown(settings):
    """Keys in logs and error messages."""
    ring = StateKeys(settings.state).ring()
    shown = b64encode(ring.active.secret).decode()
    assert shown not in repr(ring)
    assert repr(ring.active.secret) not in repr(ring)
    with pytest.raises(InvalidInput) as error:
        parse(f"a:{shown}\na:{shown}", "a test")
    assert shown not in str(error.value)


async def test_keys_may_be_given_by_reference(tmp_path):
    """Workers on several hosts could not share their keys, or only in a place that leaks."""
    secret, older = (b64encode(os.urandom(32)).decode() for _ in range(2))
    (tmp_path / "keys").write_text(f"# ours\nnew:{secret}\nold:{older}\n")
    (tmp_path / "keys").chmod(0o600)
    by_file = Settings(state=tmp_path, codec_keys=f"file:{tmp_path / 'keys'}")
    by_name = replace(by_file, codec_keys="env:MY_KEYS")
    [payload] = await choose_codec(by_file, {}).encode([PLAIN])
    assert payload.metadata[KEY_ID] == b"new"
    other = choose_codec(by_name, {"MY_KEYS": f"newest:{older}, new:{secret}"})
    assert await other.decode([payload]) == [PLAIN]
    with pytest.raises(Conflict, match="put a new one before the others"):
        state_keys(by_file)
    assert not (tmp_path / "codec").exists()


def key_line(name):
    return f"{name}:{b64encode(os.urandom(32)).decode()}\n"


def test_a_file_of_keys_is_looked_at_each_time(tmp_path):
    """Whoever could change the file later would read, or stop, everything that runs."""
    file = tmp_path / "keys"
    write_private(file, key_line("one"))
    keys = key_source(Settings(state=tmp_path / "state", codec_keys=f"file:{file}"), {})
    assert keys.ring() is keys.ring()
    write_private(file, key_line("two"))
    assert keys.ring().ids == ("two",)
    file.chmod(0o644)
    with pytest.raises(InvalidInput, match="can be read by others"):
        keys.ring()
    file.unlink()
    os.mkfifo(file, 0o600)
    with pytest.raises(InvalidInput, match="is not a regular file"):
        keys.ring()


@pytest.mark.parametrize("form", [b64encode, urlsafe_b64encode, lambda key: key.hex().upper().encode()])
def test_keys_are_secrets_whoever_says_them(tmp_path, form):
    """An agent that found the keys would have them stored beside what they encrypt."""
    file, redactor = tmp_path / "keys", LazyRedactor({})
    write_private(file, key_line("one"))
    settings = Settings(state=tmp_path / "state", codec_keys=f"file:{file}")
    codec = choose_codec(settings, {}, tell=redactor.learn)
    shown = form(key_source(settings, {}).ring().active.secret).decode()
    assert redactor.redact(f"x {shown} y").startswith("x [redacted:codec-key:one]")
    write_private(file, key_line("two") + file.read_text())
    shown = form(key_source(settings, {}).ring().active.secret).decode()
    asyncio.run(codec.encode([PLAIN]))
    assert redactor.redact(f"x {shown} y").startswith("x [redacted:codec-key:two]")


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("env:ABSENT", "set the variable ABSENT"),
        ("new:c2VjcmV0", "given by reference, as env:NAME, file:/path"),
        ("file:/nowhere/at/all", "can't be read"),
        ("env:SHORT", "each must have 32 bytes"),
        ("env:JUNK", "give them as ID:BASE64"),
        ("env:BLANK", "there is none"),
    ],
)
def test_wrong_keys_are_told_at_the_start(settings, reference, told):
    """The first workflow would find out."""
    environ = {"SHORT": "a:c2VjcmV0", "JUNK": "a:###", "BLANK": " \n"}
    with pytest.raises(InvalidInput, match=told):
        choose_codec(replace(settings, codec_keys=reference), environ)


async def test_it_can_be_switched_off_and_still_reads(settings):
    """Switching it off would leave every project behind that was started with it."""
    assert choose_codec(replace(settings, codec=False), {}) is None
    [payload] = await choose_codec(settings, {}).encode([PLAIN])
    off = choose_codec(replace(settings, codec=False), {})
    assert await off.encode([PLAIN]) == [PLAIN]
    assert await off.decode([payload]) == [PLAIN]


def test_an_external_server_needs_somebody_to_ask(settings):
    """Workers on another host would meet payloads of a key that is in no place of theirs."""
    elsewhere = {"TEMPORAL_ADDRESS": "elsewhere:7233"}
    assert choose_codec(settings, elsewhere) is None
    assert choose_codec(replace(settings, codec=True), elsewhere).encodes
    keys = {"KEYS": f"a:{b64encode(os.urandom(32)).decode()}"}
    assert choose_codec(replace(settings, codec_keys="env:KEYS"), {**elsewhere, **keys}).encodes


def test_the_switch_is_on_or_off():
    """A typing error would leave everything plain."""
    with pytest.raises(InvalidInput, match="SHIFTWORK_CODEC is 'of'; it must be on or off"):
        Settings.from_environment({"SHIFTWORK_CODEC": "of"})
    assert Settings.from_environment({"SHIFTWORK_CODEC": "off"}).codec is False
    assert Settings.from_environment({}).codec is None


async def test_failures_are_encoded_too(settings):
    """What went wrong, and with which words, would stand in the histories."""
    converter = plugin(choose_codec(settings, {})).data_converter
    failure = Failure()
    error = ApplicationError(CANARY, CANARY, type="X")
    error.__cause__ = ValueError(CANARY)
    await converter.encode_failure(error, failure)
    assert failure.message == "Encoded failure"
    assert hides(failure.SerializeToString())
    decoded = await converter.decode_failure(failure)
    assert (decoded.message, decoded.details, str(decoded.__cause__)) == (
        CANARY,
        (CANARY,),
        f"ValueError: {CANARY}",
    )


def test_a_status_does_not_load_the_codec():
    """Each quick command would pay for encryption that it does not use."""
    code = "import sys, client.__main__, shiftwork.stack.file; print('cryptography' in sys.modules)"
    found = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
