"""Cue conflicts with one cue changed: how they are made, and how alike they are to a network."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from sightlines.core.errors import DataError
from sightlines.core.files import sha256, write_tensor_file, write_tensors
from sightlines.datasets import shapes
from sightlines.datasets.shapes_conflicts import changed_conflicts, third
from sightlines.datasets.shapes_integers import Draws
from sightlines.datasets.shapes_scene import conflict_labels
from sightlines.dumps import conflict_depth
from sightlines.dumps.conflict_depth import partners
from sightlines.dumps.conflict_depth_reading import ConflictDepthDump
from sightlines.measures import conflict_depth as measured
from sightlines.measures.condition_depth import similarities
from tests.dumps import making_experiments as making
from tests.dumps.test_predictions import with_head

SEED = 5
SETTINGS = {name: own["default"] for name, own in shapes.SETTINGS.items()} | {"n_conflict": 300}
BOTH = {"depth": ["other_texture", "other_shape"], "images": 200}
WORDS = ("bear", "car", "cat", "dog")


def test_only_the_cue_that_is_named_is_changed():
    plain, masks, scene = shapes.generate(SETTINGS, "conflict")
    places = np.array([7, 250, 3, 129])
    assert np.array_equal(changed_conflicts(SETTINGS, "", places), plain[places])
    texture, shape = (
        changed_conflicts(SETTINGS, which, places) for which in ("other_texture", "other_shape")
    )
    outside = ~masks[places]
    # A surface reaches as far as its outline: over the edge there is at most a pixel of blending.
    far = outside & ~_grown(masks[places])
    assert np.array_equal(texture[far], plain[places][far])
    assert (texture != plain[places]).any(axis=(1, 2, 3)).all()
    assert (shape != plain[places]).any(axis=(1, 2, 3)).all()
    assert texture.dtype == shape.dtype == np.uint8 and scene.label.shape == (300,)


def _grown(masks):
    found = masks.copy()
    for axis in (1, 2):
        found |= np.roll(found, 1, axis) | np.roll(found, -1, axis)
    return found


def test_the_new_cue_is_of_a_third_class():
    label, texture = conflict_labels(Draws(0, "conflict", 900))
    for rank in range(8):
        other = third(label, texture, np.full(900, rank))
        assert ((other != label) & (other != texture)).all()
        assert other.min() >= 0 and other.max() <= 9
    ranks = np.stack([third(label, texture, np.full(900, rank)) for rank in range(8)])
    assert all(len({*column}) == 8 for column in ranks.T), "each of the eight once"


@pytest.fixture
def shown(tmp_path):
    dataset = making.make_dataset(tmp_path / "data")
    making.make_conflicts(dataset, tmp_path / "conflicts.safetensors")
    making.make_network(tmp_path / "net", making.VIT, dataset, change=with_head)
    return making.open_shown(tmp_path / "net", dataset, tmp_path / "conflicts.safetensors")


def test_generated_conflicts_are_held_against_themselves_with_one_cue_changed(tmp_path, shown):
    content = conflict_depth.record(shown, SEED, making.SHAPES, BOTH)
    write_tensor_file(tmp_path / "dump", content)
    dump = ConflictDepthDump(tmp_path / "dump")
    assert dump.batch_sizes == [making.CONFLICTS] and [r["block"] for r in dump.rows][:2] == [-1, 0]
    cka = similarities(dump)[0]
    assert cka.shape == (2, len(dump.rows)) and (cka < 1).all() and np.isfinite(cka).all()
    tables = measured.measure([dump])
    (lead,) = tables["conflict_lead.csv"]
    assert np.allclose(lead["lead"], cka[0] - cka[1]) and lead["beyond_pixels"].iloc[0] == 0
    one = BOTH | {"depth": ["other_shape"]}
    write_tensor_file(tmp_path / "one", conflict_depth.record(shown, SEED, making.SHAPES, one))
    alone = ConflictDepthDump(tmp_path / "one")
    assert np.allclose(similarities(alone)[0, 0], cka[1])
    assert measured.measure([alone])["conflict_lead.csv"] == []


def photographs(folder, count=2):
    """Every shape with every other texture, each of so many sources; flat colours."""
    folder.mkdir()
    paths, shape, texture = [], [], []
    for a, one in enumerate(WORDS):
        for b, other in enumerate(WORDS):
            for number in range(1, count + 1):
                if a == b:
                    continue
                path = f"{one}{number}-{other}{number}.png"
                pixels = np.random.default_rng([a, b, number]).integers(0, 256, (8, 8, 3))
                Image.fromarray(pixels.astype(np.uint8)).save(folder / path)
                paths.append(path)
                shape.append(a)
                texture.append(b)
    return paths, np.array(shape), np.array(texture)


def listed(folder, dataset, paths, shape, texture):
    hashes = [hashlib.sha256((folder / path).read_bytes()).hexdigest() for path in paths]
    meta = {"subsets": ["conflict"], "categories": [*WORDS], "folder": folder.name}
    meta |= {"paths": paths, "sha256": hashes, "dataset_sha256": sha256(dataset)}
    write_tensors(
        folder.parent / "listed.safetensors",
        {"shape.conflict": shape, "texture.conflict": texture},
        meta,
    )
    return folder.parent / "listed.safetensors"


def test_partners_share_one_source_and_differ_in_the_other_category(tmp_path):
    paths, *_ = photographs(tmp_path / "stimuli")
    found = partners(paths, SEED)
    names = [path.removesuffix(".png").split("-") for path in paths]
    for place, (one, other) in enumerate(names):
        same_outline = names[found["other_texture"][place]]
        assert same_outline[0] == one and same_outline[1][:-1] != other[:-1]
        same_surface = names[found["other_shape"][place]]
        assert same_surface[1] == other and same_surface[0][:-1] != one[:-1]
    assert np.array_equal(found["other_shape"], partners(paths, SEED)["other_shape"])
    lonely = partners(["cat1-dog1.png", "a/bear1-dog1.png"], SEED)
    assert lonely["other_texture"].tolist() == [-1, -1]
    assert lonely["other_shape"].tolist() == [1, 0]
    agreeing = partners(["cat1-dog1.png", "cat1-cat2.png", "cat1-bear1.png"], SEED)
    assert agreeing["other_texture"].tolist() == [2, -1, 0]


def test_photographs_are_shown_beside_their_partners(tmp_path, shown):
    paths, shape, texture = photographs(tmp_path / "net" / "stimuli")
    splits = listed(tmp_path / "net" / "stimuli", shown.images.path, paths, shape, texture)
    own = making.open_shown(tmp_path / "net", shown.images.path, splits)
    write_tensor_file(tmp_path / "dump", conflict_depth.record(own, SEED, {}, BOTH))
    dump = ConflictDepthDump(tmp_path / "dump")
    assert sum(dump.batch_sizes) == len(paths) == 24
    assert len(dump.batch_sizes) == 3 and np.isfinite(similarities(dump)).all()


def test_too_few_partners_are_said_before_anything_is_shown(tmp_path, shown):
    paths, shape, texture = photographs(tmp_path / "net" / "stimuli", count=1)
    few = [p for p in paths if p.startswith(("bear", "car"))][:4]
    splits = listed(tmp_path / "net" / "stimuli", shown.images.path, few, shape[:4], texture[:4])
    own = making.open_shown(tmp_path / "net", shown.images.path, splits)
    with pytest.raises(DataError, match=r"only \d of 4 images with a cue conflict have a partner"):
        conflict_depth.record(own, SEED, {}, BOTH)
