// What the page says above the picture: refusals in red, what else there is to know in quiet.
const $ = (id) => document.getElementById(id);
const timers = {};

const says = Object.assign(document.createElement("div"), { className: "says" }); // one below the other
for (const [id, role] of [["toast", "alert"], ["notice", "status"]]) {
  const box = Object.assign(document.createElement("div"), { id, className: id, hidden: true });
  box.setAttribute("role", role);
  says.append(box);
}
$("stage").append(says);

// An open dialog lies above the whole page, so what is said meanwhile is said in it.
function bringUp() {
  const dialog = document.querySelector("dialog[open]");
  if (!dialog || dialog.contains(says)) return;
  dialog.append(says);
  dialog.addEventListener("close", () => $("stage").append(says), { once: true });
}

function say(id, words, ms) {
  if (words) bringUp();
  $(id).textContent = words;
  $(id).hidden = !words;
  clearTimeout(timers[id]);
  timers[id] = setTimeout(() => ($(id).hidden = true), ms);
}

export const toast = (words) => say("toast", words, 6000);

export const notice = (words, ms = 8000) => say("notice", words, ms);

// Frames, counted from 0, that were seen and may change now: named in stretches, counted from 1.
export function named(frames) {
  const parts = [];
  for (const frame of frames) {
    const last = parts.at(-1);
    if (last && last[1] === frame - 1) last[1] = frame;
    else parts.push([frame, frame]);
  }
  const words = parts.map(([a, b]) => (a === b ? a + 1 : `${a + 1} to ${b + 1}`)).join(", ");
  notice(`Seen before, and now with the tracker again: ${words}.`);
}
