"""Bad input: the exception that becomes one line on the screen, and text that fits into one."""


class InputError(Exception):
    """Bad input or a contradiction between inputs (exit code 2).

    Its text is one line that says what is wrong, where, and what to do.
    """


def first_line(error: BaseException) -> str:
    """Return a short single line of an exception, for an InputError to quote."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]


def printable(text: str) -> str:
    """Return `text` as one line that UTF-8 can hold.

    Characters of another encoding are replaced; line breaks and control characters become spaces.
    """
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
