# SPDX-License-Identifier: Apache-2.0
"""What is done to a training job that runs. Each fault takes the job and a random.Random, strikes,
and returns what it did, for people; `later`, where it has one, takes it back once the job has gone on.
"""
import contextlib
import os
import pathlib
import signal
import subprocess
import time

import chaos


class Fault:
    """`restarts`: whether a new generation has to follow; None: it may. `holds`: for how many seconds
    it lasts before `later`; else until the job has gone on."""

    def __init__(self, strike, restarts=True, later=None, holds=None):
        self.strike, self.restarts, self.later, self.holds = strike, restarts, later, holds
        self.name = strike.__name__.replace("_", "-")


def send(pids, number):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def a_member(job, dice):
    """A member that has workers now, and its workers."""
    members = job.members()
    dice.shuffle(members)
    for member in members:
        pids = job.workers(member)
        if pids:
            return member, pids
    raise LookupError("no worker runs")


def up(job):
    job.cluster.start()


def kill_worker(job, dice):
    member, pids = a_member(job, dice)
    send(pids, signal.SIGKILL)
    return f"SIGKILL to the worker of {member['pod']}"


def kill_two_workers(job, dice):
    members = dice.sample(job.members(), 2)
    for member in members:
        send(job.workers(member), signal.SIGKILL)
    return "SIGKILL to the workers of " + " and ".join(member["pod"] for member in members)


def kill_supervisor(job, dice):
    member, _ = a_member(job, dice)
    send(job.launcher(member)[1], signal.SIGKILL)
    return f"SIGKILL to the supervisor in {member['pod']}"


def kill_launcher(job, dice):
    member, _ = a_member(job, dice)
    send(job.launcher(member)[0], signal.SIGKILL)
    return f"SIGKILL to the first process of {member['pod']}"


def kill_agent(job, dice):
    node = dice.choice(job.members())["node"]
    job.cluster.kill(f"agent-{node}")
    return f"SIGKILL to the agent of {node}"


def kill_server(job, _dice):
    job.cluster.kill("server")
    up(job)
    return "SIGKILL to the API server and its controllers"


def kill_node(job, dice):
    node = dice.choice(job.members())["node"]
    chaos.kill_node(node, job.cluster.directory)
    return f"SIGKILL to all of {node}, as a power cut"


def kill_node_and_bad_spare(job, dice):
    """The spare's supervisor is stopped just before it is needed."""
    members = job.members()
    used = {member["pod"] for member in members}
    node = dice.choice(members)["node"]
    stopped = []
    for pod in job.cluster.get("pods")["items"]:
        if pod["metadata"]["name"] not in used and pod["spec"].get("nodeName"):
            spare = {"node": pod["spec"]["nodeName"], "podUID": pod["metadata"]["uid"],
                     "pod": pod["metadata"]["name"]}
            send(job.launcher(spare)[0], signal.SIGKILL)
            stopped.append(spare["pod"])
    chaos.kill_node(node, job.cluster.directory)
    return f"SIGKILL to the spare {' '.join(stopped)} and to all of {node}"


def stop_worker(job, dice):
    member, pids = a_member(job, dice)
    send(pids, signal.SIGSTOP)
    return f"SIGSTOP to the worker of {member['pod']}"


def command(job, dice, word):
    member, pids = a_member(job, dice)
    (job.directory / "torture" / "command").write_text(word, encoding="utf-8")
    send(pids, signal.SIGUSR1)
    return member["pod"]


def raise_exception(job, dice):
    return f"an exception in {command(job, dice, 'raise')}"


def hold_the_gil(job, dice):
    return f"a loop in C that holds the GIL in {command(job, dice, 'spin')}"


def run_out_of_memory(job, dice):
    return f"memory up to the limit in {command(job, dice, 'allocate')}"


def slow_worker(job, dice):
    """Ten times slower than it is for some seconds: a straggler, which is named and left alone."""
    member, pids = a_member(job, dice)
    end = time.monotonic() + 6
    while time.monotonic() < end:
        send(pids, signal.SIGSTOP)
        time.sleep(0.09)  # the fault itself
        send(pids, signal.SIGCONT)
        time.sleep(0.01)
    return f"10 times slower for 6 s: the worker of {member['pod']}"


def fill_disk(job, _dice):
    ballast = job.directory / "checkpoints" / "ballast"
    with open(ballast, "wb") as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 20))
            file.flush()
    return "no space left where the checkpoints are"


def empty_disk(job):
    (job.directory / "checkpoints" / "ballast").unlink(missing_ok=True)


def flip_bit(job, dice):
    """In the newest checkpoint's data; then a worker is killed, so that it is read."""
    files = sorted((path for path in (job.directory / "checkpoints").rglob("*")
                    if path.is_file() and path.stat().st_size > 4096 and path.suffix != ".program"),
                   key=lambda path: path.stat().st_mtime)
    flipped = None
    if files:
        flipped = files[-1]
        with open(flipped, "r+b") as file:
            place = dice.randrange(flipped.stat().st_size)
            file.seek(place)
            byte = file.read(1)
            file.seek(place)
            file.write(bytes([byte[0] ^ (1 << dice.randrange(8))]))
    what = kill_worker(job, dice)
    return f"a bit of {flipped.name if flipped else 'nothing'} flipped, and {what}"


def notice(job, dice):
    node = dice.choice(job.members())["node"]
    job.cluster.kubectl("taint", "node", node, "cloud.google.com/impending-node-termination=:NoSchedule")
    return f"notice that {node} will be taken away"


def take_notice_back(job):
    job.cluster.kubectl("taint", "node", "--all",
                        "cloud.google.com/impending-node-termination:NoSchedule-", check=False)


def mount_checkpoints(directory, megabytes):
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "torture",
                    directory / "checkpoints"], check=True)


def unmount_checkpoints(directory):
    subprocess.run(["umount", pathlib.Path(directory) / "checkpoints"], check=False)


FAULTS = [
    Fault(kill_worker), Fault(kill_two_workers), Fault(kill_supervisor, restarts=False),
    Fault(kill_launcher), Fault(kill_agent, restarts=False, later=up),
    Fault(kill_server, restarts=False), Fault(kill_node, later=up),
    Fault(kill_node_and_bad_spare, later=up), Fault(stop_worker), Fault(raise_exception),
    Fault(hold_the_gil), Fault(run_out_of_memory), Fault(slow_worker, restarts=None),
    Fault(fill_disk, restarts=None, later=empty_disk, holds=5), Fault(flip_bit),
    Fault(notice, later=take_notice_back),
]
