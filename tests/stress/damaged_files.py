"""Feed damaged and hostile files to everything that reads one: each must load correctly or end in
one clear line.

    python -m tests.stress.damaged_files [--files 2000] [--models 100] [--seed 0]

Tables (plain and compressed), npz, metadata, split, predictions, JSON records and checkpoints are
read in this process, whose memory is limited; model files in processes of their own. Anything but
an answer or an InputError of one line - another exception, over LIMIT seconds, memory at its limit
- is unanswered. test_reliability.py runs a part. Adds its counts to results/reliability.json.
"""

import argparse
import gzip
import io
import json
import lzma
import random
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np

import evaluate
from lesiongan import ROOT
from lesiongan.data.lesions import group_lesions
from lesiongan.data.tables import read_table
from lesiongan.files import records, writing
from lesiongan.files.errors import InputError
from lesiongan.measures.predictions import write_predictions
from lesiongan.phantom import write_phantom
from lesiongan.run import checkpoints

# Seconds an answer may take.
LIMIT = 10
# Bytes of address space, libraries included.
MEMORY = 6 << 30

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
    # One number becomes something else.
    else:
        numbers = list(re.finditer(rb"-?\d[\d.e+-]*", bytes(data[at : at + 20000])))
        if numbers:
            m = rng.choice(numbers)
            data[at + m.start() : at + m.end()] = rng.choice(NASTY)
    return bytes(data)


def damage_json(data, rng):
    """JSON with one value somewhere replaced by one of another type, or left out; sometimes
    plain damage.
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


def npz(arrays):
    f = io.BytesIO()
    np.savez_compressed(f, **arrays)
    return f.getvalue()


def hostile_npz(data, rng):
    """An npz with one member's header, dtype, size or name made hostile; sometimes plain damage."""
    if rng.random() < 0.4:
        return damage(data, rng)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {n: archive.read(n) for n in archive.namelist()}
    name = rng.choice(sorted(members))
    kind = rng.randrange(5)
    # A header that lies about the size.
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
    # A bomb: 300 MB of zeros in 300 kB, as its header says.
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


class Variable:
    """As much of a Keras variable as checkpoints.load_state touches."""

    def __init__(self, value):
        self.value, self.shape, self.dtype = value, value.shape, value.dtype

    def __array__(self, dtype=None, copy=None):
        return self.value

    def assign(self, value):
        self.value = np.asarray(value)


class Zoo:
    """One good file of each kind, how to damage it, and who reads it."""

    def __init__(self, folder):
        self.folder = folder
        path = write_phantom(folder, 60)
        self.table = read_table(path)
        self.metadata = path.with_name("HAM10000_metadata.csv")
        raw = path.read_bytes()
        n = len(self.table)
        rng = np.random.default_rng(0)
        p = rng.dirichlet(np.ones(7), n)
        self.predictions, self.split, self.context = (
            folder / f for f in ("predictions.csv", "split.csv", "context.json")
        )
        write_predictions(self.predictions, np.arange(n), self.table.labels, p)
        writing.write_text(
            self.split, "row,lesion,part\n" + "".join(f"{i},L{i // 2},test\n" for i in range(n))
        )
        self.points = {"tau": 0.5, "balanced_shift": [0.1] * 7, "train_prior": [1 / 7] * 7} | {
            f"{k}_threshold_at_{s}_specificity": 0.4
            for k in ("melanoma", "malignant")
            for s in (90, 95)
        }
        same = {"trained_on": "10 real", "synthetic_sha256": None, "same": {"steps": 3}}
        context = {"protocol": "lesion split", "data": {"name": "t", "note": ""}, "views": 8}
        context |= {"points": {"classifier": self.points}, "arms": {"classifier": same}}
        writing.write_json(self.context, context)
        options = {
            "model_sha256": "0",
            "operating_points": self.points,
            "real_images": 10,
            "synthetic_images": 0,
            "steps": 3,
        }
        options |= {"options": {"seed": 0, "batch": 128}, "inputs": {}}
        self.variables = [Variable(rng.normal(size=(4, 3)).astype(np.float32)) for _ in range(3)]
        checkpoint = folder / "checkpoint.npz"
        checkpoints.save_state(checkpoint, self.variables, history=[[1.0, 2.0]], fingerprint="f")
        parts = {
            f"{k}_images": self.table.images[i::3] for i, k in enumerate(("train", "val", "test"))
        }
        parts |= {
            f"{k}_labels": self.table.labels[i::3, None].astype(np.uint8)
            for i, k in enumerate(("train", "val", "test"))
        }
        import zstandard

        self.kinds = {
            "table.csv": (raw, damage, read_table),
            "table.csv.gz": (gzip.compress(raw, 1), damage, read_table),
            "table.csv.xz": (lzma.compress(raw, preset=0), damage, read_table),
            "table.csv.zst": (zstandard.compress(raw), damage, read_table),
            "repacked.csv.gz": (raw, lambda d, r: gzip.compress(damage(d, r), 1), read_table),
            "dermamnist.npz": (npz(parts), hostile_npz, read_table),
            "metadata.csv": (
                self.metadata.read_bytes(),
                damage,
                lambda p: group_lesions(self.table, str(p)),
            ),
            "predictions.csv": (self.predictions.read_bytes(), damage, self.evaluate),
            "split.csv": (self.split.read_bytes(), damage, self.evaluate),
            "context.json": (self.context.read_bytes(), damage_json, self.evaluate),
            "options.json": (json.dumps(options).encode(), damage_json, self.describe),
            "checkpoint.npz": (checkpoint.read_bytes(), hostile_npz, self.resume),
            "bomb.csv.gz": (raw, bomb, read_table),
        }

    def evaluate(self, path):
        """evaluate.py --from-predictions with one of its three files damaged."""
        files = {p.name: p for p in (self.predictions, self.split, self.context)}
        kept = files[path.name].read_bytes()
        try:
            if path != files[path.name]:
                files[path.name].write_bytes(path.read_bytes())
            evaluate.main(
                [
                    "--from-predictions",
                    str(self.predictions),
                    "--split",
                    str(self.split),
                    "--outputs-dir",
                    str(self.folder / "outputs"),
                ]
            )
        finally:
            files[path.name].write_bytes(kept)

    def describe(self, path):
        """The options.json of a network, as evaluate.py takes it up into context.json."""
        writing.write_json(
            self.folder / "arm.json",
            evaluate.describe_arm(records.read_json(path, "train_cnn.py", evaluate.TRAINED)),
        )

    def resume(self, path):
        checkpoints.load_state(path, self.variables, {"history": (None, 2)}, "f")


def try_files(folder, count, seed=0):
    """(files tried, {kind: [what went wrong]}) over `count` damaged files, spread over all
    kinds.
    """
    zoo = Zoo(folder)
    place = folder / "damaged"
    place.mkdir()
    rng = random.Random(seed)
    tried, wrong = 0, {}
    kinds = [k for k in zoo.kinds if k != "bomb.csv.gz"]
    for i in range(count):
        kind = "bomb.csv.gz" if i % 200 == 100 else kinds[i % len(kinds)]
        data, mutate, read = zoo.kinds[kind]
        path = place / kind
        path.write_bytes(mutate(data, rng))
        began = time.time()
        answer = None
        try:
            read(path)
        except InputError as e:
            if "\n" in str(e) or len(str(e)) > 600:
                answer = f"not one line: {str(e)[:300]!r}"
        except SystemExit:
            answer = "SystemExit"
        except BaseException as e:
            answer = repr(e)[:300]
        seconds = time.time() - began
        if seconds > LIMIT:
            answer = f"took {seconds:.0f} s"
        if answer:
            wrong.setdefault(kind, []).append(f"#{i} {answer}")
        tried += 1
    escaped = [p for p in (folder / "escaped.npy", Path("/tmp/escaped.npy")) if p.exists()]
    if escaped:
        wrong["escaped"] = [str(p) for p in escaped]
    return tried, wrong


LOAD = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (12 << 30, resource.getrlimit(resource.RLIMIT_AS)[1]))
sys.path.insert(0, sys.argv[1])
from lesiongan.nets import saved_models
from lesiongan.run import script
def main():
    getattr(saved_models, sys.argv[3])(sys.argv[2])
script.script_main(main)
"""


def hostile_model(data, rng):
    """A .keras file with damage, or with a configuration or weights that try something."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {n: archive.read(n) for n in archive.namelist()}
    kind = rng.randrange(6)
    if kind == 0:
        return damage(data, rng)
    # Some size becomes a huge one.
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


def try_models(good, count, folder, seed=0):
    """(models tried, [what went wrong]): good is {path of a .keras file: name of its loader in
    saved_models}.
    """
    rng = random.Random(seed)
    wrong = []
    for i in range(count):
        source, load = sorted(good.items())[i % len(good)]
        path = folder / "damaged.keras"
        path.write_bytes(hostile_model(Path(source).read_bytes(), rng))
        try:
            done = subprocess.run(
                [sys.executable, "-c", LOAD, str(ROOT), str(path), load],
                capture_output=True,
                text=True,
                timeout=60,
            )
        except subprocess.TimeoutExpired:
            wrong.append(f"#{i} took over 60 s")
            continue
        lines = done.stderr.strip().splitlines()
        if not (done.returncode == 0 or (done.returncode == 2 and len(lines) == 1)):
            wrong.append(f"#{i} rc {done.returncode}: {' | '.join(lines)[:300]}")
    return count, wrong


def save_two_models(folder):
    """{path: loader} of an untrained generator and classifier."""
    import train_cnn
    import train_gan
    from lesiongan.measures import calibration
    from lesiongan.run import keras_setup

    keras_setup.quiet_tensorflow()
    keras_setup.seed_everything(0)
    generator, classifier = folder / "generator.keras", folder / "classifier.keras"
    train_gan.build_generator(8).save(generator)
    calibration.with_calibration(train_cnn.build_network(7, 8, middle=24), 1.0, np.zeros(7)).save(
        classifier
    )
    return {generator: "load_generator", classifier: "load_classifier"}


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--files", type=int, default=2000)
    p.add_argument("--models", type=int, default=100)
    p.add_argument("--seed", type=int, default=0)
    args = p.parse_args()
    import contextlib
    import resource

    from tests.stress.reliability import note

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        tried, wrong = try_files(Path(folder), args.files, args.seed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
    print(
        f"{tried} files, peak {peak:.2f} GiB; unanswered: "
        f"{json.dumps(wrong, indent=1) if wrong else 'none'}"
    )
    models = []
    if args.models:
        with tempfile.TemporaryDirectory() as folder:
            _, models = try_models(
                save_two_models(Path(folder)), args.models, Path(folder), args.seed
            )
        print(f"{args.models} models; unanswered: {models or 'none'}")
    note(
        "python -m tests.stress.damaged_files " + " ".join(sys.argv[1:]),
        inputs_tried=tried + args.models,
        inputs_unanswered=sum(map(len, wrong.values())) + len(models),
        inputs_peak_gib=round(peak, 2),
    )


if __name__ == "__main__":
    main()
