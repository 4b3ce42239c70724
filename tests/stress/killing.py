"""Kill the trainers with SIGKILL at random moments and resume until they end.

    python -m tests.stress.killing [--kills 20] [--seed 0]  # minutes; -> results/reliability.json

The results are compared byte for byte with a run left alone: the synthetic CSV and generator of
train_gan.py, the network of train_cnn.py and evaluate.py's prediction CSV of it. Half of the kills
come at a random moment of the run, half soon after an epoch's checkpoint; of both, every second one
as soon as a file is being written. It counts how often training went on in the middle: a trainer
that began anew would end alike. test_checkpoints.py runs a handful.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lesiongan import ROOT
from lesiongan.run import flags

GAN = [
    "--epochs",
    "3",
    "--samples",
    "70",
    "--width",
    "8",
    "--batch",
    "32",
    "--grid-every",
    "1",
    "--snapshots",
]
CNN = ["--epochs", "3", "--width", "8", "--batch", "32", "--synthetic", "none"]


WORK = {
    "train_gan.py": (GAN, ("outputs/synthetic/hmnist_28_28_RGB.csv", "models/gan/generator.keras")),
    "train_cnn.py": (CNN, ("outputs/evaluation/predictions.csv", "models/cnn/classifier.keras")),
}


def start(script, *flags):
    """A script in a process group of its own."""
    command = [sys.executable, "-u", str(ROOT / script), *map(str, flags)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process):
    """Wait for a process and return 1 if it resumed a training, else 0.

    Raises AssertionError with what it said if it failed.
    """
    # communicate() closes its pipes too.
    said, complaint = process.communicate()
    assert process.returncode == 0, complaint[-500:]
    return int("resuming after epoch" in said)


def wait_for_moment(process, folder, seconds, rng):
    """Sleep until a random moment, of the whole run or of what follows a checkpoint.

    Then, for every second kill, sleep until a temporary file is being written.
    """
    began, in_training, writing = time.time(), rng.random() < 0.5, rng.random() < 0.5
    while in_training and process.poll() is None and not has_checkpoint(folder, began):
        time.sleep(0.002)
    deadline = time.time() + rng.uniform(0, 0.5 if in_training else seconds)
    while process.poll() is None and (
        time.time() < deadline or (writing and not any(folder.rglob(".*.tmp*")))
    ):
        time.sleep(0.001 if writing and time.time() >= deadline else 0.02)


def has_checkpoint(folder, since):
    """True if a checkpoint has been written there since that time."""
    # The last checkpoint goes when its training ends.
    with contextlib.suppress(FileNotFoundError):
        return any(p.stat().st_mtime >= since for p in folder.rglob("checkpoint.npz"))
    return False


def survive(script, flags, folder, seconds, kills, rng):
    """Kill and resume `script` until it has been killed `kills` times, then let it end.

    Returns (kills it took, resumptions).
    """
    resumed = 0
    for done in range(kills):
        process = start(script, *flags, "--resume")
        wait_for_moment(process, folder, seconds, rng)
        if process.poll() is not None:
            return done, resumed + finish(process)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        said, complaint = process.communicate()
        resumed += "resuming after epoch" in said
        # In this case the process ended just before the kill.
        if process.returncode != -signal.SIGKILL:
            assert process.returncode == 0, complaint[-500:]
            return done, resumed
    return kills, resumed + finish(start(script, *flags, "--resume"))


def compare(table, folder, kills, seed=0, scripts=("train_gan.py", "train_cnn.py")):
    """Return (kills survived, trainings resumed in the middle, files that differ).

    There are as many rounds as `kills` kills take.
    """
    rng = random.Random(seed)
    survived, resumed, differing = 0, 0, []
    for script in scripts:
        work, results = WORK[script]

        def run_flags(name, stem=Path(script).stem):
            here = folder / f"{stem}_{name}"
            return [
                "--data",
                table,
                "--models-dir",
                here / "models",
                "--outputs-dir",
                here / "outputs",
            ], here

        def complete(flags, script=script):
            if script == "train_cnn.py":
                finish(start("evaluate.py", *flags))

        flags, alone = run_flags("alone")
        began = time.time()
        finish(start(script, *flags, *work))
        seconds = time.time() - began
        complete(flags)
        left, number = kills, 0
        while left:
            flags, here = run_flags(f"killed{number}")
            took, again = survive(script, [*flags, *work], here, seconds, min(left, 3), rng)
            complete(flags)
            survived, resumed, left, number = (
                survived + took,
                resumed + again,
                left - took,
                number + 1,
            )
            differing += [
                f"{script}: {r}"
                for r in results
                if (here / r).read_bytes() != (alone / r).read_bytes()
            ]
            differing += [
                f"{script}: {p.name} left behind" for p in (here / "models").rglob(".*.tmp*")
            ]
    return survived, resumed, differing


def main():
    p = flags.Parser(__doc__)
    p.add_argument("--kills", type=int, default=20, help="of each trainer")
    p.add_argument("--seed", type=int, default=0)
    args = p.parse_args()
    from lesiongan.phantom import write_phantom
    from tests.stress.reliability import note

    with tempfile.TemporaryDirectory() as folder:
        table = write_phantom(Path(folder), 200)
        survived, resumed, differing = compare(table, Path(folder), args.kills, args.seed)
    print(f"{survived} kills survived, {resumed} resumptions; differing: {differing or 'none'}")
    note(
        "python -m tests.stress.killing " + " ".join(sys.argv[1:]),
        kills_survived=survived,
        kills_resumed=resumed,
        kills_differing=len(differing),
    )


if __name__ == "__main__":
    main()
