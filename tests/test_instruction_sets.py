"""Which tests are run again as other processors would compute."""

import pytest

from tests.instruction_sets import (
    BOUND,
    TESTS,
    environment,
    files,
    is_run_again,
    sets_below,
)


@pytest.mark.parametrize(
    "line",
    [
        "assert_rounded(found, expected, terms=3)",
        "assert found == rounded(1.5, terms=10)",
        "torch.testing.assert_close(a, b)",
        "np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)",
        "assert torch.equal(a, b)",
        "assert (a - b).abs().max() < 1e-6",
    ],
)
def test_lines_that_hold_numbers_against_others_are_known(line):
    assert BOUND.search(line)


@pytest.mark.parametrize("line", ["server.close()", "assert a == b", "from tests import rounding"])
def test_others_are_not(line):
    assert not BOUND.search(line)


def test_arithmetic_is_run_again_and_what_reads_files_is_not():
    chosen = {str(path.relative_to(TESTS)) for path in files()}
    assert {"measures/test_cka.py", "stats/test_knn.py", "models/test_transformers.py"} <= chosen
    assert {"test_rounding.py", "training/test_team.py", "conditions/test_frequency.py"} <= chosen
    folders = {name.split("/")[0] for name in chosen}
    assert not folders & {"figures", "plan", "sharing", "jobs", "report", "workflow"}
    assert "library/test_wheel.py" not in chosen


def kills():
    """A whole test of exactness alone."""
    assert kills


def compares():
    """A whole test of numbers."""
    assert 1.0 == pytest.approx(1.0)


def test_whole_tests_are_run_again_where_they_hold_numbers_themselves():
    assert is_run_again(compares, is_whole=True) and not is_run_again(kills, is_whole=True)
    assert is_run_again(kills, is_whole=False)


def test_every_older_set_of_a_new_processor_is_asked_for():
    assert sets_below("AVX512") == ["DEFAULT", "AVX2"] and sets_below("DEFAULT") == []
    chosen = environment("AVX2", ["AVX512F", "AVX2", "X86_V4"])
    assert chosen["NPY_DISABLE_CPU_FEATURES"] == "AVX512F X86_V4"
    assert chosen["ATEN_CPU_CAPABILITY"] == "avx2"
