"""evaluate.py --from-predictions: the saved predictions alone give the same bytes again.

Predictions that are damaged, of another model or of another evaluation are refused.
"""

import gzip
import shutil
from pathlib import Path

import pytest

import evaluate
from lesiongan.files import records
from lesiongan.files.errors import InputError


def test_from_predictions_recomputes_the_same_bytes(pipeline, tmp_path):
    import evaluate

    folder = pipeline.outputs / "evaluation"
    flags = [
        "--from-predictions",
        str(folder / "predictions.csv"),
        "--split",
        str(pipeline.outputs / "split.csv"),
    ]
    evaluate.main([*flags, "--outputs-dir", str(tmp_path)])
    for name in ("metrics.json", "per_class.csv", "confusion.csv"):
        assert (tmp_path / "evaluation/from_predictions" / name).read_bytes() == (
            folder / name
        ).read_bytes(), name


def test_packed_predictions_and_split_give_the_same_bytes(pipeline, tmp_path):
    folder = pipeline.outputs / "evaluation"
    for name in ("predictions.csv", "predictions_control.csv"):
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
    # The record proves what context.json says of the protocol.
    for name in ("context.json", "options.json"):
        shutil.copy(folder / name, tmp_path)
    (tmp_path / "split.csv.gz").write_bytes(
        gzip.compress((pipeline.outputs / "split.csv").read_bytes())
    )
    files = [
        "--from-predictions",
        str(tmp_path / "predictions.csv.gz"),
        "--split",
        str(tmp_path / "split.csv.gz"),
    ]
    evaluate.main([*files, "--outputs-dir", str(tmp_path)])
    made = tmp_path / "evaluation/from_predictions"
    for name in ("metrics.json", "per_class.csv", "confusion.csv"):
        assert (made / name).read_bytes() == (folder / name).read_bytes(), name
    names = {"predictions.csv.gz", "predictions_control.csv.gz", "split.csv.gz", "context.json"}
    assert set(records.read_json(made / "options.json", "")["inputs"]) == names
    with pytest.raises(InputError, match="is of another model"):
        evaluate.main(
            [
                files[0],
                str(tmp_path / "predictions_control.csv.gz"),
                *files[2:],
                "--outputs-dir",
                str(tmp_path),
            ]
        )


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda t: t.replace("p_mel", "p_melanoma"), "p_mel"),
        (lambda t: t + t.splitlines()[-1] + "\n", "twice"),
        (lambda t: "\n".join(t.splitlines()[:-1]) + "\n", "test part"),
        (lambda t: t.replace(t.splitlines()[1].split(",")[2], "7.5", 1), "line 2"),
        (lambda t: t.splitlines()[0] + "\n", "no predictions"),
        (lambda t: "", "predictions.csv"),
    ],
)
def test_bad_predictions_are_refused_in_one_line(pipeline, tmp_path, spoil, words):
    import evaluate

    path = tmp_path / "predictions.csv"
    path.write_text(spoil((pipeline.outputs / "evaluation/predictions.csv").read_text()))
    with pytest.raises(InputError, match=words):
        evaluate.main(
            [
                "--from-predictions",
                str(path),
                "--split",
                str(pipeline.outputs / "split.csv"),
                "--outputs-dir",
                str(tmp_path),
            ]
        )
    assert not (tmp_path / "evaluation").exists()


def test_dry_run_from_predictions_asks_for_both_files(pipeline, tmp_path):
    files = [pipeline.outputs / "evaluation/predictions.csv", pipeline.outputs / "split.csv"]
    for found in (files, [tmp_path / "none.csv", files[1]], [files[0], tmp_path / "none.csv"]):
        call = ["--from-predictions", str(found[0]), "--split", str(found[1]), "--dry-run"]
        if found is files:
            assert evaluate.main(call) == 0
        else:
            with pytest.raises(InputError, match=r"none\.csv: cannot be read"):
                evaluate.main(call)


def test_predictions_of_another_model_or_evaluation_are_refused(pipeline, tmp_path):
    folder = tmp_path / "evaluation"
    shutil.copytree(pipeline.outputs / "evaluation", folder)
    flags = [
        "--split",
        str(pipeline.outputs / "split.csv"),
        "--outputs-dir",
        str(tmp_path),
        "--from-predictions",
    ]
    with pytest.raises(InputError, match="is of another model"):
        evaluate.main([*flags, str(folder / "predictions_control.csv")])
    evaluate.main([*flags, str(folder / "predictions.csv")])
    with pytest.raises(InputError, match="is no file, but a folder"):
        evaluate.main([*flags, str(tmp_path)])
    with pytest.raises(InputError, match="no such file"):
        evaluate.main([*flags, str(tmp_path / "none.csv")])
    # The record is of predictions.csv: of a copy that was edited it proves nothing.
    edited = folder / "edited.csv"
    text = (folder / "predictions.csv").read_text()
    first, second = (text.splitlines()[i].split(",", 2) for i in (1, 2))
    # Rows and labels stay, and two lines change their probabilities.
    lines = text.splitlines()
    lines[1:3] = [",".join([*first[:2], second[2]]), ",".join([*second[:2], first[2]])]
    edited.write_text("\n".join(lines) + "\n")
    evaluate.main([*flags, str(edited)])
    protocol = records.read_json(folder / "from_predictions/metrics.json", "")["protocol"]
    assert "as stated by context.json, not checked" in protocol
    edited.write_text(text)
    evaluate.main([*flags, str(edited)])
    assert (
        "not checked"
        not in records.read_json(folder / "from_predictions/metrics.json", "")["protocol"]
    )
    edited.unlink()
    packed = folder / "predictions.csv.gz"
    packed.write_bytes(gzip.compress(text.replace("0", "1", 1).encode()))
    with pytest.raises(InputError, match=r"predictions\.csv\.gz: is not the file"):
        evaluate.main([*flags, str(packed)])
    packed.unlink()
    # Without options.json, which would tell first, the files speak for themselves.
    loose = tmp_path / "loose"
    loose.mkdir()
    for name in ("predictions.csv", "predictions_control.csv"):
        (loose / name).write_bytes((folder / name).read_bytes())
    evaluate.main([*flags, str(loose / "predictions.csv")])
    import pandas as pd

    table = pd.read_csv(loose / "predictions_control.csv")
    table[["row", "label"]].assign(p_malignant=0.3).to_csv(
        loose / "predictions_control.csv", index=False
    )
    before = (folder / "from_predictions/metrics.json").read_bytes()
    with pytest.raises(
        InputError, match=r"predictions_control\.csv: has the probabilities of another task"
    ):
        evaluate.main([*flags, str(loose / "predictions.csv")])
    assert (folder / "from_predictions/metrics.json").read_bytes() == before
    context = folder / "context.json"
    context.write_text(context.read_text().replace("lesion split", "another split"))
    with pytest.raises(InputError, match=r"context.json: is not the file"):
        evaluate.main([*flags, str(folder / "predictions.csv")])


def test_a_split_that_shares_lesions_is_called_leaky_from_files_alone(pipeline, tmp_path):
    text = (pipeline.outputs / "split.csv").read_text()
    rows = [line.split(",") for line in text.splitlines()[1:]]
    test, train = (next(r for r in rows if r[2] == part) for part in ("test", "train"))
    leaking = text.replace(",".join(test), f"{test[0]},{train[1]},test")
    (tmp_path / "split.csv").write_text(leaking)
    shutil.copy(pipeline.outputs / "evaluation/predictions.csv", tmp_path)
    evaluate.main(
        [
            "--from-predictions",
            str(tmp_path / "predictions.csv"),
            "--split",
            str(tmp_path / "split.csv"),
            "--outputs-dir",
            str(tmp_path),
        ]
    )
    found = records.read_json(tmp_path / "evaluation/from_predictions/metrics.json", "")
    assert found["protocol"] == "split file split.csv, leaky"
    # Without the record nobody vouches for what context.json says: it is quoted, not believed.
    shutil.copy(pipeline.outputs / "evaluation/context.json", tmp_path)
    stated = records.read_json(tmp_path / "context.json", "")["protocol"]
    assert recompute(tmp_path)["protocol"] == (
        f"split file split.csv, leaky; as stated by context.json, not checked: {stated}"
    )


def recompute(folder):
    """metrics.json of the predictions and the split in a folder."""
    files = ["--from-predictions", folder / "predictions.csv", "--split", folder / "split.csv"]
    evaluate.main([*map(str, files), "--outputs-dir", str(folder)])
    return records.read_json(folder / "evaluation/from_predictions/metrics.json", "")


def test_estimates_from_files_replace_no_file_of_somebody_elses(pipeline, tmp_path):
    shutil.copy(pipeline.outputs / "evaluation/predictions.csv", tmp_path)
    shutil.copy(pipeline.outputs / "split.csv", tmp_path)
    mine = tmp_path / "evaluation/from_predictions/metrics.json"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(InputError, match="was not written by a run"):
        recompute(tmp_path)
    assert mine.read_text() == "mine"


def test_a_split_without_train_rows_says_that_leakage_is_unknown(pipeline, tmp_path):
    shutil.copy(pipeline.outputs / "evaluation/predictions.csv", tmp_path)
    lines = (pipeline.outputs / "split.csv").read_text().splitlines()
    kept = [line for line in lines if not line.endswith(",train")]
    (tmp_path / "split.csv").write_text("\n".join(kept) + "\n")
    assert recompute(tmp_path)["protocol"] == (
        "split file split.csv, leakage unknown: it has no train rows"
    )
    (tmp_path / "split.csv").write_text("\n".join(lines) + "\n")
    assert recompute(tmp_path)["protocol"] == (
        "split file split.csv, no test lesion in its train part"
    )


def test_another_split_than_the_one_on_record_is_refused(pipeline, tmp_path):
    """With all images said to show one lesion, the intervals would have no width."""
    for name in ("predictions.csv", "predictions_control.csv", "context.json", "options.json"):
        shutil.copy(pipeline.outputs / "evaluation" / name, tmp_path)
    text = (pipeline.outputs / "split.csv").read_text()
    (tmp_path / "split.csv").write_text(text)
    whole = recompute(tmp_path)
    assert whole["protocol"] == records.read_json(tmp_path / "context.json", "")["protocol"]
    rows = [line.split(",") for line in text.splitlines()[1:]]
    renamed = "".join(
        f"{row},{'x' if part == 'test' else lesion},{part}\n" for row, lesion, part in rows
    )
    (tmp_path / "split.csv").write_text("row,lesion,part\n" + renamed)
    with pytest.raises(InputError, match="is not the split under which"):
        recompute(tmp_path)


def test_quiet_is_quiet_and_the_log_is_written(pipeline, tmp_path, capsys):
    files = [pipeline.outputs / name for name in ("evaluation/predictions.csv", "split.csv")]
    flags = ["--from-predictions", files[0], "--split", files[1], "--outputs-dir", tmp_path / "o"]
    flags += ["--quiet", "--log-json", tmp_path / "log.jsonl"]
    assert evaluate.main([str(f) for f in flags]) == 0
    assert capsys.readouterr().out == ""
    assert (tmp_path / "log.jsonl").is_file()


def test_packed_files_that_were_cut_off_are_one_line(pipeline, tmp_path):
    """The record beside them makes their hashes asked for before they are read."""
    shutil.copy(pipeline.outputs / "evaluation/options.json", tmp_path)
    for name in ("evaluation/predictions.csv", "split.csv"):
        whole = gzip.compress((pipeline.outputs / name).read_bytes())
        (tmp_path / f"{Path(name).name}.gz").write_bytes(whole[: len(whole) // 2])
        plain = (pipeline.outputs / name).read_bytes()
        (tmp_path / Path(name).name).write_bytes(plain)
    for predictions, split in (
        ("predictions.csv.gz", "split.csv"),
        ("predictions.csv", "split.csv.gz"),
    ):
        flags = ["--from-predictions", tmp_path / predictions, "--split", tmp_path / split]
        with pytest.raises(InputError, match=r"\.csv\.gz: ") as caught:
            evaluate.main([str(f) for f in [*flags, "--outputs-dir", tmp_path / "o"]])
        assert len(str(caught.value).splitlines()) == 1
