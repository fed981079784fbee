"""What a run says of the dumps that it will write."""

from sightlines.sharing.room import describe


def test_a_plan_without_dumps_says_nothing():
    assert describe({}, 0, 0, 0, 10**9) == ""


def test_sizes_are_added_up_and_the_largest_kinds_named():
    sizes = {"gram": 2 * 10**7, "heads": 10**6, "features": 5 * 10**7, "skips": 3 * 10**6}
    said = describe(sizes, 12, 0, 0, 10**9)
    assert said == (
        "To write: 12 dumps, about 74 MB (most of it: features 50 MB, gram 20 MB, skips 3.0 MB). "
        "The disk has 1,000 MB free."
    )


def test_what_is_not_known_and_what_is_replaced_is_said():
    said = describe({"gram": 2 * 10**6}, 3, 2, 10**6, 10**9)
    assert "3 dumps, about 2.0 MB (gram 2.0 MB)" in said
    assert "how large 2 of them get is not known" in said and "in place of 1.0 MB" in said


def test_a_disk_that_is_too_small_is_said_before_anything_runs():
    assert "not enough" in describe({"gram": 3 * 10**6}, 1, 0, 10**6, 10**6)
    assert "not enough" not in describe({"gram": 3 * 10**6}, 1, 0, 2 * 10**6, 10**6)
