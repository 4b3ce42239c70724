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
        "label_agreement": label_agreement(judge, synthetic, test_images, test_labels),
        "diversity": diversity(features["fake"], synthetic.labels, features["test"], test_labels),
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
        some, some_test = rng.permutation(n)[:m], rng.permutation(len(test_features))[:m]
        for end, features in (("", fake), ("_half_b", real)):
            found = fidelity.prdc(test_features[some_test], features[some])
            draw |= {k + end: (v, m) for k, v in found.items()}
        draws.append(draw)
    out = {}
    for name in draws[0]:
        values = np.array([d[name][0] for d in draws])
        out[name] = {"value": values.mean(), "std": values.std(ddof=1), "n": draws[0][name][1]}
    out["frechet_ratio"] = {"value": out["frechet"]["value"] / out["frechet_floor"]["value"], "n": n}
    return n, out


def label_agreement(judge, synthetic, test_images, test_labels):
    """By class: share of synthetic images the judge gives their own label, beside its recall on held-out real ones."""
    fake, real = judge.decide(synthetic.images), judge.decide(test_images)
    out = {}
    for code, name in enumerate(CLASSES):
        f, r = synthetic.labels == code, test_labels == code
        if not f.any() or not r.any():
            out[name] = {"value": None, "reason": "no images of this class in the set or in test"}
            continue
        a, b = (fake[f] == code).mean(), (real[r] == code).mean()
        se = np.sqrt(a * (1 - a) / f.sum() + b * (1 - b) / r.sum())
        out[name] = {"value": a, "n": int(f.sum()), "real_recall": b, "real_n": int(r.sum()), "se": se}
    return out


def diversity(fake, fake_labels, real, real_labels):
    """By class: mean pairwise feature distance between synthetic images over that between held-out real ones."""
    out = {}
    for code, name in enumerate(CLASSES):
        own = [x[labels == code][:1000] for x, labels in ((fake, fake_labels), (real, real_labels))]
        if min(map(len, own)) < 2:
            out[name] = {"value": None, "reason": "fewer than two images"}
            continue
        spread = [np.sqrt(fidelity.squared_distances(x, x)).sum() / (len(x) * (len(x) - 1)) for x in own]
        out[name] = {"value": spread[0] / spread[1], "n": len(own[0]), "real_n": len(own[1])}
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
    by_class = {c: v or {"value": None, "reason": "too few images"} for c, v in m["by_class"].items()}
    return {"value": m["share"], "n": len(synthetic), "threshold": m["threshold"], "by_class": by_class,
            "definition": "nearest training image, L2 of 7 x 7 area means, least over 8 flips and turns, below the 1st "
                          "percentile of held-out images (overall) or of other lesions of the class (by class)"}  # fmt: skip
