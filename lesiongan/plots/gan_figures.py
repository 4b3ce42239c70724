"""Figures of the GAN and of its synthetic images."""

import numpy as np

from lesiongan.data.classes import CLASSES
from lesiongan.files import records
from lesiongan.measures import texture
from lesiongan.nets import inference, joined_generator
from lesiongan.nets.drawing import draw_latents, generate
from lesiongan.plots import style
from lesiongan.plots.sources import Missing, frame, need
from lesiongan.run import streams

GRID = 10


def draw_real_and_synthetic(sources):
    """Draw real training images beside synthetic ones, class by class."""
    rng = np.random.default_rng(0)
    images, labels = sources.inputs.part("train")
    made = sources.synthetic()

    def choose(images, labels):
        return {
            c: images[rng.permutation(np.flatnonzero(labels == i))[:GRID]]
            for i, c in enumerate(CLASSES)
        }

    groups = [choose(images, labels), choose(made.images, made.labels)]
    return style.class_rows(
        sources.page,
        groups,
        GRID,
        (f"real (train, n = {len(labels)})", f"synthetic (n = {len(made)})"),
    )


def draw_class_grid(sources):
    """Draw fresh samples of every class from the same latents.

    The images of a column so differ by the label alone.
    """
    generator = sources.model("gan", "generator.keras")
    z = draw_latents(generator, GRID, streams.CLASS_GRID)
    groups = {c: generate(generator, z, np.full(GRID, i)) for i, c in enumerate(CLASSES)}
    titles = ("one column, one latent vector",)
    return style.class_rows(sources.page, [groups], GRID, titles, own="one")


def draw_interpolation(sources):
    """Draw images from one latent vector to another along a great circle, for every class."""
    generator = sources.model("gan", "generator.keras")
    a, b = draw_latents(generator, 2, streams.INTERPOLATION)
    # The signs of the first three numbers choose the picture's flip and turn, so both ends share
    # them.
    b[:3] = np.abs(b[:3]) * np.sign(a[:3])
    # Of several generators, one draws the whole way: that which the last numbers choose.
    if (members := joined_generator.count_members(generator)) > 1:
        b[-members:] = a[-members:]
    angle = np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    t = np.linspace(0, 1, GRID)[:, None]
    z = (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)
    groups = {c: generate(generator, z, np.full(GRID, i)) for i, c in enumerate(CLASSES)}
    return style.class_rows(sources.page, [groups], GRID, ("latent interpolation",), own="one")


def list_ends(sources):
    """Return the last epoch of each generator that a training trained one after another."""
    made = sources.inputs.check_made_from(
        sources.models / "gan" / "options.json", "train_gan.py", {"options": {"epochs": int}}
    )["options"]
    return [made["epochs"] * (i + 1) for i in range(made.get("generators", 1))]


def draw_gan_training(sources):
    """Draw the losses of both players and the critic's accuracy over the epochs."""
    history = frame(
        sources.file(sources.models / "gan" / "history.csv", "train_gan.py"), "train_gan.py"
    )
    fig, (left, right) = style.panels(sources.page, 2, height=2.4)
    left.plot(history.epoch, history.critic_loss, color=style.REAL, label="critic")
    left.plot(history.epoch, history.generator_loss, color=style.SYNTHETIC, label="generator")
    ends, epoch = list_ends(sources), "epoch"
    if len(ends) > 1:
        epoch += f" ({len(ends)} generators, one after another)"
    for end in ends[:-1]:
        for ax in (left, right):
            ax.axvline(end + 0.5, color="grey", linewidth=0.5)
    left.axhline(np.log(2), color="grey", linestyle=":", label="log 2: indistinguishable")
    left.set(xlabel=epoch, ylabel="relativistic loss (nats)")
    right.plot(history.epoch, history.accuracy * 100, color="black")
    right.axhline(50, color="grey", linestyle=":")
    right.set(xlabel=epoch, ylabel="real above synthetic (%)")
    style.mark_single_points([left, right])
    one_line = sources.page.columns("two") == "two" and sources.page.style == "paper"
    style.legend_above(left, 3 if one_line else 2)
    return fig


def draw_embedding(sources):
    """Draw a t-SNE map of the judge's features of held-out real and of synthetic images.

    Both are mapped together and drawn side by side.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    judge = sources.model("judge")
    if (sources.evaluation / "synthetic_quality.json").is_file():
        # A map by features of a judge that knows no class would look like a finding.
        read_quality(sources)
    # Keras is imported only once there is a network to run, because that takes seconds and writes
    # to the terminal.
    import keras

    features = keras.Model(judge.input, judge.get_layer("features").output)
    made = sources.synthetic()
    images, labels = sources.inputs.part("test")
    rng = np.random.default_rng(0)
    r, s = (np.sort(rng.permutation(n)[:1000]) for n in (len(images), len(made)))
    x = inference.predict(features, np.concatenate([images[r], made.images[s]]))
    x = PCA(min(30, *x.shape), random_state=0, svd_solver="full").fit_transform(x)
    at = TSNE(perplexity=min(30, len(x) / 4), random_state=0, init="pca").fit_transform(x)
    fig, axes = style.panels(sources.page, 2, height=3.4, sharex=True, sharey=True)
    for ax, points, y, title in (
        (axes[0], at[: len(r)], labels[r], "real, held out"),
        (axes[1], at[len(r) :], made.labels[s], "synthetic"),
    ):
        for i, c in enumerate(CLASSES):
            colour, size = style.COLOURS[c], (2 * sources.page.line) ** 2 / 1.5
            ax.scatter(*points[y == i].T, s=size, linewidths=0, color=colour, label=style.tick(c))
        ax.set(
            title=f"{title} (n = {len(points)})",
            xlabel="t-SNE 1",
            ylabel="t-SNE 2",
            xticks=[],
            yticks=[],
        )
    handles = axes[1].get_legend_handles_labels()
    columns = len(CLASSES) if sources.page.columns("two") == "two" else 4
    fig.legend(*handles, loc="outside upper center", ncols=columns, markerscale=2)
    return fig


def draw_nearest_pairs(sources):
    """Draw the ten synthetic images nearest to a training image, with that image below."""
    sources.check_evaluation()
    nearest = frame(sources.file(sources.evaluation / "nearest.csv", "evaluate.py"), "evaluate.py")
    nearest = nearest.sort_values("distance", kind="stable").head(10)
    made = sources.synthetic()
    fig, axes = style.image_axes(sources.page, len(nearest), block=2)
    reals = sources.image_of_row(nearest.train_row)
    for column, (pair, real) in enumerate(zip(nearest.itertuples(), reals, strict=True)):
        style.show_image(axes[0, column], made.images[pair.synthetic_row])
        style.show_image(axes[1, column], real)
        axes[0, column].set_title(CLASSES[pair.label], fontsize="small")
        axes[1, column].set_xlabel(f"{pair.distance:.0f}", fontsize="small")
    axes[0, 0].set_ylabel("synthetic", fontsize="small")
    axes[1, 0].set_ylabel("nearest\nin train", fontsize="small")
    return fig


def read_quality(sources):
    """Return synthetic_quality.json; raise Missing with its reason if nothing was measured."""
    path = need(sources.evaluation / "synthetic_quality.json", "evaluate.py")
    quality = records.read_json(path, "evaluate.py")
    if "reason" in quality:
        raise Missing(str(quality["reason"]))
    return quality


def draw_label_agreement(sources):
    """Draw how often the judge gives synthetic images their own label, by class.

    Beside it stands the judge's recall on held-out real images.
    """
    sources.check_evaluation()
    quality = read_quality(sources)
    if "label_agreement" not in quality:
        raise Missing("synthetic_quality.json has no label agreement")
    fig, (ax,) = style.panels(sources.page, 1, height=2.6, own="one")
    found = quality["label_agreement"]
    shown = [i for i, c in enumerate(CLASSES) if found[c]["value"] is not None]
    for side, colour, label, pick in (
        (-0.2, style.REAL, "real, held out: recall", lambda f: f["real_recall"]),
        (0.2, style.SYNTHETIC, "synthetic: agreement", lambda f: f),
    ):
        shares = [pick(found[CLASSES[i]]) for i in shown]
        v, low, high = (
            100 * np.array([s[end] for s in shares]) for end in ("value", "low", "high")
        )
        ax.bar(
            np.array(shown) + side,
            v,
            0.38,
            color=colour,
            label=label,
            yerr=(v - low, high - v),
            error_kw={"linewidth": sources.page.line / 2},
        )
    style.class_ticks(ax, 0.85 * fig.get_figwidth())
    ax.set(xlabel="diagnosis", ylabel="judge agrees with the label (%)", ylim=(0, 102))
    judge, title = quality.get("judge_balanced_accuracy"), None
    if judge:
        title = f"balanced accuracy of the judge on real images: {judge['value']:.2f}"
    columns = 2 if sources.page.style == "paper" else 1
    style.legend_above(ax, columns, title=title)
    return fig


def draw_spectrum(sources):
    """Draw the power of synthetic images over that of train images, by radius and class.

    Beside it stand the train images over the held-out ones, with their intervals: so far do real
    images differ from real ones.
    """
    sources.check_evaluation()
    path = need(sources.evaluation / "synthetic_quality.json", "evaluate.py")
    found = records.read_json(path, "evaluate.py").get("spectrum", {})
    if fault := records.find_fault(found, texture.SPECTRA, "spectrum"):
        raise Missing(f"synthetic_quality.json: {fault}; run evaluate.py again")
    shown = {c: found[c] for c in CLASSES if c in found and "to_train" in found[c]}
    if not shown:
        raise Missing("synthetic_quality.json has no power spectrum")
    fig, (ours, real) = style.panels(sources.page, 2, height=2.8, sharex=True, sharey=True)
    for c, f in shown.items():
        colour = style.COLOURS[c]
        ours.plot(f["radius"], f["to_train"], color=colour, label=style.tick(c))
        if f["to_held_out"]:
            ends = f["real_to_held_out"]
            real.plot(f["radius"], ends["ratio"], color=colour)
            real.fill_between(f["radius"], ends["low"], ends["high"], color=colour, alpha=0.12)
    for ax, title in ((ours, "synthetic / real (train)"), (real, "real (train) / real (held out)")):
        ax.axhline(1, color="#666666", lw=sources.page.line / 2, ls="--")
        ax.set(title=title, xlabel="radius (cycles per image)", yscale="log")
        low, high = ax.get_ylim()
        # A generator that has learned little is off by powers of ten.
        ticks = (0.5, 1, 2) if low > 0.2 and high < 5 else (0.001, 0.01, 0.1, 1, 10, 100)
        shown_ticks = [t for t in ticks if low <= t <= high]
        ax.set_yticks(shown_ticks, [f"{t:g}" for t in shown_ticks])
        ax.set_yticks([], minor=True)
    ours.set(ylabel="ratio of power", xticks=range(2, 15, 2))
    columns = len(CLASSES) if sources.page.columns("two") == "two" else 4
    fig.legend(*ours.get_legend_handles_labels(), loc="outside upper center", ncols=columns)
    return fig
