"""JSON as people read it."""

import json

import pytest

from client.cli.json_lines import json_lines

ROWS = [[0] * 10, [1] * 10, [2] * 10]


@pytest.mark.parametrize(
    ("value", "width", "lines"),
    [
        ([[0, 0], [0, 1]], 80, ["[[0, 0], [0, 1]]"]),
        ({}, 1, ["{}"]),
        ("long text", 3, ['"long text"']),
        (
            ROWS,
            40,
            [
                "[",
                "  [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],",
                "  [1, 1, 1, 1, 1, 1, 1, 1, 1, 1],",
                "  [2, 2, 2, 2, 2, 2, 2, 2, 2, 2]",
                "]",
            ],
        ),
        ([100, 200, 300, 400], 12, ["[", "  100, 200,", "  300, 400", "]"]),
        (
            {"rows": ROWS[:2], "on": True, "né": None},
            40,
            [
                "{",
                '  "rows": [',
                "    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],",
                "    [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]",
                "  ],",
                '  "on": true,',
                '  "né": null',
                "}",
            ],
        ),
    ],
)
def test_what_fits_on_a_line_stands_on_one(value, width, lines) -> None:
    """A person would scroll through a number on each line."""
    assert json_lines(value, width) == lines
    assert json.loads("\n".join(lines)) == value
