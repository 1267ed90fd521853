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
    it lasts before `later`; else until the job has gone on. `cause`: what the decision has to name, with
    the pod that `strike` ends by."""

    def __init__(self, strike, restarts=True, later=None, holds=None, cause=None):
        self.cause = cause
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


def flip_bit_below(directory, job, dice):
    """In the newest checkpoint's data there; then a worker is killed, so that it is read."""
    files = sorted((path for path in directory.rglob("*")
                    if path.is_file() and path.stat().st_size > 4096 and path.suffix != ".program"),
                   key=lambda path: path.stat().st_mtime)
    if not files:
        raise LookupError(f"no checkpoint in {directory}")
    flipped = files[-1]
    with open(flipped, "r+b") as file:
        place = dice.randrange(flipped.stat().st_size)
        file.seek(place)
        byte = file.read(1)
        file.seek(place)
        file.write(bytes([byte[0] ^ (1 << dice.randrange(8))]))
    return f"bit flipped in {flipped.parent.name}/{flipped.name}, and {kill_worker(job, dice)}"


def flip_bit(job, dice):
    return flip_bit_below(job.directory / "checkpoints", job, dice)


def flip_bit_in_memory(job, dice):
    node = dice.choice(job.members())["node"]
    return f"{node}: " + flip_bit_below(pathlib.Path(job.cluster.directory, "nodes", node, "jobs"), job, dice)


def link_of(job, member):
    """The network namespace of a member's pod."""
    names = subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True).stdout
    return next(line.split()[0] for line in names.splitlines() if member["podUID"] in line)


def cut_link(job, dice):
    member = dice.choice(job.members())
    job.cut = link_of(job, member)
    subprocess.run(["ip", "-n", job.cut, "link", "set", "eth0", "down"], check=True)
    return f"the link of {member['pod']} cut"


def mend_link(job):
    """With the route, which went when the link did. The pod may be gone by now."""
    subprocess.run(["ip", "-n", job.cut, "link", "set", "eth0", "up"], check=False, stderr=subprocess.DEVNULL)


def blip_link(job, dice):
    return cut_link(job, dice) + " for 3 s"


def groups_of(pid, controller):
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            return pathlib.Path(f"/sys/fs/cgroup/{controller}{path}")
    raise LookupError(f"no cgroup of {controller} here")


def press_memory(job, dice):
    """The limit of a pod is brought down to what it uses, so that the kernel has to reclaim or to kill."""
    member, pids = a_member(job, dice)
    job.pressed = groups_of(pids[0], "memory") / "memory.limit_in_bytes"
    job.pressed_from = job.pressed.read_text()
    used = int((job.pressed.parent / "memory.usage_in_bytes").read_text())
    with contextlib.suppress(OSError):  # it cannot be reclaimed: the next page it wants ends it
        job.pressed.write_text(str(used + (1 << 20)))
    return f"{member['pod']} has 1 MiB more than the {used >> 20} it uses"


def release_memory(job):
    with contextlib.suppress(OSError):  # of a container that is gone
        job.pressed.write_text(job.pressed_from)


def slow_disk(job, dice):
    """The device below the checkpoints writes 64 KiB/s for all processes of one pod."""
    member, pids = a_member(job, dice)
    device = os.stat(job.directory / "checkpoints").st_dev
    group = pathlib.Path("/sys/fs/cgroup/blkio/pelton-torture")
    group.mkdir(exist_ok=True)
    (group / "blkio.throttle.write_bps_device").write_text(
        f"{os.major(device)}:{os.minor(device)} 65536")
    for pid in [*pids, *sum(job.launcher(member), [])]:
        with contextlib.suppress(OSError):
            (group / "cgroup.procs").write_text(str(pid))
    return f"64 KiB/s for what {member['pod']} writes"


def speed_up_disk(_job):
    group = pathlib.Path("/sys/fs/cgroup/blkio/pelton-torture")
    for pid in (group / "cgroup.procs").read_text().split():
        with contextlib.suppress(OSError):
            (group.parent / "cgroup.procs").write_text(pid)
    group.rmdir()


def notice(job, dice):
    node = dice.choice(job.members())["node"]
    job.cluster.kubectl("taint", "node", node, "cloud.google.com/impending-node-termination=:NoSchedule")
    return f"notice that {node} will be taken away"


def take_notice_back(job):
    job.cluster.kubectl("taint", "node", "--all",
                        "cloud.google.com/impending-node-termination:NoSchedule-", check=False)


def mount_checkpoints(directory, megabytes):
    """A disk of its own, so that it can be full or slow."""
    image = pathlib.Path(directory) / "disk"
    with open(image, "wb") as file:
        file.truncate(megabytes << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, directory / "checkpoints"], check=True)


def unmount_checkpoints(directory):
    subprocess.run(["umount", pathlib.Path(directory) / "checkpoints"], check=False)


FAULTS = [
    Fault(kill_worker), Fault(kill_two_workers), Fault(kill_supervisor, restarts=False),
    Fault(kill_launcher), Fault(kill_agent, restarts=False, later=up),
    Fault(kill_server, restarts=False), Fault(kill_node, later=up),
    Fault(kill_node_and_bad_spare, later=up), Fault(stop_worker), Fault(raise_exception),
    Fault(hold_the_gil, cause="Spinning"), Fault(run_out_of_memory), Fault(slow_worker, restarts=None),
    Fault(fill_disk, restarts=None, later=empty_disk, holds=5), Fault(flip_bit), Fault(flip_bit_in_memory),
    Fault(blip_link, restarts=None, later=mend_link, holds=3), Fault(cut_link, later=mend_link),
    Fault(press_memory, restarts=None, later=release_memory, holds=5),
    Fault(slow_disk, restarts=None, later=speed_up_disk, holds=5),
    Fault(notice, later=take_notice_back),
]
