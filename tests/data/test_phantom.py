"""Phantom lesions have what HAM10000 has, and are never taken for photographs."""

import numpy as np
import pytest

from lesiongan.data import classes
from lesiongan.data.classes import CLASSES
from lesiongan.data.tables import read_table
from lesiongan.files.errors import InputError


def test_phantom_mark_is_seen_and_photographs_have_none(table_path):
    table = read_table(table_path)
    assert table.is_phantom
    plain = classes.mark_as_phantom(table.images)
    np.testing.assert_array_equal(plain, table.images)
    assert not classes.has_phantom_mark(
        np.random.default_rng(0).integers(0, 256, (1, 28, 28, 3), dtype=np.uint8)
    )


def test_phantoms_never_replace_a_table_or_metadata_of_photographs(tmp_path):
    from lesiongan import phantom

    phantom.main(["--rows", "84", "--out", str(tmp_path)])
    # Phantoms may be drawn again.
    phantom.main(["--rows", "84", "--out", str(tmp_path)])
    table, metadata = tmp_path / "hmnist_28_28_RGB.csv", tmp_path / "HAM10000_metadata.csv"
    metadata.write_text(metadata.read_text().replace("PHANTOM_", "ISIC_"))
    with pytest.raises(InputError, match="would be replaced"):
        phantom.main(["--out", str(tmp_path)])
    metadata.unlink()
    lines = table.read_text().splitlines()
    lines[1] = lines[1].rsplit(",", 57)[0] + ",7" * 56 + ",0"
    table.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match="would be replaced"):
        phantom.main(["--out", str(tmp_path)])


def test_phantoms_are_deterministic_and_have_every_class(table_path, tmp_path):
    from lesiongan.phantom import write_phantom

    assert write_phantom(tmp_path, 200).read_bytes() == table_path.read_bytes()
    counts = classes.class_counts(read_table(table_path).labels)
    assert counts.min() >= 12
    assert counts.argmax() == CLASSES.index("nv")


def test_phantom_photographs_of_a_lesion_share_its_id_and_class_and_seeds_draw_others(
    table_path, tmp_path
):
    import pandas as pd

    from lesiongan.phantom import write_phantom

    meta = pd.read_csv(table_path.with_name("HAM10000_metadata.csv"))
    assert meta.dx.tolist() == [CLASSES[c] for c in read_table(table_path).labels]
    sizes = meta.groupby("lesion_id").size()
    assert 1 < sizes.max() <= 3
    assert (meta.groupby("lesion_id").dx.nunique() == 1).all()
    assert meta.image_id.is_unique
    first, second = (read_table(write_phantom(tmp_path / str(seed), 84, seed)) for seed in (1, 2))
    assert not (first.images == second.images).all(axis=(1, 2, 3)).any()
