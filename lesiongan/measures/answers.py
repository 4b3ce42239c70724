"""What photographs show, by a trained classifier: evaluate.py --image.

Each photograph is reduced to 28 x 28 pixels as HAM10000's are. The answer is the mean of the
classifier over the eight flips and turns, for which its probabilities are calibrated. Beside it
stand the nearest training lesions, and a warning where there is none near.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lesiongan.data import clinical
from lesiongan.data.classes import CLASSES, MALIGNANT, MEL
from lesiongan.data.photographs import find_photographs, read_photograph
from lesiongan.files import checksums, errors, records, telling, writing
from lesiongan.files.errors import InputError
from lesiongan.files.progress import progress
from lesiongan.files.telling import say
from lesiongan.measures import likeness, metrics, networks
from lesiongan.measures.predictions import check_isic, write_isic
from lesiongan.nets import clinical_network, inference, saved_models
from lesiongan.run import keras_setup, machine, packages, published

WHAT = "predictions of evaluate.py --image"
NOTE = "Research only, not for clinical use."
PHANTOM = "PHANTOM DATA: the networks have seen pictures drawn by code, no lesion."
TRAINED_ON = {"data": {"sha256": str}, "split": {"sha256": str}}
CHUNK = 256
SHOW_PROGRESS_ABOVE = 2000


@dataclass
class Answerer:
    """The networks that answer.

    classifier: keras model; options: its options.json; features: keras model of the judge's
    features, or None; known: Likeness, or None; hashes: {name: SHA-256} of the files; told: {age,
    sex, site} that the classifier was told, as words, or None.
    """

    classifier: Any
    options: dict
    features: Any
    known: likeness.Likeness | None
    hashes: dict
    told: dict | None = None

    @property
    def note(self):
        """What every output says of its answers."""
        return f"{NOTE} {PHANTOM}" if self.options["data"].get("phantom") else NOTE

    def answer(self, images):
        """Return a dict of arrays for images uint8 (n, 28, 28, 3).

        p: float64 (n, 7); with a judge also distance (n,), rows, labels, distances (n, k) of the
        nearest training lesions.
        """
        out = {"p": inference.predict_views(self.classifier, images)}
        if self.known is not None:
            found = inference.predict_views(self.features, images)
            out["distance"], at, out["distances"] = self.known.measure(found)
            out["rows"], out["labels"] = self.known.rows[at], self.known.labels[at]
        return out


def load(args):
    """Return the Answerer of a command line; raise InputError if a network is missing or damaged.

    The judge of a run may be missing; then nothing tells which training lesions are near.
    """
    if args.weights:
        published.read_card()
    folder, near = args.models_dir, args.outputs_dir / "evaluation" / likeness.FILE
    values = clinical.encode_one(args.age, args.sex, args.site)
    if values and args.weights:
        raise InputError(
            "--age, --sex and --site: the published networks take the image alone; leave them out, "
            "or train your own network by train_cnn.py --clinical"
        )
    name = "clinical" if values else "classifier"
    path = folder / networks.FOLDERS.get(name, name) / "classifier.keras"
    if not path.is_file():
        mend = (
            "run train_cnn.py --clinical first"
            if values
            else (
                "add --weights published to use the published networks, or run train_cnn.py first"
            )
        )
        raise InputError(f"{path}: no such file; {mend}")
    shape = networks.TRAINED | TRAINED_ON
    options = records.read_json(path.with_name("options.json"), "train_cnn.py", shape)
    hashes = {name: checksums.file_sha256(path)}
    if hashes[name] != options["model_sha256"]:
        raise InputError(
            f"{path}: is not the model its options.json describes; run train_cnn.py again"
        )
    classifier, told = saved_models.load_classifier(path, takes_clinical=bool(values)), None
    if values:
        classifier = clinical_network.fix(classifier, values)
        told = {"age": args.age, "sex": args.sex, "site": args.site}
    if args.weights:
        near = published.FOLDER / published.NEAREST
    judge_path = folder / "judge" / "classifier.keras"
    if not near.is_file() or not judge_path.is_file():
        return Answerer(classifier, options, None, None, hashes, told)
    judged = records.read_json(judge_path.with_name("options.json"), "train_cnn.py", TRAINED_ON)
    for what in ("data", "split"):
        if judged[what]["sha256"] != options[what]["sha256"]:
            raise InputError(
                f"{judge_path}: learned from other {what} than the classifier; train both again "
                "with the same flags"
            )
    theirs, ours = (found["split"].get("train_share") for found in (judged, options))
    if theirs != ours:
        raise InputError(
            f"{judge_path}: was trained with --train-share {theirs}, and the classifier with {ours}"
        )
    known, judge = likeness.read(near), saved_models.load_classifier(judge_path)
    if saved_models.weights_sha256(judge) != known.judge_sha256:
        raise InputError(f"{near}: is of another judge than {judge_path}; run evaluate.py again")
    hashes["judge"] = checksums.file_sha256(judge_path)
    return Answerer(classifier, options, likeness.feature_network(judge), known, hashes, told)


# ---------------------------------------------------------------- reading the photographs


def list_photographs(paths):
    """Return (paths of photographs, [fault]): a path that gives none is a fault, not the end."""
    found, faults = [], []
    for path in paths:
        try:
            found += find_photographs([path])
        except (InputError, OSError) as e:
            faults.append({"file": errors.printable(str(path)), "error": name_fault(path, e)})
    return list(dict.fromkeys(found)), faults


def name_fault(path, error):
    """Return one line of an InputError or OSError."""
    if isinstance(error, InputError):
        return errors.printable(str(error))
    return errors.printable(f"{path}: cannot be read ({error.strerror or error})")


def read_chunks(paths, crop):
    """Yield (paths, images uint8 (k, 28, 28, 3), faults) of CHUNK photographs at a time.

    While a chunk is in use, the next ones are decoded.
    """

    def read(path):
        try:
            return read_photograph(path, crop)
        except (InputError, OSError) as e:
            return {"file": errors.printable(str(path)), "error": name_fault(path, e)}

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        waiting = [paths[i : i + CHUNK] for i in range(0, len(paths), CHUNK)]
        begun = [[pool.submit(read, p) for p in chunk] for chunk in waiting[:2]]
        for i, chunk in enumerate(waiting):
            if i + 2 < len(waiting):
                begun.append([pool.submit(read, p) for p in waiting[i + 2]])
            found = [future.result() for future in begun[i]]
            begun[i] = []
            good = [j for j, x in enumerate(found) if not isinstance(x, dict)]
            images = np.array([found[j] for j in good], np.uint8).reshape(-1, 28, 28, 3)
            yield [chunk[j] for j in good], images, [x for x in found if isinstance(x, dict)]


# ---------------------------------------------------------------- the answers


def decide(points, p):
    """Return [dict] for probabilities (n, 7): the decisions at the classifier's operating points.

    Malignant is the sum of akiec, bcc and mel. A threshold at 90 % specificity is one that 90 % of
    the benign images of the val part stay below.
    """
    scores = {"malignant": p[:, MALIGNANT].sum(axis=1), "melanoma": p[:, MEL]}
    balanced = metrics.balanced_decision(p, np.array(points["balanced_shift"]))
    out = []
    for i, row in enumerate(p):
        answer = {
            "diagnosis": CLASSES[row.argmax()],
            "diagnosis_at_balanced_point": CLASSES[balanced[i]],
            "probabilities": dict(zip(CLASSES, row.tolist(), strict=True)),
        }
        for name, score in scores.items():
            limits = {a: points[f"{name}_threshold_at_{a}_specificity"] for a in (90, 95)}
            answer[name] = {
                "probability": float(score[i]),
                **{f"at_{a}_specificity": bool(score[i] >= t) for a, t in limits.items()},
            }
        out.append(answer)
    return out


def describe_nearest(found, known, i):
    """Return the dict of what is near to image i of Answerer.answer."""
    lesions = zip(found["rows"][i], found["labels"][i], found["distances"][i], strict=True)
    return {
        "distance": float(found["distance"][i]),
        "unlike_training_data": bool(found["distance"][i] > known.unlike),
        "copy_of_a_training_image": bool(found["distance"][i] < known.copy),
        "nearest_training_lesions": [
            {"row": int(row), "class": CLASSES[code], "distance": float(d)}
            for row, code, d in lesions
        ],
    }


def answer(args, draw_maps=None):
    """Answer the photographs of a command line; return the exit code: 0 if any was answered.

    draw_maps: called with (args, answerer, images, answers) for --map; it adds to the answers.
    """
    telling.start("evaluate", args.quiet, args.log_json)
    packages.check_packages(needs_networks=True)
    check_targets(args)
    paths, faults = list_photographs(args.image)
    if args.isic_submission:
        check_names(paths)
    if args.dry_run:
        say(f"evaluate: {count_photographs(paths)}; {NOTE}")
        return 0 if paths else 2
    answers, images, networks_used = [], [], {}
    if paths:
        keras_setup.quiet_tensorflow(args.deterministic)
        answerer = load(args)
        networks_used = published.identify_networks(answerer.hashes)
        print_head(args, answerer, paths)
        say(f"  backend: {machine.describe_backend()}")
        bar = progress(
            len(paths), 0, "photographs", "photograph", shown=len(paths) > SHOW_PROGRESS_ABOVE
        )
        for chunk, pictures, wrong in read_chunks(paths, args.crop):
            faults += wrong
            bar.update(len(chunk) + len(wrong))
            if chunk:
                answers += answer_chunk(answerer, chunk, pictures)
                images.append(pictures)
        bar.close()
    if answers:
        if draw_maps:
            draw_maps(args, answerer, np.concatenate(images), answers)
        print_table(answers)
    for fault in faults:
        say(f"  not answered: {fault['error']}")
    say(f"evaluate: {len(answers)} of {len(answers) + len(faults)} answered. {NOTE}")
    if answers:
        write_files(args, answerer, networks_used, answers, faults)
    return 0 if answers else 2


def answer_chunk(answerer, paths, images):
    """Return [dict], the answers to photographs that were read from `paths`."""
    found = answerer.answer(images)
    answers = decide(answerer.options["operating_points"], found["p"])
    for i, (path, said) in enumerate(zip(paths, answers, strict=True)):
        said = {"file": errors.printable(str(path)), **said}
        if answerer.known is not None:
            said |= describe_nearest(found, answerer.known, i)
        answers[i] = said
    return answers


# ---------------------------------------------------------------- what is printed and written


def count_photographs(paths):
    """Return the number of photographs in words."""
    return f"{len(paths)} photograph{'s' * (len(paths) != 1)}"


def print_head(args, answerer, paths):
    """Print which networks answer, and at which operating points."""
    points = answerer.options["operating_points"]
    say(f"evaluate: {count_photographs(paths)}. {answerer.note}")
    own = f"networks of {args.models_dir}/, trained on {answerer.options['data']['name']}"
    say(f"  {published.describe() if args.weights else own}")
    if answerer.told:
        words = (f"{k} {'unknown' if v is None else v}" for k, v in answerer.told.items())
        say(f"  told for all of them: {', '.join(words)}")
    limit = points["malignant_threshold_at_90_specificity"]
    say(
        f"  malignant: P(akiec) + P(bcc) + P(mel) of at least {limit:.2f}, which 90 % of benign "
        "val images stay below"
    )
    if answerer.known is None:
        say("  no judge: nothing tells whether a photograph is like the training images")


def print_table(answers):
    """Print a line for each answered photograph."""
    names = [shorten(said["file"], 40) for said in answers]
    width = max(len("photograph"), *map(len, names))
    head = f"  {'photograph':{width}}  most likely  malignant?"
    if "nearest_training_lesions" in answers[0]:
        head += "       nearest training images: row, class"
    say(head)
    for name, said in zip(names, answers, strict=True):
        code, malignant = said["diagnosis"], said["malignant"]
        verdict = "malignant" if malignant["at_90_specificity"] else "benign"
        line = f"{name:{width}}  {code:5} {said['probabilities'][code]:.3f}"
        line += f"  {malignant['probability']:.3f} {verdict:9}"
        if "nearest_training_lesions" in said:
            near = (f"{n['row']} {n['class']}" for n in said["nearest_training_lesions"])
            line += f"  {', '.join(near)}"
            if said["unlike_training_data"]:
                line += "  WARNING: unlike the training images, so this answer means nothing"
            if said["copy_of_a_training_image"]:
                line += "  (a training image, or nearly)"
        say("  " + line.rstrip())


def shorten(text, most):
    """Return the end of a long text."""
    return text if len(text) <= most else "…" + text[1 - most :]


def check_targets(args):
    """Raise InputError if a file that is asked for would replace something else."""
    if args.isic_submission:
        check_isic(Path(args.isic_submission), args.image)
    if not args.json:
        return
    if args.isic_submission and Path(args.isic_submission).resolve() == args.json.resolve():
        raise InputError(f"--json {args.json}: is the file of --isic-submission; name another")
    writing.check_target(args.json)
    if os.path.lexists(args.json):
        try:
            ours = not args.json.is_symlink()
            ours = ours and records.read_json(args.json, "evaluate.py").get("what") == WHAT
        except InputError:
            ours = False
        if not ours:
            raise InputError(
                f"--json {args.json}: is there and is no file of answers; name another"
            )


def quote(name):
    """Return a file's name as a field of a CSV, in quotes where it needs them."""
    return '"{}"'.format(name.replace('"', '""')) if set(name) & set(',"') else name


def check_names(paths):
    """Raise InputError for two photographs that the ISIC submission would name alike."""
    named: dict[str, Path] = {}
    for path in paths:
        other = named.setdefault(Path(path).stem, path)
        if other is not path:
            raise InputError(
                f"{path}: would have the name of {other} in the --isic-submission, which has no "
                "folders and no endings; rename one"
            )


def write_files(args, answerer, networks_used, answers, faults):
    """Write the JSON file and the ISIC submission, as far as they are asked for."""
    if args.isic_submission:
        p = np.array([list(said["probabilities"].values()) for said in answers])
        names = [quote(Path(said["file"]).stem) for said in answers]
        write_isic(Path(args.isic_submission), names, p)
    if args.json:
        trained = answerer.options
        content = {
            "what": WHAT,
            "note": answerer.note,
            "networks": networks_used,
            "trained_on": {"data": trained["data"], "split": trained["split"]},
            "views": 8,
            "told": answerer.told,
            "crop": args.crop,
            "operating_points": trained["operating_points"],
            "unlike_above": answerer.known.unlike if answerer.known else None,
            "images": answers,
            "not_answered": faults,
        }
        writing.write_json(args.json, content)
        say(f"  answers -> {args.json}")
