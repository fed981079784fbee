"""The loss of self-distillation (Caron et al. 2021, section 3.1 and algorithm 1)."""

import torch
from torch import Tensor
from torch.nn import functional


def distillation_loss(
    student: Tensor,
    teacher: Tensor,
    centre: Tensor,
    student_temperature: float,
    teacher_temperature: float,
) -> Tensor:
    """Cross-entropy of the student's answers with the teacher's for other views of an image.

    The mean, in nats, over images and over all pairs of a teacher's view and a student's, without
    those of a view with itself.

    Args:
        student: Outputs [views, images, outputs]; the teacher's views are the first.
        teacher: Outputs [teacher's views, images, outputs]; no gradient reaches them.
        centre: Is subtracted from these [outputs].
        student_temperature: Divides the student's outputs.
        teacher_temperature: Divides the teacher's.
    """
    answers = answers_of(teacher, centre, teacher_temperature)
    log_p = functional.log_softmax(student / student_temperature, dim=-1)
    views = len(answers)
    others = log_p.sum(0) - log_p[:views]
    return -(answers * others).sum(-1).mean() / (len(student) - 1)


def answers_of(teacher: Tensor, centre: Tensor, temperature: float) -> Tensor:
    """What a teacher answers: a centred and sharpened softmax of its outputs, without gradient."""
    return functional.softmax((teacher - centre) / temperature, dim=-1).detach()


def information(answers: Tensor) -> Tensor:
    """How much a teacher's answers tell of which image it sees, in nats.

    Entropy of the mean answer minus the mean entropy of answers. It is 0 where all images have one
    answer, be that flat or sharp: either way training has collapsed (section 5.3, figure 7).

    Args:
        answers: Probabilities [images, outputs].
    """
    mean = answers.mean(0)
    return _entropy(mean) - _entropy(answers).mean()


def _entropy(p: Tensor) -> Tensor:
    return torch.special.entr(p).sum(-1)
