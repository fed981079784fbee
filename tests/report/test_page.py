import base64
import hashlib
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from markupsafe import escape
from PIL import Image

from sightlines.core.errors import ResultError
from sightlines.core.files import write_json
from sightlines.plan import registry
from sightlines.report import controls, page, parts, records
from tests.report.synthetic_records import HOSTILE, record
from tests.rounding import rounded

pytestmark = pytest.mark.whole

VOID = {"meta", "link", "img", "br", "hr"}
EMPTY = {"line", "path", "circle", "rect"}
"""Of SVG: written as one tag that closes itself."""


class Reader(HTMLParser):
    """Checks that tags nest, and gathers what the page shows and refers to."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.links, self.ids, self.text = [], [], [], [], []
        self.attributes = []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        self.attributes.append([*attrs])
        self.links += [attrs[key] for key in ("src", "href", "srcset", "action") if key in attrs]
        self.ids += [attrs["id"]] if "id" in attrs else []
        if tag == "img":
            assert attrs["alt"]
        if tag == "svg" and "role" in attrs:
            assert attrs["aria-label"]
        if tag not in VOID | EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in EMPTY:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(html):
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def html(page_parts):
    return page.render(*page_parts)


def test_the_page_is_whole_and_asks_no_other_host(html):
    found = read(html)
    beside = re.compile(r"figures/\w+\.(pdf|svg|csv)")  # opened where a reader asks for it
    others = [link for link in found.links if not beside.fullmatch(link)]
    assert all(link.startswith(("data:", "#")) for link in others)
    without = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    assert "url(" not in without and "@import" not in without
    assert "default-src 'none'" in html
    assert all(link[1:] in found.ids for link in found.links if link.startswith("#"))
    assert len(found.ids) == len(set(found.ids))


def test_every_figure_links_to_its_files_for_papers(html, page_parts):
    links, names = read(html).links, page_parts[0]["figures"]
    for name in names:
        assert all(f"figures/{name}.{ending}" in links for ending in ("pdf", "svg", "csv"))


def test_only_the_pages_own_scripts_may_run(html):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1]
    allowed = set(re.search(r"script-src ([^;]*)", policy)[1].split())
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    hashes = {
        f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'"
        for s in scripts
    }
    assert scripts and hashes == allowed
    others = re.findall(r"<script [^>]*>", html)
    assert others == ['<script type="application/json" id="explore-data">']


def test_every_figure_is_in_with_its_caption(html, page_parts):
    found = read(html)
    assert html.count("<figure id=") == len(page_parts[0]["figures"])
    assert found.tags.count("img") == len(page_parts[0]["figures"]) + html.count(
        'class="cells" src'
    )
    assert list(page_parts[0]["figures"]) == list(registry.members("figures"))
    text = " ".join(" ".join(found.text).split())
    for figure in page_parts[3]:
        assert figure["caption"] in text
        assert figure["title"] in text
        assert figure["explains"] in text and figure["explains"][-1] in ".?"
        assert figure["differs"] in text


def test_what_users_write_is_escaped_everywhere(html):
    assert "<script>alert" not in html
    assert "constant <output>" not in html
    text = "".join(read(html).text)
    assert text.count(HOSTILE) > 10
    assert "constant <output>" in text


def test_all_but_the_last_section_depends_on_results_alone(html, page_parts):
    *rest, _ = page_parts
    other = page.render(*rest, [record("train/vit_small/f100/s0", 7.25, 3)])
    mark = '<section id="provenance" '
    assert html.split(mark)[0] == other.split(mark)[0]
    assert html.split(mark)[1] != other.split(mark)[1]
    assert "<section" not in html.split(mark)[1]
    assert page.render(*page_parts) == html


def test_a_network_that_learned_too_little_is_flagged(page_parts):
    config, tables, *_ = page_parts
    table = parts.accuracy_table(config, tables["accuracy.csv"], 1013)
    marks = [row.mark for row in table["rows"]]
    best = parts.best_accuracy(tables["accuracy.csv"])
    needed = 0.1 + max(best - 0.1, 0.45) / 4
    low = (tables["accuracy.csv"]["accuracy_test"] < needed) & (tables["accuracy.csv"]["steps"] > 0)
    assert marks.count("flagged") == low.sum() > 0
    assert marks.count("control") == 6
    flagged = next(row for row in table["rows"] if row.mark == "flagged")
    assert flagged.cells[5] == "learned too little"
    told = f"{low.sum()} trained networks below {100 * needed:.1f} % (a quarter of what the best"
    assert table["note"].startswith(told)
    accuracy = tables["accuracy.csv"]["accuracy_test"].iloc[2]
    error = np.sqrt(accuracy * (1 - accuracy) / 1013)
    assert f"{100 * accuracy:.1f} % ± {100 * error:.1f}" in table["rows"][2].cells


def test_an_accuracy_that_is_missing_does_not_count_as_learned(page_parts):
    config, tables, *_ = page_parts
    table = tables["accuracy.csv"].assign(accuracy_test=np.nan, accuracy_validation=np.nan)
    rows = parts.accuracy_table(config, table, 1013)["rows"]
    assert {row.mark for row in rows} == {"flagged", "control"}
    assert "–" in rows[0].cells


def test_the_page_says_how_outputs_and_weights_of_others_were_read(page_parts):
    config, tables, *rest = page_parts
    table = tables["accuracy.csv"].assign(
        class_order=None, class_order_note=None, weights_note=None, accuracy_all=np.nan
    )
    place = table.index[(table["model"] == "vit_small") & (table["fraction"] == "f100")][0]
    table.loc[place, ["accuracy_test", "train_images"]] = np.nan, 0
    table.loc[place, ["class_order", "class_order_note"]] = "undecided", f"set {HOSTILE}"
    table.loc[place, "weights_note"] = f"the weights {HOSTILE} are taken"
    html = page.render(config, tables | {"accuracy.csv": table}, *rest)
    assert "not known: order of outputs" in html
    assert f"class order undecided, set {escape(HOSTILE)}" in html
    assert f"the weights {escape(HOSTILE)} are taken" in html
    assert HOSTILE not in html


@pytest.mark.parametrize(
    ("has_classes", "verdict", "why"),
    [
        (True, "not known: other classes", "are no outputs of these networks"),
        (False, "not known: no classes", "are not known"),
    ],
)
def test_networks_without_any_accuracy_are_said_to_have_none(page_parts, has_classes, verdict, why):
    """Imported ones, on photographs without classes or with others than their outputs."""
    config, tables, *_ = page_parts
    unknown = dict.fromkeys(("accuracy_test", "accuracy_validation", "accuracy_train"), np.nan)
    table = tables["accuracy.csv"].assign(**unknown, train_images=0)
    found = parts.accuracy_table(config, table, 1013, has_classes)
    verdicts = {row.cells[5] for row in found["rows"]}
    assert verdicts == {verdict, "untrained control"}
    assert found["note"] == f"No accuracy: the classes of the images {why}."


def test_the_facts_name_the_folders_that_serve(page_parts):
    config, _, dataset, *_ = page_parts
    assert "Folders" not in dict(parts.dataset_facts(config, dataset))
    folders = {"folders": {"train": "Train", "test": "val"}, "classes": []}
    facts = dict(parts.dataset_facts(config, dataset | folders))
    said = "test images from val, train images from Train"
    assert facts["Folders"] == said
    assert facts["Classes"].startswith("none")


@pytest.mark.parametrize(
    ("chance", "best", "needed"),
    [
        (0.1, 0.9, 0.3),
        (0.1, 0.3, 0.2125),
        (0.5, 0.9, 0.6),
        (0.001, 0.801, 0.201),
        (0.001, 0.004, 0.125875),
        (0.1, np.nan, 0.2125),
    ],
)
def test_needed_accuracy_is_a_share_of_what_the_best_network_reaches(chance, best, needed):
    assert parts.needed_accuracy(chance, best) == rounded(needed, terms=4)


def test_the_best_network_is_one_on_all_images_of_known_accuracy():
    table = pd.DataFrame({"fraction": ["f010", "f100", "f100", "f100"]})
    table["accuracy_test"] = [0.9, 0.6, np.nan, 0.7]
    assert parts.best_accuracy(table) == 0.7
    assert np.isnan(parts.best_accuracy(table[table["fraction"] == "f010"]))


def test_cka_means_leave_out_the_diagonal_and_undefined_cells():
    matrix = np.array([[1, 0.2, 0.4, np.nan], [0.2, 1, 0.6, 0.3], [0.4, 0.6, 1, 0.5]])
    matrix = np.vstack([matrix, [np.nan, 0.3, 0.5, 1]])
    expected = (0.2 + 0.4 + 0.6 + 0.3 + 0.5) / 5
    assert controls.off_diagonal_mean(matrix) == rounded(expected, terms=10)
    assert np.isnan(controls.low_high_mean(matrix))
    assert controls.low_high_mean(matrix[:3, :3]) == rounded(0.4, terms=1)


def test_controls_stand_beside_measured_values(page_parts):
    config, tables, *_ = page_parts
    similarity, degenerate, attention, fractions = controls.control_parts(config, tables)
    assert len(similarity["rows"]) == 3 and "shuffled" in similarity["head"][-1]
    assert all(abs(float(r.cells[-1].replace("−", "-"))) < 0.01 for r in similarity["rows"])
    assert degenerate["rows"][0].cells[3] == "block00.out"
    assert [row.cells[1] for row in attention["rows"]] == ["trained", "untrained"] * 2
    own = tables["attention_distance.csv"].query(
        "model == 'vit_small' and fraction == 'f100' and seed == 's0' and block < 2"
    )
    assert attention["rows"][0].cells[2] == f"{own['relative'].min():.2f}"
    ceiling = tables["data_fractions.csv"].query("model == 'vit_small' and kind == 'ceiling'")
    assert fractions["head"][1:4] == ["Untrained (floor)", "3 %", "30 %"]
    assert fractions["rows"][0].cells[-1] == f"{ceiling['cka'].mean():.2f}"
    for part in (similarity, degenerate, attention, fractions):
        assert {len(row.cells) for row in part["rows"]} == {len(part["head"])}


def test_parts_without_their_table_are_left_out(page_parts):
    config, _, dataset, figures, found = page_parts
    html = page.render(config, {}, dataset, figures[:1], found)
    ids = read(html).ids
    assert "accuracy" not in ids and "controls" not in ids and "layers" not in ids
    assert 'href="#controls"' not in html


def test_what_is_white_in_photographs_of_more_than_8_bits_is_told(page_parts):
    config, _, dataset, *_ = page_parts
    name = "Photographs of more than 8 bits"
    assert name not in dict(parts.dataset_facts(config, dataset))
    found = {"white_level": 1023, "largest_level": 1019, "photographs": 7, "dark": 0, "above": 0}
    facts = dict(parts.dataset_facts(config, dataset | {"white_levels": {"16": found}}))
    assert facts[name].startswith("level 1,023 is white in 7 photographs of 16 bits")
    assert "1,019" in facts[name]


def test_layers_are_counted_by_kind(page_parts):
    config, tables, *_ = page_parts
    table = parts.layer_table(config, tables["layers.csv"])
    assert table["rows"][0].cells[1:3] == ["33", "5"]
    assert table["rows"][0].cells[table["head"].index("residual")] == "5"


def test_recipes_are_told_apart_from_what_is_shared(page_parts):
    config, tables, *_ = page_parts
    table = parts.model_table(config, tables["accuracy.csv"])
    assert table["shared"] == "batch_size 128, flip True, learning_rate 0.001, steps 1009"
    assert [row.cells[-1] for row in table["rows"]] == ["clip_norm 0", "clip_norm 1", "clip_norm 2"]
    assert table["rows"][0].cells[2] == "100,003"


def test_provenance_sums_times_and_keeps_the_largest_peak():
    found = [record("train/a/f100/s0", 100, 3_000_000), record("train/a/f003/s0", 23.5, 7_000_000)]
    rows = records.provenance([*found, record("draw/fig01", 1.5)], {"b": 1, "a": 2})["stages"]
    assert rows[0].cells == ["draw", "1", "1.5 s", "3.0 s", "500 MB"]
    assert rows[1].cells == ["train", "2", "2.1 min", "4.1 min", "7 MB"]
    assert rows[2].cells[:3] == ["all", "3", "2.1 min"]


def test_number_formats_of_trainings_are_told_with_their_reasons():
    """A dump's format is no training's; where trainings differ, it shows how many took which."""
    rules = {"bfloat16": "auto: bfloat16 is native", "float32": "train.precision is fp32"}
    found = [record("train/a/f100/s0"), record("train/a/f010/s0"), record("train/b/f100/s0")]
    for made, taken in zip(found, ("bfloat16", "bfloat16", "float32"), strict=True):
        made["notes"] |= {"precision": taken, "precision_why": rules[taken]}
    dumped = record("dump/gram/a/f100/s0")
    assert "precision_why" not in dumped["notes"]
    facts = dict(records.provenance([*found, dumped], {})["facts"])
    several = "bfloat16 (auto: bfloat16 is native): 2 networks; "
    assert facts["Trained in"] == f"{several}float32 (train.precision is fp32): 1 network"
    assert dict(records.provenance([*found[:2], dumped], {})["facts"])["Trained in"] == (
        "bfloat16 (auto: bfloat16 is native)"
    )
    assert "Trained in" not in dict(records.provenance([dumped], {})["facts"])


def test_records_of_dropped_networks_and_earlier_reports_are_left_out(tmp_path):
    names = (
        "train/a/f100/s0",
        "train/gone/f100/s0",
        "dump/gram/a/f100/s0",
        "draw/a",
        "report/report",
    )
    for name in names:
        write_json(tmp_path / f"{name}.json", record(name))
    found = records.read_records(tmp_path, ["a/f100/s0"])
    assert [r["job"] for r in found] == ["draw/a", "dump/gram/a/f100/s0", "train/a/f100/s0"]
    (tmp_path / "broken.json").write_text('{"job":')
    with pytest.raises(ResultError, match=r"broken\.json"):
        records.read_records(tmp_path, [])


def test_a_damaged_figure_is_named(tmp_path):
    path = tmp_path / "fig01_cka_within.png"
    with pytest.raises(ResultError, match="cannot read"):
        page.read_figures(["fig01_cka_within"], [path])
    Image.effect_noise((300, 200), 90).save(path)
    whole = path.read_bytes()
    for damaged in (b"", b"<svg></svg>", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(ResultError, match="not a whole PNG"):
            page.read_figures(["fig01_cka_within"], [path])
    with pytest.raises(ResultError, match="1 PNG files for 2 figures"):
        page.read_figures(["fig01_cka_within", "fig02_cka_across"], [path])


def test_a_network_that_learned_without_labels_has_no_accuracy_to_fail_by(page_parts):
    config, tables, *_ = page_parts
    architectures = config["architectures"]
    own = {m: told | {"pretraining": "dino"} for m, told in architectures.items()}
    table = tables["accuracy.csv"].assign(accuracy_test=np.nan, accuracy_validation=np.nan)
    rows = parts.accuracy_table(config | {"architectures": own}, table, 1013)["rows"]
    assert {row.mark for row in rows} == {"", "control"}
    assert any("not known: trained without labels" in row.cells for row in rows)
