"""Draw the field of pipelines/crop_health.yaml: red and near-infrared pictures, and the truth.

    .venv/bin/python training/draw_field.py

A camera passes over rows of plants from which a dry patch grows larger. Drawn four times as fine
as the pictures are, so that pixels at the edge of a leaf hold soil too; noise is added to each
band. `truth.json` says which fraction of each picture shows what, counted in the fine drawing.
"""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).resolve().parents[1] / "pipelines" / "field"
WIDTH, HEIGHT, FINER = 256, 192, 4
ROW_PX = 64
PATCHES_PX = (0, 60, 85)
"""Radius of the dry patch in each picture."""
LABELS = ("soil", "weak", "moderate", "healthy")
RED = np.array([0.18, 0.14, 0.10, 0.05])
NIR = np.array([0.24, 0.26, 0.31, 0.40])
"""Reflectances; NDVI 0.14, 0.30, 0.51 and 0.78."""
RED_EXPOSURE, NIR_EXPOSURE = 900, 450
"""Counts for full reflectance. The red camera is exposed for twice as long."""
NOISE = 1.0


def classes(patch_px: float, chance: np.random.Generator) -> NDArray[np.uint8]:
    """The fine drawing: index into `LABELS` of each point."""
    field = np.zeros((HEIGHT * FINER, WIDTH * FINER), np.uint8)
    middle = np.array([WIDTH * 0.55, HEIGHT * 0.5])
    for row in np.arange(ROW_PX / 2, HEIGHT, ROW_PX):
        for along in np.arange(0, WIDTH + 10, 10):
            at = np.array([along, row]) + chance.normal(0, 1.5, 2)
            away = float(np.linalg.norm(at - middle))
            vigour = 1 if away < patch_px else 2 if away < patch_px * 1.3 else 3
            radius = chance.uniform(18, 22)
            centre = [round(float(side) * FINER) for side in at]
            cv2.circle(field, centre, round(radius * FINER), vigour, cv2.FILLED)
    return field


def picture(
    field: NDArray[np.uint8],
    reflectance: NDArray[Any],
    exposure: float,
    chance: np.random.Generator,
) -> NDArray[np.uint8]:
    """What a camera sees of it; the light falls off towards the right."""
    sharp = reflectance[field] * np.linspace(1.1, 0.9, field.shape[1])
    seen = sharp.reshape(HEIGHT, FINER, WIDTH, FINER).mean(axis=(1, 3)) * exposure
    noisy = seen + chance.normal(0, NOISE, seen.shape)
    return np.asarray(np.clip(np.rint(noisy), 0, 254), np.uint8)


def main() -> None:
    """Draw all of it anew."""
    chance = np.random.default_rng(7)
    truth = []
    for number, patch_px in enumerate(PATCHES_PX, 1):
        field = classes(patch_px, chance)
        for band, reflectance, exposure in (
            ("red", RED, RED_EXPOSURE),
            ("nir", NIR, NIR_EXPOSURE),
        ):
            pixels = picture(field, reflectance, exposure, chance)
            cv2.imwrite(
                str(FOLDER / f"{band}_{number}.png"), pixels, [cv2.IMWRITE_PNG_COMPRESSION, 9]
            )
        counts = np.bincount(field.ravel(), minlength=len(LABELS)) / field.size
        truth.append({label: round(float(n), 4) for label, n in zip(LABELS, counts, strict=True)})
    (FOLDER / "truth.json").write_text(json.dumps(truth, indent=1) + "\n")


if __name__ == "__main__":
    main()
