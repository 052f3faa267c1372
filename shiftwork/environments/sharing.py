"""What an environment may hold that is no state of its own."""


class NeverChanges:
    """Of a kind of which nothing ever changes: undoing a failed action does not look into it.

    For what is large and made once, such as a map; it saves the time of looking through it before each step.
    """

    __slots__ = ()


class MadeAgain:
    """Of a kind that can't be put back: where an action failed, what holds one is made again."""

    __slots__ = ()
