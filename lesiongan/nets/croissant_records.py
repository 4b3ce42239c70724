"""The record sets of a synthetic set's Croissant description: classes, split, rows and pictures."""

from lesiongan.data.classes import TABLE_NAME

PICTURES = "pictures"
"""The id of the set of PNG files."""


def describe_records(facts):
    """Return the record sets: classes, split, the rows of the table, and the pictures."""
    sets = [describe_classes(facts["classes"]), describe_split(), describe_rows()]
    return sets + [describe_pictures()] * facts["pictures"]


def field(name, kind, description, **other):
    """Return one field of a record set."""
    return {
        "@type": "cr:Field",
        "@id": name,
        "name": name.rpartition("/")[2],
        "description": description,
        "dataType": kind,
        **other,
    }


def record_set(name, description, fields, **other):
    """Return one record set."""
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": description,
        **other,
        "field": fields,
    }


def describe_classes(rows):
    """Return the record set of the seven classes with their codes."""
    data = [
        {
            "classes/code": code,
            "classes/name": row["name"],
            "classes/diagnosis": row["diagnosis"],
            "classes/malignant": row["malignant"],
            "classes/images": row["images"],
        }
        for code, row in enumerate(rows)
    ]
    fields = [
        field("classes/code", "sc:Integer", "What stands for the class in the table."),
        field("classes/name", "sc:Text", "The name of the class, and of its folder."),
        field("classes/diagnosis", "sc:Text", "The diagnosis."),
        field("classes/malignant", "sc:Boolean", "Whether it is malignant or pre-malignant."),
        field("classes/images", "sc:Integer", "How many pictures of the class are in the set."),
    ]
    return record_set(
        "classes",
        "The seven classes.",
        fields,
        dataType="sc:Enumeration",
        key={"@id": "classes/code"},
        data=data,
    )


def describe_split():
    """Return the record set of splits: all pictures are for training."""
    fields = [
        field("split/name", "sc:Text", "The name of the split."),
        field("split/url", "sc:URL", "What kind of split it is."),
    ]
    return record_set(
        "split",
        "All pictures are for training. There is no val and no test part.",
        fields,
        dataType="cr:Split",
        key={"@id": "split/name"},
        data=[{"split/name": "train", "split/url": "cr:TrainingSplit"}],
    )


def split_field(name):
    """Return the field that says which split a record is in."""
    named = {"field": {"@id": "split/name"}}
    return field(name, "sc:Text", "The split: train.", value="train", references=named)


def describe_rows():
    """Return the record set of the table's rows. Its 2352 columns of pixels are no fields."""

    def source(extract):
        return {"fileObject": {"@id": TABLE_NAME}, "extract": extract}

    fields = [
        field(
            "rows/row",
            "sc:Integer",
            "The number of the row, from 0.",
            source=source({"fileProperty": "lineNumbers"}),
        ),
        field(
            "rows/label",
            ["sc:Integer", "cr:Label"],
            "The code of the class.",
            source=source({"column": "label"}),
            references={"field": {"@id": "classes/code"}},
        ),
        split_field("rows/split"),
    ]
    text = (
        "The rows of the table. Its columns pixel0000 to pixel2351 hold the pixels: row by row, "
        "red, green and blue of each, 0 to 255. pandas reads them faster than 2352 fields could."
    )
    return record_set("rows", text, fields)


def describe_pictures():
    """Return the record set of the PNG files with the classes of their folders."""

    def source(extract, **transform):
        return {"fileSet": {"@id": PICTURES}, "extract": extract, **transform}

    def part_of_path(regex):
        return source({"fileProperty": "fullpath"}, transform={"regex": regex})

    fields = [
        field("images/path", "sc:Text", "The file.", source=source({"fileProperty": "fullpath"})),
        field(
            "images/row",
            "sc:Integer",
            "The row of the table with the same pixels, from 0.",
            source=part_of_path(r".*/(\d+)\.png$"),
        ),
        field(
            "images/class",
            ["sc:Text", "cr:Label"],
            "The name of the class.",
            source=part_of_path(r"images/([a-z]+)/"),
        ),
        field(
            "images/image",
            "sc:ImageObject",
            "The picture, 28 x 28 pixels.",
            source=source({"fileProperty": "content"}),
        ),
        split_field("images/split"),
    ]
    return record_set("images", "The pictures, one a row of the table.", fields)
