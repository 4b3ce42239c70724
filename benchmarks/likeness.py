"""How well the warning of evaluate.py --image works: which images are called unlike the training.

    python -m benchmarks.likeness [--data TABLE --models-dir models --outputs-dir outputs]

The share of val and test images, of noise, of drawings and of phantom lesions that lie beyond the
limit of nearest.npz, and the share of copies of training images that are named as such. Writes
results/likeness.json. Test images are looked at without their labels: no score is read.
"""

import numpy as np

from lesiongan import ROOT
from lesiongan.files import writing
from lesiongan.files.errors import InputError
from lesiongan.measures import likeness
from lesiongan.nets import inference, saved_models
from lesiongan.phantom import draw_table
from lesiongan.run import flags, keras_setup, runs, script

EACH = 500


def draw_noise(n, rng):
    """Return uint8 (n, 28, 28, 3): five kinds of noise, from fine and colourful to coarse."""
    from PIL import Image

    def coarse():
        few = rng.uniform(0, 255, (rng.integers(3, 9),) * 2 + (3,)).astype(np.uint8)
        return np.asarray(Image.fromarray(few).resize((28, 28), Image.Resampling.BICUBIC))

    kinds = (
        lambda: rng.uniform(0, 255, (28, 28, 3)),
        lambda: rng.normal(128, rng.uniform(10, 60), (28, 28, 3)),
        lambda: np.repeat(rng.uniform(0, 255, (28, 28, 1)), 3, axis=2),
        coarse,
        lambda: np.repeat(255.0 * (rng.random((28, 28, 1)) < rng.uniform(0.1, 0.9)), 3, axis=2),
    )
    images = [np.clip(kinds[i % len(kinds)](), 0, 255) for i in range(n)]
    return np.array(images).astype(np.uint8)


def draw_drawings(n, rng):
    """Return uint8 (n, 28, 28, 3): shapes, lines and text on plain grounds."""
    from PIL import Image, ImageDraw

    out = []
    for i in range(n):
        plain = rng.choice([0, 240, 255]) if rng.random() < 0.6 else None
        ground = [plain] * 3 if plain is not None else rng.integers(0, 256, 3)
        large = Image.new("RGB", (112, 112), tuple(map(int, ground)))
        pen = ImageDraw.Draw(large)
        for _ in range(rng.integers(1, 6)):
            colour = tuple(map(int, rng.integers(0, 256, 3)))
            (left, right), (top, bottom) = np.sort(rng.integers(0, 112, (2, 2)), axis=1).tolist()
            points = [tuple(p) for p in rng.integers(0, 112, (5, 2)).tolist()]
            if i % 5 == 0:
                pen.rectangle((left, top, right + 6, bottom + 6), fill=colour)
            elif i % 5 == 1:
                pen.ellipse((left, top, right + 6, bottom + 6), fill=colour, outline="black")
            elif i % 5 == 2:
                pen.line(points, fill=colour, width=int(rng.integers(2, 8)))
            elif i % 5 == 3:
                pen.polygon(points[:4], fill=colour)
            else:
                letters = "".join(chr(c) for c in rng.integers(65, 91, 8))
                pen.text((left // 3, top // 2), letters, fill=colour, font_size=28)
        out.append(np.asarray(large.resize((28, 28), Image.Resampling.LANCZOS)))
    return np.array(out)


def change(images, rng):
    """Return {name: uint8 (n, 28, 28, 3)}: changed copies of images."""
    x = images.astype(float)
    changed = {
        "the same": x,
        "turned and mirrored": x[:, ::-1].swapaxes(1, 2),
        "5 grey levels brighter": x + 5,
        "10 grey levels brighter": x + 10,
        "10 grey levels darker": x - 10,
        "noise of 2 grey levels": x + rng.normal(0, 2, x.shape),
        "noise of 5 grey levels": x + rng.normal(0, 5, x.shape),
    }
    return {name: np.clip(np.rint(v), 0, 255).astype(np.uint8) for name, v in changed.items()}


def main(argv=None):
    args = flags.parser(__doc__).parse_args(argv)
    run = runs.Run(args, "evaluate")
    if not run.announce():
        return 0
    if run.inputs.data["phantom"] or len(run.inputs.table) != 10015 or args.split != "lesion":
        raise InputError(
            f"{run.inputs.data['name']}: results/likeness.json is of the whole HAM10000 under the "
            "lesion split"
        )
    keras_setup.quiet_tensorflow()
    known = likeness.read(args.outputs_dir / "evaluation" / likeness.FILE)
    judge = saved_models.load_classifier(args.models_dir / "judge" / "classifier.keras")
    if saved_models.weights_sha256(judge) != known.judge_sha256:
        raise InputError(
            f"{args.outputs_dir}/evaluation/{likeness.FILE}: is of another judge; run evaluate.py"
        )
    network, rng = likeness.feature_network(judge), np.random.default_rng(args.seed)

    def distances(images):
        return known.measure(inference.predict_views(network, images), 1)[0]

    images = {part: run.inputs.part(part)[0] for part in ("val", "test")}
    train = run.inputs.part("train")[0]
    images["noise"] = draw_noise(EACH, rng)
    images["drawings"] = draw_drawings(EACH, rng)
    images["phantoms"] = draw_table(EACH)[0]
    found = {name: distances(x) for name, x in images.items()}
    copies = change(train[rng.choice(len(train), min(EACH, len(train)), replace=False)], rng)
    content = {
        "shares_warned": {name: float((d > known.unlike).mean()) for name, d in found.items()},
        "images": {name: len(d) for name, d in found.items()},
        "limits": {"unlike": known.unlike, "copy": known.copy},
        "shares_called_copies": {
            **{name: float((distances(x) < known.copy).mean()) for name, x in copies.items()},
            **{
                f"unseen ({part})": float((found[part] < known.copy).mean())
                for part in ("val", "test")
            },
        },
        "judge_sha256": known.judge_sha256,
        "data": run.inputs.data,
        "split": run.inputs.split["protocol"],
        "command": "python -m benchmarks.likeness",
        "seed": args.seed,
        "environment": run.environment,
    }
    writing.write_json(ROOT / "results" / "likeness.json", content)
    for name in ("shares_warned", "shares_called_copies"):
        print(name, {k: round(v, 3) for k, v in content[name].items()})
    return 0


if __name__ == "__main__":
    script.script_main(main)
