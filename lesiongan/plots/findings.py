"""What the report says first: the verdict, six numbers, and what the decisions cost.

Every sentence is a function of metrics.json, synthetic_quality.json and confusion.csv.
"""

import csv
import io
from typing import Any

from lesiongan.data.classes import CLASSES, MALIGNANT
from lesiongan.files import records
from lesiongan.files.errors import InputError
from lesiongan.files.opening import open_input

PLURALS = {
    "akiec": "actinic keratoses",
    "bcc": "basal cell carcinomas",
    "bkl": "benign keratoses",
    "df": "dermatofibromas",
    "nv": "nevi",
    "vasc": "vascular lesions",
    "mel": "melanomas",
}
INTERVAL = {"value": records.NUMBER, "low": records.NUMBER, "high": records.NUMBER}
# Shown names of the two measures that the verdict rests on, and where their differences stand.
COMPARED = (("accuracy", ("argmax", "accuracy")), ("AUC", ("auc",)))
MAKE_CONTROL = "python train_cnn.py --role control && python evaluate.py"


def cell(f, form="{:.3f}"):
    """Return an estimate of a JSON as '0.712 [0.690, 0.733]', or its reason.

    form: how each of the three numbers is written.
    """
    if not isinstance(f, dict):
        return "-"
    if records.find_fault(f, {"value": records.NUMBER}, ""):
        return str(f.get("reason", "-"))
    value = form.format(f["value"])
    if records.find_fault(f, INTERVAL, ""):
        return value
    return f"{value} [{form.format(f['low'])}, {form.format(f['high'])}]"


def pick(block, path):
    """Return the estimate at `path` of a block; a block with a reason is undefined as a whole."""
    for key in path:
        if not isinstance(block, dict) or "reason" in block:
            break
        block = block.get(key, {})
    return block


def find_sign(f):
    """Return 1 or -1 if the interval of a difference lies above or below 0, 0 if it holds 0.

    Returns None if the difference has no value with an interval.
    """
    if not isinstance(f, dict) or records.find_fault(f, INTERVAL, ""):
        return None
    return (f["low"] > 0) - (f["high"] < 0)


def word_verdict(signs):
    """Return the verdict in words. signs: {measure: 1, 0 or -1}, as find_sign gives them."""
    better = " and ".join(n for n, sign in signs.items() if sign > 0)
    worse = " and ".join(n for n, sign in signs.items() if sign < 0)
    level = " and ".join(n for n, sign in signs.items() if not sign)
    if better and worse:
        return f"Mixed: synthetic images help in {better} and hurt in {worse}"
    if not better and not worse:
        return "No difference shown"
    found = f"Synthetic images {'help' if better else 'hurt'}"
    return f"{found} in {better or worse}; no difference shown in {level}" if level else found


def answer(found):
    """Return the verdict of metrics.json: {verdict, told, cautions, reason, command}.

    told: [(measure, its difference with the interval)]. Without a comparison the verdict says so,
    and `reason` and `command` say why and which commands mend it.
    """
    out: dict[str, Any] = {"told": [], "cautions": [], "reason": "", "command": ""}
    difference = found.get("classifier_minus_control")
    trained_on = found["trained_on"]
    if "control" not in found["models"] or not isinstance(difference, dict):
        missing = "There is no control beside the classifier."
        return out | {"verdict": "Not answered", "reason": missing, "command": MAKE_CONTROL}
    picked = {name: pick(difference, path) for name, path in COMPARED}
    signs = {n: sign for n, f in picked.items() if (sign := find_sign(f)) is not None}
    if not signs:
        reason = next((str(f["reason"]) for f in picked.values() if "reason" in f), "no interval")
        return out | {"verdict": "Not answered", "reason": reason, "command": MAKE_CONTROL}
    if "synthetic" not in trained_on.get("classifier", "synthetic"):
        reason = "The classifier was trained without synthetic images."
        again = "python train_cnn.py && python evaluate.py"
        return out | {"verdict": "Not answered", "reason": reason, "command": again}
    if any("TRAINED BY DIFFERENT" in str(f.get("protocol")) for f in picked.values()):
        out["cautions"].append(
            "Classifier and control were trained by different code, packages or accelerators; "
            "train both again to compare their data alone."
        )
    out["cautions"] += name_untrained(found)
    told = [(name, cell(f, "{:+.3f}")) for name, f in picked.items()]
    return out | {"verdict": word_verdict(signs), "told": told}


def name_untrained(found):
    """Return a caution where a network is not shown to beat the naming of the commonest class."""
    baseline = found["majority_baseline"]
    if records.find_fault(baseline, {"class": str, "accuracy": {"value": records.NUMBER}}, ""):
        return []
    reached = {
        name: pick(found["models"][name], ("argmax", "accuracy"))
        for name in ("classifier", "control")
    }
    weak = [
        name
        for name, f in reached.items()
        if not records.find_fault(f, INTERVAL, "") and f["low"] <= baseline["accuracy"]["value"]
    ]
    if not weak:
        return []
    return [
        f"The {' and the '.join(weak)} {'are' if len(weak) > 1 else 'is'} not shown to be more "
        f"accurate than always naming {baseline['class']}. Train longer, or on more images, before "
        "you read anything into this comparison."
    ]


def describe_ratio(quality):
    """Return the Fréchet ratio as it is shown, or 'not measurable', and its sentence."""
    ratio = pick(quality, ("distances", "frechet_ratio"))
    if find_sign(ratio) is None:
        reason = quality.get("reason") or "it was not measured"
        return "not measurable", f"Why: {reason.removeprefix('not measurable: ')}."
    judge = cell(quality.get("judge_balanced_accuracy"))
    return cell(ratio, "{:.1f}"), (
        "How far the synthetic images are from the test images, over how far as many other real "
        f"images are. The judge's own balanced accuracy on real images is {judge}."
    )


def six_numbers(found, quality):
    """Return the six numbers that matter: [{key, label, value, meaning}].

    key: the number's term in the glossary; found, quality: metrics.json and
    synthetic_quality.json.
    """
    model, baseline = found["models"]["classifier"], found["majority_baseline"]
    guess = f"{1 / max(len(found['classes']), 1):.3f}"
    ratio, ratio_meaning = describe_ratio(quality)
    memorised = quality.get("memorisation")
    n = memorised.get("n", "no") if isinstance(memorised, dict) else "no"
    numbers = (
        (
            "accuracy",
            "Accuracy",
            cell(pick(model, ("argmax", "accuracy"))),
            f"Share of test images decided rightly. Always naming {baseline['class']} would reach "
            f"{cell(baseline['accuracy'])}.",
        ),
        (
            "balanced_accuracy",
            "Balanced accuracy, balanced point",
            cell(pick(model, ("balanced", "balanced_accuracy"))),
            f"Each class counts alike. Always naming one class would reach {guess}.",
        ),
        (
            "auc",
            "AUC",
            cell(pick(model, ("auc",))),
            "How well the probabilities rank the images of each class above the rest. 0.5 is "
            "guessing, 1 is perfect.",
        ),
        (
            "at_90",
            "Melanoma sensitivity at 90 % specificity",
            cell(pick(model, ("melanoma_sensitivity_at_90_specificity",))),
            "Share of melanoma images found when one in ten other images raises a false alarm.",
        ),
        ("frechet_ratio", "Fréchet ratio", ratio, ratio_meaning),
        (
            "memorised",
            "Memorised share",
            cell(memorised, "{:.1%}"),
            f"Of {n} synthetic images, the share nearer to a training image than all but 1 % of "
            "held-out real images are. New images would show about 1 %.",
        ),
    )
    return [
        dict(zip(("key", "label", "value", "meaning"), number, strict=True)) for number in numbers
    ]


def read_confusion(path):
    """Return confusion.csv as rows of whole numbers, true class by decided class.

    Raises InputError if it is not what evaluate.py writes.
    """
    with open_input(path, "run evaluate.py") as f:
        # A file of seven rows is short; more of it is not read.
        rows = list(csv.reader(io.StringIO(f.read(1 << 16).decode("utf-8", "replace"))))
    head = ["true", *(f"decided_{c}" for c in CLASSES)]
    fits = rows[:1] == [head] and [r[:1] for r in rows[1:]] == [[c] for c in CLASSES]
    cells = [r[1:] for r in rows[1:]]
    if not fits or not all(
        len(r) == len(CLASSES) and all(v.isascii() and v.isdigit() for v in r) for r in cells
    ):
        raise InputError(f"{path}: is not the table that evaluate.py writes; run it again")
    return [[int(v) for v in r] for r in cells]


def share(part, whole, what):
    """Return '43 % of melanomas (97 of 223 images)'."""
    return f"{100 * part / whole:.0f} % of {what} ({part} of {whole} images)"


def list_costs(matrix):
    """Return a list of sentences: what deciding for the likeliest class costs.

    matrix: rows of whole numbers, true class by decided class.
    """
    mel = CLASSES.index("mel")
    melanomas, called = sum(matrix[mel]), list(matrix[mel])
    told = []
    if melanomas:
        right, called[mel] = called[mel], -1
        other = max(range(len(CLASSES)), key=called.__getitem__)
        if called[other]:
            told.append(
                f"At the likeliest class, {share(called[other], melanomas, PLURALS['mel'])} are "
                f"called {PLURALS[CLASSES[other]]}; {100 * right / melanomas:.0f} % ({right}) are "
                "recognised."
            )
        else:
            told.append(f"At the likeliest class, all {melanomas} melanoma images are recognised.")
    for ill, own, opposite in (
        (True, "malignant or pre-malignant", "benign"),
        (False, "benign", "malignant or pre-malignant"),
    ):
        rows = [row for row, m in zip(matrix, MALIGNANT, strict=True) if bool(m) is ill]
        whole = sum(map(sum, rows))
        crossed = sum(
            n for row in rows for n, m in zip(row, MALIGNANT, strict=True) if bool(m) is not ill
        )
        if whole:
            told.append(f"{share(crossed, whole, f'{own} lesions')} are called {opposite}.")
    return told
