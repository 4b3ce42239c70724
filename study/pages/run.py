"""The section of one run in full, as a function of the files of results/run/."""

from lesiongan.plots import tables
from study.pages.markdown import render, show_estimate


def score_rows(found):
    """Return the rows of classifier, control and their paired difference, from metrics.json."""
    models = found["models"]
    blocks = models["classifier"], models["control"]
    rows = []
    for label, path in tables.METRIC_ROWS[:-1]:
        difference = show_estimate(found["classifier_minus_control"], path, signed=True)
        rows.append((label, *(show_estimate(block, path) for block in blocks), difference))
    perfect = [f"{block['ece_if_perfect']['value']:.3f}" for block in blocks]
    return [*rows, ("ECE were it perfectly calibrated", *perfect, "")]


def agreement_rows(agreement):
    """Return the rows of the judge's agreement with synthetic labels, a column for each class."""
    apart = [
        (a["value"] - a["real_recall"]["value"]) / a["se_of_difference"] for a in agreement.values()
    ]
    return [
        ("judge agrees with synthetic label", [f"{a['value']:.2f}" for a in agreement.values()]),
        (
            "judge's recall on held-out real",
            [f"{a['real_recall']['value']:.2f}" for a in agreement.values()],
        ),
        ("difference in standard errors", [f"{z:+.1f}" for z in apart]),
    ]


def render_run(found, quality, records, **told):
    """Return one run in full, classifier and synthetic images, as Markdown.

    found, quality: metrics.json and synthetic_quality.json. records: {folder: options.json}.
    told: what the template tells beside them: training, memory and large_memory, which are texts,
    and joined, the number of trainings that the GAN joins.
    """
    cnn, control = records["cnn"], records["control"]
    backend, packages = cnn["environment"]["backend"], cnn["environment"]["packages"]
    return render(
        "run",
        found=found,
        seed=records["gan"]["options"]["seed"],
        steps=cnn["steps"],
        scores=score_rows(found),
        d=quality["distances"],
        ratio=show_estimate(quality["distances"]["frechet_ratio"]),
        memorised=quality["memorisation"],
        judge=quality["judge_sha256"],
        agreement=quality["label_agreement"],
        agreement_rows=agreement_rows(quality["label_agreement"]),
        other_code=cnn.get("code_sha256") != control.get("code_sha256"),
        cnn_commit=cnn["environment"]["commit"][:7],
        control_commit=control["environment"]["commit"][:7],
        backend=backend,
        packages=packages,
        **told,
    )
