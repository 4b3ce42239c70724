"""The generated sections: each number stands under its own name, with its own sign and interval."""

import pytest

from study.pages import answer, gan, markdown, run, study


def test_the_widest_gap_of_agreement_is_that_of_the_class_the_judge_misses_most():
    found = {
        "label_agreement": {"df": 0.5, "mel": 0.7, "nv": None},
        "real_recall": {"df": 0.6, "mel": 0.6, "nv": 0.7},
        "agreement_se": {"df": 0.05, "mel": 0.02, "nv": None},
    }
    assert gan.show_gap(found) == "-2.00 (df)"
    dcgan = {f"{k}_dcgan": v for k, v in found.items()} | {"agreement_se_dcgan": {"df": 0.1}}
    dcgan["label_agreement_dcgan"] = {"df": 0.5}
    gans = gan.list_gans(found | dcgan)
    assert [gan.show_gap(gans[name]) for name in ("this GAN", "textbook DCGAN")] == [
        "-2.00 (df)",
        "-1.00 (df)",
    ]


def test_what_age_sex_and_site_bring_is_told_as_they_were_less_the_image_alone():
    gain = {"value": 0.01, "low": 0.005, "high": 0.02}
    clinical = {
        "seeds": [0, 1],
        "auc": 0.96,
        "balanced_accuracy": 0.7,
        "image_alone": {"auc": 0.95, "balanced_accuracy": 0.66},
        "difference": {"auc": gain, "balanced_accuracy": gain | {"value": 0.04, "high": 0.09}},
    }
    assert answer.describe_told(clinical) == {
        "seeds": 2,
        "auc": "0.960 instead of 0.950, +0.010 (+0.005 to +0.020)",
        "balanced": "0.700 instead of 0.660, +0.040 (+0.005 to +0.090)",
    }
    assert answer.describe_told(None) is None


def test_an_estimate_is_shown_with_its_low_end_first():
    block = {"auc": {"value": 0.9, "low": 0.85, "high": 0.96}}
    assert markdown.show_estimate(block, ("auc",)) == "0.900 (0.850 to 0.960)"
    assert markdown.show_estimate(block["auc"], signed=True) == "+0.900 (+0.850 to +0.960)"
    assert markdown.show_estimate({"value": None, "reason": "too few"}) == "too few"
    assert markdown.show_mean({"auc": 0.9, "auc_std": 0.01}, "auc") == "0.900 ± 0.010"
    assert markdown.show_mean({"auc": 0.9, "auc_std": None}, "auc") == "0.900"


def test_agreement_below_recall_is_a_negative_difference():
    found = {"df": {"value": 0.4, "real_recall": {"value": 0.6}, "se_of_difference": 0.1}}
    rows = dict(run.agreement_rows(found))
    assert rows["judge agrees with synthetic label"] == ["0.40"]
    assert rows["judge's recall on held-out real"] == ["0.60"]
    assert rows["difference in standard errors"] == ["-2.0"]


@pytest.mark.parametrize("whole", [True, False])
def test_the_controls_are_the_arms_without_synthetic_images_but_the_ceiling(whole, monkeypatch):
    shown = {}
    monkeypatch.setattr(study, "render", lambda section, **values: shown.update(values))

    def contrast(arm, source, measure="auc"):
        gain = {"value": -0.001, "low": -0.009, "high": 0.008}
        return gain | {
            "arm": arm,
            "label": arm,
            "source": source,
            "measure": measure,
            "fraction": 10,
            "cnn_seeds": [0, 1, 2],
            "gan_seeds": [0, 1, 2],
        }

    answers = [{"arm": a, "sentence": a} for a in ("closed", "repeated")]
    contrasts = [
        contrast("closed", "closed"),
        contrast("repeated", None),
        contrast("repeated", None, "accuracy"),
        contrast("all_real", None),
    ]
    missing = [{"fraction": 3, "label": "a"}, {"fraction": 3, "label": "b"}]
    found = {"answers": answers, "contrasts": contrasts, "missing": missing, "arms": []}
    study.render_study(found | {"family": {"arms": ["closed"]}}, whole)
    assert shown["controls"] == [
        {"label": "repeated", "fraction": 10, "change": "-.001 [-.009, +.008]"}
    ]
    assert [a["arm"] for a in shown["shown"]] == ["closed", *["repeated"] * whole]
    assert shown["missing"] == {3: ["a", "b"]}
