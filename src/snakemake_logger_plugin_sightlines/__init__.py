"""Snakemake's way to find the console: it looks for packages whose names begin like this one's.

`profiles/default/config.yaml` asks for it (`logger: sightlines`); all of it is in
`sightlines.console`.
"""

from sightlines.console.handler import LogHandler

__all__ = ["LogHandler"]
