# SPDX-License-Identifier: Apache-2.0
"""What a training script tells Pelton, in one line each. Outside of `pelton run` it does nothing.

    import pelton
    for k in range(first, last + 1):
      pelton.step(k)                # step k begins: a hang or a straggler is known by its absence
      with pelton.phase("save"):    # also compile, eval, restore, collective, data
        ...
      if pelton.save_requested():   # a node is to go; pelton.checkpoint looks by itself
        ...; pelton.saved(k)

Standard library only; `pelton.jax` needs JAX. docs/guide/adapt-your-script.md shows all of it.
"""

from pelton.heartbeat import beat, phase, save_requested, saved, step

__all__ = ["beat", "phase", "save_requested", "saved", "step"]
