"""Pictures of a training, written to files without a display. Needs matplotlib (`pip install
"tensorflowlite-bp[plot]"`).
"""

import math
import os

import numpy as np

from .optional import optional

COLOURS = ("#1f6fb4", "#d1541c", "#2f8f4e", "#8452a8", "#8a6d3b", "#4d4d4d")


def save_curves(path, histories, metrics=("loss", "accuracy"), title=None):
    """Training curves as a PNG: one panel per metric, one colour per entry of `histories` ({label: History}).

    Solid: training; dashed: validation, where there is one. The loss is drawn on a logarithmic scale.
    """
    figure = _figure(5.2 * len(metrics), 3.9)
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    for panel, metric in zip(panels, metrics, strict=True):
        for colour, (label, history) in zip(_cycle(COLOURS), histories.items(), strict=False):
            for prefix, style in (("", "-"), ("val_", "--")):
                values = history.history.get(prefix + metric)
                if values:
                    panel.plot(
                        [epoch + 1 for epoch in history.epoch],
                        values,
                        style,
                        color=colour,
                        linewidth=1.6,
                        label=f"{label}, {'validation' if prefix else 'training'}",
                    )
        if "loss" in metric:
            panel.set_yscale("log")
        panel.set_xlabel("epoch")
        panel.set_title(metric)
        panel.grid(True, which="both", color="#dddddd", linewidth=0.6)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    if histories:
        panels[0].legend(fontsize=8, frameon=False)
    if title:
        figure.suptitle(title)
    return _save(figure, path)


def save_grid(path, images, captions, title=None, columns=8):
    """Grey images (n, height, width) in a framed grid, a caption above each, as a PNG. No images are fine: it
    says so.
    """
    count = len(images)
    rows = max(1, math.ceil(count / columns))
    columns = max(1, math.ceil(count / rows))  # rows of equal length, where that can be
    figure = _figure(max(1.6 * columns, 4.2), 2.0 * rows + (0.5 if title else 0.1))
    cells = figure.subplots(rows, columns, squeeze=False).ravel()
    for cell in cells[count:]:
        cell.set_axis_off()
    for cell, image, caption in zip(cells, images, captions, strict=False):
        image = np.asarray(image)
        cell.imshow(image, cmap="gray_r", interpolation="nearest", vmin=0, vmax=max(float(image.max()), 1e-9))
        cell.set_title(caption, fontsize=8.5)
        cell.set(xticks=[], yticks=[])
        cell.spines[:].set_color("#bbbbbb")
    if not count:
        cells[0].text(0.5, 0.5, "none", ha="center", va="center")
    if title:
        figure.suptitle(title, fontsize=11)
    return _save(figure, path)


def _figure(width, height):
    return optional("matplotlib.figure", extra="plot").Figure(figsize=(width, height), layout="constrained")


def _save(figure, path):
    path = os.fspath(path)
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    figure.savefig(path, dpi=130)
    return path


def _cycle(values):
    while True:
        yield from values
