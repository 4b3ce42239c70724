"""Soft labels: the probabilities of trained classifiers in the place of labels.

A classifier that has learned from real lesions says of each synthetic image what it shows; another
learns from what it says (distillation, Hinton et al. 2015; with the images of a conditional GAN,
Ding et al. 2021, arXiv:2104.03164).
"""

from pathlib import Path

import numpy as np

from lesiongan.files.errors import InputError
from lesiongan.files.telling import say
from lesiongan.measures import networks
from lesiongan.nets import inference, saved_models


def check(run, paths, folder):
    """Raise InputError unless every teacher is a classifier of this run's data, split and share.

    Their hashes become inputs of the run. paths: of the files classifier.keras, each with its
    options.json beside it; folder: where the new network is kept. Another teacher may have seen val
    or test, or lesions that are not ours.
    """
    for i, path in enumerate(map(Path, paths)):
        options = run.inputs.check_made_from(
            path.parent / "options.json", "train_cnn.py", {"model_sha256": str, "options": dict}
        )
        networks.check_share(run, path.parent, options)
        if str(options.get("synthetic_origin")).startswith("LEAKY"):
            raise InputError(f"{path}: has learned from images of a leaky generator; name another")
        if path.parent.resolve() == Path(folder).resolve():
            raise InputError(
                f"{path}: would be replaced by the network that learns from it; copy its folder, "
                "or give another --models-dir"
            )
        made = options["options"]
        # Its probabilities are of the uniform prior, too.
        if made.get("role") == "judge":
            raise InputError(
                f"{path}: is the judge, which measures synthetic images and so must not choose "
                "them; name a classifier or control"
            )
        if made.get("task") != "dx" or made.get("clinical"):
            raise InputError(
                f"{path}: is no classifier of the seven diagnoses by the image alone; name a "
                "models/cnn/classifier.keras or models/control/classifier.keras"
            )
        if run.hash_file(f"teacher{i}", path) != options["model_sha256"]:
            raise InputError(f"{path}: is not the model that its options.json describes")


def soften(run, paths, images):
    """Return float32 (n, 7): the mean probabilities of the teachers for uint8 images (n, ...).

    Each is averaged over eight views. They hold under the train part's prior, as a classifier's do.
    """
    found = np.zeros((len(images), 7))
    for i, path in enumerate(paths):
        model = saved_models.load_classifier(path)
        run.check_not_replaced(f"teacher{i}", path)
        found += inference.predict_views(model, images) / len(paths)
    return found.astype(np.float32)


def keep_agreeing(soft, labels, least):
    """Return bool (n,): the images to which the teachers give `least` of their own label or more.

    soft: float (n, 7); labels: int (n,). Raises InputError if none is left.
    """
    kept = soft[np.arange(len(labels)), labels] >= least
    if not kept.any():
        raise InputError(
            f"--least-agreement {least:g}: the teachers agree with no synthetic label so far; "
            "lower it"
        )
    say(f"  {kept.sum()} of {len(kept)} synthetic images kept: the teachers agree on their labels")
    return kept
