"""Which number format auto takes: known processors by their flags, and oneDNN's own word here."""

import os
import subprocess
import sys

import pytest
import torch

from sightlines.core.errors import ConfigError
from sightlines.core.precision import choose, of_processor

CPU = torch.device("cpu")

CASCADE_LAKE = """
    avx f16c rdrand hypervisor lahf_lm abm 3dnowprefetch invpcid_single pti fsgsbase tsc_adjust bmi1
    avx2 smep bmi2 erms invpcid avx512f avx512dq rdseed adx smap clflushopt clwb avx512cd avx512bw
    avx512vl xsaveopt xsavec xgetbv1 xsaves arat pku ospke avx512_vnni md_clear flush_l1d
    arch_capabilities
"""
ICE_LAKE = """
    avx f16c rdrand lahf_lm abm 3dnowprefetch cpuid_fault epb cat_l3 bmi1 avx2 smep bmi2 erms
    invpcid cqm rdt_a avx512f avx512dq rdseed adx smap avx512ifma clflushopt clwb intel_pt avx512cd
    sha_ni avx512bw avx512vl xsaveopt xsavec xgetbv1 xsaves cqm_llc cqm_occup_llc cqm_mbm_total
    cqm_mbm_local split_lock_detect wbnoinvd dtherm ida arat pln pts hwp avx512vbmi umip pku ospke
    avx512_vbmi2 gfni vaes vpclmulqdq avx512_vnni avx512_bitalg tme avx512_vpopcntdq la57 rdpid fsrm
"""
COOPER_LAKE = """
    avx f16c bmi1 avx2 smep bmi2 erms invpcid avx512f avx512dq rdseed adx smap clflushopt clwb
    avx512cd avx512bw avx512vl xsaveopt xsavec xgetbv1 xsaves cqm_llc cqm_occup_llc cqm_mbm_total
    cqm_mbm_local avx512_bf16 dtherm ida arat pln pts hwp hwp_act_window hwp_epp hwp_pkg_req pku
    ospke avx512_vnni md_clear flush_l1d arch_capabilities
"""
SAPPHIRE_RAPIDS_GUEST = """
    avx f16c rdrand hypervisor bmi1 avx2 smep bmi2 erms invpcid avx512f avx512dq rdseed adx smap
    avx512ifma clflushopt clwb avx512cd sha_ni avx512bw avx512vl xsaveopt xsavec xgetbv1 xsaves
    avx_vnni avx512_bf16 wbnoinvd arat vnmi avx512vbmi umip pku ospke waitpkg avx512_vbmi2 gfni vaes
    vpclmulqdq avx512_vnni avx512_bitalg avx512_vpopcntdq la57 rdpid bus_lock_detect cldemote
    movdiri movdir64b fsrm md_clear serialize tsxldtrk avx512_fp16 arch_capabilities
"""
"""Where the hypervisor hides AMX."""
SAPPHIRE_RAPIDS = f"{SAPPHIRE_RAPIDS_GUEST} pconfig arch_lbr amx_bf16 amx_tile amx_int8 flush_l1d"
ZEN_2 = """
    avx f16c rdrand lahf_lm cmp_legacy svm abm sse4a misalignsse 3dnowprefetch topoext bmi1 avx2
    smep bmi2 rdseed adx smap clflushopt sha_ni xsaveopt xsavec xgetbv1 clzero xsaveerptr arat npt
"""
ZEN_4 = """
    avx f16c rdrand hypervisor lahf_lm cmp_legacy abm sse4a bmi1 avx2 smep bmi2 erms invpcid avx512f
    avx512dq avx512ifma clflushopt clwb avx512cd sha_ni avx512bw avx512vl xsaveopt xsaves
    avx512_bf16 clzero xsaveerptr wbnoinvd arat avx512vbmi umip pku ospke avx512_vbmi2 gfni vaes
    vpclmulqdq avx512_vnni avx512_bitalg avx512_vpopcntdq la57 rdpid fsrm
"""
ZEN_5 = f"{ZEN_4} avx_vnni movdiri movdir64b avx512_vp2intersect"
NEOVERSE_V2 = """
    fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm jscvt fcma lrcpc
    dcpop sha3 sm3 sm4 asimddp sha512 sve asimdfhm dit uscat ilrcpc flagm ssbs sb dcpodp sve2 sveaes
    svepmull svebitperm svesha3 svesm4 flagm2 frint svei8mm svebf16 i8mm bf16 dgh
"""


@pytest.mark.parametrize(
    ("flags", "is_native"),
    [
        (CASCADE_LAKE, False),
        (ICE_LAKE, False),
        (COOPER_LAKE, True),
        (SAPPHIRE_RAPIDS_GUEST, True),
        (SAPPHIRE_RAPIDS, True),
        (ZEN_2, False),
        (ZEN_4, True),
        (ZEN_5, True),
        (NEOVERSE_V2, False),
    ],
    ids="cascade_lake ice_lake cooper_lake spr_guest spr zen_2 zen_4 zen_5 neoverse_v2".split(),
)
def test_known_processors(flags, is_native):
    found, evidence = of_processor(flags.split(), can_compute=True, environment={})
    assert found is is_native and "avx512_bf16" in evidence
    assert ("AMX" in evidence) == ("amx_bf16" in flags)


@pytest.mark.parametrize(
    ("environment", "is_native", "named"),
    [
        ({"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}, False, "ONEDNN_MAX_CPU_ISA=AVX512_CORE"),
        ({"ONEDNN_MAX_CPU_ISA": "avx512_core_vnni"}, False, "avx512_core_vnni"),
        ({"DNNL_MAX_CPU_ISA": "AVX2"}, False, "DNNL_MAX_CPU_ISA=AVX2"),
        ({"ONEDNN_MAX_CPU_ISA": "AVX2_VNNI_2"}, False, "AVX2_VNNI_2"),
        ({"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"}, True, "avx512_bf16"),
        ({"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_AMX"}, True, "avx512_bf16"),
        ({"ONEDNN_MAX_CPU_ISA": "no such word"}, True, "avx512_bf16"),
        ({"ONEDNN_MAX_CPU_ISA": "DEFAULT", "DNNL_MAX_CPU_ISA": "AVX2"}, True, "avx512_bf16"),
        ({"ONEDNN_MAX_CPU_ISA": "", "DNNL_MAX_CPU_ISA": "AVX2"}, False, "DNNL_MAX_CPU_ISA=AVX2"),
    ],
)
def test_a_limit_on_onednn_counts(environment, is_native, named):
    found, evidence = of_processor(SAPPHIRE_RAPIDS.split(), True, environment)
    assert found is is_native and named in evidence


def test_a_torch_that_cannot_compute_in_bfloat16_is_believed():
    found, evidence = of_processor(ZEN_5.split(), can_compute=False, environment={})
    assert not found and "oneDNN" in evidence


ASK = """
import torch
from sightlines.core.devices import prepare
compute = prepare({"device": "cpu", "threads": 1, "workers": 0}, "auto")
print("auto", compute.dtype, compute.why)
x = torch.ones(8, 8)
torch.nn.functional.conv2d(x[None, None], x[None, None])
"""


@pytest.mark.whole  # each in a process of its own, with torch
@pytest.mark.parametrize("limit", ["", "AVX512_CORE"])
def test_auto_takes_bfloat16_where_onednn_says_that_it_has_it(limit):
    """On this very machine, also under a limit: oneDNN tells its instructions if verbose."""
    told = {"ONEDNN_VERBOSE": "1", "ONEDNN_MAX_CPU_ISA": limit}
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        env=os.environ | told,
        capture_output=True,
        text=True,
        check=True,
    )
    (isa,) = [line for line in done.stdout.splitlines() if "cpu,isa:" in line]
    (auto,) = [line for line in done.stdout.splitlines() if line.startswith("auto ")]
    has = "bfloat16" in isa and "AVX2 " not in isa
    assert ("torch.bfloat16" in auto) == has and ("not native" in auto) == (not has), (isa, auto)


def test_what_is_set_is_taken():
    assert choose("fp32", CPU, {})[:2] == (torch.float32, "train.precision is fp32")
    with pytest.raises(ConfigError, match=r"train\.precision is fp16.*fp32"):
        choose("fp16", CPU, {})


@pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="needs AVX-512 for bfloat16"
)
def test_bf16_is_taken_where_it_is_emulated_and_said_to_be():
    found = choose("bf16", CPU, {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"})
    assert found.dtype == torch.bfloat16 and found.why == "train.precision is bf16"
    assert found.evidence.startswith("emulated: ")
