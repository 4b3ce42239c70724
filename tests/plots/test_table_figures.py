"""Each bar, cell and picture of eda.py's figures is that of the table, by pandas and NumPy."""

import numpy as np
import pandas as pd
import pytest

from lesiongan.data import lesions, near_duplicates, split
from lesiongan.data.tables import read_table
from lesiongan.plots import table_figures
from tests import oracles
from tests.oracles import CLASSES
from tests.plots.drawn import NAMES, picture, tiles, words


@pytest.fixture(scope="module")
def table(pipeline):
    return lesions.group_lesions(read_table(pipeline.table))


def test_bars_of_the_counts_are_images_and_lesions_of_each_class(table, pipeline):
    fig, summary = table_figures.draw_counts(table)
    meta = pd.read_csv(pipeline.table.with_name("HAM10000_metadata.csv"))
    wanted = {
        "images": meta.dx.value_counts(),
        "lesions": meta.drop_duplicates("lesion_id").dx.value_counts(),
    }
    bars = {c.get_label(): [b.get_height() for b in c.patches] for c in fig.axes[0].containers}
    for what, counts in wanted.items():
        assert summary[what] == [counts[c] for c in CLASSES]
        assert bars[f"{what} (n = {counts.sum()})"] == [counts[c] for c in CLASSES]
    assert words(fig.axes[0].get_xticklabels()) == NAMES


def test_samples_are_of_the_class_and_of_different_lesions(table):
    for code, ax in enumerate(table_figures.draw_samples(table).axes):
        own = {
            table.images[i].tobytes(): table.lesions[i]
            for i in np.flatnonzero(table.labels == code)
        }
        shown = [t.tobytes() for t in tiles(ax, 12) if (t != 255).any()]
        assert set(shown) <= set(own), CLASSES[code]
        assert len({own[s] for s in shown}) == len(shown) == min(12, len(set(own.values())))


def test_mean_images_are_those_of_the_class(table):
    axes = np.reshape(table_figures.draw_means(table).axes, (2, 7))
    for code in range(7):
        own = table.images[table.labels == code]
        for ax, wanted in zip(
            axes[:, code], (own.mean(axis=0), np.clip(own.std(axis=0) * 2.5, 0, 255)), strict=True
        ):
            assert np.abs(picture(ax).astype(float) - wanted).max() <= 1
        assert axes[0, code].get_title() == f"{NAMES[code]}\nn = {len(own)}"


def test_colour_summaries_are_those_of_class_and_channel(table):
    fig, summary = table_figures.draw_colours(table)
    for code, c in enumerate(CLASSES):
        own = table.images[table.labels == code].reshape(-1, 784, 3).mean(axis=1)
        for i, channel in enumerate(("red", "green", "blue")):
            assert summary[c][channel] == pytest.approx(
                {"mean": own[:, i].mean(), "std": own[:, i].std()}
            )
            assert find_median(fig.axes[i], code) == pytest.approx(np.median(own[:, i]))
            assert fig.axes[i].get_title() == f"{channel} channel"


def find_median(ax, code):
    """The height of the line within the box that stands at a class's place."""
    inside = [
        line.get_ydata()[0]
        for line in ax.lines
        if len(line.get_xdata()) == 2
        and abs(np.mean(line.get_xdata()) - code) < 0.01
        and np.ptp(line.get_ydata()) == 0
    ]
    # They are the ends of both whiskers and the median between them.
    return sorted(inside)[1]


def test_the_metadata_figure_has_shares_of_a_classes_images(table):
    meta = table.metadata
    by_name = {ax.get_title().split(" ")[0]: ax for ax in table_figures.draw_metadata(table).axes}
    for column in ("sex", "localization"):
        ax = by_name[column]
        values = np.asarray(ax.collections[0].get_array()).reshape(-1, 7)
        order = words(ax.get_yticklabels())
        wanted = pd.crosstab(meta[column], meta.dx, normalize="columns").loc[order, CLASSES] * 100
        np.testing.assert_allclose(values, wanted)
        assert words(ax.get_xticklabels()) == NAMES
    assert by_name["age"].get_title() == f"age (n = {len(table)})"
    for code, c in enumerate(CLASSES):
        median = meta.age[meta.dx == c].median()
        assert find_median(by_name["age"], code) == pytest.approx(median)


def test_leakage_bars_are_test_images_with_another_photograph_of_their_lesion_in_train(table):
    fig, summary = table_figures.draw_leakage(table, 3)
    parts = split.split_table(table, "image", 3)
    frame = pd.DataFrame({"lesion": table.lesions, "label": table.labels, "part": parts})
    known = set(frame.lesion[frame.part == "train"])
    test = frame[frame.part == "test"].assign(leaked=lambda f: f.lesion.isin(known))
    assert 0 < test.leaked.mean() < 1
    assert summary["overall"] == pytest.approx(test.leaked.mean())
    by_class = test.groupby("label").leaked.mean()
    assert [summary[c] for c in CLASSES] == pytest.approx(by_class.tolist())
    np.testing.assert_allclose([b.get_height() for b in fig.axes[0].patches], 100 * by_class)


def test_near_duplicates_are_drawn_as_pairs_and_counted_against_the_lesion_ids(table):
    """Three pairs found, two of them of one lesion; the table has four pairs of one lesion."""
    small = table.take(np.arange(8))
    small.lesions = np.array(["a", "a", "a", "b", "b", "c", "d", "e"])
    pairs = np.array([[0, 1], [3, 4], [5, 6]])
    found = table_figures.measure_grouping(small, pairs)
    assert (found["pairs_found"], found["pairs_of_one_lesion"], found["found_and_true"]) == (
        3,
        4,
        2,
    )
    assert (found["precision"], found["recall"]) == pytest.approx((2 / 3, 2 / 4))
    axes = np.reshape(table_figures.draw_near_duplicates(small, pairs).axes, (2, 3))
    for column, pair in enumerate(pairs):
        for ax, i in zip(axes[:, column], pair, strict=True):
            np.testing.assert_array_equal(picture(ax), small.images[i])
            assert ax.get_xlabel() == f"row {small.rows[i]}\n{CLASSES[small.labels[i]]}"


def test_the_summary_of_the_table_is_of_its_split_and_its_leakage(pipeline, table, parts):
    summary = oracles.read(pipeline.outputs / "eda/summary.json")
    for part in ("train", "val", "test"):
        assert (
            summary["split"]["images"][part] == np.bincount(parts.of(part)[1], minlength=7).tolist()
        )
    assert summary["near_duplicate_pairs"] == len(near_duplicates.near_pairs(table.images))
    frame = pd.DataFrame({"lesion": table.lesions, "part": split.split_table(table, "image", 0)})
    leaked = frame[frame.part == "test"].lesion.isin(set(frame.lesion[frame.part == "train"]))
    assert summary["image_split_leakage"]["overall"] == pytest.approx(leaked.mean())


def test_mean_and_deviation_in_blocks_are_those_of_the_whole():
    from lesiongan.plots import table_figures

    images = np.random.default_rng(0).integers(0, 256, (50, 28, 28, 3), dtype=np.uint8)
    chosen = np.arange(3, 45, 2)
    mean, deviation = table_figures.mean_and_deviation(images, chosen, block=8)
    np.testing.assert_allclose(mean, images[chosen].mean(axis=0))
    np.testing.assert_allclose(deviation, images[chosen].std(axis=0), atol=1e-9)
