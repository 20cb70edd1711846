// What the page says above the picture: refusals in red, what else there is to know in quiet.
import { show } from "/saying.js";

const says = Object.assign(document.createElement("div"), { className: "says" }); // one below the other
for (const [id, role] of [["toast", "alert"], ["notice", "status"]]) {
  const box = Object.assign(document.createElement("div"), { id, className: id, hidden: true });
  box.setAttribute("role", role);
  says.append(box);
}
document.getElementById("stage").append(says);

export const toast = (words) => show("toast", words, 6000);

export const notice = (words, ms = 8000) => show("notice", words, ms);

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
