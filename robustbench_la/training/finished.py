"""Whether a checkpoint is the one that a job would write, so that a command that was interrupted need not train it again."""

from __future__ import annotations

import json

from robustbench_la.errors import UserError
from robustbench_la.models.checkpoints.file import read_checkpoint
from robustbench_la.training.jobs import Job


def check_finished(job: Job, fingerprint: str) -> None:
    """Make sure that the checkpoint at ``job.path`` is the outcome of the job.

    Args:
        job: Whose checkpoint exists already.
        fingerprint: Of its images.

    Raises:
        UserError: If the file is another checkpoint, or none.
    """
    try:
        content = read_checkpoint(job.path).content
        training = content["training"]
        identity = {
            "network": content["network"],
            "activation": [content["activation"]["name"], content["activation"]["alpha"]],
            "seed": training["seed"],
            "recipe": training["recipe"],
            "normalization": content["normalization"],
            "data": training["data_fingerprint"],
            "device": training["device"].partition(":")[0],
            "torch": training["versions"]["torch"],
        }
    except (UserError, KeyError, TypeError, AttributeError):  # a file of anybody's
        identity = {}
    expected = json.loads(job.identity(fingerprint))
    expected["normalization"] = {"mean": list(job.normalization.mean), "std": list(job.normalization.std)}
    if _as_json(identity) != _as_json(expected):
        raise UserError(f"{job.path} already exists, with other settings or data; --force trains all again and overwrites it")


def _as_json(identity: object) -> object:
    """With lists for tuples, as in a file."""
    return json.loads(json.dumps(identity, default=str))
