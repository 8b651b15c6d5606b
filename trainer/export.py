"""The exported model: four signatures, warm-up requests, images of any size."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from components import records
from components.records import Layout
from trainer import input as model_input
from trainer import symmetries
from trainer.config import AverageOver
from trainer.metrics import confusion
from trainer.models.registry import Geometry

Refinement = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

# An image whose sides are at most this long is predicted in one piece.
WHOLE = 1024
# A larger one is cut into cores of this side, each seen with this much context around it. A padded
# network's receptive field reaches further, but what lies further away hardly counts.
CORE, CONTEXT = 512, 96


class Exported(tf.Module):
    """A Keras model behind the signatures that Overtile and TensorFlow Serving call."""

    def __init__(
        self,
        model: keras.Model,
        layout: Layout,
        geometry: Geometry,
        whole: int = WHOLE,
        core: int = CORE,
        context: int = CONTEXT,
        refine: Refinement | None = None,
        average_over: AverageOver = "none",
    ) -> None:
        super().__init__()
        self.model = model
        self._answer = symmetries.averaged(model, average_over)
        self._refine = refine or (lambda images, logits: logits)
        self._layout, self._geometry = layout, geometry
        self._whole, self._core, self._context = whole, core, context

    def logits(self, images: tf.Tensor) -> tf.Tensor:
        """Logits of whole images, in one piece, refined.

        Args:
          images: [N, H, W, C] of any dtype.

        Returns:
          float32 [N, H, W, K].
        """
        framed, inside = model_input.surround(
            images, self._geometry, model_input.surroundings(self._geometry)
        )
        return self._refine(images, self._answer(framed)[inside])

    def tiled(self, images: tf.Tensor, finish: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        """`finish(logits)` of images of any size, cut into overlapping, mirrored tiles.

        One tile is in memory at a time, so memory beyond the result is bounded by the tile. What
        refines logits sees a tile and its context.

        Args:
          images: [N, H, W, C] of any dtype.
          finish: from float32 [N, h, w, K] to [N, h, w, ...].

        Returns:
          What `finish` returns, put together: [N, H, W, ...].
        """
        # What a network without padding loses is context already.
        context = 0 if self._geometry.margin else self._context
        answer = self._geometry.output_size(self._core + 2 * context)
        # Pooling meets each pixel in the same place of its window as in the whole image.
        core = (answer - 2 * context) // self._geometry.stride * self._geometry.stride
        margin = self._geometry.margin
        size = tf.shape(images)[1:3]
        grid = -(-size // core)
        n = tf.shape(images)[0]

        def tile(index: tf.Tensor) -> tf.Tensor:
            start = tf.stack([index // grid[1], index % grid[1]]) * core
            window = model_input.mirror(
                images, start - context - margin, tf.fill([2], answer + 2 * margin)
            )
            logits = self._answer(tf.cast(window, tf.float32))
            seen = window[:, margin : margin + answer, margin : margin + answer]
            logits = self._refine(seen, logits)
            return finish(logits[:, context : context + core, context : context + core])

        tiles = tf.map_fn(
            tile,
            tf.range(grid[0] * grid[1]),
            parallel_iterations=1,
            fn_output_signature=finish(tf.zeros([0, 1, 1, len(self._layout.classes)])).dtype,
        )
        rest = tf.shape(tiles)[4:]  # [tiles, N, core, core, ...]
        tiles = tf.reshape(tiles, tf.concat([grid, [n, core, core], rest], 0))
        places = tf.concat([[2, 0, 3, 1, 4], tf.range(5, tf.rank(tiles))], 0)
        whole = tf.reshape(tf.transpose(tiles, places), tf.concat([[n], grid * core, rest], 0))
        return whole[:, : size[0], : size[1]]

    def segment(self, images: tf.Tensor, finish: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        """`finish(logits)`, in one piece where images are small enough, else in tiles."""
        return tf.cond(
            tf.reduce_max(tf.shape(images)[1:3]) <= self._whole,
            lambda: finish(self.logits(images)),
            lambda: self.tiled(images, finish),
        )

    def masks(self, images: tf.Tensor) -> tf.Tensor:
        """Class ids, uint8 [N, H, W], of images [N, H, W, C]."""
        return self.segment(images, _class_ids)

    def tensor(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Signature `tensor`."""
        return {"mask": self.masks(image)}

    def serving_default(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Signature `serving_default`; the images may differ in size."""

        def one(encoded: tf.Tensor) -> tf.Tensor:
            mask = self.masks(model_input.decode(encoded, self._layout)[None])[0]
            return tf.io.encode_png(mask[..., None])

        return {"mask_bytes": tf.map_fn(one, image_bytes, parallel_iterations=1)}

    def probabilities(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Signature `probabilities`; the images of one request have one size."""

        def one(encoded: tf.Tensor) -> tf.Tensor:
            image = model_input.decode(encoded, self._layout)
            return self.segment(image[None], tf.nn.softmax)[0]

        result = tf.map_fn(one, image_bytes, parallel_iterations=1, fn_output_signature=tf.float32)
        return {"probabilities": result}

    def evaluate(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Signature `evaluate`."""
        classes = len(self._layout.classes)

        def one(serialized: tf.Tensor) -> tf.Tensor:
            record = records.parse(serialized, self._layout)
            mask = self.masks(record["image"][None])[0]
            return tf.reshape(confusion(record["mask"], mask, classes), [classes * classes])

        counts = tf.map_fn(
            one,
            examples,
            parallel_iterations=1,
            fn_output_signature=tf.TensorSpec([classes * classes], tf.int64),
        )
        return {"confusion": counts}


def export(
    model: keras.Model,
    layout: Layout,
    geometry: Geometry,
    directory: str,
    description: Mapping[str, Any],
    warm_up_image: tf.Tensor,
    refine: Refinement | None = None,
    average_over: AverageOver = "none",
) -> None:
    """Writes a SavedModel.

    Args:
      model: float32 [N, H, W, C] to logits; built in float32, since it may serve anywhere.
      layout: of the records that it was trained on.
      geometry: the model's.
      directory: where; must not exist.
      description: goes to `assets.extra/overtile.json`, beside the layout.
      warm_up_image: [H, W, C] of the layout's dtype; the requests that warm a server up ask for
        its mask.
      refine: of (images, logits), what improves the logits of whole images in all signatures:
        `registry.refinement`.
      average_over: the copies of an image whose answers are averaged, in all signatures.
    """
    layout = layout.plain()  # weights and the like have a part in training alone
    exported = Exported(model, layout, geometry, refine=refine, average_over=average_over)

    def signature(function: Any, name: str, shape: list[int | None], dtype: str) -> Any:
        return tf.function(
            function, input_signature=[tf.TensorSpec(shape, dtype, name=name)]
        ).get_concrete_function()

    tensor = signature(exported.tensor, "image", [None, None, None, layout.channels], layout.dtype)
    signatures = {
        "tensor": tensor,
        "evaluate": signature(exported.evaluate, "examples", [None], "string"),
    }
    if layout.has_file_format:
        for name in ("serving_default", "probabilities"):
            function = getattr(exported, name)
            signatures[name] = signature(function, "image_bytes", [None], "string")
    else:
        signatures["serving_default"] = tensor
    tf.saved_model.save(exported, directory, signatures=signatures)

    extra = Path(directory) / "assets.extra"
    tf.io.gfile.makedirs(str(extra))
    with tf.io.gfile.GFile(str(extra / "overtile.json"), "w") as file:
        file.write(json.dumps({**description, "layout": layout.to_json()}, indent=2))
    with tf.io.TFRecordWriter(str(extra / "tf_serving_warmup_requests")) as writer:
        for request in _warm_up_requests(warm_up_image, layout):
            writer.write(request)


def _warm_up_requests(image: tf.Tensor, layout: Layout) -> list[bytes]:
    """Serialised PredictionLogs, one a signature that clients call."""
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    inputs = {"tensor": ("image", image[None])}
    if layout.has_file_format:
        encoded = tf.io.encode_png(image)[None]
        inputs["serving_default"] = inputs["probabilities"] = ("image_bytes", encoded)
    logs = []
    for signature, (name, value) in inputs.items():
        request = predict_pb2.PredictRequest()
        request.model_spec.signature_name = signature
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        predict = prediction_log_pb2.PredictLog(request=request)
        logs.append(prediction_log_pb2.PredictionLog(predict_log=predict).SerializeToString())
    return logs


def _class_ids(logits: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.argmax(logits, axis=-1), tf.uint8)
