"""Colours, crops, boxes and warps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tensorflow_programs.program import PROGRAMS, Program, floats, program
from transload.convert.tensorflow.framework import tf

IMAGE = floats("image", None, 6, 8, 3)
_rng = np.random.default_rng(9)
PICTURE = {"image": _rng.uniform(0, 1, (2, 6, 8, 3)).astype(np.float32)}

_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "brightness_and_contrast": lambda i: (tf.image.adjust_brightness(i, 0.2), tf.image.adjust_contrast(i, 1.5)),
    "hue": lambda i: tf.image.adjust_hue(i, 0.2),
    "saturation": lambda i: tf.image.adjust_saturation(i, 1.7),
    "gamma": lambda i: tf.image.adjust_gamma(tf.abs(i), 0.7),
    "grayscale": tf.image.rgb_to_grayscale,
    "grayscale_to_rgb": lambda i: tf.image.grayscale_to_rgb(i[..., :1]),
    "rgb_to_hsv": lambda i: tf.image.rgb_to_hsv(tf.abs(i)),
    "hsv_to_rgb": lambda i: tf.image.hsv_to_rgb(tf.clip_by_value(i, 0.0, 1.0)),
    "yiq_and_yuv": lambda i: (tf.image.rgb_to_yiq(i), tf.image.yuv_to_rgb(tf.image.rgb_to_yuv(i))),
    "flips": lambda i: (tf.image.flip_left_right(i), tf.image.flip_up_down(i)),
    "rotated": lambda i: (tf.image.rot90(i), tf.image.rot90(i, 2), tf.image.transpose(i)),
    "standardized": tf.image.per_image_standardization,
    "crops": lambda i: (tf.image.central_crop(i, 0.5), tf.image.crop_to_bounding_box(i, 1, 2, 3, 4)),
    "padded_to_box": lambda i: tf.image.pad_to_bounding_box(i, 1, 2, 10, 12),
    "crop_or_pad": lambda i: tf.image.resize_with_crop_or_pad(i, 4, 10),
    "sobel": tf.image.sobel_edges,
    "gradients": tf.image.image_gradients,
    "total_variation": tf.image.total_variation,
    "psnr": lambda i: tf.image.psnr(i, i * 0.9 + 0.05, 1.0),
    "glimpse": lambda i: tf.image.extract_glimpse(i, [4, 4], tf.zeros([tf.shape(i)[0], 2])),
    "to_bytes": lambda i: tf.image.convert_image_dtype(tf.clip_by_value(i, 0.0, 1.0), tf.uint8, saturate=True),
    "from_bytes": lambda i: tf.image.convert_image_dtype(tf.cast(i * 100.0, tf.uint8), tf.float32),
    "rescaling": lambda i: tf.keras.layers.Rescaling(1 / 127.5, offset=-1.0)(i),
    "center_crop": lambda i: tf.keras.layers.CenterCrop(4, 4)(i),
    "drawn_boxes": lambda i: tf.image.draw_bounding_boxes(
        i, tf.tile([[[0.1, 0.2, 0.7, 0.9]]], [tf.shape(i)[0], 1, 1]), [[1.0, 0.0, 0.0]]
    ),
}
_REFUSED = {"glimpse": "ExtractGlimpseV2", "drawn_boxes": "DrawBoundingBoxesV2"}
for _name, _function in _FUNCTIONS.items():
    PROGRAMS[f"images.{_name}"] = Program(
        f"images.{_name}", (IMAGE,), lambda f=_function: f, PICTURE, _REFUSED.get(_name)
    )


@program(floats("image", None, 16, 16, 3))
def ssim(image: Any) -> Any:
    return tf.image.ssim(image, image * 0.9, 1.0)


@program(IMAGE, example=PICTURE)
def warped(image: Any) -> Any:
    transform = tf.constant([[1.0, 0.1, -0.5, 0.05, 0.9, 0.3, 0.0, 0.0]])
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=image,
        transforms=transform,
        output_shape=[6, 8],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )


@program(IMAGE, example=PICTURE)
def warped_nearest_and_reflected(image: Any) -> Any:
    transform = tf.constant([[0.9, 0.1, -0.52, 0.05, 0.9, 0.31, 0.001, 0.0]])
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=image,
        transforms=transform,
        output_shape=[5, 7],
        fill_value=0.5,
        interpolation="NEAREST",
        fill_mode="REFLECT",
    )


def _boxes(name: str) -> Any:
    return floats(name, None, 4)


CORNERS = {"boxes": [[0.1, 0.2, 0.7, 0.9], [0.0, 0.0, 1.0, 1.0], [0.5, 0.4, 0.2, 0.1]]}


@program(IMAGE, _boxes("boxes"), example=PICTURE | CORNERS, sizes={"boxes": ("crops", 4)})
def crop_and_resize(image: Any, boxes: Any) -> Any:
    return tf.image.crop_and_resize(image, boxes, tf.zeros([tf.shape(boxes)[0]], tf.int32), [3, 4])


@program(IMAGE, _boxes("boxes"), example=PICTURE | CORNERS, sizes={"boxes": ("crops", 4)})
def crop_and_resize_nearest(image: Any, boxes: Any) -> Any:
    ids = tf.zeros([tf.shape(boxes)[0]], tf.int32)
    return tf.image.crop_and_resize(image, boxes, ids, [3, 4], method="nearest", extrapolation_value=-1.0)


@program(IMAGE, _boxes("boxes"), example=PICTURE | {"boxes": [[0.1, 0.2, 1.7, 0.9], [-0.5, 0.4, 0.2, 1.1]]})
def crop_beyond_the_edge(image: Any, boxes: Any) -> Any:
    return tf.image.crop_and_resize(image, boxes, tf.zeros([tf.shape(boxes)[0]], tf.int32), [4, 4])


_corners = _rng.uniform(0, 1, (12, 2))
BOXES = {
    "boxes": np.concatenate([_corners, _corners + _rng.uniform(0.1, 0.6, (12, 2))], axis=1).astype(np.float32),
    "scores": _rng.uniform(0, 1, 12).astype(np.float32),
}
SCORES = floats("scores", None)


@program(_boxes("boxes"), SCORES, example=BOXES)
def non_max_suppression(boxes: Any, scores: Any) -> Any:
    return tf.image.non_max_suppression(boxes, scores, 5, iou_threshold=0.4)


@program(_boxes("boxes"), SCORES, example=BOXES)
def non_max_suppression_v1(boxes: Any, scores: Any) -> Any:
    return tf.raw_ops.NonMaxSuppression(boxes=boxes, scores=scores, max_output_size=5, iou_threshold=0.4)


@program(_boxes("boxes"), SCORES, example=BOXES)
def non_max_suppression_v2(boxes: Any, scores: Any) -> Any:
    return tf.raw_ops.NonMaxSuppressionV2(boxes=boxes, scores=scores, max_output_size=20, iou_threshold=0.4)


@program(_boxes("boxes"), SCORES, example=BOXES)
def non_max_suppression_v3(boxes: Any, scores: Any) -> Any:
    return tf.image.non_max_suppression(boxes, scores, 5, iou_threshold=0.4, score_threshold=0.3)


@program(_boxes("boxes"), SCORES, example=BOXES)
def non_max_suppression_v4(boxes: Any, scores: Any) -> Any:
    return tf.raw_ops.NonMaxSuppressionV4(
        boxes=boxes,
        scores=scores,
        max_output_size=20,
        iou_threshold=0.4,
        score_threshold=0.3,
        pad_to_max_output_size=True,
    )


@program(_boxes("boxes"), SCORES, example=BOXES)
def non_max_suppression_v5(boxes: Any, scores: Any) -> Any:
    return tf.image.non_max_suppression_with_scores(boxes, scores, 6, iou_threshold=0.4, score_threshold=0.2)


@program(_boxes("boxes"), SCORES, example=BOXES)
def soft_non_max_suppression(boxes: Any, scores: Any) -> Any:
    return tf.image.non_max_suppression_with_scores(boxes, scores, 6, soft_nms_sigma=0.5, score_threshold=0.05)


@program(
    floats("overlaps", 4, 4),
    floats("scores", 4),
    example={
        "overlaps": [[1, 0.6, 0.1, 0.2], [0.6, 1, 0.3, 0.0], [0.1, 0.3, 1, 0.7], [0.2, 0, 0.7, 1]],
        "scores": [0.9, 0.8, 0.7, 0.6],
    },
)
def non_max_suppression_overlaps(overlaps: Any, scores: Any) -> Any:
    return tf.image.non_max_suppression_overlaps(overlaps, scores, 3, overlap_threshold=0.5)


@program(
    floats("boxes", None, 12, 1, 4),
    floats("scores", None, 12, 2),
    example={
        "boxes": np.clip(BOXES["boxes"], 0, 1)[None, :, None],
        "scores": _rng.uniform(0, 1, (1, 12, 2)).astype(np.float32),
    },
)
def combined_non_max_suppression(boxes: Any, scores: Any) -> Any:
    return tuple(tf.image.combined_non_max_suppression(boxes, scores, 4, 6, iou_threshold=0.4, score_threshold=0.2))


@program(
    floats("boxes", None, 12, 2, 4),
    floats("scores", None, 12, 2),
    example={
        "boxes": np.stack([BOXES["boxes"], BOXES["boxes"][::-1]], axis=1)[None],
        "scores": _rng.uniform(0, 1, (1, 12, 2)).astype(np.float32),
    },
)
def combined_non_max_suppression_by_class(boxes: Any, scores: Any) -> Any:
    return tuple(
        tf.image.combined_non_max_suppression(
            boxes, scores, 3, 5, iou_threshold=0.4, pad_per_class=True, clip_boxes=False
        )
    )


@program(
    floats("boxes", None, 12, 3, 4),
    floats("scores", None, 12, 3),
    example={
        "boxes": np.stack([BOXES["boxes"], BOXES["boxes"][::-1], BOXES["boxes"] + 0.1], axis=1)[None],
        "scores": _rng.uniform(0, 1, (1, 12, 3)).astype(np.float32),
    },
)
def combined_non_max_suppression_by_class_above_a_score(boxes: Any, scores: Any) -> Any:
    return tuple(tf.image.combined_non_max_suppression(boxes, scores, 4, 20, iou_threshold=0.3, score_threshold=0.4))
