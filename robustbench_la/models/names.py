"""Names in a plan, checked against the tables of the measuring wing before anything is read or decoded."""

from __future__ import annotations

from robustbench_la.images.datasets import check_name
from robustbench_la.images.normalization import parse_normalization
from robustbench_la.models.architectures import check_architecture
from robustbench_la.records.plan import EvaluationPlan, TrainingPlan


def check_names(plan: EvaluationPlan | TrainingPlan) -> None:
    """Check the architecture, the normalization and the dataset that a plan names.

    Args:
        plan: A plan for training or evaluation.

    Raises:
        UserError: For the first unknown name; the message suggests close matches.
    """
    if plan.arch is not None:
        check_architecture(plan.arch)
    if plan.normalize is not None:
        parse_normalization(plan.normalize)
    if plan.data is not None:
        check_name(plan.data)
