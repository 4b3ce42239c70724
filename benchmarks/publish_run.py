"""Copy the small files of a finished run to results/run/ and write the README's results table from them.

    python benchmarks/publish_run.py [--models-dir models --outputs-dir outputs] [--table-only]

The table between the README's `results` marks is a function of results/run/ alone; a test checks that it is up to date.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import artifacts
import report
import runlog
from ham10000 import InputError

RUN = ROOT / "results" / "run"
START, END = "<!-- results: start (benchmarks/publish_run.py writes this from results/run/) -->", "<!-- results: end -->"

MODEL_FILES = [(f, n) for f in ("gan", "cnn", "control", "judge") for n in ("options.json", "history.csv")]
OUTPUT_FILES = ["split.csv", *(f"evaluation/{n}" for n in (
    "predictions.csv", "predictions_control.csv", "context.json", "metrics.json", "per_class.csv", "confusion.csv",
    "synthetic_quality.json"))]  # fmt: skip


def copy_run(models, outputs):
    """Copy the small artifacts; larger ones and images stay out of git."""
    from PIL import Image

    evaluated = artifacts.read_json(outputs / "evaluation" / "options.json", "evaluate.py")
    if evaluated["data"]["phantom"] or not evaluated["split"]["protocol"] == "lesion split":
        raise InputError(f"{outputs}: of phantom data, a subset or another split; only full runs on HAM10000 are published")
    copies = {models / folder / name: f"{folder}_{name}" for folder, name in MODEL_FILES}
    copies |= {outputs / name: Path(name).name for name in OUTPUT_FILES}
    copies |= {p: p.name for p in (outputs / "evaluation").glob("predictions_malignancy*.csv")}
    copies[outputs / "eda" / "summary.json"] = "eda_summary.json"
    copies[outputs / "synthetic" / "provenance.json"] = "synthetic_provenance.json"
    picture = outputs / "figures" / "real_and_synthetic.png"
    for path in [*copies, picture]:
        if not path.is_file():
            raise InputError(f"{path}: no such file; finish the run first")
    shutil.rmtree(RUN, ignore_errors=True)
    RUN.mkdir(parents=True)
    for path, name in copies.items():
        shutil.copyfile(path, RUN / name)
    with Image.open(picture) as figure:
        figure.convert("RGB").quantize(256).save(RUN / "real_and_synthetic.png", optimize=True)


def training_minutes(folder):
    """Sum of a history's epochs, interruptions left out."""
    rows = (RUN / f"{folder}_history.csv").read_text().splitlines()[1:]
    return sum(float(row.split(",")[-1]) for row in rows) / 60


def cell(block, path, signed=False):
    """'.712 (.690 to .733)' of a figure."""
    for key in path:
        block = block.get(key, block)
    if block.get("value") is None:
        return "undefined"
    digits = [f"{v:{'+' if signed else ''}.3f}" for v in (block["value"], block["low"], block["high"])]
    return "{} ({} to {})".format(*digits)


def build_table():
    """The README's results section as Markdown."""
    found = json.loads((RUN / "metrics.json").read_text())
    quality = json.loads((RUN / "synthetic_quality.json").read_text())
    gan, cnn = (json.loads((RUN / f"{f}_options.json").read_text()) for f in ("gan", "cnn"))
    models, d, arms = found["models"], quality["distances"], found["trained_on"]
    machine = gan["environment"]
    lines = [
        "![Real and synthetic lesions of each class](results/run/real_and_synthetic.png)",
        "",
        f"HAM10000, {found['protocol']}, test part: {found['images']} images of {found['lesions']} lesions, "
        f"{found['views']}-view average, seed {gan['options']['seed']}, 95 % intervals over lesions. Majority class alone: "
        f"accuracy {found['majority_baseline']['accuracy']['value']:.3f}.",
        "",
        f"| {cnn['steps']} steps each | {arms['classifier']} | {arms['control']} | difference, paired |",
        "| --- | --- | --- | --- |",
    ]
    for label, path in report.METRIC_ROWS[:-1]:
        lines.append(f"| {label} | {cell(models['classifier'], path)} | {cell(models['control'], path)} | "
                     f"{cell(found['classifier_minus_control'], path, signed=True)} |")  # fmt: skip
    perfect = [models[m]["ece_if_perfect"]["value"] for m in ("classifier", "control")]
    lines += [
        f"| ECE were it perfectly calibrated | {perfect[0]:.3f} | {perfect[1]:.3f} | |",
        "",
        f"| synthetic images ({d['frechet']['n']} in the train mix against test) | synthetic | real (half B) |",
        "| --- | --- | --- |",
        f"| Fréchet distance | {d['frechet']['value']:.2f} | {d['frechet_floor']['value']:.2f} (floor) |",
        f"| KID | {d['kid']['value']:.4f} | {d['kid_floor']['value']:.4f} (floor) |",
    ]
    for name in ("precision", "recall", "density", "coverage"):
        lines.append(f"| {name} | {d[name]['value']:.3f} | {d[name + '_half_b']['value']:.3f} |")
    m = quality["memorisation"]
    lines += [f"| memorised, of the {m['n']} images written | {m['value']:.3f} | .01 by definition |", ""]
    agreement = quality["label_agreement"]
    lines += [
        "| | " + " | ".join(agreement) + " |",
        "| --- |" + " --- |" * len(agreement),
        "| judge agrees with synthetic label | " + " | ".join(f"{a['value']:.2f}" for a in agreement.values()) + " |",
        "| judge's recall on held-out real | "
        + " | ".join(f"{a['real_recall']['value']:.2f}" for a in agreement.values())
        + " |",
        "",
        f"Command: `make`, commit `{gan['environment']['commit']}`; {machine['processors']} CPU cores, TensorFlow "
        f"{machine['packages']['tensorflow']}, Keras {machine['packages']['keras']}; "
        f"GAN {training_minutes('gan'):.0f} min, CNN {training_minutes('cnn'):.0f} min of training.",
    ]
    return "\n".join(lines)


def insert_table(readme, table):
    """README text with the section between its marks replaced."""
    before, rest = readme.split(START)
    return before + START + "\n" + table + "\n" + END + rest.split(END)[1]


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--models-dir", type=Path, default=ROOT / "models")
    p.add_argument("--outputs-dir", type=Path, default=ROOT / "outputs")
    p.add_argument("--table-only", action="store_true", help="leave results/run/ as it is")
    args = p.parse_args(argv)
    if not args.table_only:
        copy_run(args.models_dir, args.outputs_dir)
    readme = ROOT / "README.md"
    readme.write_text(insert_table(readme.read_text(), build_table()))
    print(f"results -> {RUN}, table -> {readme}")


if __name__ == "__main__":
    runlog.script_main(main)
