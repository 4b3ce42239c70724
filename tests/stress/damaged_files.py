"""Feed damaged and hostile files to everything that reads one.

    python -m tests.stress.damaged_files [--files 2000] [--models 100] [--seed 0]

Each must load correctly or end in one clear line. Tables (plain and compressed), npz, metadata,
split, predictions, JSON records and checkpoints are read in this process, whose memory is limited;
model files in processes of their own. Anything but an answer or an InputError of one line is
unanswered: another exception, over LIMIT seconds, memory at its limit. damage.py says how files are
damaged, test_hostile_files.py and test_saved_models.py run a part. Adds its counts to
results/reliability.json.
"""

import gzip
import io
import json
import lzma
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import evaluate
from lesiongan import ROOT
from lesiongan.data.lesions import group_lesions
from lesiongan.data.tables import read_table
from lesiongan.files import records, writing
from lesiongan.files.errors import InputError
from lesiongan.measures import networks
from lesiongan.measures.predictions import write_predictions
from lesiongan.phantom import write_phantom
from lesiongan.run import checkpoints, flags
from tests.stress.damage import bomb, damage, damage_json, hostile_model, hostile_npz
from tests.stress.tools import leave_in_place, write_as_a_tool

# An answer may take this many seconds.
LIMIT = 10
# The process may have this many bytes of address space, libraries included.
MEMORY = 6 << 30


# These are copied over the good file for their reader, so only their content can be hostile.
REPLACED = ("predictions.csv", "split.csv", "context.json")


def npz(arrays):
    f = io.BytesIO()
    np.savez_compressed(f, **arrays)
    return f.getvalue()


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
        rng = np.random.default_rng(0)
        options = self.write_evaluation(rng)
        self.variables = [Variable(rng.normal(size=(4, 3)).astype(np.float32)) for _ in range(3)]
        checkpoint = folder / "checkpoint.npz"
        checkpoints.save_state(checkpoint, self.variables, history=[[1.0, 2.0]], fingerprint="f")
        self.kinds = self.list_tables(path.read_bytes()) | {
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
            "bomb.csv.gz": (path.read_bytes(), bomb, read_table),
            "tool.csv": (
                path.read_bytes(),
                write_as_a_tool,
                lambda p: group_lesions(read_table(p)),
            ),
            "tool_metadata.csv": (
                self.metadata.read_bytes(),
                write_as_a_tool,
                lambda p: group_lesions(read_table(path), str(p)),
            ),
        }

    def write_evaluation(self, rng):
        """Write predictions, split and context, and return their network's options.json."""
        n = len(self.table)
        self.predictions, self.split, self.context = (
            self.folder / f for f in ("predictions.csv", "split.csv", "context.json")
        )
        p = rng.dirichlet(np.ones(7), n)
        write_predictions(self.predictions, np.arange(n), self.table.labels, p)
        writing.write_text(
            self.split, "row,lesion,part\n" + "".join(f"{i},L{i // 2},test\n" for i in range(n))
        )
        points = {"tau": 0.5, "balanced_shift": [0.1] * 7, "train_prior": [1 / 7] * 7} | {
            f"{k}_threshold_at_{s}_specificity": 0.4
            for k in ("melanoma", "malignant")
            for s in (90, 95)
        }
        same = {"trained_on": "10 real", "synthetic_sha256": None, "same": {"steps": 3}}
        context = {"protocol": "lesion split", "data": {"name": "t", "note": ""}, "views": 8}
        context |= {"points": {"classifier": points}, "arms": {"classifier": same}}
        writing.write_json(self.context, context)
        return {
            "model_sha256": "0",
            "operating_points": points,
            "real_images": 10,
            "synthetic_images": 0,
            "steps": 3,
            "options": {"seed": 0, "batch": 128},
            "inputs": {},
        }

    def list_tables(self, raw):
        """Return the kinds of tables, plain, packed and as npz; `raw` is the plain one."""
        import zstandard

        parts = {
            f"{k}_images": self.table.images[i::3] for i, k in enumerate(("train", "val", "test"))
        }
        parts |= {
            f"{k}_labels": self.table.labels[i::3, None].astype(np.uint8)
            for i, k in enumerate(("train", "val", "test"))
        }
        return {
            "table.csv": (raw, damage, read_table),
            "table.csv.gz": (gzip.compress(raw, 1), damage, read_table),
            "table.csv.xz": (lzma.compress(raw, preset=0), damage, read_table),
            "table.csv.zst": (zstandard.compress(raw), damage, read_table),
            "repacked.csv.gz": (raw, lambda d, r: gzip.compress(damage(d, r), 1), read_table),
            "dermamnist.npz": (npz(parts), hostile_npz, read_table),
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
            networks.describe_arm(records.read_json(path, "train_cnn.py", networks.TRAINED)),
        )

    def resume(self, path):
        checkpoints.load_state(path, self.variables, {"history": (None, 2)}, "f")


def try_files(folder, count, seed=0):
    """Return (files tried, {kind: [what went wrong]}) over `count` damaged files.

    They are spread over all kinds.
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
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        path.unlink(missing_ok=True)
        if i % 50 == 49 and kind not in REPLACED:
            leave_in_place(path, rng)
        else:
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


def try_models(good, count, folder, seed=0):
    """Return (models tried, [what went wrong]).

    `good` is {path of a .keras file: name of its loader in saved_models}.
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
    p = flags.Parser(__doc__)
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
