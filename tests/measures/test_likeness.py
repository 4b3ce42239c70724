"""The nearest training lesions, against SciPy's Mahalanobis distance and a search one by one."""

import io
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.distance import cdist

import evaluate
from lesiongan.files.errors import InputError
from lesiongan.measures import likeness, networks
from lesiongan.run import runs
from tests import oracles

ARRAYS = ("features", "rows", "labels", "lesions", "unlike", "copy", "judge_sha256")


def mahalanobis(x, features):
    """float64 (n, m): distances of rows x to the rows of `features`, in units of their spread."""
    features = features.astype(np.float64)
    inverse = np.linalg.inv(np.cov(features, rowvar=False, bias=True))
    return cdist(x.astype(np.float64), features, "mahalanobis", VI=inverse)


def search(distances, lesions, k):
    """[(position, distance)] of the nearest image of each of the k nearest lesions, one by one."""
    best = {}
    for at, (d, lesion) in enumerate(zip(distances, lesions, strict=True)):
        if lesion not in best or d < best[lesion][1]:
            best[lesion] = (at, d)
    return sorted(best.values(), key=lambda found: found[1])[:k]


def draw(lesions, seed=0, d=6):
    """A Likeness of images of these lesions whose features have unequal spreads that correlate."""
    rng = np.random.default_rng(seed)
    n = len(lesions)
    features = rng.normal(0, 1, (n, d)) @ rng.normal(0, 1, (d, d)) * np.logspace(0, 1.5, d)
    return likeness.Likeness(
        features.astype(np.float16),
        rng.permutation(10 * n)[:n].astype(np.int32),
        rng.integers(0, 7, n).astype(np.int8),
        np.asarray(lesions, np.int32),
        "of a judge",
        2.5,
        0.25,
    )


def test_distances_are_scipys_mahalanobis_distances():
    known = draw(np.arange(300))
    x = np.random.default_rng(1).normal(0, 30, (600, 6))
    distance, _, apart = known.measure(x, 300)
    expected = np.sort(mahalanobis(x, known.features), axis=1)
    np.testing.assert_allclose(apart, expected, rtol=1e-6)
    np.testing.assert_allclose(distance, expected[:, 0], rtol=1e-6)


def test_a_direction_without_spread_is_left_out():
    """A unit of the judge that is always zero must not make every distance infinite."""
    known = draw(np.arange(100))
    with_zero = np.pad(known.features, ((0, 0), (0, 1)))
    other = likeness.Likeness(with_zero, known.rows, known.labels, known.lesions, "")
    x = np.random.default_rng(1).normal(0, 20, (20, 6))
    np.testing.assert_allclose(
        other.measure(np.pad(x, ((0, 0), (0, 1)), constant_values=0.5))[2],
        known.measure(x)[2],
        rtol=1e-6,
    )


@pytest.mark.parametrize(
    "lesions",
    [
        np.arange(40),
        np.arange(120) // 3,
        # One lesion has 50 photographs, the others have one each.
        np.r_[np.zeros(50), np.arange(1, 31)],
        # There are fewer than five lesions.
        np.arange(60) % 3,
        np.zeros(9),
    ],
    ids=["single", "three each", "fifty of one", "three lesions", "one lesion"],
)
def test_the_nearest_lesions_are_the_nearest_image_of_each(lesions):
    known = draw(lesions)
    # The first searches begin at an image of the commonest lesion, where its others lie too.
    x = np.concatenate(
        [known.features[:9].astype(float), np.random.default_rng(2).normal(0, 20, (41, 6))]
    )
    distances = mahalanobis(x, known.features)
    distance, at, apart = known.measure(x)
    k = min(5, len(set(lesions)))
    assert at.shape == apart.shape == (50, k)
    for i in range(len(x)):
        found = search(distances[i], known.lesions, 5)
        np.testing.assert_allclose(apart[i], [d for _, d in found], rtol=1e-5, atol=1e-5)
        assert at[i].tolist() == [position for position, _ in found]
        assert len(set(known.lesions[at[i]])) == k
        assert (np.diff(apart[i]) >= 0).all()
        assert distance[i] == apart[i, 0]


def test_fifty_photographs_of_the_nearest_lesion_hide_no_other():
    """They lie in a heap around the image that is asked for, all nearer than any other lesion."""
    rng = np.random.default_rng(3)
    heap, others = rng.normal(0, 0.01, (50, 2)), rng.normal((4, 0), 1, (8, 2))
    known = likeness.Likeness(
        np.concatenate([heap, others]).astype(np.float16),
        np.arange(58, dtype=np.int32),
        np.zeros(58, np.int8),
        np.r_[np.full(50, 9), np.arange(8)].astype(np.int32),
        "",
    )
    x = np.zeros((1, 2))
    at = known.measure(x)[1][0]
    assert at.tolist() == [
        p for p, _ in search(mahalanobis(x, known.features)[0], known.lesions, 5)
    ]
    assert known.lesions[at[0]] == 9
    assert (at[1:] >= 50).all()


# ---------------------------------------------------------------- what is built from a judge


@pytest.fixture(scope="module")
def colour_judge():
    """A network whose features are the mean colours of an image: no flip or turn changes them."""
    import keras

    image = keras.Input((28, 28, 3))
    x = keras.layers.GlobalAveragePooling2D(name="features")(image)
    return keras.Model(image, keras.layers.Dense(7)(x))


@pytest.fixture(scope="module")
def coloured():
    """Inputs of 300 train, 1000 val and 100 test images of one colour each; 200 train lesions."""
    rng = np.random.default_rng(0)
    parts = rng.permutation(np.repeat(["train", "val", "test"], [300, 1000, 100]))
    images = np.tile(rng.normal(128, 20, (1400, 1, 1, 3)), (1, 28, 28, 1)).astype(np.uint8)
    train = np.flatnonzero(parts == "train")
    lesions = np.array([f"L{i}" for i in range(1400)])
    lesions[train] = [f"T{i % 200}" for i in range(300)]
    table = SimpleNamespace(
        rows=np.arange(1400) + 7, labels=rng.integers(0, 7, 1400), lesions=lesions
    )
    return SimpleNamespace(
        table=table,
        parts=parts,
        images=images,
        part=lambda name: (images[parts == name], table.labels[parts == name]),
    )


def test_the_index_is_of_the_train_part_alone(colour_judge, coloured):
    known = likeness.build(colour_judge, coloured, "its hash")
    own = np.flatnonzero(coloured.parts == "train")
    assert (known.features.dtype, known.judge_sha256) == (np.float16, "its hash")
    np.testing.assert_array_equal(known.rows, own + 7)
    np.testing.assert_array_equal(known.labels, coloured.table.labels[own])
    np.testing.assert_allclose(known.features, coloured.images[own, 0, 0], rtol=1e-3)
    names = coloured.table.lesions[own]
    same = known.lesions[:, None] == known.lesions[None]
    np.testing.assert_array_equal(same, names[:, None] == names[None])


def test_the_limits_are_quantiles_of_the_distances_of_val(colour_judge, coloured):
    known = likeness.build(colour_judge, coloured, "")
    val = coloured.images[coloured.parts == "val", 0, 0]
    distance = mahalanobis(val, known.features).min(axis=1)
    np.testing.assert_allclose(known.unlike, np.quantile(distance, 0.99), rtol=1e-4)
    np.testing.assert_allclose(known.copy, np.quantile(distance, 0.005), rtol=1e-3, atol=1e-4)
    # Of a thousand val images, ten are unlike the training images and five pass for copies.
    assert (distance > known.unlike).sum() == 10
    assert (distance < known.copy).sum() == 5


def test_where_a_split_leaks_a_val_images_own_lesion_is_passed_over(colour_judge, coloured):
    """Otherwise unseen lesions would be called unlike everything, and copies be missed."""
    lesions = coloured.table.lesions.copy()
    val, train = (np.flatnonzero(coloured.parts == part) for part in ("val", "train"))
    # Half of the val images show a lesion of train.
    lesions[val[:500]] = lesions[train][np.arange(500) % len(train)]
    table = SimpleNamespace(**vars(coloured.table) | {"lesions": lesions})
    leaky = SimpleNamespace(**vars(coloured) | {"table": table})
    known = likeness.build(colour_judge, leaky, "")
    distance = mahalanobis(coloured.images[val, 0, 0], known.features)
    distance[lesions[val][:, None] == lesions[train][None]] = np.inf
    np.testing.assert_allclose(known.unlike, np.quantile(distance.min(axis=1), 0.99), rtol=1e-4)
    np.testing.assert_allclose(
        known.copy, np.quantile(distance.min(axis=1), 0.005), rtol=1e-3, atol=1e-4
    )


def test_of_a_run_it_is_what_plain_keras_and_scipy_make_of_its_judge(pipeline):
    import keras

    with np.load(pipeline.outputs / "evaluation/nearest.npz") as file:
        found = {name: file[name] for name in file.files}
    assert sorted(found) == sorted(ARRAYS)
    parts = oracles.Parts(pipeline)
    np.testing.assert_array_equal(found["rows"], parts.rows("train"))
    np.testing.assert_array_equal(found["labels"], parts.of("train")[1])
    names = parts.lesions("train")
    same = found["lesions"][:, None] == found["lesions"][None]
    np.testing.assert_array_equal(same, names[:, None] == names[None])
    judge = oracles.load(pipeline.models / "judge/classifier.keras")
    network = keras.Model(judge.input, judge.get_layer("features").output)
    train, val = (oracles.average_of_views(network, parts.of(p)[0]) for p in ("train", "val"))
    np.testing.assert_allclose(found["features"], train, rtol=2e-3, atol=1e-4)
    distance = mahalanobis(val, found["features"]).min(axis=1)
    np.testing.assert_allclose(found["unlike"], np.quantile(distance, 0.99), rtol=1e-3)
    np.testing.assert_allclose(found["copy"], np.quantile(distance, 0.005), rtol=1e-3)

    known = likeness.read(pipeline.outputs / "evaluation/nearest.npz")
    images = parts.of("train")[0][:20]
    turned = [np.rot90(image, i) for i, image in enumerate(images)]
    turned = np.array([image[:, ::-1] if i % 2 else image for i, image in enumerate(turned)])
    features = oracles.average_of_views(likeness.feature_network(judge), turned)
    distance, at, _ = known.measure(features)
    # A turned or mirrored copy lies where its original does, but for the rounding to half a word.
    assert distance.max() < 0.1 * known.copy
    np.testing.assert_array_equal(at[:, 0], np.arange(20))


def test_a_judge_without_vectors_of_features_is_refused():
    import keras

    image = keras.Input((28, 28, 3))
    maps = keras.layers.Conv2D(2, 3, name="features")(image)
    none = keras.Model(image, keras.layers.Dense(7)(keras.layers.Flatten()(maps)))
    with pytest.raises(InputError, match="no layer `features` of vectors"):
        likeness.feature_network(none)


# ---------------------------------------------------------------- the file


def test_what_is_written_is_read_back_and_equal_ones_are_equal_files(tmp_path):
    known = draw(np.arange(90) // 2)
    for name in ("a.npz", "b.npz"):
        likeness.write(tmp_path / name, known)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert {i.date_time[:3] for i in archive.infolist()} == {(1980, 1, 1)}
    again = likeness.read(tmp_path / "a.npz")
    for name in ARRAYS:
        ours, theirs = getattr(known, name), getattr(again, name)
        np.testing.assert_array_equal(ours, theirs)
        if isinstance(ours, np.ndarray):
            assert ours.dtype == theirs.dtype
    x = np.random.default_rng(5).normal(0, 20, (9, 6))
    for ours, theirs in zip(known.measure(x), again.measure(x), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def pack(path, arrays):
    np.savez(path, **arrays)
    return path.read_bytes()


def break_file(folder):
    """{what is wrong: bytes} of files that are no index of training lesions."""
    known = draw(np.arange(30))
    good = {name: np.asarray(getattr(known, name)) for name in ARRAYS}

    def but(**changes):
        return pack(folder / "x.npz", {**good, **changes})

    data = but()
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 0xFF
    features = good["features"].copy()
    features[3, 3] = np.nan
    text = io.BytesIO()
    with zipfile.ZipFile(text, "w") as archive:
        for name in ARRAYS:
            archive.writestr(f"{name}.npy", "no array")
    return {
        "empty": b"",
        "no zip": b"image,label\n" * 50,
        "cut": data[: len(data) // 2],
        "cut at its end": data[:-30],
        "one byte changed": bytes(flipped),
        "of another program": pack(folder / "y.npz", {"train_images": np.zeros((3, 28, 28))}),
        "no arrays": text.getvalue(),
        "without limits": pack(folder / "z.npz", {k: good[k] for k in ARRAYS if k != "unlike"}),
        "features in three dimensions": but(features=good["features"][None]),
        "fewer rows": but(rows=good["rows"][:-1]),
        "labels as columns": but(labels=good["labels"][:, None]),
        "lesions as text": but(lesions=good["lesions"].astype(str)),
        "rows as floats": but(rows=good["rows"].astype(float)),
        "an eighth class": but(labels=np.full(30, 7, np.int8)),
        "a class below zero": but(labels=np.full(30, -1, np.int8)),
        "not finite": but(features=features),
        "one image": pack(folder / "1.npz", {k: v[:1] if v.ndim else v for k, v in good.items()}),
        "no limit": but(unlike=np.array(np.nan)),
        "two limits": but(unlike=np.array([1.0, 2.0])),
        "pickled": but(rows=np.array([{"a": 1}] * 30, dtype=object)),
        "a pickled hash": but(judge_sha256=np.array(["a", 1], dtype=object)),
    }


def test_another_or_a_damaged_file_is_refused_in_one_line(tmp_path):
    path = tmp_path / "nearest.npz"
    for what, content in break_file(tmp_path).items():
        path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            likeness.read(path)
        words = str(caught.value)
        assert words.startswith(f"{path}: "), what
        assert len(words.splitlines()) == 1, what
        assert "run evaluate.py again" in words, what
    with pytest.raises((InputError, OSError)):
        likeness.read(tmp_path / "missing.npz")


def test_a_file_that_says_it_is_huge_is_not_unpacked(tmp_path, monkeypatch):
    likeness.write(tmp_path / "a.npz", draw(np.arange(500)))
    monkeypatch.setattr(likeness, "LARGEST", 4000)
    with pytest.raises(InputError, match="not a readable index"):
        likeness.read(tmp_path / "a.npz")


def test_photographs_are_told_from_the_training_without_a_synthetic_set_too(pipeline, tmp_path):
    copy = pipeline.copy(tmp_path)
    path = copy.outputs / "evaluation/nearest.npz"
    before = path.read_bytes()
    path.unlink()
    run = runs.Run(evaluate.parse_args(copy.flags), "evaluate")
    models = networks.find_models(run, ("judge",))
    found = evaluate.evaluate_synthetic(run, models, None)
    assert found == {
        "value": None,
        "reason": "no synthetic set: run train_gan.py, or give one by --synthetic",
    }
    assert path.read_bytes() == before
