"""What is said of results that were shared and not pulled."""

from sightlines.sharing.unpulled import advice

GRAM, HEADS = "results/mine/dumps/gram/a.bin", "results/mine/dumps/heads/a.bin"
IMAGES, WEIGHTS = "data/x/images.npy", "results/mine/models/a.bin"


def test_advice_names_the_size_of_what_its_command_fetches():
    absent = {GRAM: 1_000_000, HEADS: 8_300_000, IMAGES: 200_000, WEIGHTS: 5_000_000}
    said = advice("mine", [GRAM, IMAGES], absent).splitlines()
    assert "  dumps: 2 files, 9.3 MB; needed now: 1" in said
    assert "  images: 1 files, 0.2 MB; needed now: 1" in said
    assert any(line.endswith('WHAT="dumps images"') for line in said)
    assert "models" not in "".join(said)
