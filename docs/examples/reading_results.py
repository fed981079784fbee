"""Reading an experiment's results: verdicts, tables, and networks to look into again.

python docs/examples/reading_results.py results/default
"""

import sys

import sightlines as sl


def main(folder: str) -> None:
    """Print what was found, and measure one network on other images than the run did."""
    run = sl.open_results(folder)
    print(run.verdicts["verdict"].value_counts().to_string())
    heads = run.table("attention_distance")
    local = heads.groupby(["model", "fraction", "seed"])["relative"].min()
    print("\nmost local head, 1 = uniform attention")
    print(local.round(2).to_string())
    name = run.networks[-1]
    network = run.network(name)
    print(f"\n{name}: {len(network.layers)} layers, sees {network.card['size_px']} px")
    print(network.layer_table.tail(3).to_string(index=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
