"""Figures of the table (eda.py)."""

import numpy as np

from lesiongan.data.classes import CLASSES, class_counts
from lesiongan.data.lesions import lesion_classes
from lesiongan.data.near_duplicates import NEAR_DUPLICATE_DISTANCE
from lesiongan.data.split import leakage_share, split_table
from lesiongan.plots import style
from lesiongan.plots.pages import PAPER


def draw_counts(table, page=PAPER):
    """Draw the images and lesions of each class on a logarithmic axis, with numbers written out.

    Returns (figure, {'images', 'lesions': counts by class}).
    """
    _, lesion_class, _ = lesion_classes(table.lesions, table.labels)
    counts = {"images": class_counts(table.labels), "lesions": class_counts(lesion_class)}
    fig, (ax,) = style.panels(page, 1, height=2.7)
    # Two numbers stand above each class; they are upright where they would run into each other.
    narrow = page.columns("two") == "one" or page.style == "talk"
    size, turn = "small" if page.style == "paper" else "x-small", 90 if narrow else 0
    for j, (what, values) in enumerate(counts.items()):
        at = np.arange(len(CLASSES)) + (j - 0.5) * 0.4
        ax.bar(
            at,
            values,
            0.38,
            color=[style.COLOURS[c] for c in CLASSES],
            alpha=1 - 0.5 * j,
            label=f"{what} (n = {values.sum()})",
            hatch="" if j == 0 else "///",
            edgecolor="white",
        )
        for x, v in zip(at, values, strict=True):
            place = (x, max(v, 1))
            offset = {"xytext": (0, page.font / 4), "textcoords": "offset points"}
            ax.annotate(
                str(v), place, ha="center", va="bottom", fontsize=size, rotation=turn, **offset
            )
    ax.set(
        yscale="log", ylabel="count (log scale)", xlabel="diagnosis (* malignant or pre-malignant)"
    )
    # The numbers above the tallest bars need room.
    ax.set_ylim(top=max(v.max() for v in counts.values()) * (6 if narrow else 2))
    style.class_ticks(ax, 0.85 * fig.get_figwidth())
    style.legend_above(ax, 2)
    return fig, {k: v.tolist() for k, v in counts.items()}


def draw_samples(table, columns=12, page=PAPER):
    """Draw the first image of `columns` evenly spaced lesions of each class."""
    groups = {}
    for code, name in enumerate(CLASSES):
        own = np.flatnonzero(table.labels == code)
        _, first = np.unique(table.lesions[own], return_index=True)
        chosen = (
            own[np.sort(first)][
                np.linspace(0, len(first) - 1, min(columns, len(first))).astype(int)
            ]
            if len(own)
            else []
        )
        groups[name] = list(table.images[chosen]) if len(own) else []
    return style.class_rows(page, [groups], columns, own="one")


def draw_means(table, page=PAPER):
    """Draw the mean image and the standard deviation image of each class."""
    fig, axes = style.image_axes(page, len(CLASSES), block=2)
    for code, name in enumerate(CLASSES):
        own = np.flatnonzero(table.labels == code)
        if len(own):
            mean, deviation = mean_and_deviation(table.images, own)
            for ax, picture in zip(axes[:, code], (mean, deviation * 2.5), strict=True):
                style.show_image(ax, np.clip(picture, 0, 255))
        axes[0, code].set_title(f"{style.tick(name)}\nn = {len(own)}", fontsize="small")
    axes[0, 0].set_ylabel("mean", fontsize="small")
    axes[1, 0].set_ylabel("deviation\nx 2.5", fontsize="small")
    return fig


def mean_and_deviation(images, chosen, block=4096):
    """Return (mean, standard deviation), float64 (h, w, c), of the chosen uint8 images.

    They are computed block by block, because a table may be large.
    """
    total, squares = (np.zeros(images.shape[1:]) for _ in range(2))
    for start in range(0, len(chosen), block):
        part = images[chosen[start : start + block]].astype(np.float64)
        total += part.sum(axis=0)
        squares += (part**2).sum(axis=0)
    mean = total / len(chosen)
    return mean, np.sqrt(np.maximum(squares / len(chosen) - mean**2, 0))


def draw_colours(table, page=PAPER):
    """Draw the distribution of each image's mean value by class and channel.

    Returns (figure, {class: {channel: {'mean', 'std'}}}).
    """
    means = table.images.reshape(len(table), -1, table.images.shape[-1]).mean(axis=1)
    channels = ("red", "green", "blue") if means.shape[1] == 3 else ("grey",)
    fig, axes = style.panels(page, len(channels), height=2.4, sharey=True)
    for ax, channel, values in zip(axes, channels, means.T, strict=True):
        style.sns.boxplot(
            x=table.labels,
            y=values,
            hue=table.labels,
            order=range(len(CLASSES)),
            hue_order=range(len(CLASSES)),
            palette=list(style.COLOURS.values()),
            legend=False,
            fliersize=0.8,
            linewidth=0.7,
            ax=ax,
        )
        ax.set(title=f"{channel} channel", xlabel="diagnosis", ylabel="mean (0-255)")
        style.class_ticks(ax, 0.8 * panel_inches(fig, page, len(channels)))
    summary = {
        c: {
            ch: {
                "mean": float(v[table.labels == i].mean()),
                "std": float(v[table.labels == i].std()),
            }
            for ch, v in zip(channels, means.T, strict=True)
        }
        for i, c in enumerate(CLASSES)
        if (table.labels == i).any()
    }
    return fig, summary


def draw_metadata(table, page=PAPER):
    """Draw age, sex and site by class, as far as the metadata has them; None if it has none."""
    meta = table.metadata
    have = [c for c in ("age", "sex", "localization") if c in meta and meta[c].notna().any()]
    if not have:
        return None
    fig, axes = style.panels(page, len(have), height=2.8)
    inches = 0.7 * panel_inches(fig, page, len(have))
    for ax, column in zip(axes, have, strict=True):
        if column == "age":
            style.sns.boxplot(
                x=table.labels,
                y=meta["age"],
                hue=table.labels,
                order=range(len(CLASSES)),
                hue_order=range(len(CLASSES)),
                palette=list(style.COLOURS.values()),
                legend=False,
                fliersize=0.8,
                linewidth=0.7,
                ax=ax,
            )
            ax.set(
                xlabel="diagnosis",
                ylabel="age (years)",
                title=f"age (n = {int(meta['age'].notna().sum())})",
            )
            style.class_ticks(ax, inches)
            continue
        names = meta[column].replace("", "unknown")
        order = names.value_counts().index[:10]
        share = np.array(
            [
                [
                    (names[table.labels == i] == v).mean() if (table.labels == i).any() else np.nan
                    for i in range(len(CLASSES))
                ]
                for v in order
            ]
        )
        style.sns.heatmap(
            share * 100,
            annot=True,
            fmt=".0f",
            cmap="Blues",
            cbar=False,
            ax=ax,
            annot_kws={"fontsize": "x-small"},
            xticklabels=style.TICKS,
            yticklabels=[style.plain(v, 20) for v in order],
        )
        ax.set(title=f"{column} (%)", xlabel="diagnosis", ylabel="")
        ax.tick_params("y", rotation=0)
        ax.tick_params("x", rotation=90)
    return fig


def panel_inches(fig, page, count):
    """Return the width in inches that each of `count` panels of a figure has."""
    return fig.get_figwidth() / (count if page.columns("two") == "two" else 1)


def draw_near_duplicates(table, pairs, columns=8, page=PAPER):
    """Draw evenly chosen pairs of near-duplicate images, one above the other."""
    chosen = pairs[np.linspace(0, len(pairs) - 1, min(columns, len(pairs))).astype(int)]
    fig, axes = style.image_axes(page, len(chosen), block=2, words=0.7)
    for column, (i, j) in enumerate(chosen):
        for ax, k in zip(axes[:, column], (i, j), strict=True):
            style.show_image(ax, table.images[k])
            ax.set_xlabel(f"row {table.rows[k]}\n{CLASSES[table.labels[k]]}", fontsize="small")
    return fig


def measure_grouping(table, pairs):
    """Return precision and recall of near-duplicate pairs against the true lesion ids.

    Both are over pairs of images.
    """
    _, codes = np.unique(table.lesions, return_inverse=True)
    sizes = np.bincount(codes)
    true_pairs = int((sizes * (sizes - 1) // 2).sum())
    hits = int((codes[pairs[:, 0]] == codes[pairs[:, 1]]).sum())
    return {
        "threshold": NEAR_DUPLICATE_DISTANCE,
        "pairs_found": len(pairs),
        "pairs_of_one_lesion": true_pairs,
        "found_and_true": hits,
        "precision": hits / len(pairs) if len(pairs) else None,
        "recall": hits / true_pairs if true_pairs else None,
    }


SPLIT_TITLES = {"image": "70/10/20 image split", "official": "official split"}


def draw_leakage(table, seed, kind="image", page=PAPER):
    """Draw by class the share of test images whose lesion is in train under a split that may leak.

    kind, seed: as split_table takes them. Returns (figure, {'overall' and each class: share}).
    """
    overall, by_class = leakage_share(table.labels, table.lesions, split_table(table, kind, seed))
    fig, (ax,) = style.panels(page, 1, height=2.6, own="one")
    ax.bar(range(len(CLASSES)), by_class * 100, color=list(style.COLOURS.values()))
    ax.axhline(
        overall * 100,
        color="black",
        linestyle="--",
        label=f"all classes: {overall:.1%}",
    )
    ax.axhline(0, color="#009E73", linewidth=2 * page.line, label="lesion split: 0 %")
    style.class_ticks(ax, 0.85 * fig.get_figwidth())
    ax.set(xlabel="diagnosis", ylabel="test images leaked (%)")
    title = f"{SPLIT_TITLES[kind]}: same lesion in train"
    style.legend_above(ax, 2 if page.style == "paper" else 1, title=title)
    return fig, {
        "overall": float(overall),
        **{c: float(v) for c, v in zip(CLASSES, by_class, strict=True) if v == v},
    }
