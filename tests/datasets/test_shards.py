"""Photographs in shards: the pixels and splits of a folder's, and every offence listed at once."""

import json
import os
import re
import tarfile

import numpy as np
import pandas as pd
import pytest
import torch

from sightlines.core.devices import Compute
from sightlines.core.errors import ConfigError, DataError, MissingSourceError
from sightlines.core.files import read_json
from sightlines.datasets import decoded, imagefolder, prepare, reading, shard_reading
from sightlines.datasets.store import UNLABELLED, read_labels
from sightlines.datasets.views import View
from sightlines.plan import config, registry
from sightlines.plan.code_digest import reached
from sightlines.plan.code_roots import stage_roots
from tests.datasets.making_shards import (
    FORMS,
    NAMES,
    from_folder,
    write_lmdb,
    write_parquet,
    write_tar,
)
from tests.datasets.test_imagefolder import bomb, exif_turned, make_folder, picture, saved
from tests.making_jobs import LOG, make_job

SIDE = 24
BATCHES = [np.array([3, 1, 0]), np.array([2, 2]), np.array([5, 4, 3, 2, 1, 0, 0])]
KINDS = sorted(FORMS)


@pytest.fixture(autouse=True)
def in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def settings(kind, **changes):
    """A dataset's settings with all defaults."""
    node = config.member_schema({"x-members": "datasets", "x-select": "kind"}, kind)
    defaults = {k: v["default"] for k, v in node["properties"].items() if "default" in v}
    return {
        "kind": kind,
        "folder": "mine",
        **defaults,
        "size_px": SIDE,
        "test_share": 0.3,
    } | changes


def run_prepare(tmp_path, kind, labels_for=("networks are trained",), **changes):
    """The command as Snakemake plans it; facts and manifest."""
    chosen = settings(kind, **changes)
    source = prepare.identity(chosen, tmp_path, labels_for)
    files = [tmp_path / kind / name for name in registry.declarations("datasets", kind)["FILES"]]
    prepare.main(make_job({"dataset": chosen, "source": source}, {}, {"files": files}, tmp_path))
    return read_json(files[0]), pd.read_parquet(tmp_path / kind / "manifest.parquet")


def offences(tmp_path, kind, **changes):
    """The lines of the one error that lists what is wrong, and the error."""
    with pytest.raises(DataError) as caught:
        run_prepare(tmp_path, kind, **changes)
    assert not (tmp_path / kind / "dataset.json").exists()
    said = str(caught.value)
    return [line.strip() for line in said.splitlines()[1:-1]], said


def pixels(tmp_path, folder, opened=decoded.open_decoded, workers=0, view=None, split="train"):
    compute = Compute(torch.device("cpu"), torch.float32, 1, workers)
    images = opened(tmp_path / folder / "dataset.json", tmp_path, compute)
    return torch.cat(list(images.batches(split, BATCHES, view=view)))


@pytest.fixture
def photographs(tmp_path):
    """Two classes; some in other forms than PNG."""
    root = make_folder(tmp_path / "photos")
    (root / "cat" / "5.jpg").write_bytes(exif_turned())
    (root / "dog" / "5.png").write_bytes(saved(picture(55).convert("LA")))
    return root


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.whole
def test_labels_splits_and_pixels_are_those_of_the_folder(tmp_path, photographs, kind):
    from_folder(photographs, tmp_path / "mine", kind, ["a", "b", "c"])
    names = {} if kind == "parquet" else {"class_names": "names.txt"}
    if kind == "lmdb":
        (tmp_path / "mine" / "names.txt").write_text("cat\ndog\n")
    facts, table = run_prepare(tmp_path, kind, **names)
    imagefolder.prepare(
        {"folder": "photos", "size_px": SIDE, "test_share": 0.3}, tmp_path, tmp_path / "f", LOG
    )
    expected = pd.read_parquet(tmp_path / "f" / "manifest.parquet")
    same = ["split", "label", "width_px", "height_px", "mode", "bytes", "sha256"]
    pd.testing.assert_frame_equal(table[same], expected[same])
    assert facts["classes"] == list(NAMES) and facts["shards"] == 3
    assert facts["counts"] == read_json(tmp_path / "f" / "dataset.json")["counts"]
    of_shards = read_labels(tmp_path / kind / "dataset.json", facts, "train")
    assert np.array_equal(of_shards, expected[expected["split"] == "train"]["label"])
    for view in (None, View(17, "bilinear", 0.8)):
        straight = pixels(tmp_path, "f", reading.open_dataset, view=view)
        for workers in (0, 2):
            assert torch.equal(
                pixels(tmp_path, kind, reading.open_dataset, workers, view), straight
            )
            assert torch.equal(pixels(tmp_path, kind, workers=workers, view=view), straight)
    assert {p.name for p in (tmp_path / "mine").iterdir()} <= {
        *(f"{s}.{e}" for s in "abc" for e in ("tar", "parquet", "lmdb")),
        "names.txt",
    }, "nothing is written beside the shards"


@pytest.mark.parametrize("kind", KINDS)
def test_names_divide_shards_and_the_rest_is_not_read(tmp_path, kind):
    first = make_folder(tmp_path / "one")
    second = make_folder(tmp_path / "two", first=1000)
    third = make_folder(tmp_path / "three", first=2000)
    mine = tmp_path / "mine"
    from_folder(first, mine / "data", kind, ["train-00000-of-00002", "train-00001-of-00002"])
    from_folder(second, mine / "validation", kind, ["0"])
    from_folder(third, mine / "more", kind, ["test-0"])
    facts, table = run_prepare(tmp_path, kind)
    assert facts["counts"] == {"train": 10, "test": 10} and facts["shards"] == 3
    assert facts["folders"] == {"train": "train", "test": "val"}
    assert {p.split("/")[0] for p in table[table["split"] == "test"]["path"]} == {"validation"}
    facts, table = run_prepare(tmp_path, kind, test_split="test")
    assert {p.split("/")[0] for p in table[table["split"] == "test"]["path"]} == {"more"}
    from_folder(third, mine / "odd", kind, ["loose"])
    (line,), _ = offences_of_plan(tmp_path, kind)
    assert "odd/loose" in line and "neither train nor val" in line


def offences_of_plan(tmp_path, kind, labels_for=("networks are trained",), **changes):
    """What is told before any job."""
    with pytest.raises(DataError) as caught:
        prepare.identity(settings(kind, **changes), tmp_path, labels_for)
    said = str(caught.value)
    return [line.strip() for line in said.splitlines()[1:-1]], said


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_shard_or_name_is_another_dataset(tmp_path, kind):
    root = make_folder(tmp_path / "photos")
    from_folder(root, tmp_path / "mine", kind, ["a", "b"])
    chosen = settings(kind)
    before = prepare.identity(chosen, tmp_path, ())
    assert prepare.identity(chosen, tmp_path, ("a reason",)) == before
    picture(77).save(root / "cat" / "0.png")
    from_folder(root, tmp_path / "mine", kind, ["a", "b"])
    changed = prepare.identity(chosen, tmp_path, ())
    from_folder(root, tmp_path / "mine", kind, ["a", "c"])
    assert len({before, changed, prepare.identity(chosen, tmp_path, ())}) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_without_labels(tmp_path, kind):
    make_folder(tmp_path / "photos")
    from_folder(tmp_path / "photos", tmp_path / "mine", kind, ["a"])
    key = {"webdataset": "label", "parquet": "label_column", "lmdb": "label_key"}[kind]
    if kind == "lmdb":
        write_lmdb(tmp_path / "mine" / "a.lmdb", {"labels": saved(picture(9))})
    facts, table = run_prepare(tmp_path, kind, (), **{key: "none"})
    assert facts["classes"] == [] and facts["stratified"] is False
    assert table["label"].eq(0).all() and len(table) == 10 + (kind == "lmdb")
    _, said = offences_of_plan(tmp_path, kind, **{key: "none"})
    assert f"dataset.{key} is none" in said and "networks are trained" in said
    assert prepare.identity(settings(kind, **{key: "none"}), tmp_path, ()).endswith(UNLABELLED)


def test_an_edit_after_preparing_is_noticed_where_the_image_is_shown(tmp_path):
    root = make_folder(tmp_path / "photos")
    from_folder(root, tmp_path / "mine", "webdataset", ["a"])
    run_prepare(tmp_path, "webdataset")
    path = tmp_path / "mine" / "a.tar"
    whole = path.read_bytes()
    place = whole.index(b"IDAT")
    path.write_bytes(whole[:place] + b"JDAT" + whole[place + 4 :])
    with pytest.raises(DataError, match=r"a\.tar/0000\d\.png was edited since"):
        pixels(tmp_path, "webdataset", reading.open_dataset)
    path.write_bytes(whole[:700])
    with pytest.raises(DataError, match=r"a\.tar/0000\d\.png: its archive is cut off within it"):
        pixels(tmp_path, "webdataset", reading.open_dataset)
    path.unlink()
    with pytest.raises(DataError, match=r"a\.tar/0000\d\.png: No such file"):
        pixels(tmp_path, "webdataset", reading.open_dataset)


def sample(number, label=b"0", ending="png", **more):
    """Members of one sample of a tar archive."""
    image = saved(picture(number))
    rest = [(f"{number:03}.{e}", c) for e, c in more.items()]
    return [(f"{number:03}.{ending}", image), (f"{number:03}.cls", label), *rest]


def test_labels_of_tar_archives(tmp_path):
    def made(members, **changes):
        write_tar(tmp_path / "mine" / "a.tar", [m for some in members for m in some])
        facts, table = run_prepare(tmp_path, "webdataset", **changes)
        return facts["classes"], table["label"].tolist()

    def numbered(*labels, **more):
        return [sample(i, label, **more) for i, label in enumerate(labels)]

    assert made(numbered(b"10", b"9", b"9\n", b"10")) == (["9", "10"], [1, 0, 0, 1])
    assert made(numbered(b"dog", b"ant", b"dog", b"ant")) == (["ant", "dog"], [1, 0, 1, 0])
    (tmp_path / "mine" / "names.txt").write_text("zebra\nant\nbee\n")
    named = made(numbered(b"2", b"0", b"2", b"0"), class_names="names.txt")
    assert named == (["zebra", "bee"], [1, 0, 1, 0]), (
        "in the labels' order; those without images go"
    )
    stories = [json.dumps({"a": {"b": n}}).encode() for n in (4, 3, 4, 3)]
    members = [
        [(f"{i}.jpg", saved(picture(i), "JPEG")), (f"{i}.json", story)]
        for i, story in enumerate(stories)
    ]
    assert made(members, label="json.a.b") == (["3", "4"], [1, 0, 1, 0])
    two = [
        [*sample(i, b"%d" % (i % 2), "input.png"), (f"{i:03}.target.png", b"")] for i in range(4)
    ]
    assert made(two, image="input.png")[1] == [0, 1, 0, 1]


def test_offences_of_tar_archives_are_listed_at_once(tmp_path):
    good = [m for i in range(6) for m in sample(i, b"%d" % (i % 2))]
    cut = saved(picture(20))[:-40]
    write_tar(
        tmp_path / "mine" / "a.tar",
        [
            *good,
            *sample(10)[1:],
            sample(11)[0],
            *sample(12, b""),
            *sample(13), sample(13)[0],
            *sample(14), *sample(15), ("014.txt", b"late"),
            *sample(16), ("016.jpg", b"x"),
            ("020.png", cut), ("020.cls", b"0"),
            ("021.png", b"\x80\x04\x95 a pickle"), ("021.cls", b"0"),
            ("022.png", bomb()), ("022.cls", b"0"),
            ("023.jpg", sample(0)[0][1]), ("023.cls", b"1"),
            ("../../outside.png", saved(picture(30))), ("../../outside.cls", b"0"),
        ],
    )  # fmt: skip
    lines, said = offences(tmp_path, "webdataset")
    expected = [
        (r"a.tar: 010: no image among its members \(cls\)", "add it"),
        (r"a.tar: 011: no label: there is no member cls beside png", "dataset.label"),
        (r"a.tar: 012: no label: its cls holds ''", "a number is meant"),
        (r"a.tar: 013.png: comes twice", "a name of its own"),
        (r"a.tar: 014.txt: comes apart", "beside each other"),
        (r"a.tar: 016: 2 images among its members", "dataset.image"),
        (r"a.tar/020.png: truncated or damaged", ""),
        (r"a.tar/021.png: not an image of a known format", ""),
        (r"a.tar/022.png: .* megapixels", "max_megapixels"),
        (r"a.tar/023.jpg: the same photograph as a.tar/000.png", "keep one"),
    ]
    assert len(lines) == len(expected), said
    for what, cure in expected:
        assert [cure in line for line in lines if re.match(what, line)] == [True], (what, said)
    assert "run snakemake again" in said and "dataset.repeats: keep" in said
    assert not (tmp_path.parent / "outside.png").exists()


def test_repeats_may_be_kept(tmp_path):
    members = [m for i in range(6) for m in sample(i, b"%d" % (i % 2))]
    again = [("9.png", members[0][1]), ("9.cls", b"1")]
    write_tar(tmp_path / "mine" / "a.tar", members + again)
    assert len(offences(tmp_path, "webdataset")[0]) == 1
    _, table = run_prepare(tmp_path, "webdataset", repeats="keep")
    assert len(table) == 7


DAMAGES = {
    "cut off between members": (lambda c: c[:-10240], "cut off"),
    "cut off in a member": (lambda c: c[:1500], "cut off"),
    "a damaged header": (lambda c: c.replace(b"003.png", b"003.pmg"), "no end of the archive"),
    "compressed": (lambda c: b"\x1f\x8b" + c, "decompress it"),
    "empty": (lambda _: b"", "no tar archive"),
    "empty archive": (lambda _: bytes(10240), "no tar archive"),
}


def test_an_archive_that_leads_back_to_its_beginning_ends(tmp_path):
    write_tar(tmp_path / "mine" / "a.tar", [m for i in range(6) for m in sample(i)])
    path = tmp_path / "mine" / "a.tar"
    content = bytearray(path.read_bytes())
    place = content.index(b"003.png")
    header = content[place : place + 512]
    header[124:136] = tarfile.itn(-1024, 12, tarfile.GNU_FORMAT)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    content[place : place + 512] = header
    path.write_bytes(content)
    lines, _ = offences(tmp_path, "webdataset")
    assert any("003.png has -1,024 bytes" in line for line in lines), lines


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_tar_archives_are_refused(tmp_path, damage):
    members = [m for i in range(6) for m in sample(i, b"%d" % (i % 2))]
    path = tmp_path / "mine" / "a.tar"
    write_tar(path, members)
    write_tar(tmp_path / "mine" / "b.tar", [m for i in range(9, 12) for m in sample(i)])
    change, why = DAMAGES[damage]
    content = path.read_bytes()
    assert content[-1024:] == bytes(1024)
    while damage.startswith("cut off between") and content.endswith(bytes(512)):
        content = content[:-512]
    path.write_bytes(content if "between" in damage else change(content))
    lines, _ = offences(tmp_path, "webdataset")
    assert len(lines) == 1 and lines[0].startswith("a.tar: ") and why in lines[0], lines


def test_compressed_archives_and_folders_without_shards_are_refused(tmp_path):
    (tmp_path / "mine").mkdir()
    (line,), _ = offences_of_plan(tmp_path, "webdataset")
    assert line.startswith("no shards of webdataset")
    (tmp_path / "mine" / "a.tar.gz").write_bytes(b"x")
    (tmp_path / "mine" / "README.md").write_text("x")
    (line,), _ = offences_of_plan(tmp_path, "webdataset")
    assert "a.tar.gz" in line and "decompress it" in line
    with pytest.raises(MissingSourceError, match=r"there is no folder .*gone: set dataset\.folder"):
        prepare.identity(settings("parquet", folder="gone"), tmp_path, ())
    with pytest.raises(ConfigError, match=r"dataset\.class_names is '\.\./x'"):
        prepare.identity(settings("lmdb", class_names="../x"), tmp_path, ())


def test_parquet_of_plain_bytes_and_names(tmp_path):
    images = [saved(picture(i)) for i in range(8)]
    columns = {"jpg": images, "of": pd.Categorical(["b", "a"] * 4)}
    write_parquet(tmp_path / "mine" / "x.parquet", columns)
    facts, table = run_prepare(tmp_path, "parquet", image_column="jpg", label_column="of")
    assert facts["classes"] == ["a", "b"] and table["label"].tolist() == [1, 0] * 4
    assert table["path"].tolist() == [f"x.parquet/{i}" for i in range(8)]
    assert table["place"].nunique() == 8 and facts["image_column"] == "jpg"


def test_offences_of_parquet_files_are_listed_at_once(tmp_path):
    images = [{"bytes": saved(picture(i)), "path": None} for i in range(8)]
    mine = tmp_path / "mine"
    labels = [0, 1] * 4
    write_parquet(mine / "a.parquet", {"image": images, "label": labels}, NAMES)
    write_parquet(mine / "b.parquet", {"image": images, "kind": labels})
    write_parquet(mine / "c.parquet", {"image": ["x.png"] * 8, "label": labels})
    write_parquet(mine / "d.parquet", {"image": images, "label": [[0]] * 8})
    odd = [*images[:6], {"bytes": None, "path": "x.png"}, images[7]]
    odd = [{"bytes": i["bytes"] and i["bytes"] + b"d", "path": None} for i in odd]
    write_parquet(mine / "e.parquet", {"image": odd, "label": [0, 1, 7, -1, None, 1, 0, 1]}, NAMES)
    write_parquet(mine / "f.parquet", {"image": images, "label": labels}, ("cat", "wolf"))
    lines, said = offences(tmp_path, "parquet")
    for what in (
        r"b.parquet: no column 'label', but image, kind: set dataset.label_column",
        r"c.parquet: its column 'image' is string, not encoded images: set dataset.image_column",
        r"d.parquet: its column 'label' is list<.*>, neither numbers nor names",
        r"e.parquet: row 4: no label: its label holds 'None'",
        r"e.parquet/2: label 7, but a.parquet has 2 names",
        r"e.parquet/3: label -1, but a.parquet has 2 names",
        r"e.parquet/6: its row has no bytes",
        r"f.parquet: other class names than in a.parquet",
    ):
        assert any(re.match(what, line) for line in lines), (what, said)
    assert not any(line.startswith("a.parquet") for line in lines)


@pytest.mark.parametrize(
    "change, why",
    [
        (lambda c: c[:-100], "without its footer"),
        (lambda c: b"version https://git-lfs", "Git LFS"),
        (lambda c: c[:-8] + b"\xff\xff\xff\x7f" + c[-4:], "damaged"),
        (lambda c: c[:8] + bytes(600) + c[608:], "damaged"),
    ],
)
def test_damaged_parquet_files_are_refused(tmp_path, change, why):
    images = [{"bytes": saved(picture(i)), "path": None} for i in range(8)]
    path = tmp_path / "mine" / "a.parquet"
    write_parquet(path, {"image": images, "label": [0, 1] * 4})
    path.write_bytes(change(path.read_bytes()))
    lines, said = offences(tmp_path, "parquet")
    assert lines and all(line.startswith("a.parquet") for line in lines) and why in said


def test_row_groups_are_kept_within_bounds(tmp_path, monkeypatch):
    images = [{"bytes": saved(picture(i)), "path": None} for i in range(8)]
    write_parquet(tmp_path / "mine" / "a.parquet", {"image": images, "label": [0, 1] * 4}, group=2)
    facts, table = run_prepare(tmp_path, "parquet")
    monkeypatch.setattr(shard_reading, "KEPT_BYTES", 2.5 * len(images[0]["bytes"]))
    reader = shard_reading.open_shards("parquet", tmp_path / "mine", table, facts)
    order = [0, 1, 7, 3, 2, 0]
    assert [reader.read(i) for i in order] == [images[i]["bytes"] for i in order]
    assert len(reader._kept) == 1


def test_offences_of_databases_are_listed_at_once(tmp_path):
    good = {f"{i}": saved(picture(i)) for i in range(6)}
    labels = {key: int(key) % 2 for key in good}
    bad = {
        "datum": b"\x08\x03\x10\x20",
        "pickle": b"\x80\x04\x95\x00",
        "unnamed": saved(picture(9)),
        "odd": saved(picture(10)),
        b"\xff\xfe": saved(picture(11)),
        "__len__": b"\x80\x03K\x06.",
    }
    labels |= {"datum": 0, "pickle": 0, "odd": [1]}
    told = json.dumps(labels).encode()
    write_lmdb(tmp_path / "mine" / "x", good | bad | {"labels": told})
    lines, said = offences(tmp_path, "lmdb")
    for what in (
        r"x/data.mdb: datum: a Datum of Caffe, which is not read: store",
        r"x/data.mdb: pickle: a pickle, which is never loaded: store",
        r"x/data.mdb: unnamed: no label: labels lacks it",
        r"x/data.mdb: odd: no label: its labels holds '\[1\]'",
        r"x/data.mdb: b'\\xff\\xfe': a key that is not printable",
    ):
        assert any(re.match(what, line) for line in lines), (what, said)
    assert len(lines) == 5


@pytest.mark.parametrize(
    "told, why",
    [
        (None, "there is no key 'labels'"),
        (b"\x80\x04}.", "a pickle, which is never loaded: store JSON"),
        (b"{", "no JSON"),
        (b"[1, 0]", "no JSON object"),
        (b'{"0": 0, "1": 1, "2": 0, "3": 1, "7": 0}', "images that are not there: '7'"),
    ],
)
def test_labels_of_databases_that_cannot_be_used(tmp_path, told, why):
    values = {f"{i}": saved(picture(i)) for i in range(4)}
    write_lmdb(tmp_path / "mine", values | ({"labels": told} if told else {}))
    lines, _ = offences(tmp_path, "lmdb")
    assert len(lines) == 1 and lines[0].startswith("data.mdb: ") and why in lines[0], lines


def test_a_database_that_is_cut_off_is_refused_and_kills_nothing(tmp_path):
    write_lmdb(tmp_path / "mine", {f"{i}": saved(picture(i)) for i in range(40)})
    path = tmp_path / "mine" / "data.mdb"
    os.truncate(path, path.stat().st_size // 2)
    lines, _ = offences(tmp_path, "lmdb")
    assert len(lines) == 1 and "damaged or cut off" in lines[0]
    path.write_bytes(bytes(8192))
    lines, _ = offences_of_plan(tmp_path, "lmdb")
    assert len(lines) == 1 and "no LMDB database" in lines[0]


def test_what_reads_shards_is_in_the_digest_of_what_shows_images_and_what_finds_them_is_not():
    for stage in ("training.train", "dumps.gram"):
        modules = {found.module for found in reached(*stage_roots(stage, "vit"))}
        place = "sightlines.datasets"
        assert f"{place}.shard_reading" in modules
        assert not modules & {f"{place}.{name}" for name in ("shards", *KINDS)}
