"""Two ways to do one thing, timed in turns, so that whatever else the machine does falls on both."""

import resource
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Times:
    """Wall and processor seconds a call (of child processes too, once they have ended), one entry a round."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def in_turns(sides: Mapping[str, Callable[[], Any]], rounds: int, at_least: float = 0.0) -> dict[str, Times]:
    """Time the sides in turns, in the opposite order every second round.

    Args:
        sides: name → what to call.
        rounds: how often each side has its turn.
        at_least: seconds; a side is called again until they have passed, and its entry is the mean of those calls.
    """
    times = {name: Times() for name in sides}
    for turn in range(rounds):
        for name in sorted(sides, reverse=bool(turn % 2)):
            calls, cpu, start = 0, _cpu_seconds(), time.perf_counter()
            while not calls or time.perf_counter() - start < at_least:
                sides[name]()
                calls += 1
            times[name].wall.append((time.perf_counter() - start) / calls)
            times[name].cpu.append((_cpu_seconds() - cpu) / calls)
    return times


def compare(times: Mapping[str, Times], other: str, images: int) -> dict[str, Any]:
    """`ours` beside `other`: images/s of either, and how many times faster ours is.

    `ratio` is the median over rounds of other's time by ours in the same round; `ratio_of_best` takes the best round of
    either; `ratio_of_processor_time` leaves out what neighbours took, and with it what overlaps.
    """
    ours, theirs = times["ours"], times[other]
    rounds = list(zip(theirs.wall, ours.wall, strict=True))
    return {
        "images": images,
        "rounds": len(rounds),
        "ours": summary(ours, images),
        other: summary(theirs, images),
        "ratio": round(statistics.median(their / our for their, our in rounds), 3),
        "ratio_of_best": round(min(theirs.wall) / min(ours.wall), 3),
        "ratio_of_processor_time": round(statistics.median(theirs.cpu) / max(statistics.median(ours.cpu), 1e-9), 3),
        "ratio_of_each_round": [round(their / our, 3) for their, our in rounds],
    }


def summary(times: Times, images: int) -> dict[str, Any]:
    """Seconds, best, median and of each round, and images/s at the median."""
    median = statistics.median(times.wall)
    return {
        "best_seconds": round(min(times.wall), 5),
        "median_seconds": round(median, 5),
        "median_processor_seconds": round(statistics.median(times.cpu), 5),
        "images_per_second": round(images / median, 1),
        "seconds_of_each_round": [round(seconds, 5) for seconds in times.wall],
        "processor_seconds_of_each_round": [round(seconds, 5) for seconds in times.cpu],
    }


def quotients(times: Mapping[str, Times], base: str) -> dict[str, Any]:
    """Seconds of each side, and `SIDE_over_BASE`: a side's best round by the base's, in wall and in processor time."""
    result: dict[str, Any] = {"rounds": len(times[base].wall)}
    result["best_seconds"] = {name: round(min(each.wall), 5) for name, each in times.items()}
    for name, each in times.items():
        if name != base:
            result[f"{name}_over_{base}"] = round(min(each.wall) / min(times[base].wall), 3)
            result[f"{name}_over_{base}_of_processor_time"] = round(min(each.cpu) / min(times[base].cpu), 3)
    return result


def best_seconds(call: Callable[[], Any], rounds: int) -> float:
    """The quickest of so many calls."""
    return min(in_turns({"it": call}, rounds)["it"].wall)


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
