"""What the figures show, read from what Matplotlib was told to draw: each line, bar, cell and
picture is compared with the files it is of, by scikit-learn, pandas and plain Keras.
"""

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk

import visualize_results
from lesiongan.data import lesions, near_duplicates, split
from lesiongan.data.tables import read_table
from lesiongan.measures import metrics
from lesiongan.nets import inference
from lesiongan.plots import classifier_figures, gan_figures, style, table_figures
from lesiongan.plots.paper import FIGURES
from lesiongan.plots.sources import Missing, Sources
from lesiongan.run import runs
from lesiongan.run.inputs import Inputs
from tests import oracles
from tests.oracles import CLASSES, MALIGNANT

# As axes write them.
NAMES = [c + "*" * bool(m) for c, m in zip(CLASSES, MALIGNANT, strict=True)]
P = [f"p_{c}" for c in CLASSES]


@pytest.fixture(scope="module")
def inputs(pipeline):
    return Sources(runs.Run(visualize_results.parse_args(pipeline.flags), "visualize_results"))


@pytest.fixture(scope="module")
def parts(pipeline):
    return oracles.Parts(pipeline)


@pytest.fixture(scope="module")
def synthetic(pipeline):
    return oracles.read_images(pipeline.outputs / "synthetic/hmnist_28_28_RGB.csv")


@pytest.fixture(scope="module")
def predicted(pipeline):
    table = pd.read_csv(pipeline.outputs / "evaluation/predictions.csv")
    return table.row.to_numpy(), table.label.to_numpy(), table[P].to_numpy()


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    style.plt.close("all")


def words(labels):
    return [label.get_text() for label in labels]


def picture(ax):
    (image,) = ax.images
    return np.asarray(image.get_array())


def tiles(ax, columns):
    """The pictures of a mosaic of one row."""
    sheet = picture(ax)
    return [sheet[:, i * 29 : i * 29 + 28] for i in range(columns)]


def lines_of(ax):
    return {line.get_label(): np.array(line.get_data(), dtype=float) for line in ax.lines}


def test_the_confusion_figure_has_true_classes_as_rows_and_decided_ones_as_columns(
    inputs, predicted
):
    _, y, p = predicted
    counts = sk.confusion_matrix(y, p.argmax(axis=1), labels=range(7))
    assert not np.array_equal(counts, counts.T)
    ax = classifier_figures.draw_confusion(inputs).axes[0]
    share = 100 * counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.asarray(ax.collections[0].get_array()).reshape(7, 7), share)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("decided", "true")
    assert words(ax.get_xticklabels()) == words(ax.get_yticklabels()) == NAMES
    # The first row is on top.
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    shown = [t.get_text() for t in ax.texts]
    assert shown == [f"{s:.0f}\n({n})" for s, n in zip(share.ravel(), counts.ravel(), strict=True)]


def test_curves_are_each_class_against_the_rest_under_its_name_and_area(inputs, predicted):
    _, y, p = predicted
    left, right = classifier_figures.draw_curves(inputs).axes
    assert (left.get_xlabel(), left.get_ylabel()) == ("1 - specificity (%)", "sensitivity (%)")
    assert (right.get_xlabel(), right.get_ylabel()) == ("recall (%)", "precision (%)")
    roc, pr = lines_of(left), lines_of(right)
    for code, name in enumerate(NAMES):
        fpr, tpr, _ = sk.roc_curve(y == code, p[:, code])
        label = f"{name} {sk.roc_auc_score(y == code, p[:, code]):.3f} (n = {(y == code).sum()})"
        np.testing.assert_allclose(roc[label], 100 * np.array([fpr, tpr]))
        precision, recall, _ = sk.precision_recall_curve(y == code, p[:, code])
        label = f"{name} {sk.average_precision_score(y == code, p[:, code]):.3f}"
        np.testing.assert_allclose(pr[label], 100 * np.array([recall, precision]))
    colours = {line.get_color() for line in left.lines if line.get_label()[0] != "_"}
    assert len(colours) == 7


def test_the_calibration_figure_has_accuracy_over_confidence_in_fifteen_bins(inputs, predicted):
    _, y, p = predicted
    ax = classifier_figures.draw_calibration(inputs).axes[0]
    at = np.ceil(p.max(axis=1) * 15).astype(int) - 1
    bars = [b.get_height() for b in ax.patches]
    np.testing.assert_allclose(bars, 100 * np.bincount(at, minlength=15) / len(y))
    line = ax.containers[1].lines[0]
    used = np.unique(at)
    np.testing.assert_allclose(line.get_xdata(), [p.max(axis=1)[at == i].mean() for i in used])
    np.testing.assert_allclose(
        line.get_ydata(), [100 * (p.argmax(axis=1) == y)[at == i].mean() for i in used]
    )
    assert ax.get_title().startswith(f"ECE {metrics.ece(y, p):.3f}, ")


def test_mistakes_are_the_surest_ones_with_what_each_is_and_was_called(inputs, predicted, parts):
    rows, y, p = predicted
    decided = p.argmax(axis=1)
    order = sorted(np.flatnonzero(decided != y), key=lambda i: -p[i].max())[:10]
    assert len(order) == 10
    fig = classifier_figures.draw_mistakes(inputs)
    for ax, i in zip(fig.axes, order, strict=True):
        np.testing.assert_array_equal(picture(ax), parts.images[rows[i]])
        assert ax.get_title() == f"is {CLASSES[y[i]]}"
        assert ax.get_xlabel() == f"{CLASSES[decided[i]]}\n{p[i].max():.0%}"


def test_nearest_pairs_stand_above_each_other_with_class_and_distance(
    inputs, pipeline, parts, synthetic
):
    table = pd.read_csv(pipeline.outputs / "evaluation/nearest.csv").sort_values(
        "distance", kind="stable"
    )[:10]
    axes = np.reshape(gan_figures.draw_nearest_pairs(inputs).axes, (2, 10))
    for (_, pair), above, below in zip(table.iterrows(), *axes, strict=True):
        np.testing.assert_array_equal(picture(above), synthetic[0][int(pair.synthetic_row)])
        np.testing.assert_array_equal(picture(below), parts.images[int(pair.train_row)])
        assert above.get_title() == CLASSES[int(pair.label)]
        assert below.get_xlabel() == f"{pair.distance:.0f}"
    assert (axes[0, 0].get_ylabel(), axes[1, 0].get_ylabel()) == ("synthetic", "nearest\nin train")


def test_bars_of_agreement_and_of_recall_stand_under_their_own_labels(inputs, pipeline):
    found = oracles.read(pipeline.outputs / "evaluation/synthetic_quality.json")["label_agreement"]
    ax = gan_figures.draw_label_agreement(inputs).axes[0]
    bars = {c.get_label(): c for c in ax.containers if hasattr(c, "patches")}
    agreement = [100 * found[c]["value"] for c in CLASSES]
    recall = [100 * found[c]["real_recall"]["value"] for c in CLASSES]
    assert agreement != recall
    for label, values, side in (
        ("synthetic: agreement", agreement, 0.2),
        ("real, held out: recall", recall, -0.2),
    ):
        np.testing.assert_allclose([b.get_height() for b in bars[label].patches], values)
        np.testing.assert_allclose(
            [b.get_x() + b.get_width() / 2 for b in bars[label].patches], np.arange(7) + side
        )
    assert words(ax.get_xticklabels()) == NAMES


def test_losses_of_the_gan_stand_under_their_players(inputs, pipeline):
    history = pd.read_csv(pipeline.models / "gan/history.csv")
    left, right = gan_figures.draw_gan_training(inputs).axes
    lines = lines_of(left)
    assert [line.get_label() for line in left.lines][:2] == ["critic", "generator"]
    for label, column in (("critic", "critic_loss"), ("generator", "generator_loss")):
        np.testing.assert_allclose(lines[label], [history.epoch, history[column]])
    np.testing.assert_allclose(right.lines[0].get_data(), [history.epoch, 100 * history.accuracy])
    np.testing.assert_allclose(left.lines[2].get_ydata(), np.log(2))
    assert right.get_ylabel() == "real above synthetic (%)"


def test_training_curves_stand_under_what_each_network_learned_from(inputs, pipeline, parts):
    left, right = classifier_figures.draw_cnn_training(inputs).axes
    n = len(parts.rows("train"))
    for folder, label in (("cnn", f"{n} real + 35 synthetic"), ("control", f"{n} real")):
        history = pd.read_csv(pipeline.models / folder / "history.csv")
        np.testing.assert_allclose(lines_of(left)[label], [history.epoch, history.val_log_loss])
        np.testing.assert_allclose(
            lines_of(right)[label], [history.epoch, 100 * history.val_accuracy]
        )
        colour = next(line.get_color() for line in left.lines if line.get_label() == label)
        dotted = [
            line
            for line in left.lines
            if line.get_color() == colour and line.get_linestyle() == ":"
        ]
        np.testing.assert_allclose(dotted[0].get_ydata(), history.loss)
        dashed = [
            line
            for line in right.lines
            if line.get_color() == colour and line.get_linestyle() == "--"
        ]
        np.testing.assert_allclose(dashed[0].get_ydata(), 100 * history.val_balanced_accuracy)


def test_the_map_of_features_has_test_images_on_the_left_and_synthetic_ones_on_the_right(
    inputs, parts, synthetic, monkeypatch
):
    given = []
    real = inference.predict
    monkeypatch.setattr(
        inference, "predict", lambda model, images: given.append(images) or real(model, images)
    )
    left, right = gan_figures.draw_embedding(inputs).axes
    images, labels = parts.of("test")
    np.testing.assert_array_equal(given[0], np.concatenate([images, synthetic[0]]))
    for ax, title, y in (
        (left, f"real, held out (n = {len(labels)})", labels),
        (right, "synthetic (n = 35)", synthetic[1]),
    ):
        assert ax.get_title() == title
        shown = {c.get_label(): len(c.get_offsets()) for c in ax.collections}
        assert shown == dict(zip(NAMES, np.bincount(y, minlength=7).tolist(), strict=True))
        for i, c in enumerate(ax.collections):
            assert np.allclose(
                c.get_facecolor()[0][:3], style.matplotlib.colors.to_rgb(style.COLOURS[CLASSES[i]])
            )


def test_real_images_stand_left_and_synthetic_right_each_in_the_row_of_its_class(
    inputs, parts, synthetic
):
    axes = np.reshape(gan_figures.draw_real_and_synthetic(inputs).axes, (7, 2))
    assert axes[0, 0].get_title() == f"real (train, n = {len(parts.rows('train'))})"
    assert axes[0, 1].get_title() == "synthetic (n = 35)"
    for column, (images, labels), least in ((0, parts.of("train"), 8), (1, synthetic, 5)):
        for code in range(7):
            own = {image.tobytes() for image in images[labels == code]}
            shown = [t for t in tiles(axes[code, column], 10) if (t != 255).any()]
            assert len(shown) >= min(10, least)
            assert all(t.tobytes() in own for t in shown), (column, CLASSES[code])
    assert [ax.get_ylabel() for ax in axes[:, 0]] == NAMES


def test_a_column_of_the_class_grid_is_one_latent_vector_and_a_row_one_class(inputs, pipeline):
    generator = oracles.load(pipeline.models / "gan/generator.keras")
    z = np.random.default_rng((1,)).standard_normal((10, 64), dtype=np.float32)
    for code, ax in enumerate(gan_figures.draw_class_grid(inputs).axes):
        drawn = generator.predict([z, np.full(10, code, np.int32)], verbose=0)
        assert np.abs(np.array(tiles(ax, 10)) - drawn).max() <= 0.51
        assert ax.get_ylabel() == NAMES[code]


def test_interpolation_goes_from_one_latent_to_another_of_the_same_turn_at_the_same_length(
    inputs, pipeline
):
    generator = oracles.load(pipeline.models / "gan/generator.keras")
    a, b = np.random.default_rng((2,)).standard_normal((2, 64), dtype=np.float32).astype(float)
    b[:3] = np.abs(b[:3]) * np.sign(a[:3])
    angle = np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    middle = (np.sin(angle * 5 / 9) * a + np.sin(angle * 4 / 9) * b) / np.sin(angle)
    for code, ax in enumerate(gan_figures.draw_interpolation(inputs).axes):
        drawn = generator.predict(
            [np.array([a, middle, b], np.float32), np.full(3, code, np.int32)], verbose=0
        )
        shown = np.array(tiles(ax, 10))[[0, 4, 9]]
        assert np.abs(shown - drawn).max() <= 0.6


def test_colours_are_drawn_as_they_are_and_grey_as_grey():
    fig, axes = style.plt.subplots(1, 2)
    image = np.zeros((28, 28, 3), np.uint8)
    image[:] = 200, 30, 60
    style.show_image(axes[0], image)
    np.testing.assert_array_equal(picture(axes[0]), image)
    style.show_image(axes[1], image[..., :1])
    assert (axes[1].images[0].get_clim(), axes[1].images[0].get_cmap().name) == ((0, 255), "gray")
    assert fig is not None


def test_every_saved_figure_carries_its_note(tmp_path):
    fig, _ = style.plt.subplots()
    style.save(fig, tmp_path, "x", "PHANTOM DATA")
    assert [t.get_text() for t in fig.texts] == ["PHANTOM DATA"]
    assert {p.name for p in tmp_path.iterdir()} == {"x.png", "x.pdf"}


# ---------------------------------------------------------------- eda.py


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
            medians = [
                line.get_ydata() for line in fig.axes[i].lines if len(set(line.get_ydata())) == 1
            ]
            assert any(np.allclose(m, np.median(own[:, i])) for m in medians)
            assert fig.axes[i].get_title() == f"{channel} channel"


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


def test_each_figure_is_drawn_by_its_own_function_under_its_own_caption():
    """Words that only this figure's caption has."""
    own = {
        "real_and_synthetic": "Real training images and synthetic",
        "class_grid": "shares its latent vector",
        "interpolation": "interpolation",
        "gan_training": "losses of both players",
        "embedding": "t-SNE",
        "label_agreement": "agreement with the labels",
        "nearest_pairs": "nearest to training images",
        "cnn_training": "Classifier training",
        "confusion": "Confusion matrix",
        "roc_and_pr": "ROC and precision-recall",
        "calibration": "Reliability",
        "mistakes": "most confident mistakes",
    }
    assert set(FIGURES) == set(own)
    for name, (draw, caption) in FIGURES.items():
        assert draw.__name__ == ("draw_curves" if name == "roc_and_pr" else f"draw_{name}")
        assert own[name] in caption
        assert sum(own[name] in c for _, c in FIGURES.values()) == 1


def test_figures_of_a_leaky_split_of_guessed_lesions_and_of_phantoms_say_so(pipeline):
    def note(*flags):
        return runs.Run(
            visualize_results.parse_args([*pipeline.flags, *flags]), "visualize_results"
        ).inputs.figure_note

    assert note() == "PHANTOM DATA: drawn by code, no medical meaning"
    assert "LEAKY image split" in note("--split", "image")
    assert "LEAKY" not in note("--metadata", "none")
    assert "no lesion ids: grouped by near-duplicate images" in note("--metadata", "none")


def test_every_figure_of_a_run_carries_the_runs_note_and_eda_uses_the_seed_of_the_split(
    pipeline, tmp_path, monkeypatch
):
    notes, seeds = [], []
    monkeypatch.setattr(Inputs, "figure_note", "NOTE")

    def save(fig, folder, name, note=""):
        notes.append(note)
        path = folder / f"{name}.png"
        path.write_bytes(b"x")
        style.plt.close(fig)
        return path

    monkeypatch.setattr(style, "save", save)
    real = table_figures.draw_leakage
    monkeypatch.setattr(
        table_figures, "draw_leakage", lambda t, seed: seeds.append(seed) or real(t, seed)
    )
    other = type(pipeline)(pipeline.table, tmp_path / "other")
    other.run("eda", "--seed", "5", "--split-seed", "2")
    assert seeds == [2]
    assert len(notes) >= 6
    pipeline.copy(tmp_path).run("visualize_results", "--no-models")
    assert len(notes) >= 14
    assert set(notes) == {"NOTE"}


def test_the_map_of_features_is_the_judges(inputs, monkeypatch):
    asked, real = [], inputs.model
    monkeypatch.setattr(
        inputs, "model", lambda folder, *a: asked.append(folder) or real(folder, *a)
    )
    gan_figures.draw_embedding(inputs)
    assert asked == ["judge"]


def test_figures_of_an_evaluation_are_not_drawn_beside_networks_made_since(pipeline, tmp_path):
    copy = pipeline.copy(tmp_path)
    inputs = Sources(runs.Run(visualize_results.parse_args(copy.flags), "visualize_results"))
    inputs.check_evaluation()
    for path in (
        copy.models / "cnn/classifier.keras",
        copy.models / "control/classifier.keras",
        copy.models / "judge/classifier.keras",
        copy.models / "gan/generator.keras",
        copy.outputs / "synthetic/hmnist_28_28_RGB.csv",
    ):
        whole = path.read_bytes()
        path.write_bytes(whole + b" ")
        with pytest.raises(Missing, match="was made from another"):
            inputs.check_evaluation()
        path.write_bytes(whole)
    inputs.check_evaluation()
