"""How figures look: a user's style over the package's own, refused where it is no look."""

from pathlib import Path

import matplotlib
import pytest

from sightlines.core.errors import ConfigError
from sightlines.figures import fonts, style
from sightlines.plan import figure_style
from sightlines.plan.config import FOLDER
from sightlines.plan.experiment import Experiment
from tests.figures import tables as synthetic
from tests.figures.test_figures import accuracy_by_fraction


def written(folder: Path, text: str) -> str:
    (folder / "mine.mplstyle").write_text(text)
    return "mine.mplstyle"


def test_the_own_style_is_one_that_matplotlib_takes_and_reads_alike():
    own = style.rc(figure_style.own_settings())
    read = matplotlib.rc_params_from_file(figure_style.OWN, use_default_template=False)
    assert own == dict(read) and own["figure.figsize"][0] == 6.8


def test_a_users_style_is_laid_over_the_own(tmp_path):
    name = written(tmp_path, "# mine\nfont.size: 10  # larger\nfigure.figsize: 5, 4\n")
    found = figure_style.settings(tmp_path, name)
    assert found["font.size"] == "10" and found["figure.figsize"] == "5, 4"
    assert found["lines.linewidth"] == figure_style.own_settings()["lines.linewidth"]
    assert figure_style.settings(tmp_path, "") == dict(figure_style.own_settings())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("font.size 10", "line 1: 'font.size 10' is not `setting: value`"),
        ("font.size: 8\nfont.size: 9", "line 2: font.size stands twice"),
        ("text.usetex: True", "line 1: text.usetex is no setting of how figures look"),
        ("svg.hashsalt: x", "svg.hashsalt is no setting of how figures look"),
        ("axes.unicode_minus: False", "axes.unicode_minus is fixed"),
        ("font.sise: 8", "matplotlib has no setting font.sise"),
        ("font.size: large", "font.size: "),
        ("axes.prop_cycle: __import__('os').system('x')", "axes.prop_cycle: "),
        ("axes.prop_cycle: cycler('color', [])", "axes.prop_cycle: it is empty"),
        ("image.cmap: magna", "image.cmap: matplotlib has no map of colours 'magna'"),
        ("figure.figsize: 0, 4", "figure.figsize: the width is 0 in"),
        ("figure.figsize: 1e6, 4", "figure.figsize: the width is 1e+06 in"),
        ("figure.figsize: 6, inf", "figure.figsize: give finite numbers"),
        ("font.size: -1", "font.size: -1 is no size"),
        ("lines.linewidth: nan", "lines.linewidth: give finite numbers"),
    ],
)
def test_what_is_no_look_is_said_before_anything_runs(tmp_path, text, said):
    name = written(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        figure_style.settings(tmp_path, name)
    assert said in str(error.value) and "mine.mplstyle" in str(error.value)


def test_a_style_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read the style file .*other\.mplstyle"):
        figure_style.settings(tmp_path, "other.mplstyle")


def test_another_style_is_another_slice_of_the_figures_alone(tmp_path):
    config = tmp_path / "smoke.yaml"
    config.write_text((FOLDER / "smoke.yaml").read_text() + "\nfigure_style: mine.mplstyle\n")
    written(tmp_path, "font.size: 9\n# a word")
    mine, own = Experiment.open(config), Experiment.open(FOLDER / "smoke.yaml")
    assert (
        mine.job_config_draw()["style"]["font.size"]
        == "9"
        != own.job_config_draw()["style"]["font.size"]
    )
    written(tmp_path, "font.size: 9  # other words")
    assert Experiment.open(config).job_config_draw() == mine.job_config_draw()
    network = own.networks[0]
    assert mine.job_config_claims() == own.job_config_claims()
    assert mine.job_config_train(network) == own.job_config_train(network)
    assert all(mine.job_config_measure(m) == own.job_config_measure(m) for m in own.measures)


def test_a_figure_is_drawn_and_written_in_its_configs_style(tmp_path):
    name = written(
        tmp_path,
        "font.family: serif\nfont.serif: No Such Font, DejaVu Serif\nfigure.figsize: 5, 4\n"
        "axes.prop_cycle: cycler('color', ['ff0000', '00ff00'])\n",
    )
    config = synthetic.config()
    tables = {"accuracy.csv": synthetic.accuracy(config)}
    plain = accuracy_by_fraction.draw(tables, config)
    mine = config | {"style": figure_style.settings(tmp_path, name)}
    figure = accuracy_by_fraction.draw(tables, mine)
    assert figure.get_figwidth() == pytest.approx(plain.get_figwidth() * 5 / 6.8)
    assert figure.axes[0].lines[1].get_color() == "#ff0000"
    assert figure.axes[0].title.get_fontfamily() == ["DejaVu Serif"]
    assert fonts.own(style.rc(mine["style"])) == "DejaVu Serif"
    for own, drawn in (("own", plain), ("mine", figure)):
        style.save(drawn, {"pdf": tmp_path / f"{own}.pdf"})
    assert b"DejaVuSerif" in (tmp_path / "mine.pdf").read_bytes()
    assert b"DejaVuSerif" not in (tmp_path / "own.pdf").read_bytes()
