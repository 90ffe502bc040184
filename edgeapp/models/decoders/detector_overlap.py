"""Non-maximum suppression: of boxes that overlap too much, only the best scored stays."""

import numpy as np
from numpy.typing import NDArray

MOST_CANDIDATES = 1000
"""Of more candidates than this, only the best scored are looked at: it bounds the time taken."""


def best_of_overlapping(
    xyxy: NDArray[np.float32],
    scores: NDArray[np.float32],
    classes: NDArray[np.int32],
    *,
    max_iou: float,
    max_count: int,
) -> NDArray[np.intp]:
    """Indices of the boxes to keep, best score first, at most `max_count`.

    Boxes of different classes never suppress each other. Greedy, as everywhere: the best box
    removes all of its class whose intersection over union with it exceeds `max_iou`, then the
    best of the rest. Of equal scores the earlier comes first. One numpy pass per kept box.
    """
    order = np.argsort(-scores, kind="stable")[:MOST_CANDIDATES]
    boxes, kinds = xyxy[order], classes[order]
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept: list[np.intp] = []
    while len(order) and len(kept) < max_count:
        kept.append(order[0])
        best, area = boxes[0], areas[0]
        shared = np.minimum(boxes[:, 2:], best[2:]) - np.maximum(boxes[:, :2], best[:2])
        np.maximum(shared, 0, out=shared)
        intersections = shared[:, 0] * shared[:, 1]
        stays = intersections <= max_iou * (areas + area - intersections)
        stays |= kinds != kinds[0]
        stays[0] = False
        order, boxes, areas, kinds = order[stays], boxes[stays], areas[stays], kinds[stays]
    return np.array(kept, np.intp)
