# SPDX-License-Identifier: Apache-2.0
"""What each rung of recovery buys on large clusters, by simulation on a real fault trace.

One job on all of 1,000, 10,000 and 65,000 nodes for 30 days; the nodes live like those of the
InfiniteHBD trace (PELTON_FAULT_TRACE, or ../shared/traces beside the checkout). What a rung takes is
measured on few ranks and carried on by the law in src/scenario/fault_study.h. The first row is the
peer: everything is started again, from a checkpoint of every 30 minutes.

  bench/ettr.py [--nodes N…] [--days D] [--seed S] [-o json|html]
"""

import argparse
import html
import json
import os
import pathlib
import resource
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
TRACE = pathlib.Path(os.environ.get("PELTON_FAULT_TRACE",
                                    ROOT.parent / "shared/traces/infinitehbd_fault_trace.json"))


def simulate(nodes, days, seed):
  """Returns the rows of one cluster, with the time that all of them took."""
  before, began = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime, time.monotonic()
  done = subprocess.run(
      [ROOT / "build/release/pelton", "sim", "--trace", TRACE, "--nodes", str(nodes), "--days",
       str(days), "--seed", str(seed), "-o", "json"], check=True, capture_output=True, text=True)
  rows = [json.loads(line) for line in done.stdout.splitlines()]
  return {"nodes": nodes, "days": days, "seed": seed, "rows": rows,
          "wallSeconds": time.monotonic() - began,
          "cpuSeconds": resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before}


def print_table(study):
  print(f"\n{study['nodes']:,} nodes, {study['days']} days; all rows {study['wallSeconds']:.1f} s of "
        f"wall time, {study['cpuSeconds']:.1f} s of one core")
  print(f"| {'':<56} | ETTR % | at full width % | of all nodes % | failures | s |")
  print("|---|---:|---:|---:|---:|---:|")
  for row in study["rows"]:
    print(f"| {row['name']:<56} | {100 * row['goodput']:.2f} | "
          f"{100 * row['acceleratorGoodput']:.2f} | {100 * row['ofAllNodes']:.2f} | "
          f"{row['failures']:,} | {row['wallSeconds']:.1f} |", flush=True)


def page(studies):
  """One self-contained page: a bar for each row, by cluster."""
  parts = ["<!doctype html><meta charset=utf-8><title>Effective training time</title>",
           "<style>body{font:14px sans-serif;margin:2em}text{font:12px sans-serif}</style>",
           "<h1>Effective training time, by what recovers</h1>"]
  for study in studies:
    rows = study["rows"]
    parts.append(f"<h2>{study['nodes']:,} nodes, {study['days']} days</h2>"
                 f"<svg width=900 height={26 * len(rows)} role=img>")
    for i, row in enumerate(rows):
      share = row["acceleratorGoodput"]
      parts.append(f"<text x=380 y={26 * i + 17} text-anchor=end>{html.escape(row['name'])}</text>"
                   f"<rect x=390 y={26 * i + 4} height=18 width={400 * share:.1f} "
                   f"fill={'#999' if i == 0 else '#3b7ddd'} />"
                   f"<text x={396 + 400 * share:.1f} y={26 * i + 17}>{100 * share:.2f} %</text>")
    parts.append("</svg>")
  return "".join(parts)


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--nodes", type=int, nargs="+", default=[1000, 10_000, 65_000])
  parser.add_argument("--days", type=int, default=30)
  parser.add_argument("--seed", type=int, default=1)
  parser.add_argument("-o", "--output", choices=["json", "html"])
  options = parser.parse_args()
  if not TRACE.exists():
    print(f"SKIPPED: {TRACE} is not there: set PELTON_FAULT_TRACE to InfiniteHBD's fault_trace.json")
    return
  studies = []
  for nodes in options.nodes:
    studies.append(simulate(nodes, options.days, options.seed))
    if not options.output:
      print_table(studies[-1])
  if options.output == "json":
    json.dump(studies, sys.stdout, indent=1)
  elif options.output == "html":
    print(page(studies))


if __name__ == "__main__":
  main()
