"""python -m lesiongan.photographs: folders of phantom lesions, as people have them, into tables."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import eda
from lesiongan import ROOT, photographs
from lesiongan.data import photograph_reading, tables
from lesiongan.data.classes import CLASSES
from lesiongan.data.lesions import group_lesions
from lesiongan.data.tables import read_table
from lesiongan.files import claims, locks
from lesiongan.files.errors import InputError
from lesiongan.phantom import draw_table
from lesiongan.run import runs

ISIC_2019 = ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK")
FIRST = 24306


def name_image(number):
    """The id of a photograph of the fixture `lesions`."""
    return f"ISIC_{60000 + number:07d}"


@pytest.fixture(scope="module")
def lesions():
    """(images uint8 (84, 28, 28, 3), DataFrame of their metadata), under ids of other ISIC sets."""
    images, _, meta = draw_table(84, seed=11)
    meta = pd.DataFrame(meta)
    meta["image_id"] = [name_image(i) for i in range(len(images))]
    return images, meta


@pytest.fixture
def folder(lesions, tmp_path):
    """HAM10000 as it is handed out: photographs in two folders, and the metadata beside them."""
    images, meta = lesions
    for part, rows in (("part_1", range(40)), ("part_2", range(40, len(images)))):
        (tmp_path / part).mkdir()
        for row in rows:
            Image.fromarray(images[row]).save(tmp_path / part / f"{meta.image_id[row]}.png")
    # The rows are in an order of their own: neither that of the ids nor that of the classes.
    mixed = meta.sample(frac=1, random_state=3).reset_index(drop=True)
    mixed.to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path


def make(folder, *flags, labels="labels.csv", out="out/table.csv", photos="."):
    """Run the command on a folder; return the path of its table."""
    words = [str(folder / photos), "--labels", str(folder / labels), "--out", str(folder / out)]
    assert photographs.main([*words, *map(str, flags)]) == 0
    return folder / out


def expect(lesions, folder, keep=None):
    """(images, labels, metadata) that a table of the folder's label file must hold."""
    images, meta = lesions
    mixed = pd.read_csv(folder / "labels.csv", dtype=str)
    at = [meta.image_id.tolist().index(image) for image in mixed.image_id]
    at, mixed = np.array(at), mixed if keep is None else mixed[keep]
    at = at if keep is None else at[keep]
    return images[at], np.array([CLASSES.index(dx) for dx in mixed.dx]), mixed


def test_a_folder_of_ham10000s_form_gives_images_labels_and_lesions_in_its_order(lesions, folder):
    path = make(folder)
    table = group_lesions(read_table(path))
    images, labels, meta = expect(lesions, folder)
    np.testing.assert_array_equal(table.images, images)
    np.testing.assert_array_equal(table.labels, labels)
    written = pd.read_csv(path.with_name("HAM10000_metadata.csv"), dtype=str)
    pd.testing.assert_frame_equal(written, meta.reset_index(drop=True))
    assert table.lesions.tolist() == meta.lesion_id.tolist()
    assert table.is_phantom
    # The layout is Kaggle's to the letter.
    tables.write_table(folder / "kaggle.csv", [(images, labels)])
    assert path.read_bytes() == (folder / "kaggle.csv").read_bytes()
    assert {p.name for p in path.parent.iterdir()} == {
        "table.csv",
        "HAM10000_metadata.csv",
        claims.LIST,
        locks.LOCK,
        locks.WRITER,
    }


def test_scripts_split_such_a_table_by_lesion_without_flags(folder, tmp_path):
    run = runs.Run(eda.parse_args(["--data", str(make(folder)), "--outputs-dir", "o"]), "eda")
    assert run.inputs.split["protocol"].startswith("lesion split, row order")
    meta = pd.read_csv(folder / "labels.csv")
    assert run.inputs.table.lesions.tolist() == meta.lesion_id.tolist()
    parts = pd.Series(run.inputs.parts).groupby(meta.lesion_id)
    assert (parts.nunique() == 1).all()
    assert set(run.inputs.parts) == {"train", "val", "test"}


def test_jpegs_of_600_x_450_give_the_same_pictures_but_for_their_compression(lesions, folder):
    images, meta = lesions
    (folder / "jpeg").mkdir()
    for image, name in zip(images[:20], meta.image_id, strict=False):
        big = Image.fromarray(image).resize((600, 450), Image.Resampling.BICUBIC)
        big.save(folder / "jpeg" / f"{name}.JPG", quality=95)
    table = read_table(make(folder, photos="jpeg"))
    images, labels, _ = expect(
        lesions, folder, pd.read_csv(folder / "labels.csv").image_id < name_image(20)
    )
    np.testing.assert_array_equal(table.labels, labels)
    error = np.abs(table.images.astype(int) - images)
    assert error.mean() < 3
    others = np.abs(table.images.astype(int) - np.roll(images, 1, axis=0))
    assert error.mean() < others.mean() / 5


def write_isic_2019(lesions, folder, images=84):
    """The challenge's two files; the last three images are SCC, SCC and UNK."""
    meta = lesions[1][:images]
    names = [{"akiec": "AK"}.get(dx, dx.upper()) for dx in meta.dx]
    names[-3:] = ["SCC", "SCC", "UNK"]
    rows = {"image": meta.image_id}
    rows |= {n: [f"{float(n == name)}" for name in names] for n in ISIC_2019}
    pd.DataFrame(rows).to_csv(folder / "truth.csv", index=False)
    lesion = meta.lesion_id.where(meta.index % 10 != 0, "")
    about = {
        "image": meta.image_id,
        "age_approx": meta.age,
        "anatom_site_general": "anterior torso",
        "lesion_id": lesion,
        "sex": meta.sex,
    }
    pd.DataFrame(about)[::-1].to_csv(folder / "about.csv", index=False)


def test_isic_2019_with_its_metadata_leaves_other_diagnoses_out_or_takes_them_in(
    lesions, folder, capsys
):
    write_isic_2019(lesions, folder)
    flags = ["--metadata", folder / "about.csv"]
    table = group_lesions(read_table(make(folder, *flags, labels="truth.csv")))
    said = capsys.readouterr().out
    assert "3 images of other diagnoses are left out: 2 SCC, 1 UNK" in said
    assert "3 photographs are not in" not in said
    images, meta = lesions
    np.testing.assert_array_equal(table.images, images[:-3])
    assert [CLASSES[code] for code in table.labels] == meta.dx.tolist()[:-3]
    assert set(table.metadata.localization) == {"anterior torso"}
    alone = [name.startswith("only_") for name in table.lesions]
    assert alone == [i % 10 == 0 for i in range(81)]
    assert "9 of 81 images have no lesion id" in said
    flags += ["--map", "SCC=akiec"]
    table = read_table(make(folder, *flags, labels="truth.csv", out="more/table.csv"))
    assert len(table) == 83
    assert [CLASSES[code] for code in table.labels[-2:]] == ["akiec", "akiec"]
    assert "1 images of other diagnoses are left out: 1 UNK" in capsys.readouterr().out


def test_missing_unlisted_and_doubled_photographs_are_named(lesions, folder, capsys):
    (folder / "part_1" / f"{name_image(3)}.png").unlink()
    (folder / "part_1" / "holiday.jpg").write_bytes(b"not listed, so not read")
    Image.new("RGB", (28, 28)).save(folder / "part_2" / f"{name_image(5)}.jpeg")
    table = read_table(make(folder))
    said = capsys.readouterr().out
    assert f"1 of 84 images have no file: {name_image(3)}\n" in said
    assert "1 photographs are not in" in said
    assert "holiday" in said
    doubled, gone = name_image(5), name_image(3)
    first, second = folder / f"part_1/{doubled}.png", folder / f"part_2/{doubled}.jpeg"
    assert f"more than one file: {doubled} ({first} is read, not {second})\n" in said
    keep = pd.read_csv(folder / "labels.csv").image_id != gone
    images, _, _ = expect(lesions, folder, keep)
    np.testing.assert_array_equal(table.images, images)


def test_unreadable_photographs_are_named_and_left_out(lesions, folder, capsys):
    for number in (3, 50):
        path = next(folder.glob(f"part_?/{name_image(number)}.png"))
        path.write_bytes(path.read_bytes()[:-900])
    path = make(folder)
    said = capsys.readouterr().out
    assert "2 of 84 photographs cannot be read and are left out" in said
    assert f"{name_image(3)}.png: a damaged picture" in said
    keep = ~pd.read_csv(folder / "labels.csv").image_id.isin([name_image(3), name_image(50)])
    images, labels, meta = expect(lesions, folder, keep)
    table = read_table(path)
    np.testing.assert_array_equal(table.images, images)
    np.testing.assert_array_equal(table.labels, labels)
    written = pd.read_csv(path.with_name("HAM10000_metadata.csv"))
    assert written.image_id.tolist() == meta.image_id.tolist()
    for photo in folder.glob("part_?/*.png"):
        photo.write_bytes(b"")
    with pytest.raises(InputError, match=r"none of 84 photographs can be read; .* empty"):
        make(folder)


def stop_after(monkeypatch, photos):
    """Interrupt the command once it has read this many photographs; return the list of them."""
    monkeypatch.setattr(photograph_reading, "CHUNK", 10)
    real, read = photograph_reading.read_record, []

    def count(path, *rest):
        if len(read) == photos:
            raise KeyboardInterrupt
        read.append(path)
        return real(path, *rest)

    monkeypatch.setattr(photograph_reading, "read_record", count)
    monkeypatch.setattr(photographs.machine, "count_processors", lambda: 1)
    return read


def test_an_interrupted_run_goes_on_and_gives_the_same_bytes(folder, monkeypatch, capsys):
    (folder / "part_2" / f"{name_image(60)}.png").write_bytes(b"")
    whole = make(folder, out="whole/table.csv")
    with monkeypatch.context() as patch:
        read = stop_after(patch, 47)
        with pytest.raises(KeyboardInterrupt):
            make(folder)
    left = {p.name for p in (folder / "out").iterdir()} - {claims.LIST, locks.LOCK, locks.WRITER}
    assert left == {".table.csv.unfinished"}
    # What a kill left of the last record is no whole one.
    with open(folder / "out" / ".table.csv.unfinished", "ab") as f:
        f.write(b"\0" * 100)
    capsys.readouterr()
    with monkeypatch.context() as patch:
        again = stop_after(patch, None)
        path = make(folder)
    assert "40 of 84 photographs were read before" in capsys.readouterr().out
    assert len(again) == 44
    assert set(again) | set(read[:40]) == set(folder.glob("part_?/*.png"))
    assert path.read_bytes() == whole.read_bytes()
    meta = [p.with_name("HAM10000_metadata.csv").read_bytes() for p in (path, whole)]
    assert meta[0] == meta[1]
    assert {p.name for p in path.parent.iterdir()} == {p.name for p in whole.parent.iterdir()}
    assert claims.read_claims(path.parent) == {"table.csv", "HAM10000_metadata.csv"}


def test_what_was_read_under_other_options_or_of_other_files_is_read_anew(
    folder, monkeypatch, capsys
):
    for change in ("crop", "file"):
        with monkeypatch.context() as patch:
            stop_after(patch, 47)
            with pytest.raises(KeyboardInterrupt):
                make(folder)
        if change == "file":
            os.utime(folder / "part_1" / f"{name_image(1)}.png", (1, 1))
        with monkeypatch.context() as patch:
            read = stop_after(patch, None)
            make(folder, *(["--crop", "centre"] if change == "crop" else []))
        assert len(read) == 84
        assert "all are read anew" in capsys.readouterr().out


def test_ham10000s_own_photographs_are_counted_and_left_out_of_an_external_table(
    lesions, folder, capsys, tmp_path, monkeypatch
):
    images, meta = lesions
    meta = meta.copy()
    # Ten photographs bear ids of HAM10000, the first and the last among them.
    own = [*range(FIRST, FIRST + 9), 34320]
    names = [f"ISIC_{n:07d}" for n in own] + meta.image_id.tolist()[10:]
    for old, new in zip(meta.image_id, names, strict=True):
        path = next(folder.glob(f"part_?/{old}.png"))
        path.rename(path.with_name(f"{new}.png"))
    meta["image_id"] = names
    meta.to_csv(folder / "labels.csv", index=False)
    assert len(read_table(make(folder))) == 84
    assert "10 of 84 photographs are HAM10000's by their ids (--ext" in capsys.readouterr().out

    monkeypatch.setattr(photographs.inputs, "ROOT", tmp_path / "nowhere")
    table = read_table(make(folder, "--external", out="ids/table.csv"))
    said = capsys.readouterr().out
    assert "10 of 84 photographs are HAM10000's by their ids: left out" in said
    assert "only ids are compared" in said
    np.testing.assert_array_equal(table.images, images[10:])

    # Of the rest, three are in the known table, one of them turned, one under another light.
    known = images[[20, 30, 40]].copy()
    known[1] = np.rot90(known[1])
    known[2] = np.clip(known[2].astype(int) + 2, 0, 255).astype(np.uint8)
    strange = draw_table(84, seed=12)[0][:20]
    tables.write_table(tmp_path / "known.csv", [(np.concatenate([known, strange]), [0] * 23)])
    flags = ["--external", "--data", tmp_path / "known.csv"]
    table = group_lesions(read_table(make(folder, *flags, out="pixels/table.csv")))
    said = capsys.readouterr().out
    assert "only ids are compared" not in said
    assert "3 of 74 other photographs show what an image of" in said
    rest = [i for i in range(10, 84) if i not in (20, 30, 40)]
    np.testing.assert_array_equal(table.images, images[rest])
    assert table.metadata.image_id.tolist() == [names[i] for i in rest]


def test_a_table_of_8_x_8_has_kaggles_layout_too(folder, lesions):
    table = group_lesions(read_table(make(folder, "--size", "8")))
    assert table.layout == "hmnist_8_8_RGB"
    images, labels, _ = expect(lesions, folder)
    np.testing.assert_array_equal(table.labels, labels)
    means = images[:, :28].astype(float).mean(axis=(1, 2))
    assert np.abs(table.images.astype(float).mean(axis=(1, 2)) - means).max() < 3


def test_files_of_somebody_else_and_of_another_table_are_not_replaced(folder, lesions):
    mine = {"a/table.csv": "mine", "b/HAM10000_metadata.csv": "mine", "c/hmnist_28_28_L.csv": "x"}
    for name, text in mine.items():
        (folder / name).parent.mkdir()
        (folder / name).write_text(text)
    for place, words in (
        ("a", "not written by a run"),
        ("b", "not written by a run"),
        ("c", "one"),
    ):
        with pytest.raises(InputError, match=words):
            make(folder, out=f"{place}/table.csv")
    assert {name: (folder / name).read_text() for name in mine} == mine
    first = make(folder).read_bytes()
    with pytest.raises(InputError, match=r"holds table.csv, and HAM10000_metadata.csv is of one"):
        make(folder, out="out/second.csv")
    # Its own table is made anew.
    assert make(folder).read_bytes() == first


@pytest.mark.parametrize(
    ("flags", "out", "words"),
    [
        ([], "table.csv.gz", "ends in .csv"),
        ([], "HAM10000_metadata.csv", "ends in .csv, other than"),
        ([], "part_1", "ends in .csv"),
        ([], "labels.csv", "would be replaced by the output"),
        (["--map", "scc=akiec"], "o/table.csv", "--map names 'scc', and no image"),
        (["--metadata", "gone.csv"], "o/table.csv", "gone.csv: no such file"),
        (["--external", "--data", "gone.csv"], "o/table.csv", "gone.csv: no such file"),
    ],
)
def test_bad_input_is_named_before_anything_is_written(folder, flags, out, words):
    before = sorted(folder.rglob("*"))
    with pytest.raises(InputError, match=words) as caught:
        make(folder, *flags, out=out)
    assert len(str(caught.value).splitlines()) == 1
    assert sorted(folder.rglob("*")) == before


def test_no_photograph_of_the_label_file_is_an_error(folder):
    (folder / "other").mkdir()
    Image.new("RGB", (28, 28)).save(folder / "other" / "holiday.png")
    with pytest.raises(InputError, match="none of its 84 images is among the 1 photographs"):
        make(folder, photos="other")
    (folder / "none.csv").write_text("image,dx\nholiday,wart\n")
    with pytest.raises(InputError, match="no image is of the seven classes"):
        make(folder, labels="none.csv", photos="other")
    (folder / "ham.csv").write_text("image,dx\nISIC_0024306,nv\n")
    with pytest.raises(InputError, match="all its images are HAM10000's"):
        make(folder, "--external", labels="ham.csv", photos="other")


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--size", "64"], "--size"),
        (["--map", "SCC"], "not NAME=CLASS"),
        (["--map", "SCC=scc"], "one of akiec, bcc"),
        (["--data", "x.csv"], "add --external"),
        (["--external", "--size", "8"], "drop --size"),
        (["--crop", "left"], "--crop"),
    ],
)
def test_flags_that_contradict_are_named(flags, word, capsys):
    with pytest.raises(SystemExit) as e:
        photographs.parse_args(["d", "--labels", "l.csv", "--out", "t.csv", *flags])
    assert e.value.code == 2
    assert word in capsys.readouterr().err


def test_a_fault_is_one_line_and_exit_code_2(folder):
    command = [sys.executable, "-m", "lesiongan.photographs", "gone", "--labels"]
    command += [str(folder / "labels.csv"), "--out", str(folder / "o" / "t.csv")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.strip().splitlines()) == 1
    assert "gone: no such file or folder" in done.stderr
    assert not (folder / "o").exists()
