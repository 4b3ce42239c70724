"""Label files of photographs are read by meaning, whatever set they come from."""

import numpy as np
import pytest

from lesiongan.data import photograph_labels
from lesiongan.data.classes import CLASSES
from lesiongan.data.photograph_labels import add_metadata, describe, is_ham10000, read_labels
from lesiongan.files.errors import InputError

HAM10000 = """lesion_id,image_id,dx,dx_type,age,sex,localization
HAM_0000118,ISIC_0027419,bkl,histo,80.0,male,scalp
HAM_0000118,ISIC_0025030,bkl,histo,80.0,male,scalp
HAM_0002730,ISIC_0026769,mel,follow_up,,unknown,"head, neck"
"""
ISIC_2018 = """image,MEL,NV,BCC,AKIEC,BKL,DF,VASC
ISIC_0024306,0.0,1.0,0.0,0.0,0.0,0.0,0.0
ISIC_0024310,1.0,0.0,0.0,0.0,0.0,0.0,0.0
ISIC_0024313,0.0,0.0,0.0,1.0,0.0,0.0,0.0
ISIC_0024318,0.0,0.0,0.0,0.0,0.0,1.0,0.0
ISIC_0024324,0.0,0.0,0.0,0.0,1.0,0.0,0.0
ISIC_0024331,0.0,0.0,1.0,0.0,0.0,0.0,0.0
ISIC_0024370,0.0,0.0,0.0,0.0,0.0,0.0,1.0
"""
ISIC_2019 = """image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK
ISIC_0000000,0.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0
ISIC_0000002_downsampled,0,0,0,1,0,0,0,0,0
ISIC_0024329,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,0.0
ISIC_0073254,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0
ISIC_0000004,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0
"""
METADATA_2019 = """image,age_approx,anatom_site_general,lesion_id,sex
ISIC_0000004,80.0,upper extremity,MSK4_0010853,male
ISIC_0000000,55.0,anterior torso,,female
ISIC_0000002_downsampled,30.0,,MSK4_0011169,
"""
ARCHIVE = """isic_id,attribution,age_approx,anatom_site_general,diagnosis_1,diagnosis_2,\
diagnosis_3,diagnosis_confirm_type,lesion_id,sex
ISIC_0053453,Anonymous,45,head/neck,Benign,Benign epidermal proliferations,Solar lentigo,\
histopathology,IL_1,male
ISIC_0053454,Anonymous,,,Benign,Benign soft tissue proliferations - Vascular,,,IL_2,
ISIC_0053455,Anonymous,60,,Malignant,Malignant melanocytic proliferations (Melanoma),\
Melanoma in situ,,IL_3,female
ISIC_0053456,Anonymous,60,,Indeterminate,,,,IL_4,female
"""


def names(labels):
    """The class of each image, '-' for none."""
    return [CLASSES[code] if code >= 0 else "-" for code in labels.codes]


@pytest.fixture
def write(tmp_path):
    def write(text, name="labels.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_ham10000s_own_metadata(write):
    labels = read_labels(write(HAM10000))
    assert labels.ids == ["ISIC_0027419", "ISIC_0025030", "ISIC_0026769"]
    assert names(labels) == ["bkl", "bkl", "mel"]
    assert labels.about["lesion_id"] == ["HAM_0000118", "HAM_0000118", "HAM_0002730"]
    assert labels.about["localization"][2] == "head, neck"
    notes = []
    tabs = write(HAM10000.replace(",", "\t").replace('"head\t neck"', "neck"), "labels.tab")
    again = read_labels(tabs, notes=notes)
    assert (again.ids, names(again)) == (labels.ids, names(labels))
    assert notes == ["labels.tab is separated by tabs"]


def test_the_columns_of_isic_2018_are_classes(write):
    assert names(read_labels(write(ISIC_2018))) == [
        "nv",
        "mel",
        "akiec",
        "df",
        "bkl",
        "bcc",
        "vasc",
    ]


def test_isic_2019_has_classes_of_its_own_and_metadata_by_id(write):
    labels = read_labels(write(ISIC_2019))
    assert names(labels) == ["nv", "akiec", "-", "-", "mel"]
    assert labels.diagnoses == ["NV", "AK", "SCC", "UNK", "MEL"]
    notes = []
    add_metadata(labels, write(METADATA_2019, "metadata.csv"), notes)
    assert labels.about["lesion_id"] == ["", "MSK4_0011169", "", "", "MSK4_0010853"]
    assert labels.about["age"] == ["55.0", "30.0", "", "", "80.0"]
    assert labels.about["localization"] == ["anterior torso", "", "", "", "upper extremity"]
    assert len(notes) == 1
    assert notes[0].startswith("2 of 5 images are not in")


def test_a_mapping_takes_other_diagnoses_in_and_overrules_known_ones(write):
    akiec, nv = CLASSES.index("akiec"), CLASSES.index("nv")
    labels = read_labels(write(ISIC_2019), {"scc": akiec, "ak": nv})
    assert names(labels) == ["nv", "nv", "akiec", "-", "mel"]
    with pytest.raises(InputError, match=r"--map names 'sccc', and no image"):
        read_labels(write(ISIC_2019), {"sccc": akiec})


def test_the_archive_names_diagnoses_in_words_the_finest_that_is_known(write):
    labels = read_labels(write(ARCHIVE))
    assert names(labels) == ["bkl", "vasc", "mel", "-"]
    assert labels.diagnoses[3] == ""
    assert labels.about["dx_type"] == ["histopathology", "", "", ""]
    assert labels.about["localization"][0] == "head/neck"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("melanoma", "Melanoma, NOS", "MEL", "malignant_melanoma", "Melanoma in situ"), "mel"),
        (("nevus", "Melanocytic nevus", "naevus", "NV", "melanocytic_naevus"), "nv"),
        (("basal cell carcinoma", "Basal_Cell_Carcinoma", "bcc"), "bcc"),
        (("actinic keratosis", "Bowen's disease", "Bowen’s disease", "AK", "akiec"), "akiec"),
        (("actinic keratosis / intraepithelial carcinoma", "Solar or actinic keratosis"), "akiec"),
        (("seborrheic keratosis", "solar-lentigo", "lichen planus-like keratosis"), "bkl"),
        (("pigmented benign keratosis", "benign keratosis-like lesion", "BKL"), "bkl"),
        (("dermatofibroma", "DF "), "df"),
        (("vascular lesion", "hemangioma", "angiokeratoma", "pyogenic granuloma"), "vasc"),
        (("squamous cell carcinoma", "melanoma metastasis", "lentigo NOS", "unknown", ""), "-"),
    ],
)
def test_diagnoses_in_any_writing(write, words, expected):
    rows = "".join(f'i{i},"{word}"\n' for i, word in enumerate(words))
    for column in ("diagnosis", "dx", "DX"):
        labels = read_labels(write(f"image_id,{column}\n{rows}"))
        assert names(labels) == [expected] * len(words)


def test_image_ids_may_be_file_names(write):
    rows = "part_1/ISIC_0027419.jpg,nv\nc:\\photos\\isic_0025030.JPEG,mel\nDr. Who 2.5 mm,bcc\n"
    labels = read_labels(write("image,dx\n" + rows))
    assert labels.ids == ["ISIC_0027419", "ISIC_0025030", "Dr. Who 2.5 mm"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ISIC_2018.replace("0.0,1.0,0.0", "1.0,1.0,0.0", 1), "line 2: .* sum to 2"),
        (ISIC_2018.replace("0.0,1.0,0.0", "0.0,0.0,0.0", 1), "line 2: .* sum to 0"),
        (ISIC_2018.replace("ISIC_0024310,1.0", "ISIC_0024310,0.9"), "line 3, column MEL is '0.9'"),
        (ISIC_2018.replace("ISIC_0024310,1.0", "ISIC_0024310,yes"), "line 3, column MEL is 'yes'"),
        (ISIC_2018.replace("ISIC_0024310,1.0", "ISIC_0024310,"), "line 3, column MEL is ''"),
        (ISIC_2018.replace("ISIC_0024310", "isic_0024306.jpg"), "line 3: ISIC_0024306 is listed"),
        (ISIC_2018.replace("ISIC_0024310", ""), "line 3, column image is empty"),
        (ISIC_2018.replace("image", "picture"), "no column of image ids"),
        ("image,score\na,1\n", "no column of diagnoses; expected image"),
        ("image,dx,DX\na,nv,nv\n", "two columns 'dx'"),
        ("image,dx,dx\na,mel,nv\n", "two columns 'dx'"),
        ("image,MEL,NV,MEL\na,1,0,0\n", "two columns 'mel'"),
        ("image,dx\n", "lists no image"),
        ("", "not a readable CSV"),
    ],
)
def test_faults_name_file_and_line(write, text, words):
    path = write(text)
    with pytest.raises(InputError, match=words) as caught:
        read_labels(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value).splitlines()) == 1


def test_metadata_of_other_images_and_missing_files_are_refused(write, tmp_path):
    labels = read_labels(write(ISIC_2018))
    with pytest.raises(InputError, match="names none of the 7 images"):
        add_metadata(labels, write(METADATA_2019, "metadata.csv"), [])
    with pytest.raises(InputError, match=r"gone.csv: no such file"):
        read_labels(tmp_path / "gone.csv")


def test_described_rows_are_ham10000s_metadata(write):
    labels = read_labels(write(ISIC_2019))
    add_metadata(labels, write(METADATA_2019, "metadata.csv"), [])
    notes = []
    meta = describe(labels, np.array([4, 0, 1]), notes)
    assert meta == {
        "lesion_id": ["MSK4_0010853", "only_ISIC_0000000", "MSK4_0011169"],
        "image_id": ["ISIC_0000004", "ISIC_0000000", "ISIC_0000002_downsampled"],
        "dx": ["mel", "nv", "akiec"],
        "dx_type": ["unknown"] * 3,
        "age": ["80.0", "55.0", "30.0"],
        "sex": ["male", "female", "unknown"],
        "localization": ["upper extremity", "anterior torso", "unknown"],
    }
    assert notes == [
        "1 of 3 images have no lesion id: each counts as a lesion of its own, unless it is nearly "
        "the same as another"
    ]
    assert list(meta) == HAM10000.splitlines()[0].split(",")


def test_a_lesion_without_an_id_is_never_taken_for_another(write):
    rows = "a,nv,\nb,nv,only_a\nc,nv,\nd,nv,only_c\ne,nv,only_c_\n"
    labels = read_labels(write("image,dx,lesion_id\n" + rows))
    lesions = describe(labels, np.arange(5), [])["lesion_id"]
    assert len(set(lesions)) == 5
    assert lesions[1::2] == ["only_a", "only_c"]


def test_ids_that_the_scripts_refuse_are_rewritten_unless_two_become_one(write):
    labels = read_labels(write("image,dx,lesion_id\nmy photo 1,nv,left/arm\nb,mel,leg\n"))
    meta = describe(labels, np.arange(2), [])
    assert meta["image_id"] == ["my_photo_1", "b"]
    assert meta["lesion_id"] == ["left_arm", "leg"]
    labels = read_labels(write("image,dx,lesion_id\na,nv,left/arm\nb,mel,left arm\n"))
    with pytest.raises(InputError, match="would both be written as 'left_arm'"):
        describe(labels, np.arange(2), [])


def test_ham10000s_ids_are_a_range_of_as_many_numbers_as_it_has_images():
    inside = photograph_labels.LAST_HAM10000 - photograph_labels.FIRST_HAM10000 + 1
    assert inside == 10015
    assert is_ham10000("ISIC_0024306")
    assert is_ham10000("ISIC_0034320")
    others = ("ISIC_0024305", "ISIC_0034321", "ISIC_24306", "PHANTOM_0024306", "ISIC_0024306_x")
    assert not any(map(is_ham10000, others))


def test_a_lesion_id_of_the_label_file_stays_whatever_the_second_file_says(write):
    labels = read_labels(write("image,dx,lesion_id\na,nv,L1\nb,mel,\nc,nv,L3\n"))
    second = write("image,lesion_id,sex\na,M1,male\nb,M2,female\n", "second.csv")
    add_metadata(labels, second, [])
    assert labels.about["lesion_id"] == ["L1", "M2", "L3"]
    assert labels.about["sex"] == ["male", "female", ""]


@pytest.mark.parametrize("word", ["NA", "n/a", "<NA>", "NaN", "null"])
def test_what_tools_write_for_nothing_is_nothing(write, word):
    labels = read_labels(write(f"image,dx,lesion_id,sex\na,nv,{word},{word}\nb,mel,L2,male\n"))
    assert labels.about["lesion_id"] == ["", "L2"]
    assert labels.about["sex"] == ["", "male"]
