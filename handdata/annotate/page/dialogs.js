// The small windows: help, export, go to a frame, sequences. Each is worked by keyboard alone; Escape closes it.
const NAMES = { json: "JSON of handdata: COCO with sides and states", csv: "CSV", csv5: "CSV, the five published columns", cvat: "CVAT 1.1", coco: "COCO", mot: "MOT ground truth" };
const WINDOWS = `
<dialog id="export-dialog" aria-labelledby="export-title">
  <h2 id="export-title"></h2>
  <form method="dialog" class="list" id="export-list"></form>
  <form method="dialog"><button class="main" value="">Close</button></form>
</dialog>
<dialog id="goto" aria-labelledby="goto-title">
  <h2 id="goto-title">Go to</h2>
  <form method="dialog" class="row">
    <input id="goto-frame" type="text" autocomplete="off" aria-label="Frame number or picture" placeholder="number or name">
    <button class="main" value="go">Go</button>
  </form>
</dialog>
<dialog id="sequences" aria-labelledby="sequences-title">
  <h2 id="sequences-title">Sequences</h2>
  <table id="sequence-list"></table>
  <p class="dim">Open another: end this one with Ctrl-C and start it by its name.</p>
  <form method="dialog"><button class="main" autofocus>Close</button></form>
</dialog>`;
const $ = (id) => document.getElementById(id);

export const isOpen = () => Boolean(document.querySelector("dialog[open]"));

export function help() {
  $("help").showModal();
  $("help").scrollTop = 0; // the focus lies on the button at its end, which a small window cannot show together with the top
}

document.body.insertAdjacentHTML("beforeend", WINDOWS);

// what: is exported; formats: what the server writes; onChoice(kind).
export function fillExport(what, formats, onChoice) {
  $("export-title").textContent = `Keep the ${what} as`;
  for (const kind of formats) {
    const button = document.createElement("button");
    Object.assign(button, { value: kind, textContent: NAMES[kind] ?? kind });
    button.dataset.kind = kind;
    $("export-list").append(button);
  }
  $("export-dialog").addEventListener("close", (event) => {
    const kind = event.target.returnValue;
    event.target.returnValue = "";
    if (kind) onChoice(kind);
  });
  // Arrow keys go through the list, as in a menu.
  $("export-list").addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key], all = [...$("export-list").children];
    if (step) all[(all.indexOf(document.activeElement) + step + all.length) % all.length].focus();
  });
}

export const exports = () => $("export-dialog").showModal();

// names: of the pictures; onGo(index); onUnknown(text).
export function listenGoto(names, onGo, onUnknown) {
  $("goto").addEventListener("close", (event) => {
    const said = $("goto-frame").value.trim(), chosen = event.target.returnValue === "go";
    event.target.returnValue = "";
    if (!chosen || !said) return;
    const number = /^\d+$/.test(said) ? Number(said) - 1 : -1;
    const named = number >= 0 && !said.startsWith("0") ? -1 : names.findIndex((name) => name.includes(said)); // 0031 is a name
    const index = named >= 0 ? named : number;
    if (index >= 0 && index < names.length) onGo(index);
    else onUnknown(said);
  });
}

export function goTo(index) {
  $("goto-frame").value = index + 1;
  $("goto").showModal();
  $("goto-frame").select();
}

// rows: { name, frames, accepted, here }, from the tables on the disk; the one that is open as it stands.
export function sequences(rows) {
  const done = rows.filter(({ frames, accepted }) => frames && accepted === frames).length;
  $("sequences-title").textContent = `Sequences: ${done} of ${rows.length} accepted`;
  $("sequence-list").replaceChildren(...rows.map(({ name, frames, accepted, here }) => {
    const row = document.createElement("tr"), progress = document.createElement("progress");
    Object.assign(progress, { max: frames || 1, value: accepted });
    progress.setAttribute("aria-label", `accepted of ${name}`);
    for (const what of [name, `${accepted} of ${frames}`, progress]) {
      const cell = document.createElement("td");
      cell.append(what);
      row.append(cell);
    }
    row.className = here ? "here" : "";
    return row;
  }));
  $("sequences").showModal();
}
