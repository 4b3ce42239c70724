"""The Croissant description of a synthetic set: files, records and split, for programs to read.

Croissant 1.1 (https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html) with the
vocabulary for responsible AI, RAI 1.0 (croissant-rai-spec.html beside it), and PROV-O for what the
set was made from.
"""

from lesiongan.data.classes import TABLE_NAME

CONFORMS_TO = ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"]
# The context that the specification gives, with the prefix of PROV-O.
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
FORMATS = {
    ".csv": "text/csv",
    ".png": "image/png",
    ".json": "application/json",
    ".npz": "application/zip",
    ".onnx": "application/octet-stream",
}
PICTURES = "pictures"
"""The id of the set of PNG files."""


def describe(facts):
    """Return the content of croissant.json for the facts of data_card.write."""
    texts, software = facts["texts"], facts["software"]
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": texts["name"],
        "description": texts["description"],
        "license": facts["licence"]["url"],
        # It is relative to this file, so it is right wherever the folder is published.
        "url": "DATASHEET.md",
        "creator": {"@type": "sc:Organization", "name": software["authors"]},
        "version": software["version"],
        "datePublished": software["released"],
        "citeAs": facts["citation"],
        "inLanguage": "en",
        "isLiveDataset": False,
        "keywords": find_keywords(facts),
        **describe_responsibly(texts),
        **describe_provenance(facts),
        "distribution": describe_files(facts),
        "recordSet": describe_records(facts),
    }


def find_keywords(facts):
    """Return words that a set is to be found by."""
    words = ["synthetic images", "GAN", "skin lesion", "dermatoscopy", "image classification"]
    return words + {"phantom": ["phantom"], "ham10000": ["HAM10000"], "own": []}[facts["kind"]]


def describe_responsibly(texts):
    """Return the properties of RAI 1.0."""
    return {
        "rai:dataCollection": texts["collection"],
        "rai:dataCollectionType": ["Software Collection"],
        "rai:dataCollectionRawData": texts["raw_data"],
        "rai:dataCollectionMissingData": texts["missing"],
        "rai:dataPreprocessingProtocol": texts["preprocessing"],
        "rai:dataManipulationProtocol": texts["manipulation"],
        "rai:dataAnnotationProtocol": texts["annotation"],
        "rai:annotationsPerItem": "0 by people; 1 by the generator",
        "rai:dataBiases": texts["biases"],
        "rai:dataLimitations": texts["limitations"],
        "rai:dataUseCases": texts["use_cases"],
        "rai:dataSocialImpact": texts["social_impact"],
        "rai:personalSensitiveInformation": texts["personal"],
        "rai:dataReleaseMaintenancePlan": texts["maintenance"],
        "rai:hasSyntheticData": True,
    }


def describe_provenance(facts):
    """Return what the set was made from and by what, in PROV-O."""
    data, texts, software = facts["data"], facts["texts"], facts["software"]
    source = {
        "@type": "prov:Entity",
        "prov:label": f"{data['name']}, {data['rows']} images",
        "sha256": data["sha256"],
    }
    if facts["kind"] == "ham10000":
        source |= {"@id": "https://doi.org/10.1038/sdata.2018.161"}
    agent = {
        "@type": "prov:SoftwareAgent",
        "prov:label": f"{software['title']}, version {software['version']}",
    }
    activities = (
        ("training", texts["training_activity"]),
        ("drawing", texts["drawing_activity"]),
    )
    return {
        "prov:wasDerivedFrom": [source],
        "prov:wasGeneratedBy": [
            {
                "@type": "prov:Activity",
                "prov:label": label,
                "description": text,
                "prov:wasAssociatedWith": agent,
            }
            for label, text in activities
        ],
    }


def describe_files(facts):
    """Return the files of a set with their checksums, and the set of its pictures."""
    files = [
        {
            "@type": "cr:FileObject",
            "@id": file["name"],
            "name": file["name"],
            "description": file["what"],
            "contentUrl": file["name"],
            "contentSize": f"{file['bytes']} B",
            "encodingFormat": FORMATS["." + file["name"].rpartition(".")[2]],
            "sha256": file["sha256"],
        }
        for file in facts["files"]
    ]
    if facts["pictures"]:
        files.append(
            {
                "@type": "cr:FileSet",
                "@id": PICTURES,
                "name": PICTURES,
                "description": "The rows of the table as pictures, in a folder for each class; "
                "the number in a name is the row, from 0.",
                "encodingFormat": "image/png",
                "includes": "images/*/*.png",
            }
        )
    return files


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
