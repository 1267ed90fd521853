// SPDX-License-Identifier: Apache-2.0
// The page of `pelton goodput -o html`. The report stands in it as JSON; the script draws it.
#include <fmt/format.h>

#include "cli/goodput_text.h"

namespace pelton::cli {
namespace {

constexpr const char* kHead = R"html(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Goodput</title>
<style>
:root { color-scheme: light dark; --page: #fcfcfb; --card: #ffffff; --ink: #1c1d1f; --soft: #63666b;
  --line: #e2e3e5; --PRODUCTIVE: #2a9d6f; --WASTED_PROGRESS_FROM_DISRUPTION: #d1495b;
  --INFRASTRUCTURE_RECOVERY_FROM_DISRUPTION: #e8833a; --UNPRODUCTIVE_CHECKPOINT_SAVE_TIME: #4c7fd0;
  --UNPRODUCTIVE_CHECKPOINT_RESTORE_TIME: #7aa6e8; --CUSTOM_BADPUT_EVENTS: #8a63c9;
  --DATA_LOADING_SYNC: #3fa7b5; --TPU_INITIALIZATION: #b59a3c; --TRAINING_PREP: #cdb65e;
  --PROGRAM_STARTUP: #ded08f; --ELASTIC_SLICE_DOWN: #87464f; --ELASTIC_SCALE_UP: #b06a9c;
  --ELASTIC_REINITIALIZATION: #d09fc2; --OTHER: #a9acb2; }
@media (prefers-color-scheme: dark) { :root { --page: #16171a; --card: #1e2024; --ink: #e9eaec;
  --soft: #9ea2a9; --line: #33363c; --PRODUCTIVE: #3db585; --OTHER: #5d6168; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 22px; margin: 0 0 2px; } h2 { font-size: 15px; margin: 36px 0 10px; }
p { margin: 0; color: var(--soft); }
.numbers { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 12px;
  margin-top: 22px; }
.number { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: 10px 14px; }
.number b { display: block; font-size: 22px; font-variant-numeric: tabular-nums; }
.number span { color: var(--soft); font-size: 13px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 14px; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { fill: var(--soft); font-size: 12px; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 500; color: var(--soft); font-size: 13px; }
th, td { padding: 5px 10px 5px 0; border-bottom: 1px solid var(--line); vertical-align: middle; }
tr:last-child td { border-bottom: 0; }
.right { text-align: right; white-space: nowrap; }
.swatch { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 8px; }
.bar { height: 9px; border-radius: 3px; min-width: 2px; }
.soft { color: var(--soft); }
#tip { position: fixed; pointer-events: none; display: none; background: var(--ink);
  color: var(--page); padding: 6px 10px; border-radius: 6px; font-size: 13px; max-width: 320px; }
</style>
</head>
<body>
<main>
<h1 id="title"></h1><p id="when"></p>
<div class="numbers" id="numbers"></div>
<h2>Work done, against the ideal line</h2>
<div class="card"><svg id="plot" viewBox="0 0 1000 330" role="img"
  aria-label="Productive time over wall time, and the ideal line"></svg></div>
<h2>Where the time went</h2>
<div class="card"><table id="breakdown"></table></div>
<h2>Interruptions</h2>
<div class="card"><table id="interruptions"></table></div>
<p style="margin-top:14px;font-size:13px">Categories as in ml-goodput-measurement. Within one
generation of a JobSet it is known how long saves took, not when: they are drawn evenly.</p>
</main>
<div id="tip"></div>
<script id="report" type="application/json">)html";

constexpr const char* kScript = R"html(</script>
<script>
"use strict";
const report = JSON.parse(document.getElementById("report").textContent);
const $ = id => document.getElementById(id);
const two = n => String(n).padStart(2, "0");
function time(s) {
  if (s === null || s === undefined) return "\u2013";
  const w = Math.floor(s);
  if (s < 0.9995) return (s * 1000).toFixed(0) + " ms";
  if (s < 99.95) return s.toFixed(1) + " s";
  if (w < 3600) return Math.floor(w / 60) + "m" + two(w % 60) + "s";
  if (w < 86400) return Math.floor(w / 3600) + "h" + two(Math.floor(w % 3600 / 60)) + "m";
  return Math.floor(w / 86400) + "d" + two(Math.floor(w % 86400 / 3600)) + "h";
}
const percent = p => p.toFixed(2) + " %";
const at = text => Date.parse(text) / 1000;
const clock = text => text.slice(0, 19).replace("T", " ") + "Z";
function add(parent, name, attributes, text) {
  const svg = parent.namespaceURI === "http://www.w3.org/2000/svg";
  const element = svg ? document.createElementNS(parent.namespaceURI, name)
                      : document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.appendChild(element);
  return element;
}
function tip(element, text) {
  element.addEventListener("mousemove", event => {
    const box = $("tip");
    box.textContent = text;
    box.style.display = "block";
    box.style.left = Math.min(event.clientX + 14, innerWidth - 330) + "px";
    box.style.top = event.clientY + 14 + "px";
  });
  element.addEventListener("mouseleave", () => { $("tip").style.display = "none"; });
}

$("title").textContent = (report.namespace ? "jobset " + report.namespace + "/" : "") + report.name;
document.title = "Goodput of " + report.name;
$("when").textContent = clock(report.from) + " to " + clock(report.to) + ", " +
    time(report.wallSeconds) + (report.over ? ", over" : ", still running");
for (const [value, label] of [
  [percent(report.goodputPercent), "goodput"],
  [percent(report.acceleratorGoodputPercent), "of all accelerators"],
  [percent(report.ettrPercent), "ETTR"],
  [percent(report.schedulingGoodputPercent), "scheduling goodput"],
  [report.interruptionCount, "interruptions"],
  [time(report.mttrSeconds), "MTTR"],
  [time(report.mtbiSeconds), "MTBI"],
  [time(report.uptimeSeconds), "uptime"]]) {
  const box = add($("numbers"), "div", {class: "number"});
  add(box, "b", {}, value);
  add(box, "span", {}, label);
}

function draw() {
  const plot = $("plot"), left = 64, right = 990, top = 12, bottom = 240, ribbon = 262, height = 30;
  const from = at(report.from), wall = report.wallSeconds || 1;
  const x = s => left + (s - from) / wall * (right - left);
  const y = work => bottom - work / wall * (bottom - top);
  const nice = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200,
                86400, 172800, 345600, 604800, 1209600, 2592000];
  const step = nice.find(n => wall / n <= 8) || wall / 6;
  for (let s = 0; s <= wall * 1.0001; s += step) {
    add(plot, "line", {x1: left, x2: right, y1: y(s), y2: y(s), stroke: "var(--line)"});
    add(plot, "text", {x: left - 8, y: y(s) + 4, "text-anchor": "end"}, s ? time(s) : "0");
    add(plot, "text", {x: x(from + s), y: ribbon + height + 18, "text-anchor": "middle"},
        s ? time(s) : "0");
  }
  let work = 0;
  const path = ["M" + left + " " + bottom];
  for (const segment of report.segments) {
    const begin = at(segment.from), end = at(segment.to);
    if (segment.category === "PRODUCTIVE") work += end - begin;
    path.push("L" + x(end).toFixed(2) + " " + y(work).toFixed(2));
  }
  const real = path.join(" ");
  add(plot, "path", {d: real + " L" + right + " " + top + " Z", fill: "var(--OTHER)",
                     opacity: 0.18});
  add(plot, "line", {x1: left, y1: bottom, x2: right, y2: top, stroke: "var(--soft)",
                     "stroke-dasharray": "5 4", "stroke-width": 1.5});
  add(plot, "path", {d: real, fill: "none", stroke: "var(--PRODUCTIVE)", "stroke-width": 2.5,
                     "stroke-linejoin": "round"});
  add(plot, "text", {x: left + 12, y: top + 14}, "dashed: ideal; line: productive; between: " +
      time(wall - report.productiveSeconds) + " lost");
  for (const each of report.interruptions) {
    const mark = add(plot, "line", {x1: x(at(each.at)), x2: x(at(each.at)), y1: ribbon - 8,
        y2: ribbon + height, stroke: "var(--ink)", "stroke-width": 1, opacity: 0.55});
    tip(mark, (each.cause || "interrupted") + ", recovered after " + time(each.recoverySeconds));
  }
  for (const segment of report.segments) {
    const begin = x(at(segment.from)), end = x(at(segment.to));
    const box = add(plot, "rect", {x: begin, y: ribbon, width: Math.max(end - begin, 0.25), height,
                                   fill: "var(--" + segment.category + ")"});
    if (segment.category === "PRODUCTIVE" && segment.width && report.fullWidth > segment.width) {
      box.setAttribute("opacity", 0.35 + 0.65 * segment.width / report.fullWidth);
    }
    tip(box, segment.category + (segment.cause ? " (" + segment.cause + ")" : "") + ", " +
        time(at(segment.to) - at(segment.from)) +
        (segment.generation ? ", generation " + segment.generation : "") +
        (segment.width ? ", " + segment.width + " of " + report.fullWidth + " ranks" : ""));
  }
}
draw();

const rows = [...report.breakdown].sort((a, b) => b.seconds - a.seconds);
const most = rows.length ? rows[0].percent : 1;
for (const row of rows) {
  const line = add($("breakdown"), "tr");
  const name = add(line, "td");
  add(name, "span", {class: "swatch", style: "background:var(--" + row.category + ")"});
  name.append(row.category);
  add(line, "td", {class: "right"}, time(row.seconds));
  add(line, "td", {class: "right"}, percent(row.percent));
  const bar = add(line, "td", {style: "width:26%"});
  add(bar, "div", {class: "bar", style: "background:var(--" + row.category + ");width:" +
      row.percent / most * 100 + "%"});
  const causes = Object.entries(row.causes).filter(c => c[0]).sort((a, b) => b[1] - a[1]);
  add(line, "td", {class: "soft"},
      causes.slice(0, 4).map(c => c[0] + " " + time(c[1])).join(", "));
}
const table = $("interruptions");
if (!report.interruptions.length) add(add(table, "tr"), "td", {class: "soft"}, "none");
else {
  const head = add(table, "tr");
  for (const name of ["at", "cause", "rank", "node", "recovered after"]) add(head, "th", {}, name);
}
for (const each of report.interruptions.slice(-200)) {
  const line = add(table, "tr");
  for (const text of [clock(each.at), each.cause || "\u2013", each.rank ?? "\u2013",
                      each.node || "\u2013",
                      each.recoverySeconds === null ? "not yet" : time(each.recoverySeconds)]) {
    add(line, "td", {}, text);
  }
}
</script>
</body>
</html>
)html";

}  // namespace

std::string goodput_html(const GoodputSubject& subject, const decide::goodput::Report& report) {
  base::Json json = decide::goodput::to_json(report);
  json.set("name", subject.name);
  if (!subject.namespace_name.empty()) json.set("namespace", subject.namespace_name);
  std::string page = kHead;
  // A name with "</script>" in it must not end the element.
  for (const char c : json.dump()) {
    if (c == '<') {
      page += "\\u003c";
    } else {
      page += c;
    }
  }
  return page + kScript;
}

}  // namespace pelton::cli
