// The page of keypoints: shows the session the server holds, and sends it what the person does. It keeps no points itself.
import * as bar from "/bar.js";
import * as dialogs from "/dialogs.js";
import * as server from "/server.js";
import { HandView } from "/hand_view.js";
import { Choice, KINDS, unpacked, untold } from "/hands.js";
import { Pace } from "/pace.js";
import { Pictures } from "/pictures.js";
import { nothingMore, Queue } from "/queue.js";
import { notice, toast } from "/says.js";
import { Spatial } from "/spatial.js";
import { Talk } from "/talk.js";
import { Timeline } from "/timeline.js";
import { Verbs } from "/verbs.js";

const $ = (id) => document.getElementById(id);
const FPS = 10; // of playing
const BUSY_MS = 250, IDLE_MS = 2000; // between looks at what was found
const SEVERAL = ["a", "p", "j", "l"]; // keys of several hands, or frames that follow one another
const IN_DEPTH = [",", ".", "k"], FLAT = ["h", "j", "l"]; // keys of depth alone, and of all else
const ARROWS = { arrowleft: [-1, 0], arrowright: [1, 0], arrowup: [0, -1], arrowdown: [0, 1] };

const state = { index: 0, direction: 1, frames: [], hands: [], left: 0, undo: false, redo: false, fit: { frame: -1, hands: {} }, trouble: "" };
const play = { on: false, due: 0 };
const choice = new Choice(), pace = new Pace();
let facts, pictures, view, timeline, todo, spatial, verbs;
const talk = new Talk(take, () => state.index, () => (state.left || lacksFit() ? BUSY_MS : IDLE_MS));

// ---- the server's state

function take(news) {
  for (const [frame, [head, hands]] of Object.entries(news.frames)) {
    state.frames[frame] = head;
    state.hands[frame] = hands.map((hand) => unpacked(hand, facts));
  }
  Object.assign(state, { undo: news.undo, redo: news.redo, left: news.left, fit: news.fit, trouble: news.trouble });
  bar.progress(news, "looking", news.trouble);
  if (Object.keys(news.frames).length) {
    timeline.update(state.frames);
    todo.update(state.frames);
  }
  show();
}

async function edit(op, values = {}) {
  const done = talk.edit(op, values);
  saved();
  const result = await done;
  saved();
  bar.showEdited(op, result, state.index, go);
  return result;
}

const lacksFit = () => hands().length > 0 && (state.fit.frame !== state.index || !Object.keys(state.fit.hands).length) && state.left === 0 && waits-- > 0;
let waits = 120; // looks that wait for the fit of one frame

const saved = () => bar.saved(talk.unsaved || verbs?.nudged, state.trouble, facts?.file);

// ---- showing a frame

const hands = (frame = state.index) => state.hands[frame] ?? [];

// What the person has just said, until the server's answer comes.
function keep(frame, number, k, place) {
  const point = hands(frame).find((hand) => hand.number === number)?.points[k];
  if (point) Object.assign(point, { place, source: "person", doubt: 0, state: point.state === "occluded" ? "occluded" : "visible" });
}

function shownHands() {
  return hands().map((hand) => ({ ...hand, points: hand.points.map((point) => ({ ...point, place: verbs.placeOf(hand.number, point) })) }));
}

function show() {
  const bitmap = pictures.get(state.index), all = shownHands(), hand = choice.hand(all);
  if (hand) choice.number = hand.number;
  view.setSize(sizeOf(state.index));
  view.show({ bitmap, hands: all, number: choice.number, k: choice.k, magnified: Boolean(verbs.nudged) });
  timeline.seek(state.index);
  const xyz = state.fit.frame === state.index ? state.fit.hands[choice.number] : null;
  spatial.show(xyz?.length ? xyz : null);
  words(hand, all);
  $("picture").textContent = facts.names[state.index];
  $("counter").textContent = `${state.index + 1} / ${facts.names.length}`;
  $("undo").disabled = !state.undo;
  $("redo").disabled = !state.redo;
  const accepted = Boolean(state.frames[state.index]?.[3]);
  const count = state.frames.filter((frame) => frame?.[3]).length;
  $("num-accepted").textContent = `${count} of ${facts.names.length}`;
  $("take-back").disabled = !accepted;
  pace.note(count, Date.now());
  $("pace").textContent = pace.words(facts.names.length - count);
  saved();
  const point = hand?.points[choice.k];
  Object.assign($("stage").dataset, {
    index: state.index, hands: all.length, hand: hand ? hand.number : "", side: hand?.side ?? "", k: choice.k, accepted: accepted ? 1 : 0, state: point?.state ?? "",
    source: point?.source ?? "", place: point?.place?.map((v) => v.toFixed(2)) ?? "", left: state.left, drawn: bitmap ? state.index : "", fit: spatial.xyz ? 1 : 0, end: point?.end ?? 0, asked: state.frames[state.index]?.[8] ?? "",
  });
}

function words(hand, all) {
  const point = hand?.points[choice.k], accepted = state.frames[state.index]?.[3];
  $("point").innerHTML = "<i></i>";
  $("point").firstChild.style.background = `rgb(${facts.colors[choice.k].join(" ")})`;
  $("point").append(facts.keypoints[choice.k].replace("_", " "));
  for (const button of document.querySelectorAll("button[data-state]")) {
    button.setAttribute("aria-pressed", String(button.dataset.state === point?.state));
    button.disabled = !hand;
  }
  $("hand").textContent = hand ? `Hand ${all.indexOf(hand) + 1} of ${all.length}` : "No hand";
  $("side").textContent = hand ? hand.side : "Side";
  const doubt = point && point.doubt >= 0.05 ? `doubt ${point.doubt.toFixed(2)}${point.reason ? ` (${point.reason})` : ""}` : "";
  const bone = point?.end ? `${point.end > 0 ? "farther" : "nearer"} than ${facts.keypoints[parentOf(choice.k)].replace("_", " ")}` : "";
  for (const button of document.querySelectorAll("button[data-end]")) {
    button.setAttribute("aria-pressed", String(Boolean(point?.end) && button.dataset.end === String(point.end)));
    button.disabled = !hand || !choice.k;
  }
  $("tag").textContent = [hand ? (facts.depth && point.source === "model" ? "derived" : point.source) : "no hand", bone, accepted ? "accepted" : "", doubt].filter(Boolean).join(" · ");
  const begun = hands().length || state.left, open = facts.depth && hand && !accepted ? untold(hand, facts.bones) : [];
  const asks = open.length ? `Hidden ends: nearer (,) or farther (.) than the joint before? ${open.length} not told; next: ${facts.keypoints[open[0]].replace("_", " ")} (K)` : "";
  const none = `${facts.depth ? "No hand is labelled here." : "No hand found."} Drag a box over it, or accept the frame without one (Enter).`;
  const text = begun || accepted ? asks : none;
  $("hint").hidden = !text || play.on;
  $("hint").textContent = text;
}

const parentOf = (k) => facts.bones.find(([, end]) => end === k)?.[0] ?? 0;

// Choose the next point whose bone has a hidden end that nobody told of.
function nextUntold() {
  const hand = choice.hand(hands()), open = hand ? untold(hand, facts.bones) : [];
  if (!open.length) return notice("Every bone with a hidden end is told.", 3000);
  pick(() => (choice.k = open.find((k) => k > choice.k) ?? open[0]));
}

function sizeOf(index) {
  const [width, height] = facts.sizes[index] ?? [facts.width, facts.height];
  return { width, height };
}

function go(index) {
  const next = Math.min(facts.names.length - 1, Math.max(0, index)), start = performance.now();
  if (next === state.index) return;
  verbs.flush();
  state.direction = next > state.index ? 1 : -1;
  state.index = next;
  waits = 120;
  pictures.want(next, state.direction);
  show();
  if (pictures.get(next)) requestAnimationFrame(() => performance.measure("frame shown", { start }));
  talk.poll(BUSY_MS);
}

// ---- playing

function start() {
  if (play.on || state.index >= facts.names.length - 1) return;
  Object.assign(play, { on: true, due: performance.now() + 1000 / FPS });
  $("play").textContent = "Stop";
  requestAnimationFrame(step);
}

function stop() {
  play.on = false;
  $("play").textContent = "Play";
}

function step(now) {
  if (!play.on) return;
  if (now >= play.due && pictures.has(state.index + 1)) {
    play.due = now + 1000 / FPS;
    go(state.index + 1);
    if (state.index === facts.names.length - 1) return stop();
  }
  requestAnimationFrame(step);
}

// ---- verbs that go somewhere

async function acceptAndGo(shift) {
  const many = shift && !facts.depth; // a frame that is accepted tells of the others: each is looked at
  const { done, asked } = await verbs.accept(many);
  if (done === undefined) return;
  if (many) notice(`${done} accepted.${done < asked ? ` ${asked - done} are not looked at yet: press it again then.` : ""}`, 4000);
  if (facts.depth) return void (todo.go(1, "reference") || notice("Every frame that was asked for is labelled.", 8000));
  nextOpen();
}

function nextOpen() {
  const count = facts.names.length;
  for (let away = 1; away <= count; away++) {
    const index = (state.index + away) % count;
    if (!state.frames[index]?.[3]) return index === state.index ? notice("This is the last one.", 3000) : go(index);
  }
  notice("Every frame is accepted.", 4000);
}

function lookAt(by) {
  if (!todo.go(by)) notice(nothingMore(by, state.frames), 3000);
}

const pick = (change) => (verbs.flush(), change(), show());

const KEYS = {
  f: () => go(state.index + 1), d: () => go(state.index - 1), v: () => go(state.index + 10), c: () => go(state.index - 10),
  home: () => go(0), end: () => go(facts.names.length - 1), " ": start, enter: (e) => acceptAndGo(e.shiftKey), r: () => verbs.review(),
  n: (e) => lookAt(e.shiftKey ? -1 : 1), x: nextOpen, g: () => dialogs.goTo(state.index),
  w: () => pick(() => choice.nextPoint(1)), q: () => pick(() => choice.nextPoint(-1)), h: (e) => pick(() => choice.nextHand(hands(), e.shiftKey ? -1 : 1)),
  i: () => verbs.state("visible"), o: () => verbs.state("occluded"), u: () => verbs.state("outside"), m: () => verbs.state("absent"),
  s: () => verbs.side(), a: () => verbs.begin(), backspace: () => verbs.gone(), delete: (e) => verbs.giveBack(e.shiftKey),
  p: (e) => verbs.copy(e.shiftKey), j: (e) => verbs.interpolate(e.shiftKey), z: () => edit("undo"), y: () => edit("redo"),
  escape: () => view.cancel() || verbs.cancel(), 0: () => view.whole(), "+": () => view.zoomBy(1.5), "=": () => view.zoomBy(1.5), "-": () => view.zoomBy(1 / 1.5),
  b: (e) => notice(`Brightness ${view.brighten(e.shiftKey ? -1 : 1)}`, 1500), t: (e) => timeline.zoomBy(e.shiftKey ? 0.5 : 2),
  e: dialogs.exports, l: bar.listSequences, "?": dialogs.help, ",": () => verbs.nearer(-1), ".": () => verbs.nearer(1), k: nextUntold,
  ...Object.fromEntries([1, 2, 3, 4, 5].map((finger) => [finger, () => pick(() => choice.finger(finger))])),
  ...Object.fromEntries(Object.entries(ARROWS).map(([name, [du, dv]]) => [name, (e) => nudge(du, dv, e)])),
};

function nudge(du, dv, event) {
  const by = event.shiftKey ? 10 : event.ctrlKey ? 0.25 : 1;
  verbs.nudge(du * by, dv * by);
}

function key(event) {
  if (dialogs.isOpen() || event.metaKey || event.altKey) return;
  const name = event.key.toLowerCase();
  if (["enter", " "].includes(name) && event.target.matches("button:focus-visible")) return; // presses it
  if (["shift", "control"].includes(name) || (event.ctrlKey && !["z", "y"].includes(name) && !ARROWS[name])) return;
  const was = play.on;
  stop();
  if (!KEYS[name] || (facts.mends && SEVERAL.includes(name)) || (facts.depth ? FLAT : IN_DEPTH).includes(name)) return;
  event.preventDefault();
  if (was && name === " ") return;
  if (!ARROWS[name] && name !== "escape") verbs.flush();
  if (event.ctrlKey && event.shiftKey && name === "z") return void edit("redo");
  KEYS[name](event);
}

// ---- start

function listen() {
  window.addEventListener("keydown", key);
  window.addEventListener("pagehide", () => verbs.flush());
  $("play").addEventListener("click", () => (play.on ? stop() : start()));
  bar.listen("labels", facts, {
    go, edit, flush: () => verbs.flush(), index: () => state.index, settled: () => talk.queue,
    press: (name, event) => (stop(), verbs.flush(), KEYS[name](event)),
    read: (file, ending) => (verbs.flush(), talk.import(ending.replace(/[^a-z]/g, ""), file)),
  });
}

const page = {
  choice, edit, hands, show, keep,
  index: () => state.index, hand: () => choice.hand(hands()), size: () => sizeOf(state.index),
  accepted: (frame) => Boolean(state.frames[frame]?.[3]), notice: (text) => notice(text, 3500),
  get count() { return facts.names.length; },
};

async function main() {
  facts = await server.getSequence();
  document.body.classList.toggle("mends", Boolean(facts.mends));
  document.body.classList.toggle("in-depth", Boolean(facts.depth));
  document.title = `${facts.name} · handdata`;
  $("name").textContent = facts.mends ? `${facts.name}: mend labels` : facts.name;
  verbs = new Verbs(page);
  spatial = new Spatial($("spatial"), facts);
  todo = new Queue($("queue"), (index, text, reason) => (stop(), go(index), choice.worst(hands(), reason), show(), notice(text, 4000)), KINDS);
  pictures = new Pictures((index, width) => server.getPicture(facts.run, index, width), facts.names.length, (index) => index === state.index && show());
  timeline = new Timeline($("timeline"), $("tip"), facts.names, (index) => (stop(), go(index)));
  view = new HandView($("canvas"), sizeOf(0), facts, {
    onPick: (number, k) => pick(() => Object.assign(choice, { number, k })),
    onPlace: (number, k, place) => verbs.place(number, k, place),
    onBox: (box) => facts.mends || verbs.begin(box),
    onPress: () => (stop(), verbs.flush()),
    onZoom: (width) => (pictures.setWidth(width), pictures.want(state.index, state.direction)),
  });
  listen();
  talk.take(await server.getState(0, 0));
  if (facts.depth) todo.go(1, "reference"); // what is asked for first
  talk.poll(BUSY_MS);
  $("canvas").focus();
}

main().catch((error) => toast(error.message));
