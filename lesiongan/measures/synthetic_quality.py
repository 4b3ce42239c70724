"""How good is the synthetic set? synthetic_quality.json, as evaluate.py writes it.

It holds distances to held-out images in the judge's features, each beside the same distance of real
images the judge never learned from (half B: the floor, which is the real-vs-real reference);
precision, recall, density and coverage; label agreement; diversity; memorisation. The judge
measures and does nothing else: no sample is chosen and no option tuned by it. results/TEST_LOG.md
notes the one time that its reading was known when a default changed. (benchmarks/gan_probe.py
tunes, with the halves swapped and val in place of test.)
"""

from typing import Any

import numpy as np

from lesiongan.data.classes import CLASSES, class_counts
from lesiongan.measures import bootstrap, distances, estimates, metrics, novelty, texture
from lesiongan.measures.shares import DRAWS, mean_of_draws, share_of, share_over_lesions
from lesiongan.nets.drawing import draw_latents, generate
from lesiongan.run import streams
from lesiongan.run.inputs import Inputs

IMAGES = 2000

# A judge that knows real images no better than this has no features to measure synthetic ones in.
# HAM10000's has .65.
LEAST_JUDGE = 0.5

# A class with fewer held-out images, or fewer in half B, has no coverage of its own.
CLASS_IMAGES = 50


def measure(
    inputs: Inputs,
    synthetic,
    judge,
    generator,
    nearest_path=None,
    held_out="test",
    most=IMAGES,
    most_patches=None,
    seen: Inputs | None = None,
):
    """Return the whole of synthetic_quality.json as a dict.

    synthetic: Table of the synthetic set; judge: Judge, or None, without which only its novelty and
    its texture are measured, against the part `held_out`; generator: keras model, or None, without
    which distances are measured on the synthetic set itself, for the classes that it has.
    nearest_path: where the nearest training images are written, or None. most: images to measure
    distances of, and patches, unless most_patches says how many. seen: inputs whose train part the
    generator learned from, if that is the other share of a --train-fraction: copies, patches and
    spectra are compared with that part.
    """
    seen, most_patches = seen or inputs, most_patches or most

    def without_judge(reason, held_out, **more):
        found = novelty.report(seen, synthetic, held_out, nearest_path)
        found |= texture.report(seen, synthetic, generator, held_out, most_patches)
        return {
            "value": None,
            "reason": reason,
            "protocol": inputs.split["protocol"],
            "data": inputs.data,
            "note": inputs.data_note,
            **found,
            **more,
        }

    if judge is None:
        return without_judge("no judge: run train_cnn.py --role judge", held_out)
    accuracy = estimate_judge(judge, inputs)
    if accuracy["value"] < LEAST_JUDGE:
        reason = (
            f"not measurable: the judge's balanced accuracy on {accuracy['n']} held-out real "
            f"images is {accuracy['value']:.2f}, and at least {LEAST_JUDGE:.2f} is needed; train "
            "it longer or on more images (train_cnn.py --role judge)"
        )
        return without_judge(reason, judge.held_out, judge_balanced_accuracy=accuracy)
    if judge.floor.sum() < 2:
        return without_judge(
            "not measurable: half B, the train images that the judge never saw, has fewer than two "
            "images",
            judge.held_out,
            judge_balanced_accuracy=accuracy,
        )
    if plan_draws(inputs, synthetic if generator is None else None, judge, most)[1] < 2:
        return without_judge(
            "too few synthetic images, or images of half B, for distances in the train part's "
            "class mix",
            judge.held_out,
            judge_balanced_accuracy=accuracy,
        )
    held_out, lesions = inputs.part(judge.held_out)[1], inputs.lesions(judge.held_out)
    features, held_features = (
        judge.features(synthetic.images),
        judge.features(inputs.part(judge.held_out)[0]),
    )
    n, overall, by_class = measure_distances(
        inputs, synthetic, judge, generator, features, held_features, most=most
    )
    measured = inputs.split["protocol"]
    classes = np.unique(synthetic.labels) if generator is None else np.arange(len(CLASSES))
    mix = "train part's class mix"
    if len(classes) < len(CLASSES):
        mix += f" of {', '.join(CLASSES[c] for c in classes)}"
    protocol = (
        f"{measured}; judge features, {distances.COMPONENTS} components fitted on half A; "
        f"{n} images in the {mix} against the {len(held_out)} of the {judge.held_out} "
        f"part, mean of {DRAWS} draws; the floor is as many real images of half B"
    )
    return {
        "protocol": protocol,
        "source": "synthetic table"
        if generator is None
        else "fresh draws from the saved generator",
        "judge_sha256": judge.sha256,
        "judge_balanced_accuracy": accuracy,
        "data": inputs.data,
        "note": inputs.data_note,
        "distances": overall,
        "distances_by_class": by_class,
        "label_agreement": label_agreement(
            judge, synthetic, *inputs.part(judge.held_out), lesions, measured
        ),
        "diversity": diversity(
            features, synthetic.labels, held_features, held_out, lesions, measured
        ),
        **novelty.report(seen, synthetic, judge.held_out, nearest_path),
        **texture.report(seen, synthetic, generator, judge.held_out, most_patches),
    }


def estimate_judge(judge, inputs):
    """Return an estimate of the judge's own balanced accuracy on the images it measures against."""
    images, labels = inputs.part(judge.held_out)
    decided = judge.decide(images)

    def measure(w):
        found = metrics.summarise(metrics.confusion(labels, decided, len(CLASSES), w))
        return {"balanced_accuracy": found["balanced_accuracy"]}

    found = bootstrap.with_intervals(measure, inputs.lesions(judge.held_out), estimates.DRAWS)
    protocol = f"{inputs.split['protocol']}; the judge on real images of the {judge.held_out} part"
    return estimates.estimate(*found["balanced_accuracy"], len(labels), protocol)


def measure_distances(
    inputs, synthetic, judge, generator, fake_features, test_features, by_class=True, most=IMAGES
):
    """Return (n, {name: estimate}, {class: {name: estimate}}) of distances to held-out images.

    The names are Frechet, KID, precision, recall, density and coverage of the synthetic images and
    of half B, and synthetic over half B. By class they are coverage and density, of classes with 50
    held-out images. n is `most` at most.
    """
    b_labels, b_features = (
        inputs.table.labels[judge.floor],
        judge.features(inputs.table.images[judge.floor]),
    )
    test_labels, protocol = inputs.part(judge.held_out)[1], inputs.split["protocol"]
    mix, n = plan_draws(inputs, synthetic if generator is None else None, judge, most)
    sizes = [class_counts(test_labels), class_counts(b_labels)]
    if generator is None:
        sizes.append(class_counts(synthetic.labels))
    large: np.ndarray | list = []
    if by_class:
        large = np.flatnonzero(np.min(sizes, axis=0) >= CLASS_IMAGES)
    class_draws: dict[int, list[dict]] = {c: [] for c in large}
    draws = []
    for seed in range(DRAWS):
        rng = np.random.default_rng([seed, streams.JUDGED_REAL])

        def draw_fake(labels, rng=rng, seed=seed):
            """Return features of synthetic images of the classes `labels` (n,)."""
            if generator is None:
                counts = np.minimum(class_counts(labels), class_counts(synthetic.labels))
                return fake_features[
                    distances.draw_in_mix(synthetic.labels, counts, counts.sum(), rng)
                ]
            latents = draw_latents(generator, len(labels), seed, streams.JUDGED_SAMPLES)
            return judge.features(generate(generator, latents, labels))

        at = distances.draw_in_mix(b_labels, mix, n, rng)
        real, fake = b_features[at], draw_fake(b_labels[at])
        draw = {}
        for end, features in (("", fake), ("_floor", real)):
            draw["frechet" + end] = (distances.frechet_distance(features, test_features), n)
            draw["kid" + end] = (distances.kernel_distance(features, test_features), n)
        draw["frechet_ratio"] = (draw["frechet"][0] / draw["frechet_floor"][0], n)
        draws.append(draw | compare_neighbours(test_features, fake, real, rng))
        for c in large:
            own = b_features[b_labels == c]
            fake = draw_fake(np.full(len(own), c))
            class_draws[c].append(
                compare_neighbours(test_features[test_labels == c], fake, own, rng)
            )

    def summarise(draws):
        return {
            k: mean_of_draws([d[k][0] for d in draws], draws[0][k][1], protocol) for k in draws[0]
        }

    return n, summarise(draws), {CLASSES[c]: summarise(d) for c, d in class_draws.items()}


def plan_draws(inputs, synthetic, judge, most):
    """Return (class mix int (7,), how many images of each set are in one draw).

    The mix is the train part's, of the classes that half B has and the synthetic set, if it is
    given. No image of a set may be drawn twice, because repeats would be each other's neighbours.
    """
    sets = [inputs.table.labels[judge.floor]]
    sets += [] if synthetic is None else [synthetic.labels]
    mix = class_counts(inputs.part("train")[1])
    for labels in sets:
        mix = mix * (class_counts(labels) > 0)
    return mix, min(most, *(distances.most_in_mix(labels, mix) for labels in sets))


def compare_neighbours(held_out, fake, half_b, rng):
    """Return {name: (value, n)}: precision to coverage of `fake` and `half_b` against `held_out`.

    Equally many images of each are drawn. The ratios of the two densities and of the two coverages
    are there too. The dict is empty if there are too few images for neighbours.
    """
    n = min(len(held_out), len(fake), len(half_b))
    if n <= distances.NEIGHBOURS:
        return {}
    held_out, fake, half_b = (x[rng.permutation(len(x))[:n]] for x in (held_out, fake, half_b))
    found, floor = distances.prdc(held_out, fake), distances.prdc(held_out, half_b)
    ratios = {f"{k}_ratio": found[k] / max(floor[k], 1e-12) for k in ("density", "coverage")}
    values = {**found, **{f"{k}_half_b": v for k, v in floor.items()}, **ratios}
    return {k: (v, n) for k, v in values.items()}


def label_agreement(judge, synthetic, test_images, test_labels, test_lesions, protocol):
    """Return by class the share of synthetic images to which the judge gives their own label.

    Beside it stands the judge's recall on held-out real images.
    """
    fake, real = judge.decide(synthetic.images), judge.decide(test_images)
    out = {}
    for code, name in enumerate(CLASSES):
        f, r = synthetic.labels == code, test_labels == code
        if not f.any() or not r.any():
            out[name] = {
                "value": None,
                "reason": "no images of this class in the set or among the held-out",
            }
            continue
        agreement = share_of(fake[f] == code, protocol)
        recall = share_over_lesions(real[r] == code, test_lesions[r], protocol)
        se = np.sqrt(
            agreement["value"] * (1 - agreement["value"]) / agreement["n"] + recall["se"] ** 2
        )
        out[name] = {**agreement, "real_recall": recall, "se_of_difference": se}
    return out


def diversity(fake, fake_labels, real, real_labels, real_lesions, protocol, draws=200):
    """Return by class the mean pairwise feature distance of synthetic images over that of real.

    The real images are one photograph of each held-out lesion, because several of one lesion are
    alike. The interval is a bootstrap over both sets.
    """
    rng = np.random.default_rng(0)
    first = np.unique(real_lesions, return_index=True)[1]
    real, real_labels = real[first], real_labels[first]
    out: dict[str, dict[str, Any]] = {}
    for code, name in enumerate(CLASSES):
        own = [x[labels == code][:1000] for x, labels in ((fake, fake_labels), (real, real_labels))]
        if min(map(len, own)) < 2:
            out[name] = {"value": None, "reason": "fewer than two images"}
            continue
        spread, boot = [], []
        for x in own:
            d = np.sqrt(distances.squared_distances(x, x))
            w = np.vstack(
                [np.ones(len(x)), rng.multinomial(len(x), np.full(len(x), 1 / len(x)), draws)]
            )
            # An image that is drawn twice makes no pair with itself.
            pairs = w.sum(axis=1) ** 2 - (w**2).sum(axis=1)
            means = ((w @ d) * w).sum(axis=1) / np.maximum(pairs, 1)
            spread.append(means[0])
            boot.append(means[1:])
        low, high = np.quantile(boot[0] / np.maximum(boot[1], 1e-12), [0.025, 0.975])
        out[name] = {
            "value": spread[0] / spread[1],
            "low": low,
            "high": high,
            "n": len(own[0]),
            "real_n": len(own[1]),
            "protocol": f"{protocol}; bootstrap over both sets, one real image a lesion",
        }
    return out
