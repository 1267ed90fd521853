# SPDX-License-Identifier: Apache-2.0
"""What a training script tells Pelton, in one line each. Outside of `pelton run` it does nothing.

    import pelton
    for k in range(first, last + 1):
      pelton.step(k)                # step k begins: a hang or a straggler is known by its absence
      with pelton.phase("save"):    # also compile, eval, restore, collective, data
        ...

Standard library only; `pelton.jax` needs JAX. docs/guide/adapt-your-script.md shows all of it.
"""

from pelton.heartbeat import beat, phase, step

__all__ = ["beat", "phase", "step"]
