"""Pretrained weights: timm's models, from its hub or a folder of one's own; fetched once, and checked.

A model is named as timm names it: "swin_tiny_patch4_window7_224.ms_in1k" (architecture and tag),
"hf-hub:somebody/model", or "local-dir:/folder" with the config.json and model.safetensors that timm's
`save_for_hf` writes.
"""

import re
import textwrap
from dataclasses import fields
from functools import cache
from pathlib import Path

import timm
import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from timm.models import PretrainedCfg, get_pretrained_cfg, load_model_config_from_hf, parse_model_name
from timm.models._hub import load_model_config_from_path
from torch import nn

from swinprune_lite.files import check_finite, check_parts, reason, sha256
from swinprune_lite.models.checkpoints import check_known, create

PAPER_MODELS = tuple(f"swin_{size}_patch4_window7_224.ms_in1k" for size in ("tiny", "small", "base"))
"""The paper's Swin-T, S and B, trained on ImageNet-1k alone; timm's default tag of base is ImageNet-22k's."""

_FILES = ("model.safetensors", "pytorch_model.bin")
_SAVE_AGAIN = "Save the model there again with timm's save_for_hf."  # nothing fetches a folder of one's own


def best_device() -> str:
    """ "cuda" where there is a GPU, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def config(name: str) -> PretrainedCfg:
    """What timm knows of pretrained weights: where they are, what images they take, how many classes they tell apart.

    Args:
        name: timm's, with a tag ("swin_tiny_patch4_window7_224.ms_in1k"), "hf-hub:somebody/model", or
            "local-dir:/folder".

    Raises:
        ValueError: timm does not know the model or the tag, has no weights for it, or the folder has no configuration.
        ConnectionError: the configuration is not to be had from the hub.
    """
    source, place = parse_model_name(name)
    if source:
        return _own_config(source, place)
    architecture = check_known(name)
    try:
        found = get_pretrained_cfg(name)
    except RuntimeError:  # an unknown tag
        found = None
    if found is None or not found.has_weights:
        tags = [known for known in timm.list_pretrained() if known.partition(".")[0] == architecture]
        raise ValueError(f"timm has no weights {name!r}; of this architecture it has {', '.join(tags) or 'none'}.")
    return found


def weights_file(name: str) -> Path:
    """The file of pretrained weights, from the hub's cache or, where it is not there yet, from the hub.

    Args:
        name: timm's, with a tag ("swin_tiny_patch4_window7_224.ms_in1k"), "hf-hub:somebody/model", or
            "local-dir:/folder".

    Raises:
        ValueError: an unknown model, or a file in the cache that is damaged.
        ConnectionError: neither in the cache nor to be had from the hub.
    """
    source, place = parse_model_name(name)
    if source == "local-dir":
        found = [Path(place) / file for file in _FILES if (Path(place) / file).is_file()]
        if not found:
            raise ValueError(
                f"{place} holds none of {', '.join(_FILES)}; save the model there with timm's save_for_hf."
            )
        return found[0]
    repository, _, revision = (config(name).hf_hub_id or "").partition("@")
    if not repository:
        raise ValueError(f"{name} has no weights on the hub; choose a model that has, see timm.list_pretrained().")
    unreachable = None
    for file in _FILES:
        try:
            path = Path(
                hf_hub_download(repository, file, revision=revision or None, local_files_only=bool(unreachable))
            )
        except LocalEntryNotFoundError as error:  # another of the files may be in the cache all the same
            unreachable = unreachable or error
            continue
        except EntryNotFoundError:
            continue
        except (OSError, ValueError) as error:  # HfHubHTTPError is an OSError; a bad endpoint a ValueError
            raise _unreachable(repository, error) from error
        _check_blob(path)
        return path
    if unreachable:
        raise _unreachable(repository, unreachable) from unreachable
    raise ConnectionError(f"The hub's repository {repository} holds none of {', '.join(_FILES)}.")


def load_pretrained(name: str, image_size: tuple[int, int] | None = None) -> nn.Module:
    """A pretrained timm model in float32 and evaluation mode, on the CPU.

    Args:
        name: timm's, with a tag ("swin_tiny_patch4_window7_224.ms_in1k"), "hf-hub:somebody/model", or
            "local-dir:/folder".
        image_size: (height, width) in pixels; None: the weights' own.

    Raises:
        ValueError: an unknown model, or a file that is damaged or holds something else than its weights.
        ConnectionError: the weights are not to be had.
    """
    found, source = config(name), parse_model_name(name)[0]
    _on_meta(name)  # what timm cannot build is told before anything is fetched
    path = weights_file(name)
    overlay, size = None if source else {"file": str(path)}, {"img_size": image_size} if image_size else {}
    try:
        check_parts(path)
        model = create(name, pretrained=True, pretrained_cfg_overlay=overlay, **size).eval()
        check_finite(dict(model.named_parameters()))
    except Exception as error:  # a damaged file can raise almost anything
        advice = "Remove the file, so that it is fetched anew."
        raise ValueError(
            f"{path} does not hold the weights of {name} ({found.num_classes} classes): {reason(error)}. "
            f"{_SAVE_AGAIN if source == 'local-dir' else advice}"
        ) from error
    return model


def own_arguments(name: str) -> dict:
    """What timm builds a model of `load_pretrained` with beside its architecture: of a "local-dir:" what it says."""
    source, place = parse_model_name(name)
    return (load_model_config_from_path(place)[2] or {}) if source == "local-dir" else {}


def _own_config(source: str, place: str) -> PretrainedCfg:
    try:
        load = load_model_config_from_path if source == "local-dir" else load_model_config_from_hf
        found, architecture, _ = load(place)
    except FileNotFoundError as error:
        if source == "local-dir":
            raise ValueError(f"{place} has no config.json; save the model there with timm's save_for_hf.") from error
        raise _unreachable(place, error) from error
    except OSError as error:
        raise _unreachable(place, error) from error
    except Exception as error:  # a damaged file can raise almost anything
        raise _not_timms(source, place, error) from error
    known = {field.name for field in fields(PretrainedCfg)}
    return PretrainedCfg(
        **{key: value for key, value in found.items() if key in known} | {"architecture": architecture}
    )


def _not_timms(source: str, place: str, error: Exception) -> ValueError:
    advice = _SAVE_AGAIN if source == "local-dir" else "Choose a model that timm saved."
    return ValueError(f"The config.json of {place} is not one that timm writes ({reason(error)}). {advice}")


@cache
def digest(path: Path) -> str:
    """SHA-256 of a file that does not change while the process runs."""
    return sha256(path)


@cache
def _on_meta(name: str) -> nn.Module:
    source, place = parse_model_name(name)
    try:
        with torch.device("meta"):
            return timm.create_model(name)
    except Exception as error:  # an architecture that timm has not, or arguments that it does not take
        if not source:
            raise
        raise _not_timms(source, place, error) from error


def _check_blob(path: Path) -> None:
    """The hub's cache names a large file by its SHA-256."""
    blob = path.resolve()
    if re.fullmatch("[0-9a-f]{64}", blob.name) and digest(blob) != blob.name:
        raise ValueError(
            f"{path} is damaged: its SHA-256 begins {digest(blob)[:12]}, expected {blob.name[:12]}. "
            f"Remove {blob}, so that it is fetched anew."
        )


def _unreachable(repository: str, error: Exception) -> ConnectionError:
    reason = textwrap.shorten(str(error), 120, placeholder=" ...")
    return ConnectionError(
        f"The weights {repository} are neither in the hub's cache nor to be had from the hub ({type(error).__name__}: "
        f"{reason}) Nothing was put in their place. Where there is a network, "
        "'swinprune fetch weights' fetches them ahead of time, for use without one."
    )
