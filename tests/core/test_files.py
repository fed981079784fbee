import json
import os

import numpy as np
import pytest
from safetensors import safe_open

from sightlines.core import files
from sightlines.core.errors import DiskError, ResultError


def test_a_file_appears_only_when_the_block_ends_well(tmp_path):
    target = tmp_path / "deep" / "a.bin"
    with pytest.raises(RuntimeError, match="half way"), files.atomic(target) as handle:
        handle.write(b"half")
        raise RuntimeError("half way")
    assert list(target.parent.iterdir()) == []
    with files.atomic(target) as handle:
        handle.write(b"whole")
        assert not target.exists()
    assert target.read_bytes() == b"whole"
    assert [p.name for p in target.parent.iterdir()] == ["a.bin"]


def test_a_full_disk_leaves_the_old_file_and_no_part(tmp_path, monkeypatch):
    target = tmp_path / "a.json"
    files.write_json(target, {"old": 1})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskError, match=r"a\.json: No space left on device\. Free some space"):
        files.write_json(target, {"new": 2})
    assert json.loads(target.read_text()) == {"old": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_that_is_a_file_is_said(tmp_path):
    (tmp_path / "folder").write_text("")
    with pytest.raises(DiskError, match="folder"):
        files.write_json(tmp_path / "folder" / "a.json", 1)


def test_too_little_disk_is_said_before_the_work(tmp_path):
    with pytest.raises(DiskError, match=r"the Gram dump needs 1,000,000,000 MB"):
        files.require_free_space(tmp_path / "not" / "yet", 10**15, "the Gram dump")


def test_streamed_tensors_are_ordinary_safetensors_of_the_predicted_size(tmp_path):
    shapes = {"a": ("F32", (3, 5)), "empty": ("I64", (0, 7)), "b": ("U8", (11,))}
    meta = {"z": [1, 2], "a": "ü"}
    path = tmp_path / "x.safetensors"
    a = np.arange(15, dtype=np.float32).reshape(3, 5)
    b = np.arange(11, dtype=np.uint8)
    with files.TensorWriter(path, shapes, meta) as writer:
        writer.write("a", a[:2])
        writer.write("a", a[2:])
        writer.write("b", b)
    assert path.stat().st_size == files.safetensors_bytes(shapes, meta)
    with safe_open(path, "np") as peer:
        np.testing.assert_array_equal(peer.get_tensor("a"), a)
        np.testing.assert_array_equal(peer.get_tensor("b"), b)
        assert json.loads(peer.metadata()["sightlines"]) == meta
    reader = files.TensorReader(path)
    assert reader.meta == meta and reader.names() == ["a", "empty", "b"]
    np.testing.assert_array_equal(reader["a"], a)
    assert reader["empty"].shape == (0, 7)
    with pytest.raises(ResultError, match="no tensor 'c'; it has"):
        reader["c"]


def test_tensors_may_take_turns(tmp_path):
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(5, 3)), rng.integers(0, 9, (4, 2))
    shapes = {"a": ("F64", (5, 3)), "empty": ("F32", (0, 2)), "b": ("I64", (4, 2))}
    pieces = [("b", b[:1]), ("a", a[:2]), ("empty", np.zeros((0, 2))), ("b", b[1:]), ("a", a[2:])]
    path = tmp_path / "x.safetensors"
    files.write_tensor_file(path, files.TensorFile(shapes, {"k": 1}, iter(pieces)))
    in_order = {"a": a, "empty": np.zeros((0, 2), np.float32), "b": b}
    files.write_tensors(tmp_path / "in_order", in_order, {"k": 1})
    assert path.read_bytes() == (tmp_path / "in_order").read_bytes()


def test_tensors_undeclared_too_large_or_missing_are_refused(tmp_path):
    shapes = {"a": ("F32", (2,)), "b": ("F32", (2,))}
    path = tmp_path / "x.safetensors"
    with (
        pytest.raises(ValueError, match=r"'c', which is not declared: \['a', 'b'\]"),
        files.TensorWriter(path, shapes, {}) as writer,
    ):
        writer.write("c", np.zeros(2))
    with (
        pytest.raises(ValueError, match="8 bytes of 'a', where 4 are missing"),
        files.TensorWriter(path, shapes, {}) as writer,
    ):
        writer.write("a", np.zeros(1))
        writer.write("a", np.zeros(2))
    with (
        pytest.raises(ValueError, match=r"not completely written: \['b'\]"),
        files.TensorWriter(path, shapes, {}) as writer,
    ):
        writer.write("a", np.zeros(2))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["truncate", "grow", "empty", "header", "foreign"])
def test_damaged_safetensors_are_refused(tmp_path, damage):
    path = tmp_path / "x.safetensors"
    files.write_tensors(path, {"a": np.zeros(1000, np.float32)}, {})
    blob = path.read_bytes()
    path.write_bytes(
        {
            "truncate": blob[:-1],
            "grow": blob + b"x",
            "empty": b"",
            "header": b"\xff" * 8 + blob[8:],
            "foreign": blob.replace(b"sightlines", b"othertools"),
        }[damage]
    )
    with pytest.raises(ResultError, match=r"x\.safetensors.*Delete it and run snakemake again"):
        files.TensorReader(path)


def rewrite_header(path, header):
    """Put another header, an object or a text, before the file's data."""
    blob = path.read_bytes()
    data = blob[8 + int.from_bytes(blob[:8], "little") :]
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def header_of(**changes):
    """Of two tensors of 3 and 5 numbers, one of which is changed."""
    own = {"sightlines": "{}"}
    a = {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}
    b = {"dtype": "F32", "shape": [5], "data_offsets": [12, 32]}
    return {"__metadata__": own, "a": a, "b": b | changes}


@pytest.mark.parametrize(
    "header",
    [
        header_of(shape=[-5], data_offsets=[12, -8]),
        header_of(shape=[-1, -5]),
        header_of(shape=[2**32, 2**32]),
        header_of(shape=[2**32, 2**32], data_offsets=[32, 32]),
        header_of(shape=[10**30]),
        header_of(shape=[5.0]),
        header_of(shape=[5, True]),
        header_of(shape=[1] * 70 + [5]),
        header_of(shape=["5"]),
        header_of(shape="5"),
        header_of(shape=5),
        header_of(data_offsets=[12.0, 32.0]),
        header_of(data_offsets=[0, 20]),
        header_of(data_offsets=[8, 28]),
        header_of(data_offsets=[16, 36]),
        header_of(data_offsets=[12, 32, 52]),
        header_of(dtype=["F32"]),
        header_of(dtype="F128"),
        dict(reversed(header_of().items())),
        "[" * 100_000,
        '{"__metadata__": {"sightlines": "' + "[" * 100_000 + '"}}',
        '{"__metadata__": {"sightlines": "{}"}, "a": 1e999}',
        '{"__metadata__": {"sightlines": "{}"}, "a": {"shape": [' + "9" * 5000 + "]}}",
        "[]",
    ],
    ids=lambda header: str(header)[-60:],
)
def test_damaged_headers_are_refused(tmp_path, header):
    path = tmp_path / "x.safetensors"
    files.write_tensors(path, {"a": np.zeros(3, np.float32), "b": np.zeros(5, np.float32)}, {})
    rewrite_header(path, header_of())
    assert files.TensorReader(path).shape("b") == (5,)
    rewrite_header(path, header)
    with pytest.raises(ResultError, match=r"x\.safetensors.*Delete it and run snakemake again"):
        files.TensorReader(path)


def test_an_empty_tensor_of_a_shape_that_no_array_has_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    files.write_tensors(path, {"a": np.zeros(3, np.float32), "b": np.zeros(0, np.float32)}, {})
    rewrite_header(path, header_of(shape=[0, 7], data_offsets=[12, 12]))
    assert files.TensorReader(path)["b"].shape == (0, 7)
    for side in (2**61, 10**30):
        rewrite_header(path, header_of(shape=[0, side], data_offsets=[12, 12]))
        with pytest.raises(ResultError, match="tensor 'b' has a shape that no array has"):
            files.TensorReader(path)


def test_arrays_of_objects_are_never_loaded(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ResultError, match=r"x\.npy"):
        files.read_npy(path)


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_tables_come_back_and_have_the_same_bytes(tmp_path, name):
    import pandas as pd

    table = pd.DataFrame({"model": ["a", "b"], "cka": [0.1, float("nan")], "layer": [1, 2]})
    files.write_table(tmp_path / name, table)
    once = (tmp_path / name).read_bytes()
    files.write_table(tmp_path / name, table)
    assert (tmp_path / name).read_bytes() == once
    pd.testing.assert_frame_equal(files.read_table(tmp_path / name), table, check_dtype=False)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(ResultError, match=name):
        files.read_table(tmp_path / name)


def test_json_refuses_what_is_not_json(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "a.json", {"loss": float("nan")})
    (tmp_path / "b.json").write_text('{"half": ')
    (tmp_path / "c.json").write_text("[" * 100_000)
    for name in ("b.json", "c.json"):
        with pytest.raises(ResultError, match=name):
            files.read_json(tmp_path / name)
