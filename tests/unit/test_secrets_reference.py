"""Secrets are given by reference, read late, and never shown."""

import copy
import json
import os
import pickle
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring

from shiftwork.errors import InvalidInput, SecretExposed
from shiftwork.secrets import Redactor, Secret, SecretRef, assert_absent

VALUE = "s3cr3t-value-0123"


class Memory(KeyringBackend):
    """A keyring of this process."""

    priority = 1

    def __init__(self):
        super().__init__()
        self.kept = {}

    def get_password(self, service, username):
        if service == "broken":
            raise RuntimeError("the answer was s3cr3t")
        return self.kept.get((service, username))

    def set_password(self, service, username, password):
        self.kept[service, username] = password


@pytest.fixture
def use_keyring():
    before = keyring.get_keyring()
    yield keyring.set_keyring
    keyring.set_keyring(before)


@pytest.fixture
def secret_file(tmp_path):
    path = tmp_path / "key"
    path.write_text(f"{VALUE}\n")
    path.chmod(0o600)
    return path


def test_a_variable_is_read_when_it_is_needed():
    """If this failed, secrets would be read early, or under another name."""
    reference = SecretRef.parse("env:API_KEY")

    assert str(reference) == "env:API_KEY"
    assert reference.resolve({"API_KEY": VALUE}).reveal() == VALUE


def test_a_file_is_read_without_its_last_line_end(secret_file):
    """If this failed, every key in a file would be refused by its provider."""
    assert SecretRef.parse(f"file:{secret_file}").resolve().reveal() == VALUE


def test_the_keyring_is_asked(use_keyring):
    """If this failed, nobody could keep keys in the system's keyring."""
    memory = Memory()
    memory.set_password("api.example.org/v1", "me", VALUE)
    use_keyring(memory)

    assert SecretRef.parse("keyring:api.example.org/v1/me").resolve().reveal() == VALUE
    with pytest.raises(InvalidInput, match="is not in the keyring; run: keyring set 'service' 'user'"):
        SecretRef.parse("keyring:service/user").resolve()


def test_a_keyring_that_fails_is_not_repeated(use_keyring):
    """If this failed, a defect of a plug-in would be a traceback, and might tell what it holds."""
    use_keyring(Memory())
    with pytest.raises(InvalidInput, match="the keyring fails with RuntimeError") as caught:
        SecretRef.parse("keyring:broken/me").resolve()
    assert "s3cr3t" not in str(caught.value)


def test_a_system_without_keyring_says_so(use_keyring):
    """If this failed, a server without a keyring would answer with a traceback."""
    use_keyring(NoKeyring())

    with pytest.raises(InvalidInput, match="no keyring; use env: or file: instead"):
        SecretRef.parse("keyring:service/user").resolve()


@pytest.mark.parametrize(
    "text", ["sk-ant-api03-abcdef", "", "env:", "env:A B", "vault:x", "file:", "keyring:me", "keyring:/me"]
)
def test_what_is_no_reference_is_refused_and_not_repeated(text):
    """If this failed, a key pasted in place of its reference would be shown in the error."""
    with pytest.raises(InvalidInput) as caught:
        SecretRef.parse(text)
    assert "sk-ant" not in str(caught.value)


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda path: path.chmod(0o640), r"can be read by others \(mode 0640\); run: chmod 600"),
        (lambda path: path.unlink(), "No such file"),
        (lambda path: path.write_text("\n"), "is empty"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "is not UTF-8"),
        (lambda path: path.write_bytes(b"x" * 70_000), "larger than"),
        (lambda path: (path.unlink(), os.mkfifo(path, 0o600)), "not a regular file"),
        (lambda path: (path.unlink(), path.mkdir()), "not a regular file"),
    ],
)
def test_a_file_that_can_not_be_trusted_is_refused(secret_file: Path, prepare, said):
    """If this failed, a key that others can read would be used, or a pipe would hang the worker."""
    prepare(secret_file)

    with pytest.raises(InvalidInput, match=said):
        SecretRef.parse(f"file:{secret_file}").resolve()


def test_missing_and_relative_ones_are_named():
    """If this failed, people could not tell which setting is wrong."""
    with pytest.raises(InvalidInput, match="'env:API_KEY' is missing: set the variable API_KEY"):
        SecretRef.parse("env:API_KEY").resolve({"API_KEY": ""})
    with pytest.raises(InvalidInput, match="absolute path"):
        SecretRef.parse("file:key.txt")


def test_a_secret_never_shows():
    """If this failed, a secret would get into logs, histories or the database by accident."""
    secret = Secret("env:API_KEY", VALUE)

    shown = [repr(secret), str(secret), f"{secret}", f"{secret:>40}", f"{[secret]}", "%s" % secret]  # noqa: UP031
    assert all(VALUE not in text for text in shown)
    for refused in (json.dumps, pickle.dumps, vars):
        with pytest.raises(TypeError):
            refused(secret)
    assert copy.deepcopy({"a": secret})["a"] is secret
    assert secret == Secret("file:/x", VALUE)
    assert secret != Secret("env:API_KEY", "other")
    assert secret != VALUE


def test_processes_are_not_given_secrets():
    """If this failed, anybody on the machine could read a key from the list of processes."""
    redactor = Redactor([Secret("env:API_KEY", VALUE)])

    assert_absent(["claude", "-p"], {"HOME": "/home/agent"}, redactor)
    with pytest.raises(SecretExposed, match="argument 1 would show the secret 'env:API_KEY'") as caught:
        assert_absent(["curl", f"-Hx: {VALUE}"], {}, redactor)
    assert VALUE not in str(caught.value)
    with pytest.raises(SecretExposed, match="variable 'KEY' would hand it the secret 'env:API_KEY'"):
        assert_absent([b"claude"], {"KEY": VALUE.encode().hex()}, redactor)
