"""Only a whole run of HAM10000 under the lesion split is published, and its files as they are."""

import gzip
import json

from lesiongan.files import writing
from lesiongan.files.errors import InputError
from tests.conftest import load_fresh


def test_only_a_whole_run_of_the_lesion_split_is_published(pipeline, tmp_path, monkeypatch):
    publish = load_fresh("study.publish_run")
    monkeypatch.setattr(publish, "RUN", tmp_path / "published" / "run")
    copy = pipeline.copy(tmp_path)
    path = copy.outputs / "evaluation/options.json"
    record = json.loads(path.read_text())
    whole = {
        "data": record["data"] | {"phantom": False},
        "split": record["split"]
        | {"protocol": "lesion split", "images": {"all": publish.HAM10000_COUNTS}},
    }

    def offer(**change):
        new = record | whole
        for key, value in change.items():
            new = new | {key: new[key] | value}
        path.write_text(json.dumps(new))
        try:
            publish.copy_run(copy.models, copy.outputs)
        except InputError as e:
            return str(e)
        return "published"

    only = "only full runs on HAM10000 are published"
    writing.ensure_folder(publish.RUN.parent)
    assert offer() == "published"
    predictions = gzip.decompress((publish.RUN / "predictions.csv.gz").read_bytes())
    assert predictions == (copy.outputs / "evaluation/predictions.csv").read_bytes()
    split = gzip.decompress((publish.RUN.parent / "splits/lesion_split.csv.gz").read_bytes())
    assert split == (copy.outputs / "split.csv").read_bytes()
    assert only in offer(split={"protocol": "image split, leaky"})
    assert only in offer(split={"split_seed": 1})
    assert only in offer(data={"phantom": True})
    assert only in offer(split={"images": {"all": [1] * 7}})
    # The networks and files beside the record are those that it names.
    offer()
    for name in ("models/control/classifier.keras", "outputs/evaluation/subgroups.json"):
        changed = tmp_path / name if (tmp_path / name).is_file() else copy.models.parent / name
        was = changed.read_bytes()
        changed.write_bytes(was + b" ")
        assert f"{changed}: is not the" in offer(), name
        changed.write_bytes(was)
    assert offer() == "published"
