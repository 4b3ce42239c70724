"""The search for copies: exact ones by hash, near ones by a tree that misses none."""

import numpy as np
import pytest

from lesiongan.data import lesions, near_duplicates
from lesiongan.data.tables import Table


def random_images(rng, n):
    return rng.integers(0, 256, (n, 28, 28, 3), dtype=np.uint8)


def table_of(images):
    rows = np.arange(len(images))
    labels = np.zeros(len(images), np.int32)
    return Table("t.csv", "hmnist_28_28_RGB", images, labels, "", rows, rows.astype(str))


def test_the_projection_never_lengthens_a_distance_under_any_flip_or_turn():
    rng = np.random.default_rng(0)
    means = near_duplicates.area_means(random_images(rng, 40))
    flat = near_duplicates.invariant_means(means)
    assert flat.shape == (40, 30)
    for view in near_duplicates.dihedral_views(means):
        np.testing.assert_allclose(near_duplicates.invariant_means(view), flat, rtol=1e-4)
    i, j = (a.ravel() for a in np.mgrid[:40, :40])
    bound = np.linalg.norm(flat[i] - flat[j], axis=1)
    assert (bound <= near_duplicates.least_distances(means, i, j) + 1e-2).all()


def test_every_planted_copy_is_found_among_thousands(monkeypatch):
    """The tree is built anew several times on the way, and candidates come in several pieces."""
    monkeypatch.setattr(near_duplicates, "MOST_CANDIDATES", 3000)
    rng = np.random.default_rng(0)
    # Area means of random images are all alike: they are spread to look different.
    images = (random_images(rng, 3000) // 4 + rng.integers(0, 192, (3000, 1, 1, 3))).astype(
        np.uint8
    )
    sources, copies = np.arange(0, 400, 2), np.arange(2600, 2800)
    for k, (i, j) in enumerate(zip(sources, copies, strict=True)):
        view = near_duplicates.dihedral_views(images[i : i + 1])[k % 8][0]
        images[j] = np.clip(view.astype(int) + rng.integers(-5, 6, view.shape), 0, 255)
    found = set(map(tuple, near_duplicates.near_pairs(images, block=256).tolist()))
    assert set(zip(sources.tolist(), copies.tolist(), strict=True)) <= found
    means = near_duplicates.area_means(images)
    i, j = np.array(sorted(found)).T
    assert (near_duplicates.least_distances(means, i, j) < 50).all()


def test_exact_copies_are_paired_with_the_first_alone():
    rng = np.random.default_rng(0)
    images = random_images(rng, 10)
    images[[4, 7]] = images[2]
    images[9] = images[0]
    assert near_duplicates.exact_pairs(images).tolist() == [[2, 4], [2, 7], [0, 9]]


def test_near_copies_are_grouped_rightly_behind_exact_ones():
    rng = np.random.default_rng(0)
    images = random_images(rng, 20)
    near = np.clip(images[5:8].astype(int) + rng.integers(-5, 6, (3, 28, 28, 3)), 0, 255)
    table = table_of(np.concatenate([images[:1], images, near.astype(np.uint8)]))
    groups = lesions.group_lesions(table, "none").lesions.tolist()
    assert groups[0] == groups[1]
    assert groups[21:] == groups[6:9]
    assert len(set(groups)) == 20


@pytest.mark.parametrize("n", [200, 60_000])
def test_copies_cannot_part_at_any_size(n, capsys):
    """Above 50 000 rows nothing was grouped: 87 % of test rows had a copy in train."""
    rng = np.random.default_rng(0)
    few = random_images(rng, 100)
    images = few[rng.integers(100, size=n)]
    table = lesions.group_lesions(table_of(images), "none")
    assert len(set(table.lesions)) <= 100
    for image in few[:5]:
        own = (images == image).all(axis=(1, 2, 3))
        assert len(set(table.lesions[own])) <= 1
    assert table.grouping == "near-duplicate images"


def test_a_large_table_shows_how_far_the_search_is(monkeypatch, capsys):
    monkeypatch.setattr(near_duplicates, "SHOW_PROGRESS_ABOVE", 50)
    near_duplicates.near_pairs(random_images(np.random.default_rng(0), 60))
    assert "near-duplicates" in capsys.readouterr().err


def test_exact_copies_are_paired_with_all_that_the_image_is_near_to():
    """Whether they stand before it or behind, as if each had been compared by itself."""
    rng = np.random.default_rng(0)
    images = (random_images(rng, 60) // 4 + rng.integers(0, 192, (60, 1, 1, 3))).astype(np.uint8)
    images[[5, 41, 59]] = images[20]
    images[33] = np.rot90(images[20])
    images[[3, 50]] = np.clip(images[20].astype(int) + rng.integers(-4, 5, (28, 28, 3)), 0, 255)
    images[12] = images[11]
    means = near_duplicates.area_means(images)
    i, j = np.triu_indices(60, 1)
    near = near_duplicates.least_distances(means, i, j) < 50
    wanted = np.stack([i, j], axis=1)[near]
    assert len(wanted) >= 22
    np.testing.assert_array_equal(near_duplicates.near_pairs(images, block=7), wanted)
