"""Photographs a second of evaluate.py --image: 600 x 450 JPEGs, 8 views, judge, no maps.

    python -m benchmarks.photograph_speed [--count 2000] [--models-dir models]

Run it alone on the machine. Starting Python and Keras and loading the networks are told apart from
the photographs. Writes results/photograph_speed.json.
"""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from lesiongan import ROOT
from lesiongan.files import writing
from lesiongan.measures import answers
from lesiongan.phantom import draw_table
from lesiongan.run import evaluate_flags, flags, keras_setup, machine, script


def write_photographs(folder, count):
    """Write `count` JPEGs of 600 x 450 pixels, made of enlarged phantom lesions with fine grain."""
    from PIL import Image

    rng = np.random.default_rng(0)
    images = draw_table(200)[0]
    for i in range(count):
        large = Image.fromarray(images[i % len(images)]).resize(
            (600, 450), Image.Resampling.BICUBIC
        )
        # A photograph has grain, which makes its file larger and slower to decode.
        grain = rng.normal(0, 6, (450, 600, 1))
        pixels = np.clip(np.asarray(large) + grain, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:05d}.jpg", quality=92)


def parse_args(argv=None):
    p = flags.Parser(__doc__)
    p.add_argument("--count", type=int, default=2000, help="photographs")
    p.add_argument("--repeats", type=int, default=5)
    return p.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    keras_setup.quiet_tensorflow()
    with tempfile.TemporaryDirectory() as folder:
        write_photographs(Path(folder), args.count)
        asked = evaluate_flags.parse(__doc__, ["--image", folder, "--weights", "published"])
        begun = time.perf_counter()
        answerer = answers.load(asked)
        loading = time.perf_counter() - begun
        paths, _ = answers.list_photographs(asked.image)
        rates = []
        # The first time, TensorFlow prepares its kernels.
        for repeat in range(args.repeats + 1):
            begun = time.perf_counter()
            for chunk, images, _ in answers.read_chunks(paths, "full"):
                answers.answer_chunk(answerer, chunk, images)
            rate = len(paths) / (time.perf_counter() - begun)
            print(f"{'warming up: ' * (repeat == 0)}{rate:.0f} photographs a second")
            rates += [rate] * (repeat > 0)
    content = {
        "photographs_a_second": round(statistics.median(rates), 1),
        "repeats": [round(r, 1) for r in rates],
        "loading_seconds": round(loading, 1),
        "photographs": args.count,
        "size": "600 x 450 JPEG",
        "views": 8,
        "command": f"python -m benchmarks.photograph_speed --count {args.count}",
        "environment": machine.environment(),
    }
    writing.write_json(ROOT / "results" / "photograph_speed.json", content)
    return 0


if __name__ == "__main__":
    script.script_main(main)
