"""How long each of many took: percentiles, and rows that compare them."""

from collections.abc import Mapping, Sequence
from statistics import median

from benchmarks.report import Row


def percentile(seconds: Sequence[float], share: float) -> float:
    """The shortest of ``seconds`` that at least ``share`` (0..1) of them do not exceed, in milliseconds."""
    ordered = sorted(seconds)
    return 1000 * next(each for rank, each in enumerate(ordered, 1) if rank >= share * len(ordered))


def percentile_row(
    key: str,
    what: str,
    rounds: Sequence[tuple[Sequence[float], Sequence[float]]],
    share: float,
    *,
    detail: Mapping[str, object] | None = None,
) -> Row:
    """From pairs of (ours, peer), all in seconds: the medians of the rounds' percentiles; a lower ratio is better."""
    pairs = [(percentile(ours, share), percentile(peer, share)) for ours, peer in rounds]
    ratios = [ours / peer for ours, peer in pairs]
    return Row(
        key=key,
        what=f"{what}, p{100 * share:.0f}",
        unit="ms",
        ours=median(ours for ours, _ in pairs),
        peer=median(peer for _, peer in pairs),
        ratio=median(ratios),
        lowest=min(ratios),
        highest=max(ratios),
        target=None,
        detail={**(detail or {}), "rounds": pairs},
    )
