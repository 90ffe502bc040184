"""Makes person_clip_boxes.json: the people that YOLOX-Nano finds in every frame of the clip.

Run it with the folder of the test data; it needs the clip and the model in it. The detections are
made by `edgeapp` itself, as a user would: camera, detector, keep, jsonl. They are ours, and they
are kept so that the tracker can be tested on a real clip in a second.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

CLIP = "video/one-by-one-person-detection.mp4"
MIN_SCORE = 0.1

PIPELINE = """
name: clip
stages:
  camera: {{source: camera, device: {clip}, speed: fast}}
  detect: {{model: detector, layout: yolox, variants: [{model}], min_score: {score}}}
  people: {{transform: keep, label: person}}
  boxes: {{output: jsonl, file: boxes.jsonl}}
"""


def main(data: Path) -> None:
    """Run the pipeline and write the file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pipeline = folder / "clip.yaml"
        model = data / "models" / "yolox_nano.onnx"
        pipeline.write_text(PIPELINE.format(clip=data / CLIP, model=model, score=MIN_SCORE))
        device = folder / "device.yaml"
        device.write_text(f"data_dir: {folder / 'data'}\n")
        command = [sys.executable, "-m", "edgeapp", "run", str(pipeline), "--device", str(device)]
        subprocess.run(command, check=True)
        results = (folder / "data" / "clip" / "boxes.jsonl").read_text().splitlines()
    rows = []
    for line in results:
        told = json.loads(line)
        for (left, top, width, height), score in zip(told["boxes"], told["scores"], strict=True):
            sides = [left, top, left + width, top + height]
            rows.append([told["seq"], *(round(side, 4) for side in sides), round(score, 3)])
    head = {"clip": CLIP, "min_score": MIN_SCORE, "row": "frame, left, top, right, bottom, score"}
    text = json.dumps(head)[:-1] + ', "rows": [\n' + ",\n".join(map(json.dumps, rows)) + "\n]}\n"
    (Path(__file__).parent / "person_clip_boxes.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
