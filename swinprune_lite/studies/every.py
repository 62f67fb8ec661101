"""Every measurement that the shipped results store holds."""

from swinprune_lite.measurements.profile import Profile
from swinprune_lite.measurements.setting import Setting
from swinprune_lite.measurements.store import question
from swinprune_lite.studies import acceleration, criteria, finetuned, repair, reproduction, structured
from swinprune_lite.studies.profiles import PROFILES


def measurements() -> list[tuple[Profile, Setting]]:
    """Of the reproduction and of all studies, each once; those on lite models first."""
    lite = PROFILES["lite"]
    found = [(lite, setting) for setting in reproduction.whole(lite)]
    found += [(acceleration.PROFILE, setting) for setting in acceleration.whole()]
    found += repair.whole() + criteria.whole() + finetuned.whole() + structured.whole()
    found += [(repair.PRETRAINED, setting) for setting in repair.pretrained()]
    return list({question(profile, setting): (profile, setting) for profile, setting in found}.values())
