"""The generated sections of README.md and docs/results.md, as functions of the files in results/.

This module reads the files and puts each section between its marks. What a section says of them is
in answer.py, study.py, run.py, classifier.py and gan.py, its Markdown in templates/.
"""

import csv
import json

from lesiongan import ROOT
from study.pages import answer, classifier, gan, study
from study.pages import run as run_page
from study.pages.classifier import beside_leak
from study.pages.markdown import cores, name_commit, where_trained

RUN = ROOT / "results" / "run"


def read_json(path):
    """Return the content of a JSON file, or None if there is no such file."""
    return json.loads(path.read_text()) if path.is_file() else None


def read_record(folder):
    """Return the options.json of a folder of the published run."""
    return json.loads((RUN / f"{folder}_options.json").read_text())


def training_minutes(folder):
    """Return the sum of a history's epochs, interruptions left out."""
    rows = (RUN / f"{folder}_history.csv").read_text().splitlines()[1:]
    return sum(float(row.split(",")[-1]) for row in rows) / 60


def describe_training(records):
    """Return what each network took, where and when.

    The text is like 'on 2 CPU cores (AMD EPYC), `648ba9d`, 2026-11-25: GAN 85 min, judge 6 min'.
    """
    parts: dict[str, list[str]] = {}
    for name, folder in (
        ("GAN", "gan"),
        ("judge", "judge"),
        ("classifier", "cnn"),
        ("control", "control"),
        ("`train_cnn.py --task malignancy`", "malignancy"),
    ):
        if r := records.get(folder):
            made = f"{cores(r['environment'])}, {name_commit(r['environment'])}, {r['date'][:10]}"
            parts.setdefault(made, []).append(f"{name} {training_minutes(folder):.0f} min")
    return "; ".join(f"on {made}: {', '.join(took)}" for made, took in parts.items())


def peak_memory():
    """Return the GiB that each script held at most, as in '`eda.py` 1.2, ...'.

    A script whose run did not record it is left out.
    """
    found = {}
    for folder in ("eda", "gan", "cnn", "evaluation", "figures"):
        record = read_record(folder)
        if "peak_gib" in record:
            found[f"{record['script']}.py"] = record["peak_gib"]
    return ", ".join(f"`{script}` {gib:.1f}" for script, gib in found.items())


def large_memory():
    """Return the peak memory at a hundred times the table, from results/reliability.json.

    The text is '' until tests/stress/load.py has run.
    """
    found = read_json(RUN.parent / "reliability.json") or {}
    what = {
        "million_rows_eda": "`eda.py` on {million_rows:,} rows",
        "million_rows_cnn": "1000 steps of `train_cnn.py` on {million_rows:,}",
        "samples": "sampling {samples:,} images",
    }
    parts = [
        f"{v.format(**found)} {found[k + '_peak_gib']:.1f}"
        for k, v in what.items()
        if f"{k}_peak_gib" in found
    ]
    return f" Under load (`tests/stress/load.py`): {', '.join(parts)}." if parts else ""


def count_readings():
    """Return how often the test part of the lesion split and of the image split has been read.

    The two numbers, in this order, are counted in results/TEST_LOG.md.
    """
    lines = [
        line
        for line in (RUN.parent / "TEST_LOG.md").read_text().splitlines()
        if line.startswith("| 20")
    ]
    readings = [count_in_line(line) for line in lines]
    of_image = ["image_" in line or "leak_" in line for line in lines]
    image = sum(n for n, is_image in zip(readings, of_image, strict=True) if is_image)
    return sum(readings) - image, image


def count_in_line(line):
    """Return how many readings a line of TEST_LOG.md stands for: one, or one a seed of the study.

    A group of the study notes all its seeds in a line, `... classifiers of seed 0, 1, 2 |`.
    """
    if "`study.run_group`" not in line:
        return 1
    return len(line.partition("classifiers of seed ")[2].rstrip(" |").split(", "))


def is_of_another_set():
    """Return whether the arms were trained on other synthetic images than the published run's."""
    made = read_json(RUN / "synthetic_provenance.json")
    contexts = [
        *RUN.parent.glob("arms/*/context.json"),
        *RUN.parent.glob("classifier/*/context.json"),
    ]
    found = {
        arm["synthetic_sha256"] for path in contexts for arm in read_json(path)["arms"].values()
    }
    return made is not None and bool(found - {None}) and made["table_sha256"] not in found


def build_answer():
    """Return the README's answer from results/arms.json: a picture, one sentence, a short table."""
    found = json.loads((RUN.parent / "arms.json").read_text())
    trained = json.loads((RUN / "control_options.json").read_text())
    measured = json.loads((RUN / "metrics.json").read_text())
    majority = measured["majority_baseline"]["accuracy"]["value"]
    clinical = (read_json(RUN.parent / "classifier.json") or {}).get("lesion_split_clinical")
    drawn = {"other_set": is_of_another_set(), "joined": count_joined()}
    return answer.render_answer(found, trained["real_images"], majority, clinical, **drawn)


def build_arms():
    """Return all arms, from results/arms.json and the other collected files, as Markdown."""
    found = json.loads((RUN.parent / "arms.json").read_text())
    both = read_json(RUN.parent / "classifier.json")
    if not both:
        return answer.render_arms(found, other_set=is_of_another_set(), both=None)
    lesion = both["lesion_split"]
    return answer.render_arms(
        found,
        other_set=is_of_another_set(),
        both=both,
        alone=cores(both["alone"]["environment"]) if "alone" in both else where_trained(lesion),
        trained=where_trained(lesion),
        readings=count_readings(),
        beside_leak=beside_leak(both),
    )


def build_table():
    """Return one run in full, classifier and synthetic images, as Markdown."""
    records = {folder: read_record(folder) for folder in ("gan", "judge", "cnn", "control")}
    if (RUN / "malignancy_options.json").is_file():
        records["malignancy"] = read_record("malignancy")
    return run_page.render_run(
        json.loads((RUN / "metrics.json").read_text()),
        json.loads((RUN / "synthetic_quality.json").read_text()),
        records,
        training=describe_training(records),
        joined=count_joined(),
        memory=peak_memory(),
        large_memory=large_memory(),
    )


def build_gan_section():
    """Return the GAN beside the textbook one, from results/gan.json, as Markdown."""
    found = read_json(RUN.parent / "gan.json")
    if found is None:
        return "Not measured yet: `make records` does, by running the ordinary scripts."
    run = read_json(RUN / "synthetic_quality.json")
    other_run = run is not None and run["judge_sha256"] != found["judge_sha256"]
    if is_outdated(found.get("published", {}), run):
        del found["published"]
    return gan.render_gan(found, other_run, count_joined())


def count_joined():
    """Return how many trainings the generator of results/run/ and weights/ joins."""
    made = read_json(RUN / "gan_options.json") or {"options": {}}
    return made["options"].get("generators", 1)


def is_outdated(measured, run):
    """Return whether what was measured of the published generator is of an earlier one.

    measured: the record of gan.json; run: synthetic_quality.json of results/run/, or None.
    """
    if not measured or run is None:
        return False
    generator = run.get("networks", {}).get("generator", {}).get("sha256")
    of = (measured.get("generator_sha256", generator), measured["judge_sha256"])
    return of != (generator, run["judge_sha256"])


def build_classifier_section():
    """Return the classifier over seeds under both splits, from results/classifier.json."""
    found = read_json(RUN.parent / "classifier.json")
    if found is None:
        return "Not measured yet: `make records` does, by running the ordinary scripts."
    path = RUN.parent / "framing.csv"
    framing = csv.DictReader(path.read_text().splitlines()) if path.is_file() else ()
    return classifier.render_classifier(found, list(framing))


def build_study():
    """Return the study's sentences for the README."""
    return study.render_study(read_json(RUN.parent / "study.json"), whole=False)


def build_whole_study():
    """Return the sentences about every arm of the study, and what has run."""
    return study.render_study(read_json(RUN.parent / "study.json"))


RESULTS = {"run": build_table, "gan": build_gan_section, "classifier": build_classifier_section}
PAGES = {
    "README.md": {"answer": build_answer, "study": build_study},
    "docs/results.md": {"study": build_whole_study, "arms": build_arms} | RESULTS,
}


def insert_sections(text, sections):
    """Return the text of a page with what stands between each section's marks replaced."""
    for name, build in sections.items():
        start, end = (
            f"<!-- {name}: start (study/publish_run.py writes this) -->\n",
            f"<!-- {name}: end -->",
        )
        before, rest = text.split(start)
        text = before + start + build() + "\n" + end + rest.split(end)[1]
    return text
