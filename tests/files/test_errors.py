"""Text of an error message: one short line that any screen and any file can hold."""

from lesiongan.files.errors import first_line, printable


def test_names_in_another_encoding_or_with_line_breaks_become_one_line_of_utf8():
    name = b"caf\xe9\n2.csv".decode("utf-8", "surrogateescape")
    assert printable(name) == "caf\ufffd 2.csv"
    assert printable("table.csv") == "table.csv"


def test_an_exception_is_quoted_by_its_first_line_or_its_name():
    assert first_line(ValueError("first\nsecond")) == "first"
    assert first_line(ValueError("x" * 500)) == "x" * 120
    assert first_line(KeyError()) == "KeyError"
