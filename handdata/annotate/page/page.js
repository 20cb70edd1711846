// The annotator's page: shows the session the server holds, and sends it what the person does. It keeps no boxes itself.
import * as bar from "/bar.js";
import * as dialogs from "/dialogs.js";
import * as server from "/server.js";
import { Pictures } from "/pictures.js";
import { nothingMore, Queue, REASONS } from "/queue.js";
import { named, notice, toast } from "/says.js";
import { Talk } from "/talk.js";
import { Timeline } from "/timeline.js";
import { View } from "/view.js";

const $ = (id) => document.getElementById(id);
const SPEEDS = [5, 10, 15, 25, 50];
const NUDGE_MS = 250; // moves by key within this time are one edit
const WATCH_MS = 1000; // how often frames played past are sent
const REACTION_MS = 400; // from seeing a mistake to the key: playing goes back by it, and takes none of it as seen
const SEEN_MS = 400; // frames stepped past within this time are one edit
const BUSY_MS = 200, IDLE_MS = 2000; // between looks at what the tracker has done

const state = { index: 0, direction: 1, frames: [], left: 0, undo: false, redo: false, trouble: "" };
const play = { on: false, from: 0, began: 0, times: [], due: 0, sent: 0 }; // times: when each frame from `began` on came into view
const nudge = { frame: -1, box: null, timer: 0 };
const seen = { frames: [], timer: 0 }; // stepped past, not yet sent
let speed = 25; // frames per second
let sequence, pictures, view, timeline, todo;
const talk = new Talk(take, () => state.index, () => (state.left ? BUSY_MS : IDLE_MS));

// ---- the server's state

function take(news) {
  for (const [frame, packed] of Object.entries(news.frames)) state.frames[frame] = packed;
  Object.assign(state, { undo: news.undo, redo: news.redo, left: news.left, trouble: news.trouble });
  bar.progress(news, "tracking", news.trouble);
  if (Object.keys(news.frames).length) {
    timeline.update(state.frames);
    todo.update(state.frames);
  }
  show();
}

async function edit(op, values = {}) {
  if (op !== "seen") flushSeen();
  const done = talk.edit(op, values);
  saved();
  const changed = await done;
  saved();
  if (changed === undefined) show(); // refused: what was drawn is not there
  if (["undo", "redo"].includes(op)) bar.showEdited(op, changed, state.index, (frame) => go(frame, "undo"));
  else if (Array.isArray(changed) && changed.length) named(changed);
}

const saved = () => bar.saved(talk.unsaved || nudge.frame >= 0 || seen.frames.length, state.trouble, sequence.file);

// ---- showing a frame

function cell(frame = state.index) {
  const none = [null, "lost", 1, "", "", 0, 0, 0, ""];
  const [box, source, doubt, accepted, kind, settled, misses, disputed, reason] = state.frames[frame] ?? none;
  return { box: nudge.frame === frame ? nudge.box : box, source, doubt, accepted, kind, settled, misses, disputed, reason };
}

function show() {
  const bitmap = pictures.get(state.index), { box, source, doubt, accepted, kind, settled, misses, disputed, reason } = cell();
  const color = getComputedStyle(document.documentElement).getPropertyValue(`--${source}`).trim();
  view.show({ bitmap, box, color, tips: sequence.tips[state.index], dashed: !settled, drawn: kind === "person" });
  timeline.seek(state.index);
  const said = box || settled ? source : "no box yet";
  const words = [said, accepted && kind !== "person" && kind !== "absent" ? accepted : "", doubt >= 0.05 && box ? `doubt ${doubt.toFixed(2)}${reason && !disputed ? ` (${REASONS[reason]})` : ""}` : "", misses && box ? "misses a fingertip" : ""];
  $("tag").innerHTML = `<i class="${settled || box ? source : "absent"}"></i>`;
  $("tag").append(words.filter(Boolean).join(" · "));
  $("picture").textContent = sequence.names[state.index];
  $("counter").textContent = `${state.index + 1} / ${sequence.names.length}`;
  $("undo").disabled = !state.undo;
  $("redo").disabled = !state.redo;
  $("follow").hidden = !disputed;
  const fixed = kind === "person" || kind === "absent"; // accepted as it is
  $("accept").textContent = accepted && !fixed && !disputed ? "Take back" : "Accept";
  $("accept").disabled = fixed && !disputed;
  saved();
  count();
  hint();
  Object.assign($("stage").dataset, { index: state.index, source, accepted, kind, settled, doubt, disputed, box: box ?? "", drawn: bitmap ? state.index : "" });
}

function count() {
  const tally = { drawn: 0, reviewed: 0 };
  for (const [, , , accepted, kind] of state.frames) {
    tally.drawn += kind === "person";
    tally.reviewed += accepted !== "";
  }
  for (const [name, value] of Object.entries(tally)) $(`num-${name}`).textContent = value;
}

function hint() {
  const begun = state.frames.some((frame) => frame?.[4]);
  const { box, source, settled, disputed } = cell();
  let text = "";
  if (!begun) text = "Drag a box over the hand, or press K and move it by arrows. Then press Enter to track while you watch.";
  else if (!box && source === "lost" && settled) text = "Lost here. Draw the box, or press O if the hand is gone.";
  else if (disputed) text = "Accepted before, but a box drawn since leads elsewhere. A: follow that box. R: keep these.";
  $("hint").hidden = !text || play.on;
  $("hint").textContent = text;
}

function go(index, why = "step") {
  const next = Math.min(sequence.names.length - 1, Math.max(0, index)), start = performance.now();
  if (next === state.index) return;
  flushNudge();
  if (why === "step") pass(state.index);
  state.direction = next > state.index ? 1 : -1;
  state.index = next;
  pictures.want(next, state.direction);
  show();
  if (why === "step" && pictures.get(next)) requestAnimationFrame(() => performance.measure("frame shown", { start }));
}

// A frame that was in view with its box and is left by a step was seen: it stays as it is.
function pass(index) {
  const { box, accepted, kind, settled } = cell(index);
  if (!box || accepted || kind === "person" || !settled || !pictures.get(index)) return;
  seen.frames.push(index);
  clearTimeout(seen.timer);
  seen.timer = setTimeout(flushSeen, SEEN_MS);
  saved();
}

function flushSeen() {
  clearTimeout(seen.timer);
  if (seen.frames.length) edit("seen", { frames: seen.frames.splice(0) });
}

// ---- playing: watching is how boxes get accepted

function start() {
  if (play.on || state.index >= sequence.names.length - 1) return;
  flushNudge();
  const now = performance.now();
  Object.assign(play, { on: true, from: state.index, began: state.index, times: [now], due: now + 1000 / speed, sent: now });
  $("play").textContent = "Stop";
  hint();
  requestAnimationFrame(step);
}

// The frame that was in view when the person decided to do what comes now: the later ones passed while the hand was on its way.
const decidedOn = (now) => play.began + Math.max(0, play.times.findLastIndex((time) => time <= now - REACTION_MS));

// Stop; `back`: go back to what the person saw when deciding to. What comes after it does not count as watched.
function stop(back = true, now = performance.now()) {
  if (!play.on) return;
  play.on = false;
  $("play").textContent = "Play";
  const at = back ? decidedOn(now) : state.index;
  sendWatched(back ? at - 1 : state.index);
  if (at !== state.index) go(at, "play");
  hint();
}

function step(now) {
  if (!play.on) return;
  const next = state.index + 1, last = sequence.names.length - 1;
  const coming = cell(next), waiting = !coming.settled && state.left > 0;
  if (now >= play.due && pictures.has(next) && !waiting) {
    play.due = Math.max(play.due + 1000 / speed, now);
    go(next, "play");
    play.times.push(performance.now());
    if (next === last || (!coming.box && coming.source === "lost" && coming.settled)) return stop(false);
  }
  if (now - play.sent > WATCH_MS) sendWatched(decidedOn(performance.now()) - 1);
  requestAnimationFrame(step);
}

function sendWatched(last) {
  play.sent = performance.now();
  if (last >= play.from) edit("watch", { first: play.from, last });
  play.from = Math.max(play.from, last + 1);
}

function faster(by) {
  speed = SPEEDS[SPEEDS.indexOf(speed) + by] ?? speed;
  $("speed").textContent = `${speed} fps`;
}

// ---- what a person does to boxes

// Leave the box as it was: a drag under way, or moves by key not yet sent.
function cancel() {
  if (view.cancel() || nudge.frame < 0) return;
  clearTimeout(nudge.timer);
  nudge.frame = -1;
  show();
}

function flushNudge() {
  if (nudge.frame < 0) return;
  clearTimeout(nudge.timer);
  state.frames[nudge.frame] = [nudge.box, "person", 0, "reviewed", "person", 1, 0, 0, ""]; // until the answer comes
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

// The box to start from if the frame has none: the nearest frame's, or a square in the middle.
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
  await talk.queue;
  start();
}

// The stretch round the frame in view that is asked about.
function asked() {
  let first = state.index, last = state.index;
  while (cell(first - 1).disputed) first--;
  while (cell(last + 1).disputed) last++;
  return { first, last };
}

function followNewBox() {
  if (cell().disputed) edit("release", asked());
  else notice("Nothing is asked about this frame.", 4000);
}

function review(whole) {
  const { accepted, kind, disputed } = cell(), first = state.index;
  if (disputed) return edit("confirm", asked());
  if (kind === "person" || kind === "absent") return;
  const same = (frame) => state.frames[frame] && !["person", "absent"].includes(state.frames[frame][4]) && Boolean(state.frames[frame][3]) === Boolean(accepted);
  let last = first;
  while (whole && same(last + 1)) last++;
  edit(accepted ? "release" : "review", { first, last });
}

function lookAt(step) {
  if (!todo.go(step)) notice(nothingMore(step, state.frames), 3000);
}

function nextDrawn(step) {
  for (let index = state.index + step; index >= 0 && index < state.frames.length; index += step) {
    if (["person", "absent"].includes(cell(index).kind)) return go(index);
  }
  notice(step > 0 ? "No drawn frame after this one." : "No drawn frame before this one.", 3000);
}

function nextOpen() {
  const count = state.frames.length;
  for (let away = 1; away <= count; away++) {
    const index = (state.index + away) % count;
    if (!state.frames[index]?.[3]) return go(index);
  }
  notice("Every frame is accepted.", 4000);
}

// ---- keys

const KEYS = {
  f: () => go(state.index + 1), d: () => go(state.index - 1), v: () => go(state.index + 10), c: () => go(state.index - 10),
  home: () => go(0), end: () => go(sequence.names.length - 1), " ": start, enter: trackOn,
  k: toggleKeyframe, delete: () => edit("clear", { frame: state.index }), o: toggleAbsent,
  n: (event) => lookAt(event.shiftKey ? -1 : 1), x: nextOpen, r: (event) => review(event.shiftKey), a: followNewBox,
  z: () => edit("undo"), y: () => edit("redo"), ".": () => nextDrawn(1), ",": () => nextDrawn(-1), ":": () => nextDrawn(1),
  ";": () => nextDrawn(-1), "[": () => faster(-1), "]": () => faster(1), 0: () => view.whole(), escape: cancel,
  b: (event) => notice(`Brightness ${view.brighten(event.shiftKey ? -1 : 1)}`, 1500), t: (event) => timeline.zoomBy(event.shiftKey ? 0.5 : 2),
  g: () => dialogs.goTo(state.index), e: dialogs.exports, l: bar.listSequences, "?": dialogs.help,
  arrowleft: (e) => change([-by(e, 1), 0, 0, 0]), arrowright: (e) => change([by(e, 1), 0, 0, 0]),
  arrowup: (e) => change([0, -by(e, 1), 0, 0]), arrowdown: (e) => change([0, by(e, 1), 0, 0]),
  "+": (e) => grow(by(e, 1)), "=": (e) => grow(by(e, 1)), "*": () => grow(10), "-": (e) => grow(-by(e, 1)), _: () => grow(-10),
};

const by = (event, step) => (event.shiftKey ? 10 * step : step);
const grow = (step) => change([-step, -step, 2 * step, 2 * step]);

function key(event) {
  if (dialogs.isOpen() || event.metaKey || event.altKey) return;
  const name = event.key.toLowerCase(), was = play.on;
  if (["enter", " "].includes(name) && event.target.matches("button:focus-visible")) return; // presses it
  if (["shift", "control"].includes(name) || (event.ctrlKey && !["z", "y"].includes(name))) return;
  if (was && !["[", "]"].includes(name)) stop(true, event.timeStamp); // any key stops
  if (!KEYS[name]) return;
  event.preventDefault();
  if (was && name === " ") return;
  if (event.ctrlKey && event.shiftKey && name === "z") return void edit("redo");
  if (!["arrowleft", "arrowright", "arrowup", "arrowdown", "+", "-", "=", "_", "*", "escape"].includes(name)) flushNudge();
  KEYS[name]?.(event);
}

// ---- start

const IMPORTS = { xml: "cvat", json: "coco", txt: "mot" }; // by ending; csv else

function listen() {
  window.addEventListener("keydown", key);
  window.addEventListener("pagehide", () => (stop(), flush()));
  $("play").addEventListener("click", () => (play.on ? stop() : start()));
  $("zoom-in").addEventListener("click", () => view.zoomBy(1.5));
  $("zoom-out").addEventListener("click", () => view.zoomBy(1 / 1.5));
  bar.listen("boxes", sequence, {
    go, edit, flush, index: () => state.index, settled: () => talk.queue,
    press: (name, event) => (stop(), KEYS[name](event)), read: (file, ending) => talk.import(IMPORTS[ending] ?? "csv", file),
  });
}

const flush = () => (flushNudge(), flushSeen());

async function main() {
  sequence = await server.getSequence();
  document.title = `${sequence.name} · handdata`;
  $("name").textContent = sequence.name;
  todo = new Queue($("queue"), (index, words) => (stop(), go(index), notice(words, 4000)));
  pictures = new Pictures((index, width) => server.getPicture(sequence.run, index, width), sequence.names.length, (index) => index === state.index && show());
  timeline = new Timeline($("timeline"), $("tip"), sequence.names, (index) => (stop(), go(index)));
  view = new View($("canvas"), sequence, {
    onBox: (box) => edit("keyframe", { frame: state.index, box }),
    onPress: () => (stop(), flushNudge()),
    onStray: () => notice("This box is drawn already: drag it or a corner of it. Ctrl and a drag draws it anew.", 4000),
    onZoom: (width) => (pictures.setWidth(width), pictures.want(state.index, state.direction)),
  });
  listen();
  talk.take(await server.getState(0, 0));
  talk.poll(BUSY_MS);
  $("canvas").focus();
}

main().catch((error) => toast(error.message));
