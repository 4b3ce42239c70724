"""What each figure of the report shows, in a sentence for readers who do not see it."""

import math

from lesiongan.data.classes import CLASS_NAMES, CLASSES
from lesiongan.files import records
from lesiongan.measures import texture
from lesiongan.plots.findings import cell, pick

SEEN = {
    "real_and_synthetic": (
        "Two blocks of small pictures with a row for each diagnosis: {train} real training images "
        "are behind the left block, synthetic images behind the right one."
    ),
    "class_grid": (
        "Seven rows of ten synthetic lesions, a row for each diagnosis; the pictures of a column "
        "are drawn from the same latent vector."
    ),
    "interpolation": (
        "Seven rows of ten synthetic lesions, a row for each diagnosis, which change step by step "
        "from one latent vector on the left to another on the right."
    ),
    "gan_training": (
        "Two line charts over the epochs: the losses of critic and generator, and how often the "
        "critic ranks a real image above a synthetic one."
    ),
    "embedding": (
        "Two scatter plots side by side, with held-out real images and synthetic images as points "
        "in the colours of their diagnoses."
    ),
    "label_agreement": (
        "Pairs of bars for each diagnosis: the judge's recall on real images and its agreement "
        "with the labels of synthetic ones; for melanoma {recall} and {agreement}."
    ),
    "spectrum": (
        "Two line charts over the spatial frequency, a line for each diagnosis: the power of "
        "synthetic over real training images, and of real training over held-out images; the "
        "ratio farthest from 1 is {deviation}."
    ),
    "nearest_pairs": (
        "Synthetic images in a row, each above the training image nearest to it, with their "
        "distance; share of the synthetic images that count as memorised: {memorised}."
    ),
    "cnn_training": (
        "Two line charts over the epochs: log-loss, and accuracy on the val part, for the "
        "classifier with synthetic images and without."
    ),
    "confusion": (
        "Matrix of seven true diagnoses by seven decided ones, coloured by the share of each true "
        "diagnosis; {right} images are on its diagonal."
    ),
    "roc_and_pr": (
        "Two charts with a curve for each diagnosis, ROC on the left and precision-recall on the "
        "right; the mean area under the ROC curves is {auc}."
    ),
    "calibration": (
        "Accuracy against the top probability in 15 bins, beside the diagonal of perfect "
        "calibration; the expected calibration error is {ece}."
    ),
    "mistakes": (
        "The most confident mistakes in a row: above each picture its true diagnosis, below it the "
        "decided one with its probability."
    ),
    "class_counts": ("Bars of the number of images and of lesions of each diagnosis in the table."),
    "samples": ("Seven rows of real lesions, a row for each diagnosis."),
    "class_means": (
        "Mean picture of each diagnosis, and below it how much its images vary: the standard "
        "deviation of each pixel, times 2.5."
    ),
    "colours": ("Box plots of the mean red, green and blue of the images of each diagnosis."),
    "metadata": (
        "Patients' age, sex and the lesion's site for each diagnosis: box plots and two tables "
        "coloured by share."
    ),
    "leakage": (
        "Bars for each diagnosis: the share of test images whose lesion has another photograph "
        "among the training images, {leaking}; it is 0 % by lesion."
    ),
    "near_duplicates": (
        "Pairs of nearly equal images, one above the other, with their rows in the table and their "
        "diagnoses."
    ),
    "epoch": (
        "Seven rows of twelve synthetic lesions, a row for each diagnosis, drawn from the same "
        "latent vectors after epoch {epoch}."
    ),
}
UNKNOWN = "not measured"
VALUE = {"value": records.NUMBER}


def farthest(quality):
    """Return the ratio of power that is farthest from 1, with its diagnosis, as words."""
    spectra = quality.get("spectrum")
    if records.find_fault(spectra, texture.SPECTRA, ""):
        return UNKNOWN
    known = {c: v for c, f in spectra.items() if (v := f["deviation"]["value"])}
    if not known:
        return UNKNOWN
    worst = max(known, key=lambda c: abs(math.log(known[c])))
    return f"{known[worst]:.2f} ({CLASS_NAMES[worst]})"


def describe(name, split, found=None, quality=None, matrix=None, epoch=None):
    """Return the sentence that stands in place of figure `name`.

    split: the record of the split; found, quality, matrix: metrics.json, synthetic_quality.json and
    the rows of confusion.csv, where they are there.
    """
    if name not in SEEN:
        return f"Figure {name.replace('_', ' ')}, described by its caption."
    model = (found or {}).get("models", {}).get("classifier", {})
    agreement = pick(quality or {}, ("label_agreement", "mel"))

    def show(block, path=(), form="{:.3f}"):
        estimate = pick(block, path)
        # Why there is none stands beside the figure, and would make no sense in a sentence.
        return UNKNOWN if records.find_fault(estimate, VALUE, "") else cell(estimate, form)

    right = sum(matrix[i][i] for i in range(len(CLASSES))) if matrix else UNKNOWN
    return SEEN[name].format(
        train=sum(split["images"]["train"]),
        leaking="by the file's own split"
        if split.get("protocol", "").startswith("official")
        else "were the split by image",
        recall=show(agreement, ("real_recall",)),
        agreement=show(agreement),
        deviation=farthest(quality or {}),
        memorised=show(quality or {}, ("memorisation",), "{:.1%}"),
        right=f"{right} of {sum(map(sum, matrix))}" if matrix else right,
        auc=show(model, ("auc",)),
        ece=show(model, ("ece",)),
        epoch=epoch,
    )
