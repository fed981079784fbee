HOSTILE = "<script>alert('x')</script> & \"quoted\""


def record(job, wall_s=61.5, peak=500_000_000):
    return {
        "job": job,
        "outputs": {f"results/synthetic/models/{job}/weights.safetensors": "ab" * 32},
        "notes": {"device": "cpu", "precision": "bfloat16"},
        "python": "3.11.2",
        "packages": {"torch": "2.13.0", "numpy": "2.3.1"},
        "hardware": {"processor": "Some Processor", "cores": 2, "system": "Linux"},
        "wall_s": wall_s,
        "cpu_s": 2 * wall_s,
        "peak_memory_bytes": peak,
    }
