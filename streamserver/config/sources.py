"""Reading the three places settings come from: a YAML file, the environment, flags.

Each reader is pure text in, `Reading` out: raw values by key with where they stood, warnings, problems.
"""

import difflib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

import yaml
from pydantic import JsonValue

from streamserver.config.neko_keys import NOT_YET, V2_NAMES, not_yet_warning, v2_warning
from streamserver.config.options import ENV_PREFIX, Kind, Option, env_name

CONFIG_VARIABLE = "NEKO_CONFIG"
"""Names the configuration file; not a setting itself."""


@dataclass(frozen=True, slots=True)
class Raw:
    """A value as it was found, and where."""

    value: JsonValue
    source: str


@dataclass
class Reading:
    """What one source said."""

    values: dict[str, Raw] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def over(self, lower: "Reading") -> "Reading":
        """Return both, with our values in place of the lower one's."""
        return Reading(
            lower.values | self.values, lower.warnings + self.warnings, lower.problems + self.problems
        )


def nearest(name: str, known: Collection[str]) -> str:
    """Return `; did you mean X?` for the known name most like this one, or nothing."""
    last = name.rpartition(".")[2]
    elsewhere = [key for key in known if key.rpartition(".")[2] == last]
    matches = elsewhere if len(elsewhere) == 1 else difflib.get_close_matches(name, known, 1, 0.6)
    return f"; did you mean {matches[0]}?" if matches else ""


def read_environment(
    environ: Mapping[str, str], options: Mapping[str, Option], open_sections: Collection[str] = ()
) -> Reading:
    """Read the variables that begin with `NEKO_`; an empty one counts as unset.

    Nothing is said of unknown variables that may belong to an open section (see `read_yaml`).
    """
    reading = Reading()
    by_name = {option.env: option for option in options.values()}
    not_yet = {env_name(key): key for key in NOT_YET}
    for name in sorted(environ):
        text = environ[name]
        if not name.startswith(ENV_PREFIX) or name == CONFIG_VARIABLE or not text:
            continue
        if option := by_name.get(name):
            _take(reading, option, text, name, str.split)
        elif name in not_yet:
            reading.warnings.append(not_yet_warning(name, not_yet[name]))
        elif name in V2_NAMES:
            reading.warnings.append(v2_warning(name))
        elif not any(name.startswith(f"{env_name(section)}_") for section in open_sections):
            reading.warnings.append(f"{name} is no setting{nearest(name, by_name)}")
    return reading


def read_flags(
    flags: Mapping[str, str], options: Mapping[str, Option], open_sections: Collection[str] = ()
) -> Reading:
    """Read flags, dotted key to text; an empty text is a value here."""
    reading = Reading()
    for key, text in flags.items():
        if option := options.get(key):
            _take(reading, option, text, f"--{key}", _split_commas)
        elif key in NOT_YET:
            reading.warnings.append(not_yet_warning(f"--{key}", key))
        elif key.partition(".")[0] in open_sections:
            reading.values[key] = Raw(text, f"--{key}")
        else:
            reading.problems.append(f"--{key} is no flag{nearest(key, options)}")
    return reading


def _split_commas(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _take(
    reading: Reading, option: Option, text: str, source: str, split: Callable[[str], list[str]]
) -> None:
    """Put the text's value under the option's key: JSON where it must or may be, else text or a list."""
    if option.kind is Kind.SCALAR:
        reading.values[option.key] = Raw(text, source)
        return
    if option.kind is Kind.LIST and not text.lstrip().startswith("["):
        reading.values[option.key] = Raw(list[JsonValue](split(text)), source)
        return
    try:
        reading.values[option.key] = Raw(json.loads(text), source)
    except (ValueError, RecursionError) as error:
        why = (
            f"{error.msg} at character {error.pos + 1}"
            if isinstance(error, json.JSONDecodeError)
            else "invalid"
        )
        reading.problems.append(f"{source}: not readable as JSON ({why}); accepted: {option.form}")


def read_yaml(
    text: str, name: str, options: Mapping[str, Option], open_sections: Collection[str] = ()
) -> Reading:
    """Read a YAML document of nested sections; `name` is the file, for messages.

    In an open section any key may stand: that of a plugin whose settings take any, or that failed to load.
    """
    reading = Reading()
    try:
        loader = yaml.SafeLoader(text)
        try:
            document = loader.get_single_node()
            if document is not None:
                _YamlReader(name, options, open_sections, loader, reading).section("", document)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{name}, line {mark.line + 1}" if mark else name
        reading.problems.append(f"{where}: not readable as YAML: {error.problem or error.context}")
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reading.problems.append(f"{name}: not readable as YAML: {' '.join(str(error).split())}")
    return reading


class _YamlReader:
    """Walks the nodes of a document down to the keys we know."""

    def __init__(
        self,
        name: str,
        options: Mapping[str, Option],
        open_sections: Collection[str],
        loader: yaml.SafeLoader,
        reading: Reading,
    ) -> None:
        self._name = name
        self._options = options
        self._open = open_sections
        self._loader = loader
        self._reading = reading
        self._sections = {prefix for key in (*options, *NOT_YET) for prefix in _prefixes(key)}
        self._sections |= set(open_sections)
        self._seen: set[str] = set()

    def section(self, prefix: str, node: yaml.Node) -> None:
        """Read the keys of one section; an empty one is fine."""
        if _is_null(node):
            return
        if not isinstance(node, yaml.MappingNode):
            what = f"{prefix} is a section" if prefix else "the file must be sections"
            self._problem(node, f"{what} with keys in it, found {_describe(node)}")
            return
        self._loader.flatten_mapping(node)
        for key_node, value in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(key_node, f"a key must be a word, found {_describe(key_node)}")
                continue
            self._entry(f"{prefix}.{key_node.value}" if prefix else key_node.value, key_node, value)

    def _entry(self, key: str, key_node: yaml.Node, value: yaml.Node) -> None:
        option = self._options.get(key)
        if key in self._seen and key not in self._sections:
            self._problem(key_node, f"{key} is there twice")
            return
        self._seen.add(key)
        if option and not (key in self._sections and isinstance(value, yaml.MappingNode)):
            if not _is_null(value):
                self._reading.values[key] = Raw(self._value(option, value), self._where(key_node))
        elif key in NOT_YET:
            self._reading.warnings.append(not_yet_warning(key, key))
        elif key in self._sections:
            self.section(key, value)
        elif key.partition(".")[0] in self._open:
            built: JsonValue = self._loader.construct_document(value)
            self._reading.values[key] = Raw(built, self._where(key_node))
        else:
            known = [*self._options, *NOT_YET, *self._sections]
            self._problem(key_node, f"{key} is no setting{nearest(key, known)}")

    def _value(self, option: Option, node: yaml.Node) -> JsonValue:
        """Return text for scalars, so that YAML's guesses (octal, sexagesimal) do not change a password."""
        if option.kind is not Kind.STRUCTURE:
            if isinstance(node, yaml.ScalarNode):
                text: str = node.value
                return list[JsonValue](text.split()) if option.kind is Kind.LIST else text
            if isinstance(node, yaml.SequenceNode) and all(
                isinstance(i, yaml.ScalarNode) for i in node.value
            ):
                return [item.value for item in node.value]
        built: JsonValue = self._loader.construct_document(node)
        return built

    def _where(self, node: yaml.Node) -> str:
        return f"{self._name}, line {node.start_mark.line + 1}"

    def _problem(self, node: yaml.Node, sentence: str) -> None:
        self._reading.problems.append(f"{self._where(node)}: {sentence}")


def _prefixes(key: str) -> Iterator[str]:
    while "." in key:
        key = key.rpartition(".")[0]
        yield key


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _describe(node: yaml.Node) -> str:
    match node:
        case yaml.ScalarNode():
            return "a single value"
        case yaml.SequenceNode():
            return "a list"
        case _:
            return "a map"
