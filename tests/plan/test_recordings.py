import pytest

from sightlines.plan import registry
from sightlines.plan.recordings import DOSE_KINDS, Recording, recordings
from sightlines.run.measure import OF_DOSES


def test_every_kind_is_recorded_of_the_experiments_own_images_and_networks():
    assert recordings([]) == [Recording(kind) for kind in registry.members("dumps")]


@pytest.mark.parametrize(
    ("one", "rule", "place", "log"),
    [
        (("gram", "", ""), "dump_gram", "dumps/gram", "dump/gram"),
        (("gram", "far", ""), "dump_gram_of_far", "transfer/far/gram", "transfer/far/gram"),
        (
            *(("gram", "", "far"), "dump_gram_tuned_on_far"),
            *("transfer/far/tuned_gram", "transfer/far/tuned_gram"),
        ),
        (
            *(("gram", "far", "far"), "dump_gram_of_far_tuned_on_far"),
            *("transfer/far/tuned_shown_gram", "transfer/far/tuned_shown_gram"),
        ),
    ],
)
def test_places_and_rules(one, rule, place, log):
    recording = Recording(*one)
    assert (recording.rule, recording.place, recording.log) == (rule, place, log)


def test_no_two_dumps_have_one_rule_or_one_place():
    found = recordings(["near", "far"])
    assert len({one.rule for one in found}) == len({one.place for one in found}) == len(found)
    own = [one for one in found if not (one.shown or one.tuned)]
    assert [one for one in found if "near" in one] == [
        Recording("attention", tuned="near"),
        Recording("confidences", shown="near"),
        *(Recording("conflicts", tuned="near"), Recording("corruptions", tuned="near")),
        *(Recording("features", shown="near"), Recording("gram", shown="near")),
        Recording("gram", tuned="near"),
        Recording("predictions", shown="near", tuned="near"),
    ]
    assert len(found) == len(own) + 16


def test_runner_and_planner_know_the_same_dumps_of_doses():
    assert OF_DOSES == DOSE_KINDS
