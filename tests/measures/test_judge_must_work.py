"""A judge that does not know real images measures nothing, and file, figures and page say so."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

import train_cnn
from lesiongan.data.tables import Table
from lesiongan.files import records
from lesiongan.measures import synthetic_quality
from lesiongan.plots import gan_figures, report
from lesiongan.plots.sources import Missing


def decide_by(share, labels, rng):
    """Decisions that are right in about this share of images."""
    return np.where(rng.random(len(labels)) < share, labels, (labels + 1) % 7)


def quality(bright, tmp_path, share):
    inputs, judge = bright
    images, labels = inputs.part("test")
    rng = np.random.default_rng(1)
    decided = decide_by(share, labels, rng)
    judge.decide = lambda x: decided if len(x) == len(images) else decided[: len(x)]
    judge.sha256 = "judge"
    fake = images[::2] ^ 1
    n = len(fake)
    rows = np.arange(n)
    made = Table("s.csv", "hmnist_28_28_RGB", fake, labels[::2], "s", rows, rows.astype(str))
    return (
        synthetic_quality.measure(inputs, made, judge, None, tmp_path / "nearest.csv"),
        balanced_accuracy_score(labels, decided),
    )


def test_the_judges_own_balanced_accuracy_stands_beside_what_it_measured(bright, tmp_path):
    found, wanted = quality(bright, tmp_path, 0.8)
    judge = found["judge_balanced_accuracy"]
    assert judge["value"] == pytest.approx(wanted)
    assert judge["low"] < wanted < judge["high"]
    assert judge["n"] == len(bright[0].part("test")[1])
    assert {"distances", "label_agreement", "diversity"} <= set(found)
    assert f"[{judge['low']:.3f}, {judge['high']:.3f}]" in report.quality_section(found)


def test_below_one_half_nothing_is_measurable_but_memorisation(bright, tmp_path):
    found, wanted = quality(bright, tmp_path, 0.45)
    assert wanted < synthetic_quality.LEAST_JUDGE == 0.5
    assert found["value"] is None
    assert found["reason"].startswith("not measurable: the judge's balanced accuracy on ")
    assert f"is {wanted:.2f}" in found["reason"]
    assert found["judge_balanced_accuracy"]["value"] == pytest.approx(wanted)
    assert not {"distances", "distances_by_class", "label_agreement", "diversity"} & set(found)
    assert found["memorisation"]["n"] > 0
    page = report.quality_section(found)
    assert "not measurable: the judge" in page
    assert "Memorisation" in page


def test_a_judge_that_calls_everything_the_commonest_class_does_not_work():
    labels = np.repeat(np.arange(7), [3, 3, 3, 3, 80, 3, 5])
    inputs = SimpleNamespace(
        split={"protocol": "p"},
        part=lambda name: (np.zeros(100), labels),
        lesions=lambda name: np.arange(100).astype(str),
    )
    judge = SimpleNamespace(held_out="test", decide=lambda images: np.full(len(images), 4))
    found = synthetic_quality.estimate_judge(judge, inputs)
    assert found["value"] == pytest.approx(1 / 7)
    assert found["high"] < synthetic_quality.LEAST_JUDGE


def test_figures_of_a_judge_that_does_not_work_are_left_out_with_the_reason(pipeline, tmp_path):
    import visualize_results
    from lesiongan.files import writing
    from lesiongan.plots.sources import Sources
    from lesiongan.run import runs

    copy = pipeline.copy(tmp_path)
    path = copy.outputs / "evaluation/synthetic_quality.json"
    found = records.read_json(path, "")
    found = {"value": None, "reason": "not measurable: x", "memorisation": found["memorisation"]}
    writing.write_json(path, found)
    sources = Sources(runs.Run(visualize_results.parse_args(copy.flags), "visualize_results"))
    sources.check_evaluation = lambda: None
    for draw in (gan_figures.draw_label_agreement, gan_figures.draw_embedding):
        with pytest.raises(Missing, match="not measurable: x"):
            draw(sources)


def test_an_empty_half_b_gives_no_reference(bright, tmp_path):
    bright[1].floor[:] = False
    found, _ = quality(bright, tmp_path, 0.9)
    assert "half B" in found["reason"]


@pytest.mark.parametrize(
    ("flags", "images", "steps"),
    [
        ([], 417, 402),
        ([], 7008, 1980),
        (["--role", "judge"], 210, 400),
        (["--role", "judge"], 3500, 1080),
        (["--epochs", "2"], 417, 6),
        (["--steps", "5"], 417, 5),
    ],
)
def test_small_tables_are_trained_on_for_400_steps_at_least(flags, images, steps):
    """Unless --epochs or --steps says otherwise; on tables as large as HAM10000 nothing changes."""
    plan = train_cnn.plan_epochs(train_cnn.parse_args(flags), images)
    assert sum(plan) == steps
