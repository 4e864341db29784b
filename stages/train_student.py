"""Train one student on its trained teacher: ``python -m stages.train_student digits-iaf_distilled``."""

from flowbench import config
from stages import run


def main(student: str) -> None:
    """Train every seed of STUDENT, a key of the active suite, and write results/STUDENT/."""
    params = config.load()
    config.known(student, params.active.students, "active.students", "student of the active suite")
    from flowbench.training.distillation import StudentTraining

    StudentTraining(params, student).run()


if __name__ == "__main__":
    run(main)
