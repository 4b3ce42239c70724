"""Are synthetic images new? Which are nearly training images, and which are mixed from two.

There are three numbers, each a share of the synthetic set: memorisation (nearly a training image),
copies (the same whatever the brightness and contrast) and mixtures (nearly on a line between two
training images). Unseen real lesions have a share of .01 each by the choice of the thresholds.
"""

import numpy as np

from lesiongan.data.classes import CLASSES
from lesiongan.files import writing
from lesiongan.measures import copies, memorisation, mixtures
from lesiongan.measures.shares import share_of

# A set does not pass as new if a share is surely above this: twice what unseen lesions have. Surely
# means that the whole 95 % interval is.
MOST_OF_UNSEEN = 0.02
FOUND = {
    "memorisation": "are nearly training images",
    "copies": "are training images but for brightness and contrast",
    "mixtures": "lie on a line between two training images, or at its end",
}


def report(inputs, synthetic, held_out, nearest_path=None):
    """Return {memorisation, copies, mixtures: estimates, passes_as_new: {value, reason}}.

    held_out: the part whose images give the thresholds. nearest_path: as in report_memorisation.
    """
    found = {
        "memorisation": report_memorisation(inputs, synthetic, held_out, nearest_path),
        "copies": report_share(inputs, synthetic, held_out, copies),
        "mixtures": report_share(inputs, synthetic, held_out, mixtures),
    }
    return {**found, "passes_as_new": decide(found)}


def decide(found):
    """Return {value: whether the set passes as new, reason: why, in words} of the three shares."""
    failed = [
        f"{100 * found[name]['value']:.1f} % {words}"
        for name, words in FOUND.items()
        if found[name]["low"] > MOST_OF_UNSEEN
    ]
    reason = f"no share is surely above {MOST_OF_UNSEEN:g}; unseen real lesions have .01"
    return {"value": not failed, "reason": "; ".join(failed) or reason}


def report_share(inputs, synthetic, held_out, module):
    """Return the estimate of the share of images nearer to training images than unseen lesions.

    module: copies or mixtures, whose ruler measures the distances. The threshold is the 1st
    percentile of held-out images' distances, in which training images of the same lesion are passed
    over.
    """
    measure = module.ruler(inputs.part("train")[0], inputs.lesions("train"))
    own = measure(synthetic.images)
    unseen = measure(inputs.part(held_out)[0], inputs.lesions(held_out))
    threshold = float(np.quantile(unseen, 0.01))
    return {
        **share_of(own < threshold, inputs.split["protocol"]),
        "threshold": threshold,
        "definition": module.DEFINITION,
    }


def report_memorisation(inputs, synthetic, held_out, nearest_path=None):
    """Return the shares of the synthetic set nearer to training images than unseen lesions are.

    Each synthetic image is written with its nearest training image to `nearest_path`, if given.
    """
    in_train = inputs.parts == "train"
    seen = (*inputs.part("train"), inputs.lesions("train"))
    unseen = (inputs.part(held_out)[0], inputs.lesions(held_out))
    m = memorisation.memorisation(synthetic.images, synthetic.labels, *seen, *unseen)
    columns = {
        "synthetic_row": np.arange(len(synthetic)),
        "label": synthetic.labels,
        "train_row": inputs.table.rows[in_train][m["position"]],
        "distance": m["distance"],
    }
    if nearest_path is not None:
        writing.write_csv(nearest_path, columns)
    protocol = inputs.split["protocol"]
    by_class = {}
    for name in CLASSES:
        found = m["by_class"][name]
        if found is None:
            by_class[name] = {"value": None, "reason": "too few images"}
        else:
            by_class[name] = {
                **share_of(found["flagged"], protocol),
                "threshold": found["threshold"],
            }
    return {
        **share_of(m["distance"] < m["threshold"], protocol),
        "threshold": m["threshold"],
        "by_class": by_class,
        "definition": "nearest training image, L2 of 7 x 7 area means, least over 8 flips and "
        "turns, below the 1st percentile of held-out images (overall) or of other "
        "lesions of the class (by class)",
    }
