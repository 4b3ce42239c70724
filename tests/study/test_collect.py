"""The study's numbers from the records of its cells, against scikit-learn and by meaning."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from lesiongan.files.errors import InputError
from study import answer, collect
from study import grid as grids
from study.grid import Group
from tests.study.conftest import SKILLS, pick, write_cell, write_test_rows


def test_a_contrast_is_the_mean_over_the_seeds_of_both_players(filled, labels):
    grid, p = filled
    found = collect.collect(grid)
    auc = {name: roc_auc_score(labels, q, multi_class="ovr") for name, q in p.items()}
    wanted = np.mean(
        [
            auc[f"f30_shared_70_g{g}_c{c}"] - auc[f"f30_real_c{c}"]
            for g in (0, 1, 2)
            for c in (0, 1, 2)
        ]
    )
    row = pick(found, "shared_70", "auc")
    assert row["value"] == pytest.approx(wanted, abs=1e-6)
    assert row["low"] < row["value"] < row["high"]
    assert (row["gan_seeds"], row["cnn_seeds"]) == ([0, 1, 2], [0, 1, 2])
    assert (row["source"], row["amount"], row["lesions"]) == ("shared", 70, 150)
    base = np.mean([auc[f"f30_real_c{c}"] for c in (0, 1, 2)])
    assert row["base_value"] == pytest.approx(base, abs=1e-6)
    (arm,) = [a for a in found["arms"] if a["arm"] == "shared_70"]
    each = [auc[f"f30_shared_70_g{g}_c{c}"] for g in (0, 1, 2) for c in (0, 1, 2)]
    assert arm["auc"] == pytest.approx(np.mean(each), abs=1e-6)
    assert arm["auc_std"] == pytest.approx(np.std(each, ddof=1), abs=1e-6)
    assert arm["cells"] == 9


def test_differences_are_paired_by_the_classifiers_seed(grid, labels):
    """Seeds that differ alike in both arms leave a difference without spread."""
    write_test_rows(grid, len(labels))
    for seed, skill in ((0, 0.1), (1, 0.4), (2, 0.7)):
        for arm in ("real", "all_real"):
            write_cell(grid, Group(30, arm, None), seed, labels, skill, name="f30_real")
    for c in collect.collect(grid)["contrasts"]:
        assert (c["value"], c["std"], c["low"], c["high"]) == (0, 0, 0, 0)


def test_balanced_accuracy_is_that_of_the_balanced_point(grid, labels):
    write_test_rows(grid, len(labels))
    shift = np.array([9.0, 0, 0, 0, 0, 0, 0])
    points = {"balanced_shift": shift.tolist(), "train_prior": [1 / 7] * 7}
    p = write_cell(grid, Group(30, "real", None), 0, labels, 0.3, points=points)
    (arm,) = collect.collect(grid)["arms"]
    decided = (np.log(p) + shift).argmax(1)
    assert arm["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, decided))
    assert arm["accuracy"] == pytest.approx((p.argmax(1) == labels).mean())
    assert arm["accuracy"] != arm["balanced_accuracy"]


def test_only_the_family_named_beforehand_is_tested_and_by_holm(filled):
    grid, _ = filled
    found = collect.collect(grid)
    family = {("closed_70", "auc"), ("closed_70", "balanced_accuracy")}
    family |= {("shared_70", "auc"), ("shared_70", "balanced_accuracy")}
    tested = {(c["arm"], c["measure"]) for c in found["contrasts"] if c["p_holm"] is not None}
    assert tested == family
    # Those of 100 %, which have not run, count too: closed images by two measures.
    assert found["tested_together"] == 6
    least = min(c["p"] for c in found["contrasts"] if c["p"] is not None)
    assert min(c["p_holm"] for c in found["contrasts"] if c["p_holm"]) == pytest.approx(6 * least)
    assert all(c["p"] is None for c in found["contrasts"] if c["p_holm"] is None)
    assert all(c["minimum_detectable"] > 0 for c in found["contrasts"])


def test_each_p_value_is_that_of_its_own_contrast_by_holms_steps(filled):
    grid, _ = filled
    found = collect.collect(grid)
    tested = [c for c in found["contrasts"] if c["p_holm"] is not None]
    assert len({c["p"] for c in tested}) > 2
    left, largest = found["tested_together"], 0.0
    for row in sorted(tested, key=lambda c: c["p"]):
        largest = max(largest, min(1.0, left * row["p"]))
        assert row["p_holm"] == pytest.approx(largest)
        left -= 1


def test_the_interval_knows_how_gans_differ(grid, labels):
    """Three GANs of unlike worth: with one of them alone it would be far narrower."""
    write_test_rows(grid, len(labels))
    for seed in (0, 1, 2):
        write_cell(grid, Group(30, "real", None), seed, labels, 0.05)
        for gan, skill in enumerate((0.05, 0.15, 0.35)):
            write_cell(grid, Group(30, "shared_70", gan), seed, labels, skill)
    row = pick(collect.collect(grid), "shared_70", "auc")
    each = []
    for gan in (0, 1, 2):
        for path in grid.records.glob("f30_shared_70_g*"):
            path.unlink()
        for seed in (0, 1, 2):
            skill = (0.05, 0.15, 0.35)[gan]
            write_cell(grid, Group(30, "shared_70", gan), seed, labels, skill)
        each.append(pick(collect.collect(grid), "shared_70", "auc"))
    widths = [c["high"] - c["low"] for c in each]
    assert row["value"] == pytest.approx(np.mean([c["value"] for c in each]))
    assert row["high"] - row["low"] > 1.5 * max(widths)
    spread = np.std([c["value"] for c in each], ddof=1) / np.sqrt(3)
    assert row["high"] - row["low"] > 2 * spread


def test_whole_lesions_are_resampled_together(filled, monkeypatch):
    grid, _ = filled
    seen, real = [], collect.draw_measures
    monkeypatch.setattr(collect, "draw_measures", lambda *a: seen.append(a) or real(*a))
    collect.collect(grid)
    ((*_, lesions, draws),) = seen
    expected = pd.read_csv(grid.results / "test.csv.gz").lesion
    assert list(lesions) == list(expected)
    assert len(set(expected)) < len(expected)
    assert draws == grid.values["draws"]


def test_every_fraction_is_compared_with_its_own_base(filled, labels):
    grid, p = filled
    for seed in (0, 1, 2):
        p[f"f100_real_c{seed}"] = write_cell(grid, Group(100, "real", None), seed, labels, 0.3)
        for gan in (0, 1, 2):
            group = Group(100, "closed_70", gan)
            p[group.cell(seed)] = write_cell(grid, group, seed, labels, 0.35)
    row = pick(collect.collect(grid), "closed_70", "auc", 100)
    auc = {name: roc_auc_score(labels, q, multi_class="ovr") for name, q in p.items()}
    base = np.mean([auc[f"f100_real_c{c}"] for c in (0, 1, 2)])
    mine = np.mean([auc[f"f100_closed_70_g{g}_c{c}"] for g in (0, 1, 2) for c in (0, 1, 2)])
    assert row["base_value"] == pytest.approx(base, abs=1e-6)
    assert row["value"] == pytest.approx(mine - base, abs=1e-6)


def test_each_measure_is_what_its_name_says(grid, labels):
    from sklearn.metrics import average_precision_score, f1_score, roc_curve

    from tests.oracles import calibration_error

    write_test_rows(grid, len(labels))
    p = write_cell(grid, Group(30, "real", None), 0, labels, 0.15)
    (arm,) = collect.collect(grid)["arms"]
    melanoma = labels == 6
    fpr, tpr, _ = roc_curve(melanoma, p[:, 6], drop_intermediate=False)
    best = {at: tpr[fpr <= 1 - at + 1e-9].max() for at in (0.9, 0.95)}
    assert best[0.9] != best[0.95]
    assert arm["melanoma_sensitivity"] == pytest.approx(best[0.9])
    precision = average_precision_score(melanoma, p[:, 6])
    assert arm["melanoma_average_precision"] == pytest.approx(precision, abs=1e-6)
    f1 = f1_score(labels, p.argmax(1), average="macro")
    assert arm["macro_f1"] == pytest.approx(f1)
    # The points of this record shift nothing, so both decisions are the likeliest class.
    assert arm["accuracy"] == pytest.approx((p.argmax(1) == labels).mean())
    assert arm["ece"] == pytest.approx(calibration_error(labels, p), abs=1e-6)


def test_seeds_that_one_arm_lacks_are_left_out_of_both(filled):
    grid, _ = filled
    (grid.records / "f30_real_c1.json").unlink()
    (grid.records / "f30_shared_70_g1_c2.json").unlink()
    found = collect.collect(grid)
    row = pick(found, "shared_70", "auc")
    # A GAN whose classifiers are not all done is left out, not the classifiers of the others.
    assert (row["gan_seeds"], row["cnn_seeds"]) == ([0, 2], [0, 2])
    assert row["p_holm"] is None
    assert pick(found, "closed_70", "auc")["cnn_seeds"] == [0, 2]
    sentence = next(a["sentence"] for a in found["answers"] if a["arm"] == "shared_70")
    assert "fewer than 3 classifiers and GANs" in sentence


def test_of_one_gan_no_difference_is_called_one(filled):
    """Its interval knows how classifiers differ, and not how GANs do."""
    grid, _ = filled
    for path in grid.records.glob("f30_shared_70_g[12]_*.json"):
        path.unlink()
    found = collect.collect(grid)
    row = pick(found, "shared_70", "auc")
    assert row["low"] > 0
    assert (row["gan_seeds"], row["p_holm"]) == ([0], None)
    assert not answer.is_shown(row)
    sentence = next(a["sentence"] for a in found["answers"] if a["arm"] == "shared_70")
    assert "higher" not in sentence
    assert sentence.count("no p-value: of fewer than 3 GANs") == 2
    assert "others" not in found["lead"]


def test_a_p_value_that_no_draw_contradicts_is_the_least_that_can_be_said(filled):
    found = collect.collect(filled[0])
    row = pick(found, "shared_70", "auc")
    assert row["p"] == pytest.approx(2 / (found["draws"] + 1))
    assert answer.say_p(row) == f"p ≤ {row['p_holm']:.3f}".replace("0.", ".", 1)
    row = pick(found, "closed_70", "auc")
    assert row["p"] > 2 / (found["draws"] + 1)
    assert answer.say_p(row).startswith("p = ")


def test_what_the_test_images_do_not_define_is_null(grid):
    """Here there is no melanoma; the rest is computed all the same."""
    labels = np.arange(140) % 6
    write_test_rows(grid, len(labels))
    for arm in ("real", "all_real"):
        for seed in (0, 1, 2):
            write_cell(grid, Group(30, arm, None), seed, labels, SKILLS[arm])
    found = collect.collect(grid)
    json.dumps(found, allow_nan=False)
    for arm in found["arms"]:
        assert arm["melanoma_sensitivity"] is None
        assert arm["melanoma_average_precision_std"] is None
        assert arm["accuracy"] > 0
    assert {c["measure"] for c in found["contrasts"]} >= {"auc", "accuracy"}
    assert "melanoma_sensitivity" not in {c["measure"] for c in found["contrasts"]}


def test_other_images_under_one_seed_of_the_gan_are_refused(filled, labels):
    """Two machines may have trained the GAN of one seed."""
    grid, _ = filled
    other = {"synthetic_sha256": "other"}
    write_cell(grid, Group(30, "shared_70", 1), 2, labels, 0.15, trained=other)
    with pytest.raises(InputError, match="of other synthetic images than the cells"):
        collect.collect(grid)


def test_a_measure_that_is_undefined_here_is_not_compared(grid):
    """Without a melanoma in test its sensitivity is no number, and nothing fails."""
    labels = np.arange(120) % 6
    write_test_rows(grid, len(labels))
    for arm in ("real", "all_real"):
        write_cell(grid, Group(30, arm, None), 0, labels, 0.3)
    measures = {c["measure"] for c in collect.collect(grid)["contrasts"]}
    assert "auc" in measures
    assert "melanoma_sensitivity" not in measures


def test_no_contrast_mixes_two_backends(filled, labels):
    grid, _ = filled
    on_jax = {"backend": "jax", "accelerators": ["H200"]}
    for seed in (0, 1, 2):
        write_cell(grid, Group(30, "shared_70", 1), seed, labels, 0.9, environment=on_jax)
    found = collect.collect(grid)
    # The base has no cell on JAX, so its cells there are compared with nothing.
    row = pick(found, "shared_70", "auc")
    assert (row["gan_seeds"], row["backend"]) == ([0, 2], "tensorflow")
    assert found["environments"] == ["jax on H200", "tensorflow"]


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {"sha256": "other", "phantom": True}},
        {"split": {"split_seed": 1, "images": {"train": [9] * 7}}},
    ],
)
def test_cells_of_another_table_or_split_are_refused(filled, labels, changes):
    grid, _ = filled
    write_cell(grid, Group(30, "shared_70", 1), 2, labels, 0.5, **changes)
    with pytest.raises(InputError, match="another table or split"):
        collect.collect(grid)


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("own lesions", {"split": {"split_seed": 0, "sha256": "x", "images": {"train": [30] * 7}}}),
        ("teachers", {"trained": {"taught": {"teachers": ["x"]}}}),
        ("options of the training", {"trained": {"same": {"width": 8}}}),
    ],
)
def test_cells_that_were_made_otherwise_are_not_compared(filled, labels, what, changes):
    """Such as from corrected metadata, or after a default has changed."""
    grid, _ = filled
    write_cell(grid, Group(30, "real", None), 2, labels, 0.5, **changes)
    with pytest.raises(InputError, match=f"_c[12].json: of other {what}"):
        collect.collect(grid)


def test_what_an_arms_flags_change_may_differ(filled, labels):
    grid, _ = filled
    grid.arms["shared_70"]["flags"] = ["--synthetic-weight", "1", "--sampler", "balanced"]
    for arm, gan in (("real", None), ("shared_70", 0)):
        more = {} if gan is None else {"synthetic_sha256": Group(30, arm, gan).name}
        same = {"sampler": arm, "synthetic_weight": gan}
        trained = {"trained": {"same": same} | more}
        write_cell(grid, Group(30, arm, gan), 2, labels, 0.5, **trained)
    collect.collect(grid)


def test_cells_of_other_test_images_are_refused(filled, labels):
    grid, _ = filled
    write_cell(grid, Group(30, "shared_70", 1), 2, labels[:-1], 0.5)
    with pytest.raises(InputError, match="other test images"):
        collect.collect(grid)


def test_without_a_cell_it_says_what_to_run(grid):
    with pytest.raises(InputError, match="make study"):
        collect.collect(grid)


@pytest.mark.parametrize("done", [["real"], ["closed_70", "all_real"]])
def test_a_study_that_has_just_begun_is_collected(grid, labels, done, capsys):
    """Only the base has run, or arms without a base: nothing to compare, and nothing fails."""
    write_test_rows(grid, len(labels))
    for arm in done:
        write_cell(grid, Group(30, arm, 0 if "70" in arm else None), 0, labels, 0.3)
    collect.main([str(grid.path)])
    assert (grid.results.parent / "study_map.png").is_file()
    assert f"study: {len(done)} of 45 cells done" in capsys.readouterr().out


def test_the_command_writes_json_table_map_and_sentences(filled, capsys):
    grid, _ = filled
    collect.main([str(grid.path)])
    folder = grid.results.parent
    found = json.loads((folder / "study.json").read_text())
    table = pd.read_csv(folder / "study.csv", float_precision="round_trip")
    assert len(table) == len(found["contrasts"]) == 3 * len(grids.MEASURES)
    assert "ece" in found["arms"][0]
    assert "ece" not in set(table.measure)
    np.testing.assert_array_equal(table["value"], [c["value"] for c in found["contrasts"]])
    assert {"study_map.png", "study_map.pdf"} <= {p.name for p in folder.iterdir()}
    said = capsys.readouterr().out
    assert all(a["sentence"] in said for a in found["answers"])
    assert (found["cells"], found["cells_planned"]) == (24, 45)
    shared = next(a["sentence"] for a in found["answers"] if a["arm"] == "shared_70")
    assert shared.startswith("With 150 own lesions (30 %), own images + 70 of a shared GAN: AUC .")
    assert shared.endswith(". 3 GANs x 3 classifiers.")
