"""What `tasks logs --follow` tells as it goes on."""

from client.cli.task_pages import page
from client.cli.tasks import new_entries
from tests.unit.task_support import assignment


def trace_of(progress: object) -> dict[str, object]:
    return {"progress": progress, "auto_started_at": "then"}


def test_progress_that_returns_to_what_it_was_is_told_again():
    """If it failed, whoever follows a task would not hear that it reads again, after it wrote."""
    row, told, heard = assignment().task, {}, []
    for progress in ("reads", "reads", "writes", "reads"):
        new = new_entries(row.model_copy(update={"trace": trace_of(progress)}), told)
        heard.append([(entry["kind"], entry["text"]) for entry in new if entry["kind"] != "created"])
    begun = [("progress", "reads"), ("auto_started_at", "then")]
    assert heard == [begun, [], [("progress", "writes")], [("progress", "reads")]]


def test_the_page_of_a_task_says_how_far_it_is():
    """If it failed, people would have to read JSON to see it; or text of an agent would act on terminals."""
    row = assignment().task
    assert "progress" not in page(row)
    for told, shown in [
        ("half", "half"),
        (0.5, "0.5"),
        ({"é": [True]}, '{"é": [true]}'),
        ("a\x1b[2J\nb", None),
    ]:
        (line,) = [
            line
            for line in page(row.model_copy(update={"trace": trace_of(told)})).splitlines()
            if line.startswith("progress")
        ]
        assert "\x1b" not in line
        assert shown is None or line == f"progress  {shown}"
