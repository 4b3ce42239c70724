"""study/collect_arms.py, which compares training sets (arms).

Differences and intervals are checked against closed forms, the correction for many comparisons
against Holm's procedure step by step; and some arms may not be compared.
"""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from lesiongan.files.errors import InputError
from study.gather import pack
from tests.conftest import load_fresh


@pytest.fixture(scope="module")
def arms():
    return load_fresh("study.collect_arms")


def test_collect_compares_each_arm_with_real_images_on_the_seeds_of_both(
    arms, place, pipeline, tmp_path, capsys
):
    with pytest.raises(InputError, match="lesion_0"):
        arms.collect(place)
    evaluation = pipeline.outputs / "evaluation"
    context = json.loads((evaluation / "context.json").read_text())

    def write(folder, source, points, **files):
        (place.results / folder).mkdir(parents=True, exist_ok=True)
        (place.results / folder / "predictions.csv").write_bytes((evaluation / source).read_bytes())
        mine = {"points": points, "arms": dict.fromkeys(points, context["arms"]["classifier"])}
        (place.results / folder / "context.json").write_text(json.dumps(context | mine))
        for name, path in files.items():
            (place.results / folder / f"{name}.csv").write_bytes((evaluation / path).read_bytes())

    points = context["points"]
    for seed in (0, 1, 2):
        write(
            f"classifier/lesion_split_{seed}",
            "predictions.csv",
            points,
            predictions_control="predictions_control.csv",
        )
    pack(pipeline.outputs / "split.csv", place.split_file(of_images=False))
    # The plain arm has the control's own predictions; seed 4 has no control to compare with.
    for seed in (1, 4):
        write(f"arms/plain_{seed}", "predictions_control.csv", {"classifier": points["control"]})
    arms.collect(place)
    found = json.loads((tmp_path / "arms.json").read_text())
    metrics = json.loads((evaluation / "metrics.json").read_text())
    ours = found["arms"]["classic_synthetic"]
    assert (ours["seeds"], found["arms"]["plain"]["seeds"]) == ([0, 1, 2], [1, 4])
    assert ours["acc"] == pytest.approx(
        metrics["models"]["classifier"]["argmax"]["accuracy"]["value"]
    )
    assert ours["auc_std"] == pytest.approx(0)
    paired = metrics["classifier_minus_control"]
    for name, wanted in (("acc", paired["argmax"]["accuracy"]), ("auc", paired["auc"])):
        assert ours["less_classic"][name]["value"] == pytest.approx(wanted["value"])
        # evaluate.py drew the lesions otherwise, so the ends agree only roughly.
        assert ours["less_classic"][name]["low"] == pytest.approx(wanted["low"], abs=0.02)
    same = found["arms"]["plain"]
    assert same["compared_seeds"] == [1]
    for name in arms.MEASURES:
        assert same["less_classic"][name]["value"] == same["less_classic"][name]["high"] == 0
        assert same["less_classic"][name]["p"] is None
    # Only the arm with three seeds is compared by a test.
    assert found["comparisons"] == len(arms.MEASURES) == 4
    check_answer(tmp_path, found)
    check_recipes(arms, place, tmp_path)


def check_answer(tmp_path, found):
    """The answer in the README names what Holm's procedure leaves, by these collected arms."""
    pages = load_fresh("study.pages.build")
    pages.RUN = tmp_path / "run"
    (tmp_path / "TEST_LOG.md").write_text(
        "".join(f"| 2026-01-01 | a | {what} |\n" for what in ("b", "image_0", "leak_0"))
    )
    assert pages.count_readings() == (1, 2)
    # A group of the study reads once for each classifier.
    line = "| 2026-01-01 | a | `study.run_group`, f10_real: classifiers of seed 0, 1, 12 |"
    assert pages.count_in_line(line) == 3
    ours = found["arms"]["classic_synthetic"]
    # What networks this small came to must not matter here.
    for comparison in ours["less_classic"].values():
        comparison |= {"p_holm": 0.05}
    (tmp_path / "arms.json").write_text(json.dumps(found))
    (tmp_path / "run").mkdir()
    (tmp_path / "run/control_options.json").write_text('{"real_images": 7654}')
    metrics = {"majority_baseline": {"accuracy": {"value": 0.6543}}}
    (tmp_path / "run/metrics.json").write_text(json.dumps(metrics))
    assert "beside the 7654 real ones" in pages.build_answer()
    assert "an accuracy of 0.654." in pages.build_answer()
    assert "no difference shown" in pages.build_answer()
    ours["less_classic"]["auc"] |= {"value": 0.02, "p_holm": 0.01}
    (tmp_path / "arms.json").write_text(json.dumps(found))
    answer = pages.build_answer()
    assert "AUC raised" in answer
    assert "+0.020 (" in answer
    ours["less_classic"]["auc"] |= {"value": -0.02, "p": 0.001, "p_holm": 0.01}
    (tmp_path / "arms.json").write_text(json.dumps(found))
    assert "With all train lesions of HAM10000: AUC lowered." in pages.build_answer()


def check_recipes(arms, place, tmp_path):
    """Arms of another recipe or other synthetic images are refused; other code is noted."""
    whole = (place.results / "arms/plain_1/context.json").read_text()

    def collect_with(**changed):
        other = json.loads(whole)
        other["arms"]["classifier"] |= changed
        (place.results / "arms/plain_1/context.json").write_text(json.dumps(other))
        arms.collect(place)
        return json.loads((tmp_path / "arms.json").read_text())

    same = json.loads(whole)["arms"]["classifier"]["same"]
    with pytest.raises(InputError, match="another recipe"):
        collect_with(same=same | {"steps": same["steps"] + 1})
    with pytest.raises(InputError, match="another recipe"):
        collect_with(same=same | {"learning_rate": 9.0})
    with pytest.raises(InputError, match="other synthetic images than the arms of seed 1"):
        collect_with(synthetic_sha256="0" * 64)
    # Arms are there to differ in their augmentation, so that is no other recipe.
    collect_with(same=same | {"augment": "none", "middle": 28})
    assert "DIFFERENT CODE" in collect_with(trained_by=["another", {}, "tensorflow"])["protocol"]


def write_arms(place, evaluation, pages):
    """Write one seed's files.

    Each page is (folder, {file: source}, {model: points}, steps that its models were trained for).
    """
    context = json.loads((evaluation / "context.json").read_text())
    for folder, files, points, steps in pages:
        (place.results / folder).mkdir(parents=True)
        for name, source in files.items():
            (place.results / folder / name).write_bytes((evaluation / source).read_bytes())
        own = {m: context["arms"]["classifier"] | {"same": {"steps": steps}} for m in points}
        (place.results / folder / "context.json").write_text(
            json.dumps(context | {"points": points, "arms": own})
        )


def test_each_arm_is_decided_at_the_points_and_described_by_the_training_of_its_own_network(
    arms, place, pipeline, tmp_path
):
    """The two arms of a seed that the run `lesion` trains lie in one folder, with both points.

    Both predictions lie there too.
    """
    evaluation = pipeline.outputs / "evaluation"
    own = json.loads((evaluation / "context.json").read_text())["points"]
    points = {
        name: own[name] | {"balanced_shift": np.linspace(-s, s, 7).tolist()}
        for name, s in (("classifier", 2), ("control", -2))
    }
    files = {
        "predictions.csv": "predictions.csv",
        "predictions_control.csv": "predictions_control.csv",
    }
    write_arms(place, evaluation, [("classifier/lesion_split_0", files, points, 5)])
    measures, lesions, _, steps = arms.build_measures(
        arms.find_arms(place), pipeline.outputs / "split.csv"
    )
    assert steps == 5
    for arm, model, file in (
        ("classic_synthetic", "classifier", "predictions.csv"),
        ("classic", "control", "predictions_control.csv"),
    ):
        table = pd.read_csv(evaluation / file)
        p, y = table.filter(like="p_").to_numpy(), table.label
        found = measures[arm, 0](np.ones((1, len(lesions))))
        decided = (np.log(p) + points[model]["balanced_shift"]).argmax(axis=1)
        assert found["acc"][0] == pytest.approx((p.argmax(axis=1) == y).mean()), arm
        assert found["acc_balanced"][0] == pytest.approx((decided == y).mean()), arm


def test_differences_are_of_the_same_seed(arms, place, pipeline, tmp_path, capsys):
    """An arm of seed 1 alone is compared with seed 1 of the base, whatever seed 0 is like."""
    evaluation = pipeline.outputs / "evaluation"
    points = json.loads((evaluation / "context.json").read_text())["points"]["classifier"]
    both = {"classifier": points, "control": points}
    first = {
        "predictions.csv": "predictions.csv",
        "predictions_control.csv": "predictions_control.csv",
    }
    second = {"predictions.csv": "predictions.csv", "predictions_control.csv": "predictions.csv"}
    plain = "arms/plain_1", {"predictions.csv": "predictions.csv"}, {"classifier": points}, 5
    write_arms(
        place,
        evaluation,
        [
            ("classifier/lesion_split_0", first, both, 5),
            ("classifier/lesion_split_1", second, both, 5),
            plain,
        ],
    )
    pack(pipeline.outputs / "split.csv", place.split_file(of_images=False))
    arms.collect(place)
    found = json.loads((tmp_path / "arms.json").read_text())["arms"]
    # The base's two seeds differ, or the wrong one would pass for the right one.
    assert found["classic"]["auc_std"] > 0
    for comparison in found["plain"]["less_classic"].values():
        assert comparison["value"] == comparison["low"] == comparison["high"] == 0


def write_arms_of_three_seeds(place, y, points, rng):
    """Write three arms in three seeds, and return {(arm, seed): its probabilities}."""
    n = len(y)
    names = [f"p_{c}" for c in ("akiec", "bcc", "bkl", "df", "nv", "vasc", "mel")]
    arm = {"trained_on": "r", "same": {"steps": 5}}
    tables = {}
    for seed in (0, 1, 2):
        for folder, file, key, better in (
            (f"classifier/lesion_split_{seed}", "predictions.csv", "classic_synthetic", 1.2),
            (f"classifier/lesion_split_{seed}", "predictions_control.csv", "classic", 1.0),
            (f"arms/plain_{seed}", "predictions.csv", "plain", 0.3),
        ):
            logits = rng.normal(size=(n, 7)) + better * np.eye(7)[y]
            p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            tables[key, seed] = p
            path = place.results / folder
            path.mkdir(parents=True, exist_ok=True)
            frame = pd.DataFrame(p, columns=names)
            frame.insert(0, "label", y)
            frame.insert(0, "row", np.arange(n))
            frame.to_csv(path / file, index=False)
            both = ("classifier", "control")
            context = {
                "protocol": "lesion split",
                "data": None,
                "views": 8,
                "points": dict.fromkeys(both, points),
                "arms": dict.fromkeys(both, arm),
            }
            (path / "context.json").write_text(json.dumps(context))
    return tables


def check_holm(tested):
    """The p-values on file are those of Holm 1979, step by step."""
    ranked = sorted(tested, key=lambda c: c["p"])
    assert len({c["p"] for c in tested}) > 2
    most = 0.0
    for i, c in enumerate(ranked):
        most = max(most, min(1, c["p"] * (len(ranked) - i)))
        assert c["p_holm"] == pytest.approx(most)


def test_collected_arms_are_means_over_seeds_at_the_fitted_point_with_holms_p_values(
    arms, place, tmp_path, capsys
):
    """Every number of three arms in three seeds, from their predictions by scikit-learn."""
    rng = np.random.default_rng(0)
    n = 140
    y = np.arange(n) % 7
    points = {"balanced_shift": [1.5, 0, 0, 0, -1.5, 0, 0], "train_prior": [1 / 7] * 7, "tau": 1.0}
    tables = write_arms_of_three_seeds(place, y, points, rng)
    split = "row,lesion,part\n" + "".join(f"{i},L{i // 2},test\n" for i in range(n))
    (tmp_path / "split.csv").write_text(split)
    pack(tmp_path / "split.csv", place.split_file(of_images=False))
    arms.collect(place)
    found = json.loads((tmp_path / "arms.json").read_text())["arms"]

    def score(p):
        decided = (np.log(p) + points["balanced_shift"]).argmax(axis=1)
        return {
            "acc": (p.argmax(axis=1) == y).mean(),
            "acc_balanced": (decided == y).mean(),
            "balanced_accuracy": balanced_accuracy_score(y, decided),
            "auc": roc_auc_score(y, p, multi_class="ovr"),
        }

    rows = {
        key: [score(tables[key, s]) for s in (0, 1, 2)]
        for key in ("classic", "plain", "classic_synthetic")
    }
    for key, seeds in rows.items():
        for name in ("acc", "balanced_accuracy", "acc_balanced", "auc"):
            each = [s[name] for s in seeds]
            assert found[key][name] == pytest.approx(np.mean(each)), (key, name)
            assert found[key][f"{name}_std"] == pytest.approx(np.std(each, ddof=1)), (key, name)
            if key != "classic":
                gain = np.mean(each) - np.mean([s[name] for s in rows["classic"]])
                assert found[key]["less_classic"][name]["value"] == pytest.approx(gain), (key, name)
    tested = [
        c for key in ("plain", "classic_synthetic") for c in found[key]["less_classic"].values()
    ]
    check_holm(tested)


def test_a_difference_is_within_a_seed_and_not_against_another_seeds_base(arms):
    """Arm and base are alike in every seed, however seeds differ: nothing is left to vary."""
    values, drawn = {}, {}
    for seed in (0, 1, 2):
        for arm in (arms.BASE, "plain"):
            values[arm, seed] = dict.fromkeys(arms.MEASURES, 0.5 + seed / 10)
            both = np.random.default_rng(seed).normal(0.5 + seed / 10, 0.05, arms.DRAWS)
            drawn[arm, seed] = dict.fromkeys(arms.MEASURES, both)
    found = {arm: {} for arm in arms.ARMS} | {
        arm: dict.fromkeys((0, 1, 2), ("", "", "")) for arm in (arms.BASE, "plain")
    }
    gains = arms.build_rows(found, values, drawn)["plain"]["less_classic"]
    for gain in gains.values():
        assert gain["value"] == gain["low"] == gain["high"] == 0
