from sightlines.sharing.reproduce import changes

RECORD = {
    "code": "abc",
    "config": {"steps": 4},
    "packages": {"torch": "2.13.0"},
    "hardware": {"processor": "Some Processor", "cores": 2},
    "notes": {"device": "cpu", "precision": "bfloat16", "precision_why": "auto: native"},
    "wall_s": 3.5,
}


def test_another_number_format_is_told():
    """`auto` may have taken another one here: then the weights differ by far more than rounding."""
    again = RECORD | {"notes": RECORD["notes"] | {"precision": "float32"}, "wall_s": 9.0}
    (line,) = changes(RECORD, again)
    assert line.endswith('precision "bfloat16" → "float32"')


def test_what_else_differs_is_told_by_its_part():
    again = RECORD | {"code": "abd", "config": {"steps": 5}, "packages": {"torch": "2.14.0"}}
    config, packages, code = changes(RECORD, again)
    assert "steps 4 → 5" in config and "2.13.0" in packages and "code" in code
    assert changes(RECORD, RECORD | {"wall_s": 1.0}) == []
