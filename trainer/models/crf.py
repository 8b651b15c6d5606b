"""Fully connected conditional random field, by mean-field inference.

Krähenbühl and Koltun, Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials,
NeurIPS 2011, https://arxiv.org/abs/1210.5644; with the kernels of DeepLab,
https://arxiv.org/abs/1606.00915, section 3.3.

Each pixel is drawn to the class of all others, the more the closer they are and the more alike
their colour (bilateral kernel), and of its neighbours whatever their colour (spatial kernel).
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from trainer.models import permutohedral
from trainer.models.options import CRFOptions

# The spatial kernel is cut off at this many deviations, where it has fallen to exp(-8).
_REACH = 4.0


def refine(images: tf.Tensor, logits: tf.Tensor, options: CRFOptions) -> tf.Tensor:
    """Mean-field inference over whole images.

    As in the authors' own program, both kernels are normalised symmetrically, by the square roots
    of their sums at either pixel, so that the weights mean the same in images of any size and in
    the middle of an image and at its edge; and the sum over the others includes the pixel itself.
    The spatial kernel is exact (separable, cut off at 4 deviations), the bilateral one is filtered
    on the permutohedral lattice.

    Args:
      images: float32 [N, H, W, C], in grey levels of 8 bits.
      logits: float32 [N, H, W, K]; their softmax is what the network says of each pixel.
      options: iterations, and the weights and deviations of both kernels.

    Returns:
      Logits, float32 [N, H, W, K]; their softmax is the mean field. At 0 iterations the given.
    """
    if not options.iterations:
        return logits
    return tf.map_fn(
        lambda pair: _mean_field(pair[0], pair[1], options),
        (images, logits),
        parallel_iterations=1,  # one image's lattice at a time
        fn_output_signature=tf.TensorSpec(logits.shape[1:], tf.float32),
    )


def _mean_field(image: tf.Tensor, logits: tf.Tensor, options: CRFOptions) -> tf.Tensor:
    """`refine` of one image: [H, W, C] and [H, W, K]."""
    shape = tf.shape(logits)
    rows, columns = tf.meshgrid(tf.range(shape[0]), tf.range(shape[1]), indexing="ij")
    position = tf.cast(tf.stack([rows, columns], -1), tf.float32) / options.bilateral_deviation
    points = tf.concat([position, image / options.colour_deviation], -1)
    points = tf.reshape(points, [-1, 2 + image.shape[-1]])
    on = permutohedral.lattice(points)
    line = _line(options.spatial_deviation)

    def bilateral(values: tf.Tensor) -> tf.Tensor:
        flat = tf.reshape(values, [-1, values.shape[-1]])
        return tf.reshape(permutohedral.filtered(on, flat), tf.shape(values))

    def spatial(values: tf.Tensor) -> tf.Tensor:
        planes = tf.transpose(values, [2, 0, 1])[..., None]
        planes = tf.nn.conv2d(planes, line[:, None, None, None], 1, "SAME")
        planes = tf.nn.conv2d(planes, line[None, :, None, None], 1, "SAME")
        return tf.transpose(planes[..., 0], [1, 2, 0])

    kernels = []
    for weight, kernel in (
        (options.bilateral_weight, bilateral),
        (options.spatial_weight, spatial),
    ):
        root = tf.math.rsqrt(kernel(tf.ones_like(logits[..., :1])))
        kernels.append((weight, kernel, root))

    def iterate(number: tf.Tensor, field: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # Under the Potts model a class is held back by what the neighbourhood gives to all others;
        # up to a constant of all classes, it is brought on by what the neighbourhood gives to it.
        given = tf.nn.softmax(field)
        brought = [weight * root * kernel(root * given) for weight, kernel, root in kernels]
        return number + 1, tf.ensure_shape(logits + tf.add_n(brought), logits.shape)

    _, field = tf.while_loop(
        lambda number, _: number < options.iterations, iterate, (tf.constant(0), logits)
    )
    return field


def _line(deviation: float) -> tf.Tensor:
    """The Gaussian on a line, 1 in the middle: float32 [2 r + 1]."""
    reach = int(np.ceil(_REACH * deviation))
    return tf.constant(np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2), tf.float32)
