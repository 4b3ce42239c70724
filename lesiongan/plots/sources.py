"""What figures are drawn from: checked files of this data and split, or why they are missing."""

import io

from lesiongan.data import classes
from lesiongan.data.classes import CLASSES
from lesiongan.files import checksums
from lesiongan.files.errors import first_line
from lesiongan.files.opening import open_input
from lesiongan.nets import saved_models
from lesiongan.plots.pages import PAPER


class Missing(Exception):
    """A figure's input is missing: the figure is left out and the report says why."""


def need(path, made_by):
    """Return `path`, or raise Missing, which names the script that writes it."""
    if not path.is_file():
        raise Missing(f"no {path.parent.name}/{path.name}: run {made_by}")
    return path


def frame(path, made_by):
    """Return the DataFrame of a CSV that the pipeline wrote.

    Raises Missing if the file is absent or damaged.
    """
    import pandas as pd

    try:
        return pd.read_csv(need(path, made_by))
    except ValueError as e:
        raise Missing(f"{path} is damaged ({str(e)[:60]}): run {made_by}") from None


class Sources:
    """What the figures draw from, loaded once and checked to come from this data and split.

    page: the Page that they are drawn for.
    """

    def __init__(self, run, page=PAPER):
        self.page = page
        self.args, self.inputs, self.table = run.args, run.inputs, run.inputs.table
        self.models, self.outputs = run.args.models_dir, run.args.outputs_dir
        self.evaluation = self.outputs / "evaluation"
        self._cache = {}

    def files(self):
        """Return the paths of all files from which a figure or the report could be drawn."""
        found = [
            *sorted(self.models.glob("*/*.keras")),
            *sorted(self.models.glob("*/history.csv")),
            *sorted((self.models / "gan" / "samples").glob("epoch_*.png")),
            *sorted((self.outputs / "eda").glob("*.png")),
            *sorted(self.evaluation.glob("*.*")),
            self.outputs / "synthetic" / classes.TABLE_NAME,
        ]
        hidden = [p for p in found if p.name == "options.json" or p.name.startswith(".")]
        return [p for p in found if p.is_file() and p not in hidden]

    def file(self, path, made_by, record="options.json"):
        """Return `path`, if the record beside it describes it as of this data and split.

        Raises Missing if it is absent, or another file than the record describes.
        """
        found = self.inputs.check_made_from(
            need(path.with_name(record), made_by), made_by, {"outputs": {...: str}}
        )
        if checksums.file_sha256(need(path, made_by)) != found["outputs"].get(path.name):
            raise Missing(f"{path} is not the file its {record} describes: run {made_by}")
        return path

    def model(self, folder, file="classifier.keras"):
        if self.args.no_models:
            raise Missing("--no-models was given")
        path = self.file(
            self.models / folder / file, "train_gan.py" if folder == "gan" else "train_cnn.py"
        )
        if path not in self._cache:
            self._cache[path] = (
                saved_models.load_generator if folder == "gan" else saved_models.load_classifier
            )(path)
        return self._cache[path]

    def synthetic(self):
        from lesiongan.data.tables import read_table

        path = self.file(
            self.outputs / "synthetic" / classes.TABLE_NAME, "train_gan.py", "provenance.json"
        )
        if path not in self._cache:
            self._cache[path] = read_table(path)
        return self._cache[path]

    def predictions(self, name="predictions.csv"):
        """Return (labels, p (n, 7), rows) of the evaluation's predictions."""
        self.check_evaluation()
        found = frame(self.evaluation / name, "evaluate.py")
        return (
            found["label"].to_numpy(),
            found[[f"p_{c}" for c in CLASSES]].to_numpy(),
            found["row"].to_numpy(),
        )

    def check_evaluation(self):
        """Raise Missing unless outputs/evaluation is of the models and synthetic set now on disk.

        It must be of this data and split, too.
        """
        path, shape = (
            self.evaluation / "options.json",
            {"inputs": {...: str}, "outputs": {...: str}},
        )
        record = self.inputs.check_made_from(need(path, "evaluate.py"), "evaluate.py", shape)
        theirs, ours = (s.get("train_share") for s in (record["split"], self.inputs.split))
        if theirs != ours:
            raise Missing(f"{path} is of --train-share {theirs}: run evaluate.py")
        for name, digest in record["outputs"].items():
            if checksums.file_sha256(need(self.evaluation / name, "evaluate.py")) != digest:
                raise Missing(
                    f"{self.evaluation / name} has changed since it was written: run evaluate.py"
                )
        paths = {
            n: self.models / n / "classifier.keras"
            for n in ("control", "judge", "clinical", "malignancy", "malignancy_control")
        }
        paths |= {
            "classifier": self.models / "cnn" / "classifier.keras",
            "generator": self.models / "gan" / "generator.keras",
            "synthetic": self.outputs / "synthetic" / classes.TABLE_NAME,
        }
        for name, digest in record["inputs"].items():
            if (
                name in paths
                and paths[name].is_file()
                and checksums.file_sha256(paths[name]) != digest
            ):
                raise Missing(
                    f"{self.evaluation}/ was made from another {paths[name]}: run evaluate.py"
                )

    def sample_grids(self, most=25):
        """Return [(epoch, PNG as bytes)]: what the current generator drew while it was trained.

        At most `most` are returned, evenly over the epochs, the first and the last among them.
        Raises Missing if there are none, or if one is damaged.
        """
        from PIL import Image

        self.file(self.models / "gan" / "generator.keras", "train_gan.py")
        shape = {"options": {"epochs": int, "grid_every": int}}
        record = self.models / "gan" / "options.json"
        options = self.inputs.check_made_from(record, "train_gan.py", shape)["options"]
        each, every = options["epochs"], max(options["grid_every"], 1)
        # Several generators are trained one after another, and their epochs are counted on.
        epochs = each * options.get("generators", 1)
        # A training draws these and no others; what else lies in the folder is not its own.
        drawn = sorted({1, *range(every, epochs + 1, every), *range(each, epochs + 1, each)})
        paths = {e: self.models / "gan" / "samples" / f"epoch_{e:04d}.png" for e in drawn}
        there = [e for e in drawn if paths[e].is_file()]
        if not there:
            raise Missing("no samples of the training's epochs: run train_gan.py")
        steps = min(most, len(there)) - 1
        chosen = [there[i * (len(there) - 1) // max(steps, 1)] for i in range(steps + 1)]
        found = []
        for epoch in chosen:
            with open_input(paths[epoch], "run train_gan.py") as f:
                content = f.read()
            try:
                Image.open(io.BytesIO(content), formats=["PNG"]).load()
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as e:
                why = first_line(e)
                raise Missing(f"{paths[epoch]} is damaged ({why}): run train_gan.py") from None
            found.append((epoch, content))
        return found

    def near_pairs(self):
        """Return int (m, 2), the pairs of near-duplicate images; none if their sides are no
        multiple of 7."""
        from lesiongan.data.near_duplicates import near_pairs

        return near_pairs(self.table.images) if self.table.images.shape[1] % 7 == 0 else ()

    def image_of_row(self, rows):
        """Return the images with these row numbers of the table."""
        at = {r: i for i, r in enumerate(self.table.rows)}
        return self.table.images[[at[r] for r in rows]]
