"""The images that a command names with --data: a folder with a folder a class, or the pairs that ship."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path

from timm.models import PretrainedCfg

from swinprune_lite.anatomy.inputs import image_shape
from swinprune_lite.data.augmentation import training_images
from swinprune_lite.data.folders import FolderImages, Transform, evaluation_images, require_counts
from swinprune_lite.data.listing import listing_digest, require_same_classes, split_folder
from swinprune_lite.data.pairs import DIGESTS, GARMENTS, PAIR_NAMES, SPLITS, FashionPairs, lite_data
from swinprune_lite.files import parse_json
from swinprune_lite.models.lite import INPUT_SIZE
from swinprune_lite.shell.named import Loaded
from swinprune_lite.sources.shipped_source import Shipped

LITE = "lite"
INTERPOLATIONS = ("bicubic", "bilinear", "nearest", "lanczos")
_PAIRS = (1, *INPUT_SIZE)


@dataclass(frozen=True)
class Data:
    """Images for one model.

    Attributes:
        loaded: the model.
        where: a folder, or "lite", the pairs that ship.
        batch_size: images at a time, of all processes together where they are learned from.
        crop_pct: share of the resized image's shorter side that is the crop's; None: the model's own.
        interpolation: of the resizing, as timm names it; None: the model's own.
        class_map: names of the classes in the model's order; None: what the model knows of itself.
    """

    loaded: Loaded
    where: str
    batch_size: int
    crop_pct: float | None = None
    interpolation: str | None = None
    class_map: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        require_counts(batch_size=self.batch_size)
        if self.crop_pct is not None and not 0 < self.crop_pct <= 1:
            raise ValueError(f"--crop-pct is a share of the image's shorter side, in (0, 1]; got {self.crop_pct!r}.")
        if self.interpolation not in (None, *INTERPOLATIONS):
            raise ValueError(f"--interpolation is one of {', '.join(INTERPOLATIONS)}; got {self.interpolation!r}.")
        shape = image_shape(self.loaded.model, self.loaded.image_size)
        if not self.loaded.classes:
            raise ValueError(f"{self.loaded.name} has no head, so it tells no classes apart; give a classifier.")
        if self.pairs:
            if (shape, self.loaded.classes) != (_PAIRS, len(GARMENTS) ** 2):
                raise ValueError(
                    f"The pairs that ship are {_PAIRS} images of {len(GARMENTS) ** 2} classes, for lite models; "
                    f"{self.loaded.name} takes {shape} and tells {self.loaded.classes} apart. Give --data a folder."
                )
            if self.crop_pct or self.interpolation or self.class_map:
                raise ValueError("The pairs that ship are not resized; leave out crop, interpolation and class map.")
        elif shape[0] != 3:
            raise ValueError(
                f"{self.loaded.name} takes images of {shape[0]} channel(s), and those of a folder have 3; give another "
                f"model, or --data {LITE} for a lite one."
            )

    @property
    def pairs(self) -> bool:
        """Whether the images are the pairs that ship."""
        return self.where == LITE

    @property
    def folder(self) -> Path:
        """Where they are."""
        return Path(self.where).expanduser()

    @property
    def config(self) -> PretrainedCfg:
        """What timm knows of the model, with what is asked for here."""
        own = config_of(self.loaded)
        if self.class_map is None:
            return own
        if len(self.class_map) != own.num_classes:
            raise ValueError(
                f"The class map has {len(self.class_map)} names and {self.loaded.name} tells {own.num_classes} classes "
                "apart; give one name for each, in the model's order."
            )
        return replace(own, label_names=self.class_map)

    @property
    def transform(self) -> Transform:
        """How images become what the model takes."""
        found = Transform.of(self.config, self.crop_pct)
        return replace(found, interpolation=self.interpolation) if self.interpolation else found

    def test(self, split: str = "val", images: int | None = None) -> FolderImages | FashionPairs:
        """What accuracy is measured on: all of it, or the first so many images.

        Args:
            split: a folder in the folder; of the pairs "val", which are their test pairs, or one of `lite_data`.
            images: how many; None: all.

        Raises:
            FileNotFoundError: no such folder or split, or no images in it.
            ValueError: classes that are not the model's, an unknown split, or more images than there are.
        """
        require_counts(images=images)
        found = self._test(split)
        if images is None:
            return found
        if images > found.images:
            raise ValueError(f"There are {found.images:,} images, fewer than {images:,}; ask for no more.")
        some = {"right": found.right[:images]} if self.pairs else {"order": found.order[:images]}
        return replace(found, **some)

    def _test(self, split: str) -> FolderImages | FashionPairs:
        if not self.pairs:
            _require(self.folder)
            return evaluation_images(split_folder(self.folder, split), self.config, self.transform, self.batch_size)
        known = {"val": "test"} | {name: name for name in SPLITS if name not in ("train", "calibration")}
        if split not in known:
            raise ValueError(f"The pairs that ship have no split {split!r}; choose one of {', '.join(known)}.")
        return lite_data(known[split], self.batch_size)

    def train(self, seed: int, processes: int = 1, steps: int | None = None) -> Iterable:
        """Augmented images of the split "train", for one of so many processes; an epoch is all of them, or `steps`.

        Raises:
            FileNotFoundError: no such folder or split, or no images in it.
            ValueError: classes that are not the model's, or others than those of "val".
        """
        share = steps and steps * processes  # an epoch's batches, which the processes take in turns
        if self.pairs:
            return Shipped("test").training_batches((), self.batch_size // processes, seed, share)
        _require(self.folder)
        train, val = (split_folder(self.folder, split) for split in ("train", "val"))
        require_same_classes(train, val, self.config)
        return training_images(train, self.config, self.transform, self.batch_size // processes, seed, share)

    def class_names(self, test: FolderImages | FashionPairs) -> dict[int, str]:
        """The names of the classes that have images, by the model's numbers."""
        if isinstance(test, FashionPairs):
            return dict(enumerate(PAIR_NAMES))
        number: Callable[[int], int] = test.dataset.target_transform
        return {number(index): name for index, name in enumerate(test.dataset.classes)}

    def digests(self, split: str, training: bool = False) -> dict[str, str]:
        """SHA-256 of the images of a split, and of the training images."""
        if self.pairs:
            return {name: DIGESTS[name] for name in (["test", "train"] if training else ["test"])}
        names = [split, "train"] if training else [split]
        return {name: listing_digest(split_folder(self.folder, name)) for name in names}


def config_of(loaded: Loaded) -> PretrainedCfg:
    """What timm knows of a model's weights, with the image size and the classes that it has here."""
    known = {field.name for field in fields(PretrainedCfg)}
    told = getattr(loaded.model, "pretrained_cfg", None) or {}
    about = {key: value for key, value in told.items() if key in known}
    if about.get("num_classes") != loaded.classes:
        about["label_names"] = None  # of another head
    own = {
        "architecture": loaded.architecture,
        "input_size": image_shape(loaded.model, loaded.image_size),
        "num_classes": loaded.classes,
    }
    return PretrainedCfg(**about | own)


def read_class_map(path: str | Path) -> tuple[str, ...]:
    """Names of classes in the model's order, from a text file, one a line, or a JSON list, or object name -> number.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that is neither, names that are there twice, or numbers that are not 0, 1, 2 and so on.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}; give one with a class's name a line, in the model's order.")
    try:
        text = path.read_text()
        found = parse_json(text) if path.suffix == ".json" else text.split("\n")
        if isinstance(found, dict):
            if sorted(found.values()) != list(range(len(found))):
                raise ValueError("its numbers are not 0, 1, 2 and so on")
            found = sorted(found, key=found.__getitem__)
        names = tuple(name.strip() for name in found)
        names = names[:-1] if names and not names[-1] else names
        if not names or len(set(names)) < len(names) or not all(names):
            raise ValueError("its names must be there once each, none of them empty")
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no class map ({error}); give one with a class's name a line.") from error
    return names


def _require(folder: Path) -> None:
    if not folder.is_dir():
        raise FileNotFoundError(
            f'There is no folder {folder}; give one that holds a folder of images for every class, or "{LITE}", the '
            "pairs that ship."
        )
