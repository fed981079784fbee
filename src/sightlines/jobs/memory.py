"""Memory that a job frees stays with it, so that its next tensor finds it.

glibc gives every block of more than 32 MiB back to the kernel when it is freed, and the kernel
clears each page of the next one anew. A network's activations are such blocks: of a MobileNet's
CPU time at 224 px two thirds went there. Nothing that is computed depends on it; a job's peak
of memory grows by what lies between blocks in use, a tenth (ViT) to a third (MobileNet).
"""

VARIABLE = "GLIBC_TUNABLES"
"""Read by glibc when a process starts; other systems' libraries pass it over."""
KEPT = ":".join(
    (
        "glibc.malloc.mmap_max=0",  # blocks of every size come out of what the process has
        f"glibc.malloc.trim_threshold={2**40}",  # of which it gives nothing back
        # Scraps beside aligned blocks, kept for small requests, would part free blocks for good.
        "glibc.malloc.tcache_count=0",
    )
)
