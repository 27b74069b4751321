"""The only place that cuts: packets into chunks, parts and media segments (pure)."""

from kinolog.packager.packager import Packager
from kinolog.packager.settings import CutSettings, TrackPlan, has_parts, plan_cut
from kinolog.packager.writer import Chunk

__all__ = ["Chunk", "CutSettings", "Packager", "TrackPlan", "has_parts", "plan_cut"]
