"""Ways to train without labels, which `train.objective` names: one file each.

A file declares `SETTINGS`, the keys of its block of the recipe, and `USES`, the keys of `train`
that it follows; `check` refuses what it cannot work with; `main` is the command. It is read and
checked without torch, so what needs torch is imported by `main`.
"""
