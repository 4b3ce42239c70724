"""Bad input: the exception that becomes one line on the screen, and text that fits into one."""


class InputError(Exception):
    """Bad input or a contradiction between inputs: one line saying what, where and what to do
    (exit code 2).
    """


def first_line(error):
    """A short single line of an exception, for an InputError to quote."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]


def printable(text):
    """Text of one line that UTF-8 can hold: of a file name in another encoding or with line
    breaks, a replacement.
    """
    return " ".join(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").split())
