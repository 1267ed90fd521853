# SPDX-License-Identifier: Apache-2.0
"""Draws a Story: as a screen that is redrawn in place, or as plain lines. Pure.

A drawn line is a list of (style, text); to_ansi and to_svg turn it into what a terminal or a
browser shows, so that the picture in the README is the screen itself.
"""

import html

STYLES = {  # name: (ANSI code, colour in the picture)
    "": ("", "#d0d0d0"),
    "title": ("1", "#ffffff"),
    "dim": ("2", "#808080"),
    "good": ("32", "#6cc66c"),
    "busy": ("33", "#d7af5f"),
    "bad": ("31", "#e06c6c"),
    "curve": ("36", "#5fb3d7"),
}
GOOD = ("Running", "Completed", "Succeeded")
BAD = ("Error", "Failed", "OOMKilled", "ErrImagePull", "ImagePullBackOff", "CrashLoopBackOff")
CHART_ROWS, EVENT_ROWS = 7, 6
BLOCKS = " ▁▂▃▄▅▆▇█"


def screen(story, now, width, title, hint="", keys=None):
  """Returns the lines of one frame, each at most `width` columns wide.

  `keys` is what to say beside the keys, "" for nothing; None where no key is heard.
  """
  lines = [[("title", title), ("dim", f"   {now:.0f} s" + (f"   {hint}" if hint else ""))], []]
  lines += progress(story, width) + [[]]
  lines += chart(story, width) + [[]]
  lines += pod_lines(story) + [[]]
  lines.append([("dim", "EVENTS")])
  recent = [text for _, text in story.events[-EVENT_ROWS:]]
  lines += [[("", text)] for text in recent] + [[] for _ in range(EVENT_ROWS - len(recent))]
  if keys is not None:
    lines += [[], key_line(story, keys)]
  return [clip(line, width) for line in lines]


KEYS = (("w", "kills a worker"), ("n", "kills a node"), ("q", "ends"))


def key_line(story, notice):
  line = []
  for key, effect in KEYS:
    line += [("title", key), ("dim", f" {effect}   ")]
  if story.kills:
    line.append(("bad", f"killed: {story.kill_count()}   "))
  if story.silent_nodes:
    line.append(("busy", f"NotReady: {', '.join(story.silent_nodes)}   "))
  if story.max_restarts is not None and story.restarts >= story.max_restarts:
    line.append(("bad", "one more restart than maxRestarts fails the job   "))
  return line + [("busy", notice)]


def progress(story, width):
  done, total = story.last_step, story.total_steps
  room = max(10, min(50, width - 40))
  filled = room * done // total if total else 0
  bar = [("good", "━" * filled), ("dim", "─" * (room - filled))]
  if not total:
    return [bar + [("dim", "  waiting for the first step")], []]
  latest = story.steps[-1]
  first = bar + [("", f"  step {latest.number} of {total}")]
  if latest.number < done:
    first.append(("busy", f"  (redoing up to {done})"))
  return [first, [("", f"loss {latest.loss:.3f}   {latest.milliseconds} ms a step   "
                       f"{latest.tokens_per_second:,} bytes/s   last checkpoint at step "
                       f"{story.last_checkpoint}   restarts {story.restarts}"
                       + (f" of {story.max_restarts}" if story.max_restarts else ""))]]


def chart(story, width):
  """Returns the loss against the step as bars; the steps that kills came after stand out."""
  columns = max(20, min(width - 8, 100))
  if not story.steps:
    return [[("dim", "LOSS")]] + [[] for _ in range(CHART_ROWS)]
  columns = min(columns, story.total_steps)
  by_column = {}
  for step in story.steps:
    by_column.setdefault((step.number - 1) * columns // story.total_steps, []).append(step.loss)
  high = max(step.loss for step in story.steps)
  low = min(1.0, min(step.loss for step in story.steps))
  killed = {max(0, interruption.last_step - 1) * columns // story.total_steps
            for interruption in story.interruptions()}
  lines = [[("dim", "LOSS")] + ([("bad", f"   ▏killed: {story.kill_count()}")] if killed else [])]
  for row in range(CHART_ROWS - 1, -1, -1):
    level = low + (high - low) * (row + 1) / CHART_ROWS
    spans = [("dim", f"{level:5.1f} ")]
    for column in range(columns):
      losses = by_column.get(column)
      height = 0.0
      if losses:
        height = (sum(losses) / len(losses) - low) / (high - low or 1) * CHART_ROWS - row
      block = BLOCKS[max(0, min(8, round(height * 8)))]
      if column in killed and block == " ":
        spans.append(("bad", "▏"))
      else:
        spans.append(("bad" if column in killed else "curve", block))
    lines.append(merge(spans))
  return lines


def pod_lines(story):
  lines = [[("dim", f"{'POD':<32}{'NODE':<10}{'ATTEMPT':<9}STATUS")]]
  for pod in story.pods:
    lines.append([("", f"{pod.name:<32}{pod.node:<10}{pod.attempt:<9}"),
                  (style_of(pod.status), pod.status)])
  return lines + [[] for _ in range(4 - len(story.pods))]


def style_of(status):
  word = status.split(" ")[0]
  return "good" if word in GOOD else "bad" if word in BAD else "busy"


def merge(spans):
  """Joins neighbours of the same style."""
  merged = []
  for style, text in spans:
    if merged and merged[-1][0] == style:
      merged[-1] = (style, merged[-1][1] + text)
    else:
      merged.append((style, text))
  return merged


def clip(line, width):
  clipped, room = [], width
  for style, text in line:
    if room <= 0:
      break
    clipped.append((style, text if len(text) <= room else text[: room - 1] + "…"))
    room -= len(text)
  return clipped


def to_ansi(lines, coloured=True):
  """Returns the lines as text for a terminal."""
  def span(style, text):
    code = STYLES[style][0]
    return f"\033[{code}m{text}\033[0m" if code and coloured else text
  return "\n".join("".join(span(*part) for part in line) for line in lines)


def to_svg(lines):
  """Returns the lines as a picture of a terminal."""
  advance, leading, margin = 8.4, 18, 16
  columns = max(sum(len(text) for _, text in line) for line in lines)
  width, height = columns * advance + 2 * margin, len(lines) * leading + 2 * margin
  rows = []
  for number, line in enumerate(lines):
    column, spans = 0, []
    for style, text in line:
      weight = ' font-weight="bold"' if style == "title" else ""
      spans.append(f'<tspan x="{margin + column * advance:.1f}" fill="{STYLES[style][1]}"{weight} '
                   f'textLength="{len(text) * advance:.1f}">{html.escape(text)}</tspan>')
      column += len(text)
    rows.append(f'<text y="{margin + (number + 0.75) * leading:.1f}" xml:space="preserve">'
                + "".join(spans) + "</text>")
  return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
          f'font-family="monospace" font-size="14">'
          f'<rect width="100%" height="100%" rx="8" fill="#1c1c1c"/>' + "".join(rows) + "</svg>\n")


class PlainLines:
  """What changed since the last time, one line each: for a pipe or a file instead of a terminal."""

  def __init__(self, every=10):
    self.every = every
    self.steps = 0
    self.pods = {}
    self.events = set()

  def changes(self, story, now):
    lines = []
    for step in story.steps[self.steps:]:
      if step.number % self.every == 0 or step.number == 1 or step.number == story.total_steps:
        lines.append(f"step {step.number} of {story.total_steps}: loss {step.loss:.3f}, "
                     f"{step.milliseconds} ms a step")
    self.steps = len(story.steps)
    rows = {pod.name: pod for pod in story.pods}
    for name, pod in rows.items():
      if name not in self.pods or self.pods[name].status != pod.status:
        lines.append(f"pod {name} on {pod.node}: {pod.status}")
    lines += [f"pod {name}: gone" for name in self.pods if name not in rows]
    self.pods = rows
    for key, text in story.events:
      if (key, text) not in self.events:
        self.events.add((key, text))
        lines.append(f"event {text}")
    return [f"[{now:6.1f} s] {line}" for line in lines]
