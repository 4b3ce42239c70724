"""evaluate.py --image: what photographs show, against predictions.csv and plain recomputation."""

import contextlib
import hashlib
import io
import json
import os
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evaluate
from lesiongan.data.photographs import read_photograph
from lesiongan.files.errors import InputError
from lesiongan.measures import answers, likeness
from lesiongan.run import inputs, runs
from tests import oracles
from tests.run.test_published import build_weights, use_weights
from tests.scripts.conftest import save

NOTE = "not for clinical use"
ISIC = ["image", "MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC"]


def png_of(width, height):
    """A PNG of a few bytes that says it has this many pixels."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + head + pixels + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def answered(place, photographs, tmp_path_factory):
    """(JSON, lines of output, path of the ISIC submission) of one call for all photographs."""
    folder = tmp_path_factory.mktemp("answered")
    files = ("--json", folder / "a.json", "--isic-submission", folder / "isic.csv")
    named = [photographs.folder / part for part in ("test", "train", "noise")]
    code, lines = place.ask(*named, *files)
    assert code == 0
    return oracles.read(folder / "a.json"), lines, folder / "isic.csv"


def of_part(answered, part):
    found = [said for said in answered[0]["images"] if Path(said["file"]).parent.name == part]
    return found, [int(Path(said["file"]).stem) for said in found]


# ---------------------------------------------------------------- the answers


def test_photographs_of_the_test_part_have_the_probabilities_of_predictions_csv(pipeline, answered):
    found, rows = of_part(answered, "test")
    predicted = pd.read_csv(pipeline.outputs / "evaluation/predictions.csv").set_index("row")
    assert rows == sorted(predicted.index)
    p = [[said["probabilities"][c] for c in oracles.CLASSES] for said in found]
    np.testing.assert_allclose(p, predicted.loc[rows, oracles.P], atol=1e-6)
    assert all(list(said["probabilities"]) == oracles.CLASSES for said in found)
    assert len({said["diagnosis"] for said in found}) > 2


def test_decisions_follow_the_thresholds_of_the_classifiers_record(pipeline, answered):
    points = oracles.read(pipeline.models / "cnn/options.json")["operating_points"]
    assert answered[0]["operating_points"] == points
    seen = set()
    for said in answered[0]["images"]:
        p = np.array([said["probabilities"][c] for c in oracles.CLASSES])
        scores = {"malignant": p[[0, 1, 6]].sum(), "melanoma": p[6]}
        assert said["diagnosis"] == oracles.CLASSES[p.argmax()]
        shifted = np.log(p + 1e-15) + points["balanced_shift"]
        assert said["diagnosis_at_balanced_point"] == oracles.CLASSES[shifted.argmax()]
        for name, score in scores.items():
            assert said[name]["probability"] == pytest.approx(score, abs=1e-12)
            for at in (90, 95):
                decided = bool(score >= points[f"{name}_threshold_at_{at}_specificity"])
                assert said[name][f"at_{at}_specificity"] is decided
                seen.add((name, at, decided))
        seen.add(said["diagnosis"] == said["diagnosis_at_balanced_point"])
    # Each decision is taken both ways somewhere.
    assert {(name, at, d) for name in scores for at in (90, 95) for d in (True, False)} <= seen
    assert {True, False} <= seen


def test_a_score_on_the_threshold_is_positive():
    points = {
        f"{n}_threshold_at_{a}_specificity": 0.5
        for n in ("malignant", "melanoma")
        for a in (90, 95)
    }
    p = np.array([[0, 0, 0, 0, 0.5, 0, 0.5], [0.25, 0.25, 0, 0, 0.5, 0, 0]])
    found = answers.decide(points | {"balanced_shift": [0.0] * 7}, p)
    assert [f["malignant"]["at_90_specificity"] for f in found] == [True, True]
    assert [f["melanoma"]["at_95_specificity"] for f in found] == [True, False]


def test_a_training_image_is_nearest_to_itself_and_told_to_be_a_copy(answered):
    found, rows = of_part(answered, "train")
    assert len(found) > 10
    for said, row in zip(found, rows, strict=True):
        assert said["nearest_training_lesions"][0]["row"] == row
        assert said["copy_of_a_training_image"] is True
        assert said["unlike_training_data"] is False


def test_the_nearest_are_five_lesions_of_the_train_part_with_their_classes(photographs, answered):
    split = photographs.parts.split.set_index("row")
    for said in answered[0]["images"]:
        near = said["nearest_training_lesions"]
        rows = [n["row"] for n in near]
        assert len(near) == 5
        assert set(split.part[rows]) == {"train"}
        assert split.lesion[rows].nunique() == 5
        assert [n["class"] for n in near] == [
            oracles.CLASSES[photographs.parts.labels[row]] for row in rows
        ]
        distances = [n["distance"] for n in near]
        assert distances == sorted(distances)
        assert said["distance"] == distances[0]


def test_what_is_like_no_training_image_is_warned_of_and_photographs_of_lesions_are_not(
    pipeline, answered
):
    with np.load(pipeline.outputs / "evaluation/nearest.npz") as file:
        unlike, copy = float(file["unlike"]), float(file["copy"])
    assert answered[0]["unlike_above"] == unlike
    noise, _ = of_part(answered, "noise")
    assert len(noise) == 5
    assert all(said["unlike_training_data"] for said in noise)
    test, _ = of_part(answered, "test")
    # The limit comes from few val images here, so some more than one in a hundred are above it.
    assert np.mean([said["unlike_training_data"] for said in test]) < 1 / 3
    assert np.mean([said["copy_of_a_training_image"] for said in test]) < 0.2
    for said in answered[0]["images"]:
        assert said["unlike_training_data"] is (said["distance"] > unlike)
        assert said["copy_of_a_training_image"] is (said["distance"] < copy)


def test_the_answers_stand_in_the_order_of_the_files(photographs, answered):
    files = [said["file"] for said in answered[0]["images"]]
    assert files == [str(p) for part in ("test", "train", "noise") for p in photographs.files[part]]


def test_json_says_by_what_and_of_what_the_answers_are(pipeline, answered):
    found, record = answered[0], oracles.read(pipeline.models / "cnn/options.json")
    assert NOTE in found["note"]
    for name, folder in (("classifier", "cnn"), ("judge", "judge")):
        path = pipeline.models / folder / "classifier.keras"
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert found["networks"].pop(name) == {"sha256": digest, "published": False}
    assert not found["networks"]
    assert found["trained_on"] == {"data": record["data"], "split": record["split"]}
    assert (found["views"], found["crop"], found["not_answered"]) == (8, "full", [])


def test_the_terminal_has_a_line_a_photograph_with_its_warnings(answered):
    found, lines, _ = answered
    assert NOTE in lines[0]
    assert NOTE in lines[-3] or NOTE in lines[-2] or NOTE in lines[-1]
    for said in found["images"]:
        name = said["file"] if len(said["file"]) <= 40 else "…" + said["file"][-39:]
        (line,) = (line for line in lines if line.strip().startswith(name + " "))
        assert f"{said['diagnosis']:5} {said['probabilities'][said['diagnosis']]:.3f}" in line
        assert f"{said['malignant']['probability']:.3f}" in line
        verdict = "malignant" if said["malignant"]["at_90_specificity"] else "benign"
        assert verdict in line
        assert ("unlike the training images" in line) == said["unlike_training_data"]
        assert ("a training image, or nearly" in line) == said["copy_of_a_training_image"]


def test_the_isic_submission_has_a_line_a_photograph(answered):
    frame = pd.read_csv(answered[2], dtype={"image": str})
    assert list(frame) == ISIC
    said = answered[0]["images"]
    assert frame["image"].tolist() == [Path(s["file"]).stem for s in said]
    for name in ISIC[1:]:
        expected = [s["probabilities"][name.lower()] for s in said]
        np.testing.assert_allclose(frame[name], expected, atol=1e-8)


def test_a_photograph_is_reduced_and_cropped_before_it_is_answered(quick, loaded, tmp_path):
    rng = np.random.default_rng(0)
    wide = rng.integers(0, 256, (3, 8, 3), np.uint8).repeat(40, 0).repeat(40, 1)
    path = save(tmp_path / "wide.png", wide)
    p = {}
    for crop in ("full", "centre"):
        code, _ = quick.ask(path, "--crop", crop, "--json", tmp_path / f"{crop}.json")
        found = oracles.read(tmp_path / f"{crop}.json")
        assert (code, found["crop"]) == (0, crop)
        p[crop] = list(found["images"][0]["probabilities"].values())
        expected = oracles.average_of_views(loaded.classifier, read_photograph(path, crop)[None])
        np.testing.assert_allclose(p[crop], expected[0], atol=1e-6)
    assert not np.allclose(p["full"], p["centre"], atol=1e-3)


# ---------------------------------------------------------------- many files, and files at fault


def test_more_than_a_chunk_are_answered_in_order_among_files_at_fault(
    quick, photographs, answered, tmp_path, monkeypatch
):
    monkeypatch.setattr(answers, "CHUNK", 3)
    good = photographs.files["test"][:10]
    bad = [tmp_path / f"bad{i}.png" for i in range(4)]
    for path in bad:
        path.write_bytes(b"no picture")
    # A whole chunk is at fault, and the first of the next one.
    named = [good[0], *bad, *good[1:7], good[3], *good[7:]]
    code, lines = quick.ask(*named, "--json", tmp_path / "a.json")
    assert code == 0
    found = oracles.read(tmp_path / "a.json")
    assert [said["file"] for said in found["images"]] == [str(p) for p in good]
    assert [f["file"] for f in found["not_answered"]] == [str(p) for p in bad]
    before = {said["file"]: said for said in answered[0]["images"]}
    for said in found["images"]:
        theirs = before[said["file"]]
        np.testing.assert_allclose(
            list(said["probabilities"].values()),
            list(theirs["probabilities"].values()),
            atol=1e-6,
        )
        rows = [[n["row"] for n in s["nearest_training_lesions"]] for s in (said, theirs)]
        assert rows[0] == rows[1]
    assert "10 of 14 answered" in lines[-2]


def test_what_cannot_be_read_is_named_in_a_line_and_the_rest_is_answered(
    quick, photographs, tmp_path, capfd
):
    good = photographs.files["test"][0]
    (tmp_path / "empty").mkdir()
    (tmp_path / "huge.png").write_bytes(png_of(60_000, 60_000))
    (tmp_path / "corrupt.jpg").write_bytes(good.read_bytes()[:300])
    (tmp_path / "notes.txt").write_text("no photograph")
    faults = {
        "huge.png": "over 100 million",
        "corrupt.jpg": "damaged|no readable",
        "missing.png": "no such file",
        "empty": "no photograph in this folder",
        "notes.txt": "no readable",
    }
    named = [tmp_path / name for name in faults]
    code, lines = quick.ask(*named[:3], good, *named[3:], "--json", tmp_path / "a.json")
    assert code == 0
    found = oracles.read(tmp_path / "a.json")
    assert [said["file"] for said in found["images"]] == [str(good)]
    said = {fault["file"]: fault["error"] for fault in found["not_answered"]}
    assert len(found["not_answered"]) == len(faults)
    for path, words in zip(named, faults.values(), strict=True):
        assert any(w in said[str(path)] for w in words.split("|"))
        (line,) = (line for line in lines if line.startswith(f"  not answered: {path}"))
        assert said[str(path)] in line
    assert "evaluate: 1 of 6 answered" in lines[-2]
    # Pillow and its libraries say nothing of their own.
    assert capfd.readouterr() == ("", "")


def test_where_nothing_is_answered_the_exit_code_is_2_and_no_file_is_written(quick, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    files = ("--json", tmp_path / "a.json", "--isic-submission", tmp_path / "a.csv")
    for named in ([tmp_path / "a.png"], [tmp_path / "missing"]):
        code, lines = quick.ask(*named, *files, "--map", "occlusion")
        assert code == 2
        assert "evaluate: 0 of 1 answered" in lines[-1]
        assert sum(line.startswith("  not answered: ") for line in lines) == 1
    assert not (tmp_path / "a.json").exists()
    assert not (tmp_path / "a.csv").exists()
    assert not quick.outputs.exists()


def test_odd_names_are_printed_and_written_in_one_line(quick, photographs, tmp_path):
    names = ("a\nb.png", "a, b.png", 'a "b".png', "caf\udce9.png", "=cmd().png")
    for name in names:
        os.makedirs(tmp_path / "odd", exist_ok=True)
        shutil.copyfile(photographs.files["test"][0], str(tmp_path / "odd") + "/" + name)
    code, lines = quick.ask(
        tmp_path / "odd",
        "--json",
        tmp_path / "a.json",
        "--isic-submission",
        tmp_path / "isic.csv",
    )
    assert code == 0
    assert "5 of 5 answered" in "".join(lines)
    assert len(oracles.read(tmp_path / "a.json")["images"]) == 5
    frame = pd.read_csv(tmp_path / "isic.csv")
    assert list(frame) == ISIC
    assert len(frame) == 5
    np.testing.assert_allclose(frame[ISIC[1:]].sum(axis=1), 1, atol=1e-6)
    assert {"a b", "a, b", 'a "b"'} <= set(frame["image"])


# ---------------------------------------------------------------- what is there already


def test_answers_replace_answers_and_no_other_file(quick, photographs, tmp_path):
    photograph = photographs.files["test"][0]
    target = tmp_path / "a.json"
    quick.ask(photograph, "--json", target)
    first = target.read_text()
    quick.ask(photographs.files["test"][1], "--json", target)
    assert target.read_text() != first
    (tmp_path / "link.json").symlink_to(target)
    (tmp_path / "broken.json").symlink_to(tmp_path / "nothing.json")
    for name, content in (
        ("notes.json", '{"what": "notes of mine"}'),
        ("list.json", "[1, 2]"),
        ("text.json", "predictions of evaluate.py --image"),
        ("link.json", None),
        ("broken.json", None),
    ):
        mine = tmp_path / name
        if content is not None:
            mine.write_text(content)
        kept = target.read_text()
        with pytest.raises(InputError, match=r"is there and is no file of answers") as caught:
            quick.ask(photograph, "--json", mine)
        assert len(str(caught.value).splitlines()) == 1
        assert content is None or mine.read_text() == content
        assert target.read_text() == kept
        assert not (tmp_path / "nothing.json").exists()
    with pytest.raises(InputError, match="cannot be written"):
        quick.ask(photograph, "--json", tmp_path)


def test_a_submission_replaces_a_submission_and_no_other_file(quick, photographs, tmp_path):
    photograph = shutil.copyfile(photographs.files["test"][0], tmp_path / "0.png")
    target = tmp_path / "isic.csv"
    for _ in range(2):
        quick.ask(photograph, "--isic-submission", target)
        assert len(target.read_text().splitlines()) == 2
    (tmp_path / "notes.csv").write_text("image,of mine")
    for mine in (tmp_path / "notes.csv", photograph):
        before = mine.read_bytes()
        with pytest.raises(InputError, match="--isic-submission"):
            quick.ask(photograph, "--isic-submission", mine)
        assert mine.read_bytes() == before


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--json", "a.json"], "belong to --image"),
        (["--map", "occlusion"], "belong to --image"),
        (["--crop", "centre"], "belong to --image"),
        (["--image", "x.png", "--external", "t.csv"], "leave out --external"),
        (["--image", "x.png", "--from-predictions", "p.csv"], "leave out --external"),
        (["--image", "x.png", "--subset", "100"], "--subset"),
        (["--image", "x.png", "--views", "1"], "no --views"),
        (["--image", "x.png", "--map", "saliency"], "invalid choice: 'saliency'"),
        (["--image", "x.png", "--crop", "square"], "invalid choice: 'square'"),
        (["--image"], "expected at least one argument"),
        (["--image", "x.png", "--json", "a.json", "--log-json", "./a.json"], "the same file"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(flags, words, capsys):
    with pytest.raises(SystemExit) as caught:
        evaluate.parse_args(flags)
    assert caught.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "error: " in last
    assert words in last


# ---------------------------------------------------------------- networks


@pytest.fixture
def no_table(monkeypatch):
    def fail(*_, **__):
        pytest.fail("a table was read")

    for module, name in ((runs, "load_inputs"), (inputs, "read_table"), (inputs, "find_table")):
        monkeypatch.setattr(module, name, fail)


def test_without_a_judge_the_classifier_answers_alone(
    place, photographs, answered, tmp_path, no_table
):
    shutil.copytree(place.models / "cnn", tmp_path / "m/cnn")
    file = photographs.files["test"][2]
    words = (file, "--json", tmp_path / "a.json")
    code, lines = place.ask(*words, models=tmp_path / "m")
    assert code == 0
    assert any("no judge" in line for line in lines)
    (said,) = oracles.read(tmp_path / "a.json")["images"]
    theirs = next(s for s in answered[0]["images"] if s["file"] == str(file))
    assert set(theirs) - set(said) == {
        "distance",
        "unlike_training_data",
        "copy_of_a_training_image",
        "nearest_training_lesions",
    }
    assert said["probabilities"] == pytest.approx(theirs["probabilities"], abs=1e-6)
    found = oracles.read(tmp_path / "a.json")
    assert (set(found["networks"]), found["unlike_above"]) == ({"classifier"}, None)


def test_networks_that_do_not_belong_together_are_refused(place, photographs, tmp_path):
    file = photographs.files["test"][0]
    models, outputs = tmp_path / "m", tmp_path / "o"
    with pytest.raises(InputError, match=r"no such file; .*run train_cnn.py first"):
        place.ask(file, models=models)
    for name in ("cnn", "judge"):
        shutil.copytree(place.models / name, models / name)
    record = oracles.read(models / "judge/options.json")
    share = {"split": record["split"] | {"train_share": "others"}}
    (models / "judge/options.json").write_text(json.dumps(record | share))
    with pytest.raises(InputError, match="was trained with --train-share others"):
        place.ask(file, models=models)
    (models / "judge/options.json").write_text(json.dumps(record))
    shutil.copyfile(place.models / "control/classifier.keras", models / "judge/classifier.keras")
    with pytest.raises(InputError, match=r"nearest\.npz: is of another judge"):
        place.ask(file, models=models)
    (outputs / "evaluation").mkdir(parents=True)
    (outputs / "evaluation/nearest.npz").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"nearest\.npz: not a readable index"):
        place.ask(file, outputs=outputs)
    shutil.copyfile(place.models / "control/classifier.keras", models / "cnn/classifier.keras")
    with pytest.raises(InputError, match=r"is not the model its options\.json describes"):
        place.ask(file, models=models)


def test_the_published_networks_answer_without_a_table(
    pipeline, photographs, answered, tmp_path, monkeypatch, no_table
):
    weights = build_weights(pipeline, tmp_path / "weights")
    use_weights(weights, monkeypatch)
    before = {p: p.read_bytes() for p in weights.rglob("*") if p.is_file()}
    named = [photographs.files["test"][1], photographs.files["noise"][0]]
    flags = ["--weights", "published", "--outputs-dir", str(tmp_path / "o")]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        files = ["--image", *map(str, named), "--json", str(tmp_path / "a.json")]
        assert evaluate.main([*flags, *files]) == 0
    assert "published networks of weights/" in out.getvalue()
    assert "CC BY-NC 4.0" in out.getvalue()
    found = oracles.read(tmp_path / "a.json")
    assert {name: n["published"] for name, n in found["networks"].items()} == {
        "classifier": True,
        "judge": True,
    }
    theirs = {said["file"]: said for said in answered[0]["images"]}
    for said in found["images"]:
        expected = theirs[said["file"]]
        assert said["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-6)
        assert said["unlike_training_data"] is expected["unlike_training_data"]
        assert [n["row"] for n in said["nearest_training_lesions"]] == [
            n["row"] for n in expected["nearest_training_lesions"]
        ]
    assert {p: p.read_bytes() for p in weights.rglob("*") if p.is_file()} == before
    assert not (tmp_path / "o").exists()


def test_two_photographs_of_one_name_are_not_mixed_up_in_a_submission(quick, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a/1.png", "b/1.png"):
        save(tmp_path / name, rng.integers(0, 256, (28, 28, 3), dtype=np.uint8))
    words = ["--image", tmp_path / "a", tmp_path / "b", "--isic-submission", tmp_path / "s.csv"]
    with pytest.raises(InputError, match=r"b/1\.png: would have the name of .*a/1\.png"):
        evaluate.main([str(w) for w in words])
    assert not (tmp_path / "s.csv").exists()


def test_a_dry_run_counts_and_answers_nothing(quick, photographs, tmp_path):
    words = (photographs.folder / "test", "--json", tmp_path / "a.json", "--dry-run")
    code, lines = quick.ask(*words)
    assert code == 0
    assert f"{len(photographs.files['test'])} photographs" in lines[0]
    assert len(lines) == 1
    assert not (tmp_path / "a.json").exists()


def test_the_index_that_answers_is_the_one_of_the_run(loaded, pipeline):
    with np.load(pipeline.outputs / "evaluation/nearest.npz") as file:
        assert loaded.known.judge_sha256 == str(file["judge_sha256"])
    assert isinstance(loaded.known, likeness.Likeness)
