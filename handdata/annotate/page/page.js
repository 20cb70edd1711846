// The annotator's page: shows the session the server holds, and sends it what the person does. It keeps no boxes itself.
import * as server from "/server.js";
import { Pictures } from "/pictures.js";
import { Timeline } from "/timeline.js";
import { View } from "/view.js";

const $ = (id) => document.getElementById(id);
const SPEEDS = [5, 10, 15, 25, 50];
const NUDGE_MS = 250; // moves by key within this time are one edit
const WATCH_MS = 1000; // how often frames played past are sent
const BUSY_MS = 200, IDLE_MS = 2000; // between looks at what the tracker has done

const state = { index: 0, direction: 1, version: 0, frames: [], left: 0, undo: false, redo: false };
const play = { on: false, from: 0, due: 0, sent: 0 };
const nudge = { frame: -1, box: null, timer: 0 };
const visited = new Set(); // frames N has been to
let sequence, pictures, view, timeline, queue = Promise.resolve(), pollTimer = 0, toastTimer = 0;

// ---- the server's state

function take(news) {
  state.version = news.version;
  for (const [frame, packed] of Object.entries(news.frames)) state.frames[frame] = packed;
  Object.assign(state, { undo: news.undo, redo: news.redo, left: news.left });
  const problem = news.trouble || news.broken.join(" ");
  $("tracking").hidden = !problem && !news.left;
  $("tracking").classList.toggle("bad", Boolean(problem));
  $("tracking").textContent = problem || `tracking, ${news.left} to go`;
  if (Object.keys(news.frames).length) timeline.update(state.frames);
  show();
}

// Edits and looks at the state go one after the other, so that no older answer comes after a newer one.
function edit(op, values = {}) {
  queue = queue.then(async () => {
    try {
      take(await server.postEdit({ op, since: state.version, ...values }));
    } catch (error) {
      toast(error.message);
    }
    poll(0);
  });
  return queue;
}

function poll(wait) {
  clearTimeout(pollTimer);
  pollTimer = setTimeout(() => {
    queue = queue.then(async () => {
      try {
        take(await server.getState(state.version, state.index));
      } catch (error) {
        toast(error.message);
      }
      poll(state.left ? BUSY_MS : IDLE_MS);
    });
  }, wait);
}

function toast(message) {
  $("toast").textContent = message;
  $("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => ($("toast").hidden = true), 6000);
}

// ---- showing a frame

function cell(frame = state.index) {
  const [box, source, doubt, accepted, kind, settled, misses] = state.frames[frame] ?? [null, "lost", 1, "", "", 0, 0];
  return { box: nudge.frame === frame ? nudge.box : box, source, doubt, accepted, kind, settled, misses };
}

function show() {
  const bitmap = pictures.get(state.index), { box, source, doubt, accepted, kind, settled, misses } = cell();
  const color = getComputedStyle(document.documentElement).getPropertyValue(`--${source}`).trim();
  view.show({ bitmap, box, color, tips: sequence.tips[state.index], dashed: !settled });
  timeline.seek(state.index);
  const said = box || settled ? source : "no box yet";
  const words = [said, accepted && kind !== "person" && kind !== "absent" ? accepted : "", doubt >= 0.05 && box ? `doubt ${doubt.toFixed(2)}` : "", misses && box ? "misses a fingertip" : ""];
  $("tag").innerHTML = `<i class="${settled || box ? source : "absent"}"></i>`;
  $("tag").append(words.filter(Boolean).join(" · "));
  $("picture").textContent = sequence.names[state.index];
  $("counter").textContent = `${state.index + 1} / ${sequence.names.length}`;
  $("undo").disabled = !state.undo;
  $("redo").disabled = !state.redo;
  count();
  hint();
  Object.assign($("stage").dataset, { index: state.index, source, accepted, kind, settled, doubt, box: box ?? "", drawn: bitmap ? state.index : "" });
}

function count() {
  const tally = { drawn: 0, reviewed: 0, lost: 0, missed: 0 };
  for (const [box, source, , accepted, kind, settled, misses] of state.frames) {
    tally.drawn += kind === "person";
    tally.reviewed += accepted !== "";
    tally.lost += source === "lost" && settled;
    tally.missed += misses && box !== null;
  }
  for (const [name, value] of Object.entries(tally)) $(`num-${name}`).textContent = value;
  $("lost-count").hidden = !tally.lost;
  $("miss-count").hidden = !tally.missed;
}

function hint() {
  const begun = state.frames.some((frame) => frame?.[4]);
  const { box, source, settled } = cell();
  let text = "";
  if (!begun) text = "Drag a box over the hand. Then press Enter to track while you watch.";
  else if (!box && source === "lost" && settled) text = "Lost here. Draw the box, or press O if the hand is gone.";
  $("hint").hidden = !text || play.on;
  $("hint").textContent = text;
}

function go(index, why = "step") {
  const next = Math.min(sequence.names.length - 1, Math.max(0, index)), start = performance.now();
  if (next === state.index) return;
  flushNudge();
  state.direction = next > state.index ? 1 : -1;
  state.index = next;
  pictures.want(next, state.direction);
  show();
  if (why === "step" && pictures.get(next)) requestAnimationFrame(() => performance.measure("frame shown", { start }));
}

// ---- playing: watching is how boxes get accepted

function start() {
  if (play.on || state.index >= sequence.names.length - 1) return;
  flushNudge();
  Object.assign(play, { on: true, from: state.index, due: performance.now() + 1000 / speed(), sent: performance.now() });
  $("play").textContent = "Stop";
  hint();
  requestAnimationFrame(step);
}

function stop() {
  if (!play.on) return;
  play.on = false;
  $("play").textContent = "Play";
  sendWatched(state.index === sequence.names.length - 1 ? state.index : state.index - 1);
  hint();
}

function step(now) {
  if (!play.on) return;
  const next = state.index + 1, last = sequence.names.length - 1;
  const coming = cell(next), waiting = !coming.settled && state.left > 0;
  if (now >= play.due && pictures.has(next) && !waiting) {
    play.due = Math.max(play.due + 1000 / speed(), now);
    go(next, "play");
    if (next === last || (!coming.box && coming.source === "lost" && coming.settled)) return stop();
  }
  if (now - play.sent > WATCH_MS) sendWatched(state.index - 1);
  requestAnimationFrame(step);
}

function sendWatched(last) {
  play.sent = performance.now();
  if (last >= play.from) edit("watch", { first: play.from, last });
  play.from = Math.max(play.from, last + 1);
}

const speed = () => Number($("speed").value);

function faster(by) {
  const at = SPEEDS.indexOf(speed()) + by;
  if (SPEEDS[at]) $("speed").value = SPEEDS[at];
}

// ---- what a person does to boxes

function flushNudge() {
  if (nudge.frame < 0) return;
  clearTimeout(nudge.timer);
  edit("keyframe", { frame: nudge.frame, box: nudge.box }).then(show);
  nudge.frame = -1;
}

function change([dx, dy, dw, dh]) {
  const { box } = cell();
  if (!box) return;
  const [x, y, w, h] = box.map((side) => Math.round(side));
  if (w + dw < 6 || h + dh < 6) return;
  Object.assign(nudge, { frame: state.index, box: [x + dx, y + dy, w + dw, h + dh] });
  clearTimeout(nudge.timer);
  nudge.timer = setTimeout(flushNudge, NUDGE_MS);
  show();
}

// The box to start from where there is none: the nearest frame's, or a square in the middle.
function borrowed() {
  for (let away = 1; away < state.frames.length; away++) {
    for (const frame of [state.index - away, state.index + away]) if (state.frames[frame]?.[0]) return state.frames[frame][0];
  }
  const side = Math.round(sequence.height / 3);
  return [Math.round((sequence.width - side) / 2), Math.round((sequence.height - side) / 2), side, side];
}

function toggleKeyframe() {
  const { kind, box } = cell();
  if (kind === "person" || kind === "absent") edit("clear", { frame: state.index });
  else edit("keyframe", { frame: state.index, box: box ?? borrowed() });
}

function toggleAbsent() {
  edit(cell().kind === "absent" ? "clear" : "absent", { frame: state.index });
}

// Take the box in view as a person's, unless it is already fixed, and watch on from here.
async function trackOn() {
  const { box, kind } = cell();
  flushNudge();
  if (box && !kind) edit("keyframe", { frame: state.index, box });
  await queue;
  start();
}

function review(whole) {
  const { accepted, kind } = cell(), first = state.index;
  if (kind === "person" || kind === "absent") return;
  const same = (frame) => state.frames[frame] && !["person", "absent"].includes(state.frames[frame][4]) && Boolean(state.frames[frame][3]) === Boolean(accepted);
  let last = first;
  while (whole && same(last + 1)) last++;
  edit(accepted ? "release" : "review", { first, last });
}

function mostDoubtful() {
  const open = state.frames.map((frame, index) => ({ index, frame })).filter(({ frame }) => frame && !frame[3] && frame[5]);
  if (!open.length) return toast("Every frame is accepted.");
  let fresh = open.filter(({ index }) => !visited.has(index));
  if (!fresh.length) {
    visited.clear();
    fresh = open;
  }
  const { index } = fresh.reduce((best, one) => (one.frame[2] > best.frame[2] ? one : best));
  for (let near = index - 3; near <= index + 3; near++) visited.add(near); // neighbours show the same mistake
  go(index);
}

function nextOpen() {
  const count = state.frames.length;
  for (let away = 1; away <= count; away++) {
    const index = (state.index + away) % count;
    if (!state.frames[index]?.[3]) return go(index);
  }
  toast("Every frame is accepted.");
}

// ---- keys

const KEYS = {
  f: () => go(state.index + 1), d: () => go(state.index - 1), v: () => go(state.index + 10), c: () => go(state.index - 10),
  home: () => go(0), end: () => go(sequence.names.length - 1), " ": start, enter: trackOn,
  k: toggleKeyframe, delete: () => edit("clear", { frame: state.index }), o: toggleAbsent,
  n: mostDoubtful, x: nextOpen, r: (event) => review(event.shiftKey), z: () => edit("undo"), y: () => edit("redo"),
  "[": () => faster(-1), "]": () => faster(1), 0: () => view.whole(), e: () => $("export").focus(),
  "?": () => $("help").showModal(),
  arrowleft: (e) => change([-by(e, 1), 0, 0, 0]), arrowright: (e) => change([by(e, 1), 0, 0, 0]),
  arrowup: (e) => change([0, -by(e, 1), 0, 0]), arrowdown: (e) => change([0, by(e, 1), 0, 0]),
  "+": (e) => grow(by(e, 1)), "=": (e) => grow(by(e, 1)), "*": () => grow(10), "-": (e) => grow(-by(e, 1)), _: () => grow(-10),
};

const by = (event, step) => (event.shiftKey ? 10 * step : step);
const grow = (step) => change([-step, -step, 2 * step, 2 * step]);

function key(event) {
  if ($("help").open || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
  const name = event.key.toLowerCase(), was = play.on;
  if (["shift", "control"].includes(name) || (event.ctrlKey && !["z", "y"].includes(name))) return;
  if (was && !["[", "]"].includes(name)) stop(); // any key stops
  if (!KEYS[name]) return;
  event.preventDefault();
  if (was && name === " ") return;
  if (event.ctrlKey && event.shiftKey && name === "z") return void edit("redo");
  if (!["arrowleft", "arrowright", "arrowup", "arrowdown", "+", "-", "=", "_", "*"].includes(name)) flushNudge();
  KEYS[name]?.(event);
}

// ---- start

async function importFile(file) {
  const endings = { xml: "cvat", json: "coco", txt: "mot" };
  try {
    take(await server.postImport(endings[file.name.split(".").pop().toLowerCase()] ?? "csv", await file.text()));
    poll(0);
  } catch (error) {
    toast(error.message);
  }
}

function listen() {
  window.addEventListener("keydown", key);
  window.addEventListener("pagehide", () => (stop(), flushNudge()));
  $("play").addEventListener("click", () => (play.on ? stop() : start()));
  $("undo").addEventListener("click", () => edit("undo"));
  $("redo").addEventListener("click", () => edit("redo"));
  $("help-button").addEventListener("click", () => $("help").showModal());
  $("import").addEventListener("change", (event) => {
    const [file] = event.target.files;
    if (file) importFile(file);
    event.target.value = "";
  });
  $("export").addEventListener("change", async (event) => {
    const kind = event.target.value;
    event.target.value = "";
    event.target.blur();
    flushNudge();
    await queue;
    server.saveExport(kind).catch((error) => toast(error.message));
  });
  for (const button of document.querySelectorAll("button, select")) button.addEventListener("click", () => button.tagName === "BUTTON" && button.blur());
}

async function main() {
  sequence = await server.getSequence();
  document.title = `${sequence.name} · handdata`;
  $("name").textContent = sequence.name;
  const names = { csv: "CSV", csv5: "CSV, five columns", cvat: "CVAT for video 1.1", coco: "COCO", mot: "MOT" };
  for (const kind of sequence.formats) $("export").add(new Option(names[kind] ?? kind, kind));
  pictures = new Pictures((index, width) => server.getPicture(sequence.run, index, width), sequence.names.length, (index) => index === state.index && show());
  timeline = new Timeline($("timeline"), $("tip"), sequence.names, (index) => (stop(), go(index)));
  view = new View($("canvas"), sequence, {
    onBox: (box) => edit("keyframe", { frame: state.index, box }),
    onPress: () => (stop(), flushNudge()),
    onZoom: (width) => (pictures.setWidth(width), pictures.want(state.index, state.direction)),
  });
  listen();
  take(await server.getState(0, 0));
  poll(BUSY_MS);
  $("canvas").focus();
}

main().catch((error) => {
  $("toast").textContent = error.message;
  $("toast").hidden = false;
});
