# SPDX-License-Identifier: Apache-2.0
"""A real training job, broken at random moments in every way that ./dev torture knows, until time is up.

JAX (examples/train-gpt) on four ranks and a spare, each a pod on a node of its own, with a
RecoveryPolicy. First a run without faults; then rounds of the same run, each with some faults. After
each fault the job has to go on by itself; at the end of a round its parameters have to be those of
the undisturbed run to the last bit, its goodput's categories have to add up to its wall time, and in
the end nothing may be left behind.

    torture.py [--minutes 15] [--seed N] [--only FAULT,…] [--faults-per-round 3] [-o json]
"""
import argparse
import json
import os
import random
import statistics
import sys
import time

import cluster_job
import faults as known
from cluster_job import Cluster, Job, eventually

STEPS = 400
DISK_MEGABYTES = 200


class Wrong(AssertionError):
    """What must hold does not."""


class Torture:
    def __init__(self, options):
        self.options, self.began = options, time.monotonic()
        self.dice = random.Random(options.seed)
        self.rounds, self.results, self.faults = 0, {}, []
        for fault in known.FAULTS:
            if not options.only or fault.name in options.only:
                self.faults.append(fault)

    def tell(self, text):
        print(f"[{time.monotonic() - self.began:6.1f} s] {text}", file=sys.stderr, flush=True)

    def next_faults(self):
        """As many as a round has; each kind once before any comes twice."""
        chosen = []
        while len(chosen) < self.options.faults_per_round:
            least = min(len(self.results.get(fault.name, [])) + chosen.count(fault)
                        for fault in self.faults)
            chosen.append(self.dice.choice(
                [fault for fault in self.faults
                 if len(self.results.get(fault.name, [])) + chosen.count(fault) == least]))
        return chosen

    def strike(self, job, fault):
        """Strikes while the job trains; returns False where it is over before that."""
        generation, step = job.until_it_trains()
        time.sleep(self.dice.uniform(0, 2))  # the random moment
        began = time.monotonic()
        try:
            what = fault.strike(job, self.dice)
        except LookupError:
            if job.is_over():
                return False
            raise
        self.tell(f"  {fault.name} at step {step}: {what}")
        if fault.holds:
            time.sleep(fault.holds)
            fault.later(job)
        after = generation if fault.restarts else 0
        generation, step = job.until_it_trains(after=after, beyond=-1 if fault.restarts else step + 1)
        seconds = time.monotonic() - began
        self.results.setdefault(fault.name, []).append(seconds)
        decision = job.record().get("lastDecision", {})
        rung, reason = decision.get("rung", ""), decision.get("reason", "")
        self.tell(f"    goes on at step {step} of generation {generation} ({rung}), {seconds:.1f} s: {reason}")
        if fault.cause and not (fault.cause in reason and f"(pod {what.split()[-1]}," in reason):
            raise Wrong(f"{what} is not what was named: {reason}")
        if fault.later and not fault.holds:
            fault.later(job)
            job.until_it_trains()
        return True

    def run(self, cluster, chosen):
        """One run of the job; returns the digest of its parameters."""
        self.rounds += 1
        job = Job(cluster, f"torture-{self.rounds}", STEPS)
        known.mount_checkpoints(job.directory, DISK_MEGABYTES)
        try:
            for fault in chosen:
                if not self.strike(job, fault):
                    break
            over = eventually(job.is_over, timeout=cluster_job.PATIENCE * 2, what="the job's end")
            self.check(job, over)
            return job.digests()
        except Exception:
            self.tell(f"what the cluster says of it: {self.keep(job)}")
            raise
        finally:
            known.unmount_checkpoints(job.directory)
            job.close()

    def keep(self, job):
        path = f"/tmp/pelton-torture-{os.getpid()}.log"
        kubectl = job.cluster.kubectl
        with open(path, "w", encoding="utf-8") as file:
            for words in (("get", "recoverypolicies", "-o", "yaml"), ("get", "pods", "-o", "yaml"),
                          ("get", "events"), ("logs", "--prefix", "--tail=200", "-l",
                                              f"jobset.sigs.k8s.io/jobset-name={job.name}")):
                file.write(kubectl(*words, check=False).stdout)
            file.write(job.cluster.logs())
        return path

    def check(self, job, over):
        if over != "Completed":
            raise Wrong(f"the JobSet ended as {over}")
        report = job.goodput()
        total = sum(part["nanoseconds"] for part in report["breakdown"])
        if total != report["wallNanoseconds"]:
            raise Wrong(f"goodput: the categories add up to {total} ns of {report['wallNanoseconds']}")

    def go(self):
        cluster = Cluster(nodes=cluster_job.NODES, park=cluster_job.ROOT / "tests/torture/park.yaml")
        cluster.start()
        try:
            self.tell("a run without faults")
            expected = self.run(cluster, [])
            if len(expected) != 1:
                raise Wrong(f"the undisturbed ranks disagree: {expected}")
            end = self.began + 60 * self.options.minutes
            while self.rounds == 1 or time.monotonic() < end:  # one round at least
                chosen = self.next_faults()
                self.tell(f"round {self.rounds}: {', '.join(fault.name for fault in chosen)}")
                found = self.run(cluster, chosen)
                if found != expected:
                    raise Wrong(f"parameters {found}, of the undisturbed run {expected}")
        finally:
            cluster.stop()
        left = cluster_job.left_behind(cluster)
        if left:
            raise Wrong(f"left behind: {left}")

    def print_results(self):
        if self.options.output == "json":
            print(json.dumps({"seed": self.options.seed, "seconds": self.results}, indent=1))
            return
        print(f"{'fault':<26}{'times':>6}{'median s':>10}{'worst s':>9}   from the fault to a new step, "
              "as an observer sees it")
        for name, seconds in sorted(self.results.items()):
            print(f"{name:<26}{len(seconds):>6}{statistics.median(seconds):>10.1f}{max(seconds):>9.1f}")


def main():
    parser = argparse.ArgumentParser(prog="./dev torture", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    parser.add_argument("--only", type=lambda text: text.split(","), metavar="FAULT,…",
                        help="of " + ", ".join(fault.name for fault in known.FAULTS))
    parser.add_argument("--faults-per-round", type=int, default=3)
    parser.add_argument("-o", "--output", choices=["json"])
    options = parser.parse_args()
    unknown = set(options.only or []) - {fault.name for fault in known.FAULTS}
    if unknown:
        parser.error(f"--only: there is no fault {', '.join(sorted(unknown))}")
    torture = Torture(options)
    try:
        torture.go()
    except (AssertionError, LookupError) as error:
        torture.tell(f"FAILED: {error}")
        torture.tell(f"replay: ./dev torture --seed {options.seed} --minutes {options.minutes:g}"
                     + (f" --only {','.join(options.only)}" if options.only else ""))
        return 1
    finally:
        torture.print_results()
    torture.tell(f"{torture.rounds - 1} rounds, nothing wrong")
    return 0


if __name__ == "__main__":
    sys.exit(main())
