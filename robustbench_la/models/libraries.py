"""Networks that optional libraries build: timm and Hugging Face transformers. Nothing is downloaded."""

from __future__ import annotations

import contextlib
import importlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from robustbench_la.errors import UserError, did_you_mean, first_line

if TYPE_CHECKING:
    from torch import nn

_EXTRAS = {"timm": "timm", "transformers": "hf", "onnx": "onnx", "onnxruntime": "onnx"}
"""Which extra of larobust installs a library."""


_SIZES = "ignore_mismatched_sizes"
"""In what transformers says of weights that do not fit, next to a report that it prints."""
_FILES = frozenset({"checkpoint_path", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"})
"""Arguments of timm that name weights elsewhere."""


def library(name: str) -> ModuleType:
    """Import an optional library. Raises UserError, naming the extra that installs it, if it is missing."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return importlib.import_module(name)
    except ImportError as error:
        missing = f"needs {name}; install it with pip install 'larobust[{_EXTRAS[name]}]'"
        raise UserError(missing if isinstance(error, ModuleNotFoundError) else f"{missing} ({first_line(error)})") from None


def timm_network(name: str, *, classes: int, channels: int, arguments: Mapping[str, Any] | None = None) -> nn.Module:
    """Build a classifier of timm with newly initialised weights.

    Args:
        name: Its name there; what follows a dot names weights and is left out.
        classes: Number of outputs.
        channels: Of the images.
        arguments: Further arguments of the network, as a config.json records them.

    Returns:
        The network.

    Raises:
        UserError: If timm is not installed, or does not know the network.
    """
    timm = library("timm")
    base, known = name.partition(".")[0], timm.list_models()
    if base not in known:
        raise UserError(f"unknown timm classifier {base!r}{did_you_mean(base, known)}")
    if asks := _FILES.intersection(arguments or {}):
        raise UserError(f"its config.json asks timm for {', '.join(sorted(asks))}, which is not followed")
    settings = {**(arguments or {}), "num_classes": classes, "in_chans": channels}
    try:
        with warnings.catch_warnings(action="ignore"):
            model: nn.Module = timm.create_model(base, pretrained=False, **settings)
    except UserError:
        raise
    except Exception as error:  # settings that others wrote reach code that expects its own: anything may go wrong in it
        raise UserError(f"timm cannot build {base} ({first_line(error)})") from None
    return model


def timm_settings(name: str) -> dict[str, Any]:
    """What timm says about the preprocessing of a network's usual weights; nothing if it has none.

    Args:
        name: Its name there; what follows a dot names weights.
    """
    timm = library("timm")
    for known in (name, name.partition(".")[0]):
        try:
            settings = timm.get_pretrained_cfg(known)
        except RuntimeError:  # weights that it does not know
            continue
        if settings is not None:
            return dict(settings.to_dict())
    return {}


def sketched(build: Callable[[], nn.Module]) -> nn.Module | None:
    """A network without memory for its weights; None if its code needs their values.

    Args:
        build: Gives the network.
    """
    from robustbench_la.models.unallocated import unallocated

    try:
        with unallocated():
            return build()
    except UserError as error:
        if "meta" in str(error):
            return None
        raise


def transformers_network(folder: Path, state: dict[str, Any], settings: Mapping[str, Any] | None = None) -> nn.Module:
    """Build a classifier of Hugging Face transformers as its folder describes it. Code in the folder is not run.

    Args:
        folder: With config.json.
        state: The weights, which larobust reads itself: transformers would take any tensors.
        settings: In place of those of its config.json.

    Returns:
        The network, which returns logits.

    Raises:
        UserError: If transformers is not installed, or network and weights do not fit.
    """
    from robustbench_la.models.unallocated import unallocated

    transformers = library("transformers")
    try:
        with warnings.catch_warnings(action="ignore"), _silent(transformers):
            automatic = transformers.AutoModelForImageClassification
            if settings is None:
                config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            else:
                config = transformers.AutoConfig.for_model(**settings)
            with unallocated():
                kind = type(automatic.from_config(config, trust_remote_code=False))
            model, loading = kind.from_pretrained(
                None,
                config=config,
                state_dict=state,
                local_files_only=True,
                output_loading_info=True,
                dtype="float32",
                attn_implementation="eager",  # the same arithmetic on every machine
            )
    except UserError:
        raise
    except Exception as error:  # settings that others wrote reach code that expects its own: anything may go wrong in it
        why = "the weights have other sizes than config.json describes" if _SIZES in str(error) else first_line(error)
        raise UserError(f"transformers cannot load it as an image classifier ({why})") from None
    faults = {name: loading.get(name) for name in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")}
    for name, keys in faults.items():
        if keys:
            named = f"{name.replace('_', ' ')}: {', '.join(map(str, keys))[:200]}"
            raise UserError(f"the weights do not fit config.json; {named}")
    network: nn.Module = model
    network.register_forward_hook(_logits)
    return network


def _logits(network: nn.Module, inputs: object, output: Any) -> Any:
    """What a network of transformers returns holds the logits among other things."""
    return output.logits


@contextlib.contextmanager
def _silent(transformers: ModuleType) -> Iterator[None]:
    """Without the progress bars and remarks of transformers."""
    logging = transformers.utils.logging
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
