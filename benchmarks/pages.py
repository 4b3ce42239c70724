"""The generated sections of README.md and docs/results.md: Markdown, as functions of the files
in results/ alone.
"""

import functools
import json
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmarks.arms import ARMS, FEWEST_SEEDS
from lesiongan import ROOT
from lesiongan.plots import report

RUN = ROOT / "results" / "run"


def training_minutes(folder):
    """Sum of a history's epochs, interruptions left out."""
    rows = (RUN / f"{folder}_history.csv").read_text().splitlines()[1:]
    return sum(float(row.split(",")[-1]) for row in rows) / 60


def peak_memory():
    """'eda.py 1.2, ...': GiB that each script held at most; one whose run did not record it is
    left out.
    """
    found = {}
    for folder in ("eda", "gan", "cnn", "evaluation", "figures"):
        record = json.loads((RUN / f"{folder}_options.json").read_text())
        if "peak_gib" in record:
            found[f"{record['script']}.py"] = record["peak_gib"]
    return ", ".join(f"`{script}` {gib:.1f}" for script, gib in found.items())


def large_memory():
    """The same at a hundred times the table, from results/reliability.json; '' until
    tests/load.py has run.
    """
    path = RUN.parent / "reliability.json"
    found = json.loads(path.read_text()) if path.is_file() else {}
    what = {
        "million_rows_eda": "`eda.py` on {million_rows:,} rows",
        "million_rows_cnn": "`train_cnn.py` on {million_rows:,}",
        "samples": "sampling {samples:,} images",
    }
    parts = [
        f"{v.format(**found)} {found[k + '_peak_gib']:.1f}"
        for k, v in what.items()
        if f"{k}_peak_gib" in found
    ]
    return f" Under load (`tests/stress/load.py`): {', '.join(parts)}." if parts else ""


def cell(block, path, signed=False):
    """'.712 (.690 to .733)' of a figure."""
    for key in path:
        block = block.get(key, block)
    if block.get("value") is None:
        return block.get("reason", "undefined")
    digits = [
        f"{v:{'+' if signed else ''}.3f}" for v in (block["value"], block["low"], block["high"])
    ]
    return "{} ({} to {})".format(*digits)


def count_readings():
    """(lesion split, image split): how often each one's test part has been read, by
    results/TEST_LOG.md.
    """
    lines = [
        line
        for line in (RUN.parent / "TEST_LOG.md").read_text().splitlines()
        if line.startswith("| 20")
    ]
    image = sum("image_" in line or "leak_" in line for line in lines)
    return len(lines) - image, image


NAMES = {
    "acc": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "acc_balanced": "accuracy at the balanced point",
    "auc": "AUC",
}
SHOWN = ("classic", "plain", "repeated", "classic_synthetic", "synthetic_only")
"""The arms that the README shows; docs/results.md has them all."""


def show_mean(arm, name):
    """'0.790 ± 0.004': an arm's mean over seeds with the standard deviation."""
    std = arm[f"{name}_std"]
    return f"{arm[name]:.3f}" + (f" ± {std:.3f}" if std is not None else "")


def show_change(comparison, mark=True):
    """'+0.001 (-0.006 to +0.008)', with a * if it is significant after Holm's correction."""
    return cell(comparison, (), signed=True) + "*" * (mark and comparison.get("p_holm", 1) < 0.05)


@functools.cache
def environment():
    """The Jinja2 environment of templates/. Values are escaped; they stand in Markdown, which
    knows HTML.
    """
    loader = FileSystemLoader(Path(__file__).with_name("templates"))
    return Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(section, **values):
    """Markdown of a section, each paragraph in a line: a value at the start of one could begin a
    list.

    An apostrophe needs no escape there.
    """
    text = environment().get_template(f"{section}.md").render(values).replace("&#39;", "'")
    paragraphs = [p for p in re.split(r"\n\s*\n", text.strip()) if p.strip()]
    return "\n\n".join(p if p.startswith(("|", "```")) else " ".join(p.split()) for p in paragraphs)


def build_answer():
    """The README's answer, from results/arms.json: a picture, one sentence, one short table."""
    found = json.loads((RUN.parent / "arms.json").read_text())
    arms, ours = found["arms"], found["arms"]["classic_synthetic"]
    gain = ours["less_classic"]
    told = {
        word: [
            NAMES[n]
            for n in NAMES
            if gain[n].get("p_holm", 1) < 0.05 and sign * gain[n]["value"] > 0
        ]
        for word, sign in (("raised", 1), ("lowered", -1))
    }
    verdict = (
        "; ".join(f"{' and '.join(ns)} {word}" for word, ns in told.items() if ns)
        or "no difference shown"
    )
    shown = []
    for arm in (arms[name] for name in SHOWN if name in arms):
        less = arm.get("less_classic")
        cells = []
        for name in ("acc", "auc"):
            cells += [show_mean(arm, name), show_change(less[name]) if less else ""]
        shown.append({"label": arm["label"], "cells": cells})
    changes = {name: show_change(gain[name], mark=False) for name in NAMES}
    return render(
        "answer",
        verdict=verdict,
        gain=changes,
        seeds=len(ours["compared_seeds"]),
        shown=shown,
        found=found,
    )


def build_arms():
    """All arms, from results/arms.json and the other collected files: Markdown."""
    found = json.loads((RUN.parent / "arms.json").read_text())
    arms, ours = found["arms"], found["arms"]["classic_synthetic"]
    rows = [
        {
            "label": arm["label"],
            "seeds": len(arm["seeds"]),
            "means": [show_mean(arm, n) for n in NAMES],
            "changes": [show_change(arm["less_classic"][n]) for n in NAMES]
            if "less_classic" in arm
            else None,
        }
        for arm in arms.values()
    ]
    path = RUN.parent / "classifier.json"
    values = {"both": json.loads(path.read_text()) if path.is_file() else None}
    if both := values["both"]:
        lesion = both["lesion_split"]
        values["alone"] = (
            cores(both["alone"]["environment"]) if "alone" in both else where_trained(lesion)
        )
        values |= {
            "trained": where_trained(lesion),
            "readings": count_readings(),
            "beside_leak": beside_leak(both),
        }
    return render(
        "arms",
        found=found,
        gain={name: show_change(ours["less_classic"][name], mark=False) for name in NAMES},
        seeds=len(ours["compared_seeds"]),
        arms=rows,
        few=min(row["seeds"] for row in rows),
        fewest_seeds=FEWEST_SEEDS,
        missing="; ".join(label for arm, (label, _) in ARMS.items() if arm not in arms),
        **values,
    )


def cores(environment):
    """'2 CPU cores (AMD EPYC)' or '1 NVIDIA H200 (jax)'."""
    if environment.get("accelerators"):
        names = environment["accelerators"]
        return (
            " and ".join(f"{names.count(n)} {n}" for n in sorted(set(names)))
            + f" ({environment['backend']})"
        )
    n = environment["processors"]
    return f"{n} CPU core{'s' * (n > 1)} ({environment.get('processor') or environment['machine']})"


def where_trained(split):
    """The processors that the seeds of a split were trained on."""
    return " or ".join(sorted(set(map(cores, split["environments"]))))


def name_commit(environment):
    """'`648ba9d`', with -dirty if the code had been changed."""
    commit = environment["commit"]
    return f"`{commit[:7]}{'-dirty' * commit.endswith('-dirty')}`" if commit else "a commit unknown"


def describe_training(records):
    """'GAN 85 min (2 CPU cores (AMD EPYC), `648ba9d`, 2026-11-25), ...': what each network took,
    where and when.
    """
    parts = []
    for name, folder in (
        ("GAN", "gan"),
        ("judge", "judge"),
        ("classifier", "cnn"),
        ("control", "control"),
        ("besides, `train_cnn.py --task malignancy`", "malignancy"),
    ):
        if r := records.get(folder):
            parts.append(
                f"{name} {training_minutes(folder):.0f} min ({cores(r['environment'])}, "
                f"{name_commit(r['environment'])}, {r['date'][:10]})"
            )
    return ", ".join(parts)


def build_table():
    """One run in full, classifier and synthetic images: Markdown."""
    found = json.loads((RUN / "metrics.json").read_text())
    quality = json.loads((RUN / "synthetic_quality.json").read_text())
    records = {
        f: json.loads((RUN / f"{f}_options.json").read_text())
        for f in ("gan", "judge", "cnn", "control")
    }
    if (RUN / "malignancy_options.json").is_file():
        records["malignancy"] = json.loads((RUN / "malignancy_options.json").read_text())
    gan, cnn = records["gan"], records["cnn"]
    models, d = found["models"], quality["distances"]
    backend, packages = cnn["environment"]["backend"], cnn["environment"]["packages"]
    blocks = models["classifier"], models["control"]
    scores = []
    for label, path in report.METRIC_ROWS[:-1]:
        difference = cell(found["classifier_minus_control"], path, signed=True)
        scores.append((label, *(cell(block, path) for block in blocks), difference))
    perfect = [f"{models[m]['ece_if_perfect']['value']:.3f}" for m in ("classifier", "control")]
    agreement = quality["label_agreement"]
    apart = [
        (a["value"] - a["real_recall"]["value"]) / a["se_of_difference"] for a in agreement.values()
    ]
    return render(
        "run",
        found=found,
        seed=gan["options"]["seed"],
        steps=cnn["steps"],
        scores=[*scores, ("ECE were it perfectly calibrated", *perfect, "")],
        d=d,
        ratio=cell(d["frechet_ratio"], ()),
        memorised=quality["memorisation"],
        judge=quality["judge_sha256"],
        agreement=agreement,
        agreement_rows=[
            (
                "judge agrees with synthetic label",
                [f"{a['value']:.2f}" for a in agreement.values()],
            ),
            (
                "judge's recall on held-out real",
                [f"{a['real_recall']['value']:.2f}" for a in agreement.values()],
            ),
            ("difference in standard errors", [f"{z:+.1f}" for z in apart]),
        ],
        training=describe_training(records),
        backend=backend,
        packages=packages,
        memory=peak_memory(),
        large_memory=large_memory(),
    )


def build_gan_section():
    """The GAN beside the textbook one, from results/gan.json: Markdown."""
    path = RUN.parent / "gan.json"
    if not path.is_file():
        return "Not measured yet: `benchmarks/gan_bars.py` does, by running the ordinary scripts."
    g = json.loads(path.read_text())
    has_dcgan = "frechet_ratio_dcgan" in g

    def ours(name, form=".2f"):
        return f"{g[name]:{form}}" + (
            f" ± {g[name + '_std']:{form}}" if g.get(f"{name}_std") is not None else ""
        )

    def dcgan(name, form=".2f"):
        return f"{g[name + '_dcgan']:{form}}" if f"{name}_dcgan" in g else "not run"

    def extreme(which, values):
        known = {c: v for c, v in values.items() if v is not None}
        if not known:
            return "undefined"
        c = which(known, key=known.get)
        return f"{known[c]:.2f} ({c})"

    def row(label, name, worst="", form=".2f"):
        return label, f"{ours(name, form)}{worst}", dcgan(name, form)

    def gap(end=""):
        """Of the class that the judge misses most, against real images of it, in standard
        errors.
        """
        agreement, recall, se = (
            g[f"{name}{end}"] for name in ("label_agreement", "real_recall", "agreement_se")
        )
        return extreme(
            min,
            {
                c: (agreement[c] - recall[c]) / max(se[c], 1e-9)
                for c in agreement
                if agreement[c] is not None
            },
        )

    def spread(least, most):
        return f"{extreme(min, g[least])}, {extreme(max, g[most])}"

    run = RUN / "synthetic_quality.json"
    same = not run.is_file() or json.loads(run.read_text())["judge_sha256"] == g["judge_sha256"]
    rows = [
        row("Fréchet distance over the floor (1 = real images)", "frechet_ratio"),
        row("KID", "kid", form=".4f"),
        row(
            "coverage over half B's",
            "coverage_ratio",
            f"; least {extreme(min, g['coverage_ratio_by_class'])}",
        ),
        row(
            "density over half B's",
            "density_ratio",
            f"; least {extreme(min, g['density_ratio_by_class'])}",
        ),
        (
            "label agreement less the judge's recall on real, mean over seeds, in standard errors: "
            "least",
            gap(),
            gap("_dcgan") if has_dcgan else "not run",
        ),
        (
            "diversity over real, any seed: least, most",
            spread("diversity_ratio_min", "diversity_ratio_max"),
            spread("diversity_ratio_dcgan", "diversity_ratio_dcgan") if has_dcgan else "not run",
        ),
        row("CAS: balanced accuracy from synthetic images alone, over from real", "cas"),
        row(
            "memorised, of 1000; most in a class",
            "memorisation",
            f"; {extreme(max, g['memorisation_by_class'])}",
            ".3f",
        ),
    ]
    if "minutes_200_epochs" in g:
        processor = g.get("environment_speed", {}).get("processor", "processor not recorded")
        rows += [
            row(
                f"minutes for 200 epochs, by alternating blocks of steps ({processor})",
                "minutes_200_epochs",
                form=".0f",
            ),
            row("training images a second", "train_images_per_second", form=".0f"),
            ("images sampled a second", f"{g['sample_images_per_second']:.0f}", ""),
        ]
    other_judge = g.get("judge_sha256_dcgan", g["judge_sha256"]) != g["judge_sha256"]
    return render(
        "gan", g=g, has_dcgan=has_dcgan, other_judge=other_judge, other_run=not same, rows=rows
    )


CLASSIFIER_ROWS = (
    ("accuracy", "acc"),
    ("macro AUC, one against the rest", "auc"),
    ("balanced accuracy", "balanced_accuracy_argmax"),
    ("balanced accuracy, balanced point", "balanced_accuracy"),
    ("accuracy, balanced point", "acc_balanced"),
    ("macro F1", "macro_f1"),
    ("melanoma: sensitivity at 90 % specificity", "melanoma_sensitivity_at_90_specificity"),
    ("the same at val's threshold", "melanoma_sensitivity_at_val_threshold_90"),
    ("specificity there, .90 intended", "melanoma_specificity_at_val_threshold_90"),
    ("melanoma: sensitivity at 95 % specificity", "melanoma_sensitivity_at_95_specificity"),
    ("the same at val's threshold", "melanoma_sensitivity_at_val_threshold_95"),
    ("specificity there, .95 intended", "melanoma_specificity_at_val_threshold_95"),
    ("melanoma: average precision", "average_precision_mel"),
    ("malignant: sensitivity at 90 % specificity", "malignant_sensitivity_at_90_specificity"),
    ("the same at val's threshold", "malignant_sensitivity_at_val_threshold_90"),
    ("specificity there, .90 intended", "malignant_specificity_at_val_threshold_90"),
    ("malignant: sensitivity at 95 % specificity", "malignant_sensitivity_at_95_specificity"),
    ("the same at val's threshold", "malignant_sensitivity_at_val_threshold_95"),
    ("specificity there, .95 intended", "malignant_specificity_at_val_threshold_95"),
    ("expected calibration error", "ece"),
    ("were it perfectly calibrated", "ece_if_perfect"),
)


def recipe(split):
    """'36 epochs, learning rate 0.006'."""
    return f"{split['recipe']['epochs']} epochs, learning rate {split['recipe']['learning_rate']:g}"


def beside_leak(found):
    """What is to be read beside the figures of the image split: its recipe, and what the lesion
    split's gives there.
    """
    other, leak = recipe(found["image_split"]), found.get("leak_split")
    text = (
        f"{other}: see Limits" if other != recipe(found["lesion_split"]) else "by the same recipe"
    )
    return text + (
        f"; by the lesion split's recipe {leak['acc']:.3f} and {leak['auc']:.3f}" if leak else ""
    )


def beside_binary(lesion):
    """The end of that sentence: a binary network's AUC and the paired difference; '' if none was
    trained.
    """
    if "malignancy" not in lesion:
        return ""
    auc, apart = lesion["malignancy"]["auc_malignant"], lesion["malignancy"]["sum_minus_binary"]
    better = (
        "the sum is better"
        if apart["low"] > 0
        else "the binary network is better"
        if apart["high"] < 0
        else "no difference shown"
    )
    seed = lesion["malignancy"]["seeds"][0]
    gap = cell(apart, (), signed=True)
    return f", {auc:.3f} by a binary network; of seed {seed}, sum less binary {gap}: {better}"


def build_classifier_section():
    """The classifier over seeds under both splits, from results/classifier.json: Markdown."""
    path = RUN.parent / "classifier.json"
    if not path.is_file():
        return (
            "Not measured yet: `benchmarks/classifier_bars.py` does, by running the ordinary "
            "scripts."
        )
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
        return f"{split['protocol']}, {recipe(split)}, seeds {seeds}"

    def span(name):
        value, half = (
            lesion["price_of_leakage"][name],
            lesion["price_of_leakage"][f"{name}_half_width"],
        )
        return (
            f"{value:+.3f} (95 % interval over lesions {value - half:+.3f} to {value + half:+.3f})"
        )

    ran = [
        e
        for name in ("image_split", "leak_split", "lesion_split")
        for e in found.get(name, {}).get("environments", ())
    ]
    made = " and ".join(
        sorted({f"with KERAS_BACKEND={e['backend']} at {name_commit(e)}" for e in ran})
    )
    rows = [(label, *(show(arm, name) for arm in arms)) for label, name in CLASSIFIER_ROWS]
    counts = ", ".join(str(len(arm["seeds"])) for arm in arms)
    label = (
        f"average of the seeds' probabilities ({counts} of them): accuracy, AUC, calibration error"
    )
    rows.append(
        (label, *("{acc:.3f}, {auc:.3f}, {ece:.3f}".format(**arm["ensemble"]) for arm in arms))
    )
    gain = lesion["classifier_minus_control"]
    named, about = {}, ""
    # "the same at ..." and "specificity there" belong to the row above.
    for label, n in CLASSIFIER_ROWS:
        about = label if "sensitivity at 9" in label else about
        named[n] = (
            f"{label} ({about})" if label.startswith(("the same", "specificity there")) else label
        )
    always = {
        word: ", ".join(named[n] for n in gain[f"{word}_in_every_seed"] if n in named) or "none"
        for word in ("better", "worse")
    }
    took = (
        f"{show(found, 'minutes', 1)} minutes and {found['peak_gib']:.1f} GiB "
        f"({where_trained(lesion)})"
    )
    if "alone" in found:
        took = (
            f"{found['minutes']:.1f} minutes and {found['alone']['peak_gib']:.1f} GiB alone on "
            f"{cores(found['alone']['environment'])}; beside others, on "
            f"{where_trained(lesion)}, {show(lesion, 'minutes', 2)} minutes"
        )
    cost = ""
    if "cost" in found:
        alone, ratio, step = (
            found["cost"]["minutes"]["ours"],
            found["cost"]["ratio"],
            found["cost"]["seconds_a_step"],
        )
        cost = (
            f" By the time of a step, alone on {cores(found['cost']['environment'])}: "
            f"{alone:.1f} minutes. A step of MedMNIST's ResNet-18 (rebuilt in Keras) takes "
            f"{step['resnet18'] / step['ours']:.0f} times as long, its 100 epochs {ratio:.0f} "
            "times."
        )
    price = None
    if leakage := lesion.get("price_of_leakage"):
        leak = found["leak_split"]
        price = {
            "epochs": leak["recipe"]["epochs"],
            "leak_acc": show(leak, "acc"),
            "leak_auc": show(leak, "auc"),
            "seeds": len(leakage["seeds"]),
            "acc": span("acc"),
            "auc": span("auc"),
            "unclear": all(abs(leakage[n]) < leakage[f"{n}_half_width"] for n in ("acc", "auc")),
        }
    changes = {
        name: show(gain, name) for name in ("acc", "auc", "balanced_accuracy", "acc_balanced")
    }
    changes |= {
        "seeds": len(gain["seeds"]),
        "chance": f"{2 ** (1 - len(gain['seeds'])):.0%}",
        "measures": sum(n in gain for n in named),
    }
    return render(
        "classifier",
        found=found,
        image=describe(image),
        lesion=describe(lesion),
        rows=rows,
        price=price,
        recipe=lesion["recipe"],
        gain=changes,
        always=always,
        malignant=show(lesion, "auc_malignant"),
        binary=beside_binary(lesion),
        took=took,
        cost=cost,
        made=made,
    )


RESULTS = {"run": build_table, "gan": build_gan_section, "classifier": build_classifier_section}
PAGES = {"README.md": {"answer": build_answer}, "docs/results.md": {"arms": build_arms} | RESULTS}


def insert_sections(text, sections):
    """The text of a page with what stands between each section's marks replaced."""
    for name, build in sections.items():
        start, end = (
            f"<!-- {name}: start (benchmarks/publish_run.py writes this) -->\n",
            f"<!-- {name}: end -->",
        )
        before, rest = text.split(start)
        text = before + start + build() + "\n" + end + rest.split(end)[1]
    return text
