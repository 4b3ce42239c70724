"""Recipes are chosen on lesions that are not the researcher's own, and by val alone."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import roc_auc_score

import train_cnn
from lesiongan.files.errors import InputError
from lesiongan.nets import inference, saved_models
from lesiongan.run import inputs
from study import choose
from study.grid import Grid
from tests.study.conftest import write_grid


@pytest.fixture(scope="module")
def chosen(table_path, tmp_path_factory):
    """A grid by which two recipes have been tried."""
    folder = tmp_path_factory.mktemp("choice")
    grid = Grid(write_grid(folder, data=str(table_path), cnn=["--width", 8, "--batch", 32]))
    choose.main([str(grid.path)])
    inputs.kept = None
    return grid


def test_nothing_is_learned_from_own_val_or_test_lesions(chosen):
    flags = [*chosen.places(), *chosen.share_flags(30, "own")]
    own = inputs.load_inputs(train_cnn.parse_args(flags))
    apart = {own.table.lesions[i] for i in np.flatnonzero(own.parts != "others")}
    made = sorted((chosen.work / "choice").rglob("models/*/options.json"))
    # The GAN's, and those of the classifiers of both recipes.
    assert len(made) == 3
    for path in made:
        split = json.loads(path.read_text())["split"]
        parts = pd.read_csv(path.parents[2] / "outputs/split.csv", dtype=str)
        learned = parts[parts.part == split["train_share"]]
        # As many images as its record says, by class and so in all.
        assert len(learned) == sum(split["images"]["train"]) > 0
        assert not set(learned.lesion) & apart
    assert not list((chosen.work / "choice").rglob("predictions.csv"))


def test_figures_are_those_of_val(chosen):
    result = json.loads(chosen.beside("_choice.json").read_text())
    assert set(result["recipes"]) == {"real", "weight_1"}
    own = chosen.work / "choice/weight_1_c0"
    args = train_cnn.parse_args([*chosen.places(), *choose.share_flags(chosen, 30)])
    images, labels = inputs.load_inputs(args).part("val")
    model = saved_models.load_classifier(own / "models/cnn/classifier.keras")
    p = inference.predict_views(model, images)
    found = result["recipes"]["weight_1"][0]
    each = [roc_auc_score(labels == i, p[:, i]) for i in np.unique(labels)]
    assert found["auc"] == pytest.approx(np.mean(each))
    assert found["accuracy"] == pytest.approx((p.argmax(axis=1) == labels).mean())
    assert result["mean"]["weight_1"]["auc"] == pytest.approx(found["auc"])
    made = json.loads((own / "models/cnn/options.json").read_text())
    assert made["synthetic_images"] == 70
    alone = json.loads((own.with_name("real_c0") / "models/cnn/options.json").read_text())
    assert alone["synthetic_images"] == 0


def test_each_seed_of_a_choice_is_a_training_of_its_own_and_their_mean_is_told(
    tmp_path, table_path, monkeypatch
):
    choice = {"fraction": 30, "amount": 70, "seeds": [3, 5], "recipes": {"real": [], "w": []}}
    grid = Grid(write_grid(tmp_path, data=str(table_path), choice=choice))
    trained = []

    def note(flags):
        trained.append(int(flags[flags.index("--seed") + 1]))

    def score(args, network):
        return dict.fromkeys(choose.MEASURES, args.seed / 10)

    def train_gan(grid, choice, folder, places):
        (folder / "models/gan").mkdir(parents=True)
        made = {"split": {}, "training_seconds": 1.0}
        (folder / "models/gan/options.json").write_text(json.dumps(made))
        return folder / "t.csv"

    monkeypatch.setattr(choose.train_cnn, "main", note)
    monkeypatch.setattr(choose, "score_on_val", score)
    monkeypatch.setattr(choose, "train_gan_of_others", train_gan)
    monkeypatch.setattr(inputs, "kept", None)
    choose.main([str(grid.path)])
    assert trained == [3, 5, 3, 5]
    result = json.loads(grid.beside("_choice.json").read_text())
    assert [r["seed"] for r in result["recipes"]["w"]] == [3, 5]
    assert result["mean"]["w"]["auc"] == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fraction": 100}, "50 % at most"),
        ({"fraction": 20}, "a fraction of the grid's"),
        ({"seeds": []}, "needs a seed"),
        ({"recipes": {}}, "a recipe"),
        ({"amount": True}, "an amount from 1"),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused(change, words, tmp_path):
    choice = {"fraction": 30, "amount": 70, "seeds": [0], "recipes": {"real": []}}
    with pytest.raises(InputError, match=words):
        choose.main([str(write_grid(tmp_path, choice=choice | change))])


def test_a_grid_without_a_choice_is_refused_in_one_line(tmp_path):
    path = write_grid(tmp_path)
    values = yaml.safe_load(path.read_text())
    del values["choice"]
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(InputError, match="has no choice"):
        choose.main([str(path)])
