"""Kill the trainers with SIGKILL at random moments, resume until they end, and compare with a run left alone.

    python tests/killing.py [--kills 20] [--seed 0]      # minutes; adds its counts to results/reliability.json

Compared byte for byte: the synthetic CSV of train_gan.py and the prediction CSV of evaluate.py on what train_cnn.py left.
test_reliability.py runs a handful.
"""

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GAN = ["--epochs", "3", "--samples", "70", "--width", "8", "--batch", "32", "--grid-every", "1", "--snapshots"]
CNN = ["--epochs", "3", "--width", "8", "--batch", "32", "--synthetic", "none"]


WORK = {"train_gan.py": (GAN, "synthetic/hmnist_28_28_RGB.csv"), "train_cnn.py": (CNN, "evaluation/predictions.csv")}


def start(script, *flags):
    """A script in a process group of its own."""
    command = [sys.executable, str(ROOT / script), *map(str, flags)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                            start_new_session=True)  # fmt: skip


def finish(process):
    """Wait for a process; AssertionError with what it said if it failed."""
    _, said = process.communicate()  # closes its pipe too
    assert process.returncode == 0, said[-500:]


def survive(script, flags, seconds, kills, rng):
    """Kill and resume `script` until it has been killed `kills` times, then let it end; returns the kills it took."""
    for done in range(kills):
        process = start(script, *flags, "--resume")
        time.sleep(rng.uniform(0, seconds))
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        else:
            finish(process)
            return done
    finish(start(script, *flags, "--resume"))
    return kills


def compare(table, folder, kills, seed=0, scripts=("train_gan.py", "train_cnn.py")):
    """(kills survived, files that differ) over as many rounds as `kills` kills take."""
    rng = random.Random(seed)
    survived, differing = 0, []
    for script in scripts:
        work, result = WORK[script]

        def run_flags(name, stem=Path(script).stem):
            here = folder / f"{stem}_{name}"
            return ["--data", table, "--models-dir", here / "models", "--outputs-dir", here / "outputs"], here / "outputs"

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
            flags, outputs = run_flags(f"killed{number}")
            took = survive(script, [*flags, *work], seconds, min(left, 3), rng)
            complete(flags)
            survived, left, number = survived + took, left - took, number + 1
            if (outputs / result).read_bytes() != (alone / result).read_bytes():
                differing.append(f"{script}: {result}")
            models = outputs.with_name("models")
            differing += [f"{script}: {p.name} left behind" for p in models.rglob(".*.tmp*")]
    return survived, differing


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--kills", type=int, default=20, help="of each trainer")
    p.add_argument("--seed", type=int, default=0)
    args = p.parse_args()
    sys.path.insert(0, str(ROOT))
    from reliability import note

    from phantom import write_phantom

    with tempfile.TemporaryDirectory() as folder:
        table = write_phantom(Path(folder), 200)
        survived, differing = compare(table, Path(folder), args.kills, args.seed)
    print(f"{survived} kills survived; differing: {differing or 'none'}")
    note("python tests/killing.py " + " ".join(sys.argv[1:]), kills_survived=survived, kills_differing=len(differing))


if __name__ == "__main__":
    main()
