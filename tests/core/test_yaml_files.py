"""Each value is what it is to every reader of YAML, or refused with how to write it."""

import datetime
import math
import random

import pytest
import yaml
from ruamel.yaml import YAML

from sightlines.core.errors import ConfigError
from sightlines.core.yaml_files import core_value, number, parse, read
from sightlines.plan.config import FOLDER, read_schema


def snakemake(text):
    return yaml.safe_load(text)


def dvc(text):
    return YAML(typ="safe", pure=True).load(text)


def refusal(text, **options):
    with pytest.raises(ConfigError) as caught:
        parse(text, "my.yaml", **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("10", 10),
        ("-3", -3),
        ("0x1F", 31),
        ("0.5", 0.5),
        ("1.0e-3", 0.001),
        ("1.", 1.0),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        (".inf", math.inf),
        ("f100", "f100"),
        ("n", "n"),
        ("4x3", "4x3"),
        ("'010'", "010"),
        ('"yes"', "yes"),
        ("'2024-01-01'", "2024-01-01"),
        ("[1, 2.0, a b]", [1, 2.0, "a b"]),
    ],
)
def test_what_all_read_alike_is_read_so(written, value):
    text = f"key: {written}\n"
    for reader in (snakemake, dvc, lambda t: parse(t, "my.yaml")):
        found = reader(text)["key"]
        assert found == value and type(found) is type(value), reader


@pytest.mark.parametrize(
    ("written", "cures"),
    [
        ("010", ["8", "10", "'010'"]),
        ("08", ["8", "'08'"]),
        ("0o10", ["8", "'0o10'"]),
        ("0b11", ["3", "'0b11'"]),
        ("1_000", ["1000", "'1_000'"]),
        ("4:3", ["243", "'4:3'"]),
        ("12:30:45", ["45045", "'12:30:45'"]),
        ("12e3", ["12000.0", "'12e3'"]),
        ("1e-3", ["0.001", "'1e-3'"]),
        ("5e-324", ["5.0e-324", "'5e-324'"]),
        ("1.5e3", ["1500.0", "'1.5e3'"]),
        ("-.5", ["-0.5", "'-.5'"]),
        ("yes", ["true", "'yes'"]),
        ("No", ["false", "'No'"]),
        ("on", ["true", "'on'"]),
        ("OFF", ["false", "'OFF'"]),
        ("2024-01-01", ["'2024-01-01'"]),
        ("2024-01-01 10:00:00", ["'2024-01-01 10:00:00'"]),
        ("1_0e3", ["'1_0e3'"]),
    ],
)
def test_what_two_read_differently_names_the_key_the_line_and_what_to_write(written, cures):
    text = f"a: 1\nb:\n  - {{key: {written}}}\n"
    read_by = [reader(text)["b"][0]["key"] for reader in (snakemake, dvc)] + [core_value(written)]
    assert len({(type(v), str(v)) for v in read_by}) > 1, "they do differ"
    said = refusal(text)
    assert said.startswith("my.yaml, line 3: b.0.key: ") and written in said
    assert said.endswith(f"write {' or '.join(cures)} for the text")
    for cure in cures:  # each of them is read alike
        value = parse(f"key: {cure}", "")["key"]
        assert value in [*read_by, written] and snakemake(f"key: {cure}")["key"] == value


def test_random_words_are_read_alike_or_refused():
    draw = random.Random(0)
    alike = 0
    for _ in range(1500):
        word = "".join(draw.choices("0011279.eE+-_xobyn:~", k=draw.randint(1, 5)))
        text = f"key: {word}\n"
        try:
            value = parse(text, "my.yaml")["key"]
        except (ConfigError, TypeError):
            continue
        alike += 1
        for found in (snakemake(text)["key"], dvc(text)["key"], core_value(word)):
            assert repr(found) == repr(value), word
    assert alike > 500


def test_a_number_is_written_so_that_all_read_it():
    draw = random.Random(0)
    for value in [draw.uniform(-1, 1) * 10.0 ** draw.randint(-300, 300) for _ in range(200)]:
        for reader in (snakemake, dvc, lambda t: parse(t, "")):
            found = reader(f"key: {number(value)}")["key"]
            assert found == value and type(found) is float


@pytest.mark.parametrize(
    ("text", "key", "lines"),
    [
        ("train:\n  steps: 3\nseed: 1\ntrain:\n  steps: 4\n", "'train'", (1, 4)),
        ("models:\n  vit: {family: vit}\n  vit: {family: mixer}\n", "'models.vit'", (2, 3)),
        ("runs:\n  - seeds: [s0]\n    seeds: [s1]\n", "'runs.0.seeds'", (2, 3)),
        ("a: 1\n'a': 2\n", "'a'", (1, 2)),
        ("1: a\ntrue: b\n", "'true'", (1, 2)),
        ('{"a": 1, "a": 2}', "'a'", (1, 1)),
    ],
)
@pytest.mark.parametrize("is_strict", [True, False])
def test_a_key_that_stands_twice_is_named_with_both_lines(text, key, lines, is_strict):
    said = refusal(text, is_strict=is_strict)
    assert said.startswith(f"my.yaml, line {lines[1]}: ") and key in said
    assert f"line {lines[0]}" in said


def test_all_that_is_wrong_is_said_at_once():
    said = refusal("a: yes\nb: {c: 1, c: 010}\non: 2\n")
    lines = [line.split(":")[0] for line in said.splitlines()]
    assert lines == [f"my.yaml, line {n}" for n in (1, 2, 2, 3)]
    for word in ("yes", "'b.c'", "010", "on"):
        assert word in said


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: &x {b: [1]}\nc: *x\n", {"b": [1]}),
        ("a: &x {b: 1, d: 2}\nc: {<<: *x, d: 3}\n", {"b": 1, "d": 3}),
        ("a: &x {b: 1}\nz: &z {b: 2, d: 2}\nc: {<<: [*x, *z]}\n", {"b": 1, "d": 2}),
    ],
)
def test_aliases_and_merged_keys_are_what_they_are_to_all(text, value):
    assert parse(text, "")["c"] == dvc(text)["c"] == snakemake(text)["c"] == value


def test_tags_and_loops_are_refused():
    assert "'a.<<'" in refusal("a: {<<: {b: 1}, <<: {c: 1}}")
    for tag in ("!!str", "!!float", "!!python/object/apply:os.system", "!mine"):
        said = refusal(f"a: {tag} 010")
        assert "not YAML" in said and tag in said and "line 1: a " in said
    assert "8 or 10" in refusal("a: !!int 010")
    assert "alias of itself" in refusal("a: &x [*x]")


def test_aliases_that_repeat_too_much_and_depth_are_refused_at_once():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert "aliases" in refusal("\n".join(lines))
    assert "too deep" in refusal("[" * 5000 + "]" * 5000)


def test_what_dvc_wrote_is_read_though_it_needs_no_quotes_there():
    text = "outs:\n- path: no\n  md5: 1_0\n"
    assert parse(text, "dvc.lock", is_strict=False) == snakemake(text)


def test_a_file_is_utf_8(tmp_path):
    (tmp_path / "my.yaml").write_bytes("label: naïve 例\n".encode())
    assert read(tmp_path / "my.yaml") == {"label": "naïve 例"}
    (tmp_path / "my.yaml").write_bytes("label: naïve\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"my\.yaml is not YAML"):
        read(tmp_path / "my.yaml")


def test_every_file_of_the_project_is_read_alike_by_all():
    for path in FOLDER.glob("*.yaml"):
        assert read(path) == dvc(path.read_text()) == snakemake(path.read_text()), path
    assert read_schema()["type"] == "object"


def test_dates_in_quotes_are_text():
    assert not isinstance(parse("a: '2024-01-01'", "")["a"], datetime.date)


def test_what_git_could_not_merge_is_said(tmp_path):
    config = tmp_path / "mine.yaml"
    config.write_text("<<<<<<< HEAD\nseed: 1\n=======\nseed: 2\n>>>>>>> theirs\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml has merge conflicts.*--ours"):
        read(config)
