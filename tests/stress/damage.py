"""How files are damaged or made hostile, for damaged_files.py: bytes to other bytes."""

import gzip
import io
import json
import re
import zipfile

import numpy as np

NASTY = [
    b"nan",
    b"inf",
    b"-1",
    b"256",
    b"1e309",
    b"9" * 40,
    b"0x1F",
    b"1.5",
    b"",
    b" ",
    b'"',
    b"\xff\xfe",
    b"\x00",
    b"=1+1",
    b"../../../etc/passwd",
    b"null",
    b"[]",
    b"{}",
    b"true",
    "\u0667".encode(),
    b"\r",
    b"\n",
    b",,",
]


def damage(data, rng):
    """`data` with one kind of damage at a random place."""
    data = bytearray(data)
    at = rng.randrange(max(1, len(data)))
    size = rng.choice([1, 2, 8, 100, 5000])
    kind = rng.randrange(7)
    if kind == 0:
        for _ in range(rng.choice([1, 1, 3, 30])):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == 1:
        del data[at:]
    elif kind == 2:
        del data[at : at + size]
    elif kind == 3:
        data[at:at] = data[at : at + size]
    elif kind == 4:
        data[at : at + size] = rng.randbytes(size)
    elif kind == 5:
        data[at:at] = rng.choice(NASTY)
    # In this kind one number becomes something else.
    else:
        numbers = list(re.finditer(rb"-?\d[\d.e+-]*", bytes(data[at : at + 20000])))
        if numbers:
            m = rng.choice(numbers)
            data[at + m.start() : at + m.end()] = rng.choice(NASTY)
    return bytes(data)


def damage_json(data, rng):
    """Return JSON with one value somewhere replaced by one of another type, or left out.

    Sometimes the damage is plain.
    """
    if rng.random() < 0.3:
        return damage(data, rng)
    value = json.loads(data)
    node = value
    while True:
        key = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
        if not isinstance(node[key], dict | list) or not node[key] or rng.random() < 0.3:
            break
        node = node[key]
    if rng.random() < 0.2:
        del node[key]
    else:
        node[key] = rng.choice(
            [
                None,
                -1,
                1e308,
                "x",
                "../../x",
                [],
                {},
                [1] * 9,
                {"value": 3},
                True,
                "\ud7ff",
                10**30,
                10**400,
                "@",
            ]
        )
    return json.dumps(value).replace('"@"', "1e309").encode()


def hostile_npz(data, rng):
    """An npz with one member's header, dtype, size or name made hostile; sometimes plain damage."""
    if rng.random() < 0.4:
        return damage(data, rng)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {n: archive.read(n) for n in archive.namelist()}
    name = rng.choice(sorted(members))
    kind = rng.randrange(5)
    # In this kind a header lies about the size.
    if kind == 0:
        shape = rng.choice(
            [
                "(1000000000, 28, 28, 3)",
                "(-1,)",
                "(4611686018427387904, 4)",
                "()",
                "(0,)",
                "(2, 28, 28, 3)",
            ]
        )
        members[name] = re.sub(rb"'shape': \([^)]*\)", f"'shape': {shape}".encode(), members[name])
    elif kind == 1:
        members[name] = re.sub(
            rb"'descr': '[^']*'",
            rng.choice(
                [
                    b"'descr': '|O'",
                    b"'descr': '<f8'",
                    b"'descr': '<U9'",
                    b"'descr': '>i4'",
                    b"'descr': 'x'",
                    b"'descr': '<M8[ns]'",
                ]
            ),
            members[name],
        )
    elif kind == 2:
        members[rng.choice(["../../escaped.npy", "/tmp/escaped.npy", "a" * 300 + ".npy"])] = (
            members.pop(name)
        )
    # This kind is a bomb: 300 MB of zeros in 300 kB, as its header says.
    elif kind == 3:
        f = io.BytesIO()
        np.save(f, np.zeros(300 << 20, np.uint8))
        members[name] = f.getvalue()
    else:
        members[name] = damage(members[name], rng)
    f = io.BytesIO()
    with zipfile.ZipFile(f, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for n, content in members.items():
            archive.writestr(n, content)
    return f.getvalue()


def bomb(table, rng):
    """A compressed table that unpacks to over a hundred times its size, in rows or in one line."""
    header, row = table.split(b"\n")[:2]
    body = (row + b"\n") * 12_000 if rng.random() < 0.5 else b"1," * 50_000_000
    return gzip.compress(header + b"\n" + body, 1)


def hostile_model(data, rng):
    """A .keras file with damage, or with a configuration or weights that try something."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {n: archive.read(n) for n in archive.namelist()}
    kind = rng.randrange(6)
    if kind == 0:
        return damage(data, rng)
    # In this kind some size becomes a huge one.
    if kind == 5:
        numbers = list(re.finditer(rb"(?<=[\[ ])\d+(?=[,\]}])", members["config.json"]))
        m, huge = (
            rng.choice(numbers),
            rng.choice([b"40000000", b"1000000000", b"20000", b"0", b"-1"]),
        )
        members["config.json"] = (
            members["config.json"][: m.start()] + huge + members["config.json"][m.end() :]
        )
    elif kind == 1:
        members["config.json"] = damage_json(members["config.json"], rng)
    elif kind == 2:
        members["model.weights.h5"] = damage(members["model.weights.h5"], rng)
    elif kind == 3:
        members["../../escaped.txt"] = b"x"
    else:
        config = json.loads(members["config.json"])
        layer = rng.choice(config["config"]["layers"])
        code = [
            ("keras.layers", "Lambda"),
            ("subprocess", "Popen"),
            ("os", "system"),
            ("mine", "Layer"),
            ("keras.saving", "load_model"),
        ]
        layer["module"], layer["class_name"] = rng.choice(code)
        members["config.json"] = json.dumps(config).encode()
    f = io.BytesIO()
    with zipfile.ZipFile(f, "w") as archive:
        for n, content in members.items():
            archive.writestr(n, content)
    return f.getvalue()
