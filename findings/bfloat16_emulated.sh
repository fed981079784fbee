#!/usr/bin/env bash
# Expected: where torch says that oneDNN supports bfloat16, training under autocast in bfloat16 is no slower than in float32.
# Seen: `_is_mkldnn_bf16_supported()` is True on every AVX-512 processor; without AVX512-BF16 a small network takes twice as long.
# With: torch 2.13.0, on x86 with AVX-512; where the processor has AVX512-BF16, ONEDNN_MAX_CPU_ISA=AVX512_CORE takes it away.
# So: ask torch.cpu.get_capabilities()["avx512_bf16"], and whether ONEDNN_MAX_CPU_ISA limits it, before choosing bfloat16.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.3.5

cat > "$place/measure.py" <<'PYTHON'
import os
import statistics
import sys
import time

import torch
from torch import nn

flags = torch.cpu.get_capabilities()
limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "none")
print(f"torch {torch.__version__}, {flags.get('cpu_name')}, ONEDNN_MAX_CPU_ISA {limit}")
if not flags.get("avx512_f"):
    print("This processor has no AVX-512, so it cannot show this.")
    sys.exit(0)
is_native = bool(flags.get("avx512_bf16")) and limit == "none"
is_supported = torch.ops.mkldnn._is_mkldnn_bf16_supported()
print(f"_is_mkldnn_bf16_supported(): {is_supported}; bfloat16 of its own: {is_native}")

torch.set_num_threads(1)
torch.manual_seed(0)
n = 32
block = lambda: [nn.Conv2d(n, n, 3, padding=1), nn.GroupNorm(8, n), nn.ReLU()]
blocks = [layer for _ in range(4) for layer in block()]
head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n, 10)]
net = nn.Sequential(nn.Conv2d(3, n, 3, padding=1), *blocks, *head)
images, labels = torch.randn(64, 3, 32, 32), torch.randint(10, (64,))


def seconds(in_bfloat16):
    began = time.process_time()
    with torch.autocast("cpu", torch.bfloat16, enabled=in_bfloat16):
        logits = net(images)
    nn.functional.cross_entropy(logits.float(), labels).backward()
    net.zero_grad()
    return time.process_time() - began


rounds = [(seconds(False), seconds(True)) for _ in range(10)][1:]
ratio = statistics.median(b for _, b in rounds) / statistics.median(a for a, _ in rounds)
print(f"a training step in bfloat16 takes {ratio:.2f} times as long as in float32")
as_described = is_supported and (ratio < 1 if is_native else ratio > 1.2)
sys.exit(0 if as_described else "The behaviour has changed.")
PYTHON

"$place/venv/bin/python" "$place/measure.py"
ONEDNN_MAX_CPU_ISA=AVX512_CORE "$place/venv/bin/python" "$place/measure.py"
