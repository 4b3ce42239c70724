"""The study's answer from the records of its cells, against scikit-learn and by meaning."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from lesiongan.files.errors import InputError
from study import answer, collect
from study import grid as grids
from study.grid import Grid, Group
from study.pages import study as pages_study
from tests.study.conftest import write_cell, write_grid, write_test_rows

SKILLS = {"real": 0.05, "all_real": 0.25, "closed_70": 0.05, "shared_70": 0.15}


@pytest.fixture
def filled(grid, labels):
    """The grid with every cell of 30 % done; returns it and {ID: probabilities}."""
    write_test_rows(grid, len(labels))
    found = {}
    for group in grid.groups:
        if group.fraction == 30 and group.arm in SKILLS:
            for seed in (0, 1, 2):
                p = write_cell(grid, group, seed, labels, SKILLS[group.arm])
                found[group.cell(seed)] = p
    return grid, found


def pick(found, arm, measure, fraction=30):
    (row,) = [
        c
        for c in found["contrasts"]
        if (c["arm"], c["measure"], c["fraction"]) == (arm, measure, fraction)
    ]
    return row


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
    assert "too few seeds" in sentence


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
    assert sentence.count("not tested, of too few seeds") == 2
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


def test_the_page_says_by_how_many_versions_and_processors_the_cells_were_made(filled, labels):
    grid, _ = filled
    page = pages_study.render_study(collect.collect(grid))
    assert "of the training code" not in page
    name = "f30_all_real_c0"
    record = json.loads((grid.records / f"{name}.json").read_text())
    record["environment"] |= {"processor": "Another CPU"}
    record["trained"]["trained_by"] = ["other code"]
    (grid.records / f"{name}.json").write_text(json.dumps(record))
    page = pages_study.render_study(collect.collect(grid))
    assert "by 2 versions of the training code, on" in page
    assert "Another CPU" in page


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


def test_the_lead_says_which_images_help_and_which_are_not_shown_to(filled):
    grid, _ = filled
    found = collect.collect(grid)
    assert "others' lesions are not shown to raise AUC with 150 own lesions." in found["lead"]
    # The smoke grid has too few draws for a test to pass.
    row = pick(found, "shared_70", "auc")
    row["p_holm"] = 0.01
    said = answer.write_lead(found)
    level = row["base_value"] + row["value"]
    gain = f"{row['value']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
    first = f"from {row['base_value']:.3f} to {level:.3f} with 150 own lesions ({gain})"
    assert said == (
        "Images of a GAN that learned from others' lesions raise AUC "
        f"{first.replace('0.', '.')}. "
        "Images of one's own GAN are not shown to raise AUC with 150 own lesions."
    )
    assert f"**Preliminary: {said}**" in pages_study.render_study(found | {"lead": said})
    row |= {"value": -0.2, "low": -0.3, "high": -0.1}
    assert "lesions change AUC from" in answer.write_lead(found)


def test_what_a_closed_gan_does_not_draw_is_said(filled, labels):
    grid, _ = filled
    assert collect.collect(grid)["undrawn"] == []
    grid.values["drawing"] = ["--least-images", 20]
    counts = [20, 19, 40, 3, 400, 20, 40]
    for gan in (0, 1, 2):
        for seed in (0, 1, 2):
            for source in ("closed", "shared"):
                write_cell(
                    grid,
                    Group(30, f"{source}_70", gan),
                    seed,
                    labels,
                    0.1,
                    split={"split_seed": 0, "images": {"train": counts}},
                )
    found = collect.collect(grid)
    few = {"fraction": 30, "lesions": 150, "classes": ["bcc", "df"], "least_images": 20}
    assert found["undrawn"] == [few]
    page = pages_study.render_study(found, whole=False)
    assert "of which it saw 20 images: the closed one draws no bcc, df with 150 lesions." in page


def test_other_measures_stand_in_a_table_with_their_differences(filled):
    grid, _ = filled
    found = collect.collect(grid)
    page = pages_study.render_study(found)
    rows = [line for line in page.splitlines() if line.startswith("| 150 |")]
    # Own images alone come first, and the ceiling comes last.
    order = [grid.arms[a]["label"] for a in ("real", "closed_70", "shared_70", "all_real")]
    assert [row.split(" | ")[1] for row in rows] == order
    row = pick(found, "shared_70", "macro_f1")
    level = f"{row['base_value'] + row['value']:.3f}".replace("0.", ".", 1)
    assert f"| {level} ({row['value']:+.3f}".replace("+0.", "+.") in rows[2]
    assert "(" not in rows[0]


def test_what_has_not_begun_is_said(filled):
    grid, _ = filled
    found = collect.collect(grid)
    wanted = {g.fraction for g in grid.groups} - {30}
    assert set(found["not_begun"]["fractions"]) == wanted
    for fraction in wanted:
        assert f"{fraction} % of the lesions" in pages_study.render_study(found, whole=False)
    found["cells_planned"] = found["cells"]
    assert "preliminary" not in pages_study.render_study(found)


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


# ---------------------------------------------------------------- what images are worth

ARMS = [
    {"arm": arm, "fraction": f, "backend": backend, "lesions": lesions, "auc": auc}
    for arm, f, backend, lesions, auc in (
        ("real", 10, "tensorflow", 100, 0.80),
        ("real", 30, "tensorflow", 400, 0.84),
        ("real", 100, "tensorflow", 1600, 0.88),
        ("all_real", 10, "tensorflow", 1600, 0.5),
        ("real", 20, "jax", 200, 0.99),
    )
]


def worth_of(gain, **changes):
    row = {"fraction": 10, "lesions": 100, "base_value": 0.80, "measure": "auc"}
    row["backend"] = "tensorflow"
    gains = {"value": gain, "low": gain - 0.02, "high": gain + 0.02}
    return answer.find_worth(row | gains | changes, ARMS, "real")


@pytest.mark.parametrize(
    ("gain", "low", "value", "high"),
    [
        (0.02, 0, 100, 300),
        (0.04, 100, 300, 700),
        (0.06, 300, 700, 1500),
        (0.081, 728, 1500, 1500),
        (-0.01, 0, 0, 41),
    ],
)
def test_a_gain_is_worth_the_real_lesions_that_give_as_much(gain, low, value, high):
    """AUC rises by .04 for every fourfold number of lesions: .02 is worth twice as many."""
    assert worth_of(gain) == {"low": low, "value": value, "high": high, "most": 1500}


def test_without_a_second_point_nothing_is_said_of_worth():
    assert worth_of(0.01, lesions=200, base_value=0.9, backend="jax") is None
    assert worth_of(0.01, lesions=1600, base_value=0.88) is None


def test_where_real_lesions_help_nothing_a_gain_is_worth_all_of_them():
    arms = [a | {"auc": 0.7} for a in ARMS if a["lesions"] > 100]
    row = {"fraction": 10, "lesions": 100, "base_value": 0.8, "measure": "auc"}
    gains = {"value": 0.01, "low": -0.01, "high": 0.02, "backend": "tensorflow"}
    found = answer.find_worth(row | gains, arms, "real")
    assert found == {"low": 0, "value": 1500, "high": 1500, "most": 1500}


def test_before_all_lesions_have_run_the_ceiling_of_the_largest_fraction_ends_the_curve():
    """And the worth of every set is read off the one curve that the map shows."""
    arms = [a | {"accuracy": a["auc"] / 2} for a in ARMS if a["fraction"] != 100]
    arms = [a for a in arms if a["arm"] == "real"]
    for fraction, auc in ((10, 0.90), (30, 0.88)):
        arms.append(ARMS[3] | {"fraction": fraction, "auc": auc, "accuracy": auc / 2})
    assert answer.list_real(arms, "tensorflow", "auc", "real")[-1] == (1600, 0.88)
    row = {"fraction": 10, "lesions": 100, "base_value": 0.80, "backend": "tensorflow"}
    gains = {"value": 0.06, "low": 0.04, "high": 0.09}
    found = answer.find_worth(row | gains | {"measure": "auc"}, arms, "real")
    # From 400 lesions to 1600 AUC rises by .04, so .86 is reached at 800.
    assert found == {"low": 300, "value": 700, "high": 1500, "most": 1500}
    halves = {name: gain / 2 for name, gain in gains.items()} | {"base_value": 0.40}
    assert answer.find_worth(row | halves | {"measure": "accuracy"}, arms, "real") == found


def row_of(**changes):
    row = {
        "measure": "auc",
        "value": 0.02,
        "low": 0.01,
        "high": 0.03,
        "p_holm": 0.01,
        "minimum_detectable": 0.0163,
        "lesions": 100,
        "base_value": 0.80,
        "backend": "tensorflow",
        "cnn_seeds": [0, 1, 2],
        "gan_seeds": [0, 1, 2],
        "p_at_most": False,
        "worth": {"low": 41, "value": 100, "high": 1500, "most": 1500},
    }
    return row | changes


def test_a_gain_is_said_with_its_interval_and_worth_and_a_null_with_what_would_be_seen():
    level = "AUC .820 instead of .800"
    gain = f"{level}, higher by .020 [+.010, +.030] (p = .010),"
    assert answer.say_gain(row_of()) == (
        f"{gain} about as much as 100 more real lesions would bring (95 % interval: 41 to at least "
        "1500)"
    )
    for low, value, words in (
        (
            41,
            1500,
            "at least as much as 1500 more real lesions would bring (95 % interval: 41 to at least",
        ),
        (1500, 1500, "at least as much as 1500 more real lesions would bring"),
        (
            967,
            1234,
            "about as much as 1200 more real lesions would bring (95 % interval: 970 to at least",
        ),
    ):
        worth = {"low": low, "value": value, "high": 1500, "most": 1500}
        said = answer.say_gain(row_of(worth=worth))
        assert f"{gain} {words}" in said
        assert said.endswith(")") == (low != 1500)
    loss = row_of(value=-0.02, low=-0.03, high=-0.01, p_holm=None)
    lower = "AUC .780 instead of .800, lower by .020 [-.030, -.010]"
    # An untested gain is no stronger a finding than one that the correction takes back.
    assert answer.say_gain(loss) == f"{lower}, not tested"
    assert answer.say_gain(row_of(p_holm=None)).endswith("[+.010, +.030], not tested")
    assert not answer.is_shown(loss)
    assert answer.say_gain(row_of(low=-0.001)) == (
        f"{level}, no difference shown (+.020 [-.001, +.030]; detectable: .016)"
    )
    assert answer.say_gain(row_of(p_holm=0.06)) == (
        f"{level}, higher by .020 [+.010, +.030] but not significantly after Holm's correction "
        "(p = .060)"
    )
    for seeds in ({"cnn_seeds": [0, 1]}, {"gan_seeds": [0]}):
        few = answer.say_gain(row_of(**seeds))
        assert few == f"{level} (+.020 [+.010, +.030]), not tested, of too few seeds"
    assert answer.say_gain(row_of(p_at_most=True)).startswith(gain.replace("p =", "p ≤"))


def test_the_ceiling_of_a_grid_is_its_largest_number_of_lesions(tmp_path, labels):
    """With one fraction alone, its ceiling is the second point of the curve."""
    grid = Grid(write_grid(tmp_path, cnn_seeds=[0, 1, 2], gan_seeds=[0]))
    write_test_rows(grid, len(labels))
    for arm in SKILLS:
        gan = 0 if "70" in arm else None
        for seed in (0, 1, 2):
            more = {"lesions": 500} if arm == "all_real" else {}
            write_cell(grid, Group(30, arm, gan), seed, labels, SKILLS[arm], **more)
    found = collect.collect(grid)
    more = pick(found, "shared_70", "auc")["worth"]
    assert 0 <= more["low"] < more["value"] < more["high"] <= more["most"] == 350
    assert pick(found, "all_real", "auc")["worth"] is None
    collect.write_csv(tmp_path / "study.csv", found["contrasts"])
    table = pd.read_csv(tmp_path / "study.csv").query("arm == 'shared_70' and measure == 'auc'")
    columns = ["worth_low", "worth", "worth_high", "worth_most"]
    (row,) = table[columns].to_dict("records")
    assert list(row.values()) == [more[name] for name in ("low", "value", "high", "most")]


def test_an_arm_of_real_images_alone_has_a_sentence_and_a_point_of_its_own(tmp_path, labels):
    """Such as other flags of train_cnn.py, on a table of one's own."""
    arms = {
        "real": {"label": "plain batches", "flags": ["--synthetic", "none"]},
        "balanced": {"label": "class-balanced batches", "flags": ["--sampler", "balanced"]},
    }
    grid = Grid(
        write_grid(
            tmp_path,
            arms=arms,
            family={"arms": ["balanced"], "measures": ["auc"]},
            stages=[{"fractions": [100], "arms": ["real", "balanced"]}],
            cnn_seeds=[0, 1, 2],
        )
    )
    write_test_rows(grid, len(labels))
    for arm, skill in (("real", 0.1), ("balanced", 0.4)):
        for seed in (0, 1, 2):
            write_cell(grid, Group(100, arm, None), seed, labels, skill)
    found = collect.collect(grid)
    row = pick(found, "balanced", "auc", 100)
    # Three seeds are enough to be tested: there is no GAN whose seeds could be too few.
    assert row["p_holm"] == row["p"] == pytest.approx(2 / (found["draws"] + 1))
    (said,) = found["answers"]
    assert "class-balanced batches: AUC 1.000 instead of ." in said["sentence"]
    assert said["sentence"].endswith(". 3 classifiers.")
    collect.main([str(grid.path)])


def test_the_pages_have_a_sentence_a_line_and_the_readme_the_family_and_the_controls(filled):
    grid, _ = filled
    found = collect.collect(grid)
    row = pick(found, "shared_70", "auc") | {"value": 0.0104, "low": -0.02, "high": 0.03}
    for arm, source in (("control", None), ("other", "closed")):
        found["answers"].append({"arm": arm, "sentence": f"Of {arm}."})
        found["contrasts"].append(row | {"arm": arm, "source": source, "label": f"label {arm}"})
    short = pages_study.render_study(found, whole=False)
    told = [line for line in short.splitlines() if line.startswith("* ")]
    # What is to be known of all lines stands under them.
    *lines, controls = told[: told.index(next(t for t in told if t.startswith("* Each line")))]
    named = found["family"]["arms"]
    assert lines == ["* " + a["sentence"] for a in found["answers"] if a["arm"] in named]
    assert controls.endswith("change AUC so: *label control* (30 %) by +.010 [-.020, +.030].")
    assert "results/study_map.png" in short
    whole = pages_study.render_study(found)
    assert all(f"\n* {a['sentence']}\n" in f"\n{whole}\n" for a in found["answers"])
    assert "24 of 45 trainings" in whole
    assert "still missing" not in whole
    assert "Too few of its trainings" in pages_study.render_study(None)


def test_comparisons_that_a_gain_cannot_do_without_are_named_while_they_are_missing(filled):
    """The ceiling, as every arm of real images alone, and what was named beforehand."""
    grid, _ = filled
    for path in [*grid.records.glob("*all_real*"), *grid.records.glob("*closed_70*")]:
        path.unlink()
    found = collect.collect(grid)
    labels = [grid.arms[a]["label"] for a in ("all_real", "closed_70")]
    assert found["missing"] == [{"fraction": 30, "label": label} for label in labels]
    for whole in (True, False):
        page = pages_study.render_study(found, whole)
        assert f"With 30 % of the lesions these controls are still missing: *{labels[0]}*;" in page
