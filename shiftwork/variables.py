"""What of our environment every program may have: nothing in it is a secret."""

from collections.abc import Mapping

_NAMES = frozenset(
    (
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR"),
        # Where the loader finds libraries that a program needs to run at all.
        *(
            "LD_LIBRARY_PATH",
            "DYLD_LIBRARY_PATH",
            "DYLD_FALLBACK_LIBRARY_PATH",
            "NIX_LD",
            "NIX_LD_LIBRARY_PATH",
        ),
    )
)


def plain_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment that says where things are, and how people write."""
    return {name: value for name, value in environ.items() if name in _NAMES or name.startswith("LC_")}
