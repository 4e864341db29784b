"""Measure one trained student beside its teacher: ``python -m stages.evaluate_student digits-iaf_distilled``."""

from flowbench import config
from stages import run


def main(student: str) -> None:
    """Measure every trained seed of STUDENT, a key of the active suite, and write into results/STUDENT/."""
    params = config.load()
    config.known(student, params.active.students, "active.students", "student of the active suite")
    from flowbench.evaluation.distillation import StudentEvaluation

    StudentEvaluation(params, student).run()


if __name__ == "__main__":
    run(main)
