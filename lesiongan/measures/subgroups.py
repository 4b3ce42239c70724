"""The classifier's scores by the patients' age and sex and by the site of the lesion."""

from typing import Any

import numpy as np

from lesiongan.measures import bootstrap, estimates

FILE = "subgroups.json"
AGES = ((0, 30), (30, 45), (45, 60), (60, 75), (75, 200))
# A group with fewer images has intervals that say nothing.
LEAST_IMAGES = 30
SCORES = (
    "argmax.accuracy",
    "auc_malignant",
    "malignant_sensitivity_at_val_threshold_90",
    "malignant_specificity_at_val_threshold_90",
)


def name_ages(ages):
    """Return str (n,): the age group of ages that are text, `unknown` where they are no number."""
    import pandas as pd

    years = pd.to_numeric(pd.Series(list(ages)), errors="coerce").to_numpy()
    names = np.full(len(years), "unknown", dtype="<U12")
    for low, high in AGES:
        label = f"{low} to {high - 1}" if high < 200 else f"{low} and over"
        names[(years >= low) & (years < high)] = label
    return names


def group(metadata):
    """Return {what: str (n,)}: the group of each image by age, sex and site, as far as known."""
    out = {}
    if "age" in metadata:
        out["age"] = name_ages(metadata["age"])
    for what, column in (("sex", "sex"), ("site", "localization")):
        if column in metadata:
            values = metadata[column].astype(str).str.strip().str.lower()
            out[what] = values.where(values != "", "unknown").to_numpy(str)
    return out


def compute(y, p, points, lesions, metadata, protocol):
    """Return {what: {group: {images, lesions, malignant, <score>: estimate}}}.

    y, p: labels (n,) and probabilities (n, 7); points: the operating points; lesions: str (n,);
    metadata: DataFrame, one row an image. Groups of under LEAST_IMAGES images have counts alone.
    The intervals are bootstrap intervals over the lesions of the group.
    """
    out: dict[str, dict[str, dict]] = {}
    for what, names in group(metadata).items():
        out[what] = {}
        for name in sorted(set(names)):
            own = names == name
            found: dict[str, Any] = {"images": int(own.sum()), "lesions": len(set(lesions[own]))}
            if found["images"] >= LEAST_IMAGES:
                measure = estimates.build_measure(y[own], p[own], points)
                scores = bootstrap.with_intervals(
                    lambda w, measure=measure: pick(measure(w)), lesions[own], estimates.DRAWS
                )
                for score, values in scores.items():
                    found[score] = estimates.estimate(*values, found["images"], protocol)
            else:
                found["reason"] = f"fewer than {LEAST_IMAGES} images"
            out[what][name] = found
    return out


def pick(measured):
    """Return those of a measure's values that are in SCORES, by their last name."""
    return {name.split(".")[-1]: measured[name] for name in SCORES if name in measured}
