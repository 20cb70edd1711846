// What the header and the footer do on the pages of boxes and of keypoints alike.
import * as dialogs from "/dialogs.js";
import * as server from "/server.js";
import { notice, toast } from "/says.js";

const $ = (id) => document.getElementById(id);

// How much is left to do in the background, or what is wrong. doing: the word for it.
export function progress(news, doing, trouble = "") {
  const problem = trouble || (news.broken.length ? `${news.unread} skipped: ${news.broken.join(" ")}` : "");
  $("tracking").hidden = !problem && !news.left;
  $("tracking").classList.toggle("bad", Boolean(problem));
  $("tracking").replaceChildren(problem || `${news.left} to go`);
  if (!problem) $("tracking").prepend(Object.assign(document.createElement("span"), { className: "doing", textContent: `${doing}, ` }));
}

// Say whether every edit is on the disk. waits: whether one is on its way; trouble: why a file could not be written.
export function saved(waits, trouble, file) {
  const words = waits ? "saving" : trouble ? "file not written" : "saved";
  $("saved").textContent = words;
  $("saved").title = trouble || `Every edit is on the disk: ${file ?? ""}`;
  $("saved").classList.toggle("good", words === "saved");
  $("saved").classList.toggle("bad", Boolean(trouble));
  $("stage").dataset.saved = words;
}

// Show the frame on which an edit was undone or redone, where none of its frames is in view.
export function showEdited(op, frames, index, go) {
  if (!["undo", "redo"].includes(op) || !frames?.length || frames.includes(index)) return;
  go(frames[0]);
  notice(`${op === "undo" ? "Undone" : "Redone"} on frame ${frames[0] + 1}.`, 3000);
}

export async function listSequences() {
  try {
    dialogs.sequences(await server.getSequences());
  } catch (error) {
    toast(error.message);
  }
}

// what: is exported; facts: of the sequence; page: { go, index, edit, press, flush, settled, read }: go to a frame, the
// frame in view, send an edit, press a key by its name, send what waits, a promise of all being sent, take a file in.
export function listen(what, facts, page) {
  for (const verb of ["undo", "redo"]) $(verb).addEventListener("click", () => (page.flush(), page.edit(verb)));
  $("help-button").addEventListener("click", dialogs.help);
  $("export").addEventListener("click", dialogs.exports);
  $("counter").addEventListener("click", () => dialogs.goTo(page.index()));
  $("name").addEventListener("click", listSequences);
  for (const button of document.querySelectorAll("[data-key]")) {
    button.addEventListener("click", (event) => page.press(button.dataset.key, event));
  }
  $("import-button").addEventListener("click", () => $("import").click());
  $("import").addEventListener("change", (event) => {
    const [file] = event.target.files;
    if (file) page.read(file, file.name.split(".").pop().toLowerCase());
    event.target.value = "";
  });
  dialogs.listenGoto(facts.names, page.go, (text) => toast(`No picture ${text}.`));
  dialogs.fillExport(what, facts.formats, async (kind) => {
    page.flush();
    await page.settled();
    server.saveExport(kind).catch((error) => toast(error.message));
  });
  // After a click the keys are the picture's again, whatever was clicked.
  document.addEventListener("click", (event) => event.detail && event.target.closest("body > :not(dialog) button") && $("canvas").focus());
  document.addEventListener("close", () => $("canvas").focus(), true);
}
