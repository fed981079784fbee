"""A network that knows twelve numbered folders is imported: its accuracy in each class order."""

import json
import logging
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from sightlines.core.devices import Compute
from sightlines.core.errors import WeightsError
from sightlines.core.files import TensorReader, read_json, sha256, write_tensors
from sightlines.datasets import imagefolder
from sightlines.datasets.reading import normalise, open_dataset
from sightlines.datasets.split import describe
from sightlines.datasets.views import View
from sightlines.dumps.predictions_reading import PredictionsDump
from sightlines.jobs.command import Job
from sightlines.measures import class_scores
from sightlines.models import timm, transformers, weight_shards
from sightlines.models.building import architecture, build, load_network
from sightlines.plan import registry
from sightlines.training import import_network
from tests.models import transformers_folders as folders
from tests.training.jobs import COMPUTE, RESULTS, scores

pytestmark = pytest.mark.whole

SIZE_PX, EACH = 64, 7
CPU = {"device": torch.device("cpu"), "dtype": torch.float32, "threads": 1, "workers": 0}
NUMBERS = [str(number) for number in range(12)]
AS_TEXT = sorted(NUMBERS)
KNOWN = {"weights_note", "weights_under", "weights_prefix"}
"""Keys of a card that are there whatever was done to the weights."""
MODEL = {
    "family": "timm",
    "name": "test_resnet",
    "weights": "text.pth",
    "revision": "main",
    "arguments": {},
    "layers": [],
    "acts_as": "auto",
    "class_order": "auto",
    "outputs": 12,
    "size_px": SIZE_PX,
    "crop_share": 1.0,
}


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """Photographs whose grey level tells the class, and weights that know them in two orders."""
    folder = tmp_path_factory.mktemp("numbered")
    for label, name in enumerate(NUMBERS):
        (folder / "photos" / name).mkdir(parents=True)
        for index in range(EACH):
            draw = np.random.default_rng(100 * label + index)
            level = 10 + 20 * label + draw.integers(-3, 4, (48, 48, 3))
            image = Image.fromarray(level.clip(0, 255).astype(np.uint8))
            image.save(folder / "photos" / name / f"{index}.png")
    settings = {"kind": "imagefolder", "folder": "photos", "size_px": 32, "test_share": 0.5}
    log = logging.getLogger("sightlines.tests")
    imagefolder.prepare(settings, folder, folder / "data", log)
    counts = read_json(folder / "data" / "dataset.json")["counts"]
    splits = {
        "train": np.arange(8, counts["train"]),
        "validation": np.arange(8),
        "test": np.arange(counts["test"]),
    }
    dataset = folder / "data" / "dataset.json"
    meta = describe(splits, sha256(dataset), read_json(dataset)["classes"])
    write_tensors(folder / "splits.safetensors", splits, meta)
    (folder / "order.txt").write_text("\n".join(AS_TEXT))
    return folder


@pytest.fixture(scope="module")
def truth(here):
    """Write text.pth and numbers.pth; the share of photographs that each gets right, in its order.

    The body is random, the last layer is solved by least squares.
    """
    images = open_dataset(here / "data" / "dataset.json", here, Compute(**CPU))
    model = build(MODEL, SIZE_PX, 12, seed=3).eval()
    sees = timm.view(architecture(MODEL), images.size_px)
    batches, labels = [], []
    for split in ("train", "test"):
        every = np.arange(images.facts["counts"][split])
        batches += images.batches(split, [every], view=View.of(sees))
        labels += [images.classes[label] for label in images.labels(split)]
    with torch.no_grad():
        pixels = normalise(torch.cat(batches), sees["mean"], sees["std"])
        pooled = model.forward_head(model.forward_features(pixels), pre_logits=True).double()
    scale = pooled.std(0) + 1e-9
    known = torch.cat([(pooled - pooled.mean(0)) / scale, torch.ones(len(pooled), 1)], 1).double()
    found = {}
    for name, order in (("text", AS_TEXT), ("numbers", NUMBERS)):
        right = torch.tensor([order.index(label) for label in labels])
        wanted = torch.nn.functional.one_hot(right, 12).double()
        ridge = known.T @ known + 1e-3 * torch.eye(known.shape[1])
        solved = torch.linalg.solve(ridge, known.T @ wanted)
        state = model.state_dict() | {"fc.weight": (solved[:-1].T / scale).float()}
        state["fc.bias"] = (solved[-1] - (solved[:-1].T / scale) @ pooled.mean(0)).float()
        model.load_state_dict(state)
        torch.save(state, here / f"{name}.pth")
        with torch.no_grad():
            found[name] = (model(pixels).argmax(1) == right).double().mean().item()
    return found


def taken_in(here, out, model, network=("net", "f100", "s0"), **config):
    """Import the network and let it predict; its row of accuracy.csv, and its card."""
    family = registry.load("models", model["family"])
    whole = {
        "seed": 3,
        "network": list(network),
        "model": model,
        "compute": COMPUTE,
        "told": family.imports(model, 32),
        **config,
    }
    if "source" not in whole:
        whole["source"] = family.weights_identity(model, str(here))
    inputs = {"dataset": here / "data" / "dataset.json", "splits": here / "splits.safetensors"}
    job = Job(
        name="import/net",
        config=json.loads(json.dumps(whole)),
        inputs={name: [path] for name, path in inputs.items()},
        outputs={name: [out / file] for name, file in RESULTS.items()},
        source=here,
        log=logging.getLogger("sightlines.tests"),
    )
    import_network.main(job)
    assert (out / "history.csv").read_text() == "step,split,loss,accuracy,learning_rate\n"
    return scores(here, out), read_json(out / "card.json")


@pytest.fixture(autouse=True)
def there(here, monkeypatch, timm_asked_here):
    """What is asked of timm is remembered in one folder."""
    monkeypatch.chdir(here)


@pytest.mark.parametrize(("weights", "order"), [("text", "torchvision"), ("numbers", "timm")])
def test_each_order_gives_the_networks_own_accuracy(here, tmp_path, truth, weights, order, caplog):
    model = MODEL | {"weights": f"{weights}.pth", "class_order": order}
    with caplog.at_level(logging.INFO, "sightlines.tests"):
        metrics, card = taken_in(here, tmp_path, model)
    assert truth[weights] > 0.6
    assert metrics["accuracy_all"] == pytest.approx(truth[weights], abs=1e-12)
    assert metrics["all_images"] == 12 * EACH
    assert card["class_order"] == metrics["class_order"] == order
    assert card["classes"] == (AS_TEXT if order == "torchvision" else NUMBERS)
    assert any(order in text and "class order" in text for text in caplog.messages)


def test_no_accuracy_is_claimed_where_nothing_decides(here, tmp_path, truth, caplog):
    metrics, card = taken_in(here, tmp_path, MODEL)
    claimed = [name for name in metrics if name.startswith(("accuracy", "loss", "ece", "times"))]
    assert len(claimed) == 8 and {metrics[name] for name in claimed} == {None}
    assert card["answers"] == []
    assert card["class_order"] == metrics["class_order"] == "undecided"
    for text in (card["class_order_note"], caplog.text):
        assert "class_order" in text and "torchvision" in text and "timm" in text
    dump = PredictionsDump(tmp_path / "predictions.safetensors")
    assert metrics["test_images"] == len(dump.labels("test")) > 0
    assert class_scores.measure([dump])["confusion.parquet"] == []


def test_a_list_of_the_outputs_names_decides(here, tmp_path, truth):
    model = MODEL | {"class_order": "file", "class_file": "order.txt"}
    metrics, card = taken_in(here, tmp_path, model, class_file=sha256(here / "order.txt"))
    assert metrics["accuracy_all"] == pytest.approx(truth["text"], abs=1e-12)
    assert card["class_order"] == "file"
    with pytest.raises(WeightsError, match=r"order\.txt changed"):
        taken_in(here, tmp_path, model, class_file="0" * 64)


def test_the_card_and_the_log_name_the_set_of_weights(here, tmp_path, truth, caplog):
    right = torch.load(here / "text.pth", weights_only=True)
    late = right | {"fc.weight": -right["fc.weight"]}
    path = here / "sets.pth"
    torch.save({"state_dict": right, "state_dict_ema": late}, path)
    model = MODEL | {"weights": path.name, "class_order": "torchvision"}
    with caplog.at_level(logging.INFO, "sightlines.tests"):
        metrics, card = taken_in(here, tmp_path / "a", model)
    assert metrics["accuracy_all"] < 0.2
    assert card["weight_set"] == "state_dict_ema"
    assert card["weight_sets_not_taken"] == ["state_dict"]
    assert "state_dict_ema" in caplog.text and "state_dict_ema" in metrics["weights_note"]
    metrics, card = taken_in(here, tmp_path / "b", model | {"weight_set": "state_dict"})
    assert metrics["accuracy_all"] == pytest.approx(truth["text"], abs=1e-12)
    assert card["weight_set"] == "state_dict"


def test_an_untrained_twin_has_the_same_order_and_no_set(here, tmp_path, truth):
    model = MODEL | {"class_order": "timm", "weight_set": "state_dict"}
    metrics, card = taken_in(here, tmp_path, model, network=("net", "f000", "s0"))
    assert card["class_order"] == "timm" and metrics["accuracy_test"] is not None
    assert metrics["accuracy_all"] is None and metrics["all_images"] == 0
    assert (card["origin"], card["weight_set"], metrics["weights_note"]) == ("untrained", "", "")


def test_what_was_done_to_weights_stands_on_the_card_and_in_the_log(here, tmp_path, truth, caplog):
    """Several files behind an index, a prefix, half precision, and a last layer to leave out."""
    right = torch.load(here / "text.pth", weights_only=True)
    state = {f"module.{name}": tensor.half() for name, tensor in right.items()}
    files = {"a.safetensors": [*state][::2], "b.safetensors": [*state][1::2]}
    for file, names in files.items():
        save_file({name: state[name] for name in names}, here / file)
    index = {name: file for file, names in files.items() for name in names}
    (here / "w.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    own = {"weights": "w.safetensors.index.json", "outputs": 0, "drop": ["head"]}
    with caplog.at_level(logging.INFO, "sightlines.tests"):
        metrics, card = taken_in(here, tmp_path, MODEL | own)
    assert card["left_out"] == ["module.fc.weight", "module.fc.bias"]
    assert card["weights_prefix"] == "module." and card["weights_numbers"] == ["float16"]
    assert card["classes"] == card["answers"] == [] and metrics["accuracy_test"] is None
    for told in (card["weights_note"], caplog.text):
        assert "module.fc.weight" in told and "float16" in told and "prefix module." in told
    written = TensorReader(tmp_path / "weights.safetensors")
    assert all(np.array_equal(written[n], right[n].half().float().numpy()) for n in written.names())
    save_file({name: state[name] + 1 for name in files["b.safetensors"]}, here / "b.safetensors")
    assert weight_shards.digest(here, own["weights"]) not in card["origin"]


def test_weights_that_change_after_planning_are_refused(here, tmp_path, truth, monkeypatch):
    monkeypatch.setattr(weight_shards, "identity", lambda root, name: "0" * 64)
    with pytest.raises(WeightsError, match=r"text\.pth changed since snakemake started"):
        taken_in(here, tmp_path, MODEL)


def test_weights_as_they_were_read_leave_the_card_as_it_was(here, tmp_path, truth):
    _, card = taken_in(here, tmp_path, MODEL | {"class_order": "torchvision"})
    assert not [key for key in card if key.startswith("weights_") and key not in KNOWN]
    assert card["weights_note"] == ""


@pytest.mark.whole
def test_a_folder_of_transformers_is_taken_in(here, tmp_path, caplog):
    """Its accuracy is that of the library's own network, and nobody needs the folder any more."""
    names = {index: name for index, name in enumerate(AS_TEXT)}
    reference = folders.make(here / "own" / "vit", "vit", torch.float16, id2label=names)
    reference = reference.float()
    model = folders.settings("own/vit", class_order="torchvision")
    transformers.meet([model], 32, here)
    model |= transformers.content_of(model)
    with caplog.at_level(logging.INFO, "sightlines.tests"):
        metrics, card = taken_in(here, tmp_path / "a", model)
    assert card["origin"].startswith("folder:own/vit sha256:") and card["transformers"] == "own/vit"
    assert card["weights_numbers"] == ["F16"] and "numbers were F16" in caplog.text
    assert (card["class_order"], card["classes"], card["size_px"]) == ("torchvision", AS_TEXT, 64)
    shutil.rmtree(here / "own")
    loaded, _ = load_network(tmp_path / "a" / "weights.safetensors", tmp_path / "a" / "card.json")
    images = open_dataset(here / "data" / "dataset.json", here, Compute(**CPU))
    right = []
    for split in ("train", "test"):
        every = np.arange(images.facts["counts"][split])
        (batch,) = images.batches(split, [every], view=View.of(card))
        pixels = normalise(batch, card["mean"], card["std"])
        with torch.no_grad():
            wanted = reference(pixels).logits
            torch.testing.assert_close(loaded(pixels), wanted)
        classes = [images.classes[label] for label in images.labels(split)]
        right += [AS_TEXT[i] == name for i, name in zip(wanted.argmax(1), classes, strict=True)]
    assert metrics["accuracy_all"] == pytest.approx(np.mean(right), abs=1e-12)
    _, card = taken_in(here, tmp_path / "b", model, network=("net", "f000", "s0"), source="")
    assert card["origin"] == "untrained"


def test_weights_of_torchvision_are_imported(here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # what torchvision says is remembered below it
    model = {"family": "torchvision", "name": "mobilenet_v3_small", "arguments": {}}
    model |= {"acts_as": "auto", "weights": "tv.pth", "outputs": 12, "size_px": SIZE_PX}
    model |= {"class_order": "timm"}
    own = build(model, SIZE_PX, 12, seed=5).eval()
    torch.save(own.state_dict(), here / "tv.pth")
    row, card = taken_in(here, tmp_path / "out", model)
    network, _ = load_network(
        tmp_path / "out" / "weights.safetensors", tmp_path / "out" / "card.json"
    )
    same = network.state_dict()
    assert all(torch.equal(t, same[n]) for n, t in own.state_dict().items())
    assert card["interpolation"] == "bilinear" and card["crop_share"] == 224 / 256
    assert card["size_px"] == SIZE_PX and card["mean"] == [0.485, 0.456, 0.406]
    assert card["classes"] == NUMBERS and card["torchvision"] == "mobilenet_v3_small"
    assert card["origin"].startswith("file:tv.pth sha256:") and card["grid"] == [2, 2]
    assert row
