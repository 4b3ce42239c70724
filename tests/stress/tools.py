"""Files as people's tools write them, and what a neighbour may leave in their place.

For damaged_files.py: bytes to other bytes, or another thing at the same path.
"""

import io
import os
import zipfile

import pandas as pd

from lesiongan.data.classes import CLASSES
from tests.stress.damage import damage


def write_as_a_tool(text, rng):
    """A CSV (bytes) as one or two tools after another would write it, sometimes damaged too."""
    for _ in range(rng.choice([1, 1, 2])):
        text = rng.choice(TOOLS)(text, rng)
    return damage(text, rng) if rng.random() < 0.2 else text


def with_pandas(change):
    """A tool that reads the CSV by pandas and writes it with `change`, if it can read it."""

    def tool(text, rng):
        try:
            frame = pd.read_csv(io.BytesIO(text), dtype=str, keep_default_na=False)
        except Exception:
            return text
        return change(frame, rng).encode()

    return tool


def shuffled_columns(frame, rng):
    return frame[rng.sample(list(frame.columns), len(frame.columns))].to_csv(index=False)


def alphabetical(frame, rng):
    """Class codes in alphabetical order, or image ids as a folder of photographs has them."""
    if "label" in frame:
        codes = [sorted(CLASSES).index(CLASSES[int(y) % 7]) for y in frame["label"]]
        frame = frame.assign(label=codes)
    if "image_id" in frame:
        frame = frame.assign(image_id=frame["image_id"].str.lower() + rng.choice(["", ".jpg"]))
    return frame.to_csv(index=False)


def zipped(text, rng):
    """A zip archive with the file, and sometimes with others beside it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(rng.choice(["t.csv", "a/b/table.csv", "T.CSV", "t.txt", "t"]), text)
        if rng.random() < 0.4:
            archive.writestr(
                rng.choice(["__MACOSX/._t.csv", "other.csv", "readme.md"]), b"x,y\n1,2\n"
            )
    return buffer.getvalue()


TOOLS = (
    with_pandas(lambda f, rng: f.to_csv()),
    with_pandas(lambda f, rng: f.to_csv(index=False, header=False)),
    with_pandas(lambda f, rng: f.to_csv(index=False, sep=rng.choice([";", "\t", "|", " "]))),
    with_pandas(lambda f, rng: f.to_csv(index=False, quoting=1)),
    with_pandas(lambda f, rng: f.iloc[:, ::-1].to_csv(index=False)),
    with_pandas(lambda f, rng: f.rename(columns=str.upper).to_csv(index=False)),
    with_pandas(lambda f, rng: f.iloc[rng.randrange(2) :: 2].to_csv(index=False)),
    with_pandas(lambda f, rng: pd.concat([f, f]).to_csv(index=False)),
    with_pandas(lambda f, rng: f.replace(f.iloc[0, 0], f"{f.iloc[0, 0]}.0").to_csv(index=False)),
    with_pandas(shuffled_columns),
    with_pandas(alphabetical),
    lambda t, rng: t.replace(b"\n", b"\r\n"),
    lambda t, rng: t.replace(b"\n", b",\n"),
    lambda t, rng: b"\xef\xbb\xbf" + t,
    lambda t, rng: t.decode("latin-1").encode("utf-16"),
    lambda t, rng: b"\n\n" + t + b"\n\n",
    lambda t, rng: b"# exported by a tool\n" + t,
    zipped,
)


def leave_in_place(path, rng):
    """What a neighbour may leave at `path`: a pipe, a link or a folder; a removed file too."""
    path.unlink(missing_ok=True)
    kind = rng.randrange(6)
    if kind == 0:
        os.mkfifo(path)
    elif kind == 1:
        path.mkdir()
    elif kind == 5:
        return
    else:
        target = ("/dev/zero", "/dev/stdin", path.with_name("nowhere"))[kind - 2]
        os.symlink(target, path)
