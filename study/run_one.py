"""Train and score the networks of one run, and keep its record.

    python -m study.run_one study/records.yaml lesion_0

Snakemake calls it. The run's scripts go on where an interruption stopped them, and its record in
results/ is written last.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from lesiongan import ROOT
from lesiongan.data.classes import HAM10000_COUNTS
from lesiongan.files import locks, records, writing
from lesiongan.files.errors import InputError
from lesiongan.run import flags, script
from study import collect_classifier, collect_gan, gather
from study.runs import Runs

KEEP = {
    "gan": collect_gan.keep_gan,
    "quality": collect_gan.keep_quality,
    "scores": collect_classifier.keep_scores,
    "cost": collect_classifier.keep_cost,
    "predictions": gather.keep_predictions,
}


def call(command):
    """Run a script, given by its path from the root and its flags; stop if it fails."""
    print("$", " ".join(command), flush=True)
    # It runs as a module, because benchmarks import from the root.
    module = command[0].removesuffix(".py").replace("/", ".")
    if subprocess.run([sys.executable, "-m", module, *command[1:]], cwd=ROOT).returncode:
        raise SystemExit(f"{command[0]} failed")


def note_reading(runs, run):
    """Note in results/TEST_LOG.md that a run has read the test part, by evaluate.py's record.

    A reading that has its line already gets no second one. InputError if committed results would be
    of another table.
    """
    path = runs.outputs(run) / "evaluation" / "options.json"
    record = records.read_json(path, "evaluate.py")
    if not runs.is_committed():
        return
    if record["data"]["phantom"] or record["data"]["rows"] != sum(HAM10000_COUNTS):
        raise InputError(
            f"{record['data']['name']}: is not HAM10000; results/ is of that alone, so write a "
            "list of your own with other results and work"
        )
    log = ROOT / "results" / "TEST_LOG.md"
    reading = (
        f"| {record['date'][:10]} | {record['environment']['commit']} | `study.run_one`, {run.id}: "
    )
    if reading not in log.read_text():
        # The line is one write, so that two runs side by side lose none.
        with log.open("a") as f:
            f.write(f"{reading}{runs.why(run)} |\n")


def perform(runs, run):
    """Run a run's scripts, after copying the models that it takes from others."""
    if (record := runs.record(run)) and record.suffix:
        # Said before hours of work.
        writing.check_target(record)
    for other, folder in runs.needs(run).items():
        if folder is not None:
            shutil.copytree(
                runs.models(other) / folder,
                runs.models(run) / folder,
                dirs_exist_ok=True,
                ignore=shutil.ignore_patterns(".lock", ".writer"),
            )
    for command in runs.commands(run):
        call(command)
    if runs.why(run):
        note_reading(runs, run)
    if runs.record(run):
        KEEP[runs.listed[run.name]["keep"]](runs, run)


def main(argv=None):
    p = flags.Parser(__doc__)
    p.add_argument("list", type=Path, help="for example study/records.yaml")
    p.add_argument("run", help="for example lesion_0")
    args = p.parse_args(argv)
    runs = Runs(args.list)
    run = runs.find(args.run)
    locks.lock_folder(runs.folder(run))
    if not runs.is_done(run):
        perform(runs, run)
    writing.write_json(runs.mark(run), {"run": run.id})


if __name__ == "__main__":
    script.script_main(main)
