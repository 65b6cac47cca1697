"""One forward pass of a network in a given arithmetic; what goes wrong in it is reported as the network's own."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor

from robustbench_la.errors import RunError, UserError
from robustbench_la.measuring.outputs import log_probabilities, logits_of
from robustbench_la.models.checkpoints.network import Network
from robustbench_la.models.user_code import failure
from robustbench_la.models.user_prints import prints_on_stderr


def outputs_of(network: Network, inputs: Tensor, *, amp: bool) -> Tensor:
    """Run one forward pass.

    Args:
        network: On the device of the inputs.
        inputs: Normalized, float32 (N, C, H, W).
        amp: Whether in bfloat16 autocast.

    Returns:
        What it gives for each class, (N, classes): logits, or probabilities if it ends in a softmax; finite or not.

    Raises:
        RunError: If memory runs out.
        UserError: If its code fails, or returns nothing of that shape.
    """
    if network.channels_last:
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    elif inputs.shape[1] == 1 and inputs.stride(1) != inputs[0, 0].numel():
        # A single channel fits both formats, whatever its stride; torch would go by the stride, and `view` in the network fail.
        inputs = inputs.clone(memory_format=torch.contiguous_format)
    precision = torch.autocast(inputs.device.type, dtype=torch.bfloat16) if amp else contextlib.nullcontext()
    try:
        # TF32, the CUDA default for convolutions, keeps 10 bits of the mantissa: not the float32 that the provenance states.
        with precision, prints_on_stderr(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            output = network.model(inputs)
    except torch.OutOfMemoryError:
        raise RunError(
            f"out of memory on {inputs.device} with batches of {len(inputs)} images; give a smaller --batch-size"
        ) from None
    except UserError:  # of what watches the activations
        raise
    except (Exception, SystemExit) as error:  # code of the user's: anything may go wrong in it
        count, channels, height, width = inputs.shape
        what = f"{count} images of {width}x{height} px with {channels} channel{'s' if channels > 1 else ''}"
        raise UserError(f"{network.name} fails on {what}: {failure(error)}") from error
    return logits_of(output, network.name, images=len(inputs), classes=network.spec.classes)


def run_network(network: Network, inputs: Tensor, *, amp: bool) -> Tensor:
    """The logits of one forward pass: the logarithm of what a network that ends in a softmax returns.

    Args and errors as of ``outputs_of``.
    """
    outputs = outputs_of(network, inputs, amp=amp)
    return log_probabilities(outputs) if network.gives_probabilities else outputs
