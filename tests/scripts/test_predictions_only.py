"""evaluate.py --predictions-only: the same predictions, and no estimate beside them."""

import pytest

import evaluate
from tests import oracles


def test_predictions_are_those_of_an_evaluation_and_its_estimates_follow_from_them(
    evaluated, tmp_path, capsys
):
    copy = evaluated.copy(tmp_path)
    folder = copy.outputs / "evaluation"
    files = ("predictions.csv", "predictions_control.csv")
    whole = {name: (folder / name).read_bytes() for name in files}
    context = oracles.read(folder / "context.json")
    wanted = oracles.read(folder / "metrics.json")["models"]["classifier"]["auc"]
    assert copy.run("evaluate", "--predictions-only") == 0
    for name, content in whole.items():
        assert (folder / name).read_bytes() == content, name
    # It reads neither judge nor generator, and all else of the context is the same.
    networks = context.pop("networks")
    now = oracles.read(folder / "context.json")
    assert now.pop("networks") == {k: networks[k] for k in ("classifier", "control")}
    assert now == context
    # What an evaluation left is gone, so that no old number stands beside new predictions.
    names = {p.name for p in folder.iterdir()}
    assert not names & {"metrics.json", "per_class.csv", "synthetic_quality.json", "nearest.csv"}
    record = oracles.read(folder / "options.json")
    assert record["options"]["predictions_only"] is True
    assert set(record["outputs"]) >= {"predictions.csv", "context.json"}
    capsys.readouterr()
    assert copy.run("evaluate", "--predictions-only", "--if-stale") == 0
    assert "up to date" in capsys.readouterr().out
    predictions, split = str(folder / "predictions.csv"), str(copy.outputs / "split.csv")
    words = ["--from-predictions", predictions, "--split", split]
    evaluate.main([*words, "--outputs-dir", str(tmp_path / "again")])
    found = oracles.read(tmp_path / "again/evaluation/from_predictions/metrics.json")
    assert found["models"]["classifier"]["auc"]["value"] == wanted["value"]


def test_a_whole_evaluation_is_not_taken_for_predictions_alone_or_the_other_way_round(
    evaluated, tmp_path, monkeypatch
):
    copy = evaluated.copy(tmp_path)
    began = []
    monkeypatch.setattr(evaluate, "evaluate_test", lambda *a, **k: began.append(a) or stop())

    def stop():
        raise KeyboardInterrupt

    assert copy.run("evaluate", "--if-stale") == 0
    assert not began
    with pytest.raises(KeyboardInterrupt):
        copy.run("evaluate", "--if-stale", "--predictions-only")
    assert len(began) == 1


@pytest.mark.parametrize(
    "words",
    [
        ["--external", "a.csv"],
        ["--image", "a.jpg"],
        ["--synthetic", "a.csv"],
        ["--from-predictions", "a.csv", "--split", "s.csv"],
    ],
)
def test_it_is_of_the_test_part_alone(words, capsys):
    with pytest.raises(SystemExit) as caught:
        evaluate.parse_args(["--predictions-only", *words])
    assert caught.value.code == 2
    assert "--predictions-only" in capsys.readouterr().err
