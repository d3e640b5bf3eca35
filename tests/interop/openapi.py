"""A document of OpenAPI 3.1 as a judge and as a source of inputs: whether a value fits a schema, values that do, and values that
do not. Of JSON Schema what admin/openapi.json uses, and nothing that it does not."""
import copy
import json
import random
import re

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
KNOWN = {"$ref", "type", "const", "enum", "minimum", "maximum", "minLength", "maxLength", "pattern", "properties", "required",
         "additionalProperties", "items", "minItems", "maxItems", "oneOf", "anyOf", "not", "description"}


def is_type(value, name):
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


class Document:
    def __init__(self, text):
        self.json = json.loads(text)

    def operations(self):
        """(path, method, operation)"""
        return [(path, method.upper(), operation) for path, item in self.json["paths"].items() for method, operation in item.items()]

    def resolve(self, schema):
        while "$ref" in schema:
            at = self.json
            for name in schema["$ref"].removeprefix("#/").split("/"):
                at = at[name]
            schema = at
        return schema

    def answer_schema(self, operation, status, kind):
        """The schema of an answer, or None: the document has no such answer."""
        answer = self.resolve(operation["responses"].get(str(status), {}))
        content = answer.get("content", {}).get(kind)
        return content and content["schema"]

    def body(self, operation):
        """(schema, examples) of the request, or (None, [])."""
        if "requestBody" not in operation:
            return None, []
        content = operation["requestBody"]["content"]["application/json"]
        return content["schema"], [example["value"] for example in content["examples"].values()]

    def faults(self, schema, value, at="$"):
        """Why the value does not fit, a line each."""
        schema = self.resolve(schema)
        if unknown := schema.keys() - KNOWN:
            return [f"{at}: this judge does not know {unknown}"]
        kinds = schema.get("type", [])
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if kinds and not any(is_type(value, kind) for kind in kinds):
            return [f"{at}: {value!r} is no {kinds}"]
        found = [*self.faults_of_value(schema, value, at), *self.faults_of_choices(schema, value, at)]
        if isinstance(value, dict):
            found += self.faults_of_object(schema, value, at)
        if isinstance(value, list):
            found += [f"{at}: {len(value)} items"] * (not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 1 << 30))
            for i, item in enumerate(value):
                found += self.faults(schema.get("items", {}), item, f"{at}[{i}]")
        return found

    @staticmethod
    def faults_of_value(schema, value, at):
        found = []
        if "const" in schema and value != schema["const"] or "enum" in schema and value not in schema["enum"]:
            found.append(f"{at}: {value!r} is none of those")
        if is_type(value, "integer") and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
            found.append(f"{at}: {value} is out of bounds")
        if isinstance(value, str):
            if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 1 << 30):
                found.append(f"{at}: {len(value)} characters")
            if "pattern" in schema and not re.search(schema["pattern"], value):
                found.append(f"{at}: {value!r} does not match")
        return found

    def faults_of_choices(self, schema, value, at):
        found = []
        fits = {word: sum(not self.faults(choice, value, at) for choice in schema.get(word, [])) for word in ("oneOf", "anyOf")}
        if "oneOf" in schema and fits["oneOf"] != 1 or "anyOf" in schema and fits["anyOf"] == 0:
            found.append(f"{at}: fits {fits}")
        if "not" in schema and not self.faults(schema["not"], value, at):
            found.append(f"{at}: fits what it must not")
        return found

    def faults_of_object(self, schema, value, at):
        properties = schema.get("properties", {})
        found = [f"{at}: no {name}" for name in schema.get("required", []) if name not in value]
        for name, item in value.items():
            if name in properties:
                found += self.faults(properties[name], item, f"{at}.{name}")
            elif schema.get("additionalProperties") is False:
                found.append(f"{at}: {name} is too much")
        return found


class Inputs:
    """Bodies for one operation; the same seed makes the same ones."""

    def __init__(self, document, operation, seed):
        self.document, self.random = document, random.Random(seed)
        self.schema, self.examples = document.body(operation)

    def value(self, schema):
        schema = self.document.resolve(schema)
        kinds = schema.get("type", "object")
        kind = kinds if isinstance(kinds, str) else self.random.choice(kinds)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self.random.choice(schema["enum"])
        if kind == "integer":
            low, high = schema.get("minimum", 0), schema.get("maximum", 1 << 62)
            return self.random.choice([low, high, self.random.randint(low, high), self.random.randint(low, min(high, low + 100))])
        if kind == "string":
            return self.text(schema)
        return {"boolean": self.random.random() < 0.5, "null": None}.get(kind)

    def text(self, schema):
        pattern = schema.get("pattern", "")
        if "0-9a-f]{16}" in pattern:
            return f"{self.random.getrandbits(64) | 1:016x}"
        if pattern:
            return self.random.choice(["192.0.2.1", "2001:db8::1", "198.51.100.255"])
        length = self.random.choice([schema.get("minLength", 0), 1, 8, 40, schema.get("maxLength", 100)])
        letters = self.random.choice(["abcz:09", "é€\U0001f600", "\x1b\"\\\n\x7f%s", " ./-_"])
        return "".join(self.random.choice(letters) for _ in range(max(length, schema.get("minLength", 0))))

    def good(self):
        """An object that fits the schema."""
        properties = self.document.resolve(self.schema).get("properties", {})
        for _ in range(200):
            value = copy.deepcopy(self.random.choice(self.examples))
            for name in self.random.sample(sorted(properties), self.random.randint(0, len(properties))):
                if self.random.random() < 0.3:
                    value.pop(name, None)
                else:
                    value[name] = self.value(properties[name])
            if not self.document.faults(self.schema, value):
                return value
        return copy.deepcopy(self.examples[0])

    def bad(self):
        """An object or something else that does not fit the schema."""
        properties = self.document.resolve(self.schema).get("properties", {})
        for _ in range(200):
            value = self.good()
            name = self.random.choice(sorted(properties) or ["none"])
            schema = self.document.resolve(properties.get(name, {}))
            value = self.random.choice([
                lambda: {**value, name: self.random.choice([None, True, 1.5, -1, 1 << 63, [], {}, [value], "x" * 5000])},
                lambda: {**value, name: schema.get("maximum", 0) + 1}, lambda: {**value, name: schema.get("minimum", 0) - 1},
                lambda: {**value, name: "y" * (schema.get("maxLength", 4000) + 1)},
                lambda: {**value, f"{name}_": 1}, lambda: {**value, "canary": "x"},
                lambda: {key: item for key, item in value.items() if key != name},
                lambda: [value], lambda: None, lambda: name, lambda: []])()
            if self.document.faults(self.schema, value):
                return value
        return None

    def broken(self):
        """Bytes that are no object of JSON."""
        text = json.dumps(self.good()).encode()
        return self.random.choice([text[:-1], text + b"}", b"{" * 3000, b"[" * 4000, b"\xff\xfe" + text, text.replace(b'"', b"'") + b"'",
                                   b'{"user": "a\\u0000b"}', b'{"user": "a", "user": "b"}', b'{"user": "\xc3"}', b"\0" * 40, b"nul",
                                   b'{"seconds": 1e400}', b'{"user": "\\ud800"}', text[: len(text) // 2 or 1]])
