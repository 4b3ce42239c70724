"""JSON that this project wrote, read as untrusted: its size, its syntax and what must be in it."""

import json
from pathlib import Path
from typing import Any, NoReturn

from lesiongan.files.errors import InputError, first_line
from lesiongan.files.opening import open_regular

NUMBER = (int, float)

# A larger file is refused. The largest that this project writes has a few hundred thousand bytes.
MAX_JSON = 1 << 26


def read_json(path: Path | str, made_by: str, shape: dict | None = None) -> dict[str, Any]:
    """Return a JSON object that this project wrote.

    shape: what must be in it, see find_fault. Raises InputError, which names the script that writes
    the file (`made_by`), if it is missing, damaged or of another shape.
    """
    try:
        with open_regular(path) as f:
            content = f.read(MAX_JSON + 1)
        if len(content) > MAX_JSON:
            raise ValueError(f"over {MAX_JSON} bytes")
        text = content.decode("utf-8")
        value = json.loads(text, parse_constant=refuse_number, parse_int=bounded_int)
        # A lone surrogate, or 1e309, which Python reads as infinity, could not be written again.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run {made_by} first") from None
    except (OSError, ValueError, RecursionError) as e:
        raise InputError(
            f"{path}: not readable as JSON ({first_line(e)}); run {made_by} again"
        ) from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: not a JSON object; run {made_by} again")
    fault = find_fault(value, shape or {}, "")
    if fault:
        raise InputError(f"{path}: {fault}; run {made_by} again")
    return value


def refuse_number(text: str) -> NoReturn:
    """Raise ValueError for NaN and Infinity, which are not JSON (parse_constant of json.loads)."""
    raise ValueError(f"{text[:20]} is no number of JSON that this project writes")


def bounded_int(text: str) -> int:
    """Return a whole number that NumPy can hold, or raise ValueError (parse_int of json.loads)."""
    return int(text) if len(text) < 19 else refuse_number(text)


def find_fault(value: Any, shape: Any, where: str) -> str | None:
    """Return in words what is wrong with a JSON value, or None.

    shape: a type or tuple of types; [shape] for a list of such values; {name: shape} for an object
    with at least these names, in which the name `...` stands for all others. where: path of the
    value inside the file.
    """
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return f"{where or 'it'} is no object"
        missing = [name for name in shape if name is not ... and name not in value]
        if missing:
            return f"{where + '.' if where else ''}{missing[0]} is missing"
        inner = [
            (v, shape.get(name, shape.get(...)), f"{where}.{name}".strip("."))
            for name, v in value.items()
        ]
        inner = [item for item in inner if item[1] is not None]
    elif isinstance(shape, list):
        if not isinstance(value, list):
            return f"{where} is no list"
        inner = [(v, shape[0], f"{where}[{i}]") for i, v in enumerate(value)]
    else:
        fits = isinstance(value, shape) and not (isinstance(value, bool) and shape is NUMBER)
        return None if fits else f"{where} is {json.dumps(value, default=str)[:40]}"
    return next(filter(None, (find_fault(*item) for item in inner)), None)
