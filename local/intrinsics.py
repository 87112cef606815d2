"""CloudFormation's intrinsic functions, as far as template.yaml uses them."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml

NO_VALUE = object()
_VARIABLE = re.compile(r"\$\{(!?)([^}]+)\}")


class TemplateError(Exception):
    """Raised when the template holds something that the local stack cannot carry out; it says what."""


class TemplateLoader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags: `!Ref X` becomes `{"Ref": "X"}`, `!Sub x` `{"Fn::Sub": "x"}`."""


def _construct_tag(loader: TemplateLoader, name: str, node: yaml.Node) -> Any:
    value: Any
    match node:
        case yaml.ScalarNode():
            value = loader.construct_scalar(node)
        case yaml.SequenceNode():
            value = loader.construct_sequence(node, deep=True)
        case _:
            value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]  # YAML has three kinds of nodes
    if name == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {name if name in {"Ref", "Condition"} else f"Fn::{name}": value}


TemplateLoader.add_multi_constructor("!", _construct_tag)


class Intrinsics:
    """Resolves a part of the template to plain values, given what names and attributes stand for."""

    def __init__(
        self,
        conditions: Mapping[str, Any],
        ref: Callable[[str], Any],
        get_att: Callable[[str, str], str],
    ) -> None:
        self._conditions = conditions
        self._ref = ref
        self._get_att = get_att
        self._functions: Mapping[str, Callable[[Any], Any]] = {
            "Ref": ref,
            "Condition": self.holds,
            "Fn::GetAtt": self._attribute,
            "Fn::Sub": self._substitute,
            "Fn::Join": self._join,
            "Fn::If": self._if,
            "Fn::Equals": lambda both: self.resolve(both[0]) == self.resolve(both[1]),
            "Fn::Not": lambda one: not self.resolve(one[0]),
            "Fn::And": lambda all_: all(self.resolve(each) for each in all_),
            "Fn::Or": lambda any_: any(self.resolve(each) for each in any_),
        }

    def holds(self, condition: str) -> bool:
        """Whether a condition of the template is true."""
        if condition not in self._conditions:
            raise TemplateError(f"The template has no condition {condition}")
        return bool(self.resolve(self._conditions[condition]))

    def resolve(self, node: Any) -> Any:
        """Answer the plain value; a key or entry that resolves to `AWS::NoValue` is left out."""
        match node:
            case dict() if len(node) == 1 and (name := next(iter(node))) in self._functions:
                return self._functions[name](node[name])
            case dict():
                if unknown := [name for name in node if str(name).startswith("Fn::")]:
                    raise TemplateError(f"The local stack does not know {unknown[0]}")
                resolved = {name: self.resolve(value) for name, value in node.items()}
                return {name: value for name, value in resolved.items() if value is not NO_VALUE}
            case list():
                return [value for value in map(self.resolve, node) if value is not NO_VALUE]
            case _:
                return node

    def _attribute(self, path: list[str]) -> str:
        return self._get_att(path[0], ".".join(path[1:]))

    def _if(self, arguments: list[Any]) -> Any:
        condition, when_true, when_false = arguments
        return self.resolve(when_true if self.holds(condition) else when_false)

    def _join(self, arguments: list[Any]) -> str:
        delimiter, parts = arguments
        return str(delimiter).join(map(str, self.resolve(parts)))

    def _substitute(self, arguments: str | list[Any]) -> str:
        text, own = (arguments, {}) if isinstance(arguments, str) else arguments

        def value(match: re.Match[str]) -> str:
            literal, name = match.groups()
            if literal:
                return f"${{{name}}}"
            if name in own:
                return str(self.resolve(own[name]))
            return str(self._get_att(*name.split(".", 1)) if "." in name else self._ref(name))

        return _VARIABLE.sub(value, text)
