# SPDX-License-Identifier: Apache-2.0
"""A small decoder-only transformer over bytes, and its Adam step, in plain JAX.

Parameters live in one flat float32 vector. That makes the three things around the model one-liners:
the gradient exchange is a single all-reduce, a checkpoint is three vectors (parameters and Adam's
two moments), and "all ranks agree bit for bit" is one hash.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from corpus import BYTE_VALUES


@dataclasses.dataclass(frozen=True)
class Shape:
  """What decides what is computed; two runs with equal Shapes run the same program."""

  layers: int = 5
  heads: int = 4
  width: int = 128
  context: int = 64
  sequences_per_rank: int = 12
  dropout: float = 0.1


@dataclasses.dataclass(frozen=True)
class Schedule:
  """Learning rate: linear warm-up, then a cosine down to a tenth of the peak."""

  steps: int = 200
  peak: float = 4e-3
  warmup: int = 20

  def rate(self, step):
    """Returns the learning rate of `step`, counted from 1."""
    if step <= self.warmup:
      return self.peak * step / self.warmup
    progress = (step - self.warmup) / max(1, self.steps - self.warmup)
    return self.peak * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def tensor_shapes(shape):
  """Returns {name: tensor shape} in the order in which the flat vector holds them."""
  layers, width = shape.layers, shape.width
  return {
      "bytes": (BYTE_VALUES, width),
      "positions": (shape.context, width),
      "norm_attention": (layers, width),
      "query_key_value": (layers, width, 3 * width),
      "attention_out": (layers, width, width),
      "norm_mlp": (layers, width),
      "mlp_in": (layers, width, 4 * width),
      "mlp_out": (layers, 4 * width, width),
      "norm_final": (width,),
      "logits": (width, BYTE_VALUES),
  }


def initial_parameters(shape, seed):
  """Returns the flat float32 vector that training starts from; NumPy, so no compilation."""
  random = np.random.Generator(np.random.Philox(key=seed))
  parts = []
  for name, dims in tensor_shapes(shape).items():
    if name.startswith("norm"):
      parts.append(np.ones(math.prod(dims), np.float32))
      continue
    scale = 0.02
    if name in ("attention_out", "mlp_out"):  # keeps the residual stream's size at any depth
      scale /= math.sqrt(2 * shape.layers)
    parts.append(scale * random.standard_normal(math.prod(dims), dtype=np.float32))
  return np.concatenate(parts)


def unpack(flat, shape):
  """Returns the named tensors that the flat vector holds."""
  tensors, at = {}, 0
  for name, dims in tensor_shapes(shape).items():
    tensors[name] = flat[at : at + math.prod(dims)].reshape(dims)
    at += math.prod(dims)
  return tensors


def normalize(x, gain):
  return gain * x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-5)


def attention(x, query_key_value, out, heads):
  batch, length, width = x.shape
  split = (x @ query_key_value).reshape(batch, length, 3, heads, width // heads)
  query, key, value = (split[:, :, i] for i in range(3))
  scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) / math.sqrt(width // heads)
  visible = jnp.tril(jnp.ones((length, length), bool))
  weights = jax.nn.softmax(jnp.where(visible, scores, -1e9), axis=-1)
  return jnp.einsum("bhqk,bkhd->bqhd", weights, value).reshape(batch, length, width) @ out


def drop(x, rate, key):
  """Returns x with a share `rate` of it at zero and the rest made up for."""
  if not rate:
    return x
  return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)


def loss(flat, text, shape, key):
  """Returns the mean cross-entropy, in nats, of predicting each next byte of `text`.

  What dropout drops follows from `key` alone.
  """
  t = unpack(flat, shape)
  x = t["bytes"][text[:, :-1]] + t["positions"]
  per_layer = ("norm_attention", "query_key_value", "attention_out",
               "norm_mlp", "mlp_in", "mlp_out")

  def layer(x, weights):
    key, norm_a, qkv, out, norm_m, mlp_in, mlp_out = weights
    of_attention, of_mlp = jax.random.split(key)
    x = x + drop(attention(normalize(x, norm_a), qkv, out, shape.heads), shape.dropout, of_attention)
    hidden = jax.nn.gelu(normalize(x, norm_m) @ mlp_in) @ mlp_out
    return x + drop(hidden, shape.dropout, of_mlp), None

  # One compiled layer run `layers` times: a restart compiles in a fraction of the time.
  keys = jax.random.split(key, shape.layers)
  x, _ = jax.lax.scan(layer, x, (keys, *(t[name] for name in per_layer)))
  log_likelihood = jax.nn.log_softmax(normalize(x, t["norm_final"]) @ t["logits"])
  return -jnp.mean(jnp.take_along_axis(log_likelihood, text[:, 1:, None], axis=-1))


def adam(parameters, mean, square, gradient, rate, step):
  """Returns the new (parameters, mean, square); the gradient's norm is clipped to 1."""
  gradient = gradient / jnp.maximum(1.0, jnp.sqrt(jnp.sum(gradient * gradient)))
  mean = 0.9 * mean + 0.1 * gradient
  square = 0.95 * square + 0.05 * gradient * gradient
  corrected = (mean / (1 - 0.9**step)) / (jnp.sqrt(square / (1 - 0.95**step)) + 1e-8)
  return parameters - rate * corrected, mean, square
