"""Errors whose one line is meant for the person who called heatlift."""


class HeatliftError(Exception):
    """Something the caller can mend; the message says what was wrong and what to do next.

    The command line prints the message alone and ends with status 2.
    """


class Refused(HeatliftError):
    """A method would be wrong on this network, so it is not run; the message says why."""


def first_line(error: BaseException) -> str:
    """An error's first line, to be quoted in our own; its type where it says nothing."""
    text = str(error).strip().splitlines()
    return text[0][:300] if text else type(error).__name__
