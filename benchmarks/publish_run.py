"""Copy the small files of a finished run to results/run/ and write the README's results from the committed files.

    python benchmarks/publish_run.py [--models-dir models --outputs-dir outputs] [--tables-only]

The text between the README's marks is a function of results/ alone; a test checks that it is up to date.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np

import artifacts
import report
import runlog
from evaluate import FOLDERS
from ham10000 import HAM10000_COUNTS, InputError

RUN = ROOT / "results" / "run"

MODEL_FILES = [(f, n) for f in ("gan", "cnn", "control", "judge") for n in ("options.json", "history.csv")]
OUTPUT_FILES = ["split.csv", *(f"evaluation/{n}" for n in (
    "predictions.csv", "predictions_control.csv", "context.json", "metrics.json", "per_class.csv", "confusion.csv",
    "synthetic_quality.json"))]  # fmt: skip


def copy_run(models, outputs):
    """Copy the small artifacts; larger ones and images stay out of git."""
    from PIL import Image

    evaluated = artifacts.read_json(outputs / "evaluation" / "options.json", "evaluate.py")
    split = evaluated["split"]
    whole = sum(map(np.array, split["images"].values())).tolist() == list(HAM10000_COUNTS)
    if evaluated["data"]["phantom"] or not whole or (split["protocol"], split["split_seed"]) != ("lesion split", 0):
        raise InputError(f"{outputs}: of phantom data, a subset or another split; only full runs on HAM10000 are published")
    files = {f: models / FOLDERS.get(f, f) / "classifier.keras" for f in ("classifier", "control", "judge")}
    for name, path in (files | {"generator": models / "gan" / "generator.keras"}).items():
        if artifacts.file_sha256(path) != evaluated["inputs"].get(name):
            raise InputError(f"{path}: is not the one that was evaluated; run evaluate.py again")
    copies = {models / folder / name: f"{folder}_{name}" for folder, name in MODEL_FILES}
    copies |= {outputs / name: Path(name).name for name in OUTPUT_FILES}
    copies |= {p: p.name for p in (outputs / "evaluation").glob("predictions_malignancy*.csv")}
    copies[outputs / "eda" / "summary.json"] = "eda_summary.json"
    copies |= {outputs / f / "options.json": f"{f}_options.json" for f in ("eda", "evaluation", "figures")}
    copies[outputs / "synthetic" / "provenance.json"] = "synthetic_provenance.json"
    picture = outputs / "figures" / "class_grid.png"  # synthetic images alone: the table's licence keeps real ones out
    for path in [*copies, picture]:
        if not path.is_file():
            raise InputError(f"{path}: no such file; finish the run first")
    made = artifacts.read_json(outputs / "synthetic" / "provenance.json", "train_gan.py")
    if made["table_sha256"] != evaluated["inputs"].get("synthetic"):
        raise InputError(f"{outputs}/synthetic: is not the set that was evaluated; run evaluate.py again")
    for folder, names in (("evaluation", [n for n in OUTPUT_FILES if "/" in n]), ("figures", ["figures/class_grid.png"])):
        record = artifacts.read_json(outputs / folder / "options.json", f"the script of {folder}")["outputs"]
        for name in names:
            if record.get(Path(name).name) != artifacts.file_sha256(outputs / name):
                raise InputError(f"{outputs / name}: is not the file its options.json describes; make it again")
    shutil.rmtree(RUN, ignore_errors=True)
    RUN.mkdir(parents=True)
    for path, name in copies.items():
        shutil.copyfile(path, RUN / name)
    with Image.open(picture) as figure:
        figure.convert("RGB").quantize(256).save(RUN / picture.name, optimize=True)


def training_minutes(folder):
    """Sum of a history's epochs, interruptions left out."""
    rows = (RUN / f"{folder}_history.csv").read_text().splitlines()[1:]
    return sum(float(row.split(",")[-1]) for row in rows) / 60


def peak_memory():
    """'eda.py 1.2, ...': GiB that each script held at most; one whose run did not record it is left out."""
    found = {}
    for folder in ("eda", "gan", "cnn", "evaluation", "figures"):
        record = json.loads((RUN / f"{folder}_options.json").read_text())
        if "peak_gib" in record:
            found[f"{record['script']}.py"] = record["peak_gib"]
    return ", ".join(f"`{script}` {gib:.1f}" for script, gib in found.items())


def large_memory():
    """The same at a hundred times the table, from results/reliability.json; '' until tests/load.py has run."""
    path = RUN.parent / "reliability.json"
    found = json.loads(path.read_text()) if path.is_file() else {}
    what = {"million_rows_eda": "`eda.py` on {million_rows:,} rows",
            "million_rows_cnn": "`train_cnn.py` on {million_rows:,}",
            "samples": "sampling {samples:,} images"}  # fmt: skip
    parts = [f"{v.format(**found)} {found[k + '_peak_gib']:.1f}" for k, v in what.items() if f"{k}_peak_gib" in found]
    return f" Under load (`tests/load.py`): {', '.join(parts)}." if parts else ""


def cell(block, path, signed=False):
    """'.712 (.690 to .733)' of a figure."""
    for key in path:
        block = block.get(key, block)
    if block.get("value") is None:
        return block.get("reason", "undefined")
    digits = [f"{v:{'+' if signed else ''}.3f}" for v in (block["value"], block["low"], block["high"])]
    return "{} ({} to {})".format(*digits)


def build_table():
    """The README's results section as Markdown."""
    found = json.loads((RUN / "metrics.json").read_text())
    quality = json.loads((RUN / "synthetic_quality.json").read_text())
    records = {f: json.loads((RUN / f"{f}_options.json").read_text()) for f in ("gan", "judge", "cnn", "control")}
    gan, cnn = records["gan"], records["cnn"]
    commits = sorted({f"`{r['environment']['commit']}`" for r in records.values()})
    readings = sum(line.startswith("| 20") for line in (RUN.parent / "TEST_LOG.md").read_text().splitlines())
    models, d, arms = found["models"], quality["distances"], found["trained_on"]
    machine = gan["environment"]
    lines = [
        "![Synthetic lesions: one latent vector a column, one class a row](results/run/class_grid.png)",
        "",
        f"HAM10000, {found['protocol']}, test part: {found['images']} images of {found['lesions']} lesions, "
        f"{found['views']}-view average, seed {gan['options']['seed']}, 95 % intervals over lesions. Majority class alone: "
        f"accuracy {found['majority_baseline']['accuracy']['value']:.3f}. One training run each: the intervals leave out "
        "how much training varies from seed to seed, about .01 of accuracy, and are not adjusted for being many.",
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
    lines += [
        f"| memorised, of the {m['n']} images written | {m['value']:.3f} | (of held-out images .01, by definition) |",
        "",
        f"Judge `{quality['judge_sha256'][:12]}`.",
        "",
    ]
    agreement = quality["label_agreement"]
    lines += [
        "| | " + " | ".join(agreement) + " |",
        "| --- |" + " --- |" * len(agreement),
        "| judge agrees with synthetic label | " + " | ".join(f"{a['value']:.2f}" for a in agreement.values()) + " |",
        "| judge's recall on held-out real | "
        + " | ".join(f"{a['real_recall']['value']:.2f}" for a in agreement.values())
        + " |",
        "",
        f"Command: `make`, trained at {', '.join(commits)}; {machine['processors']} CPU cores, TensorFlow "
        f"{machine['packages']['tensorflow']}, Keras {machine['packages']['keras']}; "
        f"GAN {training_minutes('gan'):.0f} min, CNN {training_minutes('cnn'):.0f} min of training.",
        "",
        f"Until now the test part has been read {readings} times: [results/TEST_LOG.md](results/TEST_LOG.md).",
    ]
    if memory := peak_memory():
        lines += ["", f"Memory, GiB at most: {memory}.{large_memory()}"]
    return "\n".join(lines)


def build_gan_section():
    """The GAN beside the textbook one, from results/gan.json: Markdown."""
    path = RUN.parent / "gan.json"
    if not path.is_file():
        return "Not measured yet: `benchmarks/gan_bars.py` does, by running the ordinary scripts."
    g = json.loads(path.read_text())
    has_dcgan = "frechet_ratio_dcgan" in g

    def ours(name, form=".2f"):
        return f"{g[name]:{form}}" + (f" ± {g[name + '_std']:{form}}" if g.get(f"{name}_std") is not None else "")

    def dcgan(name, form=".2f"):
        return f"{g[name + '_dcgan']:{form}}" if f"{name}_dcgan" in g else "not run"

    def extreme(which, values):
        known = {c: v for c, v in values.items() if v is not None}
        if not known:
            return "undefined"
        c = which(known, key=known.get)
        return f"{known[c]:.2f} ({c})"

    def row(label, name, worst="", form=".2f"):
        return f"| {label} | {ours(name, form)}{worst} | {dcgan(name, form)} |"

    def gap(end=""):
        """Of the class that the judge misses most, against real images of it, in standard errors."""
        agreement, recall, se = (g[f"{name}{end}"] for name in ("label_agreement", "real_recall", "agreement_se"))
        return extreme(
            min, {c: (agreement[c] - recall[c]) / max(se[c], 1e-9) for c in agreement if agreement[c] is not None}
        )

    def spread(least, most):
        return f"{extreme(min, g[least])}, {extreme(max, g[most])}"

    judge = "; the textbook DCGAN one seed" if has_dcgan else ""
    if g.get("judge_sha256_dcgan", g["judge_sha256"]) != g["judge_sha256"]:
        judge += (", trained on another machine and measured by a judge of the same recipe trained there: its floor is "
                 f"{g['frechet_floor_dcgan']:.3f}, this GAN's {g['frechet_floor']:.3f}")  # fmt: skip
    lines = [
        "![Fréchet ratio over training time](results/gan_curve.png)",
        "",
        f"{g['protocol']}. Mean ± standard deviation of {len(g['seeds'])} seeds{judge}. Judge "
        f"`{g['judge_sha256'][:12]}`. By class: of the {len(g['coverage_ratio_by_class'])} classes with 50 test images.",
        "",
        "| 200 epochs | this GAN | textbook DCGAN |",
        "| --- | --- | --- |",
        row("Fréchet distance over the floor (1 = real images)", "frechet_ratio"),
        row("KID", "kid", form=".4f"),
        row("coverage over half B's", "coverage_ratio", f"; least {extreme(min, g['coverage_ratio_by_class'])}"),
        row("density over half B's", "density_ratio", f"; least {extreme(min, g['density_ratio_by_class'])}"),
        f"| label agreement less the judge's recall on real, in standard errors: least | {gap()} | "
        + (gap("_dcgan") if has_dcgan else "not run")
        + " |",
        f"| diversity over real, any seed: least, most | {spread('diversity_ratio_min', 'diversity_ratio_max')} | "
        + (spread("diversity_ratio_dcgan", "diversity_ratio_dcgan") if has_dcgan else "not run")
        + " |",
        row("CAS: balanced accuracy from synthetic images alone, over from real", "cas"),
        row("memorised, of 1000; most in a class", "memorisation", f"; {extreme(max, g['memorisation_by_class'])}", ".3f"),
    ]
    if "minutes_200_epochs" in g:
        lines += [
            row("minutes for 200 epochs, alternating blocks", "minutes_200_epochs", form=".0f"),
            row("training images a second", "train_images_per_second", form=".0f"),
            f"| images sampled a second | {g['sample_images_per_second']:.0f} | |",
        ]
    lines += ["", "From `results/gan.json` (every number, class by class) and `results/gan/` (one file a seed), written by "
              "`benchmarks/gan_bars.py` running the ordinary scripts."]  # fmt: skip
    return "\n".join(lines)


CLASSIFIER_ROWS = (("accuracy", "acc"), ("macro AUC, one against the rest", "auc"),
                   ("balanced accuracy", "balanced_accuracy_argmax"),
                   ("balanced accuracy, balanced point", "balanced_accuracy"),
                   ("accuracy, balanced point", "acc_balanced"), ("macro F1", "macro_f1"),
                   ("melanoma: sensitivity at 90 % specificity", "melanoma_sensitivity_at_90_specificity"),
                   ("the same at val's threshold", "melanoma_sensitivity_at_val_threshold_90"),
                   ("specificity there, .90 intended", "melanoma_specificity_at_val_threshold_90"),
                   ("melanoma: sensitivity at 95 % specificity", "melanoma_sensitivity_at_95_specificity"),
                   ("the same at val's threshold", "melanoma_sensitivity_at_val_threshold_95"),
                   ("specificity there, .95 intended", "melanoma_specificity_at_val_threshold_95"),
                   ("malignant: sensitivity at 90 % specificity", "malignant_sensitivity_at_90_specificity"),
                   ("the same at val's threshold", "malignant_sensitivity_at_val_threshold_90"),
                   ("specificity there, .90 intended", "malignant_specificity_at_val_threshold_90"),
                   ("malignant: sensitivity at 95 % specificity", "malignant_sensitivity_at_95_specificity"),
                   ("the same at val's threshold", "malignant_sensitivity_at_val_threshold_95"),
                   ("specificity there, .95 intended", "malignant_specificity_at_val_threshold_95"),
                   ("expected calibration error", "ece"), ("were it perfectly calibrated", "ece_if_perfect"))  # fmt: skip


def beside_binary(lesion):
    """The end of that sentence: a binary network's AUC and the paired difference; '' if none was trained."""
    if "malignancy" not in lesion:
        return ""
    auc, apart = lesion["malignancy"]["auc_malignant"], lesion["malignancy"]["sum_minus_binary"]
    better = "the sum" if apart["low"] > 0 else "the binary network" if apart["high"] < 0 else "neither, for all one can see"
    seed = lesion["malignancy"]["seeds"][0]
    gap = cell(apart, (), signed=True)
    return f", {auc:.3f} by a binary network; of seed {seed}, sum less binary {gap}; better: {better}"


def build_classifier_section():
    """The classifier over seeds under both splits, from results/classifier.json: Markdown."""
    path = RUN.parent / "classifier.json"
    if not path.is_file():
        return "Not measured yet: `benchmarks/classifier_bars.py` does, by running the ordinary scripts."
    found = json.loads(path.read_text())
    image, lesion = found["image_split"], found["lesion_split"]
    arms = (image, lesion["control"], lesion)

    def show(block, name, digits=3):
        std = block.get(f"{name}_std")
        return f"{block[name]:.{digits}f}" + (f" ± {std:.{digits}f}" if std is not None else "")

    def describe(split):
        seeds = ", ".join(map(str, split["seeds"]))
        if split.get("control", split)["seeds"] != split["seeds"]:
            seeds += f", of them real alone {', '.join(map(str, split['control']['seeds']))}"
        return f"{split['protocol']}, {split['recipe']['epochs']} epochs, seeds {seeds}"

    lines = [
        f"Mean ± standard deviation over seeds ({describe(image)}; {describe(lesion)}); {found['views']}-view average.",
        "",
        "| | image split, real alone: leaky | lesion split, real alone | lesion split, real + synthetic |",
        "| --- | --- | --- | --- |",
    ]
    for label, name in CLASSIFIER_ROWS:
        lines.append(f"| {label} | " + " | ".join(show(arm, name) for arm in arms) + " |")
    seeds = ["{acc:.3f}, {auc:.3f}, {ece:.3f}".format(**arm["ensemble"]) for arm in arms]
    lines.append("| average of the seeds' probabilities: accuracy, AUC, calibration error | " + " | ".join(seeds) + " |")
    gain = lesion["classifier_minus_control"]
    named = {n: label for label, n in CLASSIFIER_ROWS}
    always = {word: ", ".join(named[n] for n in gain[f"{word}_in_every_seed"]) or "nothing" for word in ("better", "worse")}
    verdict = " So the synthetic images gained nothing here." if always["better"] == "nothing" else ""
    places = {(e["processors"], e.get("processor") or e["machine"]) for e in lesion["environments"]}
    machines = [f"{n} core{'s' * (n > 1)}, {name}" for n, name in sorted(places)]
    cost = ""
    if "cost" in found:
        alone, ratio = found["cost"]["minutes"]["ours"], found["cost"]["ratio"]
        cost = (f" By the time of a step, alone on both cores: {alone:.1f} minutes; MedMNIST's ResNet-18 would take "
                f"{ratio:.0f} times as long.")  # fmt: skip
    if price := lesion.get("price_of_leakage"):
        kept = {"best": "epoch of least val log-loss", "last": "last epoch"}
        epochs = [f"the {kept[split['recipe']['keep']]} kept" for split in (image, lesion)]
        unlike = f" ({epochs[0]}; without them, {epochs[1]})" if price["recipes_differ_in"] else ""
        lines += [
            "",
            f"The price of leakage: with photographs of test lesions in train{unlike} the average of the seeds moves by "
            f"{price['acc']:+.3f} (± {price['acc_half_width']:.3f}) of accuracy and {price['auc']:+.3f} "
            f"(± {price['auc_half_width']:.3f}) of AUC; in brackets the half width of a 95 % interval over lesions, each "
            "split read on its own test part as if the two were independent.",
        ]
    lines += [
        "",
        f"What {lesion['recipe']['synthetic_images']} synthetic images of weight {lesion['recipe']['synthetic_weight']:g}, "
        "drawn anew for each seed from one GAN, change at equal steps: accuracy "
        f"{show(gain, 'acc')}, balanced accuracy at the balanced point {show(gain, 'balanced_accuracy')}, AUC "
        f"{show(gain, 'auc')}. In each of the {len(gain['seeds'])} seeds with both, better: {always['better']}; worse: "
        f"{always['worse']}.{verdict}",
        "",
        f"Malignant or benign: AUC {show(lesion, 'auc_malignant')} by summing the seven probabilities"
        f"{beside_binary(lesion)}.",
        "",
        f"{lesion['recipe']['epochs']} epochs take {show(found, 'minutes', 1)} minutes ({'; '.join(machines)}) and "
        f"{found['peak_gib']:.1f} GiB.{cost} Best known to us at 28 x 28 under an image split, of another draw: .768 "
        "accuracy (Google AutoML Vision, Yang et al. 2023) and .927 AUC (VGG16 with ImageNet weights, MedMNIST+ study).",
        "",
        "From `results/classifier.json` and `results/classifier/`, written by `benchmarks/classifier_bars.py`; the "
        "predictions of each seed are there, for `evaluate.py --from-predictions`.",
    ]
    return "\n".join(lines)


SECTIONS = {"results": build_table, "gan": build_gan_section, "classifier": build_classifier_section}


def insert_sections(readme):
    """README text with what stands between each section's marks replaced."""
    for name, build in SECTIONS.items():
        start, end = f"<!-- {name}: start (benchmarks/publish_run.py writes this) -->\n", f"<!-- {name}: end -->"
        before, rest = readme.split(start)
        readme = before + start + build() + "\n" + end + rest.split(end)[1]
    return readme


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--models-dir", type=Path, default=ROOT / "models")
    p.add_argument("--outputs-dir", type=Path, default=ROOT / "outputs")
    p.add_argument("--tables-only", action="store_true", help="leave results/run/ as it is")
    args = p.parse_args(argv)
    if not args.tables_only:
        copy_run(args.models_dir, args.outputs_dir)
    readme = ROOT / "README.md"
    artifacts.write_text(readme, insert_sections(readme.read_text()))
    print(f"results -> {RUN}, tables -> {readme}")


if __name__ == "__main__":
    runlog.script_main(main)
