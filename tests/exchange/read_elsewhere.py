"""Read an export with a program that lives in an environment of its own, and print what it found as JSON.

Called by test_real_packages.py: `.venv-exchange/bin/python read_elsewhere.py PROGRAM FORMAT FOLDER`.
"""

import json
import sys
from pathlib import Path


def datumaro(kind, folder):
    import datumaro

    place, name = {"coco": ("annotations/train.json", "coco_person_keypoints"), "cvat": ("train.xml", "cvat")}[kind]
    items = sorted(datumaro.Dataset.import_from(str(folder / place), name), key=lambda item: item.id)
    points = [[c for one in item.annotations if is_points(one) for c in map(float, one.points)] for item in items]
    return {"sizes": [list(item.media.data.shape) for item in items], "points": points}


def is_points(annotation):
    return type(annotation).__name__ == "Points"  # COCO has a box beside them


def supervision(kind, folder):
    import supervision

    found = supervision.DetectionDataset.from_yolo(
        images_directory_path=str(folder / "images/train"),
        annotations_directory_path=str(folder / "labels/train"),
        data_yaml_path=str(folder / "data.yaml"),
    )
    rows = [(image.shape, detections.xyxy.tolist()) for _, image, detections in found]
    return {"classes": found.classes, "sizes": [list(size) for size, _ in rows], "boxes": [boxes for _, boxes in rows]}


program, kind, folder = sys.argv[1:]
found = {"datumaro": datumaro, "supervision": supervision}[program](kind, Path(folder))
sys.stdout.write(json.dumps(found) + "\n")
