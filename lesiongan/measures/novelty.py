"""Are synthetic images new? Which are nearly training images, and which are mixed from two.

There are three numbers, each a share of the synthetic set: memorisation (nearly a training image),
copies (the same whatever the brightness and contrast) and mixtures (nearly on a line between two
training images). Unseen real lesions have a share of .01 each by the choice of the thresholds.
"""

import numpy as np
import scipy.stats

from lesiongan.data.classes import CLASSES
from lesiongan.files import writing
from lesiongan.measures import copies, memorisation, mixtures
from lesiongan.measures.shares import share_of
from lesiongan.run.inputs import Inputs

FOUND = {
    "memorisation": "are nearly training images",
    "copies": "are training images but for brightness and contrast",
    "mixtures": "lie on a line between two training images, or at its end",
}


def report(inputs, synthetic, held_out, nearest_path=None):
    """Return {memorisation, copies, mixtures: estimates, passes_as_new: see decide}.

    held_out: the part whose images give the thresholds. nearest_path: as in report_memorisation.
    """
    found = {
        "memorisation": report_memorisation(inputs, synthetic, held_out, nearest_path),
        "copies": report_share(inputs, synthetic, held_out, copies),
        "mixtures": report_share(inputs, synthetic, held_out, mixtures),
    }
    return {**found, "passes_as_new": decide(found, int((inputs.parts == held_out).sum()))}


def decide(found, n):
    """Return {passes: whether the set does as new, limit, reason} of the three shares.

    It does not if a share is surely above the limit: if its whole 95 % interval is. limit: what
    unseen lesions may have, when n held-out images gave the thresholds. The fewer they are, the
    less is known of their 1st percentile; then unseen lesions have a share that is distributed as
    Beta, and the limit is its upper 2.5 %.
    """
    below = int(0.01 * (n - 1)) + 1
    limit = float(scipy.stats.beta.ppf(0.975, below + 1, max(n - below, 1)))
    failed = [
        f"{100 * found[name]['value']:.1f} % {words}"
        for name, words in FOUND.items()
        if found[name]["low"] > limit
    ]
    reason = f"no share is surely above {limit:.3f}, which unseen lesions may have"
    return {"passes": not failed, "limit": limit, "reason": "; ".join(failed) or reason}


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


def report_memorisation(inputs: Inputs, synthetic, held_out, nearest_path=None):
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
