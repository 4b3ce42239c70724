"""The study's answer in words: its sentences, what a gain is worth, and the pages."""

import json

import pandas as pd
import pytest

from study import answer, collect, gaps
from study.grid import Grid, Group
from study.pages import study as pages_study
from tests.study.conftest import SKILLS, pick, write_cell, write_grid, write_test_rows


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
    # Where the same images are not shown to help stands beside where they are.
    more = [*found["contrasts"], row | {"lesions": 300, "p_holm": 0.5}]
    assert (
        "They are not shown to raise AUC with 300 own lesions. Images of one's own GAN"
        in answer.write_lead(found | {"contrasts": more})
    )
    row |= {"value": -0.2, "low": -0.3, "high": -0.1}
    assert "lesions change AUC from" in answer.write_lead(found)


def test_what_a_closed_gan_does_not_draw_is_said(filled, labels):
    grid, _ = filled
    assert collect.collect(grid)["undrawn"] == []
    grid.values["drawing"] = ["--least-images=20"]
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
    # Classes that nobody asked for are not missing.
    done = grid.read_done()
    grid.values["drawing"] = ["--least-images", 20, "--classes", "df,nv"]
    assert gaps.list_undrawn(grid, done) == [few | {"classes": ["df"]}]
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
        f"{gain} about as much as 100 more real lesions would bring "
        "(by the gain's 95 % interval: 41 to at least 1500)"
    )
    for low, value, words in (
        (
            41,
            1500,
            "at least as much as 1500 more real lesions would bring "
            "(by the gain's 95 % interval: 41 to at least",
        ),
        (1500, 1500, "at least as much as 1500 more real lesions would bring"),
        (
            967,
            1234,
            "about as much as 1200 more real lesions would bring "
            "(by the gain's 95 % interval: 970 to at least",
        ),
    ):
        worth = {"low": low, "value": value, "high": 1500, "most": 1500}
        said = answer.say_gain(row_of(worth=worth))
        assert f"{gain} {words}" in said
        assert said.endswith(")") == (low != 1500)
    loss = row_of(value=-0.02, low=-0.03, high=-0.01, p_holm=None)
    lower = "AUC .780 instead of .800, lower by .020 [-.030, -.010]"
    # An untested gain is no stronger a finding than one that the correction takes back.
    assert answer.say_gain(loss) == f"{lower}, no p-value"
    assert answer.say_gain(row_of(p_holm=None)).endswith("[+.010, +.030], no p-value")
    assert not answer.is_shown(loss)
    assert answer.say_gain(row_of(low=-0.001)) == (
        f"{level}, no difference shown (+.020 [-.001, +.030]; detectable: .016)"
    )
    assert answer.say_gain(row_of(p_holm=0.06)) == (
        f"{level}, higher by .020 [+.010, +.030] but not significantly after Holm's correction "
        "(p = .060)"
    )
    for seeds, what in (
        ({"cnn_seeds": [0, 1]}, "classifiers"),
        ({"gan_seeds": [0]}, "GANs"),
        ({"cnn_seeds": [0], "gan_seeds": [0, 1]}, "classifiers and GANs"),
    ):
        few = answer.say_gain(row_of(**seeds))
        assert few == f"{level} (+.020 [+.010, +.030]), no p-value: of fewer than 3 {what}"
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
        words = "With 30 % of the lesions these training sets are still missing: "
        assert f"{words}*{labels[0]}*;" in page
