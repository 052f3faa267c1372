"""What a verifier's checkout must not tell it."""

from shiftwork.agents.instructions import remove_instructions


def test_instructions_are_taken_out_everywhere(tmp_path) -> None:
    """Whoever did the work could otherwise tell its judge what to say."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "CLAUDE.md").write_text("elsewhere")
    work = tmp_path / "work"
    deep = work / "a" / "b"
    deep.mkdir(parents=True)
    (work / "README.md").write_text("stays")
    (work / "Agents.MD").write_text("obey")
    (deep / "CLAUDE.md").write_text("obey")
    (work / ".claude" / "hooks").mkdir(parents=True)
    (work / ".claude" / "settings.json").write_text("{}")
    (work / ".codex").symlink_to(outside)
    (work / "link").symlink_to(outside)
    removed = remove_instructions(work)
    assert sorted(removed) == [".claude", ".codex", "Agents.MD", "a/b/CLAUDE.md"]
    assert sorted(path.name for path in work.iterdir()) == ["README.md", "a", "link"]
    assert (outside / "CLAUDE.md").read_text() == "elsewhere"
    assert remove_instructions(work) == []
