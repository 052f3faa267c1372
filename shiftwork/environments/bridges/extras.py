"""What a bridge says where the package that it leads to is not installed."""

from shiftwork.errors import InvalidInput


class MissingExtra(InvalidInput, ImportError):  # noqa: N818 - it names what happened
    """A bridge needs a package that is not installed; the text says how to install it."""

    def __init__(self, extra: str, error: ModuleNotFoundError) -> None:
        super().__init__(
            f"the bridge to {extra} needs the package {error.name!r}, which is not installed; "
            f"get it with: pip install 'shiftwork[{extra}]'"
        )
