# SPDX-License-Identifier: Apache-2.0
"""What a JAX program needs to come back quickly: its compiled programs, and its coordinator.

    step = pelton.jax.compiled(jax.jit(step_function, donate_argnums=0))
    checkpointer = pelton.checkpoint.Checkpointer(directory, **pelton.jax.attempt())

A restarted rank then loads the machine code of `step` instead of compiling it: JAX's own persistent
cache is written by process 0 alone. `jax.distributed.initialize()` needs no change: under
`pelton run` its coordination service runs beside the ranks, a new one for each generation.
"""

from pelton._jax_distributed import attempt, check_version, install, start_coordinator
from pelton._jax_programs import compiled

__all__ = ["attempt", "check_version", "compiled", "install", "start_coordinator"]
