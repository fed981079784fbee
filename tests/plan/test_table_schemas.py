"""What modules declare of their tables, read without importing them."""

import pytest

from sightlines.plan import registry, table_schemas
from sightlines.plan.table_schemas import Column, columns, layout, schemas, written


def test_shared_words_stand_for_their_columns_in_the_order_declared():
    found = list(columns(("network", ("cka", "float", "", "similarity"), "left_out")))
    assert [c.name for c in found] == ["model", "fraction", "seed", "cka", "left_out"]
    assert found[3] == Column("cka", "float", "", "similarity", False)


def test_optional_columns_are_not_required():
    schema = written("measures", "accuracy")["accuracy.csv"]
    optional = [c.name for c in schema.columns if c.is_optional]
    assert optional == ["class_order", "class_order_note", "weights_note"]
    assert not set(optional) & set(schema.required) and "chance" in schema.required


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("netwrok", "no shared column 'netwrok'; there are network"),
        (("a", "double", "", "x"), "column 'a' .* one of int, float"),
        (("a", "int", "", "x", "maybe"), "column 'a' should be"),
    ],
)
def test_what_is_declared_wrongly_is_named(entry, message):
    with pytest.raises(ValueError, match=message):
        list(columns((entry,)))


def test_every_column_of_every_table_says_what_it_means():
    found = schemas()
    assert {"cka.parquet", "claims.csv", "history.csv", "cka_replicates.safetensors"} <= set(found)
    for schema in found.values():
        assert schema.about and schema.row and not schema.about.endswith("."), schema.name
        names = [column.name for column in schema.columns]
        assert len(set(names)) == len(names), schema.name
        assert all(column.meaning for column in schema.columns), schema.name


def test_a_table_has_one_writer():
    every = [file for m in registry.members("measures") for file in written("measures", m)]
    assert len(set(every)) == len(every)


def test_the_layout_is_names_and_types_and_no_word_of_their_meaning(monkeypatch):
    before = layout("measures", "attention_replicates")
    assert before["attention_replicates.parquet"][-1] == ["left_out", "int"]
    reworded = (("left_out", "int", "", "in other words"),)
    monkeypatch.setitem(table_schemas.SHARED, "left_out", reworded)
    assert layout("measures", "attention_replicates") == before
    monkeypatch.setitem(table_schemas.SHARED, "left_out", (("left_out", "float", "", "x"),))
    assert layout("measures", "attention_replicates") != before


def test_every_file_with_a_measure_is_a_member():
    folder = registry.PACKAGE / "measures"
    with_measure = {p.stem for p in folder.glob("*.py") if "\ndef measure(" in p.read_text()}
    assert with_measure == set(registry.members("measures"))


def test_tables_that_are_no_literal_are_refused_instead_of_overlooked(monkeypatch, tmp_path):
    (tmp_path / "measures").mkdir()
    (tmp_path / "measures" / "mine.py").write_text("ONE = ()\nTABLES = {'a.csv': ONE}\n")
    monkeypatch.setattr(registry, "PACKAGE", tmp_path)
    with pytest.raises(ValueError, match=r"measures/mine\.py: TABLES must be a literal"):
        registry.declarations.__wrapped__("measures", "mine")
