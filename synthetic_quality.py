"""How good is the synthetic set? synthetic_quality.json, as evaluate.py writes it.

Distances to held-out images in the judge's features, each beside the same distance of real images the judge never
learned from (half B: the floor); precision to coverage; label agreement; diversity; memorisation. The judge measures and
does nothing else: no sample is chosen and no option tuned by it.
"""

import numpy as np

import fidelity
import runlog
from ham10000 import CLASSES, class_counts
from lesions import half_a

IMAGES, DRAWS = 2000, 5
STUDENT_95 = 2.776  # 97.5 % quantile of Student's t with DRAWS - 1 degrees of freedom


class Judge:
    """The judge's view of images. `options`: its options.json; components are fitted on half A of the train part."""

    def __init__(self, model, options, run):
        import keras

        self.sha256 = options["model_sha256"]
        self.model = keras.Model(model.input, [model.get_layer("features").output, model.output])
        self.components = fidelity.Components(self.look(run.table.images[half_a(run.table, run.parts)])[0])

    def look(self, images):
        """(raw features float64 (n, d), probabilities float64 (n, 7)) of uint8 images (n, 28, 28, 3)."""
        outputs = self.model.predict(images.astype(np.float32), batch_size=500, verbose=0)
        return [o.astype(np.float64) for o in outputs]

    def features(self, images):
        """float64 (n, 64)."""
        return self.components(self.look(images)[0])

    def decide(self, images):
        """int (n,): the class the judge sees."""
        return self.look(images)[1].argmax(axis=1)


def generate(generator, labels, seed):
    """uint8 images (n, 28, 28, 3) from a saved generator, for labels (n,)."""
    z = np.random.default_rng([seed, 6]).standard_normal((len(labels), generator.inputs[0].shape[1]), dtype=np.float32)
    images = generator.predict([z, labels.astype(np.int32)], batch_size=250, verbose=0)
    return np.clip(np.rint(images), 0, 255).astype(np.uint8)


def measure(run, synthetic, judge, generator):
    """The whole of synthetic_quality.json as a dict.

    synthetic: Table of the synthetic set; judge: Judge or None; generator: keras model or None, in which case distances are
    measured on the synthetic set itself, as far as its classes reach.
    """
    if judge is None:
        return {"value": None, "reason": "no judge: run train_cnn.py --role judge"}
    test_images, test_labels = run.part("test")
    features = {"fake": judge.features(synthetic.images), "test": judge.features(test_images)}
    n, distances = measure_distances(run, synthetic, judge, generator, features["fake"], features["test"])
    measured = run.split["protocol"]
    protocol = (
        f"{run.split['protocol']}; judge features, {fidelity.COMPONENTS} components fitted on half A; {n} images in the "
        f"train part's class mix against the {len(test_labels)} of the test part, mean of {DRAWS} draws; the floor is as "
        "many real images of half B"
    )
    return {
        "protocol": protocol,
        "source": "synthetic table" if generator is None else "fresh draws from the saved generator",
        "judge_sha256": judge.sha256,
        "data": run.identity["data"],
        "note": run.data_note,
        "distances": distances,
        "label_agreement": label_agreement(judge, synthetic, test_images, test_labels, measured),
        "diversity": diversity(features["fake"], synthetic.labels, features["test"], test_labels, measured),
        "memorisation": report_memorisation(run, synthetic),
    }


def measure_distances(run, synthetic, judge, generator, fake_features, test_features):
    """(n, {name: {value, std, n}}): Frechet, KID, precision, recall, density and coverage, synthetic and half B."""
    half_b = (run.parts == "train") & ~half_a(run.table, run.parts)
    b_labels, b_features = run.table.labels[half_b], judge.features(run.table.images[half_b])
    mix = class_counts(run.part("train")[1])
    n = min(IMAGES, len(b_labels))
    m = min(n, len(test_features))  # precision to coverage need equally many
    draws = []
    for seed in range(DRAWS):
        rng = np.random.default_rng([seed, 7])
        at = fidelity.draw_in_mix(b_labels, mix, n, rng)
        real = b_features[at]
        if generator is None:
            fake = fake_features[fidelity.draw_in_mix(synthetic.labels, mix, n, rng)]
        else:
            fake = judge.features(generate(generator, b_labels[at], seed))
        draw = {}
        for end, features in (("", fake), ("_floor", real)):
            draw["frechet" + end] = (fidelity.frechet_distance(features, test_features), n)
            draw["kid" + end] = (fidelity.kernel_distance(features, test_features), n)
        draws.append(draw)
        if m <= fidelity.NEIGHBOURS:
            continue
        some, some_test = rng.permutation(n)[:m], rng.permutation(len(test_features))[:m]
        for end, features in (("", fake), ("_half_b", real)):
            found = fidelity.prdc(test_features[some_test], features[some])
            draw |= {k + end: (v, m) for k, v in found.items()}
    out = {}
    for name in draws[0]:
        out[name] = mean_of_draws([d[name][0] for d in draws], draws[0][name][1], run.split["protocol"])
    ratios = [d["frechet"][0] / d["frechet_floor"][0] for d in draws]
    out["frechet_ratio"] = mean_of_draws(ratios, n, run.split["protocol"])
    return n, out


def mean_of_draws(values, n, protocol):
    """A figure: the mean over draws, with Student's 95 % interval of that mean."""
    mean, std = np.mean(values), np.std(values, ddof=1)
    half = STUDENT_95 * std / np.sqrt(len(values))
    return {"value": mean, "low": mean - half, "high": mean + half, "std": std, "n": n,
            "protocol": f"{protocol}; mean of {DRAWS} draws"}  # fmt: skip


def share_of(flags, protocol):
    """A figure: the share of True, with Wilson's 95 % interval."""
    n, p, z = len(flags), np.mean(flags), 1.959964
    middle, half = (p + z**2 / (2 * n)), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    low, high = np.clip((middle + np.array([-half, half])) / (1 + z**2 / n), 0, 1)
    return {"value": p, "low": low, "high": high, "n": n, "protocol": protocol}


def label_agreement(judge, synthetic, test_images, test_labels, protocol):
    """By class: share of synthetic images the judge gives their own label, beside its recall on held-out real ones."""
    fake, real = judge.decide(synthetic.images), judge.decide(test_images)
    out = {}
    for code, name in enumerate(CLASSES):
        f, r = synthetic.labels == code, test_labels == code
        if not f.any() or not r.any():
            out[name] = {"value": None, "reason": "no images of this class in the set or in test"}
            continue
        agreement, recall = share_of(fake[f] == code, protocol), share_of(real[r] == code, protocol)
        se = np.sqrt(sum(s["value"] * (1 - s["value"]) / s["n"] for s in (agreement, recall)))
        out[name] = {**agreement, "real_recall": recall, "se_of_difference": se}
    return out


def diversity(fake, fake_labels, real, real_labels, protocol, draws=200):
    """By class: mean pairwise feature distance between synthetic images over that between held-out real ones.

    The interval is a bootstrap over images of both sets.
    """
    rng = np.random.default_rng(0)
    out = {}
    for code, name in enumerate(CLASSES):
        own = [x[labels == code][:1000] for x, labels in ((fake, fake_labels), (real, real_labels))]
        if min(map(len, own)) < 2:
            out[name] = {"value": None, "reason": "fewer than two images"}
            continue
        spread, boot = [], []
        for x in own:
            d = np.sqrt(fidelity.squared_distances(x, x))
            w = np.vstack([np.ones(len(x)), rng.multinomial(len(x), np.full(len(x), 1 / len(x)), draws)])
            pairs = w.sum(axis=1) ** 2 - (w**2).sum(axis=1)  # an image drawn twice is no pair
            means = ((w @ d) * w).sum(axis=1) / np.maximum(pairs, 1)
            spread.append(means[0])
            boot.append(means[1:])
        low, high = np.quantile(boot[0] / np.maximum(boot[1], 1e-12), [0.025, 0.975])
        out[name] = {"value": spread[0] / spread[1], "low": low, "high": high, "n": len(own[0]), "real_n": len(own[1]),
                     "protocol": protocol}  # fmt: skip
    return out


def report_memorisation(run, synthetic):
    """Shares of the synthetic set nearer to training images than unseen lesions come; nearest.csv holds each pair."""
    images, labels = run.part("train")
    in_train = run.parts == "train"
    m = fidelity.memorisation(
        synthetic.images, synthetic.labels, images, labels, run.table.lesions[in_train], run.part("test")[0]
    )
    columns = {"synthetic_row": np.arange(len(synthetic)), "label": synthetic.labels,
               "train_row": run.table.rows[in_train][m["position"]], "distance": m["distance"]}  # fmt: skip
    runlog.write_csv(run.args.outputs_dir / "evaluation" / "nearest.csv", columns)
    protocol = run.split["protocol"]
    by_class = {}
    for name in CLASSES:
        found = m["by_class"][name]
        if found is None:
            by_class[name] = {"value": None, "reason": "too few images"}
        else:
            by_class[name] = {**share_of(found["flagged"], protocol), "threshold": found["threshold"]}
    return {**share_of(m["distance"] < m["threshold"], protocol), "threshold": m["threshold"], "by_class": by_class,
            "definition": "nearest training image, L2 of 7 x 7 area means, least over 8 flips and turns, below the 1st "
                          "percentile of held-out images (overall) or of other lesions of the class (by class)"}  # fmt: skip
