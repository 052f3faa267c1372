"""One module a revision, in one line: `0001_…`, `0002_…`; its number is its revision id."""
