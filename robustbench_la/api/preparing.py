"""What the Python functions are given (networks and images, as paths or in memory) becomes what the commands measure."""

from __future__ import annotations

import contextlib
import numbers
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from robustbench_la.api.settings import MeasuringSettings, Normalize
from robustbench_la.errors import ArgumentError, UserError
from robustbench_la.wording import in_python

if TYPE_CHECKING:
    from torch import nn

    from robustbench_la.images.decoding import Shape
    from robustbench_la.images.from_memory import Arrays, Dataset
    from robustbench_la.measuring.loading import GoOn, ReadCheckpoint
    from robustbench_la.measuring.session import Decode, Evaluation
    from robustbench_la.models.checkpoints.network import LoadOverrides, Network
    from robustbench_la.progress import Meter
    from robustbench_la.records.plan import EvaluationPlan

    Model: TypeAlias = nn.Module | str | Path
    Models: TypeAlias = Model | Sequence[Model] | Mapping[str, Model]
    DataInMemory: TypeAlias = Arrays | Dataset
    Data: TypeAlias = str | Path | DataInMemory

Words: TypeAlias = str | Iterable[str]
Severities: TypeAlias = int | str | Iterable[int | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where networks and images come from."""

    models: Sequence[tuple[str | None, nn.Module | str]]
    """Names, where they were given, and networks or paths."""
    data: str | DataInMemory | None
    layout: str | None = None
    """Of the axes of images in memory."""
    data_name: str | None = None
    """What images in memory are called in tables and stores."""
    download: bool = False

    @property
    def modules(self) -> list[nn.Module]:
        """The networks that are in memory."""
        return [model for _, model in self.models if not isinstance(model, str)]

    @property
    def in_files(self) -> bool:
        """Whether everything is given as the commands take it."""
        return not self.modules and all(name is None for name, _ in self.models) and isinstance(self.data, str | None)


def sources(
    model: Models,
    data: Data | None,
    *,
    layout: str | None = None,
    data_name: str | None = None,
    download: bool = False,
    needs_data: bool = True,
    needs_models: bool = True,
) -> Sources:
    """Sort out what was given. needs_data: whether networks in memory cannot do without; needs_models: whether anything can.

    Raises:
        ArgumentError: For what is neither a network nor a path, and for what would have no effect.
    """
    from torch import nn

    def one(model: object) -> nn.Module | str:
        if isinstance(model, (str, Path)):
            return str(model)
        if not isinstance(model, nn.Module):
            raise ArgumentError(f"model must be a torch.nn.Module, a path, or several of them, not {type(model).__name__}")
        return model

    if isinstance(model, Mapping):
        models: list[tuple[str | None, nn.Module | str]] = [(str(name), one(own)) for name, own in model.items()]
    elif isinstance(model, (list, tuple)):
        models = [(None, one(own)) for own in model]
    else:
        models = [(None, one(model))]
    if not models and needs_models:
        raise ArgumentError("no model given")
    if data is None and needs_data and any(not isinstance(own, str) for _, own in models):
        raise ArgumentError(
            'a network in memory does not record what data it is for; give the name of a dataset (such as "cifar10:data"), '
            "(images, labels), or a torch Dataset"
        )
    check_use(data, layout=layout, data_name=data_name, download=download)
    named = f"folder:{data}" if isinstance(data, Path) else data
    return Sources(models=models, data=named, layout=layout, data_name=data_name, download=download)


def check_use(data: Data | None, *, layout: str | None, data_name: str | None, download: bool) -> None:
    """Raise ArgumentError for what would have no effect on data of this kind."""
    in_memory = data is not None and not isinstance(data, (str, Path))
    if in_memory and download:
        raise ArgumentError("download= is for a named dataset; the images given are in memory already")
    for name, value in (("layout", layout), ("data_name", data_name)):
        if value is not None and not in_memory:
            raise ArgumentError(f"{name}= is for images in memory, not for a named dataset")


def plan_of(given: Sources, settings: Mapping[str, Any]) -> EvaluationPlan:
    """The plan that settings describe: those that are keys of a plan; None leaves its default."""
    from robustbench_la.models.in_memory import device_of
    from robustbench_la.records.plan import EvaluationPlan
    from robustbench_la.records.plan_file import read_plan

    own = {name: plain(value) for name, value in settings.items() if name in EvaluationPlan.model_fields}
    for name in ("noise", "severity"):
        if own.get(name) is not None:
            own[name] = [own[name]] if isinstance(own[name], (str, int)) else [plain(value) for value in own[name]]
            if not own[name]:
                raise ArgumentError(f'{name}= is empty; noise="clean" measures clean images alone')
    own["normalize"] = normalize_text(own.get("normalize"))
    if own.get("device") is None and (device := device_of(given.modules)) is not None:
        own["device"] = str(device)
    paths = [model for _, model in given.models if isinstance(model, str)]
    return read_plan(None, {**own, "checkpoints": paths, "data": given.data if isinstance(given.data, str) else None})


def plain(value: object) -> Any:
    """numpy's whole numbers and torch's devices as a plan has them; other values as they are."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    return str(value) if type(value).__name__ == "device" else value


def normalize_text(normalize: Normalize | None) -> str | None:
    """A normalization as a plan has it: a name, or means/standard deviations.

    >>> normalize_text(((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)))
    '0.5,0.5,0.5/0.25,0.25,0.25'
    """
    if normalize is None or isinstance(normalize, str):
        return normalize
    try:
        mean, std = (",".join(repr(float(value)) for value in values) for values in normalize)
    except (TypeError, ValueError):
        raise ArgumentError(f"normalize= must be a name, or (means, standard deviations), not {normalize!r}") from None
    return f"{mean}/{std}"


@contextlib.contextmanager
def prepared(given: Sources, plan: EvaluationPlan, meter: Meter) -> Iterator[Evaluation]:
    """What it takes to measure; networks in memory are in eval mode while the context lasts, and as they were afterwards."""
    from robustbench_la.measuring.session import prepare_evaluation
    from robustbench_la.models.allocator import keep_freed_memory
    from robustbench_la.models.in_memory import borrowed

    keep_freed_memory()
    if given.in_files:
        yield prepare_evaluation(plan, download=given.download, meter=meter)
        return
    with borrowed(given.modules):
        yield evaluation_in_memory(given, plan, meter)


def store_of(settings: MeasuringSettings) -> Path | None:
    """The store of a measurement; None for none. Raises ArgumentError for ``fresh`` without one."""
    store = settings.get("store")
    if store is None and settings.get("fresh"):
        raise ArgumentError("fresh= would have no effect without store=")
    return None if store is None else Path(store)


def meter_of(progress: bool | None) -> Meter:
    """What shows the progress: nothing for False, otherwise a bar where somebody can see it."""
    from robustbench_la.progress import bar, silent

    return silent if progress is False else bar("images")


def notes_of(evaluation: Evaluation) -> tuple[str, ...]:
    """What was left out, and what was assumed about networks: one sentence each, with the names of all that it is about."""
    from robustbench_la.measuring.session import same_weights

    names: dict[str, list[str]] = {in_python(remark): [evaluation.images.name] for remark in evaluation.images.remarks}
    for network in evaluation.networks:
        for remark in network.remarks:
            names.setdefault(in_python(remark), []).append(network.name)
    assumed = [f"{', '.join(own)}: {remark}." for remark, own in names.items()]
    left_out = [f"left out: {in_python(why)}." for why in evaluation.left_out]
    return (*left_out, *assumed, *(f"{sentence}." for sentence in same_weights(evaluation.networks)))


def evaluation_in_memory(
    given: Sources, plan: EvaluationPlan, meter: Meter, *, decode: Decode | None = None, chosen: Sequence[str] = ()
) -> Evaluation:
    """The evaluation of sources that are not all files. Networks in memory have to be ``borrowed``.

    Args:
        given: Networks and images.
        plan: The rest.
        meter: Shows the progress.
        decode: Decodes the images of a named dataset; those that the limit of the plan leaves, if not given.
        chosen: The indices of images in memory to use; likewise.
    """
    from robustbench_la.images import decoding
    from robustbench_la.images.from_memory import images_in_memory, with_classes
    from robustbench_la.images.labels import check_class_names
    from robustbench_la.measuring import session
    from robustbench_la.measuring.loading import read_checkpoints
    from robustbench_la.models.names import check_names

    check_names(plan)
    left_out: list[str] = []

    def go_on(error: UserError) -> bool:
        left_out.append(str(error))
        return plan.keep_going

    files = {model: read_checkpoints(plan, go_on, patterns=[model]) for _, model in given.models if isinstance(model, str)}
    if given.data is None or isinstance(given.data, str):
        choice = session.choice_for(plan, [one.file for own in files.values() for one in own])
        undecoded = session.with_labels(decoding.open_dataset(choice, download=given.download), plan)
        networks = _networks(given, plan, files, undecoded.shape(), go_on)
        for network in networks:  # before images are decoded, which may take minutes
            session.check_fit(network, undecoded.shape(), choice.name, labels_given=undecoded.labels_given)
            check_class_names(network.classes, undecoded, network=network.name)
        images = undecoded.decode(limit=plan.limit, meter=meter) if decode is None else decode(undecoded)
        evaluation = session.evaluation_of(networks, images, plan)
        return replace(evaluation, left_out=tuple(left_out))
    if plan.labels or plan.label_map:
        raise ArgumentError(
            "labels= and label_map= say which class folder each output stands for, and data in memory has no folders: give the "
            "number of its output as the label of each image"
        )
    default = decoding.IN_MEMORY if isinstance(given.data, (tuple, list)) else type(given.data).__name__
    choice = replace(session.choice_for(plan, []), name=given.data_name or default)
    images = images_in_memory(given.data, choice, limit=plan.limit, layout=given.layout, meter=meter, chosen=chosen)
    _, channels, height, width = images.images.shape
    shape = decoding.Shape(classes=len(images.classes), channels=channels, height=height, width=width)
    networks = _networks(given, plan, files, shape, go_on)
    images = with_classes(images, networks[0].spec.classes) if networks else images
    evaluation = session.evaluation_of(networks, images, plan)
    return replace(evaluation, left_out=tuple(left_out))


def _networks(
    given: Sources, plan: EvaluationPlan, files: Mapping[str, Sequence[ReadCheckpoint]], shape: Shape, go_on: GoOn
) -> list[Network]:
    from robustbench_la.measuring.loading import load_networks, overrides_of

    networks: list[Network] = []
    classes = [type(model).__name__ for name, model in given.models if name is None and not isinstance(model, str)]
    for name, model in given.models:
        taken = {network.name for network in networks}
        if not isinstance(model, str):
            own = type(model).__name__
            free = name or _free_name(own, taken.__contains__, numbered=classes.count(own) > 1)
            networks.append(_in_memory(free, model, overrides_of(plan), shape))
            continue
        if name is not None and len(files[model]) > 1:
            raise ArgumentError(f"the name {name!r} is of one network, but its pattern matches {len(files[model])} files")
        new = load_networks(files[model], shape, go_on)
        new = new if name is None else [replace(network, name=name) for network in new]
        networks += [network for network in new if network.name not in taken]  # a file of several patterns is measured once
    return networks


def _in_memory(name: str, model: nn.Module, overrides: LoadOverrides, shape: Shape) -> Network:
    from robustbench_la.measuring.in_memory import network_in_memory

    if overrides.architecture is not None:
        raise ArgumentError("arch= is for checkpoint files; a network in memory has its code already")
    if overrides.exchange:
        raise ArgumentError(
            "exchange= is for checkpoint files; robustbench_la.models.exchange.exchange changes a network in memory"
        )
    network = network_in_memory(
        model, name, shape, activation=overrides.activation, alpha=overrides.alpha, normalization=overrides.normalization
    )
    return replace(network, architecture_label=overrides.architecture_label)


def _free_name(name: str, taken: Callable[[str], bool], *, numbered: bool) -> str:
    """``Net``; of several networks of the class ``Net[1]``, ``Net[2]`` ..."""
    number = 1 if numbered else 0
    while taken(free := f"{name}[{number}]" if number else name):
        number += 1
    return free
