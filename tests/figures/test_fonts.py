"""Labels in any script: set in a font that has them, or said to be boxes, with the cure."""

import logging

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.figure import Figure
from PIL import Image

from sightlines.core.files import write_table
from sightlines.figures import fonts, style
from sightlines.figures.maps import wrapped
from sightlines.jobs.command import Job
from sightlines.plan.experiment import FIGURE_FILES
from sightlines.run import figure as command
from tests.figures import tables as synthetic

FIGURE = "accuracy_by_fraction"

CAT, DOG = "\N{CJK UNIFIED IDEOGRAPH-732B}", "\N{CJK UNIFIED IDEOGRAPH-72AC}"
POINTS = 40
EM_PX = POINTS / 72 * style.PNG_DPI


def square(side: int, hole: int = 0):
    """A glyph: a square of so many thousandths of the em, with a square hole."""
    pen = TTGlyphPen(None)
    for size, turn in ((side, 1), (hole, -1)):
        if size:
            low, high = (side - size) // 2, (side + size) // 2
            pen.moveTo((low, low))
            for point in [(low, high), (high, high), (high, low)][::turn]:
                pen.lineTo(point)
            pen.closePath()
    return pen.glyph()


def make_font(path, family: str, characters: str) -> str:
    """A font in which each of the characters is a black square as large as the em."""
    names = [".notdef", *(f"u{ord(c):05X}" for c in characters)]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(c): f"u{ord(c):05X}" for c in characters})
    builder.setupGlyf({name: square(1000, 900 * (name == ".notdef")) for name in names})
    builder.setupHorizontalMetrics({name: (1000, 0) for name in names})
    builder.setupHorizontalHeader(ascent=1000, descent=0)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return str(path)


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Matplotlib's own fonts alone, and those that the test installs: family and characters."""
    manager, installed = font_manager.fontManager, []
    own = [e for e in manager.ttflist if "mpl-data" in e.fname]
    monkeypatch.setattr(manager, "ttflist", own)
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: installed)
    fonts._choose.cache_clear()

    def add(**characters):
        for family, has in characters.items():
            name = family.replace("_", " ")
            installed.append(make_font(tmp_path / f"{family}.ttf", name, has))
        fonts._choose.cache_clear()

    yield add
    fonts._choose.cache_clear()
    manager._findfont_cached.cache_clear()


def figure_of(label: str, **options) -> Figure:
    @style.styled
    def plain(text):
        figure = Figure((2, 1))
        figure.text(0.1, 0.2, text, fontsize=POINTS, **options)
        return figure

    return plain(label)


def ink(figure: Figure, folder) -> float:
    """Black of a figure, in squares as large as the em."""
    style.save(figure, {"svg": folder / "a.svg", "png": folder / "a.png"})
    with Image.open(folder / "a.png") as image:
        return float((255 - np.asarray(image.convert("L"))).sum() / 255 / EM_PX**2)


@pytest.mark.parametrize("weight", ["normal", "bold"])
def test_a_font_that_has_the_character_is_taken(install, tmp_path, weight):
    missing = ink(figure_of(CAT, fontweight=weight), tmp_path)
    install(Some_Han=CAT)
    figure = figure_of(CAT, fontweight=weight)
    assert style.look_of(figure).families == ("Some Han",)
    assert ink(figure, tmp_path) == pytest.approx(1, abs=0.02) and missing < 0.8
    assert fonts.lacking(figure, (fonts.LAST, *style.look_of(figure).families)) == {}


def test_marks_that_are_made_on_saving_are_set_in_it_too(install, tmp_path):
    install(More_Han=CAT)

    @style.styled
    def marked(_labels):
        figure = Figure((2, 2))
        figure.add_axes((0.3, 0.5, 0.5, 0.4)).xaxis.set_major_formatter(lambda *_: CAT)
        return figure

    figure = marked([CAT])
    style.save(figure, {"svg": tmp_path / "a.svg", "png": tmp_path / "a.png"})
    marks = figure.axes[0].get_xticklabels()
    assert {tuple(mark.get_fontfamily()) for mark in marks} == {("DejaVu Sans", "More Han")}
    assert {mark.get_text() for mark in marks} == {CAT}


def test_figures_are_the_same_twice_and_say_their_fonts(install, tmp_path):
    install(Other_Han=CAT + DOG)
    config = synthetic.config()
    config["labels"] |= {"vit_small": f"ViT {CAT}", "resnet_thin": f"Res {DOG}"}
    table = tmp_path / "accuracy.csv"
    write_table(table, synthetic.accuracy(config))
    written = []
    for turn in "ab":
        outputs = {kind: [tmp_path / f"{turn}.{kind}"] for kind in FIGURE_FILES}
        log = logging.getLogger("test")
        job = Job("draw/a", config, {"t": [table]}, outputs, tmp_path, log, member=FIGURE)
        command.main(job)
        assert job.notes == {"fonts": ["DejaVu Sans", "Other Han"]}
        written.append([(tmp_path / f"{turn}.{kind}").read_bytes() for kind in FIGURE_FILES])
    assert written[0] == written[1]


def test_what_no_font_has_is_said_once_with_the_cure(install, tmp_path, caplog):
    install(Half_Han=CAT)
    config = synthetic.config()
    config["labels"] |= {"vit_small": f"ViT {CAT}", "resnet_thin": f"Res {DOG}"}
    table = tmp_path / "accuracy.csv"
    write_table(table, synthetic.accuracy(config))
    outputs = {kind: [tmp_path / f"a.{kind}"] for kind in FIGURE_FILES}
    log = logging.getLogger("test")
    command.main(Job("a", config, {"t": [table]}, outputs, tmp_path, log, member=FIGURE))
    (line,) = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert f"Res {DOG}" in line and f"({DOG})" in line and "ViT" not in line
    assert "install" in line and "fonts-noto-cjk" in line
    assert (tmp_path / "a.png").exists()


@pytest.mark.parametrize(
    ("installed", "chosen"),
    [
        ({"Aa_Han": CAT, "Bb_Han": CAT + DOG}, ("Bb Han",)),
        ({"Dd_Han": CAT + DOG, "Cc_Han": CAT + DOG}, ("Cc Han",)),
        ({"Ee_Han": CAT + DOG, "Ff_Sans_Han": CAT + DOG}, ("Ff Sans Han",)),
        ({"Gg_Han": CAT, "Hh_Han": DOG}, ("Gg Han", "Hh Han")),
        ({"Ii_Last_Resort": CAT + DOG, "Jj_Han": CAT}, ("Jj Han",)),
        ({}, ()),
    ],
)
def test_few_fonts_in_the_order_of_their_names(install, installed, chosen):
    install(**installed)
    assert fonts.fallbacks(fonts.LAST, {"labels": [CAT, {"a": DOG}]}) == chosen


def test_texts_of_tables_count(install):
    install(Table_Han=CAT)
    table = synthetic.accuracy(synthetic.config())
    table["model"] = CAT
    assert fonts.fallbacks(fonts.LAST, {"accuracy.csv": table}) == ("Table Han",)


@pytest.mark.parametrize("label", ["ViT-S", "Ж", "λ", "é", "e\u0301", "ن", "a\u200db\ufe0f\n", "×"])
def test_what_the_own_font_has_asks_for_no_other(install, label, monkeypatch):
    def unwanted():
        raise AssertionError("fonts were looked for")

    monkeypatch.setattr(font_manager, "findSystemFonts", unwanted)
    assert fonts.fallbacks(fonts.LAST, [label]) == ()
    assert fonts.lacking(figure_of(label), [fonts.LAST]) == {}


def test_a_damaged_font_is_passed_over(install, tmp_path, monkeypatch):
    install(Whole_Han=CAT)
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    found = [*font_manager.findSystemFonts(), str(tmp_path / "broken.ttf")]
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: found)
    assert fonts.fallbacks(fonts.LAST, CAT) == ("Whole Han",)


def test_wide_characters_take_two_places_of_a_line():
    assert wrapped(CAT * 12, 1.0) == f"{CAT * 7}\n{CAT * 5}"
    assert wrapped("a label of ordinary words", 1.0) == "a label of\nordinary words"
