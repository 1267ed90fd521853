# SPDX-License-Identifier: Apache-2.0
"""Tests of what the demo says: the numbers of its summary, and that its screen holds them."""

import pathlib
import tempfile
import unittest

import chaos
import summary
import view
from story import Story, event_text, pod_status


def told(*, killed_after=25, checkpoint=20, total=40, restart_seconds=10, kill=True):
  """Returns the Story of a job with a step a second, which lost a worker after `killed_after`."""
  story, at = Story(), 0.0

  def step(number):
    nonlocal at
    at += 1.0
    story.on_log_line(at, f"step={number} loss={5 - 3 * number / total:.4f} ms=1000 "
                          f"tokens_per_s=2048 of={total}")
    if number % 10 == 0:
      story.on_log_line(at, f"checkpoint: step={number} bytes=1 ms=1")

  for number in range(1, (killed_after if kill else total) + 1):
    step(number)
  if kill:
    story.on_kill(at + 0.2, "worker", "2", [4242])
    at += restart_seconds
    story.on_log_line(at, f"resume: step={checkpoint} rank=0 checkpoint=/checkpoints/x")
    for number in range(checkpoint + 1, total + 1):
      step(number)
  story.on_log_line(at, "done: rank=0 parameters_sha256=" + "ab" * 32)
  story.on_log_line(at, "agreement: ranks=4 equal=yes")
  story.on_jobset({"status": {"restarts": 1 if kill else 0, "conditions": [
      {"type": "Completed", "status": "True", "message": "jobset completed successfully"}]}})
  return story


def pod(**container_state):
  return {"metadata": {"name": "p", "labels": {}}, "status": {
      "phase": "Running", "containerStatuses": [{"state": container_state}]}}


class TheSummary(unittest.TestCase):
  def test_counts_what_was_redone_and_lost(self):
    story = told(killed_after=25, checkpoint=20, restart_seconds=10)
    self.assertEqual(story.steps_redone(), 5)
    # 10 s until it resumed, then steps 21 to 25 again; step 26 itself is no loss.
    self.assertAlmostEqual(story.seconds_lost(), 10 + 5)

  def test_counts_steps_whose_lines_came_after_the_kill(self):
    story = told(killed_after=25)
    story.kills = [story.kills[0].__class__(story.kills[0].at - 2, "worker", "2", (1,))]
    self.assertEqual(story.interruptions()[0].last_step, 25)
    self.assertEqual(story.steps_redone(), 5)

  def test_counts_two_kills_with_one_restart_once(self):
    story = told(killed_after=25, checkpoint=20, restart_seconds=10)
    story.on_kill(story.kills[0].at + 3, "node", "node-1", [7, 8, 9])
    self.assertEqual(len(story.interruptions()), 1)
    self.assertEqual(story.steps_redone(), 5)
    self.assertAlmostEqual(story.seconds_lost(), 15)
    text = "\n".join(summary.lines(story, 61, "logs", False, []))
    for part in ("killed        1 worker, 1 node", "SIGKILL of worker 2 after step 25, at 25 s",
                 "SIGKILL of node node-1 (3 processes) after step 25, at 28 s"):
      self.assertIn(part, text)

  def test_counts_a_second_kill_while_steps_are_redone(self):
    story, step = Story(), "step={} loss=3.0 ms=1000 tokens_per_s=1 of=40"
    told_lines = [(0.5, "start: step=0 rank=0 no checkpoint to resume from"),
                  *((n, step.format(n)) for n in range(1, 26)),
                  (30, "resume: step=20 rank=0 checkpoint=/x"),
                  *((10 + n, step.format(n)) for n in range(21, 24)),  # 31 s to 33 s
                  (40, "resume: step=20 rank=0 checkpoint=/x"),
                  *((20 + n, step.format(n)) for n in range(21, 41))]  # from 41 s on
    for at, line in told_lines:
      story.on_log_line(at, line)
    story.on_kill(25.5, "worker", "0", [1])
    story.on_kill(33.5, "node", "node-0", [2])
    self.assertEqual([i.last_step for i in story.interruptions()], [25, 23])
    self.assertEqual(story.steps_redone(), 5 + 3)
    self.assertAlmostEqual(story.seconds_lost(), 46 - 1 - 25)  # step 26 came at 46 s
    story.on_kill(60.5, "worker", "1", [3])  # after the last step, and nothing began again yet
    self.assertIsNone(story.steps_redone())
    self.assertIsNone(story.seconds_lost())
    story.on_log_line(70, "resume: step=40 rank=0 checkpoint=/x")
    self.assertEqual(story.steps_redone(), 5 + 3)

  def test_a_kill_before_the_first_step_redoes_nothing(self):
    story = Story()
    story.on_kill(5, "worker", "0", [1])
    story.on_log_line(9, "start: step=0 rank=0 no checkpoint to resume from")
    story.on_log_line(11, "step=1 loss=3.0 ms=1000 tokens_per_s=1 of=40")
    self.assertEqual(story.steps_redone(), 0)
    self.assertAlmostEqual(story.seconds_lost(), 11 - 1 - 5)

  def test_knows_nothing_lost_where_nothing_was_killed(self):
    story = told(kill=False)
    self.assertEqual((story.steps_redone(), story.seconds_lost()), (0, 0.0))
    self.assertEqual(summary.verdict(story, kill_wanted=False), [])
    self.assertIn("no worker was lost", summary.verdict(story)[0])

  def test_does_not_make_up_what_it_does_not_know(self):
    story = Story()
    story.on_log_line(1, "step=1 loss=5.0 ms=10 tokens_per_s=1 of=9")
    story.on_kill(2, "worker", "0", [1])
    self.assertIsNone(story.steps_redone())
    self.assertIsNone(story.seconds_lost())
    self.assertIn("unknown", "\n".join(summary.lines(story, 3, "logs", False, [])))

  def test_says_all_that_it_should(self):
    story = told()
    story.on_nodes([{"metadata": {"labels": {"pelton.dev/virtual-accelerator": "true"}},
                     "status": {"capacity": {"cpu": "4", "google.com/tpu": "1"}}}] * 4)
    text = "\n".join(summary.lines(story, 61.4, "build/demo/", True, ["kubectl get pods"]))
    for part in ("Completed", "5 (training went on from the checkpoint at step 20)", "15.0 (from",
                 "wall time     61 s", "4 x google.com/tpu: virtual", "build/demo/",
                 "still up", "kubectl get pods", "abababababababab…"):
      self.assertIn(part, text)


class TheVerdict(unittest.TestCase):
  def wrong(self, change):
    story = told()
    self.assertEqual(summary.verdict(story), [])
    change(story)
    return " ".join(summary.verdict(story))

  def test_is_bad_where_anything_is(self):
    def change(name, value):
      return lambda story: setattr(story, name, value)
    self.assertIn("did not complete", self.wrong(change("outcome", "Failed")))
    self.assertIn("did not complete", self.wrong(change("outcome", "")))
    self.assertIn("same parameters", self.wrong(change("agreement", False)))
    self.assertIn("same parameters", self.wrong(change("agreement", None)))
    self.assertIn("no restart", self.wrong(change("restarts", 0)))
    self.assertIn("ends at step", self.wrong(change("total_steps", 41)))
    self.assertIn("below 2.5", self.wrong(
        lambda story: setattr(story, "steps", [s.__class__(s.at, s.number, 3.0, 1, 1)
                                               for s in story.steps])))


class TheScreen(unittest.TestCase):
  def setUp(self):
    self.story = told()
    self.story.on_pods([
        {"metadata": {"name": f"train-gpt-workers-0-{i}-abcde", "labels": {
            "batch.kubernetes.io/job-completion-index": str(i)}},
         "spec": {"nodeName": f"node-{i}"}, "status": {"phase": "Running"}} for i in range(4)])
    self.story.on_events([{"metadata": {"name": "e"}, "reason": "Restarting",
                           "message": "restarting jobset, attempt 1 " + "x" * 200,
                           "involvedObject": {"kind": "JobSet", "name": "train-gpt"}}])

  def test_no_line_is_wider_than_the_terminal_and_the_height_stays(self):
    heights = set()
    for width in (40, 80, 200):
      for story in (self.story, Story()):
        lines = view.screen(story, 5, width, "title")
        heights.add(len(lines))
        self.assertLessEqual(max(sum(len(text) for _, text in line) for line in lines), width)
    self.assertEqual(len(heights), 1)

  def test_shows_keys_losses_and_silent_nodes_where_keys_are_heard(self):
    def last_line(story, notice):
      return view.to_ansi(view.screen(story, 5, 150, "title", keys=notice)[-1:], coloured=False)
    self.assertEqual(last_line(Story(), ""), "w kills a worker   n kills a node   q ends   ")
    self.story.on_kill(40, "node", "node-3", [1, 2])
    self.story.on_nodes([{"metadata": {"name": f"node-{i}", "labels": {}}, "status": {
        "conditions": [{"type": "Ready", "status": "Unknown" if i == 3 else "True"}]}}
                         for i in range(4)])
    line = last_line(self.story, "no worker runs just now")
    for part in ("killed: 1 worker, 1 node", "NotReady: node-3", "no worker runs just now"):
      self.assertIn(part, line)
    self.assertNotIn("maxRestarts", line)
    self.story.on_jobset({"spec": {"failurePolicy": {"maxRestarts": 1}}, "status": {"restarts": 1}})
    self.assertIn("maxRestarts", last_line(self.story, ""))
    self.assertIn("restarts 1 of 1", view.to_ansi(view.screen(self.story, 5, 150, "t")))

  def test_shows_steps_loss_pods_and_events(self):
    text = view.to_ansi(view.screen(self.story, 5, 120, "title"), coloured=False)
    for part in ("step 40 of 40", "loss 2.000", "train-gpt-workers-0-3-abcde", "node-3",
                 "restarts 1", "jobset/train-gpt Restarting"):
      self.assertIn(part, text)

  def test_says_when_steps_are_redone(self):
    story = told()
    story.steps = [s for s in story.steps if s.at <= 37]
    text = view.to_ansi(view.screen(story, 5, 120, "title"), coloured=False)
    self.assertIn("step 22 of 40  (redoing up to 25)", text)

  def test_the_picture_is_well_formed(self):
    import xml.etree.ElementTree as ElementTree
    picture = ElementTree.fromstring(view.to_svg(view.screen(self.story, 5, 100, "a < b")))
    self.assertIn("a < b", "".join(picture.itertext()))

  def test_plain_lines_tell_each_change_once(self):
    plain = view.PlainLines()
    first = "\n".join(plain.changes(self.story, 5))
    self.assertIn("step 30 of 40", first)
    self.assertIn("pod train-gpt-workers-0-0-abcde on node-0: Running", first)
    self.assertEqual(plain.changes(self.story, 6), [])
    self.story.on_pods([])
    self.assertEqual(len(plain.changes(self.story, 7)), 4)


class WhatTheApiSays(unittest.TestCase):
  def test_a_pods_status_is_what_kubectl_shows(self):
    self.assertEqual(pod_status(pod(running={})), "Running")
    self.assertEqual(pod_status(pod(waiting={"reason": "ErrImagePull"})), "ErrImagePull")
    self.assertEqual(pod_status(pod(terminated={"reason": "Error", "exitCode": 137})),
                     "Error (exit code 137)")
    self.assertEqual(pod_status(pod(terminated={"reason": "Completed"})), "Completed")
    deleted = pod(running={})
    deleted["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    self.assertEqual(pod_status(deleted), "Terminating")
    self.assertEqual(pod_status({"metadata": {}, "status": {"phase": "Pending"}}), "Pending")

  def test_an_event_of_either_api_is_readable(self):
    old = {"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "p"},
           "reason": "Killing", "message": "stop", "count": 3}
    new = {"metadata": {"name": "e"}, "regarding": {"kind": "Pod", "name": "p"},
           "reason": "Killing", "note": "stop"}
    self.assertEqual(event_text(old), "pod/p Killing: stop (x3)")
    self.assertEqual(event_text(new), "pod/p Killing: stop")


class TheVictim(unittest.TestCase):
  DATA = "/tmp/pelton-demo"

  def setUp(self):
    def shim(node, uid):
      return ("pelton", "container-shim", f"{self.DATA}/nodes/{node}/pods/{uid}/containers/t/0")
    rank = {"NODE_RANK": "2", "LOCAL_RANK": "0"}
    self.processes = {pid: chaos.Process(pid, parent, command, environment) for
                      pid, parent, command, environment in (
        (30, 1, ("pelton", "agent", "--data-dir", self.DATA, "--node", "node-1"), {}),
        (10, 1, shim("node-1", "uid-a"), {}),
        (11, 10, ("pelton", "run", "--", "python"), {}),
        (12, 11, ("python", "train.py"), rank),
        (13, 12, ("python", "helper"), rank),
        (14, 11, ("python", "train.py"), {**rank, "NODE_RANK": "3"}),
        # The pod of the attempt before, which is about to end; and another node, another cluster.
        (6, 1, shim("node-1", "uid-old"), {}),
        (7, 6, ("python", "train.py"), rank),
        (20, 1, ("pelton", "agent", "--data-dir", self.DATA, "--node", "node-10"), {}),
        (21, 20, shim("node-10", "uid-b"), {}),
        (22, 1, ("pelton", "agent", "--data-dir", "/tmp/another", "--node", "node-1"), {}),
        (23, 1, ("pelton", "container-shim", "/tmp/another/nodes/node-1/pods/uid-a/x"), {}),
        (5, 23, ("python", "train.py"), rank),
        (24, 1, ("less", f"{self.DATA}/nodes/node-1/pods/uid-a/pod.json"), {}))}

  def test_is_the_first_process_of_the_worker_in_that_pod(self):
    pod = f"{self.DATA}/nodes/node-1/pods/uid-a"
    def find(index, directory):
      return chaos.find_worker(self.processes, index, directory, has_page=lambda process: False)
    self.assertEqual(find("2", pod), 12)
    self.assertEqual(find(None, pod), 12)
    with self.assertRaises(LookupError):
      find("1", pod)
    with self.assertRaises(LookupError):
      find("2", f"{self.DATA}/nodes/node-10/pods/uid-b")

  def test_is_rather_who_writes_a_page_in_that_pod(self):
    pod = f"{self.DATA}/nodes/node-1/pods/uid-a"
    writers = (7, 13)  # one in another pod
    self.assertEqual(chaos.find_worker(self.processes, "2", pod,
                                       has_page=lambda process: process.pid in writers), 13)

  def test_writes_a_page_that_names_it_by_its_pid_in_the_pod(self):
    with tempfile.TemporaryDirectory() as proc:
      directory = pathlib.Path(proc) / "77"
      (directory / "root/run/pelton-run-1").mkdir(parents=True)
      page = directory / "root/run/pelton-run-1/beat-0"
      (directory / "maps").write_text("7f0-7f1 rw-s 0 00:1 5 /run/pelton-run-1/beat-0\n")
      (directory / "status").write_text("Name:\tpython\nNSpid:\t77\t12\nThreads:\t1\n")
      process = chaos.Process(77, 1, ("python",), {})
      for writer, expected in ((12, True), (77, False), (13, False)):
        page.write_bytes(chaos.PAGE_HEADER.pack(b"PLTNBEAT", 1, 64, 3, 0, writer, 9))
        self.assertEqual(chaos.has_own_page(process, pathlib.Path(proc)), expected)
      page.write_bytes(b"short")
      self.assertFalse(chaos.has_own_page(process, pathlib.Path(proc)))
    self.assertFalse(chaos.has_own_page(process, pathlib.Path(proc)), "it is gone")

  def test_is_all_of_a_node_and_its_agent_first(self):
    pids = chaos.find_node(self.processes, "node-1", self.DATA)
    self.assertEqual(pids[0], 30)
    self.assertEqual(sorted(pids), [6, 7, 10, 11, 12, 13, 14, 30])
    self.assertEqual(sorted(chaos.find_node(self.processes, "node-10", self.DATA)), [20, 21])

  def test_includes_what_the_agent_began_while_it_was_killed(self):
    late = chaos.Process(40, 1, ("pelton", "container-shim", f"{self.DATA}/nodes/node-10/pods/n/0"),
                         {})
    views = [self.processes, {**self.processes, 40: late}, {40: late}]
    struck = []
    killed = chaos.kill_node("node-10", self.DATA, look=lambda: views.pop(0), strike=struck.append)
    self.assertEqual(struck, [20, 21, 40])
    self.assertEqual(killed, struck)
    with self.assertRaises(LookupError):
      chaos.kill_node("node-10", self.DATA, look=dict, strike=struck.append)

  def test_has_an_agent_or_not(self):
    self.assertTrue(chaos.has_agent(self.processes, "node-1", self.DATA))
    self.assertFalse(chaos.has_agent(self.processes, "node-2", self.DATA))

  def test_this_process_can_be_read(self):
    import os
    me = chaos.all_processes()[os.getpid()]
    self.assertEqual(me.parent, os.getppid())


if __name__ == "__main__":
  unittest.main()
