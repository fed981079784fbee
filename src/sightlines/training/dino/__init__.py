"""Self-distillation without labels (DINO, Caron et al. 2021): its parts, which need torch."""
