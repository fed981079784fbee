"""Two networks on a folder of photographs: which layers of one are like which of the other?

python docs/examples/two_networks.py photographs/ vit_tiny_patch16_224 vit.safetensors resnet18 resnet.safetensors
"""

import sys

import sightlines as sl


def main(folder: str, *models: str) -> None:
    """Draw the similarity of two networks, and print where they agree most."""
    images = sl.images(folder, limit=512)
    grams = [
        sl.grams(sl.load(name, weights=weights), images)
        for name, weights in zip(models[::2], models[1::2], strict=True)
    ]
    similarity = sl.cka(*grams)
    best = similarity.to_pandas().nlargest(5, "cka")
    print(best[["name_a", "name_b", "cka", "cka_se"]].to_string(index=False))
    similarity.to_parquet("similarity.parquet")
    sl.plot.cka_map(similarity).figure.savefig("similarity.png", dpi=150)


if __name__ == "__main__":
    main(*sys.argv[1:])
