"""Every reason that a comparison of two versions gives for its verdict on all cases.

A test holds this list complete: each has data where it is said, and data where it must not be.
"""

from __future__ import annotations

from lmn_bench.analysis.templates import Template


class Saying(Template):
    """A sentence."""

    # What makes it red: at least one of three.
    REGRESSED = "{cases} regressed: {what}"
    # What makes it green: every measured value was shown not to be worse by the margin, no count
    # grew at all.
    NONE_WORSE = (
        "none of {values} is worse by {margin} or more (one that is would pass in {miss} of gates "
        "at most)"
    )
    NO_COUNT_GREW = "none of {counts} grew"
    # What changed and decides nothing.
    TOO_SMALL = "{some} of {values} differ by less than can be measured ({resolution})"
    GREW_ALLOWED = "{some} of {counts} grew, by no more than was allowed ({most})"
    GREW_NEUTRAL = "{some} of {counts} grew, where more is neither better nor worse ({most})"
    FAILED_ALIKE = (
        "{cases} ended badly on both sides alike ({ways}): nothing of what they do is compared"
    )
    # What leaves it open.
    NULL_DIFFERED = (
        "base differed from itself, by up to {most}, in {comparisons}: on this machine, now, no "
        "measured change counts"
    )
    MAY_BE_WORSE = "{some} of {values} look worse by more than {margin}, not surely enough"
    CANNOT_TELL = (
        "{some} of {values} cannot be told: neither worse by more than {margin} nor shown not to be"
    )
    NOT_COMPARED = "{some} cannot be compared"


class Red(Template):
    """What regressed, as a part of that sentence."""

    ENDED_BADLY = "{some} no longer end well"
    GREW = "{some} grew"
    WORSE = "{some} worse by more than {margin} (any false alarm: {alarm} at most)"
