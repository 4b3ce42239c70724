"""What the tests share: a small phantom table, and one run of all five scripts on it.

All workers make the run together. It is long enough for its networks to learn something. If they
gave every image the same answer, most faults in the files made from them would go unnoticed.
"""

import contextlib
import fcntl
import importlib.util
import os
import shutil
import time

import pytest

from lesiongan import ROOT
from lesiongan.files.telling import TELLER
from lesiongan.measures import texture
from lesiongan.phantom import write_phantom
from lesiongan.run import keras_setup
from tests.npz import write_npz

os.environ["KERAS_BACKEND"] = "tensorflow"
keras_setup.quiet_tensorflow()

# A spectrum of so many images of a class is near enough here, and each evaluation takes one.
texture.PER_CLASS = 200

GAN = ["--epochs", "2", "--samples", "35", "--width", "16", "--batch", "32"]
CNN = ["--epochs", "2", "--width", "8", "--batch", "32"]
LEARNED = ["--epochs", "20", "--width", "8", "--batch", "32", "--learning-rate", "0.01"]
# Each name stands for (script, its flags, the stages whose files it reads).
STAGES = {
    "eda": ("eda", [], ()),
    "gan": ("train_gan", GAN, ()),
    "judge": ("train_cnn", [*LEARNED, "--role", "judge", "--epochs", "60", "--stem", "2"], ()),
    "control": ("train_cnn", [*LEARNED, "--role", "control"], ()),
    "cnn": ("train_cnn", LEARNED, ("gan",)),
    "evaluation": ("evaluate", [], ("gan", "judge", "control", "cnn")),
    "figures": ("visualize_results", [], ("eda", "evaluation")),
}
STAGE_OF = {
    "eda": "eda",
    "train_gan": "gan",
    "train_cnn": "cnn",
    "evaluate": "evaluation",
    "visualize_results": "figures",
}
NETWORKS = ("gan", "judge", "control", "cnn")


def pytest_configure(config):
    """Make deprecation warnings that our own modules cause errors.

    Those inside libraries are theirs to mend.
    """
    for path in [*ROOT.glob("*.py"), *(ROOT / "lesiongan").rglob("*.py")]:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for kind in ("DeprecationWarning", "PendingDeprecationWarning", "FutureWarning"):
            config.addinivalue_line("filterwarnings", f"error::{kind}:{name}")


# These files take longest. They are begun first, so that no worker is left with one at the end.
LONGEST = (
    "scripts/test_few_of_a_class.py",
    "scripts/test_pipeline.py",
    "scripts/test_notebook.py",
    "run/test_published.py",
    "nets/test_backends.py",
    "run/test_disks_and_folders.py",
    "run/test_tensorboard.py",
    "run/test_identity.py",
    "scripts/test_cnn.py",
)


def pytest_collection_modifyitems(items):
    """Put the longest files first; all else stays in its order."""
    order = {str(ROOT / "tests" / name): i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(str(item.path), len(order)))


def load_fresh(name):
    """Return a module, such as `benchmarks.gan_probe`, as one of its own.

    What a test changes in it is gone afterwards.
    """
    spec = importlib.util.find_spec(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def copy_code(folder):
    """Copy the scripts and their package into `folder`."""
    for path in [*ROOT.glob("*.py"), *(ROOT / "lesiongan").rglob("*.py")]:
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


@pytest.fixture(autouse=True)
def heard():
    """A run that was quiet leaves no later test quiet, and a log is closed after its test."""
    TELLER.quiet = False
    yield
    if TELLER.log:
        TELLER.log.close()
        TELLER.log = None


@pytest.fixture(autouse=True)
def same_weights_every_time():
    """Networks that a test builds itself start from the same weights in every run of the tests."""
    import keras

    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def table_path(tmp_path_factory):
    """A phantom table of 200 images, with its metadata beside it."""
    return write_phantom(tmp_path_factory.mktemp("data"), 200)


@pytest.fixture(scope="session")
def npz_path(table_path, tmp_path_factory):
    """The same table as an npz that is split by image, with its metadata beside it."""
    return write_npz(tmp_path_factory.mktemp("npz"), table_path)


class Pipeline:
    """Where one small run put its files, and the flags that name them."""

    def __init__(self, table, folder):
        self.table, self.models, self.outputs = table, folder / "models", folder / "outputs"
        self.flags = [
            "--data",
            str(table),
            "--models-dir",
            str(self.models),
            "--outputs-dir",
            str(self.outputs),
        ]

    def run(self, script, *extra):
        """Call a script's main() with this run's flags."""
        return __import__(script).main([*self.flags, *extra])

    def run_stage(self, name, *extra):
        """Call the script of one of STAGES with its flags."""
        script, flags, _ = STAGES[name]
        assert self.run(script, *flags, *extra) == 0

    def copy(self, folder, table=None):
        """The same run in another folder, for tests that write."""
        other = Pipeline(table or self.table, folder)
        for ours, theirs in ((self.models, other.models), (self.outputs, other.outputs)):
            if ours.is_dir():
                shutil.copytree(ours, theirs)
        return other


@contextlib.contextmanager
def claim(path):
    """Yield True if this process alone holds `path`, False if another does.

    It holds it as long as it is within.
    """
    with open(path, "w") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


@contextlib.contextmanager
def claim_in_turn(folder):
    """Wait for `folder` and yield True in the first process to have it."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".begun", "a+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield f.tell() == 0
        f.write("x")


def run_together(pipeline, stages):
    """Run `stages` of STAGES in the folder that all workers of pytest-xdist share.

    Each stage runs in whichever worker is free.
    """
    marks = pipeline.models.parent / "stages"
    marks.mkdir(parents=True, exist_ok=True)
    while left := [name for name in stages if not (marks / f"{name}.done").exists()]:
        for name in left:
            if not all((marks / f"{need}.done").exists() for need in STAGES[name][2]):
                continue
            with claim(marks / name) as ours:
                if ours and not (marks / f"{name}.done").exists():
                    pipeline.run_stage(name)
                    (marks / f"{name}.done").touch()
                    break
        else:
            time.sleep(0.2)


def make_shared(table_path, tmp_path_factory, stages):
    """A copy, for this worker, of the run that all workers make together."""
    ours = tmp_path_factory.mktemp("run")
    base = tmp_path_factory.getbasetemp()
    shared = Pipeline(
        table_path, (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    )
    with claim_in_turn(shared.models.parent) as first:
        # stress/mutants.py gives the stages that need not be run again.
        if first and (given := os.environ.get("PIPELINE_FROM")):
            shutil.copytree(given, shared.models.parent, dirs_exist_ok=True)
    run_together(shared, stages)
    return shared.copy(ours)


@pytest.fixture(scope="session")
def drawn(table_path, tmp_path_factory):
    """The GAN and its synthetic set, made once; tests read the files and must not change them."""
    return make_shared(table_path, tmp_path_factory, ("gan",))


@pytest.fixture(scope="session")
def networks(table_path, tmp_path_factory):
    """GAN, synthetic set, judge, control and classifier, trained once.

    Tests read the files and must not change them.
    """
    return make_shared(table_path, tmp_path_factory, NETWORKS)


@pytest.fixture(scope="session")
def evaluated(table_path, tmp_path_factory):
    """The same with their evaluation."""
    return make_shared(table_path, tmp_path_factory, (*NETWORKS, "evaluation"))


@pytest.fixture(scope="session")
def pipeline(table_path, tmp_path_factory):
    """All five scripts, run once; tests read the files and must not change them."""
    return make_shared(table_path, tmp_path_factory, STAGES)


@pytest.fixture
def scratch(table_path, tmp_path):
    """An empty pipeline folder for tests that write."""
    return Pipeline(table_path, tmp_path)


@contextlib.contextmanager
def interrupted(after=1):
    """Within, the training is stopped as if by Ctrl-C.

    It stops once its state has been saved `after` times.
    """
    from lesiongan.run import checkpoints

    real, left = checkpoints.save_state, after

    def save(*args, **kw):
        nonlocal left
        real(*args, **kw)
        left -= 1
        if not left:
            raise KeyboardInterrupt

    checkpoints.save_state = save
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        checkpoints.save_state = real


class Stale(Exception):
    """Raised by the first thing that a script does once it has found its result stale."""


@pytest.fixture
def is_stale(pipeline, tmp_path, monkeypatch, capsys):
    """Function: would this script compute anything with these flags?

    It is asked of a copy of the finished run.
    """
    from lesiongan.files.errors import InputError
    from lesiongan.nets import synthetic_set
    from lesiongan.run import folders

    copy = pipeline.copy(tmp_path)

    def compute(*_, **__):
        raise Stale

    monkeypatch.setattr(folders.ResultFolder, "begin", compute)
    monkeypatch.setattr(synthetic_set, "write", compute)

    def ask(script, *flags, run=copy):
        try:
            run.run(script, *STAGES[STAGE_OF[script]][1], "--if-stale", *flags)
        except Stale:
            return True
        except InputError as e:
            # Inputs of another split make a result stale too.
            if "made from other" in str(e):
                return True
            raise
        return "up to date" not in capsys.readouterr().out

    ask.copy = copy
    return ask
