"""Secrets: taken by reference at the last moment, and kept out of everything that is stored or shown."""

from shiftwork.secrets.absent import assert_absent
from shiftwork.secrets.added import AddedSecrets, Allowed, Finding, check_added, find_secrets
from shiftwork.secrets.fingerprints import Fingerprints
from shiftwork.secrets.joined import JoinedTexts
from shiftwork.secrets.known import LazyRedactor, known_secrets, own_redactor, passwords
from shiftwork.secrets.logs import RedactingFilter, RedactingFormatter, protect_handler
from shiftwork.secrets.redactor import Redactor
from shiftwork.secrets.reference import Secret, SecretRef, SecretSource
from shiftwork.secrets.stream import RedactingStream, RedactingText

__all__ = [
    "AddedSecrets",
    "Allowed",
    "Finding",
    "Fingerprints",
    "JoinedTexts",
    "LazyRedactor",
    "RedactingFilter",
    "RedactingFormatter",
    "RedactingStream",
    "RedactingText",
    "Redactor",
    "Secret",
    "SecretRef",
    "SecretSource",
    "assert_absent",
    "check_added",
    "find_secrets",
    "known_secrets",
    "own_redactor",
    "passwords",
    "protect_handler",
]
