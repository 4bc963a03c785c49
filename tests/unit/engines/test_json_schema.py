"""JSON schemas as grammars: what they let through is valid, and what no grammar says is refused by name."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest

from paddock.engines.llama_cpp.grammars.json_schema import from_schema
from paddock.errors import InvalidRequest, UnsupportedParameter
from tests.unit.engines.matching import accepts


def lets_through(schema: Any, *texts: str) -> list[bool]:
    grammar = from_schema(schema, "guided_json")
    return [accepts(grammar, text) for text in texts]


def check(schema: Any, good: list[str], bad: list[str]) -> None:
    assert lets_through(schema, *good) == [True] * len(good)
    assert lets_through(schema, *bad) == [False] * len(bad)


class TestNumbers:
    @pytest.mark.parametrize(
        "bounds",
        [(0, 9), (0, 0), (1, 1), (3, 127), (-5, 5), (-120, -7), (95, 1005), (-1, 0), (999, 1000), (10, 99)],
    )
    def test_integers_between_bounds_are_those_and_no_others(self, bounds: tuple[int, int]) -> None:
        low, high = bounds
        grammar = from_schema({"type": "integer", "minimum": low, "maximum": high}, "guided_json")
        for value in range(min(low, 0) - 30, high + 130):
            assert accepts(grammar, str(value)) is (low <= value <= high), value
        assert not any(accepts(grammar, text) for text in ("", "-", "-0", "00", "01", "1.0", "1e3"))

    def test_many_bounds(self) -> None:
        dice = random.Random(1)
        for _ in range(60):
            low = dice.randrange(-(10**6), 10**6)
            high = low + dice.randrange(10 ** dice.randrange(1, 7))
            grammar = from_schema({"type": "integer", "minimum": low, "maximum": high}, "guided_json")
            for value in (low, high, low - 1, high + 1, dice.randrange(-(10**7), 10**7)):
                assert accepts(grammar, str(value)) is (low <= value <= high), (low, high, value)

    def test_without_bounds_they_end(self) -> None:
        check({"type": "integer"}, ["0", "-1", "9" * 16, f"-{'9' * 16}"], ["9" * 17, "1.5", "-0", "007"])
        check({"type": "number"}, ["0", "-0.5", "1.25", "-12.000001"], ["1.0", "1.", ".5", "1e5", "-0"])

    @pytest.mark.parametrize(
        ("bounds", "good", "bad"),
        [
            ({"minimum": 0, "maximum": 1}, ["0", "1", "0.5"], ["-0.1", "1.1", "2"]),
            ({"exclusiveMinimum": 0, "exclusiveMaximum": 1}, ["0.25"], ["0", "1"]),
            ({"minimum": -2.5, "maximum": 2.5}, ["-2", "-1.9", "2", "1.9", "-0.5"], ["-2.4", "2.4", "3"]),
            ({"exclusiveMinimum": 5}, ["5.1", "6"], ["5", "4.9"]),
            ({"minimum": 3, "exclusiveMinimum": True}, ["4", "3.5"], ["3"]),
            ({"maximum": -1}, ["-1", "-1.5", "-100"], ["-0.5", "0"]),
            ({"multipleOf": 1, "minimum": 0, "maximum": 3}, ["2"], ["1.5"]),
        ],
    )
    def test_numbers(self, bounds: dict[str, Any], good: list[str], bad: list[str]) -> None:
        check({"type": "number", **bounds}, good, bad)

    def test_exclusive_integers(self) -> None:
        check({"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 6}, ["4", "5"], ["3", "6"])
        check({"type": "integer", "exclusiveMinimum": 2.5, "maximum": 4.5}, ["3", "4"], ["2", "5"])


class TestStrings:
    def test_what_json_escapes(self) -> None:
        good = [
            json.dumps(text, ensure_ascii=False) for text in ("", "a", 'say "hi"', "a\\b", "é漢😀", "a\nb")
        ]
        check({"type": "string"}, good, ["a", '"', '"\n"', '"\\x"', '"a"b"'])

    def test_lengths(self) -> None:
        check(
            {"type": "string", "minLength": 2, "maxLength": 3}, ['"ab"', '"a\\n"', '"abc"'], ['"a"', '"abcd"']
        )

    @pytest.mark.parametrize("pattern", [r'^[a-c"\\]{2}$', r'[a-c"\\]{2}'])
    def test_a_pattern_is_matched_by_the_text_and_not_by_its_escapes(self, pattern: str) -> None:
        schema = {"type": "string", "pattern": pattern}
        check(schema, ['"ab"', '"a\\""', '"\\\\c"'], ['"a"', '"abc"', '"a""'])

    @pytest.mark.parametrize(
        ("format", "good", "bad"),
        [
            ("date", "2026-11-24", "2026-13-24"),
            ("date-time", "2026-11-24T10:00:00Z", "2026-11-24"),
            ("uuid", "01234567-89ab-cdef-0123-456789abcdef", "0123"),
            ("ipv4", "127.0.0.1", "127.0.0.256"),
            ("email", "me@example.com", "me"),
        ],
    )
    def test_formats(self, format: str, good: str, bad: str) -> None:
        check({"type": "string", "format": format}, [f'"{good}"'], [f'"{bad}"'])

    def test_other_formats_are_remarks(self) -> None:
        check({"type": "string", "format": "color"}, ['"red"'], ["red"])


class TestObjects:
    SCHEMA = {  # noqa: RUF012  # nobody changes it
        "properties": {"a": {"type": "null"}, "b": {"type": "null"}, "c": {"type": "null"}},
        "required": ["b"],
    }

    def test_properties_come_in_their_order_and_once(self) -> None:
        good = ['{"b":null}', '{"a": null, "b": null}', '{"b":null,"c":null}', '{"a":null,"b":null,"c":null}']
        bad = ["{}", '{"a":null}', '{"b":null,"a":null}', '{"b":null,"b":null}', '{"b":null,}', '{"d":null}']
        check(self.SCHEMA, good, bad)

    def test_none_is_required(self) -> None:
        schema = {"properties": {"a": {"type": "null"}, "b": {"type": "null"}}}
        check(
            schema, ["{}", '{"a":null}', '{"b":null}', '{"a":null,"b":null}'], ["{,}", '{"b":null,"a":null}']
        )

    def test_what_only_required_names_has_any_value(self) -> None:
        check({"required": ["x"]}, ['{"x":[1, {"y": "z"}]}'], ["{}", '{"y":1}'])

    def test_others(self) -> None:
        schema = {**self.SCHEMA, "additionalProperties": {"type": "boolean"}}
        good = ['{"b":null,"bb":true}', '{"b":null,"":false,"x y":true}', '{"a":null,"b":null,"cc":true}']
        bad = ['{"b":null,"a":true}', '{"b":null,"c":true}', '{"b":null,"x":null}', '{"x":true}']
        check(schema, good, bad)
        check({**self.SCHEMA, "additionalProperties": False}, ['{"b":null}'], ['{"b":null,"x":true}'])

    def test_maps(self) -> None:
        schema = {
            "type": "object",
            "additionalProperties": {"type": "null"},
            "minProperties": 1,
            "maxProperties": 2,
        }
        check(
            schema, ['{"x":null}', '{"x":null, "y":null}'], ["{}", '{"x":1}', '{"a":null,"b":null,"c":null}']
        )
        check({"type": "object"}, ["{}", '{"x":[{}]}'], ["[]"])
        check({"type": "object", "additionalProperties": False}, ["{}"], ['{"x":1}'])

    def test_a_property_that_may_not_be(self) -> None:
        check({"properties": {"a": False, "b": {"type": "null"}}}, ['{"b":null}'], ['{"a":null}'])

    def test_names_that_look_like_places(self) -> None:
        inner = {"properties": {"b": {"type": "null"}}, "required": ["b"]}
        schema = {"properties": {"a": inner, "a/properties/b": {"type": "boolean"}}, "required": ["a"]}
        check(schema, ['{"a":{"b":null},"a/properties/b":true}'], ['{"a":{"b":true}}'])


class TestArrays:
    def test_items(self) -> None:
        schema = {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3}
        check(
            schema,
            ["[true]", "[true, false]", "[true,true,true]"],
            ["[]", "[1]", "[true,]", "[true,true,true,true]"],
        )
        check({"items": {"type": "null"}}, ["[]", "[null,null,null,null]"], ["null"])
        check({"type": "array", "maxItems": 0}, ["[]"], ["[1]"])

    def test_tuples(self) -> None:
        pair = [{"type": "null"}, {"type": "boolean"}]
        check({"prefixItems": pair}, ["[null, true]"], ["[null]", "[null,true,1]"])
        check(
            {"prefixItems": pair, "items": {"type": "null"}, "maxItems": 3},
            ["[null,true,null]"],
            ["[null,true,1]"],
        )
        check({"items": pair}, ["[null,true]"], ["[true,null]"])


class TestCombined:
    def test_types(self) -> None:
        check({"type": ["null", "integer"]}, ["null", "3"], ["true", '"3"'])
        check(True, ["null", "[{}]", "-1.5", '"x"'], ["", "nul"])

    def test_constants(self) -> None:
        check(
            {"enum": ["a b", 1, None, {"x": [1, 2]}]}, ['"a b"', "1", "null", '{"x": [1, 2]}'], ["2", '"a"']
        )
        check({"const": 'q"\x00'}, ['"q\\"\\u0000"'], ['"q"'])
        check({"enum": ["a", 1], "type": "string"}, ['"a"'], ["1"])

    @pytest.mark.parametrize("keyword", ["anyOf", "oneOf"])
    def test_alternatives_with_what_stands_beside(self, keyword: str) -> None:
        schema = {"type": "integer", keyword: [{"maximum": -5}, {"minimum": 5}]}
        check(schema, ["-5", "5"], ["0", "4"])
        check({keyword: [{"type": "null"}, {"type": "boolean"}]}, ["null", "true"], ["1"])

    def test_all_of(self) -> None:
        schema = {
            "allOf": [
                {"properties": {"a": {"type": "number"}}, "required": ["a"]},
                {"properties": {"a": {"type": "integer", "minimum": 5, "maximum": 7}}},
                {"$ref": "#/$defs/b"},
            ],
            "$defs": {"b": {"properties": {"b": {"type": "null"}}, "required": ["b"]}},
        }
        check(schema, ['{"a":5,"b":null}'], ['{"a":5}', '{"a":4,"b":null}', '{"a":5.5,"b":null}'])

    def test_references_may_lead_back(self) -> None:
        schema = {
            "$ref": "#/$defs/node",
            "$defs": {
                "node": {
                    "properties": {
                        "value": {"type": "null"},
                        "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                    },
                    "required": ["value", "next"],
                }
            },
        }
        good = '{"value":null,"next":{"value":null,"next":null}}'
        check(schema, [good], ['{"value":null}', good[:-1]])

    def test_a_reference_with_more_beside_it(self) -> None:
        schema = {"$ref": "#/$defs/n", "maximum": 3, "$defs": {"n": {"type": "integer", "minimum": 2}}}
        check(schema, ["2", "3"], ["1", "4"])


class TestRefusals:
    @pytest.mark.parametrize(
        ("schema", "said"),
        [
            ({"type": "frob"}, "at /type: it must be one or several of object, array"),
            ({"type": []}, "at /type"),
            (False, "nothing is valid by it"),
            ({"properties": []}, "at /properties: it must be an object of schemas"),
            ({"properties": {"a": 5}}, "at /properties/a: a schema must be an object"),
            ({"required": "a"}, "at /required: it must be a list of names"),
            ({"required": ["a"], "additionalProperties": False}, "'a' is none of the properties"),
            ({"properties": {"a": False}, "required": ["a"]}, "at /properties/a: nothing is valid by it"),
            ({"enum": []}, "at /enum: it must be a list that is not empty"),
            ({"enum": [1], "type": "string"}, "none of its values is valid"),
            ({"anyOf": {}}, "at /anyOf"),
            ({"type": "integer", "minimum": 5, "maximum": 3}, "no number is valid"),
            ({"type": "number", "minimum": 0.2, "maximum": 0.8}, "none between two integers"),
            ({"type": "number", "minimum": "0"}, "a bound must be a number"),
            ({"minLength": -1}, "at /minLength: it must be a whole number"),
            ({"minItems": 2, "maxItems": 1}, "minItems is more than maxItems"),
            ({"prefixItems": [{}], "items": False, "minItems": 2}, "it has at most 1 items, not 2"),
            ({"$ref": "#/$defs/x"}, "$ref '#/$defs/x' leads nowhere"),
            ({"pattern": "(a"}, "missing )"),
            ({"pattern": 5}, "at /pattern: it must be a regular expression"),
        ],
    )
    def test_wrong_ones_are_told_where(self, schema: Any, said: str) -> None:
        with pytest.raises(InvalidRequest) as caught:
            from_schema(schema, "guided_json")
        assert caught.value.param == "guided_json"
        assert said in caught.value.message

    @pytest.mark.parametrize(
        ("schema", "said"),
        [
            ({"items": {"type": "string"}, "uniqueItems": True}, "uniqueItems"),
            ({"properties": {"a": {"not": {}}}}, "at /properties/a: not"),
            ({"if": {}, "then": {}}, "cannot be honoured: no grammar says it"),
            ({"type": "number", "multipleOf": 0.1}, "multipleOf other than 1"),
            ({"patternProperties": {"a": {}}}, "patternProperties"),
            ({"$ref": "https://example.com/x"}, "which does not begin with #/"),
            ({"pattern": "a", "maxLength": 3}, "pattern together with a length"),
            ({"enum": [1, 9], "minimum": 5}, "minimum beside the values themselves"),
            ({"properties": {"a": {}}, "maxProperties": 0}, "a number of properties"),
            ({"allOf": [{"type": "null"}, {"type": "string"}]}, "a second type"),
            (
                {
                    "allOf": [
                        {"properties": {"a": {}}, "additionalProperties": False},
                        {"properties": {"b": {}}},
                    ]
                },
                "a second additionalProperties",
            ),
        ],
    )
    def test_what_no_grammar_says(self, schema: Any, said: str) -> None:
        with pytest.raises(UnsupportedParameter) as caught:
            from_schema(schema, "guided_json")
        assert said in caught.value.message

    def test_what_asks_for_nothing_is_taken(self) -> None:
        schema = {"type": "null", "uniqueItems": False, "title": "Nothing", "x-mine": 5, "description": "d"}
        check(schema, ["null"], ["1"])

    def test_a_circle_without_a_beginning(self) -> None:
        with pytest.raises(InvalidRequest):
            from_schema({"$ref": "#"}, "guided_json")

    def test_nesting_without_an_end(self) -> None:
        schema: dict[str, Any] = {}
        for _ in range(5000):
            schema = {"items": schema}
        with pytest.raises(InvalidRequest) as caught:
            from_schema(schema, "guided_json")
        assert "nested too deeply" in caught.value.message


class TestValid:
    def test_texts_made_by_the_grammar_are_valid_numbers(self) -> None:
        """Fractions lie strictly between integers, so that no bound is met by rounding."""
        dice = random.Random(2)
        for _ in range(100):
            low = dice.uniform(-30, 30)
            high = low + dice.uniform(2, 40)
            grammar = from_schema({"type": "number", "minimum": low, "maximum": high}, "guided_json")
            for _ in range(20):
                value = round(dice.uniform(-60, 90), dice.randrange(4))
                text = f"{value:.4f}".rstrip("0").rstrip(".")
                if accepts(grammar, text):
                    assert low <= float(text) <= high
            inside = math.ceil(low)
            assert accepts(grammar, str(inside))
