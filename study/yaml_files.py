"""Reading the study's YAML: one line about what is wrong, and no entry lost without a word."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from lesiongan.files import records
from lesiongan.files.errors import InputError


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which refuses an entry that is named twice instead of losing one."""


def build_mapping(loader: Loader, node: yaml.MappingNode) -> dict:
    """Return a mapping; raise YAMLError if it names an entry twice."""
    names = [
        loader.construct_object(k) for k, _ in node.value if k.tag != "tag:yaml.org,2002:merge"
    ]
    for name in names:
        if isinstance(name, Hashable) and names.count(name) > 1:
            raise yaml.YAMLError(f"{name} is named twice, line {node.start_mark.line + 1}")
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, build_mapping)


def read_yaml(path: Path, what: str, example: str, shape: dict, optional: dict) -> dict[str, Any]:
    """Return the content of a YAML file that has this shape (records.find_fault), or InputError.

    what: how the file is called; example: a file of its kind; optional: the shapes of entries that
    need not be there.
    """
    try:
        # The loader is safe: it makes plain values alone.
        values = yaml.load(path.read_text(), Loader)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as e:
        words = (str(e).splitlines() or ["damaged"])[0]
        raise InputError(f"{path}: is no readable {what} ({words})") from None
    if fault := records.find_fault(values, shape, ""):
        raise InputError(f"{path}: {fault}; see {example}")
    if unknown := set(values) - set(shape) - set(optional):
        raise InputError(f"{path}: has an unknown entry {min(map(str, unknown))}")
    given = {k: v for k, v in optional.items() if k in values}
    if fault := records.find_fault(values, given, ""):
        raise InputError(f"{path}: {fault}; see {example}")
    return values
