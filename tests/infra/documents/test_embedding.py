"""A schema of draft 2020-12 within a document of draft 07: its references lead on, its values stay as they are."""

from infra.documents.embedding import embedded


def test_what_a_schema_defines_for_itself_stands_beside_it_and_is_found_there() -> None:
    schema = {
        "$id": "/schemas/a.b/1",
        "properties": {"x": {"$ref": "#/$defs/X"}, "me": {"$ref": "#"}},
        "$defs": {"X": {"items": {"$ref": "#/$defs/X"}}},
    }
    assert {
        "a.b.1": {
            "properties": {
                "x": {"$ref": "#/components/schemas/a.b.1.X"},
                "me": {"$ref": "#/components/schemas/a.b.1"},
            }
        },
        "a.b.1.X": {"items": {"$ref": "#/components/schemas/a.b.1.X"}},
    } == embedded(schema, "a.b.1")


def test_what_stands_beside_a_reference_is_not_lost() -> None:
    schema = {"description": "Told.", "allOf": [{"minProperties": 1}], "$ref": "#/$defs/X", "$defs": {"X": {}}}
    (changed, _) = embedded(schema, "a").values()
    assert {
        "description": "Told.",
        "allOf": [{"minProperties": 1}, {"$ref": "#/components/schemas/a.X"}],
    } == changed


def test_a_field_or_a_value_that_is_called_like_a_keyword_stays_as_it_is() -> None:
    schema = {
        "properties": {"$ref": {"type": "string"}, "prefixItems": {"default": {"$ref": "no reference"}}},
        "examples": [{"$id": "kept", "$ref": "no reference"}],
        "additionalProperties": False,
    }
    assert {"a": schema} == embedded(schema, "a")


def test_a_tuple_and_a_discriminator_are_said_as_the_older_draft_says_them() -> None:
    schema = {
        "prefixItems": [{"type": "integer"}, {"type": "string"}],
        "discriminator": {"propertyName": "kind", "mapping": {"a": "#/$defs/A"}},
    }
    assert {"a": {"items": [{"type": "integer"}, {"type": "string"}], "discriminator": "kind"}} == embedded(schema, "a")
