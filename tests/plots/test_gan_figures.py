"""Each line, bar and picture of the GAN's figures is that of the run's files and generator.

The files are read by pandas and the generator is asked by plain Keras.
"""

import numpy as np
import pandas as pd

import train_gan
from lesiongan.nets import inference, joined_generator
from lesiongan.plots import gan_figures, style
from lesiongan.run import keras_setup
from lesiongan.run.inputs import Inputs
from tests import oracles
from tests.oracles import CLASSES
from tests.plots.drawn import NAMES, lines_of, picture, tiles, words


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
        shares = [found[c] if "synthetic" in label else found[c]["real_recall"] for c in CLASSES]
        ends = [segment[:, 1] for segment in bars[label].errorbar.lines[2][0].get_segments()]
        wanted = [[100 * share["low"], 100 * share["high"]] for share in shares]
        np.testing.assert_allclose(ends, wanted, atol=1e-9)
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


def test_a_training_of_one_epoch_is_drawn_as_points(inputs, monkeypatch):
    """A line through one point would show nothing at all."""
    read = gan_figures.frame
    monkeypatch.setattr(gan_figures, "frame", lambda *a: read(*a)[:1])
    left, right = gan_figures.draw_gan_training(inputs).axes
    assert [line.get_marker() for line in left.lines] == [".", ".", "None"]
    assert [line.get_marker() for line in right.lines] == [".", "None"]


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


def test_of_many_images_each_point_has_the_class_of_its_own_image(inputs, monkeypatch):
    """Beyond a thousand only some are drawn. Here an image's brightness is its class."""
    import sklearn.decomposition
    import sklearn.manifold

    y = np.random.default_rng(0).integers(0, 7, 1500)
    images = np.zeros((1500, 28, 28, 3), np.uint8) + (30 * y[:, None, None, None]).astype(np.uint8)

    class Same:
        def __init__(self, *a, **k):
            pass

        def fit_transform(self, x):
            return np.repeat(x[:, :1], 2, axis=1)

    monkeypatch.setattr(type(inputs.inputs), "part", lambda self, name: (images, y))
    monkeypatch.setattr(inference, "predict", lambda model, x: x[:, 0, 0, :1].astype(float))
    monkeypatch.setattr(sklearn.decomposition, "PCA", Same)
    monkeypatch.setattr(sklearn.manifold, "TSNE", Same)
    left, _ = gan_figures.draw_embedding(inputs).axes
    for i, points in enumerate(left.collections):
        at = points.get_offsets()
        assert len(at) > 50
        assert set(np.asarray(at)[:, 0]) == {30 * i}


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


def test_one_generator_of_several_draws_a_whole_interpolation(inputs, monkeypatch):
    keras_setup.seed_everything(5)
    members = [train_gan.build_generator(8) for _ in range(3)]
    joined = joined_generator.join(members)
    monkeypatch.setattr(inputs, "model", lambda *name: joined)
    asked = []
    monkeypatch.setattr(
        gan_figures,
        "generate",
        lambda network, z, y: asked.append(z) or np.zeros((len(y), 28, 28, 3), np.uint8),
    )
    gan_figures.draw_interpolation(inputs)
    for z in asked:
        assert z.shape == (10, 67)
        assert len(set(z[:, 64:].argmax(axis=1))) == 1
        # The others go from one end to the other.
        assert np.abs(z[0, 3:64] - z[-1, 3:64]).mean() > 0.5


def test_the_map_of_features_is_the_judges(inputs, monkeypatch):
    asked, real = [], inputs.model
    monkeypatch.setattr(
        inputs, "model", lambda folder, *a: asked.append(folder) or real(folder, *a)
    )
    gan_figures.draw_embedding(inputs)
    assert asked == ["judge"]


def test_spectra_stand_under_their_diagnoses_with_real_images_beside_them(inputs, monkeypatch):
    radius = list(range(1, 15))
    ratios = {c: np.linspace(0.6, 1 + i / 10, 14) for i, c in enumerate(CLASSES)}
    real = {
        name: list(np.linspace(first, first + 0.4, 14))
        for name, first in (("ratio", 0.9), ("low", 0.5), ("high", 1.4))
    }
    found = {
        c: {
            "radius": radius,
            "to_train": list(r),
            "deviation": {"value": 0.6, "radius": 1},
            "to_held_out": [1.0] * 14,
            "real_to_held_out": real,
        }
        for c, r in ratios.items()
    }
    # A class with too few held-out images has no line on the right, one with none at all has none.
    found["df"] |= {"to_held_out": None}
    found["vasc"] = {"deviation": {"value": None, "reason": "no images"}}
    monkeypatch.setattr(gan_figures.records, "read_json", lambda *a: {"spectrum": found})
    monkeypatch.setattr(inputs, "check_evaluation", lambda: None)
    ours, theirs = gan_figures.draw_spectrum(inputs).axes
    lines = lines_of(ours)
    for c, name in zip(CLASSES, NAMES, strict=True):
        if c != "vasc":
            np.testing.assert_allclose(lines[name], [radius, ratios[c]])
    assert "vasc" not in lines
    drawn = [line for line in theirs.lines if len(line.get_ydata()) == 14]
    assert len(drawn) == len(theirs.collections) == 5
    for line, band in zip(drawn, theirs.collections, strict=True):
        np.testing.assert_allclose(line.get_ydata(), real["ratio"])
        heights = {round(float(y), 6) for _, y in band.get_paths()[0].vertices}
        assert heights == {round(float(y), 6) for y in (*real["low"], *real["high"])}
    assert ours.get_title() == "synthetic / real (train)"
    assert theirs.get_title() == "real (train) / real (held out)"


def test_trainings_one_after_another_are_set_apart(inputs, monkeypatch):
    def marks():
        left, right = gan_figures.draw_gan_training(inputs).axes
        upright = [
            [line.get_xdata()[0] for line in ax.lines if len(set(line.get_xdata())) == 1]
            for ax in (left, right)
        ]
        return upright, left.get_xlabel()

    # The fixture's GAN is one, of two epochs.
    assert marks() == ([[], []], "epoch")
    read = Inputs.check_made_from

    def read_several(*args):
        made = read(*args)
        return made | {"options": made["options"] | {"generators": 3}}

    monkeypatch.setattr(Inputs, "check_made_from", read_several)
    # A mark lies between the last epoch of one generator and the first of the next.
    several = "epoch (3 generators, one after another)"
    assert marks() == ([[2.5, 4.5], [2.5, 4.5]], several)
