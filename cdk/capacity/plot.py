"""The pictures of docs/capacity.md."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt

from cdk.capacity.outcome import Outcome
from cdk.capacity.study import Row, choose, pareto

_COLOURS = {"visible": "tab:red", "backlog": "tab:orange", "load": "tab:blue"}


def draw_plot(compared: Mapping[str, Sequence[Row]], days: Mapping[str, Outcome], path: Path) -> None:
    """Draw cost against wait for each load, and a day of it in two configurations.

    Args:
        compared: by load, the rows of the study `metrics`.
        days: by configuration, one run.
        path: of the PNG.
    """
    figure, axes = plt.subplots(1, len(compared) + 1, figsize=(4.2 * (len(compared) + 1), 3.8))
    for axis, (name, rows) in zip(axes, compared.items(), strict=False):
        for metric, colour in _COLOURS.items():
            of_metric = [row for row in rows if row.label.startswith(metric)]
            axis.scatter(
                [row.usd_per_1000 for row in of_metric], [row.wait_p95_s for row in of_metric], 14, colour, label=metric
            )
        best, chosen = pareto(rows), choose(rows)
        axis.plot([row.usd_per_1000 for row in best], [row.wait_p95_s for row in best], "k-", lw=0.6)
        if chosen is not None:
            axis.plot(chosen.usd_per_1000, chosen.wait_p95_s, "k*", ms=9, label="chosen by the rule")
        axis.set(title=name, xlabel="US$ for 1000 images", ylabel="wait, p95, s", xlim=(0, None), ylim=(0, None))
        axis.legend(fontsize=7)
    for (label, run), style in zip(days.items(), ("-", "--"), strict=False):
        hours = run.trace[:, 0] / 3600
        axes[-1].plot(hours, run.trace[:, 3], style, lw=0.9, label=f"workers, {label}")
    axes[-1].set(title="a day of the studio", xlabel="hour", ylabel="workers that run or start", xlim=(0, 24))
    axes[-1].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=80, metadata={"Software": None})
    plt.close(figure)
