"""Images given by a Python program (arrays with labels, or a torch Dataset), turned into the same ``ImageSet`` as a file's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from robustbench_la.errors import ArgumentError
from robustbench_la.images.chosen import chosen_images, places_of
from robustbench_la.images.decoding import (
    ImageChoice,
    ImageSet,
    UndecodedImages,
    chosen_ids,
    size_text,
)
from robustbench_la.images.label_sets import label_set_of
from robustbench_la.images.layout import layout_of
from robustbench_la.images.sizing import channels_remark, resized
from robustbench_la.images.source import from_array
from robustbench_la.images.storage import GIVEN_BACK, give_back, room_for
from robustbench_la.progress import Meter, silent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor

    Arrays: TypeAlias = tuple[NDArray[np.uint8] | Tensor, Sequence[int] | NDArray[np.integer] | Tensor]

_MOST_CLASSES = 65_536
"""The most classes whose predictions a store can hold."""


class Dataset(Protocol):
    """A map-style torch Dataset: images by index, each with its label."""

    def __getitem__(self, index: int, /) -> Any:
        """(PIL image or uint8 tensor, label)."""

    def __len__(self) -> int:
        """The number of images."""


def images_in_memory(
    data: Arrays | Dataset,
    choice: ImageChoice,
    *,
    limit: int | None = None,
    layout: str | None = None,
    meter: Meter = silent,
    chosen: Sequence[str] = (),
) -> ImageSet:
    """Decode images that are in memory.

    Args:
        data: (images, labels), or a torch Dataset of (PIL image or uint8 tensor, label).
        choice: What the images are called, and how they are resized and cropped.
        limit: Use only this many images, the first of a fixed permutation; None for all.
        layout: The order of the axes, if it cannot be inferred from the shape; see ``layout.LAYOUTS``.
        meter: Shows the progress of reading a Dataset.
        chosen: The indices of images to use, in place of ``limit``.

    Returns:
        The images in ascending order of their ids, or in the order chosen.

    Raises:
        ArgumentError: If ``data`` is neither, or images and labels do not match.
    """
    if isinstance(data, (tuple, list)):
        if len(data) != 2:
            raise ArgumentError(f"data in memory must be (images, labels), not {len(data)} items")
        images = _as_nchw(data[0], layout)
        labels = _labels(data[1], len(images))
        remarks = channels_remark("L" if images.shape[1] == 1 else "RGB", choice)
        source = from_array(images, labels.tolist(), _numbered(labels))
        dataset = UndecodedImages(choice, source, remarks)
        return chosen_images(dataset, chosen, limit=1) if chosen else dataset.decode(limit=limit, meter=meter)
    if is_array(data):
        raise ArgumentError(f"the labels of the images are missing: give (images, labels), not one {type(data).__name__}")
    inner = getattr(data, "dataset", None)
    if type(data).__name__ == "DataLoader":
        raise ArgumentError("data must be a Dataset, not a DataLoader: give loader.dataset (batching and order are set here)")
    if not hasattr(data, "__getitem__") or not hasattr(data, "__len__"):
        raise ArgumentError(
            f"data must be the name of a dataset, (images, labels), or a map-style Dataset, not {type(data).__name__}"
        )
    classes = getattr(data, "classes", None) or getattr(inner, "classes", None)  # a Subset has them in its dataset
    total = len(data)
    if total == 0:
        raise ArgumentError("the Dataset is empty")
    places = places_of(chosen, total, choice.name) if chosen else chosen_ids(total, limit).tolist()
    if any(not isinstance(place, int) for place in places):
        raise ArgumentError("image= must be an index in the Dataset; files are for datasets that are files, or for none")
    return _from_dataset(data, choice, list(dict.fromkeys(places)), layout, classes, meter)


def is_array(data: object) -> bool:
    """Whether data are a numpy array or a tensor, which are images without labels."""
    return hasattr(data, "dtype") and hasattr(data, "shape")


def with_classes(images: ImageSet, count: int) -> ImageSet:
    """Raise the number of classes to that of a network, if it was inferred from the labels only.

    Args:
        images: Decoded images.
        count: The number of classes of the network.

    Returns:
        The images; unchanged if their classes have names, or are at least ``count``.

    Raises:
        ArgumentError: If labels count from 1.
    """
    from dataclasses import replace

    unnamed = images.classes == tuple(map(str, range(len(images.classes))))
    if unnamed and images.labels.min() == 1 and images.labels.max() == count:
        raise ArgumentError(
            f"labels go from 1 to {count}, but the {count} outputs of the network count from 0: subtract 1 from each"
        )
    return replace(images, classes=tuple(map(str, range(count)))) if unnamed and count > len(images.classes) else images


def _as_nchw(images: object, layout: str | None) -> NDArray[np.uint8]:
    import numpy as np

    array = np.asarray(images.cpu() if hasattr(images, "cpu") else images)
    if array.dtype != np.uint8:
        raise ArgumentError(f"images must be 8-bit (uint8, 0 to 255), not {array.dtype}; give them unscaled, with normalize=")
    if array.ndim > 1 and not len(array):
        raise ArgumentError(f"no images given: the array has shape {array.shape}")
    axes = "NHW" if array.ndim == 3 and layout is None else layout_of(array.shape, layout)
    if "N" not in axes or not len(array):
        raise ArgumentError(f"images must have shape (N, C, H, W), (N, H, W, C) or (N, H, W), not {array.shape}")
    array = array if "C" in axes else array[:, None]
    return array.transpose(0, 3, 1, 2) if axes == "NHWC" else array


def _labels(labels: object, count: int) -> NDArray[np.int64]:
    import numpy as np

    array = np.asarray(labels.cpu() if hasattr(labels, "cpu") else labels)
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise ArgumentError(f"labels must be whole numbers, one per image, not {array.dtype} of shape {array.shape}")
    if len(array) != count:
        raise ArgumentError(f"{count:,} images, but {len(array):,} labels; give one label per image")
    if not 0 <= array.min() <= array.max() < _MOST_CLASSES:
        raise ArgumentError(f"labels must go from 0 to the number of classes - 1, not from {array.min()} to {array.max()}")
    return array.astype(np.int64)


def _numbered(labels: NDArray[np.int64]) -> tuple[str, ...]:
    return tuple(map(str, range(int(labels.max()) + 1)))


def _from_dataset(
    data: Dataset, choice: ImageChoice, places: list[Any], layout: str | None, classes: Sequence[object] | None, meter: Meter
) -> ImageSet:
    import numpy as np

    ids = np.array(places, dtype=np.int64)
    labels = []
    images: NDArray[np.uint8] | None = None
    # One by one, because a Dataset need not be thread-safe.
    with meter("reading", len(ids)) as advance:
        for position, index in enumerate(map(int, ids)):
            pixels, label = _item(data, index, choice, layout)
            if images is None:
                images, step = room_for((len(ids), *pixels.shape)), max(1, GIVEN_BACK // max(1, pixels.nbytes))
            if pixels.shape != images.shape[1:]:
                raise ArgumentError(
                    f"the images differ in size: image {ids[0]} is {size_text(images[0])}, image {index} is {size_text(pixels)}; "
                    "give resize= and crop="
                )
            images[position] = pixels
            if position % step == 0:
                give_back(images)
            labels.append(label)
            advance(1)
    assert images is not None
    checked = _labels(labels, len(ids))
    inner = getattr(data, "dataset", data)  # of a Subset
    names = _numbered(checked) if classes is None else tuple(map(str, classes))
    if len(names) <= checked.max():
        raise ArgumentError(f"the Dataset names {len(names)} classes, but contains the label {checked.max()}")
    return ImageSet(
        name=choice.name,
        images=images,
        labels=checked,
        ids=ids,
        classes=names,
        label_set=label_set_of(getattr(inner, "wnids", names), getattr(inner, "targets", labels)),
        total=len(data),
        resize=choice.resize,
        crop=choice.crop,
    )


def _item(data: Dataset, index: int, choice: ImageChoice, layout: str | None) -> tuple[NDArray[np.uint8], object]:
    """Pixels (C, H, W) and label of the image at ``index``."""
    import numpy as np
    import PIL.Image

    item = data[index]
    if not isinstance(item, (tuple, list)) or len(item) < 2:
        raise ArgumentError(f"the Dataset must return (image, label), not {type(item).__name__}")
    image, label = item[:2]
    if not isinstance(image, PIL.Image.Image):
        image = _picture(image, layout)
    elif image.mode not in ("L", "RGB"):
        raise ArgumentError(f"image {index} has PIL mode {image.mode}; convert it to L or RGB")
    if choice.changes:
        image = resized(image, choice)
    array = np.asarray(image)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1), getattr(label, "item", lambda: label)()


def _picture(image: object, layout: str | None) -> Image:
    """One image, given as an array or a tensor, as a PIL image."""
    import numpy as np
    import PIL.Image

    array = np.asarray(image.cpu() if hasattr(image, "cpu") else image)
    if array.dtype != np.uint8:
        raise ArgumentError(
            f"the Dataset returns {array.dtype} images, not 8-bit ones (PIL or uint8): remove ToTensor and Normalize from its "
            "transforms, and give normalize="
        )
    axes = layout_of(array.shape, layout)
    array = array.transpose(1, 2, 0) if axes == "CHW" else array
    return PIL.Image.fromarray(array[..., 0] if array.shape[-1] == 1 and array.ndim == 3 else array)
