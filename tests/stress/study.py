"""The study's engine under kills, and through a real Slurm: the same files as a run left alone.

    python -m tests.stress.study kills [--kills 20]  # about ten minutes -> results/reliability.json
    python -m tests.stress.study slurm               # about ten minutes, as root on Debian

kills: the study of study/smoke.yaml is begun again and again, and killed with SIGKILL at random
moments, half of the times Snakemake with its jobs, half of the times a job alone. The predictions
of all cells are compared byte for byte with those of a run left alone.

slurm: the same study through a Slurm of one node (study/one_node_slurm.sh), two jobs at a time,
compared alike. Then a job is given less time than it needs: Slurm kills it, and the next one must
go on from its checkpoint. Where Slurm is not installed it says so and ends with 3.

It works in a copy of the project, with links to .venv and .venv-study (`make .venv-study/ready`).
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml

from lesiongan import ROOT
from lesiongan.files import checksums
from lesiongan.phantom import write_phantom
from lesiongan.run import flags
from tests.stress.mutants import copy_project

NEEDED = ("slurmctld", "slurmd", "munged", "sbatch")


def make_copy(folder):
    """Return a copy of the project in `folder` with a table of phantoms and its environments."""
    project = copy_project(folder)
    for name in (".venv", ".venv-study"):
        if not (ROOT / name).is_dir():
            raise SystemExit(f"{name}: is missing; run `make .venv-study/ready` first")
        (project / name).symlink_to(ROOT / name)
    write_phantom(project / "study/smoke/table", 400)
    return project


def write_grid(project, name, **changes):
    """Write the smoke grid with places of its own; return its path in the project."""
    values = yaml.safe_load((ROOT / "study/smoke.yaml").read_text())
    values |= {"results": f"study/smoke/{name}/study", "work": f"study/smoke/{name}/work"}
    path = project / f"study/{name}.yaml"
    path.write_text(yaml.safe_dump(values | changes))
    return path.relative_to(project)


def start(project, grid, profile="local", *flags):
    """Start Snakemake on a grid, in a process group of its own."""
    command = [".venv-study/bin/python", "-m", "snakemake", "--snakefile", "study/Snakefile"]
    command += ["--profile", f"study/profiles/{profile}", "--config", f"grid={grid}", *flags]
    log = (project / "engine.log").open("a")
    return subprocess.Popen(
        command, cwd=project, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )


def unlock(project, grid):
    """Take the lock away that a killed Snakemake left."""
    start(project, grid, "local", "--unlock").wait()


def hash_cells(project, name):
    """Return {file name: SHA-256} of the predictions of all cells that are done."""
    folder = project / f"study/smoke/{name}/study/cells"
    return {p.name: checksums.file_sha256(p) for p in sorted(folder.glob("*.csv.gz"))}


def find_jobs(project):
    """Return the process numbers of the scripts that a study in this copy runs."""
    listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True)
    found = []
    for line in listed.stdout.splitlines():
        number, _, words = line.strip().partition(" ")
        if "study.run_group" in words or "train_gan.py" in words:
            try:
                if Path(f"/proc/{number}/cwd").resolve() == project.resolve():
                    found.append(int(number))
            except OSError:
                continue
    return found


def kill_study(project, kills, seed):
    """Return (kills, cells that differ, runs begun) of a study that is killed again and again."""
    whole, killed = write_grid(project, "whole"), write_grid(project, "killed")
    began = time.time()
    if start(project, whole).wait():
        raise SystemExit(f"the run left alone failed; see {project}/engine.log")
    seconds = time.time() - began
    wanted, chance, done, runs = hash_cells(project, "whole"), random.Random(seed), 0, 0
    while True:
        process, runs = start(project, killed), runs + 1
        # What is left gets shorter, and so do the moments at which it is killed.
        moment = time.time() + chance.uniform(4, max(12, seconds / 6))
        while process.poll() is None and (time.time() < moment or done >= kills):
            time.sleep(0.1)
        if process.poll() is None:
            if done % 2:
                for number in find_jobs(project)[:1]:
                    os.kill(number, signal.SIGKILL)
                process.wait()
            else:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                unlock(project, killed)
            done += 1
            cells = len(hash_cells(project, "killed"))
            print(f"killed {done} times, {cells} cells done", flush=True)
        elif process.returncode == 0:
            if done >= kills:
                break
            # It ended before all kills were given: the cells are trained once more.
            shutil.rmtree(project / "study/smoke/killed")
        elif runs > 3 * kills + 3:
            raise SystemExit(f"the study does not end; see {project}/engine.log")
    found = hash_cells(project, "killed")
    differing = [n for n in wanted if found.get(n) != wanted[n]]
    return done, len(differing) + len(set(found) - set(wanted)), runs


def run_on_slurm(project):
    """Return (cells, cells that differ, epochs from which a killed job went on)."""
    tool = project / "study/one_node_slurm.sh"
    whole, cluster = write_grid(project, "whole"), write_grid(project, "cluster")
    if start(project, whole).wait():
        raise SystemExit(f"the local run failed; see {project}/engine.log")
    call = ["bash", str(tool), "start", str(project / "slurm")]
    subprocess.run(call, check=True, stdout=subprocess.DEVNULL)
    try:
        if start(project, cluster, "one_node").wait():
            raise SystemExit(f"the run through Slurm failed; see {project}/engine.log")
        wanted, found = hash_cells(project, "whole"), hash_cells(project, "cluster")
        differing = [n for n in wanted if found.get(n) != wanted[n]]
        return len(wanted), len(differing), go_on_after_limit(project)
    finally:
        subprocess.run([*call[:2], "stop", call[3]], check=False)


def go_on_after_limit(project):
    """Return the epochs that a cell's checkpoint had when its job's minute was over.

    The next job must go on from them and end with what a job without a limit predicts.
    """
    fractions = {30: {"steps": 6000, "closed": [], "shared": []}}
    stages = [{"fractions": [30], "arms": ["real"]}]
    longer = {"fractions": fractions, "stages": stages, "cnn_seeds": [0]}
    limited, free = write_grid(project, "limited", **longer), write_grid(project, "free", **longer)
    if not start(project, limited, "one_node", "--set-resources", "cells:runtime=1").wait():
        raise SystemExit("the job ended within its minute; give it more steps")
    checkpoint = project / "study/smoke/limited/work/cells/f30_real_c0/models/cnn/checkpoint.npz"
    if not checkpoint.is_file():
        raise SystemExit(f"{checkpoint}: the killed job left none")
    with np.load(checkpoint) as state:
        epochs = len(state["history"])
    for grid in (limited, free):
        if start(project, grid, "one_node").wait():
            raise SystemExit(f"the job after the limit failed; see {project}/engine.log")
    if hash_cells(project, "limited") != hash_cells(project, "free"):
        raise SystemExit("the job after the limit ended with other predictions")
    log = (checkpoint.parents[2] / "log.jsonl").read_text().splitlines()
    trained = [e["epoch"] for e in map(json.loads, log) if e["event"] == "epoch"]
    # An epoch that the limit cut off after its checkpoint may stand there twice, no other.
    if trained.count(1) != 1 or len(trained) > len(set(trained)) + 1:
        raise SystemExit("the job after the limit began anew")
    return epochs


def main():
    p = flags.Parser(__doc__)
    p.add_argument("what", choices=("kills", "slurm"))
    p.add_argument("--kills", type=int, default=20)
    p.add_argument("--seed", type=int, default=0)
    args = p.parse_args()
    if args.what == "slurm" and (missing := [n for n in NEEDED if not shutil.which(n)]):
        print(f"not run: {', '.join(missing)} missing (Debian: apt-get install slurm-wlm munge)")
        return 3
    from tests.stress import reliability

    command = f"python -m tests.stress.study {' '.join(sys.argv[1:])}"
    with tempfile.TemporaryDirectory() as folder:
        project = make_copy(Path(folder) / "project")
        if args.what == "kills":
            kills, differing, runs = kill_study(project, args.kills, args.seed)
            print(f"{kills} kills in {runs} runs: {differing} files differ")
            if kills >= 20:
                reliability.note(command, study_kills=kills, study_kills_differing=differing)
            return int(differing > 0)
        cells, differing, epochs = run_on_slurm(project)
        print(f"{cells} cells through Slurm: {differing} differ; went on from epoch {epochs}")
        reliability.note(command, slurm_cells=cells, slurm_cells_differing=differing)
        return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main())
