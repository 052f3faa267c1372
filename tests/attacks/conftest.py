"""One repository for all attacks of a module, and a canary for each."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from shiftwork.repository.files import remove_tree
from tests.attacks.support import Canary, Ground, plain_repository


@pytest.fixture(scope="module")
def ground(tmp_path_factory) -> Iterator[Ground]:
    """Where the attacks of a module take place."""
    folder = tmp_path_factory.mktemp("ground")
    yield Ground(folder)
    # pytest can't remove what some attacks leave, and would fail a later run that clears old folders.
    remove_tree(folder)


@pytest.fixture
def canary(tmp_path) -> Canary:
    """A program that nothing may run."""
    folder = tmp_path / "canary"
    folder.mkdir()
    return Canary(folder)


@pytest.fixture(scope="session")
def plain(tmp_path_factory) -> Path:
    """A repository as a person would make it; nobody changes it."""
    return plain_repository(tmp_path_factory.mktemp("plain") / "repository")


@pytest.fixture
def control(plain, tmp_path) -> Iterator[Path]:
    """A copy of it, in which an attack is shown to work."""
    folder = tmp_path / "control"
    shutil.copytree(plain, folder, symlinks=True)
    yield folder
    remove_tree(folder)
