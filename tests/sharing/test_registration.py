"""`claims.lock`: written once, never over, added to; what does not fit its hashes is refused."""

import json

import pytest

from sightlines.core.errors import ShareError
from sightlines.run.criteria import criteria
from sightlines.sharing import registration
from sightlines.sharing.paths import result_files


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def claim(threshold=0.2, **more):
    facts = {"statement": "It is so.", "statistic": "how much", "tier": "A", "figure": "Figure 1"}
    return facts | {"criteria": [f"rise >= {threshold}"], "premises": []} | more


def code_has(code, **claims):
    """Let the claims of the code with that digest be these."""
    registration.write_json(registration.REMEMBERED / f"{code}.json", claims)
    return code


def register(code):
    registration.register("x", code)
    return registration.lock_path("x").read_bytes()


def test_the_first_run_registers_all_and_a_second_changes_no_byte():
    code = code_has("one", C1=claim(), C2=claim(0.5))
    assert registration.other_criteria("x", code) == {}, "nothing to differ from"
    assert not registration.lock_path("x").exists(), "asking writes nothing"
    first = register(code)
    assert register(code) == first == register(code_has("two", C1=claim(), C2=claim(0.5)))
    (entry,) = registration.read_lock("x")
    assert sorted(entry["claims"]) == ["C1", "C2"] and entry["before"] == ""
    assert entry["claims"]["C2"]["criteria"] == ["rise >= 0.5"]
    assert registration.other_criteria("x", "two") == {}
    assert list(result_files("x")) == [], "it is about results, and none"


def test_what_changes_is_added_and_the_first_registration_stands():
    register(code_has("one", C1=claim(), C2=claim(0.5), C3=claim()))
    new = code_has("two", C1=claim(0.1), C2=claim(0.5), C4=claim(), C3=claim(premises=["cost"]))
    assert registration.other_criteria("x", new) == {
        "C1": "registered with other criteria",
        "C3": "registered with other premises",
        "C4": "added after the first run",
    }
    register(new)
    first, second = registration.read_lock("x")
    assert first["claims"]["C1"]["criteria"] == ["rise >= 0.2"]
    assert sorted(second["claims"]) == ["C1", "C3", "C4"]
    assert second["before"] == first["sha256"]
    assert "C1" in registration.other_criteria("x", new), "registered first counts"
    register(code_has("back", C1=claim(), C2=claim(0.5), C3=claim()))
    assert registration.other_criteria("x", "back") == {}
    *_, third = registration.read_lock("x")
    assert sorted(third["claims"]) == ["C1", "C3", "C4"] and third["claims"]["C4"] is None


def test_a_claim_that_the_first_entry_leaves_empty_was_not_registered_then():
    """No run writes such an entry; whoever does makes no run of others fail."""
    claims, code = {"C1": None}, code_has("one", C1=claim())
    entry = {"before": "", "claims": claims, "sha256": registration._hash("", claims)}
    registration.write_json(registration.lock_path("x"), {"entries": [entry]})
    assert registration.other_criteria("x", code) == {"C1": "added after the first run"}


def test_two_folders_register_the_same_bytes(tmp_path, monkeypatch):
    """No dates, and nothing of the machine."""
    first = register(code_has("one", C1=claim()))
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert register(code_has("one", C1=claim())) == first


def changed(change):
    def damage(text):
        value = json.loads(text)
        change(value["entries"])
        return json.dumps(value)

    return damage


DAMAGES = {
    "not JSON": lambda text: text[:-20],
    "nested without end": lambda text: "[" * 100_000,
    "a list": lambda text: "[]",
    "no entries": lambda text: '{"entries": []}',
    "entries that are none": lambda text: '{"entries": [1]}',
    "a claim that is none": lambda text: '{"entries": [{"sha256": "", "before": "", "claims": 3}]}',
    "a threshold": changed(lambda e: e[0]["claims"]["C1"].update(criteria=["rise >= 0"])),
    "a whole claim": changed(lambda e: e[0]["claims"].pop("C1")),
    "the first entry gone": changed(lambda e: e.pop(0)),
    "entries swapped": changed(lambda e: e.reverse()),
    "too long": lambda text: text + " " * registration.LONGEST,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_lock_is_refused_and_not_written_over(damage):
    register(code_has("one", C1=claim(), C2=claim()))
    register(code_has("two", C1=claim(0.3), C2=claim()))
    path = registration.lock_path("x")
    path.write_text(damage(path.read_text()))
    before = path.read_bytes()
    for act in (registration.register, registration.other_criteria):
        with pytest.raises(ShareError, match=r"results/x/claims.lock is damaged \(.*git checkout"):
            act("x", "two")
    assert path.read_bytes() == before


def test_a_claim_that_was_changed_with_its_own_hash_is_refused():
    """Though not by who hashes all of it anew: git says who did."""
    register(code_has("one", C1=claim()))
    path = registration.lock_path("x")
    value = json.loads(path.read_text())
    own = value["entries"][0]["claims"]["C1"]
    own["criteria"] = ["rise >= 0"]
    own["sha256"] = registration.fingerprint(own)
    path.write_text(json.dumps(value))
    with pytest.raises(ShareError, match="entry 1 is not what its hash is of"):
        registration.read_lock("x")


def test_merge_conflicts_and_other_files_are_said(here):
    path = registration.lock_path("x")
    path.parent.mkdir(parents=True)
    path.write_text('<<<<<<< ours\n{}\n=======\n{"a": 1}\n>>>>>>> theirs\n')
    with pytest.raises(ShareError, match="merge conflicts"):
        registration.read_lock("x")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ShareError, match="cannot read"):
        registration.read_lock("x")
    path.unlink()
    path.symlink_to(here / "nowhere")
    with pytest.raises(ShareError, match="link to nothing"):
        registration.read_lock("x")


@pytest.mark.whole
def test_the_claims_of_this_code_are_asked_for_once(monkeypatch):
    found = registration.today("this")
    assert (
        found == criteria() and found["C1"]["criteria"][0].endswith("block outputs >= 0.0") is False
    )
    monkeypatch.setattr(registration.sys, "executable", "/nowhere")
    assert registration.today("this") == found, "remembered"
    with pytest.raises(OSError):
        registration.today("other")
