/* SPDX-License-Identifier: Apache-2.0
 *
 * The C interface of Pelton's checkpoints (libpelton_checkpoint.so), for a worker.
 *
 * A checkpoint is a set of slices of global tensors; each rank saves the slices that it has and
 * reads those that it wants, whatever the number of ranks was. docs/adr/0014-checkpoint-format.md
 * describes what lies in the directory, and when a checkpoint counts; docs/adr/0015-tiers.md, how
 * the node's memory goes before it.
 *
 * Ownership: what is passed stays the caller's and is not kept after the call, except that a
 * checkpointer lives until pelton_checkpoint_close(). Threads: one call at a time per checkpointer;
 * it has threads of its own, so it is made after a fork. Errors: a function returns 0, or a code
 * (PELTON_CHECKPOINT_*); pelton_checkpoint_error() then says what happened to which file or tensor.
 * Texts are UTF-8, end with 0, and are JSON where it says so.
 */
#pragma once
#include <stdint.h>

#if defined(__GNUC__)
#define PELTON_EXPORT __attribute__((visibility("default")))
#else
#define PELTON_EXPORT
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum {
  PELTON_CHECKPOINT_OK = 0,
  PELTON_CHECKPOINT_INVALID = 1, /* what is asked for can never be: the message names the field */
  PELTON_CHECKPOINT_NONE = 2,    /* restore: nothing is there */
  PELTON_CHECKPOINT_REFUSED = 3, /* fenced, another job's, a newer format */
  PELTON_CHECKPOINT_DAMAGED = 4, /* bytes are not what was written */
  PELTON_CHECKPOINT_FAILED = 5,  /* the disk: full, read-only, gone */
};

typedef struct pelton_checkpointer pelton_checkpointer;

/* Why the last call of this thread failed; valid until its next call. */
PELTON_EXPORT const char* pelton_checkpoint_error(void);

/* Begins, or joins, an attempt. `options` is JSON:
 *   directory    of the checkpoints, made where absent; all ranks see the same.
 * "s3://BUCKET/PREFIX" lies in an object store, which the environment names
 *                (checkpoint/object_store.h:store_options). Absent: memory only
 *   memory       the job's directory in this node's memory (PELTON_MEMORY_DIR); absent: none
 *   oneNode      whether all ranks see the same memory; default: where there is one
 *   restore      what the generation restores, "GENERATION:STEP" (PELTON_RESTORE)
 *   failures     that the job has seen before, for pelton_checkpoint_plan(), "86400:3:1": in that
 *                many node-seconds three that memory survives, and one that it does not
 *                (PELTON_FAILURES_OBSERVED)
 *   job          uid of the job; both directories belong to one job
 *   run          which launch of the job: of two runs the later one is right
 *   generation   of the run: of two generations the later one is right; default the next in memory
 *   writer, writers   rank and world size; default 0 of 1
 *   keep         committed checkpoints to keep; default 2
 * REFUSED: another job's directory, or a later attempt has begun. */
PELTON_EXPORT int pelton_checkpoint_open(const char* options, pelton_checkpointer** made);

/* Copies the slices into the node's memory, where there is one, and returns; they are written and
 * committed in the background. Blocks longer only where two earlier saves are still being written.
 * Says on stderr, once, where the node's memory has no room. `what` is JSON:
 *   step      from 0
 *   durable   whether it is written to the directory; default true
 *   extra     a text of the writer's own (RNG state, place in the data)
 *   tensors   all tensors of the job, the same at all ranks:
 *             [{"name", "dtype", "itemBytes", "shape": [...]}]
 *   slices    [{"tensor": place in tensors, "offset": [...], "extent": [...]}]; data[i] is the
 *             first byte of slices[i], whose elements lie in row order
 * The error may be that of an earlier save (FAILED, REFUSED), which is then reported once. */
PELTON_EXPORT int pelton_checkpoint_save(pelton_checkpointer* checkpointer, const char* what,
                                         const void* const* data);

/* When to save next, reckoned from what the last saves cost and how often the job fails; after the
 * save of a step that all ranks save. The first rank to ask decides, and all get the same answer.
 * `what` is JSON:
 *   step          that has just been saved
 *   stepSeconds   what a step of training takes; 0: not known yet
 *   nodes         that the job runs on
 * *answer is JSON, valid until the next call of this thread: {"memory": save to memory every so
 * many steps from here on, "next": the next step to save durably, and to ask again}. INVALID: the
 * ranks have no directory in common. */
PELTON_EXPORT int pelton_checkpoint_plan(pelton_checkpointer* checkpointer, const char* what,
                                         const char** answer);

/* One word for all ranks of the attempt about `name`, by the directory that they have in common:
 * what the first of those said who said one. `what` is JSON: name (letters, digits and dashes),
 * mine (a text; absent: only ask). *answer is that text, valid until the next call of this thread.
 * NONE: nobody has said one. INVALID: the ranks have no directory in common. */
PELTON_EXPORT int pelton_checkpoint_agree(pelton_checkpointer* checkpointer, const char* what,
                                          const char** answer);

/* Makes the buffers for saves of these slices beforehand, so that the first save is as quick as
 * the others. `what` as for saving. */
PELTON_EXPORT int pelton_checkpoint_prepare(pelton_checkpointer* checkpointer, const char* what);

/* Blocks until this rank's saves are durable. The error is that of one of them. Whether the other
 * ranks' are is another question: pelton_checkpoint_newest(). */
PELTON_EXPORT int pelton_checkpoint_wait(pelton_checkpointer* checkpointer);

/* The step of the newest committed checkpoint; without a directory, of the newest that is complete
 * in this node's memory. -1: none. */
PELTON_EXPORT int pelton_checkpoint_newest(pelton_checkpointer* checkpointer, int64_t* step);

/* Loads what the generation restores, else the newest. `what` is JSON: {"targets": [{"name",
 * "dtype", "itemBytes", "shape", "offset", "extent"}]}; data[i] has room for targets[i]. After an
 * error the bytes there are undefined. On success *answer is JSON, valid until the next call of
 * this thread: step, epoch, generation, extras (by writer), bytes (from memory, peers and durable),
 * passedOver (what was damaged, and how) DAMAGED: with one rank, none is intact. With several, or
 * where the generation names one, this one is not: it has been dropped, and the next attempt of the
 * job takes another, on all ranks. INVALID: it holds no such tensor, or its slices cannot form what
 * is asked for. */
PELTON_EXPORT int pelton_checkpoint_restore(pelton_checkpointer* checkpointer, const char* what,
                                            void* const* data, const char** answer);

/* Waits for the saves and frees all. */
PELTON_EXPORT void pelton_checkpoint_close(pelton_checkpointer* checkpointer);

#ifdef __cplusplus
}
#endif
