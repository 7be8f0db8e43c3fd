"""Plots of costs over sizes, for ``docs/performance.md`` (extra ``bench``: matplotlib)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.bench.page import PAGE, machine_words


def plot_curves(grows: str, sizes: Sequence[int], curves: Mapping[str, Sequence[float]]) -> None:
    """Write ``docs/cost-of-GROWS.svg``, both axes logarithmic, with a line that is linear."""
    try:
        import matplotlib
    except ImportError:
        print("no plot: pip install 'cacheadmin[bench]'")
        return
    matplotlib.use("svg")
    # The same figures give the same file.
    matplotlib.rcParams["svg.hashsalt"] = "cacheadmin"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for name, seconds in curves.items():
        axes.plot(sizes, seconds, marker="o", label=name)
    first = min(seconds[0] for seconds in curves.values())
    linear = [first * size / sizes[0] for size in sizes]
    axes.plot(sizes, linear, linestyle="--", color="grey", label="linear")
    axes.set(xscale="log", yscale="log", xlabel=grows, ylabel="CPU seconds")
    axes.set_title(machine_words(), fontsize="small")
    axes.grid(visible=True, which="both", alpha=0.2)
    axes.legend(fontsize="small")
    figure.savefig(PAGE.parent / f"cost-of-{grows}.svg", metadata={"Date": None})
    pyplot.close(figure)
