"""The Croissant description of a synthetic set, for programs to read.

Croissant 1.1 (https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html) with the
vocabulary for responsible AI, RAI 1.0 (croissant-rai-spec.html beside it), and PROV-O for what the
set was made from.
"""

from lesiongan.nets.croissant_records import PICTURES, describe_records

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
