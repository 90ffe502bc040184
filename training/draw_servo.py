"""Draw the pictures of pipelines/visual_servo.yaml: a marker that nears its place, and the truth.

    .venv/bin/python training/draw_servo.py

A pinhole camera of 60 degrees looks at a marker of 80 mm that stands a little closer to its
setpoint in each picture; a hand is in the way in two of them. Each pixel is the mean of 4 x 4 rays
to the plane of the marker. `truth.json` has the pose behind each picture, or null where the marker
cannot be read: metres right, down and away, and the rotation vector, none when seen squarely.
"""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).resolve().parents[1] / "pipelines" / "servo"
WIDTH, HEIGHT, FINER = 640, 480, 4
FOV_DEG = 60.0
DICTIONARY, NUMBER, SIDE_M = cv2.aruco.DICT_4X4_50, 7, 0.08
PICTURES = 16
HIDDEN = (5, 6)
START_M, SETPOINT_M = np.array([0.11, -0.07, 0.62]), np.array([0.0, 0.0, 0.30])
START_DEG = np.array([14.0, -28.0, 20.0])
PAPER, WALL, INK, HAND = 225.0, 120.0, 25.0, 90.0


def paper() -> NDArray[Any]:
    """The sheet as brightness of its modules: the marker with a white edge, one module wide."""
    modules = cv2.aruco.generateImageMarker(
        cv2.aruco.getPredefinedDictionary(DICTIONARY), NUMBER, 6, borderBits=1
    )
    return np.pad(np.where(modules > 0, PAPER, INK), 1, constant_values=PAPER)


def view(position_m: NDArray[Any], rotation_rad: NDArray[Any]) -> NDArray[Any]:
    """What the camera sees of it, (height, width), without noise."""
    focal = WIDTH / 2 / np.tan(np.radians(FOV_DEG) / 2)
    turn = cv2.Rodrigues(rotation_rad)[0]
    # Points of the marker's plane (x, y, 1) to rays, with the third axis scaled to 1.
    to_ray = np.column_stack([turn[:, 0], turn[:, 1], position_m])
    step = (np.arange(FINER) + 0.5) / FINER
    u = (np.arange(WIDTH)[:, None] + step).ravel() - WIDTH / 2
    v = (np.arange(HEIGHT)[:, None] + step).ravel() - HEIGHT / 2
    rays = np.stack(np.broadcast_arrays(u[None, :] / focal, v[:, None] / focal, 1.0))
    x, y, scale = np.tensordot(np.linalg.inv(to_ray), rays, axes=1)
    sheet = paper()
    module_m = SIDE_M / (len(sheet) - 2)
    column = np.floor(x / scale / module_m + len(sheet) / 2).astype(int)
    row = np.floor(y / scale / module_m + len(sheet) / 2).astype(int)
    on_sheet = (np.minimum(column, row) >= 0) & (np.maximum(column, row) < len(sheet))
    fine = np.full(on_sheet.shape, WALL)
    fine[on_sheet] = sheet[row[on_sheet], column[on_sheet]]
    return np.asarray(fine.reshape(HEIGHT, FINER, WIDTH, FINER).mean(axis=(1, 3)))


def main() -> None:
    """Draw all of it anew."""
    truth: list[dict[str, list[float]] | None] = []
    for number in range(PICTURES):
        left = 0.78**number  # of the way to go
        position_m = SETPOINT_M + left * (START_M - SETPOINT_M)
        rotation_rad = np.radians(START_DEG * left)
        pixels = view(position_m, rotation_rad)
        hidden = number in HIDDEN
        if hidden:
            pixels[:, WIDTH // 2 :] = HAND
        cv2.imwrite(
            str(FOLDER / f"{number:02}.png"),
            np.rint(pixels).astype(np.uint8),
            [cv2.IMWRITE_PNG_COMPRESSION, 9],
        )
        pose = {
            "position_m": [round(float(side), 6) for side in position_m],
            "rotation_rad": [round(float(side), 6) for side in rotation_rad],
        }
        truth.append(None if hidden else pose)
    (FOLDER / "truth.json").write_text(json.dumps(truth, indent=1) + "\n")


if __name__ == "__main__":
    main()
