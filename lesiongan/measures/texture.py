"""How a synthetic set differs from real images in pixels: patch distances and power spectra.

No network has a part in this, so it needs no judge, and a generator cannot have been chosen to
please it by way of one. Every number stands beside the same number of real images.
"""

import numpy as np

from lesiongan.data import spectrum
from lesiongan.data.classes import CLASSES, class_counts
from lesiongan.data.split import half_a
from lesiongan.files import records
from lesiongan.measures import bootstrap, distances, image_space
from lesiongan.measures.shares import DRAWS, mean_of_draws
from lesiongan.nets.drawing import draw_latents, generate
from lesiongan.run import streams

# A spectrum is of this many fresh images of a class; of fewer than LEAST it says nothing.
PER_CLASS, LEAST = 2000, 20

RESAMPLES = 300

SPECTRA = {...: {"deviation": {"value": (*records.NUMBER, type(None))}}}
"""What readers of a spectrum need of it (records.find_fault)."""


MOST = 2000
"""Images of a set in one draw of patches, at most."""


def report(inputs, synthetic, generator, held_out, most=MOST):
    """Return {"patches": ..., "spectrum": {class: ...}} of a synthetic set, as in the JSON file.

    generator: keras model that draws fresh images, or None to take those of the table `synthetic`;
    held_out: the part that is compared with; most: images of a set in one draw of patches.
    """
    return {
        "patches": measure_patches(inputs, synthetic, generator, held_out, most),
        "spectrum": report_spectra(inputs, synthetic, generator, held_out),
    }


def report_spectra(inputs, synthetic, generator, held_out):
    """Return {class: its spectrum}, as measure_spectrum returns it."""
    return {
        name: measure_spectrum(inputs, synthetic, generator, held_out, code)
        for code, name in enumerate(CLASSES)
    }


def divide(a, b):
    """Return a / b of numbers at least 0. Images of one colour have no patches and no power."""
    return np.maximum(a, 1e-12) / np.maximum(b, 1e-12)


# ---------------------------------------------------------------- patches


def plan_patches(inputs, synthetic, held_out, most=MOST):
    """Return (rows of half A, rows of half B, class mix int (7,), images of a set in one draw).

    synthetic: Table whose images are drawn, or None for a generator. The mix is the train part's,
    of the classes that the table has.
    """
    labels, in_a = inputs.table.labels, half_a(inputs.table, inputs.parts)
    halves = [np.flatnonzero(h) for h in (in_a, (inputs.parts == "train") & ~in_a)]
    mix = class_counts(labels[inputs.parts == "train"])
    sets = [labels[half] for half in halves]
    if synthetic is not None:
        mix = mix * (class_counts(synthetic.labels) > 0)
        sets.append(synthetic.labels)
    held = len(inputs.part(held_out)[0])
    return *halves, mix, min(most, held, *(distances.most_in_mix(own, mix) for own in sets))


def measure_patches(inputs, synthetic, generator, held_out, most):
    """Return {name: estimate} of sliced Wasserstein distances of patches to held-out images.

    swd_28 and swd_14 are those of the synthetic images at the two levels of the pyramid, with
    _floor those of as many real images of half B, with _ratio the first over the second. swd_ratio
    is the larger of the two ratios, with its `level`. swd_28_control and swd_14_control are half A
    over half B: what real images score, so how far a ratio strays from 1 by chance.
    """
    images, labels = inputs.table.images, inputs.table.labels
    table = synthetic if generator is None else None
    *halves, mix, n = plan_patches(inputs, table, held_out, most)
    target = inputs.part(held_out)[0]
    if n < LEAST:
        reason = f"only {n} images of each set in the train part's class mix, {LEAST} are needed"
        return {"swd_ratio": {"value": None, "reason": reason}}
    draws = []
    for seed in range(DRAWS):
        rng = np.random.default_rng([seed, streams.PATCHES])
        a, b = (half[distances.draw_in_mix(labels[half], mix, n, rng)] for half in halves)
        if generator is None:
            made = synthetic.images[distances.draw_in_mix(synthetic.labels, mix, n, rng)]
        else:
            latents = draw_latents(generator, n, seed, streams.PATCHES)
            made = generate(generator, latents, labels[b])
        real = target[rng.choice(len(target), n, replace=False)]
        of_made, of_a, of_b = (
            image_space.patch_distances(some, real, rng) for some in (made, images[a], images[b])
        )
        draw: dict[str, float] = {}
        for level, m, x, y in zip((28, 14), of_made, of_a, of_b, strict=True):
            draw |= {
                f"swd_{level}": m,
                f"swd_{level}_floor": y,
                f"swd_{level}_ratio": divide(m, y),
                f"swd_{level}_control": divide(x, y),
            }
        draws.append(draw)
    protocol = (
        f"{inputs.split['protocol']}; {image_space.PATCHES} patches an image, "
        f"{image_space.DIRECTIONS} directions, against the {held_out} part"
    )
    found = {k: mean_of_draws([d[k] for d in draws], n, protocol) for k in draws[0]}
    worse = max((28, 14), key=lambda level: found[f"swd_{level}_ratio"]["value"])
    return {"swd_ratio": found[f"swd_{worse}_ratio"] | {"level": worse}, **found}


# ---------------------------------------------------------------- spectra


def measure_spectrum(inputs, synthetic, generator, held_out, code):
    """Return the power spectrum of a class of synthetic images over that of real ones.

    to_train: power over that of train images at each radius, 1 to 14 cycles per image; deviation:
    the ratio that is farthest from 1, with its radius and 95 % interval; to_held_out: the same as
    to_train over held-out images; real_to_held_out: train images over held-out ones, with the 95 %
    interval of a bootstrap over the lesions of both. Held-out images of a class are few, and real
    ones differ from them too.
    """
    train_images, train_labels = inputs.part("train")
    if generator is None:
        made = synthetic.images[synthetic.labels == code]
    else:
        latents = draw_latents(generator, PER_CLASS, code, streams.SPECTRA)
        made = generate(generator, latents, np.full(PER_CLASS, code))
    own = train_labels == code
    if min(len(made), own.sum()) < LEAST:
        reason = f"{len(made)} synthetic and {own.sum()} train images, {LEAST} are needed"
        return {"deviation": {"value": None, "reason": reason}}
    power, train = spectrum.ring_powers(made), spectrum.ring_powers(train_images[own])
    ratio = divide(power.mean(axis=0), train.mean(axis=0))
    worst = int(np.abs(np.log(ratio)).argmax())
    of_made = resample(power, np.arange(len(power)), seed=0)
    of_train = resample(train, inputs.lesions("train")[own], seed=1)
    low, high = np.quantile(divide(of_made, of_train)[:, worst], [0.025, 0.975])
    found = {
        "radius": spectrum.RADII,
        "n": len(power),
        "to_train": ratio,
        "n_train": len(train),
        "deviation": {
            "value": ratio[worst],
            "low": low,
            "high": high,
            "n": len(power),
            "radius": int(spectrum.RADII[worst]),
            "protocol": f"{inputs.split['protocol']}; power over that of the {len(train)} train "
            "images, bootstrap over synthetic images and train lesions",
        },
    }
    images, labels = inputs.part(held_out)
    theirs = labels == code
    if theirs.sum() < LEAST:
        reason = f"the {held_out} part has {theirs.sum()} images, {LEAST} are needed"
        return found | {"to_held_out": None, "reason_held_out": reason}
    held = spectrum.ring_powers(images[theirs])
    of_held = resample(held, inputs.lesions(held_out)[theirs], seed=2)
    low, high = np.quantile(divide(of_train, of_held), [0.025, 0.975], axis=0)
    return found | {
        "n_held_out": len(held),
        "to_held_out": divide(power.mean(axis=0), held.mean(axis=0)),
        "real_to_held_out": {
            "ratio": divide(train.mean(axis=0), held.mean(axis=0)),
            "low": low,
            "high": high,
        },
    }


def resample(power, units, seed):
    """Return float (RESAMPLES, 14): the mean power of bootstrap samples of whole units.

    power: (n, 14) of the images; units (n,): the lesion, or the image itself, of each.
    """
    weights = bootstrap.lesion_weights(units, RESAMPLES, seed)
    return np.concatenate([w @ power / w.sum(axis=1)[:, None] for w in weights])
