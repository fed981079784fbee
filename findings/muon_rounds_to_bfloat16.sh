#!/usr/bin/env bash
# Expected: torch.optim.Muon computes a step in the format of the parameter, as torch.optim.AdamW does.
# Seen: its Newton-Schulz rounds run in bfloat16 whatever the parameter is; a step of float64 or float32 weights has two digits.
# With: torch 2.13.0, on any processor; where it has no bfloat16 of its own these products are emulated besides.
# So: orthogonalise in the parameter's own format where results must be alike on all machines, and allow for 1 % against torch's.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.3.5

cat > "$place/compare.py" <<'PYTHON'
import sys

import torch

FIRST, THIRD, FIFTH = 3.4445, -4.7750, 2.0315


def orthogonal(gradient):
    """Five rounds of the quintic of Jordan et al. (2024), in the gradient's own format."""
    values = gradient / gradient.norm()
    for _ in range(5):
        squares = values @ values.T
        values = FIRST * values + (THIRD * squares + FIFTH * squares @ squares) @ values
    return values


def step(optimizer, gradient, start, **options):
    weights = torch.nn.Parameter(start.clone())
    weights.grad = gradient.clone()
    optimizer([weights], lr=1.0, weight_decay=0.0, **options).step()
    return start - weights.detach()


print(f"torch {torch.__version__}")
torch.manual_seed(0)
gradient, start = torch.randn(48, 96, dtype=torch.float64), torch.zeros(48, 96, dtype=torch.float64)
off = {}
for dtype in (torch.float64, torch.float32):
    own, begin = gradient.to(dtype), start.to(dtype)
    taken = step(torch.optim.Muon, own, begin, nesterov=False).double()
    exact = orthogonal(gradient)
    off[dtype] = float((taken - exact).norm() / exact.norm())
    mine = float((orthogonal(own).double() - exact).norm() / exact.norm())
    print(f"Muon, {dtype}: step off by {off[dtype]:.1e} of its size; the same formula in {dtype}: {mine:.1e}")
exact = step(torch.optim.AdamW, gradient, start)
single = step(torch.optim.AdamW, gradient.float(), start.float()).double()
print(f"AdamW, torch.float32 against float64: {float((single - exact).norm() / exact.norm()):.1e}")
if min(off.values()) < 1e-3:
    print("changed: Muon keeps the parameter's digits")
    sys.exit(1)
PYTHON
"$place/venv/bin/python" "$place/compare.py"
