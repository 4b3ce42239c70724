"""The GAN's figures of merit: results/gan.json and results/gan_curve.csv, from the ordinary scripts.

    python benchmarks/gan_bars.py seed 0         # train GAN, judge and the two CAS networks, evaluate: about 100 minutes
    python benchmarks/gan_bars.py baseline       # the textbook DCGAN (gan_baseline.py), evaluated alike: about two hours
    python benchmarks/gan_bars.py speed          # alternating blocks of steps of both GANs in one process
    python benchmarks/gan_bars.py collect        # write results/gan.json and gan_curve.csv from results/gan/

Each of the first three leaves one small file in results/gan/ and can be repeated after an interruption. Work lies in bars/.
CAS (classification accuracy score, Ravuri and Vinyals 2019): test balanced accuracy of the classifier trained on 20 000
synthetic images alone, and on the real train part, both with class-balanced batches, classic augmentation and equal steps;
for both, real val images choose the epoch and the operating point (`balanced`), so test alone is new to them. The curve of
the Frechet ratio over time is measured against val: test is read once a run, and noted in results/TEST_LOG.md.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import artifacts
import runlog
import synthetic_quality
import synthetic_set
import train_gan
from ham10000 import CLASSES

BARS, RESULTS = ROOT / "bars", ROOT / "results" / "gan"
CAS_IMAGES = 20_000
BLOCKS, BLOCK_STEPS = 5, 20


def call(script, *flags):
    """Run one of the project's scripts; stop if it fails."""
    command = [sys.executable, str(ROOT / script), *map(str, flags)]
    print("$", " ".join([script, *map(str, flags)]), flush=True)
    if subprocess.run(command, cwd=ROOT).returncode:
        raise SystemExit(f"{script} failed")


def folders(name):
    """(flags, models, outputs) of one work folder."""
    models, outputs = BARS / name / "models", BARS / name / "outputs"
    return ["--models-dir", models, "--outputs-dir", outputs, "--if-stale"], models, outputs


def evaluate_gan(name, seed):
    """Train the judge and the two CAS networks beside a finished generator, evaluate, and return the row of figures."""
    where, models, outputs = folders(name)
    judge_where, judge_models, _ = folders("judge")
    call("train_cnn.py", *judge_where, "--role", "judge", "--resume")
    shutil.copytree(judge_models / "judge", models / "judge", dirs_exist_ok=True)
    flags = [*where, "--seed", seed]
    cas = outputs / "cas"
    call("train_gan.py", *flags, "--sample-only", "--samples", 1000)
    call("train_gan.py", *flags, "--sample-only", "--samples", CAS_IMAGES, "--no-png", "--out", cas)
    call("train_cnn.py", *flags, "--real", "none", "--synthetic", cas / artifacts.TABLE_NAME, "--sampler", "balanced",
         "--resume")  # fmt: skip
    call("train_cnn.py", *flags, "--role", "control", "--sampler", "balanced", "--resume")
    if not (outputs / "evaluation" / "options.json").is_file():
        note_reading(name)
    call("evaluate.py", *flags)
    return read_row(models, outputs)


def note_reading(name):
    """A line in results/TEST_LOG.md."""
    log = ROOT / "results" / "TEST_LOG.md"
    commit = runlog.environment()["commit"]
    line = f"| {time.strftime('%Y-%m-%d')} | {commit} | `gan_bars.py`, {name}: the GAN and its two CAS networks |\n"
    artifacts.write_text(log, log.read_text() + line)


def read_row(models, outputs):
    """One seed's figures from the files of the scripts."""
    quality = artifacts.read_json(outputs / "evaluation" / "synthetic_quality.json", "evaluate.py")
    found = artifacts.read_json(outputs / "evaluation" / "metrics.json", "evaluate.py")["models"]
    options = artifacts.read_json(models / "gan" / "options.json", "train_gan.py")
    d, by_class = quality["distances"], quality["distances_by_class"]
    agreement, memorisation = quality["label_agreement"], quality["memorisation"]
    cas = {end: found[model]["balanced"]["balanced_accuracy"]["value"]
           for end, model in (("synthetic", "classifier"), ("real", "control"))}  # fmt: skip
    return {
        **{k: d[k]["value"] for k in ("frechet_ratio", "frechet", "frechet_floor", "kid", "kid_floor", "precision", "recall",
                                      "coverage", "density", "coverage_ratio", "density_ratio")},
        "coverage_ratio_by_class": {c: f["coverage_ratio"]["value"] for c, f in by_class.items()},
        "density_ratio_by_class": {c: f["density_ratio"]["value"] for c, f in by_class.items()},
        "label_agreement": {c: f["value"] for c, f in agreement.items()},
        "real_recall": {c: f["real_recall"]["value"] for c, f in agreement.items()},
        "agreement_se": {c: f["se_of_difference"] for c, f in agreement.items()},
        "diversity_ratio": {c: f["value"] for c, f in quality["diversity"].items()},
        "memorisation": memorisation["value"],
        "memorisation_by_class": {c: f["value"] for c, f in memorisation["by_class"].items()},
        "cas_synthetic": cas["synthetic"],
        "cas_real": cas["real"],
        "cas": cas["synthetic"] / cas["real"],
        "training_minutes": options["training_seconds"] / 60,
        "seed": options["options"]["seed"],
        "commit": options["environment"]["commit"],
        "environment": options["environment"],
        "judge_sha256": quality["judge_sha256"],
        "protocol": quality["protocol"],
    }  # fmt: skip


def score_snapshots(name):
    """[{epoch, minutes, frechet_ratio}] of the generators kept during training, by the judge on val."""
    import keras

    _, models, outputs = folders(name)
    args = train_gan.parse_args(["--models-dir", str(models), "--outputs-dir", str(outputs)])
    run = runlog.Run(args, "gan_bars")
    judge_path = models / "judge" / "classifier.keras"
    judge = synthetic_quality.Judge(
        keras.saving.load_model(judge_path), artifacts.file_sha256(judge_path), run, held_out="val"
    )
    held_out = judge.features(run.part("val")[0])
    seconds = np.cumsum(np.genfromtxt(models / "gan" / "history.csv", delimiter=",", names=True)["seconds"])
    rows = []
    for path in sorted((models / "gan" / "snapshots").glob("*.keras")):
        epoch = int(path.stem.split("_")[1])
        generator = keras.saving.load_model(path)
        _, found, _ = synthetic_quality.measure_distances(run, None, judge, generator, None, held_out, by_class=False)
        rows.append({"epoch": epoch, "minutes": seconds[epoch - 1] / 60, "frechet_ratio": found["frechet_ratio"]["value"]})
    if not rows:
        raise SystemExit(f"{models / 'gan'} has no snapshots: it was trained without --snapshots; delete it and train again")
    return rows


def measure_seed(seed):
    where, _, _ = folders(f"seed_{seed}")
    call("train_gan.py", *where, "--seed", seed, "--snapshots", "--resume")
    save(f"seed_{seed}", seed)


def measure_baseline():
    where, _, _ = folders("baseline")
    call("benchmarks/gan_baseline.py", *where, "--resume")
    save("baseline", 0)


def save(name, seed):
    """Evaluate, score the curve, and write results/gan/<name>.json."""
    row = evaluate_gan(name, seed)
    runlog.quiet_tensorflow()
    artifacts.write_json(RESULTS / f"{name}.json", row | {"curve": score_snapshots(name)})


def build_block(images, labels, flags=(), steps=BLOCK_STEPS):
    """(function that trains `steps` steps of train_gan.py's GAN and returns the images they took, GAN, batches)."""
    import keras

    args = train_gan.parse_args([*map(str, flags)])
    gan, batches = train_gan.prepare(images, labels, args)

    class Block(keras.utils.PyDataset):
        def __len__(self):
            return steps

        def __getitem__(self, i):
            return batches[i]

    def train():
        gan.fit(Block(), epochs=1, shuffle=False, verbose=0)
        return steps * args.batch

    return train, gan, batches


def build_dcgan_block(images, labels):
    """Function that trains BLOCK_STEPS steps of the DCGAN and returns the images they took."""
    import gan_baseline

    dcgan = gan_baseline.Dcgan()
    order = np.random.default_rng(0).permutation(len(labels))

    def train():
        for i in range(BLOCK_STEPS):
            loss, _ = dcgan.step(*gan_baseline.batch_of(images, labels, 0, 0, i, order))
        float(loss)  # wait for the last step
        return BLOCK_STEPS * gan_baseline.BATCH

    return train


def median_rates(work):
    """{name: images a second}, median of BLOCKS blocks that alternate between the entries of `work`, after one of each."""
    rates = {name: [] for name in work}
    for block in range(BLOCKS + 1):  # the first traces and warms up
        for name, function in work.items():
            began = time.perf_counter()
            n = function()
            if block:
                rates[name].append(n / (time.perf_counter() - began))
    return {name: float(np.median(r)) for name, r in rates.items()}


KINDS = (("convolutions", "Conv2D"), ("matrix products", "MatMul"), ("matrix products", "Einsum"),
         ("copies and turns", "Transpose|Reverse|Select|Concat|Slice|Pad|Pack"))  # fmt: skip


def profile_step(train, batches, steps=BLOCK_STEPS):
    """{kind of operation: thread milliseconds a step}, by TensorFlow's profiler; `input` is timed by itself."""
    import re
    import tempfile
    from collections import Counter

    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        train()
        tf.profiler.experimental.stop()
        space = xplane_pb2.XSpace()
        space.ParseFromString(next(Path(folder).rglob("*.xplane.pb")).read_bytes())
    spent = Counter()
    for plane in space.planes:
        names = {key: m.name for key, m in plane.event_metadata.items()}
        for event in (e for line in plane.lines for e in line.events):
            where, _, operation = names[event.metadata_id].rpartition(":")
            if not where or not re.fullmatch(r"\w+", operation):
                continue  # the profiler's own and the executor's events carry no operation
            kind = next((k for k, pattern in KINDS if re.search(pattern, operation)), "elementwise and rest")
            if "adam" in where.lower() or "Assign" in operation:
                kind = "optimizer and averages"
            spent[kind] += event.duration_ps / 1e9 / steps
    began = time.perf_counter()
    for i in range(steps):
        batches[i]
    spent["input"] = 1000 * (time.perf_counter() - began) / steps
    return dict(spent)


def measure_speed():
    """Training images a second of both GANs, sampling images a second, and how the cost of a step grows."""
    runlog.quiet_tensorflow()
    run = runlog.Run(train_gan.parse_args([]), "gan_bars")
    images, labels = run.part("train")
    ours, gan, batches = build_block(images, labels)
    y = np.repeat(np.arange(len(CLASSES), dtype=np.int32), 300)

    def sample():
        return sum(len(made) for _, made in synthetic_set.generate_in_chunks(gan.ema, y, 0))

    rates = median_rates({"ours": ours, "dcgan": build_dcgan_block(images, labels), "sample": sample})
    large = np.kron(images[:1000], np.ones((1, 3, 3, 1), np.uint8))[:, 10:74, 10:74]  # only their size matters here
    growth = {}
    for batch, width, size in ((64, 64, 28), (128, 64, 28), (64, 32, 28), (64, 128, 28), (64, 64, 64)):
        pictures, names = (images, labels) if size == 28 else (large, labels[:1000])
        block, _, _ = build_block(pictures, names, ("--batch", batch, "--width", width), steps=5)
        growth[f"batch {batch}, width {width}, {size} x {size}"] = median_rates({"": block})[""]
    minutes = {name: 200 * len(labels) / rates[name] / 60 for name in ("ours", "dcgan")}
    out = {
        "train_images_per_second": rates["ours"],
        "train_images_per_second_dcgan": rates["dcgan"],
        "minutes_200_epochs": minutes["ours"],
        "minutes_200_epochs_dcgan": minutes["dcgan"],
        "sample_images_per_second": rates["sample"],
        "thread_milliseconds_a_step": profile_step(ours, batches),
        "growth_images_per_second": growth,
        "environment": runlog.environment(),
    }
    artifacts.write_json(RESULTS / "speed.json", out)
    print(json.dumps({k: v for k, v in out.items() if k != "environment"}, indent=1))


def mean_and_std(rows, name):
    """{name: mean, name_std: standard deviation} over seeds, of a number or of each class's."""
    values = [r[name] for r in rows]
    if isinstance(values[0], dict):
        per = {c: [v[c] for v in values] for c in values[0]}
        return {name: {c: float(np.mean(v)) for c, v in per.items()},
                f"{name}_std": {c: float(np.std(v, ddof=1)) if len(v) > 1 else None for c, v in per.items()}}  # fmt: skip
    return {name: float(np.mean(values)), f"{name}_std": float(np.std(values, ddof=1)) if len(values) > 1 else None}


def collect():
    """results/gan.json and gan_curve.csv from whatever results/gan/ holds."""
    rows = [json.loads(p.read_text()) for p in sorted(RESULTS.glob("seed_*.json"))]
    if not rows:
        raise SystemExit(f"{RESULTS} has no seed_*.json: run `gan_bars.py seed 0` first")
    out = {"seeds": [r["seed"] for r in rows], "protocol": rows[0]["protocol"], "commits": [r["commit"] for r in rows]}
    for name in (k for k, v in rows[0].items() if isinstance(v, float | dict) and k != "environment"):
        out |= mean_and_std(rows, name)
    curve = [("ours", r["seed"], *point.values()) for r in rows for point in r["curve"]]
    if (RESULTS / "baseline.json").is_file():
        baseline = json.loads((RESULTS / "baseline.json").read_text())
        rows_of_all = [*rows, baseline]
        if len({r["judge_sha256"] for r in rows_of_all}) > 1:
            raise SystemExit("the seeds and the baseline were not measured by one judge")
        out |= {f"{k}_dcgan": baseline[k] for k in ("frechet_ratio", "frechet", "kid", "cas", "label_agreement",
                                                    "diversity_ratio", "coverage_ratio", "density_ratio")}  # fmt: skip
        curve += [("dcgan", 0, *point.values()) for point in baseline["curve"]]
    if (RESULTS / "speed.json").is_file():
        speed = json.loads((RESULTS / "speed.json").read_text())
        out |= {k: v for k, v in speed.items() if isinstance(v, float)}
    out["environment"] = rows[0]["environment"]
    artifacts.write_json(ROOT / "results" / "gan.json", out)
    names = ("gan", "seed", "epoch", "minutes", "frechet_ratio")
    artifacts.write_csv(ROOT / "results" / "gan_curve.csv", dict(zip(names, zip(*curve, strict=True), strict=True)))
    print(json.dumps(out, indent=1))


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=("seed", "baseline", "speed", "collect"))
    p.add_argument("number", type=int, nargs="?", default=0, help="of the seed")
    args = p.parse_args(argv)
    work = {"seed": lambda: measure_seed(args.number), "baseline": measure_baseline, "speed": measure_speed}
    work.get(args.what, collect)()


if __name__ == "__main__":
    runlog.script_main(main)
