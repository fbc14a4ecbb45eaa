"""Text to plain data: YAML without its dangers, and ``section.key=value`` overrides.

What is read is JSON in YAML's clothes: mappings with text keys, lists, texts, numbers, true, false and
null. Numbers and booleans are those of YAML 1.2's core schema, so that ``1e-3`` is a number and ``no``
a text. Tags are refused, and so is a file that would grow beyond `MAX_NODES` values once its aliases
are written out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import yaml

from root.errors import InputError, nearest
from root.files import read_regular

__all__ = ["MAX_NODES", "assign", "dump_yaml", "parse", "read", "with_overrides"]

MAX_BYTES = 1_000_000
MAX_NODES = 10_000
MAX_DEPTH = 32

ALLOWED = "a YAML text of keys and values"


class _RefusedError(yaml.YAMLError):
    """What YAML would allow and this project does not."""


@final
class _Loader(yaml.SafeLoader):
    """A safe loader that also refuses tags, repeated keys and explosions, while it composes."""

    def __init__(self, text: str, most: int) -> None:
        super().__init__(text)
        self.nodes, self.depth, self.most = 0, 0, most
        self.sizes: dict[str, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if self.check_event(yaml.AliasEvent):
            if event.anchor in self.anchors and event.anchor not in self.sizes:
                raise _RefusedError(f"the alias *{event.anchor} stands inside what it names")
            self._grow(self.sizes.get(event.anchor, 0))
            return super().compose_node(parent, index)
        if event.tag is not None:
            raise _RefusedError(f"the tag {event.tag!r} at line {event.start_mark.line + 1}")
        before = self.nodes
        self._grow(1)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _RefusedError(f"more than {MAX_DEPTH} levels")
        node = super().compose_node(parent, index)
        self.depth -= 1
        if event.anchor is not None:
            self.sizes[event.anchor] = self.nodes - before
        return node

    def _grow(self, count: int) -> None:
        self.nodes += count
        if self.nodes > self.most:
            raise _RefusedError(f"more than {self.most} values, aliases written out")

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                given = key.value if isinstance(key, yaml.ScalarNode) else "a list or mapping"
                raise _RefusedError(f"the key {given!r} at line {key.start_mark.line + 1} is not a text")
            if key.value in seen:
                raise _RefusedError(f"the key {key.value!r} stands twice (line {key.start_mark.line + 1})")
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def _float(loader: _Loader, node: yaml.ScalarNode) -> float:
    return float(node.value.replace(".inf", "inf").replace(".nan", "nan").replace(".NaN", "nan"))


def _int(loader: _Loader, node: yaml.ScalarNode) -> int:
    return int(node.value)


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+\.?[0-9]*)([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan|\.NaN",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)
_Loader.add_constructor("tag:yaml.org,2002:float", _float)
_Loader.add_constructor("tag:yaml.org,2002:int", _int)


def parse(text: str, source: str, nodes: int = MAX_NODES) -> Any:
    """Return the plain data in `text`.

    Args:
        text: YAML.
        source: the file or flag to blame.
        nodes: most values, aliases written out.

    Raises:
        InputError: `text` is not YAML, or more than this project reads.
    """
    try:
        loader = _Loader(text, nodes)
        return loader.get_single_data()
    except _RefusedError as error:
        allowed = f"plain values, at most {nodes} of them, without tags or repeated keys"
        raise InputError(source, str(error), allowed) from None
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError(source, f"{place}{what}", ALLOWED) from None


def read(path: Path) -> dict[str, Any]:
    """Return the mapping in the YAML file at `path`.

    Raises:
        InputError: there is no such file, it cannot be read, or it does not hold a mapping.
    """
    if path.is_dir():
        raise InputError("--config", str(path), "a YAML file, not a folder")
    content = read_regular(path, "--config", "YAML file", MAX_BYTES)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(str(path), f"byte {error.start} is no UTF-8", f"{ALLOWED}, in UTF-8") from None
    data = parse(text, str(path))
    if not isinstance(data, dict):
        found = "an empty file" if data is None else data
        raise InputError(str(path), found, "a mapping of sections (task, network, rule, ...)")
    return data


def with_overrides(data: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return `data` with every ``section.key=value`` of `overrides` set, in order.

    A value is YAML. A part given by its name alone (``optimizer: sgd``) takes options all the same.
    """
    for override in overrides:
        path, equals, text = override.partition("=")
        steps = path.strip().split(".")
        if len(steps) > MAX_DEPTH:
            raise InputError("--set", override, f"a key of at most {MAX_DEPTH} parts")
        if not equals or not all(steps):
            raise InputError("--set", override, "section.key=value, such as training.epochs=3")
        data = assign(data, steps, parse(text, f"--set {path.strip()}"))
    return data


def assign(data: dict[str, Any], steps: Sequence[str], value: Any, source: str = "--set") -> dict[str, Any]:
    """Return `data` with the value at `steps` replaced; only the mappings on the way are copied.

    Some sections have dotted keys of their own (``training.before: {training.epochs: 8}``): there what is
    left of the steps is one key, as it would be written.

    Args:
        data: a config.
        steps: the keys that lead to the value.
        value: plain data.
        source: what to blame.

    Raises:
        InputError: one of the steps leads into something that has no keys.
    """
    key, rest = _next_key(data, steps)
    if not rest:
        return {**data, key: value}
    inner = data.get(key, {})
    inner = {"name": inner} if isinstance(inner, str) else inner
    if not isinstance(inner, dict):
        raise InputError(source, ".".join(steps), f"a key of a section; {key} has none", nearest(key, data))
    return {**data, key: assign(inner, rest, value, source)}


def _next_key(data: Mapping[str, Any], steps: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return the key of `data` that the steps lead through, and the steps that are left within it."""
    for length in range(len(steps), 0, -1):
        if (key := ".".join(steps[:length])) in data:
            return key, steps[length:]
    if any("." in key for key in data if isinstance(key, str)):
        return ".".join(steps), ()
    return steps[0], steps[1:]


class _Dumper(yaml.SafeDumper):
    """Writes short lists on one line, never an alias, and nothing that YAML 1.1 and 1.2 read differently."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.yaml_implicit_resolvers = {
    first: [
        *yaml.SafeDumper.yaml_implicit_resolvers.get(first, []),
        *_Loader.yaml_implicit_resolvers.get(first, []),
    ]
    for first in yaml.SafeDumper.yaml_implicit_resolvers | _Loader.yaml_implicit_resolvers
}


def _represent_list(dumper: _Dumper, value: list[Any]) -> yaml.SequenceNode:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True)


_Dumper.add_representer(list, _represent_list)


def dump_yaml(data: dict[str, Any]) -> str:
    """Return `data` as YAML that `read` gives back equal."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
