"""Kinds of dumps that share a forward pass: the same bytes as alone, whoever is with them."""

import contextlib
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from sightlines.core.errors import ResultError
from sightlines.core.files import TensorReader, write_tensor_file
from sightlines.dumps import attention, passes
from sightlines.dumps.labelled import FEWEST, Walk, cut
from sightlines.dumps.network import Minibatch
from sightlines.plan import registry
from sightlines.plan.networks import Network
from tests.dumps import making_experiments as making

NETS = {
    "vit": making.VIT,
    "resnet": making.RESNET,
    "mixer": {"family": "mixer", "patch_px": 4, "width": 12, "depth": 2, "token_ratio": 0.5}
    | {"mlp_ratio": 2, "drop_path": 0.1},
}
PROBES = {"token_depths": 2, "token_train": 9, "token_held_out": 4, "token_test": 41}
USES = {"probes": PROBES, "seed": 7, "attention_maps": {"images": 40, "pictures": 15}}
KINDS = {
    word: [
        kind
        for kind in registry.members("dumps")
        if registry.declarations("dumps", kind).get("PASS") == word
    ]
    for word in ("reference", "labelled")
}


@pytest.fixture
def here(tmp_path):
    """Images and chosen ones; probes are the first of the orders that predictions go through."""
    dataset = making.make_dataset(tmp_path / "data", train=130, test=90)
    making.make_reference(dataset, tmp_path / "reference.safetensors", [13, 9, 9])
    making.make_splits(dataset, tmp_path / "splits.safetensors", validation=50)
    making.make_first_probes(dataset, tmp_path, (41, 37, 39), USES["seed"])
    return tmp_path


def network(here, name, change=None):
    """A network that is shown the reference images, and all that records it by its pass."""
    folder, dataset = here / name, here / "data" / "dataset.json"
    making.make_network(folder, NETS[name], dataset, change=change)
    return making.open_shown(folder, dataset, here / "reference.safetensors")


def recorded(here, one, kind, **changes):
    declared = registry.declarations("dumps", kind)
    splits = TensorReader(here / f"{declared['SPLITS']}.safetensors")
    uses = making.settings_of(kind, USES | changes)
    return registry.load("dumps", kind).record(replace(one, splits=splits), **uses)


def kinds_of(here, one, word):
    """What each kind keeps that this network has."""
    is_vit = one.card["family"] == "vit"
    flags = {kind: registry.declarations("dumps", kind).get("FAMILIES") for kind in KINDS[word]}
    return {
        kind: recorded(here, one, kind)
        for kind, flag in flags.items()
        if is_vit or flag in (None, "BRANCHES")
    }


def together(one, kinds):
    """Kind -> name -> all of each tensor, or why there is none; the network ran once."""
    found = {kind: {name: [] for name in watched.shapes} for kind, watched in kinds.items()}
    for kind, rows in passes.record_together(one, kinds):
        if isinstance(rows, Exception):
            found[kind] = rows
        else:
            for name, array in rows.items():
                found[kind][name].append(array)
    return {
        kind: parts if isinstance(parts, Exception) else parts_to_bytes(kinds[kind], parts)
        for kind, parts in found.items()
    }


def parts_to_bytes(watched, parts):
    codes = {"F32": np.float32, "F64": np.float64, "I64": np.int64, "U8": np.uint8}
    found = {}
    for name, (code, shape) in watched.shapes.items():
        arrays = [np.asarray(array, codes[code]) for array in parts[name]]
        array = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        assert array.shape == shape, name
        found[name] = array.tobytes()
    return found


def companies(kinds):
    """Each kind before and after each other one; all but one; all, in both orders.

    All subsets would double with every new kind of dump.
    """
    yield from itertools.permutations(kinds, 2)
    yield from itertools.combinations(kinds, len(kinds) - 1)
    yield from (kinds, kinds[::-1])


@pytest.mark.whole
@pytest.mark.parametrize("word", KINDS)
@pytest.mark.parametrize("name", NETS)
def test_kinds_give_the_same_bytes_in_any_company(here, name, word):
    one = network(here, name)
    alone = {kind: together(one, {kind: w})[kind] for kind, w in kinds_of(here, one, word).items()}
    assert len(alone) >= (3 if name == "vit" or word == "labelled" else 2)
    for chosen in companies([*alone]):
        watched = {kind: recorded(here, one, kind) for kind in chosen}
        assert together(one, watched) == {kind: alone[kind] for kind in chosen}, chosen


@pytest.mark.parametrize("word", KINDS)
def test_each_minibatch_is_shown_once_and_no_hook_is_left(here, word):
    one = network(here, "vit")
    kinds, shown = kinds_of(here, one, word), []
    wanted = {(m.split, m.images.tobytes()) for w in kinds.values() for m in w.minibatches}
    blocks = one.model.blocks
    blocks[-1].register_forward_hook(lambda *_: shown.append(1))
    # each is held against a forward pass
    checked = ("attention", "attention_sites", "cls_attention")
    extra = sum(1 for kind in kinds if kind in checked)
    together(one, kinds)
    assert len(shown) == len(wanted) + extra
    left = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in one.model.modules()]
    assert sum(left) == 1


def test_an_imported_network_is_shown_no_image_twice(here):
    """Probes are the first of what it is asked to classify, training images too."""
    one = network(here, "vit")
    one.card["answers"] = [2, 0, 1]
    one = replace(one, network=Network("vit", "f100", "s0"))
    kinds, count = kinds_of(here, one, "labelled"), []
    one.model.register_forward_pre_hook(lambda _, given: count.append(len(given[0])))
    together(one, kinds)
    assert sum(count) == 130 + 90


@pytest.mark.parametrize("changes", [{"token_train": 40}, {"token_test": 3}, {"token_depths": 1}])
def test_other_settings_of_one_kind_change_no_other(here, changes):
    one = network(here, "vit")
    plain = together(one, kinds_of(here, one, "labelled"))
    other = kinds_of(here, one, "labelled")
    other["token_features"] = recorded(here, one, "token_features", probes=PROBES | changes)
    found = together(one, other)
    assert found["token_features"] != plain["token_features"]
    assert found["features"] == plain["features"]
    assert found["predictions"] == plain["predictions"]


def test_more_probes_change_no_prediction_and_no_row_that_was_there(here):
    one, dataset = network(here, "vit"), here / "data" / "dataset.json"
    few = together(one, kinds_of(here, one, "labelled"))
    making.make_first_probes(dataset, here, (60, 45, 80), USES["seed"])
    many = together(one, kinds_of(here, one, "labelled"))
    assert many["predictions"] == few["predictions"]
    for name, values in few["features"].items():
        if name not in ("labels", "subset"):
            row = len(values) // (41 + 37 + 39)
            assert many["features"][name][: 41 * row] == values[: 41 * row]
            tests = values[(41 + 37) * row :]
            assert many["features"][name][(60 + 45) * row :][: len(tests)] == tests


def overflow(state):
    state["blocks.1.mlp.fc1.weight"] *= 1e20
    state["blocks.1.mlp.fc2.weight"] *= 1e30


def test_what_fails_leaves_the_others_and_says_what_it_says_alone(here):
    one = network(here, "vit", change=overflow)
    found = together(one, kinds_of(here, one, "reference"))
    for kind in ("gram", "localisation"):
        with pytest.raises(ResultError, match=r"layer block01\.\w+ of vit/f000/s0") as alone:
            together_alone(here, one, kind)
        assert str(found[kind]) == str(alone.value)
    for kind in ("attention", "heads"):
        assert found[kind] == together(one, {kind: recorded(here, one, kind)})[kind]


def together_alone(here, one, kind):
    for _ in passes.alone(one, recorded(here, one, kind)).tensors:
        pass


def test_a_kind_that_fails_in_a_later_minibatch_has_been_counted_once(here):
    one = network(here, "vit")
    plain = together(one, kinds_of(here, one, "reference"))
    kinds = kinds_of(here, one, "reference")
    whole = kinds["gram"].watch

    @contextlib.contextmanager
    def spoilt(minibatch, images):
        with whole(minibatch, images) as rows:
            yield rows
        if minibatch.name == "001":
            raise ResultError("spoilt")

    kinds["gram"] = replace(kinds["gram"], watch=spoilt)
    found = together(one, {"attention": kinds.pop("attention"), **kinds})
    assert str(found.pop("gram")) == "spoilt"
    plain.pop("gram")
    assert found == plain, "attention to offsets is summed over minibatches"


def test_attention_that_is_not_what_is_captured_fails_alone(here, monkeypatch):
    def check(*_):
        raise ResultError("not what it seems")

    monkeypatch.setattr(attention, "check_attention", check)
    one = network(here, "vit")
    found = together(one, kinds_of(here, one, "reference"))
    assert "not what it seems" in str(found["attention"])
    assert all(isinstance(rows, dict) for kind, rows in found.items() if kind != "attention")


def test_an_interrupt_ends_all_and_leaves_no_hook(here):
    one = network(here, "vit")
    kinds = kinds_of(here, one, "reference")

    def stop(*_):
        raise KeyboardInterrupt

    handle = one.model.blocks[1].register_forward_hook(stop)
    with pytest.raises(KeyboardInterrupt):
        together(one, kinds)
    handle.remove()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in one.model.modules())


def test_heads_alone_end_each_forward_pass_after_the_first_attention(here):
    one, reached = network(here, "vit"), []
    one.model.blocks[1].register_forward_pre_hook(lambda *_: reached.append(1))
    kinds = {"heads": recorded(here, one, "heads")}
    alone = together(one, kinds)
    assert not reached
    kinds["skips"] = recorded(here, one, "skips")
    reached.clear()
    assert together(one, kinds)["heads"] == alone["heads"] and len(reached) == 3


def minibatch(images, split="test", kept=None):
    images = np.array(images)
    return Minibatch("x", split, images, len(images) if kept is None else kept)


def turns_of(**sequences):
    found = passes.take_turns({k: [minibatch(i) for i in own] for k, own in sequences.items()})
    return [("".join(turn), next(iter(turn.values())).images.tolist()) for turn in found]


def test_minibatches_of_the_same_images_are_one_turn():
    one, two, three, four = [1], [2, 9], [3], [4]
    assert turns_of(a=[one, two], b=[one, two]) == [("ab", one), ("ab", two)]
    assert turns_of(a=[one, three], b=[one, two, three, four]) == [
        *(("ab", one), ("b", two), ("ab", three), ("b", four))
    ]
    assert turns_of(a=[one], b=[two, one]) == [("b", two), ("ab", one)]
    assert turns_of(a=[one, one], b=[one]) in ([("ab", one), ("a", one)], [("a", one), ("ab", one)])
    assert turns_of(a=[], b=[one]) == [("b", one)]


def test_each_kind_keeps_its_own_order_where_orders_differ():
    one, two = [1], [2]
    found = turns_of(a=[one, two], b=[two, one])
    for kind, order in (("a", [one, two]), ("b", [two, one])):
        assert [images for kinds, images in found if kind in kinds] == order


def test_images_of_another_split_are_others():
    found = passes.take_turns({"a": [minibatch([1])], "b": [minibatch([1], "train")]})
    assert [list(turn) for turn in found] == [["a"], ["b"]]


@pytest.mark.parametrize("size", [1, 20, 100, 256])
def test_minibatches_are_cut_from_the_whole_order_whatever_is_kept(size):
    order = np.random.default_rng(1).permutation(500)
    whole = cut([Walk("x", "test", order, 500)], size)
    assert np.concatenate([m.images for m in whole]).tolist() == order.tolist()
    assert all(len(m.images) <= size for m in whole) and len(whole[0].images) <= FEWEST
    for count in (1, 31, 32, 33, 150, 499):
        some = cut([Walk("x", "test", order, count)], size)
        for a, b in zip(some, whole, strict=False):
            assert a.images.tolist() == b.images.tolist()
        assert sum(m.kept for m in some) == count and all(m.kept for m in some)
        assert sum(len(m.images) for m in some) <= max(2 * count, FEWEST)


def sized(megabytes):
    shapes = {"x.000": ("F32", (megabytes * 250_000,)), "x.001": ("F32", (megabytes * 250_000,))}
    own = [minibatch([1]), minibatch([2])]
    return passes.Watched(shapes=shapes, meta={}, minibatches=own, watch=contextlib.nullcontext)


def test_kinds_that_keep_much_of_a_minibatch_are_recorded_apart():
    kinds = {"a": sized(30), "b": sized(20), "c": sized(25), "d": sized(1)}
    assert kinds["a"].rows_bytes == pytest.approx(30e6, rel=1e-3)
    assert passes.passes_of(kinds) == [["a", "b", "c", "d"]]
    assert passes.passes_of(kinds, 46_100_000) == [["a", "b", "c", "d"]]
    assert passes.passes_of(kinds, 45_100_000) == [["a", "b", "c"], ["d"]]
    assert passes.passes_of(kinds, 22_000_000) == [["a", "b", "d"], ["c"]]
    assert passes.passes_of(kinds, 0) == [["a"], ["b"], ["c"], ["d"]]


def test_a_file_is_written_while_a_network_runs(here):
    one = network(here, "vit")
    watched = recorded(here, one, "gram")
    write_tensor_file(here / "gram", passes.alone(one, watched))
    reader = TensorReader(here / "gram")
    found = {name: np.asarray(reader[name]).tobytes() for name in reader.names()}
    assert found == together(one, {"gram": recorded(here, one, "gram")})["gram"]
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
