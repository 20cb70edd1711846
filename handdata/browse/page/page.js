// The page over shards: filters ask, the grid shows, one hand opens large. The server holds all columns and tags.
import { $, make, notice, toast, tried, written } from "/dom.js";
import { Filters } from "/filters.js";
import { openFindings } from "/findings.js";
import { describer, Grid } from "/grid.js";
import { Large } from "/large.js";
import { canEdit, compute, getRows, getState, getTable } from "/source.js";
import { Work } from "/work.js";

const PAGE = 60; // hands of one page
const POLL_MS = 1000; // between looks at columns that are in work
const PATIENCE_MS = 700; // without a picture, before it is said what is waited for
const KINDS = { labels: "Labels", plain: "Picture alone", training: "As training sees it" };

const asked = { offset: 0, found: 0, finding: null, turn: 0 };
let table, filters, grid, large, work;

function query() {
  const where = filters.where();
  if (asked.finding) where.rows = asked.finding.rows;
  return { where, sort: $("sort").value, descending: $("descending").getAttribute("aria-pressed") === "true" };
}

// Ask for the rows and show them; `index` is the hand to be in focus, `rows` what was asked for before.
async function load(index = 0, rows = null) {
  const turn = ++asked.turn, begun = performance.now();
  const answer = await tried(() => rows ?? getRows({ ...query(), offset: asked.offset, count: PAGE }));
  if (!answer || turn !== asked.turn) return;
  asked.found = answer.found;
  const names = asked.finding ? `${asked.finding.check}: ${asked.finding.what}. ` : "";
  $("found").textContent = `${names}${written(answer.found, 0)} of ${written(table.total, 0)} hands`;
  $("place").textContent = answer.found ? `${written(asked.offset + 1, 0)}–${written(asked.offset + answer.rows.length, 0)}` : "0";
  $("back").disabled = asked.offset === 0;
  $("on").disabled = asked.offset + PAGE >= answer.found;
  $("empty").hidden = answer.found > 0;
  say(grid.show(answer.rows, $("kind").value, describer(table, $("sort").value), index));
  filters.update(answer.counts, {});
  Object.assign($("stage").dataset, { found: answer.found, offset: asked.offset, turn, ms: Math.round(performance.now() - begun) });
}

// Say what is waited for while no picture of a page is there.
async function say(first) {
  const words = $("kind").value === "training" ? "Loading what draws hands as training sees them: some seconds, once." : "Drawing hands …";
  const timer = setTimeout(() => notice(words, 60_000), PATIENCE_MS);
  await first;
  clearTimeout(timer);
  if ($("notice").textContent === words) notice("");
}

const ask = () => ((asked.offset = 0), load());

function turnPage(step, index = 0) {
  const next = asked.offset + step * PAGE;
  if (next < 0 || next >= asked.found) return Promise.resolve(false);
  asked.offset = next;
  $("stage").scrollTop = 0;
  return load(index).then(() => true);
}

async function step(by) {
  const next = grid.index + by;
  if (next >= 0 && next < grid.rows.length) grid.mark(next);
  else if (!(await turnPage(by, by > 0 ? 0 : PAGE - 1))) return;
  await large.open(grid.current.number);
}

function fillSort() {
  const kept = $("sort").value;
  const options = [["", "As stored"], ...Object.entries(table.numbers).map(([name, { title, ready }]) => [name, ready ? title : `${title} (to compute)`]),
    ...Object.entries(table.choices).filter(([, { names }]) => names.length > 1).map(([name, { title }]) => [name, title]), ["id", "Id"]];
  $("sort").replaceChildren(...options.map(([value, text]) => make("option", { value }, text)));
  $("sort").value = kept;
}

async function sortBy() {
  const column = table.numbers[$("sort").value];
  if (column && !column.ready) {
    await waitFor($("sort").value);
    return;
  }
  ask();
}

// Have a slow column computed; sort by it, if that was asked, once it is there.
async function waitFor(name) {
  let state = await tried(() => compute(name));
  while (state && !state.ready[name] && !state.troubles[name]) {
    filters.update(filters.counts ?? {}, state);
    $("found").textContent = `Computing ${table.numbers[name].title.toLowerCase()} …`;
    await new Promise((done) => setTimeout(done, POLL_MS));
    state = await tried(getState);
  }
  if (state?.troubles[name]) toast(state.troubles[name]);
  await renew();
  load(grid.index);
}

// Take what the server knows now of its columns and tags.
async function renew() {
  const fresh = await tried(getTable);
  if (!fresh) return;
  Object.assign(table.numbers, fresh.numbers);
  table.tags = fresh.tags;
  fillSort();
  filters.build();
}

async function poll() {
  const state = await getState().catch(() => null);
  const isNew = state && Object.entries(state.ready).some(([name, ready]) => ready && !table.numbers[name].ready);
  if (isNew && !filters.host.contains(document.activeElement)) {
    await renew();
    filters.update(filters.counts ?? {}, state);
  }
  const waits = state && Object.keys(state.shares).some((name) => !state.troubles[name]);
  if (waits || (state && Object.entries(state.ready).some(([name, ready]) => ready && !table.numbers[name].ready))) setTimeout(poll, POLL_MS);
}

const openHelp = () => $("help").showModal();

const showFinding = (finding) => ((asked.finding = finding), ($("sort").value = ""), ask());

function clear() {
  asked.finding = null;
  filters.clear();
}

function press(id) {
  const pressed = $(id).getAttribute("aria-pressed") === "true";
  $(id).setAttribute("aria-pressed", String(!pressed));
}

const KEYS = {
  "/": () => (unfold("filtering", true), filters.id.focus()), s: () => $("sort").focus(), r: () => $("descending").click(), c: clear,
  pageup: () => turnPage(-1).then(() => grid.focus()), pagedown: () => turnPage(1).then(() => grid.focus()),
  a: () => work?.mend(large.isOpen ? [large.hand.number] : null),
  t: () => (unfold("working", true), $("tag-name").focus()), x: () => work?.toggle(), f: () => $("findings-button").click(), "?": openHelp,
  n: async () => {
    if (!large.isOpen && grid.current) await large.open(grid.current.number);
    $("note")?.focus();
  },
};
const LARGE_KEYS = {
  arrowleft: () => step(-1), arrowright: () => step(1), escape: () => large.close(), l: () => large.toggle("labels"),
  m: () => large.toggle("mask"), p: () => large.toggle("shipped"), 1: () => large.toggle("run0"), 2: () => large.toggle("run1"),
};

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const name = event.key.toLowerCase(), typing = event.target.matches("textarea, select, input:not([type=checkbox])");
  if (name === "escape" && typing) return void (large.isOpen ? $("close").focus() : grid.focus());
  if (typing) return;
  const verb = (large.isOpen && LARGE_KEYS[name]) || KEYS[name];
  if (!verb || (large.isOpen && ["pageup", "pagedown"].includes(name))) return;
  event.preventDefault();
  verb(event);
}

// On a narrow page the filters, and tags and subsets, are behind a button each.
function unfold(what, on = !document.body.classList.contains(what)) {
  document.body.classList.toggle(what, on);
  $(what === "filtering" ? "filters-button" : "work-button").setAttribute("aria-expanded", String(on));
}

function listen() {
  window.addEventListener("keydown", key);
  $("sort").addEventListener("change", sortBy);
  $("kind").addEventListener("change", () => load(grid.index));
  $("descending").addEventListener("click", () => (press("descending"), ask()));
  $("filters-button").addEventListener("click", () => unfold("filtering"));
  $("work-button").addEventListener("click", () => unfold("working"));
  $("findings-button").addEventListener("click", () => openFindings(showFinding, (finding) => work.mend(finding.rows)));
  $("help-button").addEventListener("click", openHelp);
  $("back").addEventListener("click", () => turnPage(-1));
  $("on").addEventListener("click", () => turnPage(1));
  document.addEventListener("close", () => (large.isOpen ? $("close") : grid).focus(), true);
}

function tagged(state) {
  table.tags = state.tags;
  load(grid.index).then(() => large.isOpen && large.open(grid.current.number));
}

async function main() {
  const first = getRows({ where: {}, sort: "", descending: false, offset: 0, count: PAGE }); // beside the table
  first.catch(() => null); // it is said when the rows are to be shown
  table = await getTable();
  document.title = `${table.name} · handdata browse`;
  $("name").textContent = table.name;
  fillSort();
  $("kind").replaceChildren(...table.kinds.map((kind) => make("option", { value: kind }, KINDS[kind])));
  $("kind").value = table.kinds.at(-1) === "training" ? "training" : "labels";
  filters = new Filters($("filters"), table, { onChange: ask, onCompute: waitFor, onClear: clear });
  grid = new Grid($("grid"), () => large.open(grid.current.number), (by) => turnPage(by, by > 0 ? 0 : PAGE - 1).then((turned) => turned && grid.focus()));
  large = new Large($("large"), table, {
    onStep: step, onClose: () => grid.focus(), onMend: () => work?.mend([large.hand.number]), onNote: (hand) => Object.assign(grid.rows.find(({ number }) => number === hand.number) ?? {}, { note: hand.note }),
  });
  if (canEdit) work = new Work(table, () => ({ query: query(), found: asked.found, row: grid.current }), tagged);
  for (const id of ["tag-form", "subset-form", "ids", "mend", "findings-button", "work-button"]) $(id).hidden = !canEdit;
  listen();
  await load(0, first);
  grid.focus();
  setTimeout(poll, POLL_MS);
}

main().catch((error) => toast(error.message));
