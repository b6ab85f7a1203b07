"""YAML (and so JSON) that says everything once, and in full."""

from pathlib import Path
from typing import Any

import yaml

from service.domain.errors import InvalidConfiguration


def parsed(text: bytes, file: Path) -> Any:
    """Raises `InvalidConfiguration` that names the file and the line. The text's length is the caller's to bound."""
    try:
        decoded = text.decode("utf-8")
        # An alias repeats a part of the document; nine lines of them repeat it a thousand million times.
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(decoded)):
            raise InvalidConfiguration(f"{file} has an alias: write out what it stands for")
        return yaml.load(decoded, _OnceLoader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, RecursionError, ValueError, AttributeError, LookupError) as error:
        # The last two: a tag, such as !!bool, on what is none.
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f", line {mark.line + 1}"
        raise InvalidConfiguration(f"{file}{where}: this is not YAML, or says something twice") from None


class _OnceLoader(yaml.SafeLoader):
    """Refuses a member that is there twice: the second one would quietly win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping = super().construct_mapping(node, deep)
        if len(mapping) != len(node.value):
            raise yaml.constructor.ConstructorError(None, None, "a member twice", node.start_mark)
        return mapping
